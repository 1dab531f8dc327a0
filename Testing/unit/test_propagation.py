"""Propagation: where it goes, when it stops, what it leaves alone; worked out by hand on blocks and bars."""

import numpy as np
import pytest
from fakes import BlockSlices
from hypothesis import given, settings
from hypothesis import strategies as st

from memseg.geometry import Box, Grid
from memseg.memory.slices import SliceMemory
from memseg.propagation import (
    Course,
    Front,
    SliceMark,
    Stack,
    carried,
    cut_off,
    fronts,
    propagate,
    propagate_in_time,
    spared,
)
from memseg.segmenters.slice_base import plane_of
from memseg.volume import Volume

SHAPE = (12, 5, 6)
GRID = Grid.from_spacing(SHAPE, (2, 1, 1))


def bar(first: int = 3, last: int = 8, axis: int = 0) -> Volume:
    """100 in a bar of 3 x 3 voxels along an axis, from slice first to last; 0 elsewhere."""
    image = np.zeros(SHAPE, np.int16)
    where = [slice(1, 4)] * 3
    where[axis] = slice(first, last + 1)
    image[tuple(where)] = 100
    return Volume(image, GRID)


def course(references=(5,), first=0, last=11, **more) -> Course:
    return Course("k", tuple(np.atleast_1d(references)), first, last, **more)


def walked(volume, mask, asked, marks=None, memory=None, segmenter=None, most=None) -> list:
    """All steps, each applied to the mask."""
    steps = []
    segmenter = segmenter or BlockSlices()
    for followed in propagate(volume, mask, asked, marks or {}, memory, segmenter, number=7):
        mask[followed.step.change.box.slices] = followed.step.change.after
        steps.append(followed)
        if len(steps) == most:
            break
    return steps


def drawn(*indices, volume=None) -> np.ndarray:
    """The bar's mask in some slices along k."""
    mask = np.zeros(SHAPE, np.uint8)
    for index in indices:
        mask[index] = (volume or bar()).array_kji[index] > 0
    return mask


def order(steps) -> list[int]:
    return [followed.step.index for followed in steps]


def ends(steps) -> list[str]:
    return [followed.step.stopped for followed in steps if followed.step.stopped]


# -- where it goes ---------------------------------------------------------------------------------------------------


def test_one_reference_is_followed_to_both_ends():
    assert fronts(course(5), {}) == (Front(5, range(6, 12)), Front(5, range(4, -1, -1)))


def test_one_direction_is_followed_alone():
    assert fronts(course(5, direction="up"), {}) == (Front(5, range(6, 12)),)
    assert fronts(course(5, direction="down"), {}) == (Front(5, range(4, -1, -1)),)


def test_the_range_bounds_both_sides():
    assert fronts(course(5, 4, 7), {}) == (Front(5, range(6, 8)), Front(5, range(4, 3, -1)))
    assert fronts(course(5, 5, 5), {}) == ()


def test_a_gap_between_two_that_hold_the_object_is_filled_from_both_ends_to_its_middle():
    low, high = Front(2, range(3, 6), 8, True), Front(8, range(7, 5, -1), 2, True)
    assert fronts(course((2, 8)), {}) == (low, high, Front(2, range(1, -1, -1)), Front(8, range(9, 12)))


def test_an_agreed_slice_that_is_no_reference_is_an_end_too_and_nothing_happens_beyond_it():
    found = fronts(course(2), {8: True})
    assert found == (Front(2, range(3, 6), 8, True), Front(8, range(7, 5, -1), 2, True), Front(2, range(1, -1, -1)))


def test_in_one_direction_a_gap_is_filled_from_one_end():
    assert fronts(course(2, direction="up"), {8: True}) == (Front(2, range(3, 8), 8, True),)


def test_a_gap_of_one_slice_is_filled_once_and_a_gap_of_none_not_at_all():
    assert fronts(course((4, 6), 4, 6), {}) == (Front(4, range(5, 6), 6, True),)
    assert fronts(course((4, 5), 4, 5), {}) == ()


def test_an_agreed_slice_without_the_object_ends_a_side():
    assert fronts(course(5, direction="up"), {9: False}) == (Front(5, range(6, 9), 9),)


def test_an_agreed_slice_outside_the_range_closes_the_gap_but_is_no_start():
    assert fronts(course(5, 4, 7), {9: True}) == (Front(5, range(6, 8), 9, True), Front(5, range(4, 3, -1)))


