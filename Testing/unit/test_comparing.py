"""Two answers to the same words side by side: which two, on which slice, and how the pictures are turned."""

from __future__ import annotations

import numpy as np
import pytest

from memseg.geometry import Box, Grid
from memseg.text.comparing import EDGE, compare, pair_of
from memseg.text.grounding import Found
from memseg.volume import Volume

SHAPE = (10, 40, 40)
OUTLINE = (46, 196, 182)
LPS = np.diag([-1.0, -1.0, 2.0, 1.0])  # voxels as scanners write them: i to the left, j to the back, k up


def found(box: Box, link: str, confidence: float = 0.8) -> Found:
    return Found("liver", box, np.ones(box.shape_kji), confidence, f"By {link}.", link)


def volume(matrix: np.ndarray = LPS, shape: tuple[int, int, int] = SHAPE) -> Volume:
    """Its right half (low i) is brighter than its left half, its front (low j) than its back."""
    _, j, i = np.indices(shape)
    values = 100.0 + 100 * (i < shape[2] // 2) + 40 * (j < shape[1] // 2)
    return Volume(values, Grid(shape, matrix))


def outline(picture: np.ndarray) -> np.ndarray:
    return (picture == OUTLINE).all(axis=-1)


BLOCK = Box((2, 10, 10), (8, 30, 30))
HIGHER = Box((4, 10, 10), (8, 30, 36))


def compared(first: Found, second: Found, image: Volume | None = None):
    return compare(image or volume(), (first, second), (0, 1), "BiomedParse", "Nano")


# -- which two ---------------------------------------------------------------------------------------------------------


def test_the_best_is_compared_with_the_best_that_was_found_in_another_way():
    answers = [found(BLOCK, link) for link in ("model", "model", "recall", "physics")]
    assert pair_of(answers) == (0, 2)


@pytest.mark.parametrize("links", [("recall",), ("physics", "physics"), ("physics", "clicks")])
def test_a_single_answer_and_answers_found_in_one_way_are_not_compared(links):
    assert pair_of([found(BLOCK, link) for link in links]) is None


# -- which slice -------------------------------------------------------------------------------------------------------


def test_both_are_shown_on_the_slice_where_they_differ_most():
    # slices 2 and 3: 20 x 20 voxels of the first alone; 4 to 7: 20 x 6 of the second alone
    seen = compared(found(BLOCK, "model"), found(HIGHER, "recall"))
    assert (seen.axis, seen.index, seen.differing) == ("k", 3, 400)


def test_slices_lie_across_the_axis_of_the_thickest_voxels():
    matrix = np.diag([-3.0, -1.0, 1.0, 1.0])
    seen = compared(found(BLOCK, "model"), found(HIGHER, "recall"), volume(matrix))
    # along i: 10 to 29 differ by the slices 2 and 3 (2 x 20); 30 to 35 by the second's 4 x 20
    assert (seen.axis, seen.index, seen.differing) == ("i", 33, 80)


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_each_is_outlined_in_its_own_picture_of_the_same_slice():
    first, second = compared(found(BLOCK, "model"), found(HIGHER, "recall")).sides
    assert first.picture.shape == second.picture.shape == (EDGE, EDGE, 3) and first.picture.dtype == np.uint8
    assert outline(first.picture).any() and not outline(second.picture).any()  # the second is not in slice 3
    bare = ~outline(first.picture)
    assert np.array_equal(first.picture[bare], second.picture[bare])


def test_the_outline_has_the_size_of_the_object():
    seen = compared(found(BLOCK, "model"), found(HIGHER, "recall"))
    rows, columns = np.nonzero(outline(seen.sides[0].picture))
    # 20 mm of the 40 mm that are shown at least
    assert np.ptp(rows) + 1 == pytest.approx(EDGE / 2, abs=3) and np.ptp(columns) + 1 == pytest.approx(EDGE / 2, abs=3)


@pytest.mark.parametrize("flips", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
@pytest.mark.parametrize("swapped", [False, True])
def test_the_patients_right_is_on_the_left_and_the_front_up_however_voxels_lie(flips, swapped):
    image, answers = volume(), [found(BLOCK, "model"), found(HIGHER, "recall")]
    array, matrix = image.array_kji, LPS.copy()
    boxes = [answer.box for answer in answers]
    for axis, flip in enumerate(flips, start=1):
        if flip < 0:
            array = np.flip(array, axis)
            column = 2 - axis
            matrix[:3, 3] += matrix[:3, column] * (SHAPE[axis] - 1)
            matrix[:3, column] *= -1
            boxes = [_flipped(box, axis) for box in boxes]
    if swapped:
        array, matrix = array.transpose(0, 2, 1), matrix[:, [1, 0, 2, 3]]
        boxes = [Box(*(tuple(np.array(end)[[0, 2, 1]]) for end in (box.start_kji, box.stop_kji))) for box in boxes]
    turned = Volume(array, Grid(array.shape, matrix))
    picture = compared(*(found(box, each.link) for box, each in zip(boxes, answers)), turned).sides[1].picture[..., 0]
    low, high = EDGE // 2 - 20, EDGE // 2 + 20
    assert picture[low, low] > picture[low, high] > picture[high, high]
    assert picture[low, low] > picture[high, low] > picture[high, high]


def _flipped(box: Box, axis: int) -> Box:
    start, stop = list(box.start_kji), list(box.stop_kji)
    start[axis], stop[axis] = SHAPE[axis] - box.stop_kji[axis], SHAPE[axis] - box.start_kji[axis]
    return Box(tuple(start), tuple(stop))


def test_a_slice_across_the_front_shows_the_head_up():
    shape = (40, 10, 40)
    k = np.indices(shape)[0]
    image = Volume(100.0 + 3 * k, Grid(shape, np.diag([-1.0, -3.0, 1.0, 1.0])))
    boxes = Box((10, 2, 10), (30, 8, 30)), Box((10, 4, 10), (30, 8, 36))
    seen = compared(found(boxes[0], "model"), found(boxes[1], "recall"), image)
    picture = seen.sides[1].picture[..., 0]
    assert seen.axis == "j" and picture[20, 80] > picture[140, 80]


def test_answers_at_the_edge_of_the_volume_and_of_one_voxel_are_drawn():
    corner, other = Box((0, 0, 0), (1, 1, 1)), Box((9, 39, 39), (10, 40, 40))
    seen = compared(found(corner, "model"), found(other, "recall"))
    assert seen.differing == 1 and outline(seen.sides[1].picture).any() != outline(seen.sides[0].picture).any()


# -- who ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "who"),
    [
        ("model", "BiomedParse"),
        ("recall", "Recall memory"),
        ("physics", "Values and shape"),
        ("clicks", "Values and shape, outlined by Nano"),
        ("mask", "Segment of this volume"),
    ],
)
def test_it_is_said_who_found_each_and_why(link, who):
    side = compared(found(BLOCK, link, 0.7), found(HIGHER, "recall")).sides[0]
    assert (side.who, side.title, side.why, side.confidence, side.number) == (who, "liver", f"By {link}.", 0.7, 0)
