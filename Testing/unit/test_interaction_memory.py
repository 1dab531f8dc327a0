"""The interaction memory is a first-in first-out value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memseg.memory.interaction import Interaction, InteractionMemory


def interaction(number: int, model: str = "nano") -> Interaction:
    return Interaction(number, model, np.full((1, 4), number), np.zeros((2, 3, 3, 3)))


def numbers(memory: InteractionMemory) -> list[int]:
    return [entry.number for entry in memory]


@given(st.integers(1, 9), st.integers(0, 30))
def test_only_the_newest_stay_and_they_keep_their_order(capacity, count):
    memory = InteractionMemory(capacity=capacity)
    for number in range(1, count + 1):
        memory = memory.remember(interaction(number))
    assert numbers(memory) == list(range(max(1, count - capacity + 1), count + 1))


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=30))
def test_remembering_and_forgetting_agrees_with_a_plain_list(capacity, actions):
    memory, plain = InteractionMemory(capacity=capacity), []
    for add, number in actions:
        if add:
            memory, plain = memory.remember(interaction(number)), [*plain, number][-capacity:]
        else:
            memory, plain = memory.without(number), [kept for kept in plain if kept != number]
        assert numbers(memory) == plain and len(memory) <= capacity


def test_the_old_memory_is_still_there_after_remembering_more():
    old = InteractionMemory(capacity=1).remember(interaction(1))
    new = old.remember(interaction(2))
    assert numbers(old) == [1] and numbers(new) == [2]


def test_each_model_reads_its_own_entries():
    memory = InteractionMemory().remember(interaction(1)).remember(interaction(2, "geodesic")).remember(interaction(3))
    assert [entry.number for entry in memory.of_model("nano")] == [1, 3]


def test_forgetting_what_is_not_there_gives_the_same_memory():
    memory = InteractionMemory().remember(interaction(1))
    assert memory.without(9) is memory
    assert len(memory.cleared()) == 0 and memory.cleared().capacity == 60


def test_embeddings_are_copied_and_cannot_be_changed():
    sparse = np.ones((1, 4))
    entry = Interaction(1, "nano", sparse)
    sparse[:] = 9
    assert entry.sparse.max() == 1 and entry.size_bytes == 16
    with pytest.raises(ValueError, match="read-only"):
        entry.sparse[0, 0] = 2


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="finite"):
        Interaction(1, "nano", np.full((1, 4), np.nan))
    with pytest.raises(ValueError, match="2 axes"):
        Interaction(1, "nano", np.zeros(4))
    with pytest.raises(ValueError, match="at least one"):
        InteractionMemory(capacity=0)
    with pytest.raises(ValueError, match="do not fit"):
        InteractionMemory((interaction(1), interaction(2)), capacity=1)
