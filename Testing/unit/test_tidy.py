"""Crumbs and pinholes go where a change left them, and nowhere else."""

import numpy as np

from memseg.segmenters.tidy import crumbs, pinholes

NONE = np.zeros((0, 3), np.int64)


def plane(*rows: str) -> np.ndarray:
    """One slice, drawn, with empty space round it: '#' is set."""
    drawn = np.array([[letter == "#" for letter in row] for row in rows])[None]
    return np.pad(drawn, 1)


CUT = plane("............", "......##....", "......##....", "......##....")


def test_a_small_part_cut_off_goes_and_one_that_was_apart_before_stays():
    mask = plane("#####...#...", "#####......#", "#####...#..#", "#####.......")
    gone = crumbs(mask, CUT, NONE)
    assert np.argwhere(gone).tolist() == [[1, 1, 9], [1, 3, 9]]


def test_a_small_part_with_a_wanted_voxel_or_a_large_part_stays():
    mask = plane("###.....#...", "###.........", "###......###", "###......###")
    cut = plane("........##..", "......####..", "....#####...", "........#...")
    assert np.argwhere(crumbs(mask, cut, np.array([[1, 1, 9]]))).size == 0
    assert np.argwhere(crumbs(mask, cut, NONE)).tolist() == [[1, 1, 9]]


def filled(size: int = 7) -> np.ndarray:
    mask = np.ones((size, size, size), bool)
    mask[[0, -1]] = mask[:, [0, -1]] = mask[:, :, [0, -1]] = False
    return mask


def test_a_pinhole_beside_the_change_is_filled_and_others_are_not():
    mask = filled(9)
    mask[2, 2, 2] = mask[6, 6, 6] = False
    changed = np.zeros(mask.shape, bool)
    changed[2, 2, 3] = True
    assert np.argwhere(pinholes(mask, changed, NONE)).tolist() == [[2, 2, 2]]
    assert not pinholes(mask, changed, np.array([[2, 2, 2]])).any()


def test_a_large_hole_and_the_outside_stay_open():
    mask = filled()
    mask[2:5, 3, 3] = False  # 3 of 122 voxels: more than 2 %
    assert not pinholes(mask, mask.copy(), NONE).any()
    dent = filled()
    dent[1, 3, 3] = False
    assert not pinholes(dent, dent.copy(), NONE).any()


def test_a_part_that_reaches_the_array_s_end_may_go_on_beyond_it_and_stays():
    mask, cut = plane("############...#..."), plane("............###....")
    assert crumbs(mask, cut, NONE).any()
    assert not crumbs(mask[1:2, 1:2], cut[1:2, 1:2], NONE).any()
