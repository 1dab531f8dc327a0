"""MAIS as a network: SAM-Med3D without a memory, to the bit; what its memory reads, and how."""

from __future__ import annotations

import pytest
import torch
from published import published_shapes
from small_sam import EDGE, WIDTH, small_config, small_mais, small_sam
from torch import Tensor

from memseg.networks.mais import Entry, Mais, MaisAnswer, MaisConfig, MemoryAttention, MemoryConfig, looked_up
from memseg.networks.sam_decoder import Attention
from memseg.networks.sam_med3d import SamConfig, SamMed3D, count_parameters, nothing_before
from memseg.networks.sam_prompts import NEGATIVE, POSITIVE

GRID = 4


def told(seed: int = 0, points: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """An image's embedding, points and kinds, and the logits before."""
    source = torch.Generator().manual_seed(seed)
    embedding = torch.randn((1, WIDTH, GRID, GRID, GRID), generator=source)
    places = torch.rand((1, points, 3), generator=source) * EDGE
    kinds = torch.randint(2, (1, points), generator=source)
    mask = torch.randn((1, 1, 4 * GRID, 4 * GRID, 4 * GRID), generator=source)
    return embedding, places, kinds, mask


def entry(network: Mais, seed: int, points: int = 1) -> Entry:
    _, places, kinds, mask = told(seed, points)
    return Entry(network.prompt_encoder.sparse(places, kinds), network.prompt_encoder.dense(mask))


def same(one, other) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("logits", "sparse", "dense", "iou"))


# -- no memory ---------------------------------------------------------------------------------------------------------


def test_an_empty_memory_gives_the_answer_of_sam_med3d_to_the_bit():
    sam, mais = small_sam(), small_mais()
    mais.load_state_dict({**mais.state_dict(), **sam.state_dict()})
    image = torch.randn(1, 1, EDGE, EDGE, EDGE, generator=torch.Generator().manual_seed(1))
    assert torch.equal(sam.encode(image), mais.encode(image))
    embedding, points, kinds, mask = told()
    for asked in ((points, kinds, mask), (None, None, mask), (points, kinds, nothing_before(sam.config))):
        assert same(sam.answer(embedding, *asked), mais.answer(embedding, *asked, ()))
        assert same(sam.answer(embedding, *asked), mais.answer(embedding, *asked, (entry(mais, 5),), reads="none"))


def test_without_modules_to_read_it_a_memory_changes_nothing():
    mais = small_mais("none")
    assert count_parameters(mais.memory_attention) == 0
    assert same(mais.answer(*told()), mais.answer(*told(), (entry(mais, 5),)))


def test_a_memory_that_has_not_been_trained_changes_nothing():
    torch.manual_seed(0)
    mais = Mais(MaisConfig(small_config(), MemoryConfig(heads=2))).eval()
    entries = tuple(entry(mais, seed) for seed in range(3))
    assert torch.equal(mais.answer(*told()).logits, mais.answer(*told(), entries).logits)


# -- size and names ----------------------------------------------------------------------------------------------------


def test_it_has_the_parameters_of_the_papers_table():
    with torch.device("meta"):
        memory = MemoryAttention(384, MemoryConfig())
        kinds = {variant: MemoryAttention(384, MemoryConfig(variant)) for variant in ("sparse", "dense")}
    # masks: convolution, four linear layers, three depth-wise convolutions, MLP of 1152, three norms; points: twice
    # four linear layers, two norms
    dense = 147_840 + 591_360 + 3 * 10_752 + 886_272 + 3 * 768
    sparse = 2 * 591_360 + 2 * 768
    assert count_parameters(kinds["dense"]) == dense and count_parameters(kinds["sparse"]) == sparse
    assert count_parameters(memory) == dense + sparse and f"{count_parameters(memory) / 1e6:.2f}" == "2.84"


def test_its_sam_med3d_has_the_published_names():
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Mais(MaisConfig(SamConfig())).state_dict().items()}
    own = {name for name in shapes if name.startswith("memory_attention.")}
    assert own and {name: shape for name, shape in shapes.items() if name not in own} == published_shapes("sam-med3d")


def test_there_are_four_variants():
    with pytest.raises(ValueError, match="both, sparse, dense, none"):
        MemoryConfig("all")


# -- what it reads -----------------------------------------------------------------------------------------------------


