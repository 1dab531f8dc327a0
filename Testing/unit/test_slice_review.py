"""Propagated slices looked at together: which one to correct, and how they are made to agree with one another."""

import numpy as np
import pytest

from memseg.geometry import Box, Grid
from memseg.propagation import SliceMark
from memseg.slice_review import consistent, doubt, gain, suggest

SHAPE = (9, 12, 12)
GRID = Grid.from_spacing(SHAPE, (2, 1, 1))
AGREED = SliceMark(1.0, True, True)


def squares(*sizes: int) -> np.ndarray:
    """In each slice along k a square of that edge from (2, 2) on."""
    mask = np.zeros(SHAPE, np.uint8)
    for index, size in enumerate(sizes):
        mask[index, 2 : 2 + size, 2 : 2 + size] = 1
    return mask


def marks(agreed: set[int], confidence: dict[int, float] | None = None, count: int = 9) -> dict[int, SliceMark]:
    known = {index: SliceMark((confidence or {}).get(index, 0.9)) for index in range(count)}
    return {**known, **dict.fromkeys(agreed, AGREED)}


# -- which one ---------------------------------------------------------------------------------------------------------


def test_doubt_is_what_confidence_lacks_or_half_of_the_disagreement():
    assert doubt(SliceMark(0.4), overlap=1.0) == pytest.approx(0.6)
    assert doubt(SliceMark(0.9), overlap=0.5) == pytest.approx(0.25)


def test_a_correction_mends_its_slice_and_the_others_the_less_the_farther_off():
    # slices 5 mm apart, a third (1 / e) of the help left after 10 mm: 8 + 4 / e^0.5 + 2 / e = 11.16
    assert gain(5, {5: 8, 6: 4, 7: 2}, [], step_mm=5) == pytest.approx(11.162, abs=1e-3)


def test_a_correction_mends_nothing_beyond_the_next_agreed_slice():
    needs = {3: 100, 5: 8, 6: 4, 8: 100}
    assert gain(5, needs, [4, 7], step_mm=5) == pytest.approx(8 + 4 * np.exp(-0.5))
    assert gain(5, needs, [7, 9], step_mm=1e6) == pytest.approx(8)


def test_the_least_certain_slice_is_suggested_with_its_confidence():
    found = suggest(marks({0}, {1: 0.5, 7: 0.4}), squares(*[6] * 9), "k", GRID)
    assert (found.axis, found.index) == ("k", 7) and "least certain" in found.reason and "40%" in found.reason


def test_of_two_uncertain_slices_the_one_with_more_of_the_object_is_suggested():
    known = marks({0, 2, 3, 4, 5, 7, 8}, {1: 0.5, 6: 0.5})
    assert suggest(known, squares(6, 6, 6, 3, 3, 3, 3, 3, 3), "k", GRID).index == 1
    assert suggest(known, squares(3, 3, 3, 3, 6, 6, 6, 6, 6), "k", GRID).index == 6


def test_a_slice_that_differs_from_its_neighbours_is_suggested():
    found = suggest(marks({0}), squares(6, 6, 6, 6, 6, 6, 2, 6, 6), "k", GRID)
    assert found.index == 6 and found.reason == "Slice 6 differs most from the slices beside it."


def test_a_doubtful_end_is_said_to_be_one():
    known = {**marks(set(range(8))), 8: SliceMark(0.5, False, False)}
    assert "where the object ends" in suggest(known, squares(*[6] * 8), "k", GRID).reason


def test_agreed_slices_and_sure_ones_are_not_suggested():
    assert suggest(marks(set(range(9))), squares(1, 9, 1, 9), "k", GRID) is None
    assert suggest({}, squares(1, 9, 1, 9), "k", GRID) is None
    assert suggest({4: SliceMark(1.0)}, squares(*[6] * 9), "k", GRID) is None


def test_only_the_box_that_holds_the_mask_needs_to_be_looked_at():
    mask = squares(6, 6, 6, 6, 6, 6, 2, 6, 6)
    assert suggest(marks({0}), mask, "k", GRID, Box.of_mask(mask)) == suggest(marks({0}), mask, "k", GRID)


# -- evening out -------------------------------------------------------------------------------------------------------


def evened(mask: np.ndarray, known: dict, axis: str = "k") -> np.ndarray:
    change = consistent(GRID, mask, axis, {(axis, index): mark for index, mark in known.items()}, Box.of_mask(mask))
    after = mask.copy()
    after[change.box.slices] = change.after
    return after


def test_a_slice_that_jumps_out_becomes_what_lies_between_its_neighbours():
    mask = squares(6, 6, 6, 9, 6, 6, 6, 6, 6)
    assert np.array_equal(evened(mask, marks({0})), squares(*[6] * 9))


def test_agreed_slices_stay_as_they_are():
    mask = squares(6, 6, 6, 9, 6, 6, 6, 6, 6)
    assert np.array_equal(evened(mask, marks({0, 3})), mask)


def test_slices_that_nobody_propagated_stay_as_they_are():
    mask = squares(6, 6, 6, 9, 6, 6, 6, 6, 6)
    known = marks({0})
    del known[3]
    assert np.array_equal(evened(mask, known), mask)


def test_parts_that_hang_on_no_agreed_slice_go():
    mask = squares(*[6] * 9)
    mask[3:8, 10, 10] = 1
    assert np.array_equal(evened(mask, marks({0})), squares(*[6] * 9))


def test_the_objects_end_is_not_worn_away():
    mask = squares(6, 6, 6, 6, 4, 2)
    assert np.array_equal(evened(mask, marks({0}, count=6)), mask)


def test_where_no_agreed_slice_holds_the_object_nothing_is_taken_off():
    mask = squares(*[6] * 9)
    mask[3:8, 10, 10] = 1
    assert evened(mask, marks(set()))[5, 10, 10] == 1


def test_slices_agreed_along_another_axis_keep_their_voxels():
    mask = squares(6, 6, 6, 9, 6, 6, 6, 6, 6)
    known = {("k", index): mark for index, mark in marks({0}).items()} | {("j", 9): AGREED}
    change = consistent(GRID, mask, "k", known, Box.of_mask(mask))
    after = mask.copy()
    after[change.box.slices] = change.after
    assert after[3, 9].sum() == 9 and after[3, 8].sum() == 0


@pytest.mark.parametrize(("axis", "number"), [("j", 1), ("i", 2)])
def test_the_other_axes_are_evened_out_alike(axis, number):
    stack = np.zeros((12, 9, 12), np.uint8)
    stack[:, 2:7, 2:8] = 1
    stack[5, 2:8, 2:9] = 1
    mask = np.ascontiguousarray(np.moveaxis(stack, 0, number))
    even = np.moveaxis(evened(mask, marks({0}, count=12), axis), number, 0)
    assert np.array_equal(even[5], even[4]) and np.array_equal(even[4], stack[4])
