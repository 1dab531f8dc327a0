"""The networks of SAM-Med3D: equal to the published answers at full size, and part by part on small ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from published import TOLERANCE, differs, drawn, filled, golden, published_shapes
from small_sam import CELLS, EDGE, WIDTH, small_config, small_encoder, small_sam
from torch import Tensor

from memseg.networks.sam_encoder import EncoderConfig, GridAttention, ImageEncoder, attended
from memseg.networks.sam_med3d import SamConfig, SamMed3D, count_parameters, nothing_before
from memseg.networks.sam_prompts import HIGH_CORNER, LOW_CORNER, NEGATIVE, POSITIVE, PromptEncoder

POINTS = torch.tensor([[[64.0, 40.0, 90.0], [10.0, 100.0, 33.0]]])
KINDS = torch.tensor([[POSITIVE, NEGATIVE]])


def small_image(seed: int = 0) -> Tensor:
    return torch.randn(1, 1, EDGE, EDGE, EDGE, generator=torch.Generator().manual_seed(seed))


# -- the published figures ---------------------------------------------------------------------------------------------


def test_names_and_shapes_are_those_of_the_published_file():
    with torch.device("meta"):
        network = SamMed3D(SamConfig())
    ours = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert ours == published_shapes("sam-med3d") and len(ours) == 324
    assert count_parameters(network) == 100_509_232
    assert count_parameters(network.image_encoder) == 92_924_928
    assert count_parameters(network.mask_decoder) == 7_575_636


def test_weights_with_box_corners_have_two_names_more():
    with torch.device("meta"):
        plain, boxes = (SamMed3D(SamConfig(boxes=boxes)).state_dict() for boxes in (False, True))
    more = {f"prompt_encoder.point_embeddings.{corner}.weight" for corner in (LOW_CORNER, HIGH_CORNER)}
    assert set(boxes) - set(plain) == more and set(plain) < set(boxes)


def test_every_answer_at_full_size_is_the_published_one():
    torch.set_num_threads(2)
    with torch.device("meta"):
        network = SamMed3D(SamConfig())
    filled(network)
    image = torch.from_numpy(drawn("sam-med3d.image", (1, 1, 128, 128, 128)))
    mask = torch.from_numpy(drawn("sam-med3d.prevmask", (1, 1, 32, 32, 32)))
    with torch.inference_mode():
        embedding = network.encode(image)
        answer = network.answer(embedding, POINTS, KINDS, mask)
        prompts = network.prompt_encoder
        ours = {
            "image_embedding": embedding,
            "dense_pe": prompts.positions(),
            "sparse_2pts": prompts.closed(answer.sparse),
            "dense_from_mask": answer.dense,
            "low_res_logits": answer.logits,
            "iou": answer.iou,
            "dense_zeros": prompts.dense(nothing_before(network.config)),
        }
    expected = golden("sam_med3d")
    assert list(prompts.none(1).shape) == expected.pop("sparse_none")["shape"]
    assert {name: differs(values, expected[name]) < TOLERANCE for name, values in ours.items()} == dict.fromkeys(
        expected, True
    )


# -- the image encoder -------------------------------------------------------------------------------------------------


def plainly_attended(attention: GridAttention, tokens: Tensor) -> Tensor:
    """The same worked out the long way: the grid padded with zeros to its window, every padded token a query and a key,
    and each axis's term put where the published code puts it, by inserting axes into (B, H, d, h, w, k)."""
    grid, size, heads = attention.grid, attention.size, attention.heads
    padded = torch.zeros(len(tokens), size, size, size, tokens.shape[-1])
    padded[:, :grid, :grid, :grid] = tokens
    query, key, value = attention.qkv(padded).unflatten(-1, (3, heads, -1)).permute(4, 0, 5, 1, 2, 3, 6)
    logits = torch.einsum("bndhwc,bnijkc->bndhwijk", query, key) * query.shape[-1] ** -0.5
    away = torch.arange(size)[:, None] - torch.arange(size) + size - 1
    by_d = torch.einsum("bndhwc,dkc->bndhwk", query, attention.rel_pos_d[away])
    by_h = torch.einsum("bndhwc,hkc->bndhwk", query, attention.rel_pos_h[away])
    by_w = torch.einsum("bndhwc,wkc->bndhwk", query, attention.rel_pos_w[away])
    logits = logits + by_d[:, :, :, :, :, None, None, :]
    logits = logits + by_h[:, :, :, :, None, :, None, :]
    logits = logits + by_w[:, :, :, :, None, None, :, :]
    weights = logits.flatten(5).softmax(-1)
    found = torch.einsum("bndhwt,bntc->bndhwc", weights, value.flatten(2, 4))
    return attention.proj(found.permute(0, 2, 3, 4, 1, 5).flatten(4))[:, :grid, :grid, :grid]