@pytest.mark.parametrize(
    "wrong",
    [{"axis": "t"}, {"direction": "left"}, {"patience": 0}, {"references": ()}, {"references": (12,)}, {"first": 6}],
)
def test_a_course_checks_itself(wrong):
    with pytest.raises(ValueError, match="course"):
        Course(**{"axis": "k", "references": (5,), "first": 0, "last": 11, **wrong})


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_fronts_fill_every_slice_at_most_once_and_no_agreed_one(data):
    agreed = data.draw(st.dictionaries(st.integers(0, 20), st.booleans(), max_size=6))
    first, last = sorted(data.draw(st.tuples(st.integers(0, 20), st.integers(0, 20))))
    references = data.draw(st.lists(st.integers(first, last), min_size=1, max_size=4))
    direction = data.draw(st.sampled_from(["both", "up", "down"]))
    found = fronts(Course("k", tuple(references), first, last, direction), agreed)
    filled = [index for front in found for index in front.slices]
    assert len(filled) == len(set(filled))
    assert not set(filled) & ({*agreed, *references})
    assert all(first <= index <= last for index in filled)
    if direction == "both":  # whatever can be reached from a reference without crossing an agreed slice is filled
        ends_at = {*agreed, *references}
        reached = set()
        for start in references:
            for step in (1, -1):
                index = start + step
                while first <= index <= last and index not in ends_at:
                    reached.add(index)
                    index += step
        assert set(filled) == reached


# -- one slice after the other ----------------------------------------------------------------------------------------


def test_the_object_is_followed_both_ways_by_turns_to_its_ends_and_no_further():
    mask = drawn(5)
    steps = walked(bar(3, 8), mask, course(5))
    assert order(steps) == [6, 4, 7, 3, 8, 2, 9, 1, 10]
    assert np.array_equal(mask > 0, bar(3, 8).array_kji > 0)
    assert ends(steps) == [
        "The object ends at slice 3: it is not in slices 1 to 2.",
        "The object ends at slice 8: it is not in slices 9 to 10.",
    ]


def test_each_step_says_how_sure_it_is_and_marks_its_slice():
    steps = walked(bar(3, 8), drawn(5), course(5), segmenter=BlockSlices({6: 0.75}))
    assert steps[0].mark == SliceMark(0.875, agreed=False, present=True, by=7) and steps[0].step.confidence == 0.875
    assert steps[5].mark == SliceMark(0.9, agreed=False, present=False, by=7)  # absent: 1 - 0.1, the certainty of that
    assert not steps[5].step.present and steps[5].step.change.is_empty


def test_what_goes_astray_in_one_slice_is_expected_to_go_on_in_the_next():
    assert carried(1.0, 0.75) == 0.875  # 1 - 2 * 0.25^2
    assert carried(0.5, 0.75) == 0.4375 and carried(0.5, 1.0) == 0.5 and carried(1.0, 0.0) == 0
    steps = walked(bar(0, 11), drawn(5), course(5, direction="up"), segmenter=BlockSlices({6: 0.75, 7: 0.5, 8: 1.0}))
    assert [each.mark.confidence for each in steps[:3]] == [0.875, 0.4375, 0.4375]


def test_a_side_that_has_lost_the_object_ends_unless_it_must_be_there():
    lost = BlockSlices({7: 0.2})
    steps = walked(bar(0, 11), drawn(5), course(5, direction="up"), segmenter=lost)
    assert order(steps) == [6, 7] and "The object is lost at slice 7" in ends(steps)[0]
    steps = walked(bar(0, 11), drawn(5, 9, volume=bar(0, 11)), course((5, 9), 5, 9, direction="up"), segmenter=lost)
    assert order(steps) == [6, 7, 8]


def test_patience_is_how_many_slices_in_a_row_may_be_without_the_object():
    image = np.array(bar(3, 8).array_kji)
    image[7] = 0  # a slice is missing
    volume = Volume(image, GRID)
    assert order(walked(volume, drawn(5), course(5, direction="up"))) == [6, 7, 8, 9, 10]
    steps = walked(volume, drawn(5), course(5, direction="up", patience=1))
    assert order(steps) == [6, 7] and ends(steps) == ["The object ends at slice 6: it is not in slice 7."]


def test_a_slice_is_followed_from_the_last_one_that_holds_the_object():
    image = np.array(bar(3, 8).array_kji)
    image[7] = 0
    segmenter = BlockSlices()
    walked(Volume(image, GRID), drawn(5), course(5, direction="up"), segmenter=segmenter)
    assert [(index, previous) for _, index, previous, *_ in segmenter.followed] == [
        (6, 5),
        (7, 6),
        (8, 6),
        (9, 8),
        (10, 8),
    ]


