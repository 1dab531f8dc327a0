"""Metrics and the simulated user, on arrays small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from memseg.errors import PromptError
from memseg.evaluation.metrics import area_under_clicks, clicks_until, dice, surface, surface_dice
from memseg.evaluation.simulation import Noise, deepest_voxel, next_click
from memseg.geometry import Grid
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


GRID = Grid.from_spacing((40, 40, 40), (2.0, 0.5, 0.5))


def test_without_noise_a_click_lies_where_it_was_meant():
    assert Noise().disturbed(Click((3, 4, 5), False), GRID, "object/0") == Click((3, 4, 5), False)
    assert str(Noise()) == ""


def test_a_noisy_click_lies_that_many_millimetres_off_in_all_directions():
    offsets = []
    for number in range(200):
        click = Noise(mm=8).disturbed(Click((20, 20, 20)), GRID, f"object/{number}")
        assert click.positive
        offsets.append(np.subtract(click.point_kji, 20) * GRID.spacing_kji_mm)
    lengths = np.linalg.norm(offsets, axis=1)
    assert np.abs(lengths - 8).max() <= np.linalg.norm((1.0, 0.25, 0.25))  # half a voxel along each axis
    assert np.abs(np.mean(offsets, axis=0)).max() < 1.5  # a mean of 200 directions: 8 / sqrt(3 * 200) = 0.33


def test_the_same_occasion_has_the_same_noise_and_another_seed_another():
    click = Click((20, 20, 20))
    once = Noise(mm=8).disturbed(click, GRID, "object/0")
    assert Noise(mm=8, wrong=1).disturbed(click, GRID, "object/0") == Click(once.point_kji, False)
    assert Noise(mm=8).disturbed(click, GRID, "object/1") != once
    assert Noise(mm=8, seed=1).disturbed(click, GRID, "object/0") != once


def test_a_noisy_click_stays_inside_the_volume():
    for number in range(20):
        point = Noise(mm=100).disturbed(Click((0, 39, 20)), GRID, str(number)).point_kji
        assert all(0 <= index < 40 for index in point)


def test_that_share_of_clicks_has_the_wrong_sign():
    clicks = [Noise(wrong=0.1).disturbed(Click((1, 2, 3)), GRID, str(number)) for number in range(1000)]
    assert {click.point_kji for click in clicks} == {(1, 2, 3)}
    assert 70 <= sum(not click.positive for click in clicks) <= 130  # 100, give or take three deviations of 9.5


def test_noise_says_what_it_is():
    assert str(Noise(mm=5, wrong=0.1)) == "clicks 5 mm off, 10% of clicks with the wrong sign"


@pytest.mark.parametrize("noise", [{"mm": -1}, {"mm": float("nan")}, {"wrong": 1.5}, {"wrong": -0.1}, {"seed": -1}])
def test_noise_that_no_hand_makes_is_a_sentence(noise):
    with pytest.raises(PromptError, match="give a"):
        Noise(**noise)
