"""Pieces: measures and changes in mm, whatever the grid."""

import numpy as np
import pytest
from fakes import turned_grid
from phantoms import axis_grid, in_ellipsoid, ras_of

from memseg.errors import PromptError
from memseg.geometry import Box, Grid
from memseg.text.commands import shaped, split
from memseg.text.pieces import Piece, distance_mm, united
from memseg.text.query import FillHoles, Grow, KeepLargest, RemoveSmall, Side, Smooth, SplitSides

FINE = axis_grid((40, 40, 40), (1.0, 1.0, 1.0))
GRIDS = [
    FINE,
    axis_grid((20, 40, 50), (2.0, 1.0, 0.8)),
    turned_grid((24, 60, 70), (0.7, 0.9, 2.0)),
]


def middle_of(grid: Grid) -> np.ndarray:
    return grid.ras_from_kji((np.asarray(grid.shape_kji) - 1) / 2)


def ball(grid: Grid, radius_mm: float, offset_ras: tuple[float, ...] = (0, 0, 0)) -> Piece:
    centre = middle_of(grid) + offset_ras
    return Piece.of(grid, in_ellipsoid(ras_of(grid), tuple(centre), (radius_mm,) * 3))


def cube(start: int, stop: int) -> Piece:
    return Piece(FINE, Box((start,) * 3, (stop,) * 3), np.ones((stop - start,) * 3, bool))


@pytest.mark.parametrize("grid", GRIDS)
def test_the_measures_of_a_ball_are_those_of_a_ball(grid):
    piece = ball(grid, 12)
    assert piece.volume_mm3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.05)
    assert piece.longest_mm == pytest.approx(24, abs=2.5)
    assert piece.compactness > 0.75
    assert 1.0 < piece.tubularity < 1.5
    assert np.allclose(piece.centre_ras, middle_of(grid), atol=0.6)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_ball_grown_by_3_mm_is_the_larger_ball_and_shrunk_by_3_mm_the_smaller(grid):
    assert ball(grid, 8).grown(3).overlap(ball(grid, 11)) > 0.85
    assert ball(grid, 11).grown(-3).overlap(ball(grid, 8)) > 0.85


def test_nothing_shrinks_from_the_end_of_the_volume():
    slab = Piece(FINE, Box((0, 10, 10), (20, 30, 30)), np.ones((20, 20, 20), bool))
    assert slab.grown(-2).box == Box((0, 12, 12), (18, 28, 28))


def test_a_tube_is_tubular_a_sheet_flat_and_a_shell_hollow():
    tube = Piece(FINE, Box((2, 18, 18), (38, 21, 21)), np.ones((36, 3, 3), bool))
    sheet = Piece(FINE, Box((5, 5, 20), (35, 35, 22)), np.ones((30, 30, 2), bool))
    shell = ball(FINE, 14).without(ball(FINE, 8))
    assert tube.tubularity > 8 > 4 > sheet.tubularity and shell.tubularity < 2
    assert sheet.flatness > 4 > 2 > ball(FINE, 12).flatness
    assert shell.hollowness == pytest.approx((8 / 14) ** 3, abs=0.06) and sheet.hollowness == 0


def test_pieces_are_united_cut_and_compared():
    one, other = cube(10, 20), cube(15, 25)
    assert united((one, other)).voxels == 2 * 1000 - 125
    assert one.without(other).voxels == 1000 - 125 and one.within(other).voxels == 125
    assert one.overlap(other) == pytest.approx(125 / 1875)
    assert one.share_in(other) == pytest.approx(0.125)
    assert one.within(cube(30, 35)).is_empty and one.overlap(cube(30, 35)) == 0


def test_components_come_largest_first():
    both = united((cube(2, 5), cube(10, 20)))
    assert [part.voxels for part in both.components()] == [1000, 27]
    assert [part.voxels for part in both.components(fewest=100)] == [1000]


def test_distances_are_in_mm_along_every_axis():
    mask = np.ones((5, 5, 5), bool)
    mask[0, 0, 0] = False
    far = distance_mm(mask, (3.0, 2.0, 1.0))
    assert far[1, 0, 0] == 3 and far[0, 1, 0] == 2 and far[0, 0, 4] == 4
    assert far[1, 1, 0] == pytest.approx(np.sqrt(13))


def test_an_empty_piece_can_do_all_that_others_can():
    nothing = Piece.nothing(FINE)
    for piece in (nothing.grown(2), nothing.grown(-2), nothing.smoothed(3), nothing.filled(True), nothing.closed(3)):
        assert piece.is_empty
    assert nothing.components() == () and united((nothing, cube(1, 2))).voxels == 1


# -- commands --------------------------------------------------------------------------------------------------------


def test_smoothing_takes_a_spike_off_and_keeps_the_size():
    spiky = united((cube(10, 30), Piece(FINE, Box((20, 20, 30), (21, 21, 38)), np.ones((1, 1, 8), bool))))
    smooth, told = shaped(spiky, Smooth(3))
    assert smooth.box.stop_kji[2] <= 32
    assert smooth.voxels == pytest.approx(8000, rel=0.05) and "3 mm" in told


def test_holes_are_filled_but_not_what_is_open():
    hollow = cube(10, 20).without(cube(13, 17))
    assert shaped(hollow, FillHoles())[0].voxels == 1000
    tunnel = cube(10, 20).without(Piece(FINE, Box((10, 14, 14), (20, 16, 16)), np.ones((10, 2, 2), bool)))
    with pytest.raises(PromptError, match="no holes"):
        shaped(tunnel, FillHoles())


def test_the_largest_pieces_are_kept_and_small_ones_go():
    pieces = united((cube(2, 5), cube(7, 12), cube(15, 30)))
    assert shaped(pieces, KeepLargest())[0].voxels == 15**3
    assert shaped(pieces, KeepLargest(2))[0].voxels == 15**3 + 5**3
    kept, told = shaped(pieces, RemoveSmall(6))  # a cube of 3 mm is 5.2 mm from corner to corner
    assert kept.voxels == 15**3 + 5**3 and told == "One piece below 6 mm went."


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (Grow(-9), "Nothing of the mask would be left"),
        (Grow(0.2), "less than a voxel"),
        (KeepLargest(), "one piece"),
        (RemoveSmall(3), "No piece of the mask is below 3 mm"),
    ],
)
def test_a_command_that_would_change_nothing_or_leave_nothing_says_so(command, message):
    with pytest.raises(PromptError, match=message):
        shaped(cube(10, 20), command)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_mask_is_split_into_the_patients_left_and_right(grid):
    left, right = ball(grid, 5, (-12, 0, 0)), ball(grid, 6, (12, 0, 0))
    kept, other = split(united((left, right)), SplitSides(Side.LEFT), middle_of(grid))
    assert kept.overlap(left) == 1 and other.overlap(right) == 1
    kept, other = split(united((left, right)), SplitSides(Side.RIGHT), middle_of(grid))
    assert kept.overlap(right) == 1 and other.overlap(left) == 1


def test_a_piece_that_spans_both_sides_is_cut_at_the_bodys_middle():
    kept, other = split(ball(FINE, 12), SplitSides(Side.LEFT), middle_of(FINE))
    assert kept.voxels == other.voxels
    assert kept.centre_ras[0] < middle_of(FINE)[0] < other.centre_ras[0]