def test_in_a_closed_gap_absence_stops_nothing_and_both_ends_are_anchors():
    image = np.array(bar(1, 10).array_kji)
    image[4:8] = 0
    segmenter, mask = BlockSlices(), drawn(2, 9, volume=bar(1, 10))
    steps = walked(Volume(image, GRID), mask, course((2, 9), 2, 9), segmenter=segmenter)
    assert sorted(order(steps)) == [3, 4, 5, 6, 7, 8]
    assert {anchors for *_, anchors, _recent, _long in segmenter.followed} == {(2, 9)}
    assert ends(steps) == ["The gap between slices 2 and 9 is filled.", "The gap between slices 9 and 2 is filled."]


def test_an_open_side_has_the_nearest_agreed_slice_as_its_only_anchor():
    segmenter = BlockSlices()
    walked(bar(0, 11), drawn(5, 8, volume=bar(0, 11)), course((5, 8)), segmenter=segmenter)
    anchors = {index: told for _, index, _, told, *_ in segmenter.followed}
    assert anchors[2] == (5,) and anchors[6] == (5, 8) and anchors[10] == (8,)


def test_a_side_ends_before_a_slice_that_is_agreed_not_to_hold_the_object():
    marks = {("k", 8): SliceMark(1.0, True, False)}
    steps = walked(bar(0, 11), drawn(5), course(5, direction="up"), marks)
    assert order(steps) == [6, 7] and ends(steps) == ["Slice 8 is agreed not to hold the object."]


def test_the_ends_of_range_and_volume_are_said():
    steps = walked(bar(0, 11), drawn(5), course(5, 0, 8))
    assert ends(steps) == ["The range ends at slice 8.", "The volume ends here."]


def test_what_an_earlier_propagation_left_beyond_the_end_is_emptied_and_nothing_else():
    mask = drawn(5)
    mask[9:12, 1:4, 1:4] = 1  # 9: now found absent; 10 propagated before; 11 painted by hand, without a mark
    marks = {("k", 9): SliceMark(0.5), ("k", 10): SliceMark(0.5), ("k", 4): SliceMark(0.5)}
    steps = walked(bar(3, 8), mask, course(5, direction="up", patience=1), marks)
    assert order(steps) == [6, 7, 8, 9, 10] and not mask[9:11].any() and mask[11].any()
    assert steps[-1].mark == SliceMark(0.9, False, False, 7) and steps[-1].step.change.voxels_changed == 9


def test_beyond_the_end_emptying_halts_at_the_next_agreed_slice():
    mask = drawn(5)
    mask[9:12, 1:4, 1:4] = 1
    marks = {("k", 9): SliceMark(0.5), ("k", 10): SliceMark(1.0, True, False), ("k", 11): SliceMark(0.5)}
    walked(bar(3, 7), mask, course(5, direction="up", patience=1), marks)
    assert not mask[9].any() and mask[10].any() and mask[11].any()


def test_slices_agreed_along_other_axes_keep_their_voxels():
    mask, marks = drawn(5), {("j", 2): SliceMark(1.0, True, True)}
    mask[7, 2, 1:3] = 1
    before = mask[:, 2].copy()
    steps = walked(bar(0, 11), mask, course(5), marks)
    assert np.array_equal(mask[:, 2], before) and len(steps) == 11
    assert mask[7, 1].sum() == 3 and mask[6, 2].sum() == 0


def test_an_agreed_slice_that_crosses_says_that_the_object_is_there():
    mask, marks = drawn(5), {("j", 2): SliceMark(1.0, True, True)}
    mask[9, 2, 1:4] = 1
    steps = walked(bar(3, 8), mask, course(5, direction="up", patience=1), marks)
    assert [(each.step.index, each.step.present) for each in steps][-2:] == [(9, True), (10, False)]


@pytest.mark.parametrize(("axis", "number"), [("j", 1), ("i", 2)])
def test_the_other_axes_work_alike(axis, number):
    volume = bar(1, 3, axis=number)
    mask = np.zeros(SHAPE, np.uint8)
    plane_of(mask, axis, 2)[:] = plane_of(volume.array_kji, axis, 2) > 0
    walked(volume, mask, Course(axis, (2,), 0, SHAPE[number] - 1))
    assert np.array_equal(mask > 0, volume.array_kji > 0)


# -- memory ----------------------------------------------------------------------------------------------------------


def test_references_are_remembered_first_and_each_side_recalls_its_own_last_slices():
    segmenter = BlockSlices()
    steps = walked(bar(0, 11), drawn(5), course(5), memory=SliceMemory(recent_capacity=2), segmenter=segmenter)
    recent = {index: told for _, index, _, _, told, _ in segmenter.followed}
    assert recent[6] == () and recent[7] == (6,) and recent[9] == (7, 8) and recent[2] == (4, 3)
    long = {index: told for *_, index, _, _, _, told in segmenter.followed}
    assert long[6] == (5,) and set(long[4]) == {5, 6}
    reference = steps[-1].memory.get("k", 5)
    assert reference.reference and reference.agreed and reference.prominence == 2 and reference.place_mm == 10


