"""Metrics and the simulated user, on arrays small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from memseg.evaluation.metrics import area_under_clicks, clicks_until, dice, surface, surface_dice
from memseg.evaluation.simulation import deepest_voxel, next_click
from memseg.prompts import Click

ISOTROPIC = (1.0, 1.0, 1.0)


def block(shape: tuple[int, int, int], *corners: tuple[tuple[int, int, int], tuple[int, int, int]]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for start, stop in corners:
        mask[tuple(slice(low, high) for low, high in zip(start, stop))] = True
    return mask


def test_dice_of_two_blocks_that_share_half():
    left, right = block((1, 1, 8), ((0, 0, 0), (1, 1, 4))), block((1, 1, 8), ((0, 0, 2), (1, 1, 6)))
    assert dice(left, right) == 0.5  # 2 * 2 / (4 + 4)


def test_dice_of_empty_masks_is_one_and_of_one_empty_mask_nought():
    empty, full = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert dice(empty, empty) == 1
    assert dice(full, empty) == dice(empty, full) == 0


def test_the_surface_of_a_cube_is_all_but_its_middle():
    cube = block((5, 5, 5), ((1, 1, 1), (4, 4, 4)))
    assert surface(cube).sum() == 26
    assert not surface(cube)[2, 2, 2]


def test_a_cube_that_reaches_the_edge_of_the_array_has_a_surface_there():
    assert surface(np.ones((3, 3, 3), bool)).sum() == 26


def test_surface_dice_counts_surface_voxels_within_the_tolerance():
    # Two one-voxel-thick plates 3 mm apart: out of reach of 2 mm, within reach of 3 mm.
    truth, mask = block((8, 4, 4), ((1, 0, 0), (2, 4, 4))), block((8, 4, 4), ((4, 0, 0), (5, 4, 4)))
    assert surface_dice(truth, mask, ISOTROPIC, 2) == 0
    assert surface_dice(truth, mask, ISOTROPIC, 3) == 1
    assert surface_dice(truth, mask, (0.5, 1, 1), 2) == 1  # now 1.5 mm apart


def test_surface_dice_weighs_both_surfaces():
    # The mask is one row of 4 voxels, of which the truth has the first: 1 of 1 and, with 1 mm, 2 of 4 agree.
    mask, truth = block((1, 1, 6), ((0, 0, 0), (1, 1, 4))), block((1, 1, 6), ((0, 0, 0), (1, 1, 1)))
    assert surface_dice(truth, mask, ISOTROPIC, 1) == pytest.approx((1 + 2) / (1 + 4))


def test_surface_dice_of_empty_masks():
    empty, full = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert surface_dice(empty, empty, ISOTROPIC) == 1
    assert surface_dice(full, empty, ISOTROPIC) == surface_dice(empty, full, ISOTROPIC) == 0


def test_the_area_under_clicks_is_that_of_trapezoids():
    assert area_under_clicks(np.array([0.0, 1.0])) == 0.5
    assert area_under_clicks(np.array([0.2, 0.4, 0.8])) == pytest.approx((0.3 + 0.6) / 2)
    assert area_under_clicks(np.array([0.7])) == 0.7


def test_clicks_until_a_target_count_from_one():
    assert clicks_until(np.array([0.5, 0.85, 0.8]), 0.85) == 2
    assert clicks_until(np.array([0.5, 0.6]), 0.85) is None


def test_the_deepest_voxel_of_a_cube_is_its_middle():
    assert deepest_voxel(block((9, 9, 9), ((2, 2, 2), (7, 7, 7))), ISOTROPIC) == (4, 4, 4)


def test_depth_is_measured_in_millimetres():
    # 3 x 3 x 9 voxels of 5 x 5 x 2 mm: only the middle is 10 mm from the sides and from both ends. In voxels, the first
    # of those 2 voxels from the sides would be nearer to one end.
    mask = block((5, 5, 13), ((1, 1, 2), (4, 4, 11)))
    assert deepest_voxel(mask, (5.0, 5.0, 2.0)) == (2, 2, 6)
    assert deepest_voxel(mask, ISOTROPIC) == (2, 2, 3)


def test_the_end_of_the_array_bounds_no_object():
    # Cut off at k = 0, the block is deepest there: 3 voxels from its far side and 2 from its flanks at every k below.
    assert deepest_voxel(block((6, 5, 5), ((0, 1, 1), (3, 4, 4))), ISOTROPIC) == (0, 2, 2)


def test_of_equally_deep_voxels_the_first_in_array_order_is_taken():
    assert deepest_voxel(block((3, 3, 12), ((1, 1, 2), (2, 2, 10))), ISOTROPIC) == (1, 1, 2)


def test_a_mask_that_fills_the_array_is_deepest_at_its_centre():
    assert deepest_voxel(np.ones((5, 7, 9), bool), ISOTROPIC) == (2, 3, 4)


def test_the_first_click_falls_deepest_inside_the_largest_part():
    truth = block((9, 9, 20), ((2, 2, 2), (7, 7, 7)), ((3, 3, 12), (6, 6, 15)))
    assert next_click(truth, np.zeros_like(truth), ISOTROPIC) == Click((4, 4, 4), True)


def test_a_missed_part_gets_a_positive_click_and_a_surplus_a_negative_one():
    truth = block((9, 9, 20), ((2, 2, 2), (7, 7, 7)))
    missed = block((9, 9, 20), ((2, 2, 2), (7, 7, 4)))  # i = 4, 5, 6 are missing
    assert next_click(truth, missed, ISOTROPIC) == Click((3, 3, 5), True)  # 2 voxels deep, the first such
    surplus = truth | block((9, 9, 20), ((2, 2, 7), (7, 7, 12)))
    assert next_click(truth, surplus, ISOTROPIC) == Click((4, 4, 9), False)


def test_errors_that_touch_at_a_corner_are_one():
    truth = np.zeros((5, 5, 9), bool)
    mask = block((5, 5, 9), ((1, 1, 1), (2, 2, 2)), ((2, 2, 2), (3, 3, 3)), ((3, 3, 7), (4, 4, 8)))
    # Two voxels corner to corner outnumber the single one; the first of the two is as deep as the other.
    assert next_click(truth, mask, ISOTROPIC) == Click((1, 1, 1), False)


def test_where_nothing_is_wrong_there_is_no_click():
    truth = block((5, 5, 5), ((1, 1, 1), (3, 3, 3)))
    assert next_click(truth, truth, ISOTROPIC) is None
