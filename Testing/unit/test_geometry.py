"""Grids and boxes: what goes out must come back, and what cannot be right is refused."""

import numpy as np
import pytest
from fakes import turned_grid
from hypothesis import given
from hypothesis import strategies as st

from memseg.errors import GeometryError
from memseg.geometry import Box, Grid, nearest_voxel

lengths = st.floats(0.05, 20)
angles = st.floats(-180, 180)
coordinates = st.floats(-2000, 2000)


def rotation(a: float, b: float, c: float) -> np.ndarray:
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    matrix = np.eye(4)
    turned = rotation(*(np.deg2rad(draw(angles)) for _ in range(3)))
    flips = np.diag([draw(st.sampled_from([-1, 1])) for _ in range(3)])
    matrix[:3, :3] = turned @ flips @ np.diag([draw(lengths) for _ in range(3)])
    matrix[:3, 3] = [draw(coordinates) for _ in range(3)]
    return Grid(tuple(draw(st.integers(1, 50)) for _ in range(3)), matrix)


@given(grids(), st.tuples(*[st.floats(-100, 100)] * 3))
def test_a_voxel_taken_to_the_world_and_back_is_the_same_voxel(grid, point_kji):
    assert np.allclose(grid.kji_from_ras(grid.ras_from_kji(point_kji)), point_kji, atol=1e-6)


@given(grids())
def test_spacing_is_the_length_of_one_step_along_each_axis(grid):
    origin = grid.ras_from_kji((0, 0, 0))
    steps = [np.linalg.norm(grid.ras_from_kji(step) - origin) for step in np.eye(3)]
    assert np.allclose(steps, grid.spacing_kji_mm)


def test_axes_are_reversed_between_the_matrix_and_the_array():
    grid = Grid((5, 6, 7), np.diag([1.0, 2.0, 3.0, 1.0]))
    assert grid.spacing_kji_mm == (3.0, 2.0, 1.0)
    assert tuple(grid.ras_from_kji((1, 1, 1))) == (1.0, 2.0, 3.0)
    assert tuple(grid.kji_from_ras((4.0, 4.0, 6.0))) == (2.0, 2.0, 4.0)


def test_many_points_are_converted_at_once():
    grid = turned_grid()
    points = np.random.default_rng(0).normal(size=(4, 5, 3)) * 30
    assert np.allclose(grid.kji_from_ras(grid.ras_from_kji(points)), points)


def test_halves_round_up_as_in_slicer():
    assert nearest_voxel([0.5, 1.5, -0.5, -0.51, 2.49]).tolist() == [1, 2, 0, -1, 2]


def test_a_parent_transform_moves_the_grid():
    shift = np.eye(4)
    shift[:3, 3] = (10, 20, 30)
    moved = Grid.from_spacing((4, 4, 4), (1, 1, 1)).transformed(shift)
    assert tuple(moved.ras_from_kji((0, 0, 0))) == (10, 20, 30)


def test_a_sheared_grid_is_refused_with_advice():
    sheared = np.eye(4)
    sheared[0, 2] = 0.2
    with pytest.raises(GeometryError, match="right angles.*resample"):
        Grid((4, 4, 4), sheared)


def test_a_transform_that_shears_is_refused():
    with pytest.raises(GeometryError, match="right angles"):
        turned_grid().transformed(np.diag([1.0, 2.0, 1.0, 1.0]))


@pytest.mark.parametrize("column", range(3))
def test_a_spacing_of_zero_is_refused(column):
    flat = np.eye(4)
    flat[column, column] = 0
    with pytest.raises(GeometryError, match="spacing of zero"):
        Grid((4, 4, 4), flat)


def test_a_grid_without_voxels_or_with_nonsense_in_its_matrix_is_refused():
    with pytest.raises(GeometryError, match="no voxels"):
        Grid((4, 0, 4), np.eye(4))
    broken = np.eye(4)
    broken[0, 0] = np.nan
    with pytest.raises(GeometryError, match="not a valid one"):
        Grid((4, 4, 4), broken)


def test_grids_are_the_same_up_to_rounding_only():
    grid = turned_grid()
    nearly, moved = grid.ijk_to_ras.copy(), grid.ijk_to_ras.copy()
    nearly[0, 3] += 1e-4
    moved[0, 3] += 0.01
    assert grid.same_as(Grid(grid.shape_kji, nearly))
    assert not grid.same_as(Grid(grid.shape_kji, moved))
    assert not grid.same_as(turned_grid((20, 24, 27)))


def test_the_matrix_cannot_be_changed_from_outside():
    matrix = np.eye(4)
    grid = Grid((2, 2, 2), matrix)
    matrix[0, 3] = 99
    assert grid.ijk_to_ras[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.ijk_to_ras[0, 3] = 1


corners = st.tuples(*[st.integers(-5, 9)] * 3)
boxes = st.builds(Box, corners, corners)


def voxels(box: Box) -> set[tuple[int, ...]]:
    return {
        (k, j, i)
        for k in range(box.start_kji[0], box.stop_kji[0])
        for j in range(box.start_kji[1], box.stop_kji[1])
        for i in range(box.start_kji[2], box.stop_kji[2])
    }


@given(boxes, boxes)
def test_an_intersection_holds_just_the_voxels_of_both(a, b):
    assert voxels(a.intersection(b)) == voxels(a) & voxels(b)


@given(boxes, boxes)
def test_a_union_covers_both_and_an_empty_box_adds_nothing(a, b):
    both = a.union(b)
    assert both.covers(a) and both.covers(b)
    assert voxels(a.union(Box.empty())) == voxels(a)


@given(boxes, boxes)
def test_covering_means_holding_every_voxel(a, b):
    assert a.covers(b) == (voxels(b) <= voxels(a))


def test_a_box_round_a_mask_is_tight():
    mask = np.zeros((5, 6, 7), np.uint8)
    mask[1, 2, 3] = mask[3, 2, 6] = 1
    assert Box.of_mask(mask) == Box((1, 2, 3), (4, 3, 7))
    assert Box.of_mask(np.zeros((2, 2, 2))).is_empty


def test_growing_clipping_and_moving_a_box():
    box = Box((1, 2, 3), (2, 4, 6))
    assert box.shape_kji == (1, 2, 3) and box.size == 6
    assert box.grown((0, 1, 2)) == Box((1, 1, 1), (2, 5, 8))
    assert box.grown(2).clipped((3, 5, 7)) == Box((0, 0, 1), (3, 5, 7))
    assert box.relative_to(Box((1, 1, 1), (9, 9, 9))) == Box((0, 1, 2), (1, 3, 5))
    assert box.holds((1, 3, 5)) and not box.holds((1, 3, 6))
