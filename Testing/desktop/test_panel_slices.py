"""Slice by slice in the panel: propagation, the strip, agreeing, and the memory of slices."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer
from panel_stage import makePanel  # noqa: F401  fixtures
from pointing import SHAPE
from PySide6.QtTest import QTest

from memseg.prompts import Click

pytestmark = pytest.mark.slicer

CENTRE = (15, 15, 15)
FIRST, LAST = 8, 22  # slices that hold the object: a column of 5 x 5 voxels


def column() -> np.ndarray:
    array = np.full(SHAPE, -100, np.int16)
    array[FIRST : LAST + 1, 13:18, 13:18] = 100
    return array


@pytest.fixture
def stage(makePanel):
    """One slice of the column is segmented, and shown."""
    stage = makePanel(array=column())
    stage.press("boxButton")
    stage.drag([(15, 13, 13), (15, 15, 15), (15, 17, 17)])
    stage.view("Red", CENTRE)
    return stage


def shown(stage) -> float:
    return slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetSliceOffset()


def strip(stage):
    return stage.widget("sliceStrip")


def kinds(stage) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for bar in strip(stage).view().bars:
        found.setdefault(bar.kind, []).extend(range(bar.start, bar.start + bar.count))
    return found


def test_the_object_is_followed_to_its_ends_and_the_strip_says_so(stage):
    assert stage.text("propagationLabel").startswith("From slice 15, shown")
    stage.press("propagateButton")
    filled = np.flatnonzero(stage.mask().any(axis=(1, 2)))
    assert (filled[0], filled[-1]) == (FIRST, LAST)
    assert kinds(stage)["agreed"] == [15]
    assert {FIRST, LAST} <= set(kinds(stage)["propagated"])
    assert "slices propagated" in stage.text("adviceLabel")
    stage.press("undoButton")
    assert np.flatnonzero(stage.mask().any(axis=(1, 2))).tolist() == [13, 14, 15, 16, 17]


def test_the_range_holds_and_is_kept_with_the_scene(stage):
    stage.widget("firstBox").value, stage.widget("lastBox").value = 12, 19
    assert stage.panel._bench.state.limits == (12, 19)
    stage.press("propagateButton")
    filled = np.flatnonzero(stage.mask().any(axis=(1, 2)))
    assert (filled[0], filled[-1]) == (12, 19)


def test_it_is_cancelled_by_the_same_button_and_what_was_done_stays(stage, pump):
    button = stage.widget("propagateButton")
    button.click()
    pump(lambda: stage.state.progress is not None and stage.state.progress.done >= 2)
    assert button.text == "Cancel (P)" and not stage.widget("axisBox").enabled
    button.click()
    stage.settle()
    assert button.text == "Propagate (P)" and "Cancelled." in stage.text("adviceLabel")
    assert len(stage.prompts) == 2


def test_a_click_on_the_strip_goes_to_the_slice(stage):
    place = qt.QPoint(round(10.5 * strip(stage).width / 30), 20)
    QTest.mouseClick(strip(stage), qt.Qt.LeftButton, qt.Qt.NoModifier, place)
    assert shown(stage) == 10 and strip(stage).view().shown == 10


def test_the_strip_follows_the_view(stage):
    stage.view("Red", (21, 15, 15))
    assert strip(stage).view().shown == 21


def test_the_strip_says_what_a_slice_is(stage):
    stage.press("propagateButton")
    assert strip(stage).words(15) == "Slice 15: agreed"
    assert strip(stage).words(12).startswith("Slice 12: propagated, confidence 9")
    assert strip(stage).words(1) == "Slice 1: untouched"


def test_a_slice_is_agreed_and_released(stage):
    stage.press("propagateButton")
    stage.view("Red", (12, 15, 15))
    stage.press("agreeButton")
    assert 12 in kinds(stage)["agreed"] and stage.widget("agreeButton").text == "Release (A)"
    stage.press("agreeButton")
    assert 12 not in kinds(stage)["agreed"]


def test_next_to_check_goes_there_and_says_why(stage, blockSlices):
    blockSlices.confidence[11] = 0.3
    stage.press("propagateButton")
    suggestion = stage.state.suggestion
    stage.press("nextButton")
    assert shown(stage) == suggestion.index
    assert stage.text("propagationLabel") == suggestion.reason


def test_the_view_one_draws_in_proposes_its_axis(stage):
    stage.press("clickButton")
    stage.click(CENTRE, view="Yellow")
    assert stage.widget("axisBox").currentText == "Sagittal" and stage.panel._bench.state.axis == "i"
    stage.click(CENTRE, view="Green")
    assert stage.widget("axisBox").currentText == "Coronal"


def test_remembered_slices_are_pinned_dropped_and_forgotten(stage):
    stage.press("propagateButton")
    rows = stage.rows("slicesTable")
    place = next(n for n, row in enumerate(rows) if row[0].startswith("Axial"))
    assert any(row[0] == "✓ Axial 15" for row in rows)
    entry = stage.state.slices[0]
    place = next(n for n, row in enumerate(rows) if row[0].endswith(f" {entry.index}"))
    stage.widget("slicesTable").cellClicked.emit(place, 3)
    stage.settle()
    assert stage.rows("slicesTable")[place][3] == "●"
    stage.widget("slicesTable").cellClicked.emit(place, 4)
    stage.settle()
    assert len(stage.rows("slicesTable")) == len(rows) - 1
    stage.press("clearSlicesButton")
    assert stage.rows("slicesTable") == [] and stage.text("slicesLabel") == "No slice remembered yet."


def test_smoothing_is_offered_after_a_propagation(stage):
    assert not stage.widget("consistentButton").enabled
    stage.press("propagateButton")
    stage.press("consistentButton")
    assert stage.said() == ""


def test_a_click_ends_a_propagation_and_counts(stage, pump):
    stage.press("clickButton")
    stage.widget("propagateButton").click()
    pump(lambda: stage.state.progress is not None and stage.state.progress.done >= 1)
    stage.tap((3, 3, 3))
    stage.settle()
    assert stage.prompts[-1] == Click((3, 3, 3))
