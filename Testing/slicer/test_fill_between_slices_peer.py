"""Slicer's Fill between slices as a peer: the real filter from slicer-core."""

from __future__ import annotations

import numpy as np
import pytest

from memseg.evaluation.propagation.methods import Filling, method_of
from MemSegSlicerLib.FillBetweenSlicesPeer import FillBetweenSlicesPeer, isThin

pytestmark = pytest.mark.slicer


def drawn(axis: int = 0, **widths: int) -> np.ndarray:
    """(9, 12, 12), or with the 9 on another axis: a square of that width, its corner at 3, in each slice named."""
    mask = np.zeros((9, 12, 12), np.uint8)
    for name, width in widths.items():
        mask[int(name[1:]), 3 : 3 + width, 3 : 3 + width] = 1
    return np.moveaxis(mask, 0, axis)


def test_it_is_found_by_its_entry_point():
    method = method_of("fill")
    assert isinstance(method, Filling) and isinstance(method.filler, FillBetweenSlicesPeer)
    assert method.fewest == 2


@pytest.mark.parametrize(("axis", "number"), [("k", 0), ("j", 1), ("i", 2)])
def test_two_equal_slices_are_joined_along_any_axis_and_nothing_goes_beyond(axis, number):
    filled = np.moveaxis(FillBetweenSlicesPeer().filled(drawn(number, s2=4, s6=4), axis), number, 0)
    assert [int(plane.sum()) for plane in filled] == [0, 0, 16, 16, 16, 16, 16, 0, 0]
    assert filled[4, 3:7, 3:7].all()


@pytest.mark.parametrize("width", [1, 2, 3])
def test_between_a_small_and_a_large_slice_lies_one_of_a_size_between(width):
    """Of squares of one or two voxels the filter alone would make nothing."""
    filled = FillBetweenSlicesPeer().filled(drawn(s1=width, s5=8), "k")
    sizes = [int(plane.sum()) for plane in filled[1:6]]
    assert (sizes[0], sizes[-1]) == (width**2, 64)
    assert sizes == sorted(sizes) and width**2 < sizes[2] < 64


def test_what_is_nowhere_three_voxels_wide_is_thin():
    bar = np.zeros((8, 8), bool)
    bar[2:4, :] = True
    assert isThin(bar) and isThin(np.zeros((8, 8), bool))
    bar[4, 2:5] = True
    assert not isThin(bar)  # the voxel in the middle of the three rows has all four neighbours


def test_slices_that_were_drawn_stay_as_they_were():
    mask = drawn(s0=3, s4=7, s8=2)
    filled = FillBetweenSlicesPeer().filled(mask, "k")
    for index in (0, 4, 8):
        np.testing.assert_array_equal(filled[index], mask[index])
    assert filled.dtype == np.uint8 and set(np.unique(filled)) == {0, 1}


def test_slices_side_by_side_leave_nothing_to_fill():
    mask = drawn(s3=4, s4=6)
    np.testing.assert_array_equal(FillBetweenSlicesPeer().filled(mask, "k"), mask)


def test_nothing_drawn_fills_nothing():
    mask = np.zeros((4, 4, 4), np.uint8)
    np.testing.assert_array_equal(FillBetweenSlicesPeer().filled(mask, "k"), mask)