def attention_of(window: int | None, strength: float = 1.0) -> GridAttention:
    attention = filled(GridAttention(12, 2, 3, window))
    for table in (attention.rel_pos_d, attention.rel_pos_h, attention.rel_pos_w):
        table.mul_(strength)
    return attention


@pytest.mark.parametrize("window", [None, 4, 5, 7])
@pytest.mark.parametrize("strength", [1.0, 30.0])
def test_attention_is_that_of_the_padded_grid_with_its_misplaced_positions(window, strength):
    attention = attention_of(window, strength)
    tokens = torch.from_numpy(drawn("tokens", (2, 3, 3, 3, 12)))
    expected = plainly_attended(attention, tokens)
    assert torch.allclose(attention(tokens), expected, atol=2e-5)


def test_padding_is_not_masked():
    tokens = torch.from_numpy(drawn("tokens", (1, 3, 3, 3, 12)))
    with_padding, without = attention_of(5), GridAttention(12, 2, 3)
    centre = {name: value[2:7] if "rel_pos" in name else value for name, value in with_padding.state_dict().items()}
    without.load_state_dict(centre)  # tables of 9 rows reach from -4 to 4, those of 5 from -2 to 2
    assert not torch.allclose(with_padding(tokens), without(tokens), atol=1e-2)


def test_one_key_stands_for_all_the_padding():
    attention = attention_of(5)
    query, key, value, bias = attention.parts(torch.from_numpy(drawn("tokens", (1, 3, 3, 3, 12))))
    assert query.shape == (1, 2, 27, 6) and key.shape == value.shape == (1, 2, 28, 6) and bias.shape == (1, 2, 27, 28)
    assert torch.equal(value[0, :, -1].flatten(), attention.qkv.bias[24:])
    assert attended(query, key, value, bias).shape == query.shape


def test_blocks_are_windowed_but_for_the_global_ones():
    encoder = ImageEncoder(small_encoder(depth=4, global_blocks=(1, 3)))
    assert [block.attn.size for block in encoder.blocks] == [6, 4, 6, 4]
    assert encoder(small_image()).shape == (1, WIDTH, 4, 4, 4)


@pytest.mark.parametrize("changes", [{"edge": 30}, {"heads": 5}, {"window": 3}])
def test_a_size_that_cannot_be_built_is_refused(changes):
    with pytest.raises(ValueError):
        small_encoder(**changes)


def test_the_published_size_is_the_default():
    assert EncoderConfig().grid == 8 and SamConfig().cells == 32


# -- prompts -----------------------------------------------------------------------------------------------------------


def test_the_sines_come_twice_and_the_cells_are_encoded_with_their_first_two_axes_swapped():
    prompts = filled(PromptEncoder(WIDTH, EDGE, grid=4, boxes=False))
    encoded = prompts.pe_layer(torch.tensor([0.125, 0.375, 0.875]))  # the centre of cell (0, 1, 3) of 4
    assert torch.equal(encoded[:8], encoded[16:])
    assert torch.allclose(prompts.positions()[0, :, 1, 0, 3], encoded, atol=1e-6)
    assert not torch.allclose(prompts.positions()[0, :, 0, 1, 3], encoded, atol=0.1)
    assert torch.allclose(prompts.places()[0, :, 0, 1, 3], encoded, atol=1e-6)


