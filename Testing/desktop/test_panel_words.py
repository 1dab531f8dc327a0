"""What is typed in the panel: completed, answered, understood in a sentence, corrected by clicks or another meaning."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer
from panel_stage import makePanel  # noqa: F401  fixtures
from pointing import SHAPE, B, block
from PySide6.QtTest import QTest

pytestmark = pytest.mark.slicer

LARGE, SMALL = (slice(4, 12), slice(4, 12), slice(4, 12)), (slice(20, 24), slice(20, 24), slice(20, 24))


@pytest.fixture
def stage(makePanel):
    """Two bright cubes in soft tissue."""
    array = np.full(SHAPE, 40, np.int16)
    array += np.random.default_rng(0).integers(-5, 6, SHAPE, dtype=np.int16)
    array[LARGE] = array[SMALL] = 600
    return makePanel(array=array)


def cubes(*places: tuple[slice, ...]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    for place in places:
        mask[place] = 1
    return mask


def test_words_make_a_mask_a_sentence_and_a_name(stage):
    stage.type("everything brighter than 300")
    assert np.array_equal(stage.mask(), cubes(LARGE, SMALL))
    sentence = stage.text("sentenceLabel")
    assert "brighter than 300" in sentence and sentence.endswith(".")
    assert stage.text("textLine") == ""
    assert any("everything brighter than 300" in row[1] for row in stage.rows("promptsTable"))
    stage.press("undoButton")
    assert not stage.mask().any() and not stage.widget("sentenceLabel").visible


def test_clicks_correct_what_words_made(stage):
    stage.type("everything brighter than 300")
    stage.click((22, 22, 22), control=True)
    assert not stage.mask()[SMALL].any() and stage.mask()[LARGE].all()
    stage.click(B)
    assert stage.mask()[block(B) == 1].all()


def test_what_is_not_found_is_said_and_the_words_stay_to_be_changed(stage):
    stage.type("left kidney")
    assert stage.said() and stage.text("textLine") == "left kidney"
    assert stage.prompts == []


def test_nothing_typed_is_a_sentence(stage):
    stage.type("   ")
    assert "type what to segment" in stage.said()


def test_names_are_completed_while_they_are_typed(stage):
    line = stage.widget("textLine")
    line.setFocus()
    QTest.keyClicks(line, "left kid")
    model = line.completer().model()
    offered = [model.data(model.index(row, 0)) for row in range(model.rowCount())]
    assert offered[0] == "left kidney"


def test_earlier_words_come_back_with_the_arrow_up(stage):
    stage.type("everything brighter than 300")
    stage.type("everything darker than 0")
    line = stage.widget("textLine")
    line.text = ""
    stage.host.activateWindow()
    line.setFocus()
    for key, words in (
        (qt.Qt.Key_Up, "everything darker than 0"),
        (qt.Qt.Key_Up, "everything brighter than 300"),
        (qt.Qt.Key_Down, "everything darker than 0"),
        (qt.Qt.Key_Down, ""),
    ):
        QTest.keyClick(line, key)
        assert line.text == words


def test_another_meaning_is_chosen_and_said(stage):
    stage.type("largest bright lesion")
    box = stage.widget("meaningsBox")
    assert box.visible and box.count >= 2
    first = stage.mask()
    box.setCurrentIndex(1)
    box.activated.emit(1)
    stage.settle()
    assert not np.array_equal(stage.mask(), first)
    assert "Chosen instead" in stage.text("sentenceLabel")
    stage.press("undoButton")
    assert np.array_equal(stage.mask(), first)


def test_the_views_go_to_what_was_found(stage):
    stage.view("Red", (28, 15, 15))
    stage.type("everything brighter than 300")
    offset = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetSliceOffset()
    assert 4 <= offset < 24 and stage.mask()[int(offset)].any()


def test_how_it_was_found_is_told_on_request(stage):
    stage.type("largest bright lesion")
    links = stage.widget("linksLabel")
    assert not links.visible and stage.widget("whyButton").visible
    stage.press("whyButton")
    assert links.visible and links.text.startswith("•")