def test_slices_to_be_filled_anew_are_forgotten_first():
    memory = walked(bar(0, 11), drawn(5), course(5), memory=SliceMemory())[-1].memory
    steps = walked(bar(0, 11), drawn(5), course(5, 4, 8, direction="up"), memory=memory)
    held = {each.index for each in steps[0].memory}
    assert 6 in held and not held & {7, 8} and 5 in held


def test_absent_slices_are_not_remembered():
    memory = walked(bar(3, 8), drawn(5), course(5), memory=SliceMemory())[-1].memory
    assert {each.index for each in memory} == {3, 4, 5, 6, 7, 8}


def test_without_memory_nothing_is_recalled_or_remembered():
    segmenter = BlockSlices()
    steps = walked(bar(), drawn(5), course(5), segmenter=segmenter)
    assert {told[4:] for told in segmenter.followed} == {((), ())} and steps[-1].memory is None


@pytest.mark.parametrize("policy", ["recent", "self-sorting", "similar"])
def test_every_policy_gives_the_same_answers_twice(policy):
    told = []
    for _ in range(2):
        segmenter = BlockSlices()
        walked(bar(0, 11), drawn(5), course(5), memory=SliceMemory(capacity=3, policy=policy), segmenter=segmenter)
        told.append(segmenter.followed)
    assert told[0] == told[1] and any(each[-1] for each in told[0])


# -- time ------------------------------------------------------------------------------------------------------------


def in_time(later_mask, memory=None, marks=None) -> tuple[list, BlockSlices]:
    earlier, later = bar(3, 7), bar(4, 8)
    segmenter = BlockSlices()
    stacks = Stack(earlier, drawn(3, 4, 5, 6, 7), "k", {}), Stack(later, later_mask, "k", marks or {})
    steps = []
    for followed in propagate_in_time(*stacks, (3, 4, 5, 6, 7), SliceMemory(), memory, segmenter, 2):
        later_mask[followed.step.change.box.slices] = followed.step.change.after
        steps.append(followed)
    return steps, segmenter


def test_through_time_each_slice_is_followed_from_itself_the_middle_one_first():
    mask = np.zeros(SHAPE, np.uint8)
    steps, segmenter = in_time(mask)
    assert order(steps) == [5, 6, 4, 7, 3] and [each[1:3] for each in segmenter.followed][0] == (5, 5)
    assert [each.step.present for each in steps] == [True, True, True, True, False]
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [4, 5, 6, 7]


def test_through_time_slices_agreed_later_stay_and_the_earlier_ones_are_recalled():
    mask, marks = np.zeros(SHAPE, np.uint8), {("k", 5): SliceMark(1.0, True, False)}
    steps, segmenter = in_time(mask, SliceMemory(), marks)
    assert order(steps) == [6, 4, 7, 3] and not mask[5].any()
    assert [told for *_, told, _ in segmenter.followed] == [(6,), (6, 4), (6, 4, 7), (4, 7, 3)]
    assert {each.index for each in steps[-1].memory} == {4, 6, 7}


# -- crops -----------------------------------------------------------------------------------------------------------


def test_a_crop_keeps_the_slices_it_is_told_to_spare():
    mask, after = np.zeros((3, 3, 3), np.uint8), np.ones((2, 2, 2), np.uint8)
    kept = spared(mask, Box((1, 1, 1), (3, 3, 3)), after, [("k", 1), ("i", 2), ("j", 0)])
    assert kept.tolist() == [[[0, 0], [0, 0]], [[1, 0], [1, 0]]] and after.all()


class TestCutOff:
    def test_slices_beyond_one_agreed_to_be_empty_are_cut_off_to_the_end_of_the_range(self):
        course = Course("k", (5,), 0, 12)
        assert cut_off(course, {5: True, 8: False}) == (9, 10, 11, 12)
        assert cut_off(course, {5: True, 2: False}) == (1, 0)

    def test_they_end_at_the_next_agreed_slice(self):
        assert cut_off(Course("k", (5,), 0, 12), {5: True, 8: False, 11: False}) == (9, 10)

    def test_those_before_an_agreed_slice_with_the_object_may_be_its_own(self):
        assert cut_off(Course("k", (5,), 0, 12), {5: True, 8: False, 11: True}) == ()

    def test_nothing_is_cut_off_on_a_side_that_is_not_asked_for_or_not_bounded(self):
        assert cut_off(Course("k", (5,), 0, 12, "down"), {5: True, 8: False}) == ()
        assert cut_off(Course("k", (5,), 0, 12), {5: True, 8: True}) == ()
