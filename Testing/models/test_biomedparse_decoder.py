"""BiomedParse's decoder: where queries look is drawn, from a seed; and what it amounts to without drawing."""

from __future__ import annotations

import pytest
import torch
from small_biomedparse import WIDTH, WORDS, images, small_biomedparse, small_config
from torch import Tensor

from memseg.networks.biomedparse.boltzmann_decoder import Draws, Sampling, never_drawn
from memseg.networks.biomedparse.model import with_neighbours


def answered(network, sampling: Sampling, count: int = 1, informing=None) -> Tensor:
    with torch.inference_mode():
        maps = network.encode(with_neighbours(images(count)))
        return network.answer(maps, network.words(WORDS), sampling, informing).logits


# -- what is drawn -----------------------------------------------------------------------------------------------------


def test_a_place_is_never_drawn_by_how_likely_it_is_and_how_often_it_is_drawn():
    even = never_drawn(torch.zeros(20), temperature=1.0, share=0.1)  # two draws of one in twenty
    assert even.tolist() == pytest.approx([0.95**2] * 20)
    two = never_drawn(torch.tensor([1.0, 0.0]), temperature=0.5, share=0.5)  # one draw, e^2 to 1
    assert two.tolist() == pytest.approx([1 - 0.8808, 0.8808], abs=1e-4)


def test_layers_draw_closer_to_the_mask_the_later_they_are():
    mask = torch.tensor([1.0] + [0.0] * 99)
    chances = [float(never_drawn(mask, 1 / (1 + layer), 0.1)[0]) for layer in range(9)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == pytest.approx((1 - 2.71828 / (99 + 2.71828)) ** 10, abs=1e-4) and chances[8] < 1e-10


def test_draws_follow_from_each_slices_seed_whatever_the_batch():
    two = Draws((3, 4)).uniform(torch.Size((2, 5)), torch.device("cpu"))
    assert torch.equal(two[1:], Draws((4,)).uniform(torch.Size((1, 5)), torch.device("cpu")))
    torch.manual_seed(3)
    assert torch.equal(two[0], torch.rand(5))
    with pytest.raises(ValueError, match="one seed for each slice"):
        Draws((3, 4)).uniform(torch.Size((3, 5)), torch.device("cpu"))


def test_drawing_leaves_the_random_numbers_of_others_alone():
    network = small_biomedparse()
    before = torch.get_rng_state()
    answered(network, Sampling((1,)))
    assert torch.equal(torch.get_rng_state(), before)


def test_one_seed_gives_one_answer_and_another_seed_another():
    network = small_biomedparse()
    first, again, other = (answered(network, Sampling((seed,))) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.allclose(first, other, atol=1e-2)


def test_a_query_that_would_see_nothing_sees_everything():
    nothing_drawn = small_biomedparse(small_config(drawn=0.001))  # none of 16, 64 or 256 places
    everything = small_biomedparse(small_config(drawn=1.0))
    everything.sem_seg_head.predictor._hidden = lambda *_: None
    assert torch.allclose(answered(nothing_drawn, Sampling((1,))), answered(everything, Sampling((1,))), atol=1e-4)


# -- without drawing ---------------------------------------------------------------------------------------------------


def test_deterministic_mode_knows_no_seed_and_lies_within_the_spread_of_the_draws():
    """With random weights the draws spread by 0.3 round their mean where logits have a size of 1.8, and the
    deterministic answer differs from that mean by 0.29 on the average: about as much as one draw from another."""
    network = small_biomedparse()
    fixed, again = (answered(network, Sampling(None), 3) for _ in range(2))
    many = torch.stack([answered(network, Sampling((seed, seed + 1, seed + 2)), 3) for seed in range(0, 60, 3)])
    apart, spread = (fixed - many.mean(0)).abs().mean(), (many - many.mean(0)).abs().mean()
    assert torch.equal(fixed, again)
    assert float(apart) < 1.5 * float(spread) < 0.5 * float(many.abs().mean())


def test_deterministic_mode_weighs_places_by_the_chance_that_they_are_drawn():
    network = small_biomedparse()
    decoder, maps = network.sem_seg_head.predictor, network.encode(with_neighbours(images(1)))
    queries = decoder.query_feat_.weight[None]
    size = maps.levels[2].shape[2:]
    added = decoder._hidden(queries, maps.mask_features, size, 2, None)
    hidden = decoder._hidden(queries, maps.mask_features, size, 2, Draws((1,)))
    assert added.shape == hidden.shape == (4, 16, 256) and hidden.dtype == torch.bool
    drawn = torch.stack([decoder._hidden(queries, maps.mask_features, size, 2, Draws((seed,))) for seed in range(400)])
    seen = 1 - drawn.float().mean(dim=(0, 1))  # of 1,600 draws
    assert float((added.exp()[0] - seen).abs().max()) < 0.15


# -- the answer --------------------------------------------------------------------------------------------------------


def test_the_answer_is_the_mean_of_the_masks_of_the_queries_that_draw_no_outlines():
    network = small_biomedparse()
    with torch.inference_mode():
        maps = network.encode(with_neighbours(images(2)))
        answer = network.answer(maps, network.words(WORDS), Sampling((1, 2)))
    decoder = network.sem_seg_head.predictor
    embeddings = decoder.mask_embed(decoder.decoder_norm(answer.queries))
    masks = torch.einsum("bqc,bchw->bqhw", embeddings, maps.mask_features)
    assert answer.queries.shape == (2, 16, WIDTH) and answer.existence.shape == (2,)
    assert torch.allclose(answer.logits, masks[:, :12].mean(dim=1), atol=1e-4)
    assert not torch.allclose(answer.logits, masks.mean(dim=1), atol=1e-2)
    again = torch.einsum("bc,bchw->bhw", answer.mask_embedding, maps.mask_features)
    assert torch.allclose(answer.logits, again, atol=1e-5)


class Told:
    """A memory whose part in an answer is plain; asked: which layers, and of which shape."""

    def __init__(self, features: float = 1.0, queries: float = 1.0) -> None:
        self._features, self._queries = features, queries
        self.asked: list[tuple[int | str, tuple[int, ...]]] = []

    def features(self, mask_features: Tensor) -> Tensor:
        self.asked.append(("features", tuple(mask_features.shape)))
        return mask_features * self._features

    def __call__(self, layer: int, queries: Tensor) -> Tensor:
        self.asked.append((layer, tuple(queries.shape)))
        return queries * self._queries


def test_a_memory_is_asked_before_the_answer_and_after_every_look_at_the_image():
    network, same = small_biomedparse(), Told()
    stock = answered(network, Sampling((1, 2)), 2)
    assert torch.equal(answered(network, Sampling((1, 2)), 2, same), stock)
    assert same.asked[1:] == [(layer, (2, 16, WIDTH)) for layer in range(4)]
    assert same.asked[0][0] == "features" and same.asked[0][1][:2] == (2, WIDTH)
    for other in (Told(queries=1.1), Told(features=1.1)):
        assert not torch.equal(answered(network, Sampling((1, 2)), 2, other), stock)