def test_points_lie_at_the_centres_of_samples_and_take_the_embedding_of_their_kind():
    prompts = small_sam(boxes=True).prompt_encoder
    points = torch.tensor([[[3.5, 11.5, 27.5]]])  # 4, 12 and 28 of 32: the centre of cell (0, 1, 3) of 4
    for kind in (NEGATIVE, POSITIVE, LOW_CORNER, HIGH_CORNER):
        token = prompts.sparse(points, torch.tensor([[kind]]))[0, 0]
        expected = prompts.positions()[0, :, 1, 0, 3] + prompts.point_embeddings[kind].weight[0]
        assert torch.allclose(token, expected, atol=1e-6)


def test_points_are_closed_by_a_token_and_a_box_is_not():
    network = small_sam(boxes=True)
    embedding, mask = network.encode(small_image()), nothing_before(network.config)
    closings = []
    network.prompt_encoder.closed = lambda tokens: closings.append(tokens.shape[1]) or tokens
    network.answer(embedding, POINTS / 4, KINDS, mask)
    network.answer(embedding, POINTS / 4, torch.tensor([[LOW_CORNER, HIGH_CORNER]]), mask)
    assert closings == [2]


# -- answers -----------------------------------------------------------------------------------------------------------


def test_an_image_encoded_once_serves_any_number_of_prompts():
    network = small_sam()
    embedding, mask = network.encode(small_image()), nothing_before(network.config)
    first = network.answer(embedding, POINTS / 4, KINDS, mask)
    network.answer(embedding, POINTS / 8, KINDS, mask + 3)
    again = network.answer(embedding, POINTS / 4, KINDS, mask)
    assert torch.equal(first.logits, again.logits)
    assert first.logits.shape == (1, 1, CELLS, CELLS, CELLS)
    assert first.sparse.shape == (1, 2, WIDTH) and first.dense.shape == (1, WIDTH, 4, 4, 4)


def test_place_and_kind_of_a_point_and_the_mask_before_change_the_answer_and_so_does_the_image():
    network = small_sam()
    embedding, mask = network.encode(small_image()), nothing_before(network.config)
    logits = network.answer(embedding, POINTS / 4, KINDS, mask).logits
    others = (
        network.answer(embedding, POINTS / 5, KINDS, mask),
        network.answer(embedding, POINTS / 4, 1 - KINDS, mask),
        network.answer(embedding, POINTS / 4, KINDS, mask + 2),
        network.answer(embedding, None, None, mask),
        network.answer(network.encode(small_image(1)), POINTS / 4, KINDS, mask),
    )
    assert all(not torch.allclose(other.logits, logits, atol=1e-4) for other in others)


def test_regions_of_a_batch_do_not_know_of_each_other():
    network = small_sam()
    images = torch.cat([small_image(0), small_image(1)])
    points, kinds = (POINTS / 4).repeat(2, 1, 1), KINDS.repeat(2, 1)
    together = network.answer(network.encode(images), points, kinds, nothing_before(network.config, 2)).logits
    alone = network.answer(network.encode(images[1:]), points[1:], kinds[1:], nothing_before(network.config)).logits
    assert torch.allclose(together[1:], alone, atol=1e-5)


def test_weights_that_know_boxes_answer_clicks_as_they_would_without():
    plain, boxes = small_sam(), SamMed3D(replace(small_config(), boxes=True))
    boxes.load_state_dict(plain.state_dict(), strict=False)
    embedding, mask = plain.encode(small_image()), nothing_before(plain.config)
    answers = [each.answer(embedding, POINTS / 4, KINDS, mask).logits for each in (plain, boxes)]
    assert torch.equal(*answers)
