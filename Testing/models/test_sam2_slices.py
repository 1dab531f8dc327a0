"""SAM 2 from slice to slice: what it is shown and the way back, what is remembered, what is told under each policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_sam2 import EDGE, ThresholdSam2, small_config, small_sam2
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from memseg import new_session, resume_session
from memseg.errors import SessionError
from memseg.geometry import Grid
from memseg.memory.slices import Recalled, SliceEntry, SliceMemory
from memseg.prompts import MaskPrompt
from memseg.segmenters.sam2 import MedSam2
from memseg.segmenters.sam2_engine import Engine, Points
from memseg.segmenters.sam2_memory import Seen, packed, shade_of, told, unpacked
from memseg.segmenters.sam2_view import (
    BONE,
    LUNG,
    SOFT_TISSUE,
    Shade,
    Shading,
    acquired_axis,
    on_slice,
    picture,
    places,
    probability,
    squared,
)
from memseg.segmenters.slice_base import Plane, SliceSegmenter
from memseg.session import Session
from memseg.volume import Volume

CONFIG = small_config()
SHADE = Shade(0, 255)


# -- shown, and the way back -------------------------------------------------------------------------------------------


def test_a_shade_makes_black_0_and_white_255_and_cuts_what_lies_beyond():
    seen = Shade(-160, 240).seen(np.array([[-1000.0, -160.0, 40.0, 240.0, 3000.0]]))
    assert seen.tolist() == [[0, 0, 127, 255, 255]] and seen.dtype == np.uint8
    with pytest.raises(ValueError):
        Shade(1, 1)


def volume_of(values: np.ndarray) -> Volume:
    return Volume(values, Grid.from_spacing(values.shape, (1, 1, 1)))


def test_a_ct_is_seen_in_the_window_of_what_is_looked_at():
    hounsfield = np.full((10, 20, 20), -1000.0)
    hounsfield[:, 5:15, 5:15] = 40
    shading = Shading.of(volume_of(hounsfield))
    assert shading.is_ct
    assert shading.round(np.array([50.0, 60.0])) == SOFT_TISSUE == shading.round(np.zeros(0))
    assert shading.round(np.full(9, -800.0)) == LUNG and shading.round(np.full(9, 700.0)) == BONE


def test_what_is_no_ct_is_seen_by_its_percentiles_without_the_background():
    values = np.zeros((10, 10, 100))
    values[:5] = np.arange(1, 5001).reshape(5, 10, 100)
    shading = Shading.of(volume_of(values))
    assert not shading.is_ct and shading.round(np.array([-800.0])) == shading.plain
    assert (shading.plain.black, shading.plain.white) == pytest.approx((26, 4975), abs=0.01)  # 1 + 0.005 * 4999


@pytest.mark.parametrize("shape", [(200, 300), (128, 128), (61, 97), (512, 512)])
def test_a_slice_is_resized_as_pillow_does_it_for_the_authors(shape):
    grey = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    theirs = np.asarray(Image.fromarray(grey).convert("RGB").resize((EDGE, EDGE)), np.float32)
    shown = picture(grey.astype(np.float32), SHADE, EDGE)[0].permute(1, 2, 0).numpy()
    ours = (shown * (0.229, 0.224, 0.225) + (0.485, 0.456, 0.406)) * 255
    away = np.abs(ours - theirs)
    assert away.max() <= 1.01 and np.mean(away > 0.01) < 0.02  # of 255


def test_the_middle_of_a_voxel_lies_where_the_square_has_it():
    assert places([(0, 0), (9, 4)], (10, 5), 20).tolist() == [[1.5, 0.5], [17.5, 18.5]]  # column, row
    assert places([(3, 7)], (EDGE, EDGE), EDGE).tolist() == [[7, 3]]


@given(st.integers(8, 90), st.integers(8, 90))
@settings(max_examples=25, deadline=None)
def test_what_is_linear_in_the_square_is_linear_on_the_slice(rows, columns):
    steps = torch.arange(32.0)
    logits = (3 * steps[:, None] - 2 * steps)[None, None]
    found = on_slice(logits, (rows, columns))
    at_row, at_column = ((np.arange(size) + 0.5) * 32 / size - 0.5 for size in (rows, columns))
    expected = 3 * np.clip(at_row, 0, 31)[:, None] - 2 * np.clip(at_column, 0, 31)
    assert np.allclose(found, expected, atol=1e-3)


@given(st.integers(40, 85) | st.just(EDGE), st.integers(40, 85) | st.just(EDGE), st.data())
@settings(max_examples=40, deadline=None)
def test_a_block_of_a_slice_as_large_or_clearly_smaller_comes_back_from_the_square_exactly(rows, columns, data):
    mask = np.zeros((rows, columns), np.uint8)
    low = [data.draw(st.integers(0, size - 8)) for size in (rows, columns)]
    high = [data.draw(st.integers(start + 4, size)) for start, size in zip(low, (rows, columns))]
    mask[low[0] : high[0], low[1] : high[1]] = 1
    assert np.array_equal(on_slice(2 * squared(mask, EDGE) - 1, mask.shape) > 0, mask > 0)


def test_a_single_voxel_does_not_vanish_in_the_square():
    mask = np.zeros((512, 512), np.uint8)
    assert not squared(mask, EDGE).any()
    mask[100, 301] = 1
    there = squared(mask, EDGE)[0, 0].nonzero().tolist()
    assert there == [[25, 75]]  # 4 voxels a sample


@pytest.mark.parametrize(
    ("shape", "spacing", "axis"),
    [
        ((9, 9, 9), (1, 1, 1), "k"),
        ((9, 9, 9), (1, 5, 1), "j"),
        ((9, 9, 9), (0.7, 0.7, 3), "i"),
        ((1, 9, 9), (5, 1, 2), "i"),
    ],
)
def test_slices_were_acquired_along_the_largest_spacing_that_has_some(shape, spacing, axis):
    assert acquired_axis(Grid.from_spacing(shape, spacing)) == axis


def test_logits_become_probabilities_without_overflow():
    assert probability(np.array([-1024.0, 0.0, 1e6])).tolist() == pytest.approx([0, 0.5, 1], abs=1e-9)


# -- remembered --------------------------------------------------------------------------------------------------------


def entry(index: int, stays: bool = False, fill: float = 1.0, model: str = "medsam2") -> SliceEntry:
    """Its maps, pointer and shade are all of its index."""
    seen = Seen(np.full((64, 8, 8), index * fill, np.float32), np.full(128, index / 3, np.float32), Shade(index, 300))
    features = packed(seen, np.full((128, 8, 8), 1.0 + index, np.float32), (0, 0, 1))
    return SliceEntry("k", index, 3.0 * index, model, features, agreed=stays)


@given(st.integers(0, 2**32 - 1), st.floats(-1e6, 1e6), st.floats(1, 1e6))
@settings(max_examples=25, deadline=None)
def test_a_pointer_and_a_shade_come_back_to_the_last_bit(seed, black, width):
    maps = np.linspace(-8, 8, 64 * 64, dtype=np.float32).reshape(64, 8, 8)
    source, shade = np.random.default_rng(seed), Shade(black, black + width)
    pointer = (source.normal(size=128) * 10.0 ** source.integers(-30, 30, 128)).astype(np.float32)
    seen = unpacked(packed(Seen(maps, pointer, shade), maps, (0, 0, 1)), 128)
    assert np.array_equal(seen.pointer, pointer) and seen.shade == shade
    assert np.array_equal(seen.maps, maps.astype(np.float16))


def test_the_pointer_does_not_count_where_slices_are_compared():
    one, other = (np.random.default_rng(seed).normal(size=(64, 8, 8)).astype(np.float32) for seed in (0, 1))
    pointer = np.full(128, 1e20, np.float32)
    kept = [packed(Seen(maps, pointer, SHADE), maps, (0, 0, 1)).value_direction for maps in (one, other)]
    plain = float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))
    assert float(kept[0] @ kept[1]) == pytest.approx(plain, abs=1e-3)


# -- told --------------------------------------------------------------------------------------------------------------


def who(values: torch.Tensor) -> list[int]:
    return [round(float(each.flatten()[0])) for each in values]


def test_stock_sam_2_is_told_of_the_users_slices_the_last_six_and_the_last_fifteen_pointers():
    recent = tuple(entry(index) for index in range(4, 20))
    seen = told(Recalled(recent, (entry(2, True), entry(30, True), entry(11)), "recent"), 20, 1, CONFIG, 40)
    assert who(seen.maps) == [2, 30, 14, 15, 16, 17, 18, 19] and seen.times == (0, 0, 6, 5, 4, 3, 2, 1)
    assert who(seen.pointers * 3) == [2, *range(19, 4, -1)]  # that of slice 30 lies ahead
    assert seen.away == (18, *range(1, 16)) and seen.reach == 15


def test_downwards_it_is_the_same_mirrored_and_a_short_volume_reaches_less_far():
    recent = tuple(entry(index) for index in (7, 6, 5))
    seen = told(Recalled(recent, (entry(8, True), entry(1, True)), "recent"), 4, -1, CONFIG, 10)
    assert who(seen.maps) == [8, 1, 7, 6, 5] and seen.times == (0, 0, 3, 2, 1)
    assert who(seen.pointers * 3) == [8, 5, 6, 7] and seen.away == (4, 1, 2, 3) and seen.reach == 9


def test_slices_that_were_absent_leave_gaps_in_what_stock_sam_2_is_told():
    seen = told(Recalled((entry(3), entry(6)), (entry(2, True),), "recent"), 10, 1, CONFIG, 40)
    assert who(seen.maps) == [2, 6] and seen.times == (0, 4)


def test_the_self_sorting_bank_is_told_as_drawn_without_places_and_pointers():
    drawn = (entry(5), entry(2, True), entry(5))
    seen = told(Recalled((entry(9),), drawn, "self-sorting"), 10, 1, CONFIG, 40)
    assert who(seen.maps) == [5, 2, 5] and seen.times == (None, None, None) and len(seen.pointers) == 0


def test_our_memory_is_told_with_the_six_nearest_ranked():
    long = (entry(2, True), entry(9), entry(3), entry(25))
    seen = told(Recalled(tuple(entry(index) for index in (17, 18, 19)), long, "ours"), 20, 1, CONFIG, 40)
    assert who(seen.maps) == [2, 3, 9, 25, 17, 18, 19] and seen.times == (0, 6, 5, 4, 3, 2, 1)
    assert who(seen.pointers * 3) == [2, 19, 18, 17, 9] and seen.away == (18, 1, 2, 3, 11)


def test_an_earlier_time_point_of_the_slice_counts_as_the_users():
    seen = told(Recalled((entry(4), entry(5)), (), "recent"), 5, 1, CONFIG, 40)
    assert who(seen.maps) == [5, 4] and seen.times == (0, 1) and seen.away == (0, 1)


@pytest.mark.parametrize("policy", ["recent", "ours", "self-sorting", "similar"])
def test_something_is_told_whatever_is_left(policy):
    seen = told(Recalled((entry(3),), (), policy), 20, 1, CONFIG, 40)
    assert who(seen.maps) == [3]


def test_a_slice_is_seen_in_the_window_of_the_users_slice():
    assert shade_of((entry(7), entry(5, True), entry(9)), 128).black == 5
    assert shade_of((entry(7), entry(9)), 128).black == 9


# -- followed ----------------------------------------------------------------------------------------------------------

SHAPE = (14, 48, 64)


def rod(noise: float = 2.0) -> tuple[Volume, np.ndarray]:
    """A bright block in slices 3 to 10 that moves by a column from slice to slice; and where it is."""
    truth = np.zeros(SHAPE, np.uint8)
    for index in range(3, 11):
        truth[index, 12:36, 16 + index : 40 + index] = 1
    values = truth * 100.0 + np.random.default_rng(0).normal(50, noise, SHAPE)
    return Volume(values.astype(np.float32), Grid.from_spacing(SHAPE, (3, 1, 1))), truth


def begun(segmenter: MedSam2, index: int = 6) -> Session:
    volume, truth = rod()
    session = Session(volume, segmenter)
    mask = np.zeros_like(truth)
    mask[index] = truth[index]
    session.add(MaskPrompt.from_mask(mask))
    return session


def test_it_keeps_the_protocol_and_follows_for_the_session_whose_model_it_is():
    segmenter = MedSam2(ThresholdSam2(), "cpu")
    session = begun(segmenter)
    assert isinstance(segmenter, SliceSegmenter) and session.slice_model == "medsam2"
    steps = list(session.propagate())
    assert {step.index for step in steps} == set(range(1, 13)) - {6}
    assert np.array_equal(session.mask_kji.any(axis=(1, 2)), rod()[1].any(axis=(1, 2)))
    assert session.marks("k")[7].confidence == pytest.approx(1 - 2 * (1 - 1.6 / 1.8) ** 2)  # Dice of an IoU of 0.8
    assert [step.stopped for step in steps if step.stopped] == [
        "The object ends at slice 3: it is not in slices 1 to 2.",
        "The object ends at slice 10: it is not in slices 11 to 12.",
    ]


def test_another_slice_model_can_be_chosen_and_a_model_of_volumes_leaves_the_default():
    session = begun(MedSam2(ThresholdSam2(), "cpu"))
    session.change_slice_model("slice-geodesic")
    assert session.slice_model == "slice-geodesic"
    session.change_slice_model(None)
    assert session.slice_model == "medsam2"
    session.change_model("geodesic")
    assert session.slice_model in ("slices", "slice-geodesic")


def test_the_models_own_policy_is_taken_until_another_is_asked_for_which_then_stays():
    session = begun(MedSam2(ThresholdSam2(), "cpu"))
    session.agree("k", 6)
    list(session.propagate())
    assert session.slices.policy == "recent" and (session.slices.capacity, session.slices.recent_capacity) == (8, 3)
    list(session.propagate(policy="ours"))
    list(session.propagate())
    assert session.slices.policy == "ours"
    with pytest.raises(SessionError, match="no memory policy 'best'"):
        session.propagate(policy="best")


def test_a_journal_takes_its_propagations_again(tmp_path, monkeypatch):
    for place in ("memseg.session.build", "memseg.build.build", "memseg.slicing.build_slices"):
        monkeypatch.setattr(place, lambda *_: MedSam2(small_sam2(), "cpu"))
    volume, truth = rod()
    session = new_session(volume, "medsam2", "cpu", journal=tmp_path / "steps.journal")
    mask = np.zeros_like(truth)
    mask[6] = truth[6]
    session.add(MaskPrompt.from_mask(mask))
    list(session.propagate(policy="self-sorting"))
    list(session.propagate())
    again = resume_session(tmp_path / "steps.journal", volume, "cpu")
    assert np.array_equal(again.mask_kji, session.mask_kji) and again.slice_model == "medsam2"
    assert [held.index for held in again.slices] == [held.index for held in session.slices]


def test_under_stock_policy_the_network_is_told_what_sam_2_tells_it():
    network = ThresholdSam2()
    list(begun(MedSam2(network, "cpu"), 3).propagate(direction="up"))
    assert network.told[6] == ((0, 6, 5, 4, 3, 2, 1), (7, 1, 2, 3, 4, 5, 6))
    assert network.told[8] == ((0, 6, 5, 4, 3, 2, 1), (9, 1, 2, 3, 4, 5, 6, 7, 8))  # absent slices are remembered too


def test_the_self_sorting_bank_holds_sixteen_and_its_draws_are_of_a_seed():
    def masks(seed: int) -> list[np.ndarray]:
        network = small_sam2()
        session = begun(MedSam2(network, "cpu"))
        state = replace(session.history.state, slices=SliceMemory(policy="self-sorting", seed=seed))
        session._state = state
        list(session.propagate(policy="self-sorting", patience=5))
        assert len(session.slices) <= 16 and all(held.model == "medsam2" for held in session.slices)
        return [held.features.values for held in session.slices]

    one, again, other = masks(0), masks(0), masks(5)
    assert len(one) == len(again) and all(np.array_equal(a, b) for a, b in zip(one, again))
    assert not (len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other)))


@pytest.mark.parametrize("policy", ["recent", "self-sorting", "ours", "similar"])
def test_every_policy_follows_the_rod_to_its_ends(policy):
    session = begun(MedSam2(ThresholdSam2(), "cpu"))
    list(session.propagate(policy=policy))
    assert np.array_equal(session.mask_kji.any(axis=(1, 2)), rod()[1].any(axis=(1, 2)))


@pytest.mark.parametrize("axis", ["k", "j", "i"])
def test_it_follows_along_every_axis(axis):
    volume, truth = rod()
    session = Session(volume, MedSam2(ThresholdSam2(), "cpu"))
    number = "kji".index(axis)
    middle = {"k": 6, "j": 24, "i": 34}[axis]
    mask = np.zeros_like(truth)
    where = (slice(None),) * number + (middle,)
    mask[where] = truth[where]
    session.add(MaskPrompt.from_mask(mask))
    list(session.propagate(axis, reference=middle))
    assert np.count_nonzero(session.mask_kji & truth) > 0.85 * np.count_nonzero(truth)


def test_without_memory_it_is_told_of_the_planes_it_is_given():
    volume, truth = rod()
    network = ThresholdSam2()
    segmenter = MedSam2(network, "cpu")
    plane = [Plane(index, volume.array_kji[index], truth[index], 3.0 * index) for index in range(SHAPE[0])]
    alone = segmenter.follow(volume, "k", 7, plane[6], (), Recalled())
    between = segmenter.follow(volume, "k", 7, plane[6], (plane[3], plane[9]), Recalled())
    assert alone.mask.any() and between.mask.any()
    assert [times for times, _ in network.told] == [(0,), (0, 0, 1)]


def test_entries_of_another_model_are_not_read():
    volume, truth = rod()
    network = ThresholdSam2()
    plane = Plane(6, volume.array_kji[6], truth[6], 18.0)
    foreign = entry(2, True, model="slices")
    MedSam2(network, "cpu").follow(volume, "k", 7, plane, (), Recalled((foreign,), (foreign,), "recent"))
    assert network.told == [((0,), (1.0,))]


def test_each_slice_is_encoded_once_for_all_that_is_asked_of_it():
    network = ThresholdSam2()
    session = begun(MedSam2(network, "cpu"))
    list(session.propagate())
    encoded = len(network.shown)
    list(session.propagate(policy="self-sorting"))
    assert encoded == len(network.shown) == 12  # slices 1 to 12


def test_equal_questions_get_equal_answers_whatever_was_asked_between():
    volume, truth = rod()
    plane = Plane(6, volume.array_kji[6], truth[6], 18.0)
    segmenter = MedSam2(small_sam2(), "cpu")
    ask = lambda: segmenter.follow(volume, "k", 7, plane, (), Recalled()).probability  # noqa: E731
    first = ask()
    for index in range(SHAPE[0]):
        if index != 6:
            segmenter.follow(volume, "k", index, plane, (), Recalled())
    assert np.array_equal(ask(), first)
    assert np.array_equal(MedSam2(small_sam2(), "cpu").follow(volume, "k", 7, plane, (), Recalled()).probability, first)


def test_a_propagation_is_what_transformers_session_makes_of_the_same_slices():
    """From a box, through our memory's entries, against transformers' own session on the same pictures."""
    volume, _ = rod(noise=20)
    network = small_sam2()
    engine = Engine(network, "MedSAM2", "cpu")
    shade = engine.shading(volume).round(np.zeros(0))
    frames = torch.cat([picture(plane, shade, EDGE) for plane in volume.array_kji])
    corners = np.float32([[30, 40], [90, 100]])
    session = Sam2VideoInferenceSession(video=frames, video_height=EDGE, video_width=EDGE, dtype=torch.float32)
    known = session.obj_id_to_idx(1)
    given = {"point_coords": torch.from_numpy(corners)[None, None], "point_labels": torch.tensor([[[2, 3]]])}
    session.add_point_inputs(known, 1, given)
    session.obj_with_new_inputs = [1]
    theirs = [network.model(session, frame_idx=1).pred_masks]
    steps = network.model.propagate_in_video_iterator(session, start_frame_idx=1)
    theirs += [step.pred_masks for step in steps][1:]
    answered = engine.prompted(volume, "k", 1, shade, Points(corners, (2, 3)), None, None)
    ours, recent = [answered.logits], ()
    first = SliceEntry("k", 1, 3.0, "medsam2", answered.features, agreed=True)
    segmenter = MedSam2(network, "cpu")
    for index in range(2, SHAPE[0]):
        found = segmenter._followed(volume, "k", index, 1, Recalled(recent, (first,), "recent"))
        recent = (*recent, SliceEntry("k", index, 3.0 * index, "medsam2", found.features))
        ours.append(found.logits)
    assert all(
        float((mine - yours).abs().max()) <= 1e-5 * float(yours.abs().max())
        for mine, yours in zip(ours, theirs, strict=True)
    )
