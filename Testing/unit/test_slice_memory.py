"""Slice memory: every rule by itself, and what stays when the memory is full."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memseg.memory.slice_entry import SliceEntry, SliceFeatures
from memseg.memory.slice_policies import (
    POLICIES,
    diversity_of,
    least_valuable_leaves,
    most_alike_leaves,
    most_similar,
    most_valuable,
    nearest_and_latest,
    oldest_leaves,
    resampled,
    value_of,
)
from memseg.memory.slices import SliceMemory

ALONG_X, ALONG_Y, BETWEEN = (1, 0), (0, 1), (1, 1)


def features(values=ALONG_X, keys=ALONG_X) -> SliceFeatures:
    return SliceFeatures(np.reshape(keys, (1, 1, 2)), np.reshape(values, (1, 1, 2)), (0, 0, 10))


def entry(index: int, values=ALONG_X, keys=ALONG_X, axis: str = "k", model: str = "m", **more) -> SliceEntry:
    """A slice every 10 mm."""
    return SliceEntry(axis, index, index * 10.0, model, features(values, keys), **more)


def indices(entries) -> list[int]:
    return [each.index for each in entries]


# -- values ----------------------------------------------------------------------------------------------------------


def test_features_are_read_only_half_precision_copies():
    keys = np.ones((1, 2, 2))
    kept = SliceFeatures(keys, keys, (1, 2, 3))
    keys[:] = 7
    assert kept.keys.dtype == np.float16 and kept.keys.max() == 1 and kept.size_bytes == 16
    with pytest.raises(ValueError, match="read-only"):
        kept.values[:] = 0


@pytest.mark.parametrize(
    ("keys", "window"),
    [(np.ones((2, 2)), (0, 0, 1)), (np.ones((1, 0, 2)), (0, 0, 1)), (np.full((1, 1, 1), np.nan), (0, 0, 1)),
     (np.ones((1, 1, 1)), (0, 0, 0)), (np.ones((1, 1, 1)), (0, 1)), (np.ones((1, 1, 1)), (0, np.inf, 1))],
)  # fmt: skip
def test_features_that_are_none_cannot_be_built(keys, window):
    with pytest.raises(ValueError, match="slice"):
        SliceFeatures(keys, np.ones((1, 1, 1)), window)


@pytest.mark.parametrize(
    "wrong",
    [{"confidence": 1.1}, {"confidence": np.nan}, {"prominence": 0}, {"prominence": np.inf}, {"axis": "t"}],
)
def test_an_entry_checks_itself(wrong):
    with pytest.raises(ValueError, match="slice"):
        entry(1, **wrong)


def test_an_entry_lies_in_the_volume():
    with pytest.raises(ValueError, match="index from 0"):
        entry(-1)
    with pytest.raises(ValueError, match="index from 0"):
        SliceEntry("k", 1, np.nan, "m", features())


# -- the rules -------------------------------------------------------------------------------------------------------


def test_value_is_confidence_times_nearness_times_prominence():
    # 30 mm away at tau 30 mm: 0.5 * e^-1 * 2 = 0.36788
    assert value_of(entry(4, confidence=0.5, prominence=2.0), at_mm=10.0, tau_mm=30.0) == pytest.approx(
        0.36788, abs=1e-5
    )


def test_diversity_is_one_alone_none_beside_a_copy_and_in_between_by_the_angle():
    assert diversity_of(entry(0), []) == 1
    assert diversity_of(entry(0), [entry(1), entry(2, ALONG_Y)]) == pytest.approx(0, abs=1e-6)
    assert diversity_of(entry(0), [entry(1, BETWEEN)]) == pytest.approx(1 - 2**-0.5, abs=1e-3)


def test_values_of_another_size_are_not_alike():
    other = SliceEntry("k", 3, 30.0, "m", SliceFeatures(np.ones((1, 1, 3)), np.ones((1, 1, 3)), (0, 0, 1)))
    assert diversity_of(entry(0), [other]) == 1


def test_the_oldest_leaves():
    assert oldest_leaves([entry(5), entry(1), entry(9)], [], 0, 30) == 0


def test_of_two_copies_the_less_valuable_leaves_though_another_is_worth_less():
    free = [entry(0, confidence=0.9), entry(0, confidence=0.8), entry(0, ALONG_Y, confidence=0.3)]
    assert least_valuable_leaves(free, [], 0, 30) == 1


def test_without_copies_the_least_valuable_leaves():
    free = [entry(0, ALONG_X, confidence=0.9), entry(9, ALONG_Y, confidence=0.9)]
    assert least_valuable_leaves(free, [], at_mm=0, tau_mm=30) == 1
    assert least_valuable_leaves(free, [], at_mm=90, tau_mm=30) == 0


def test_a_copy_of_what_stays_leaves():
    free = [entry(0, ALONG_X), entry(9, ALONG_Y, confidence=0.5)]
    assert least_valuable_leaves(free, [entry(4, ALONG_X, agreed=True)], 0, 1e6) == 0


def test_self_sorting_replaces_the_entry_most_like_the_one_least_like_the_newcomer():
    # newcomer (0, 1): least like it is entry 0 (1, 0); most like that is entry 1 (1, 0.1), which gives way
    held = [entry(0, (1, 0)), entry(1, (1, 0.1)), entry(2, (1, 1))]
    assert most_alike_leaves([*held, entry(3, (0, 1))], [], 0, 30) == 1


def test_self_sorting_keeps_the_bank_where_the_newcomer_is_like_all_or_worse():
    held = [entry(0, (1, 0), confidence=0.9), entry(1, (1, 0.1), confidence=0.9)]
    assert most_alike_leaves([*held, entry(2, (1, 0.05))], [], 0, 30) == 2  # least like it: 0, sim .9988 > .9950
    assert most_alike_leaves([*held, entry(2, (0, 1), confidence=0.8)], [], 0, 30) == 2  # 0.8 > 0.9 - 0.1 is not so
    assert most_alike_leaves([*held, entry(2, (0, 1), confidence=0.81)], [], 0, 30) == 1


def test_self_sorting_never_names_an_entry_that_stays():
    staying = [entry(0, (1, 0), agreed=True), entry(1, (1, 0.1), agreed=True)]
    assert most_alike_leaves([entry(2, (1, 1)), entry(3, (0, 1))], staying, 0, 30) == 0
    assert most_alike_leaves([entry(3, (0, 1))], staying, 0, 30) == 0  # there is but the newcomer


def test_the_nearest_that_stay_are_recalled_and_then_the_latest_others():
    held = [entry(0, agreed=True), entry(8, agreed=True), entry(3), entry(4), entry(5)]
    assert indices(nearest_and_latest(held, 3, 70.0, None, (0, 7), 30)) == [8, 0, 5]
    assert indices(nearest_and_latest(held, 1, 70.0, None, (0, 7), 30)) == [8]


def test_the_most_valuable_are_recalled_first():
    held = [entry(0, prominence=2.0), entry(5), entry(7, confidence=0.1)]
    assert indices(most_valuable(held, 2, 60.0, None, (0, 6), 30)) == [5, 0]  # 0.72, 0.27 and 0.07


def test_half_are_recalled_by_the_likeness_of_their_keys():
    held = [entry(0, keys=ALONG_X), entry(1, keys=ALONG_Y), entry(2, keys=BETWEEN)]
    assert indices(most_similar(held, 4, 0, np.array(ALONG_Y), (0, 0), 30)) == [1, 2]
    assert indices(most_similar(held, 4, 0, None, (0, 0), 30)) == [0, 1]


def test_resampling_is_by_chance_but_the_same_for_the_same_slice_and_seed():
    held = [entry(index, keys=ALONG_X if index else ALONG_Y) for index in range(6)]
    drawn = [indices(resampled(held, 6, 0, np.array(ALONG_X), (seed, 4), 30)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 6
    assert resampled([], 6, 0, None, (0, 0), 30) == ()


def test_resampling_prefers_what_is_like_the_query():
    held = [entry(0, keys=ALONG_X), entry(1, keys=ALONG_Y)]
    drawn = [each.index for seed in range(500) for each in resampled(held, 2, 0, np.array(ALONG_X), (seed, 0), 30)]
    assert np.mean(np.array(drawn) == 0) == pytest.approx(np.e / (np.e + 1), abs=0.05)  # softmax of 1 and 0: 0.731


# -- the memory ------------------------------------------------------------------------------------------------------


def test_a_slice_is_remembered_once_and_stays_pinned():
    memory = SliceMemory().remember(entry(1, confidence=0.2)).pinned("k", 1).remember(entry(1, confidence=0.7))
    assert [(each.index, each.confidence, each.pinned) for each in memory] == [(1, 0.7, True)] and memory.recent == ()


def test_the_last_slices_followed_are_recent_and_the_users_are_not():
    memory = SliceMemory(recent_capacity=2)
    for index in (1, 2, 3, 2):
        memory = memory.remember(entry(index))
    assert indices(memory.recent) == [3, 2]
    assert indices(memory.remember(entry(2, agreed=True)).recent) == [3]
    assert SliceMemory(recent_capacity=0).remember(entry(1)).recent == ()


def test_a_full_memory_exceeds_its_capacity_only_by_entries_that_stay():
    memory = SliceMemory(capacity=2)
    for index in range(4):
        memory = memory.remember(entry(index, agreed=True))
    assert indices(memory) == [0, 1, 2, 3]
    assert indices(memory.remember(entry(4))) == [0, 1, 2, 3]


def test_an_entry_that_stays_takes_the_place_of_one_that_may_leave():
    memory = SliceMemory(capacity=2).remember(entry(0)).remember(entry(1, ALONG_Y))
    assert indices(memory.remember(entry(2, reference=True), at_mm=20)) == [1, 2]


def test_each_axis_and_each_model_has_its_own_places():
    memory = SliceMemory(capacity=1).remember(entry(0)).remember(entry(1, axis="j")).remember(entry(2, model="other"))
    assert [(each.axis, each.model, each.index) for each in memory] == [("k", "m", 0), ("j", "m", 1), ("k", "other", 2)]
    assert indices(memory.of("k", "m")) == [0] and indices(memory.of("k", "m").recent) == [0]


def test_entries_can_be_taken_out_pinned_and_cleared():
    memory = SliceMemory().remember(entry(1)).remember(entry(2, agreed=True)).remember(entry(3))
    assert indices(memory.without("k", 1)) == [2, 3] and memory.without("j", 1) is memory
    assert indices(memory.without_followed({("k", 2), ("k", 3)})) == [1, 2]
    assert memory.pinned("k", 9) is memory and memory.pinned("k", 1).get("k", 1).pinned
    assert not memory.pinned("k", 1).pinned("k", 1, on=False).get("k", 1).pinned
    assert len(memory.cleared()) == 0 and memory.cleared().recent == () and len(memory) == 3


def test_its_size_is_that_of_the_features_each_counted_once():
    memory = SliceMemory().remember(entry(1)).remember(entry(2))
    assert memory.size_bytes == 16  # two entries, in both lists, of 2 + 2 halves of 2 bytes


def test_what_is_recalled_is_bounded_by_the_capacity():
    memory = SliceMemory(capacity=3)
    for index in range(9):
        memory = memory.remember(entry(index, agreed=True))
    recalled = memory.recall(None, at_mm=80.0, index=8)
    assert indices(recalled.long) == [8, 7, 6] and recalled.recent == ()


@pytest.mark.parametrize(
    "wrong",
    [{"capacity": 0}, {"recent_capacity": -1}, {"policy": "best"}, {"tau_mm": 0}, {"tau_mm": np.nan}, {"seed": -1},
     {"entries": (entry(1), entry(1))}, {"recent": (entry(1, agreed=True),)}, {"recent": tuple(map(entry, range(4)))}],
)  # fmt: skip
def test_a_memory_checks_itself(wrong):
    with pytest.raises(ValueError):
        SliceMemory(**wrong)


pictures = st.tuples(st.integers(-3, 3), st.integers(1, 3))
entries = st.builds(
    lambda index, values, confidence, flag: entry(
        index, values, confidence=confidence, **({flag: True} if flag else {})
    ),
    st.integers(0, 12),
    pictures,
    st.floats(0, 1),
    st.sampled_from(["", "", "", "", "agreed", "reference"]),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(entries, max_size=25), st.sampled_from(sorted(POLICIES)), st.integers(1, 5))
def test_whatever_is_remembered_what_stays_stays_and_the_rest_fits(given_entries, policy, capacity):
    memory, kept = SliceMemory(capacity=capacity, policy=policy), {}
    for each in given_entries:
        memory = memory.remember(each)
        kept[each.key] = each.stays
        staying = [key for key, stays in kept.items() if stays]
        assert all(memory.get(*key) is not None for key in staying)
        assert len(memory) <= max(capacity, sum(held.stays for held in memory))
        assert memory.entries == () or memory.recall(np.array(ALONG_X), 30.0, 3).long


def test_a_smaller_memory_lets_go_of_recent_slices_at_once_and_of_others_when_one_comes():
    memory = SliceMemory(capacity=4, recent_capacity=4)
    for index in range(1, 5):
        memory = memory.remember(entry(index))
    small = memory.sized(2, 1)
    assert [held.index for held in small] == [1, 2, 3, 4] and [held.index for held in small.recent] == [4]
    assert len(small.remember(entry(5))) == 2 and memory.sized(4, 0).recent == ()


def test_what_is_recalled_says_by_which_policy():
    assert SliceMemory(policy="recent").recall(None, 0.0, 1).policy == "recent"
