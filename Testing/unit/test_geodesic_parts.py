"""The geodesic model's parts against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ellipsoid, turned_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from memseg.geometry import Box, Grid
from memseg.segmenters.arrival import UNREACHED, arrival_times
from memseg.segmenters.fronts import FEATURES, Place, fronts
from memseg.segmenters.region import Region
from memseg.segmenters.scores import QuadraticForm, constants


def seeded(shape: tuple[int, int, int], *seeds: tuple[int, int, int]) -> np.ndarray:
    start = np.full((1, *shape), UNREACHED, np.float32)
    for seed in seeds:
        start[(0, *seed)] = 0
    return start


def test_arrival_along_a_line_is_price_times_distance_in_mm():
    times = arrival_times(np.full((1, 1, 1, 5), 2, np.float32), seeded((1, 1, 5), (0, 0, 0)), (1, 1, 0.5))
    np.testing.assert_allclose(times[0, 0, 0], [0, 1, 2, 3, 4])


def test_arrival_takes_the_space_diagonal():
    times = arrival_times(np.ones((1, 3, 3, 3), np.float32), seeded((3, 3, 3), (0, 0, 0)), (1, 2, 2))
    assert times[0, 2, 2, 2] == pytest.approx(6)  # two steps of sqrt(1 + 4 + 4)


def test_arrival_goes_round_a_wall():
    price = np.ones((1, 1, 5, 5), np.float32)
    price[0, 0, :4, 2] = 1000  # a wall with a gap in the last row
    times = arrival_times(price, seeded((1, 5, 5), (0, 0, 0)), (1, 1, 1))
    # (0, 0) to (4, 2) to (0, 4): two diagonals and two straight steps each way.
    assert times[0, 0, 0, 4] == pytest.approx(2 * (2 * np.sqrt(2) + 2), rel=1e-5)


def test_several_prices_are_swept_together_and_do_not_mix():
    price = np.stack([np.full((3, 4, 5), 1), np.full((3, 4, 5), 7)]).astype(np.float32)
    start = np.concatenate([seeded((3, 4, 5), (1, 1, 1))] * 2)
    both = arrival_times(price, start, (1, 1, 1))
    np.testing.assert_allclose(both[1], 7 * both[0], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_region_covers_its_box_with_few_voxels_and_finds_every_point_again(data):
    shape = tuple(data.draw(st.integers(1, 60)) for _ in range(3))
    spacing = tuple(data.draw(st.sampled_from([0.5, 1.0, 3.0])) for _ in range(3))
    grid = Grid.from_spacing(shape, spacing)
    start = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    stop = tuple(data.draw(st.integers(low + 1, size)) for low, size in zip(start, shape))
    region = Region.covering(grid, Box(start, stop), 500)
    assert np.prod(region.shape_kji) <= 500
    ramp = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    sampled = region.sample(ramp)
    assert sampled.shape == region.shape_kji
    assert sampled.min() >= ramp[region.box.slices].min() and sampled.max() <= ramp[region.box.slices].max()
    places = region.working(np.array([start, np.subtract(stop, 1)]))
    np.testing.assert_array_equal(places, [(0, 0, 0), np.subtract(region.shape_kji, 1)])
    flat = region.expanded(np.full(region.shape_kji, 3.0, np.float32), region.box)
    assert flat.shape == region.box.shape_kji
    np.testing.assert_allclose(flat, 3, rtol=1e-6)


def test_a_fine_region_samples_the_voxels_themselves():
    grid = turned_grid((4, 5, 6))
    array = np.arange(120).reshape(4, 5, 6)
    region = Region.covering(grid, Box((1, 1, 1), (3, 4, 5)), 1000)
    np.testing.assert_array_equal(region.sample(array), array[1:3, 1:4, 1:5])
    np.testing.assert_array_equal(
        region.expanded(region.sample(array), Box((2, 2, 2), (3, 3, 4))), array[2:3, 2:3, 2:4]
    )


def test_a_coarse_region_averages_blocks_and_interpolates_between_their_centres():
    grid = Grid.from_spacing((1, 1, 4), (1, 1, 1))
    region = Region(grid, grid.box, (1, 1, 2))
    sampled = region.sample(np.array([[[0, 2, 10, 12]]]))
    np.testing.assert_array_equal(sampled, [[[1, 11]]])
    # Block centres lie at 0.5 and 2.5; beyond them values stay.
    np.testing.assert_allclose(region.expanded(sampled, grid.box), [[[1, 3.5, 8.5, 11]]])


def test_only_the_faces_that_cut_the_volume_count_as_border():
    region = Region(Grid.from_spacing((4, 10, 10), (1, 1, 1)), Box((0, 2, 0), (4, 8, 10)), (1, 1, 1))
    touches = region.touches_inner_border(np.ones(region.shape_kji, bool))
    np.testing.assert_array_equal(touches, [[False, False], [True, True], [False, False]])


def test_fronts_are_nested_and_one_stops_at_the_wall_of_a_sharp_object():
    shape = (30, 30, 30)
    ball = ellipsoid(shape, (15, 15, 15), (8, 8, 8))
    price = np.where(ball, 0.1, 20).astype(np.float32)[None]
    region = Region(Grid.from_spacing(shape, (1, 1, 1)), Box.of_shape(shape), (1, 1, 1))
    times = arrival_times(price, seeded(shape, (15, 15, 15)), (1, 1, 1))[0]
    found = fronts(
        times, np.where(ball, 100, 0).astype(np.float32), region, Place.of(region, np.array([15] * 3)), 1, 100
    )
    assert (np.diff(found.counts) > 0).all()
    at_wall = int(np.argmin(np.abs(found.counts - ball.sum())))
    assert found.counts[at_wall] == pytest.approx(ball.sum(), rel=0.034)  # an eighth of a step of 30 %
    assert np.count_nonzero((found.level_of <= at_wall) != ball) <= 0.034 * ball.sum()
    volume, depth = (found.features[at_wall, FEATURES.index(name)] for name in ("volume", "depth"))
    assert volume == pytest.approx(np.log(found.counts[at_wall]))
    assert depth == pytest.approx(1, abs=0.15)  # the click lies one radius from the nearest voxel outside


def test_a_quadratic_form_is_worked_out_by_hand():
    form = QuadraticForm(
        np.array([1, 0], np.float32), np.array([2, 1], np.float32), np.array([[1, 3], [0, 0]], np.float32),
        np.array([0, 5], np.float32), 7.0, widest=2.0,
    )  # fmt: skip
    # (3, 1) is z = (1, 1): 1 + 3 + 5 + 7; (100, 0) is cut to z = (2, 0): 4 + 7.
    np.testing.assert_allclose(form(np.array([[3, 1], [100, 0]], np.float32)), [16, 11])


def test_a_quadratic_form_comes_back_from_its_record():
    form = constants().grow
    again = QuadraticForm.from_record(form.to_record())
    points = np.random.default_rng(0).normal(size=(50, len(form.mean))).astype(np.float32)
    np.testing.assert_allclose(again(points), form(points), rtol=1e-3, atol=1e-3)
