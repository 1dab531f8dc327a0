"""SAM 2's network: the authors' names and figures at full size, transformers' own video session on a small one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from published import DATA, TOLERANCE, differs, drawn, published_shapes, weight
from small_sam2 import EDGE, small_config, small_sam2
from torch import Tensor
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from memseg.networks.sam2 import ABSENT, HIGH_CORNER, LOW_CORNER, SIZES, Sam2, Sam2Config, Told
from memseg.networks.sam2_names import published_names
from memseg.segmenters import sam2_weights
from memseg.segmenters.sam2_weights import CONFIGS, as_transformers_has_it

COUNT = 20  # slices
BOX = torch.tensor([[[30.0, 40.0], [90.0, 100.0]]])
CORNERS = torch.tensor([[LOW_CORNER, HIGH_CORNER]])


# -- the authors' names ------------------------------------------------------------------------------------------------


def names_of(config: Sam2Config) -> list[str]:
    with torch.device("meta"):
        return list(Sam2(config).model.state_dict())


def test_names_and_shapes_are_those_of_the_published_file():
    with torch.device("meta"):
        held = Sam2(CONFIGS["medsam2"]).model.state_dict()
    ours = sam2_weights.published_shapes(held)
    assert ours == published_shapes("sam2.1-tiny") and len(ours) == 471


def test_every_published_weight_goes_to_one_place_but_the_positions_which_go_to_two():
    names = names_of(SIZES["tiny"])
    sources = [source for name in names for source in published_names(name)]
    twice = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    assert sorted(sources) == sorted([*published_shapes("sam2.1-tiny"), twice])


@pytest.mark.parametrize(
    ("size", "names", "parameters"),
    [
        ("tiny", 471, 38_962_498),
        ("small", 519, 46_060_354),
        ("base-plus", 615, 80_850_178),
        ("large", 903, 224_446_642),
    ],
)
def test_all_sizes_have_their_parameters_and_as_many_published_names(size, names, parameters):
    with torch.device("meta"):
        network = Sam2(SIZES[size])
    assert len(sam2_weights.published_shapes(network.model.state_dict())) == names
    assert sum(each.numel() for each in network.parameters()) == parameters


def test_sam_2_lacks_what_sam_2_1_has_added():
    older = replace(SIZES["tiny"], times_pointers=False, marks_absence=False)
    ours = {source for name in names_of(SIZES["tiny"]) for source in published_names(name)}
    theirs = {source for name in names_of(older) for source in published_names(name)}
    assert ours - theirs == {"obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias", "no_obj_embed_spatial"}
    assert theirs < ours


@pytest.mark.parametrize("name", ["image_encoder.trunk.pos_embed", "model.mask_decoder.iou_token.weight", ""])
def test_a_name_that_is_none_of_transformers_is_an_error(name):
    with pytest.raises(ValueError, match="no weight called"):
        published_names(name)


@pytest.mark.parametrize("wrong", [{"edge": 100}, {"edge": 32}, {"width": 100}, {"depths": (1, 2, 3)}, {"frames": 1}])
def test_a_size_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError):
        small_config(**wrong)


# -- the authors' figures ----------------------------------------------------------------------------------------------


def test_every_answer_at_full_size_is_the_published_one():
    torch.set_num_threads(2)
    expected = json.loads((DATA / "golden-sam2.json").read_text())["sam2.1_tiny_512"]
    with torch.device("meta"):
        held = Sam2(CONFIGS["medsam2"]).model.state_dict()
    drawn_weights = {name: weight(name, shape) for name, shape in sam2_weights.published_shapes(held).items()}
    network = Sam2(CONFIGS["medsam2"]).eval()
    network.model.load_state_dict(as_transformers_has_it(held, drawn_weights), strict=True, assign=True)
    network.model.mask_decoder.dynamic_multimask_via_stability = False  # as the figures were made
    with torch.inference_mode():
        image = network.encode(torch.from_numpy(drawn("sam2.image", (1, 3, 512, 512))))
        maps, _ = network.model.memory_encoder(image.coarse, 5 * torch.from_numpy(drawn("sam2.mask", (1, 1, 512, 512))))
        attended = network.model.memory_attention(
            current_vision_features=in_rows(image.coarse),
            current_vision_position_embeddings=network._positions,
            memory=torch.from_numpy(drawn("sam2.mem", (2056, 1, 64))),
            memory_posision_embeddings=torch.from_numpy(drawn("sam2.mempos", (2056, 1, 64))),
            num_object_pointer_tokens=8,
        )
        box = torch.tensor([[[200.0, 150.0], [310.0, 402.0]]])
        answer = network.answer(image, network.alone(image), box, CORNERS, several=False)
    ours = {
        f"vision_feats_{level}": in_rows(each) for level, each in enumerate((image.fine, image.middle, image.coarse))
    }
    ours |= {"memory_encoder": maps, "memory_attention": attended.reshape(1024, 1, 256)}
    ours |= {"box_low_res_masks": answer.logits, "box_obj_ptr": answer.pointer}
    assert answer.score == pytest.approx(expected.pop("box_obj_score")[0], rel=1e-4)
    assert {name: differs(values, expected[name]) < TOLERANCE for name, values in ours.items()} == dict.fromkeys(
        expected, True
    )


def in_rows(features: Tensor) -> Tensor:
    """(1, C, h, w) -> (h * w, 1, C)."""
    return features.flatten(2).permute(2, 0, 1)


# -- transformers' own video session -----------------------------------------------------------------------------------


def video(seed: int = 0) -> Tensor:
    """(COUNT, 3, EDGE, EDGE): one picture, changing."""
    source = torch.Generator().manual_seed(seed)
    picture = torch.randn(1, 3, EDGE, EDGE, generator=source)
    return picture + 0.3 * torch.randn(COUNT, 3, EDGE, EDGE, generator=source).cumsum(dim=0)


def asked_of_transformers(network: Sam2, frames: Tensor, start: int, reverse: bool, mask: Tensor | None = None):
    """Logits and score of every frame from `start` on, by its own session: from a box there, or from a mask."""
    session = Sam2VideoInferenceSession(video=frames, video_height=EDGE, video_width=EDGE, dtype=torch.float32)
    known = session.obj_id_to_idx(1)
    if mask is None:
        session.add_point_inputs(known, start, {"point_coords": BOX[None], "point_labels": CORNERS[None]})
    else:
        session.add_mask_inputs(known, start, mask)
    session.obj_with_new_inputs = [1]
    found = {start: network.model(session, frame_idx=start)}
    for each in network.model.propagate_in_video_iterator(session, start_frame_idx=start, reverse=reverse):
        found[each.frame_idx] = each
    return {index: (each.pred_masks, float(each.object_score_logits)) for index, each in found.items()}


def asked_of_ours(network: Sam2, frames: Tensor, start: int, reverse: bool, mask: Tensor | None = None):
    """The same, told what stock SAM 2 tells: the first slice, the last six, pointers to the last fifteen."""
    way = -1 if reverse else 1
    with torch.inference_mode():
        image = network.encode(frames[start : start + 1])
        if mask is None:
            answer = network.answer(image, network.alone(image), BOX, CORNERS, several=False)
            mask = (answer.large > 0).float()
        else:
            answer = network.of_mask(image, mask)
        maps = {start: network.remember(image, mask, answer.score > 0)}
        pointers, found = {start: answer.pointer}, {start: (answer.logits, answer.score)}
        for index in range(start + way, -1 if reverse else COUNT, way):
            image = network.encode(frames[index : index + 1])
            near = [other for other in maps if other != start and abs(other - index) <= 6]
            pointed = [other for other in reversed(pointers) if other != start and abs(other - index) <= 15]
            pointed = [start, *pointed]
            told = Told(
                torch.cat([maps[other] for other in (start, *near)]),
                (0, *(abs(other - index) for other in near)),
                torch.cat([pointers[other] for other in pointed]),
                tuple(float(abs(other - index)) for other in pointed),
            )
            answer = network.answer(image, network.conditioned(image, told))
            maps[index] = network.remember(image, answer.large.sigmoid(), answer.score > 0)
            pointers[index], found[index] = answer.pointer, (answer.logits, answer.score)
    return found


def agree(ours: dict, theirs: dict) -> bool:
    """To 1e-5 of the largest logit of a slice, and of the score."""
    return ours.keys() == theirs.keys() and all(
        float((ours[index][0] - logits).abs().max()) <= 1e-5 * float(logits.abs().max())
        and ours[index][1] == pytest.approx(score, abs=1e-5 * max(1, abs(score)))
        for index, (logits, score) in theirs.items()
    )


@pytest.mark.parametrize(("start", "reverse"), [(1, False), (18, True)])
@pytest.mark.parametrize("changes", [{}, {"times_pointers": False, "marks_absence": False}], ids=["2.1", "2.0"])
def test_a_box_followed_both_ways_is_what_transformers_session_makes_of_it(start, reverse, changes):
    network, frames = small_sam2(**changes), video()
    theirs = asked_of_transformers(network, frames, start, reverse)
    assert agree(asked_of_ours(network, frames, start, reverse), theirs)
    assert len(theirs) == 19 and all((logits > 0).any() for logits, _ in theirs.values())


def test_so_is_one_that_comes_and_goes():
    network, frames = small_sam2(), video(seed=3)
    last = network.model.mask_decoder.pred_obj_score_head.proj_out.bias
    scores = [score for _, score in asked_of_transformers(network, frames, 1, False).values()]
    last -= float(np.median(scores))  # so that it is absent from half of the slices
    theirs = asked_of_transformers(network, frames, 1, False)
    absent = [bool((logits == ABSENT).all()) for logits, _ in theirs.values()]
    assert 2 <= sum(absent) <= 17
    assert agree(asked_of_ours(network, frames, 1, False), theirs)


def test_a_mask_is_followed_as_the_authors_have_it(monkeypatch):
    """transformers takes the pointer of a mask from the best of three masks, where the authors take the one."""
    network, frames = small_sam2(), video()
    mask = torch.zeros(1, 1, EDGE, EDGE)
    mask[..., 40:90, 30:80] = 1
    plain = network.model._single_frame_forward
    monkeypatch.setattr(
        network.model, "_single_frame_forward", lambda **given: plain(**{"multimask_output": False, **given})
    )
    theirs = asked_of_transformers(network, frames, 1, False, mask)
    ours = asked_of_ours(network, frames, 1, False, mask)
    assert agree(ours, theirs)


def test_a_mask_that_is_empty_says_that_the_object_is_absent():
    network = small_sam2()
    with torch.inference_mode():
        answer = network.of_mask(network.encode(video()[:1]), torch.zeros(1, 1, EDGE, EDGE))
    assert answer.score == -10 and torch.equal(answer.pointer, network.model.no_object_pointer)


def test_a_slice_is_encoded_before_it_is_conditioned():
    network = small_sam2()
    image = network.encode(video()[:1])
    network._positions = None
    told = Told(torch.zeros(1, 64, 8, 8), (0,), torch.zeros(0, 128))
    with pytest.raises(ValueError, match="encoded before"):
        network.conditioned(image, told)
    with pytest.raises(ValueError, match="its time"):
        network.encode(video()[:1])
        network.conditioned(image, replace(told, times=(0, 1)))
