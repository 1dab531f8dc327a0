"""What the browser makes of slices: bars of the strip, names of axes, which slice a view shows, sentences."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import turned_grid

from memseg.geometry import Grid
from memseg.memory.slices import SliceEntry, SliceFeatures
from memseg.propagation import SliceMark
from MemSegSlicerLib import SlicePlaces
from MemSegSlicerLib.Record import Progress, SessionState
from MemSegSlicerLib.SlicePlaces import AxisRow
from MemSegSlicerLib.SliceRows import SliceRow, progressWords, sliceRows, startWords
from MemSegSlicerLib.Strip import Bar, bars

AGREED = SliceMark(1.0, agreed=True)


def entry(axis: str, index: int, **more: object) -> SliceEntry:
    features = SliceFeatures(np.ones((1, 1, 1)), np.ones((1, 1, 1)), (0, 0, 1))
    return SliceEntry(axis, index, 0.0, "block-slices", features, **more)


class TestStrip:
    def test_slices_that_look_the_same_are_one_bar(self) -> None:
        marks = {2: SliceMark(0.831), 3: AGREED, 4: SliceMark(0.834), 5: SliceMark(0.834)}
        assert bars(marks, {2, 3, 4, 5}, 7) == [
            Bar(0, 2, "untouched", 0, 0, "untouched"),
            Bar(2, 1, "propagated", 3, 83, "propagated, confidence 83 %"),
            Bar(3, 1, "agreed", 0, 100, "agreed"),
            Bar(4, 2, "propagated", 3, 83, "propagated, confidence 83 %"),
            Bar(6, 1, "untouched", 0, 0, "untouched"),
        ]

    @pytest.mark.parametrize(("confidence", "level"), [(0.2, 0), (0.5, 1), (0.69, 1), (0.7, 2), (0.8, 3), (0.9, 4)])
    def test_a_bars_colour_tells_its_confidence(self, confidence: float, level: int) -> None:
        assert bars({0: SliceMark(confidence)}, {0}, 1)[0].level == level

    def test_a_slice_without_the_object_says_who_found_so(self) -> None:
        marks = {0: SliceMark(1.0, agreed=True, present=False), 1: SliceMark(0.75, present=False)}
        assert [(bar.kind, bar.words) for bar in bars(marks, set(), 2)] == [
            ("clear", "agreed not to hold the object"),
            ("absent", "the object is not in it, confidence 75 %"),
        ]

    def test_a_mask_that_no_propagation_made_shows_too(self) -> None:
        assert [(bar.start, bar.count, bar.kind) for bar in bars({}, {1, 2}, 4)] == [
            (0, 1, "untouched"),
            (1, 2, "held"),
            (3, 1, "untouched"),
        ]


class TestPlaces:
    def test_axes_are_named_after_the_planes_of_their_slices(self) -> None:
        assert SlicePlaces.axisRows(Grid.from_spacing((4, 5, 6), (2.0, 1.0, 1.0))) == [
            AxisRow("k", "Axial", 4, "I", "S"),
            AxisRow("j", "Coronal", 5, "P", "A"),
            AxisRow("i", "Sagittal", 6, "L", "R"),
        ]

    def test_sagittal_slices_are_sagittal_though_they_lie_along_k(self) -> None:
        matrix = np.array([[0.0, 0, -2, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # i to A, j to I, k to L
        assert SlicePlaces.axisRows(Grid((4, 5, 6), matrix)) == [
            AxisRow("k", "Sagittal", 4, "R", "L"),
            AxisRow("j", "Axial", 5, "S", "I"),
            AxisRow("i", "Coronal", 6, "P", "A"),
        ]

    def test_in_an_oblique_image_every_name_is_given_once(self) -> None:
        assert {row.title for row in SlicePlaces.axisRows(turned_grid())} == {"Axial", "Coronal", "Sagittal"}

    def test_a_view_shows_slices_of_the_axis_across_it(self) -> None:
        grid = turned_grid()
        for axis in ("k", "j", "i"):
            assert SlicePlaces.axisAcross(grid, -3 * SlicePlaces.stepRas(grid, axis)) == axis

    @pytest.mark.parametrize(("axis", "index"), [("k", 0), ("k", 19), ("j", 7), ("i", 27)])
    def test_a_plane_through_a_slices_middle_shows_that_slice(self, axis: str, index: int) -> None:
        grid = turned_grid()
        place, step = SlicePlaces.placeRas(grid, axis, index), SlicePlaces.stepRas(grid, axis)
        assert SlicePlaces.indexAt(grid, axis, place, step) == index
        aside = place + 30 * np.cross(step, (1.0, 2.0, 3.0))  # in the plane, elsewhere
        assert SlicePlaces.indexAt(grid, axis, aside, -step) == index

    def test_a_plane_beyond_the_image_counts_as_its_last_slice(self) -> None:
        grid = Grid.from_spacing((4, 5, 6), (2.0, 1.0, 1.0))
        assert SlicePlaces.indexAt(grid, "k", np.array([0, 0, 3.1]), np.array([0, 0, 1.0])) == 2
        assert SlicePlaces.indexAt(grid, "k", np.array([0, 0, 99.0]), np.array([0, 0, 1.0])) == 3
        assert SlicePlaces.indexAt(grid, "k", np.array([0, 0, -9.0]), np.array([0, 0, 1.0])) == 0


class TestSentences:
    def test_the_slice_memory_is_listed_by_axis_and_index(self) -> None:
        entries = (
            entry("j", 3, confidence=0.5),
            entry("k", 9, prominence=2.0, agreed=True),
            entry("k", 7, pinned=True),
        )
        rows = sliceRows(SessionState("nano", slices=entries), {"k": "Axial", "j": "Coronal"})
        assert rows == [
            SliceRow("k7", "k", 7, "Axial 7", 100, "1", False, True),
            SliceRow("k9", "k", 9, "Axial 9", 100, "2", True, False),
            SliceRow("j3", "j", 3, "Coronal 3", 50, "1", False, False),
        ]

    @pytest.mark.parametrize(
        ("marks", "reference", "words"),
        [
            ({}, None, "From the largest slice"),
            ({}, 4, "From slice 4, shown"),
            ({("k", 2): AGREED}, None, "From agreed slice 2"),
            ({("k", 9): AGREED, ("k", 2): AGREED}, None, "From agreed slices 2, 9"),
            ({("k", index): AGREED for index in range(5)}, None, "From 5 agreed slices"),
            ({("j", 2): AGREED}, 4, "From slice 4, shown"),
        ],
    )
    def test_where_a_propagation_would_start_is_said(self, marks: dict, reference: int | None, words: str) -> None:
        state = SessionState("nano", marks=marks, filled={"k": frozenset({2, 4, 9})})
        assert startWords(state, "k", reference) == words

    def test_without_a_mask_the_user_is_told_to_make_one(self) -> None:
        assert startWords(SessionState("nano"), "k", None) == "Draw or click the object first"

    def test_progress_is_the_slice_and_the_count(self) -> None:
        assert progressWords(SessionState("nano")) == ""
        assert progressWords(SessionState("nano", progress=Progress("k", 0, None))) == "Starting"
        assert progressWords(SessionState("nano", progress=Progress("k", 3, 12))) == "Slice 12 · 3 done"
