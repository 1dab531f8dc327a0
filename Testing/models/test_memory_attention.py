"""Interaction memory in the network: nothing remembered is nothing changed; what is remembered counts by place and
age."""

from dataclasses import replace

import pytest
import torch
from small_nano import image, memories, prompt, small_network

CENTRE = torch.zeros(1, 3)
VARIANTS = ("sparse", "dense", "both")


@pytest.mark.parametrize("variant", (*VARIANTS, "none"))
def test_an_empty_memory_answers_exactly_as_no_memory(variant):
    network = small_network(variant)
    features = network.encode(*image())
    without = network.answer(features, prompt(CENTRE))
    empty = network.answer(features, prompt(CENTRE), memories(0))
    assert torch.equal(empty.logits, without.logits) and torch.equal(empty.quality, without.quality)
    assert empty.attention is None


def test_the_network_without_memory_is_the_same_in_every_variant_bit_for_bit():
    both, none = small_network("both"), small_network("none")
    none.load_state_dict({name: both.state_dict()[name] for name in none.state_dict()})
    given = image()
    answers = [network.answer(network.encode(*given), prompt(CENTRE), memories(0)).logits for network in (both, none)]
    assert torch.equal(*answers)


def test_a_memory_that_is_not_read_changes_nothing():
    network = small_network("none")
    features = network.encode(*image())
    given = prompt(CENTRE)
    assert torch.equal(network.answer(features, given, memories(4)).logits, network.answer(features, given).logits)


def test_in_a_batch_samples_that_forgot_are_answered_exactly_as_without_memory():
    network = small_network()
    features = network.encode(*image(batch=2))
    given = prompt(torch.zeros(2, 3))
    memory = memories(3, batch=2)
    forgotten = replace(memory, present=torch.tensor([[True] * 3, [False] * 3]))
    answer, without = network.answer(features, given, forgotten), network.answer(features, given)
    assert torch.equal(answer.logits[1], without.logits[1])
    assert not torch.allclose(answer.logits[0], without.logits[0])
    assert answer.attention[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_each_memory_was_looked_at_sums_to_one(variant):
    network = small_network(variant)
    answer = network.answer(network.encode(*image()), prompt(CENTRE), memories(5))
    assert answer.attention.shape == (1, 5)
    assert float(answer.attention.sum()) == pytest.approx(1, abs=1e-5) and (answer.attention > 0).all()


def test_entries_that_are_not_present_are_not_looked_at_and_do_not_matter():
    network = small_network()
    features = network.encode(*image())
    memory = replace(memories(4), present=torch.tensor([[True, False, True, False]]))
    answer = network.answer(features, prompt(CENTRE), memory)
    assert answer.attention[0, [1, 3]].tolist() == [0, 0]
    noisy = replace(memory, sparse=memory.sparse.clone(), dense=memory.dense.clone())
    noisy.sparse[:, [1, 3]] += 100
    noisy.dense[:, [1, 3]] -= 100
    assert torch.allclose(network.answer(features, prompt(CENTRE), noisy).logits, answer.logits, atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "matters"), [("sparse", {"sparse"}), ("dense", {"dense"}), ("both", {"sparse", "dense"})]
)
def test_each_variant_reads_its_own_kinds_of_memory(variant, matters):
    network = small_network(variant)
    features = network.encode(*image())
    memory = memories(3)
    logits = network.answer(features, prompt(CENTRE), memory).logits
    for kind in ("sparse", "dense"):
        changed = replace(memory, **{kind: getattr(memory, kind) + 1})
        same = torch.equal(network.answer(features, prompt(CENTRE), changed).logits, logits)
        assert same == (kind not in matters)


@pytest.mark.parametrize("name", ["age", "centre", "scale", "points", "polarity"])
def test_age_place_size_and_side_of_a_memory_matter(name):
    network = small_network()
    features = network.encode(*image())
    memory = memories(3)
    changed = replace(memory, **{name: getattr(memory, name) * 0.3 + 0.4})
    first, second = (network.answer(features, prompt(CENTRE), each).logits for each in (memory, changed))
    assert not torch.allclose(first, second)


def test_the_order_of_the_entries_does_not_matter_because_each_carries_its_age():
    network = small_network()
    features = network.encode(*image())
    memory = memories(4)
    order = torch.tensor([2, 0, 3, 1])
    names = list(type(memory).__dataclass_fields__)
    shuffled = type(memory)(**{name: getattr(memory, name)[:, order] for name in names})
    first, second = (network.answer(features, prompt(CENTRE), each) for each in (memory, shuffled))
    assert torch.allclose(first.logits, second.logits, atol=1e-5)
    assert torch.allclose(first.attention[:, order], second.attention, atol=1e-6)


def test_sixty_memories_of_any_age_give_finite_answers():
    network = small_network()
    answer = network.answer(network.encode(*image()), prompt(CENTRE), memories(60))
    assert torch.isfinite(answer.logits).all() and answer.attention.shape == (1, 60)


def test_a_new_memory_attention_starts_by_adding_nothing_to_the_image():
    from small_nano import small_config

    from memseg.networks.memory_attention import MemoryAttention

    attention = MemoryAttention(small_config().memory, 16, 3)
    tokens, positions = torch.randn(1, 8, 16), torch.randn(8, 16)
    conditioned, weights = attention(tokens, positions, memories(3))
    assert torch.equal(conditioned, tokens) and weights.shape == (1, 3)
