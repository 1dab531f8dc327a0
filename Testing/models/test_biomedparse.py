"""The network of BiomedParse v2: named and shaped as the published file, and equal to the authors' code on a small
one."""

from __future__ import annotations

import pytest
import torch
from published import TOLERANCE, differs
from small_biomedparse import (
    EDGE,
    VOCABULARY,
    WIDTH,
    WORDS,
    biomedparse_shapes,
    golden,
    images,
    small_biomedparse,
    small_config,
)

from memseg.networks.biomedparse.boltzmann_decoder import DecoderConfig, Sampling
from memseg.networks.biomedparse.layers import sine_places
from memseg.networks.biomedparse.model import BiomedParse, BiomedParseConfig, SliceMaps, with_neighbours
from memseg.networks.biomedparse.pixel_decoder import PixelConfig
from memseg.networks.biomedparse.text_encoder import TextConfig


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# -- the published figures ---------------------------------------------------------------------------------------------


def test_names_shapes_and_sizes_are_those_of_the_published_file():
    with torch.device("meta"):
        network = BiomedParse(BiomedParseConfig())
    ours = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert ours == biomedparse_shapes() and len(ours) == 1050
    head = network.sem_seg_head
    assert count(network) == 371_798_778
    millions = [count(part) / 1e6 for part in (network.backbone, head.pixel_decoder, head.predictor)]
    assert millions == pytest.approx([205.7, 32.2, 133.9], abs=0.05)
    assert count(head.predictor.language_encoder) / 1e6 == pytest.approx(63.4, abs=0.05)


def test_every_part_and_the_drawn_answer_is_that_of_the_authors_code():
    network, slices = small_biomedparse(), with_neighbours(images())
    with torch.inference_mode():
        stages = network.backbone((slices - 114.495) / 57.63)
        maps, words = network.encode(slices), network.words(WORDS)
        answer = network.answer(maps, words, Sampling((100, 101, 102)))
    ours = {
        "res2": stages[0],
        "res5": stages[3],
        "mask_features": maps.mask_features,
        "level_32": maps.levels[0],
        "level_8": maps.levels[2],
        "words": words,
        "logits": answer.logits,
        "existence": answer.existence,
    }
    expected = golden()
    assert {name: differs(values, expected[name]) < TOLERANCE for name, values in ours.items()} == dict.fromkeys(
        expected, True
    )


# -- slices and their neighbours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([7.0], [[7, 7, 7]]),
        ([1.0, 2.0], [[1, 2, 2], [2, 1, 1]]),
        ([1.0, 2.0, 3.0], [[1, 2, 2], [2, 1, 3], [3, 2, 2]]),
    ],
)
def test_a_slice_is_seen_with_the_one_before_and_the_one_after(slices, expected):
    assert with_neighbours(torch.tensor(slices)[:, None, None])[:, :, 0, 0].tolist() == expected


def test_maps_lie_at_a_quarter_to_a_thirty_second_of_the_edge():
    maps = small_biomedparse().encode(with_neighbours(images(2)))
    assert maps.mask_features.shape == (2, WIDTH, EDGE // 4, EDGE // 4)
    assert [level.shape[2:] for level in maps.levels] == [(4, 4), (8, 8), (16, 16)]
    assert SliceMaps.of(maps.parts).levels == maps.levels


def test_slices_of_a_batch_do_not_know_of_each_other_and_keep_their_draws():
    network, slices = small_biomedparse(), with_neighbours(images())
    words = network.words(WORDS)
    together = network.answer(network.encode(slices), words, Sampling((5, 6, 7)))
    alone = network.answer(network.encode(slices[1:2]), words, Sampling((6,)))
    assert torch.allclose(together.logits[1:2], alone.logits, atol=1e-4)
    assert torch.allclose(together.existence[1:2], alone.existence, atol=1e-4)


# -- words -------------------------------------------------------------------------------------------------------------


def test_what_follows_a_token_does_not_change_it_so_that_padding_can_be_left_away():
    network = small_biomedparse()
    padded = torch.cat([WORDS, torch.full((1, 71), VOCABULARY - 1)], dim=1)
    assert torch.allclose(network.words(padded)[:, :6], network.words(WORDS), atol=1e-5)


def test_words_change_the_answer_and_a_sentence_is_a_direction():
    network = small_biomedparse()
    maps = network.encode(with_neighbours(images(1)))
    others = WORDS.clone()
    others[0, 2] = 43
    answers = [network.answer(maps, network.words(ids), Sampling((1,))).logits for ids in (WORDS, others)]
    assert not torch.allclose(*answers, atol=1e-2)
    sentence = network.sem_seg_head.predictor.language_encoder.sentence(WORDS)
    assert sentence.shape == (WIDTH,) and float(sentence.norm()) == pytest.approx(1, abs=1e-5)


# -- places and sizes --------------------------------------------------------------------------------------------------


def test_places_are_sines_of_row_then_column():
    places = sine_places(2, 3, 8, torch.device("cpu")).view(2, 3, 8)
    # (row 2 of 2) -> 2 pi: sine 0 and cosine 1; (column 1 of 3) -> 2 pi / 3: sine 0.866, cosine -0.5
    assert places[1, 0, :2].tolist() == pytest.approx([0, 1], abs=1e-4)
    assert places[1, 0, 4:6].tolist() == pytest.approx([3**0.5 / 2, -0.5], abs=1e-4)
    # the second pair has a period 10000^(2 / 4) = 100 times as long
    assert places[0, 2, 6].item() == pytest.approx(0.0628, abs=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: small_config(edge=100),
        lambda: PixelConfig(width=48, heads=4),
        lambda: DecoderConfig(queries=4, edge_queries=4),
        lambda: DecoderConfig(drawn=0),
        lambda: BiomedParseConfig(text=TextConfig(width=256)),
    ],
)
def test_a_size_that_cannot_be_built_is_refused(wrong):
    with pytest.raises(ValueError):
        wrong()
