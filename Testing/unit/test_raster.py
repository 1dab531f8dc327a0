"""Prompts cover the voxels a person would say they cover."""

import numpy as np
import pytest
from fakes import turned_grid
from hypothesis import given
from hypothesis import strategies as st

from memseg.geometry import Box, Grid
from memseg.prompts import BoxPrompt, Click, Lasso, MaskPrompt, Scribble, Text
from memseg.raster import fill_polygon, line_voxels, rasterize

GRID = Grid.from_spacing((10, 12, 14), (2.0, 1.0, 1.0))


def covered(prompt, grid=GRID) -> set[tuple[int, ...]]:
    box, crop = rasterize(prompt, grid)
    assert grid.box.covers(box) and crop.shape == box.shape_kji and crop.dtype == np.uint8
    return {tuple(int(v) for v in index + np.array(box.start_kji)) for index in np.argwhere(crop)}


def test_a_click_covers_its_voxel():
    assert covered(Click((3, 4, 5))) == {(3, 4, 5)}


def test_a_box_is_cut_at_the_border():
    assert covered(BoxPrompt((9, 11, 13), (20, 20, 20))) == {(9, 11, 13)}


def test_a_mask_covers_itself():
    mask = np.zeros((10, 12, 14))
    mask[1, 1, 1] = mask[2, 3, 4] = 1
    assert covered(MaskPrompt.from_mask(mask)) == {(1, 1, 1), (2, 3, 4)}


def test_text_has_no_place():
    with pytest.raises(ValueError, match="covers no voxels"):
        rasterize(Text("liver"), GRID)


def test_a_straight_stroke_covers_each_voxel_on_its_way():
    assert covered(Scribble([(2, 3, 1), (2, 3, 5)])) == {(2, 3, i) for i in range(1, 6)}


def test_a_stroke_that_leaves_the_volume_covers_what_is_inside():
    assert covered(Scribble([(2, 3, 11), (2, 3, 40)])) == {(2, 3, i) for i in range(11, 14)}


def test_a_wide_stroke_covers_a_ball_in_millimetres_not_in_voxels():
    # 2 mm reaches one voxel along k (2 mm apart) and two along j and i (1 mm apart)
    ball = covered(Scribble([(5, 5, 5)], radius_mm=2.0))
    assert {(4, 5, 5), (6, 5, 5), (5, 3, 5), (5, 5, 7)} <= ball
    assert (5, 2, 5) not in ball and (4, 6, 5) not in ball
    assert len(ball) == 13 + 2


def test_a_wide_stroke_just_outside_still_reaches_in():
    assert (0, 5, 5) in covered(Scribble([(-1, 5, 5), (0.6, 5, 5)], radius_mm=2.0))


@given(st.lists(st.tuples(*[st.floats(-20, 20)] * 3), min_size=2, max_size=5))
def test_a_line_has_no_gaps_and_ends_at_its_ends(points):
    voxels = line_voxels(np.array(points))
    assert np.abs(np.diff(voxels, axis=0)).max(initial=0) <= 1
    assert (voxels[0] == np.floor(np.array(points[0]) + 0.5)).all()
    assert (voxels[-1] == np.floor(np.array(points[-1]) + 0.5)).all()


@pytest.mark.parametrize("axis", range(3))
def test_a_lasso_on_a_slice_fills_it_whatever_the_axis(axis):
    # outline from 1.5 to 4.5: centres 2, 3, 4 lie inside
    outline = [np.insert(corner, axis, 6) for corner in ([1.5, 1.5], [1.5, 4.5], [4.5, 4.5], [4.5, 1.5])]
    inside = {tuple(np.insert((a, b), axis, 6).tolist()) for a in (2, 3, 4) for b in (2, 3, 4)}
    assert covered(Lasso(outline)) == inside


def test_a_lasso_on_an_oblique_plane_covers_one_voxel_of_each_column():
    # the plane k = j / 2: row j lies in slice floor(j / 2 + 0.5)
    outline = [(j / 2, j, i) for j, i in ((0.5, 0.5), (0.5, 6.5), (6.5, 6.5), (6.5, 0.5))]
    expected = {(int(np.floor(j / 2 + 0.5)), j, i) for j in range(1, 7) for i in range(1, 7)}
    assert covered(Lasso(outline)) == expected


def test_a_lasso_thinner_than_a_voxel_covers_its_line():
    assert covered(Lasso([(3, 2.1, 2.1), (3, 2.1, 6.1), (3, 2.2, 6.1)])) == {(3, 2, i) for i in range(2, 7)}


def test_a_hollow_outline_is_not_filled_where_it_bends_inwards():
    u_shape = [(0.5, 0.5), (0.5, 6.5), (2.5, 6.5), (2.5, 2.5), (4.5, 2.5), (4.5, 6.5), (6.5, 6.5), (6.5, 0.5)]
    image = fill_polygon(np.array(u_shape), (8, 8))
    rows = ["".join("#" if value else "." for value in row) for row in image]
    assert rows == [
        "........",
        ".######.",
        ".######.",
        ".##.....",
        ".##.....",
        ".######.",
        ".######.",
        "........",
    ]


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), min_size=3, max_size=12))
def test_two_outlines_that_share_an_edge_share_no_pixel_and_leave_none_out(corners):
    # a polygon and the same polygon with one more corner differ by the triangle between them (even-odd rule)
    polygon = np.array(corners)
    extra = np.vstack([polygon, [[10.0, 10.0]]])
    triangle = np.array([polygon[-1], [10.0, 10.0], polygon[0]])
    shape = (21, 21)
    assert np.array_equal(fill_polygon(extra, shape), fill_polygon(polygon, shape) ^ fill_polygon(triangle, shape))


def test_a_huge_oblique_lasso_costs_its_area_and_not_its_bounding_box():
    grid = Grid((512, 512, 512), np.eye(4))
    outline = [(j, j, i) for j, i in ((10, 10), (10, 500), (500, 500), (500, 10))]
    box, crop = rasterize(Lasso(outline), grid)
    assert crop.sum() == 490 * 490 and box == Box((10, 10, 10), (500, 500, 500))


def test_strokes_on_a_turned_grid_stay_in_it():
    grid = turned_grid()
    box, crop = rasterize(Scribble([(0, 0, 0), (19, 23, 27)], radius_mm=5), grid)
    assert box == grid.box and crop[10, 12, 14] == 1