def test_points_and_masks_can_be_read_each_alone():
    mais = small_mais()
    entries = tuple(entry(mais, seed) for seed in range(3))
    found = {reads: mais.answer(*told(), entries, reads).logits for reads in ("none", "sparse", "dense", "both")}
    for one in found:
        assert all(one == other or not torch.equal(found[one], found[other]) for other in found)


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_a_variant_reads_its_kind_alone(kind):
    mais = small_mais(kind)
    first, second = entry(mais, 1), entry(mais, 2)
    other = Entry(second.sparse, first.dense) if kind == "dense" else Entry(first.sparse, second.dense)
    answers = [mais.answer(*told(), (each,)).logits for each in (first, other, second)]
    assert torch.equal(answers[0], answers[1]) and not torch.equal(answers[0], answers[2])


def test_masks_count_by_their_average_however_many_there_are():
    mais = small_mais("dense")
    one, other = entry(mais, 1), entry(mais, 2)
    once, often = (mais.answer(*told(), (one,) * count).logits for count in (1, 60))
    assert torch.allclose(once, often, atol=1e-5)
    forth, back = (mais.answer(*told(), entries).logits for entries in ((one, other), (other, one)))
    assert torch.allclose(forth, back, atol=1e-5) and not torch.allclose(forth, once, atol=1e-3)


def test_a_mask_of_another_window_is_passed_over_and_its_point_is_not():
    mais = small_mais()
    one, other = entry(mais, 1), entry(mais, 2)
    pointless = Entry(other.sparse, None)
    whole, part = (mais.answer(*told(), (one, each)).logits for each in (other, pointless))
    assert not torch.equal(whole, part) and not torch.equal(part, mais.answer(*told(), (one,)).logits)
    assert mais.answer(*told(), (pointless,)).leaned.tolist() == [[1.0]]
    assert torch.equal(mais.answer(*told(), (pointless,), "dense").logits, mais.answer(*told()).logits)


def test_the_shares_of_entries_add_up_to_one_whatever_points_they_have():
    mais = small_mais()
    found = mais.answer(*told(), (entry(mais, 1), entry(mais, 2, points=2), entry(mais, 3)))
    assert isinstance(found, MaisAnswer) and found.leaned.shape == (1, 3)
    assert float(found.leaned.sum()) == pytest.approx(1) and (found.leaned > 0).all()
    assert mais.answer(*told(), (entry(mais, 1),), "dense").leaned is None


def test_a_cell_looks_at_keys_by_the_softmax_of_their_likeness():
    attention = Attention(2, 1)
    with torch.no_grad():
        for part in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj):
            part.weight.copy_(torch.eye(2))
            part.bias.zero_()
    queries, keys = torch.tensor([[[2.0**0.5, 0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    found, looked = looked_up(attention, queries, keys)  # likenesses 1 and 0
    assert looked.tolist()[0] == pytest.approx([0.7311, 0.2689], abs=1e-4)
    assert found.tolist()[0][0] == pytest.approx([0.7311, 0.2689], abs=1e-4)


def test_before_training_a_cell_looks_most_at_the_point_nearest_to_it():
    torch.manual_seed(3)
    mais = Mais(MaisConfig(small_config(swapped=False), MemoryConfig(heads=2))).eval()
    prompts, attention = mais.prompt_encoder, mais.memory_attention.sparse
    cells = prompts.places()[0].flatten(1).T  # (g^3, D)
    logits = attention.across.q_proj(cells) @ attention.across.k_proj(cells).T
    assert (logits.argmax(dim=1) == torch.arange(GRID**3)).float().mean() > 0.75  # by chance 1 in 64


def test_cells_are_told_where_they_are_though_the_published_decoder_swaps_axes():
    swapped, plain = small_sam(), SamMed3D(small_config(swapped=False))
    plain.load_state_dict(swapped.state_dict())
    place = torch.tensor([[[2.0, 0.0, 3.0]]]) * (EDGE / GRID) + (EDGE / GRID - 1) / 2  # the centre of cell 2, 0, 3
    expected = swapped.prompt_encoder.pe_layer((place[0, 0] + 0.5) / EDGE)
    assert torch.allclose(swapped.prompt_encoder.places()[0, :, 2, 0, 3], expected, atol=1e-5)
    assert torch.allclose(swapped.prompt_encoder.positions()[0, :, 0, 2, 3], expected, atol=1e-5)
    assert torch.allclose(plain.prompt_encoder.positions()[0, :, 2, 0, 3], expected, atol=1e-5)


def test_the_kind_of_a_remembered_point_matters():
    mais = small_mais("sparse")
    place = torch.tensor([[[10.0, 12.0, 8.0]]])
    sides = [mais.prompt_encoder.sparse(place, torch.tensor([[kind]])) for kind in (POSITIVE, NEGATIVE)]
    answers = [mais.answer(*told(), (Entry(side, None),)).logits for side in sides]
    assert not torch.equal(*answers)
