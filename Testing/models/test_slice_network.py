"""The slice network: what it reads counts, what it does not read does not, and nothing depends on the batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_slices import EDGE, KEYS, VALUES, memories, small_config, small_network

from memseg.networks.slice_evidence import EVIDENCE_CHANNELS
from memseg.networks.slices import SliceConfig, SliceLogits, SliceNetwork, condition, folded, unfolded

SOURCE = 5


def inputs(batch: int = 1, seed: int = SOURCE) -> tuple[torch.Tensor, ...]:
    """Stack, condition, own and previous image, evidence."""
    source = torch.Generator().manual_seed(seed)
    return (
        torch.randn((batch, 6, EDGE, EDGE), generator=source),
        torch.zeros(batch, 2),
        torch.randn((batch, 2, EDGE, EDGE), generator=source),
        torch.randn((batch, 2, EDGE, EDGE), generator=source),
        torch.rand((batch, EVIDENCE_CHANNELS, EDGE, EDGE), generator=source),
    )


def answer(network: SliceNetwork, given: tuple[torch.Tensor, ...], recent=None, long=None) -> SliceLogits:
    stack, state, own, previous, evidence = given
    batch = len(stack)
    nothing = memories(0, batch)
    image = network.encode(stack, state)
    return network.follow(image, state, own, previous, evidence, recent or nothing, long or nothing)


def test_a_new_network_answers_with_the_previous_mask():
    network = SliceNetwork(small_config()).eval()
    stack, state, own, previous, evidence = inputs()
    mask = torch.zeros(1, 1, EDGE, EDGE)
    mask[..., 4:12, 4:12] = 1
    distance = torch.where(mask > 0, 0.2, -0.2)
    evidence = torch.cat([mask, distance, torch.zeros(1, EVIDENCE_CHANNELS - 2, EDGE, EDGE)], dim=1)
    with torch.no_grad():
        found = answer(network, (stack, state, own, previous, evidence), memories(2), memories(3)).logits > 0
    assert torch.equal(found, mask > 0)


def test_shapes_of_what_is_remembered_and_answered():
    network, given = small_network(), inputs(2)
    image = network.encode(given[0], given[1])
    assert image.keys.shape == (2, KEYS, 2, 2)
    values = network.remember(image, torch.ones(2, 1, EDGE, EDGE), torch.ones(2, 1, EDGE, EDGE))
    assert values.shape == (2, VALUES, 2, 2)
    found = answer(network, given, memories(2, 2), memories(3, 2))
    assert found.logits.shape == (2, 1, EDGE, EDGE)
    assert found.present.shape == found.quality.shape == (2,)


def test_the_mask_of_a_remembered_slice_counts():
    network, given = small_network(), inputs()
    image = network.encode(given[0], given[1])
    empty, full = torch.zeros(1, 1, EDGE, EDGE), torch.ones(1, 1, EDGE, EDGE)
    assert not torch.allclose(network.remember(image, empty, -full), network.remember(image, full, full))


@pytest.mark.parametrize("which", ["recent", "long"])
class TestMemory:
    def logits(self, which: str, memory) -> torch.Tensor:
        return answer(small_network(), inputs(), **{which: memory}).logits

    def test_what_is_remembered_counts(self, which):
        assert not torch.allclose(self.logits(which, memories(2)), self.logits(which, memories(2, seed=3)))

    def test_where_it_lies_counts(self, which):
        nearer = replace(memories(2), places=memories(2).places / 2)
        assert not torch.allclose(self.logits(which, memories(2)), self.logits(which, nearer))

    def test_the_order_of_entries_does_not(self, which):
        entries = memories(3)
        turned = replace(
            entries, keys=entries.keys.flip(1), values=entries.values.flip(1), places=entries.places.flip(1)
        )
        assert torch.allclose(self.logits(which, entries), self.logits(which, turned), atol=1e-5)

    def test_an_entry_that_is_not_valid_is_as_if_it_were_not_there(self, which):
        two = memories(2)
        one = replace(
            two, **{name: getattr(two, name)[:, :1] for name in ("keys", "values", "places", "scale", "valid")}
        )
        hidden = replace(two, valid=torch.tensor([[True, False]]))
        assert torch.allclose(self.logits(which, one), self.logits(which, hidden), atol=1e-5)


def test_recent_and_long_memories_are_read_by_separate_attentions():
    network, given = small_network(), inputs()
    recent, long = answer(network, given, recent=memories(2)), answer(network, given, long=memories(2))
    assert not torch.allclose(recent.logits, long.logits)


def test_a_sample_is_answered_the_same_alone_and_in_a_batch():
    network, two = small_network(), inputs(2)
    both = answer(network, two, memories(2, 2), memories(3, 2)).logits
    second = memories(2, 2), memories(3, 2)
    alone = [
        replace(each, **{name: getattr(each, name)[1:] for name in ("keys", "values", "places", "scale", "valid")})
        for each in second
    ]
    assert torch.allclose(both[1:], answer(network, tuple(each[1:] for each in two), *alone).logits, atol=1e-4)


def test_folding_loses_nothing():
    maps = torch.randn(2, 3, 6, 8)
    assert torch.equal(unfolded(folded(maps)), maps)


def test_the_condition_by_hand():
    found = condition(torch.tensor([4.0]), torch.tensor([0.5]))
    assert torch.allclose(found, torch.tensor([[1.0, -1.0]]))


def test_a_configuration_that_does_not_fit_is_refused():
    with pytest.raises(ValueError):
        SliceConfig(edge=20)
    with pytest.raises(ValueError):
        SliceConfig(key_width=30)


def test_the_shipped_sizes_stay_within_fifteen_megabytes():
    count = sum(parameter.numel() for parameter in SliceNetwork(SliceConfig()).parameters())
    assert count * 2 < 15e6
