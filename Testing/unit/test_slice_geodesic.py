"""The slice segmenter without a network: what it measures, and that it follows what can be followed."""

import numpy as np
import pytest
from fakes import ellipsoid, turned_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from memseg.geometry import Grid
from memseg.memory.slices import Recalled
from memseg.propagation import agreed_entry
from memseg.segmenters.slice_base import Plane, place_of, plane_of
from memseg.segmenters.slice_geodesic import SliceGeodesic, scene_of, tidied
from memseg.segmenters.slice_measures import (
    MEASURES,
    MOST_PIXELS,
    Samples,
    likeness,
    measures,
    moved,
    region_round,
    shift_between,
    signed_distance,
)
from memseg.volume import Volume

SHAPE = (24, 40, 44)
BLOB = ellipsoid(SHAPE, (12, 20, 22), (8, 10, 12))


def noisy(truth: np.ndarray = BLOB, seed: int = 0, noise: float = 5) -> Volume:
    image = 100 * truth + np.random.default_rng(seed).normal(0, noise, truth.shape)
    return Volume(image.astype(np.int16), turned_grid(truth.shape))


def plane(volume: Volume, index: int, mask: np.ndarray, axis: str = "k") -> Plane:
    return Plane(
        index, plane_of(volume.array_kji, axis, index), mask.astype(np.uint8), place_of(volume.grid, axis, index)
    )


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2 * np.count_nonzero((mask > 0) & truth) / max(1, np.count_nonzero(mask) + np.count_nonzero(truth))


# -- measures ----------------------------------------------------------------------------------------------------------


def test_signed_distance_is_half_a_pixel_at_the_border_and_the_grids_size_without_one():
    mask = np.array([[0, 0, 1, 1, 1, 0]], bool)
    assert signed_distance(mask, (1, 2)).tolist() == [[-3.5, -1.5, 1.5, 3.5, 1.5, -1.5]]
    assert signed_distance(np.ones((3, 4), bool), (1, 1)).min() == 5
    assert signed_distance(np.zeros((3, 4), bool), (1, 1)).max() == -5


def test_an_intensity_is_like_the_object_where_it_occurs_more_often_there():
    values = np.repeat([0.0, 10.0, 20.0], 50)
    samples = Samples(values, values == 10, np.ones(150))
    knots = np.linspace(0.5, 19.5, 31)
    alike = likeness(np.array([[0.0, 10.0, 20.0]]), knots, samples)
    assert alike[0, 1] > 2 and alike[0, 0] < -2 and alike[0, 2] < -2


def test_likeness_weighs_samples_and_says_nothing_without_any_of_the_object():
    image, knots = np.array([[0.0, 10.0]]), np.linspace(0.5, 9.5, 31)
    values, inside = np.array([0.0, 10.0, 0.0]), np.array([True, True, False])
    light, heavy = (likeness(image, knots, Samples(values, inside, np.array([weight, 1, 1]))) for weight in (0.1, 1.0))
    assert light[0, 0] < heavy[0, 0] < 0 < heavy[0, 1] < light[0, 1] + 1e-6
    nothing = Samples(np.zeros(2), np.zeros(2, bool), np.ones(2))
    assert not likeness(image, knots, nothing).any()


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-5, 4)])
def test_a_moved_image_is_found_and_moved_back(shift):
    image = np.random.default_rng(1).normal(size=(30, 36))
    weights = np.zeros((30, 36))
    weights[10:20, 12:24] = 1
    assert shift_between(image, moved(image, shift), weights) == shift
    inner = (slice(6, -6), slice(6, -6))
    assert np.array_equal(moved(moved(image, shift), (-shift[0], -shift[1]))[inner], image[inner])


def test_the_region_is_bounded_however_large_the_slice():
    mask = np.zeros((512, 512), np.uint8)
    mask[100:400, 100:400] = 1
    region = region_round(mask, (512, 512), (0.7, 0.7), 1.0)
    assert np.prod(region.shape_kji) <= MOST_PIXELS and region.box.shape_kji[0] == 1
    small = region_round(mask[98:103, 98:103], (5, 5), (0.7, 0.7), 1.0)
    assert small.shape_kji == (1, 5, 5)


def test_between_two_agreed_slices_the_shape_is_halfway():
    volume = noisy()
    small, large = np.zeros(SHAPE[1:]), np.zeros(SHAPE[1:])
    small[18:22, 20:24], large[10:30, 12:32] = 1, 1
    anchors = plane(volume, 8, small), plane(volume, 12, large)
    scene = scene_of(volume, "k", 10, anchors[0], anchors, Recalled())
    inside = scene.region.expanded((scene.between > 0)[None], scene.region.box)[0] > 0.5
    assert inside.sum() == pytest.approx(12 * 12, rel=0.1)  # edges of 4 and 20
    assert scene_of(volume, "k", 10, anchors[0], anchors[:1], Recalled()).between is None


def test_small_parts_far_parts_and_pinholes_are_tidied_away():
    odds = np.full((30, 30), -8.0)
    odds[5:20, 5:20] = 8
    odds[12, 12] = -8  # a pinhole
    odds[25:29, 25:29] = 8  # apart from the previous mask
    mask = np.zeros((30, 30), bool)
    mask[5:20, 5:20] = True
    answer = tidied(odds, mask) > 0.5
    assert answer[12, 12] and not answer[24:, 24:].any() and answer[5:20, 5:20].all()


