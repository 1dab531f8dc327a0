"""FastSAM3D's student, and Memorizing SAM on it: the published answer at full size, the rest on small ones."""

from __future__ import annotations

import pytest
import torch
from published import TOLERANCE, differs, drawn, filled, golden, published_shapes
from small_sam import EDGE, WIDTH, small_config, small_student
from torch import Tensor

from memseg.networks.fastsam3d import StudentConfig, StudentEncoder
from memseg.networks.memorizing_sam import (
    LAYER,
    LOCAL_SHARE,
    NEIGHBOURS,
    LayerTokens,
    MemorizingEncoder,
    Neighbours,
    neighbour_weights,
)
from memseg.networks.sam_encoder import attended
from memseg.networks.sam_med3d import SamMed3D, count_parameters, nothing_before


def image(seed: int = 0) -> Tensor:
    return torch.randn(1, 1, EDGE, EDGE, EDGE, generator=torch.Generator().manual_seed(seed))


def memorizing(local_share: float = LOCAL_SHARE) -> MemorizingEncoder:
    return filled(MemorizingEncoder(small_student(), layer=2, local_share=local_share))


# -- the student -------------------------------------------------------------------------------------------------------


def test_names_and_shapes_are_those_of_the_published_student():
    with torch.device("meta"):
        student = StudentEncoder(StudentConfig())
    ours = {name: tuple(value.shape) for name, value in student.state_dict().items()}
    assert ours == published_shapes("fastsam3d") and len(ours) == 81
    assert count_parameters(student) == 45_639_936


def test_its_answer_at_full_size_is_the_published_one():
    torch.set_num_threads(2)
    with torch.device("meta"):
        student = StudentEncoder(StudentConfig())
    filled(student)
    with torch.inference_mode():
        found = student(torch.from_numpy(drawn("sam-med3d.image", (1, 1, 128, 128, 128))))
    assert differs(found, golden("fastsam3d")["neck_output"]) < TOLERANCE


def test_the_first_blocks_are_without_attention_and_add_to_what_was_normed():
    student = filled(StudentEncoder(small_student()))
    assert [hasattr(block, "attn") for block in student.blocks] == [False, True, True, True]
    tokens = torch.from_numpy(drawn("tokens", (1, 4, 4, 4, WIDTH)))
    block = student.blocks[0]
    normed = block.norm2(tokens)
    assert torch.equal(block(tokens), normed + block.mlp(normed))
    assert torch.allclose(block(3 * tokens + 1), block(tokens), atol=1e-3)  # nothing of the tokens came past the norm


def test_prompts_and_decoder_are_those_of_sam_med3d():
    network = filled(SamMed3D(small_config(), StudentEncoder(small_student())))
    embedding = network.encode(image())
    answer = network.answer(embedding, torch.full((1, 1, 3), 16.0), torch.tensor([[1]]), nothing_before(network.config))
    assert embedding.shape == (1, WIDTH, 4, 4, 4) and answer.logits.shape == (1, 1, 16, 16, 16)


@pytest.mark.parametrize("changes", [{"edge": 30}, {"heads": 5}])
def test_a_size_that_cannot_be_built_is_refused(changes):
    with pytest.raises(ValueError):
        small_student(**changes)


# -- Memorizing SAM ----------------------------------------------------------------------------------------------------


def bank(encoder: MemorizingEncoder, *seeds: int) -> list[LayerTokens]:
    return [encoder.left_behind(image(seed)) for seed in seeds]


def recalled(encoder: MemorizingEncoder, *seeds: int) -> Neighbours:
    return Neighbours.nearest(encoder.left_behind(image()).found_by, bank(encoder, *seeds))


def test_the_published_constants_are_the_defaults():
    assert (LAYER, NEIGHBOURS, LOCAL_SHARE) == (4, 3, 0.3)
    with torch.device("meta"):
        assert MemorizingEncoder(StudentConfig()).state_dict().keys() == published_shapes("fastsam3d").keys()


def test_with_a_local_share_of_one_or_nothing_remembered_it_is_fastsam3d_number_for_number():
    plain = filled(StudentEncoder(small_student()))(image())
    assert torch.equal(memorizing(1.0)(image(), recalled(memorizing(), 1, 2)), plain)
    assert torch.equal(memorizing()(image()), plain)
    assert Neighbours.nearest(torch.ones(WIDTH), []) is None


def test_what_is_remembered_changes_the_answer_and_the_more_the_smaller_the_local_share():
    plain = filled(StudentEncoder(small_student()))(image())
    away = [
        float((memorizing(share)(image(), recalled(memorizing(), 1, 2)) - plain).norm()) for share in (0.9, 0.6, 0.3)
    ]
    assert 0 < away[0] < away[1] < away[2]


def test_an_image_that_remembers_itself_answers_as_without_memory():
    encoder = memorizing()
    found = encoder(image(), recalled(encoder, 0))
    assert torch.allclose(found, encoder(image()), atol=1e-4)


def test_the_memory_layer_mixes_attention_over_the_image_and_over_its_neighbours():
    encoder = memorizing(0.3)
    neighbours = recalled(encoder, 1, 2)
    tokens = torch.from_numpy(drawn("tokens", (1, 4, 4, 4, WIDTH)))
    block = encoder.blocks[2]
    query, key, value, bias = block.attn.parts(block.norm1(tokens))
    mixed = 0.3 * attended(query, key, value, bias)
    for n in range(2):
        weight = 0.7 * neighbours.weights[n]
        mixed = mixed + weight * attended(query, neighbours.keys[n][None], neighbours.values[n][None], bias)
    expected = block.fed(tokens + block.attn.joined(mixed))
    assert torch.allclose(encoder._recalling(block, tokens, neighbours), expected, atol=1e-6)


def test_neighbours_count_in_proportion_to_one_over_their_distance():
    assert neighbour_weights(torch.tensor([1.0, 2.0, 4.0])).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    assert neighbour_weights(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([1, 0], abs=1e-5)


def test_the_nearest_three_are_found_by_the_angle_between_what_they_are_found_by():
    directions = torch.tensor([[0.0, 1.0], [1.0, 0.1], [5.0, 0.0], [-1.0, 0.0], [1.0, 1.0]])
    entries = [
        LayerTokens(torch.full((1, 8, 2), n), torch.full((1, 8, 2), -n), each) for n, each in enumerate(directions)
    ]
    nearest = Neighbours.nearest(torch.tensor([2.0, 0.0]), entries)
    assert nearest.keys[:, 0, 0, 0].tolist() == [2, 1, 4] and nearest.values[:, 0, 0, 0].tolist() == [-2, -1, -4]
    assert float(nearest.weights.sum()) == pytest.approx(1)


@pytest.mark.parametrize("settings", [{"layer": 0}, {"layer": 4}, {"layer": 2, "local_share": 1.5}])
def test_a_memory_layer_without_attention_or_a_share_beyond_one_is_refused(settings):
    with pytest.raises(ValueError, match="memory layer"):
        MemorizingEncoder(small_student(), **settings)