# -- what memory keeps -------------------------------------------------------------------------------------------------


def test_features_are_a_small_picture_of_intensities_and_mask():
    volume = noisy(noise=0)
    kept = SliceGeodesic().features(volume, "k", plane(volume, 12, BLOB[12]))
    assert kept.keys.shape == (1, 16, 16) and kept.values.shape == (2, 16, 16)
    assert np.array_equal(kept.keys[0], kept.values[0]) and np.array_equal(kept.keys[0] > 0.5, kept.values[1] > 0.5)
    row, column, edge = kept.window_mm
    assert (row, column) == pytest.approx((20 * 0.9, 22 * 0.7)) and edge == pytest.approx(1.8 * 21 * 0.9)


def test_memory_says_what_the_object_looks_like():
    volume, segmenter = noisy(), SliceGeodesic()
    entry = agreed_entry(volume, "k", plane(volume, 12, BLOB[12]), segmenter)
    wrong = plane(volume, 11, ~BLOB[11] & (np.indices(SHAPE[1:]).sum(axis=0) > 40))
    told, untold = (
        measures(scene_of(volume, "k", 12, wrong, (), recalled))[0][..., 5]
        for recalled in (Recalled(long=(entry,)), Recalled())
    )
    region = scene_of(volume, "k", 12, wrong, (), Recalled()).region
    inside = region.sample(BLOB[12:13].astype(np.uint8))[0] > 0.5
    assert told[inside].mean() > 1 > 0 > untold[inside].mean()


# -- following ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("axis", "start"), [("k", 12), ("j", 20), ("i", 22)])
def test_a_blob_is_followed_along_every_axis_and_its_end_is_noticed(axis, start):
    volume, segmenter = noisy(), SliceGeodesic()
    previous = plane(volume, start, plane_of(BLOB, axis, start), axis)
    anchors, index = (previous,), start
    while True:
        index += 1
        truth = plane_of(BLOB, axis, index)
        answer = segmenter.follow(volume, axis, index, previous, anchors, Recalled())
        if np.count_nonzero(truth) < 10:
            break
        assert answer.present > 0.5 and dice(answer.mask, truth) > 0.85, (index, answer.present)
        previous = plane(volume, index, answer.mask, axis)
    beyond = segmenter.follow(volume, axis, index + 1, previous, anchors, Recalled())
    assert beyond.present < 0.5


def test_the_same_question_gets_the_same_answer():
    volume, segmenter = noisy(), SliceGeodesic()
    previous = plane(volume, 12, BLOB[12])
    one, two = (segmenter.follow(volume, "k", 13, previous, (previous,), Recalled()) for _ in range(2))
    assert np.array_equal(one.probability, two.probability) and (one.present, one.confidence) == (
        two.present,
        two.confidence,
    )


def test_a_certain_answer_is_more_confident_than_a_doubtful_one():
    clear, dull = noisy(noise=4), noisy(noise=120)
    answers = [
        SliceGeodesic().follow(volume, "k", 14, plane(volume, 12, BLOB[12]), (), Recalled()) for volume in (clear, dull)
    ]
    assert answers[0].confidence > answers[1].confidence


def test_far_from_the_object_the_probability_is_zero():
    shape = (3, 200, 200)
    volume = noisy(ellipsoid(shape, (1, 50, 50), (3, 12, 12)))
    answer = SliceGeodesic().follow(volume, "k", 2, plane(volume, 1, volume.array_kji[1] > 50), (), Recalled())
    assert not answer.probability[120:].any() and answer.probability.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 999),
    kind=st.sampled_from(["noise", "constant", "huge", "bytes"]),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), (20.0, 0.1, 3.0)]),
    count=st.integers(0, 2),
)
def test_any_slice_and_any_mask_get_an_answer(shape, seed, kind, spacing, count):
    source = np.random.default_rng(seed)
    image = source.normal(size=(4, *shape)) * (1e9 if kind == "huge" else 1)
    if kind == "constant":
        image = np.zeros((4, *shape))
    if kind == "bytes":
        image = source.integers(0, 3, (4, *shape)).astype(np.uint8)
    image[3].flat[0] = 77
    volume = Volume(image, Grid.from_spacing((4, *shape), spacing))
    masks = source.random((4, *shape)) < source.random()
    masks[1].flat[source.integers(masks[1].size)] = True
    anchors = tuple(plane(volume, index, masks[index]) for index in (0, 3))[:count]
    segmenter, previous = SliceGeodesic(), plane(volume, 1, masks[1])
    recalled = Recalled(recent=(agreed_entry(volume, "k", previous, segmenter),))
    with np.errstate(all="raise", under="ignore"):
        answer = segmenter.follow(volume, "k", 2, previous, anchors, recalled)
        measured, _ = measures(scene_of(volume, "k", 2, previous, anchors, recalled))
    assert answer.probability.shape == shape and 0 <= answer.probability.min() <= answer.probability.max() <= 1
    assert measured.shape[-1] == MEASURES and np.isfinite(measured).all()
