"""Answers that take long in the panel and in the effect: how far they are, stopping them, the kind of image, and two
answers side by side. BiomedParse reads words here; slices wait until the test lets them go."""

from __future__ import annotations

import numpy as np
import pytest
import qt
from effect_stage import makeStage  # noqa: F401  fixtures
from fakes import ellipsoid
from panel_stage import makePanel  # noqa: F401  fixtures
from PySide6.QtTest import QTest
from slow_biomedparse import OBJECT, SHAPE, Slow, array, installed, usual_places

from memseg.evaluation.metrics import dice
from memseg.geometry import Box, Grid
from memseg.memory.recall_files import RecallFolder, default_folder
from memseg.text.remembering import remember
from memseg.volume import Volume
from MemSegSlicerLib import Answering, Modality

pytestmark = pytest.mark.slicer

GRID = Grid.from_spacing(SHAPE, (4.0, 1.0, 1.0))
WIDE = ellipsoid((40, 64, 64), (20, 30, 30), (8.2, 9.2, 9.2))  # as large as what is recalled has to be
WIDE_GRID = Grid.from_spacing(WIDE.shape, (3.0, 3.0, 3.0))
BLOCK = Box((14, 18, 18), (27, 43, 43))


@pytest.fixture
def slow(blocks, monkeypatch) -> Slow:
    for name in ("_SOON_SECONDS", "_BETWEEN_SECONDS"):
        monkeypatch.setattr(Answering, name, 0.0)
    slow = installed(monkeypatch, *usual_places())
    yield slow
    slow.let_all()


@pytest.fixture
def panel(slow, makePanel):  # noqa: F811
    return makePanel(GRID, array())


@pytest.fixture
def effect(slow, makeStage):  # noqa: F811
    return makeStage(GRID, array()).begin()


@pytest.fixture
def twoAnswers(slow, ownRecallMemory) -> None:
    """A block is remembered as the left kidney, which is another answer than the bright object."""
    volume = Volume(array(WIDE), WIDE_GRID)
    RecallFolder(default_folder()).add(remember(volume, BLOCK, np.ones(BLOCK.shape_kji, np.uint8), "left kidney"))


def begin(stage, slow: Slow, pump, line: str, button: str, count: int = 3) -> None:
    """Ask for the kidney, and let so many slices go."""
    slow.hold()
    stage.widget(line).text = "left kidney"
    stage.widget(button).click()
    slow.let(count)
    pump(lambda: slow.encoded == count and stage.state.working is not None and _at(stage) == f"slice {count + 1} of 12")


def _at(stage) -> str:
    return stage.state.working.words


def pictureOf(button) -> np.ndarray:
    image = button.icon.pixmap(qt.QSize(160, 160)).toImage()
    return np.array([[image.pixelColor(x, y).blue() for x in range(0, 160, 8)] for y in range(0, 160, 8)])


class TestThePanel:
    def test_it_shows_which_slice_is_looked_at_and_then_nothing_any_more(self, panel, slow, pump):
        begin(panel, slow, pump, "textLine", "textButton")
        assert panel.text("workingWords") == "Slice 4 of 12"
        assert panel.widget("workingBar").value == 25 and panel.widget("workingBar").maximum == 100
        assert panel.widget("answerWorking").visible
        slow.let_all()
        panel.settle()
        assert not panel.widget("answerWorking").visible and dice(OBJECT, panel.mask()) > 0.85

    @pytest.mark.parametrize("byKey", [False, True])
    def test_stop_and_escape_give_the_answer_up(self, panel, slow, pump, byKey):
        begin(panel, slow, pump, "textLine", "textButton")
        if byKey:
            panel.host.activateWindow()
            QTest.keyClick(panel.host, qt.Qt.Key_Escape)
        else:
            panel.widget("stopAnswer").click()
        slow.let()
        panel.settle()
        assert slow.encoded == 4 and not panel.mask().any() and panel.prompts == [] and not panel.state.canUndo
        assert panel.text("adviceLabel").startswith("Stopped, and nothing was changed.") and panel.said() == ""
        assert panel.text("textLine") == "left kidney" and panel.widget("textButton").enabled

    def test_clicks_and_short_answers_show_no_progress(self, panel):
        panel.click((6, 24, 24))
        assert panel.prompts and not panel.widget("answerWorking").visible

    def test_the_kind_of_image_is_asked_for_and_the_words_are_answered_then(self, slow, makePanel):  # noqa: F811
        panel = makePanel(GRID, array(kind="unknown"))
        panel.type("left kidney")
        assert panel.widget("modalityChoice").visible and "cannot be told" in panel.said()
        panel.press("modalityCT")
        assert not panel.widget("modalityChoice").visible and panel.said() == ""
        assert dice(OBJECT, panel.mask()) > 0.8 and panel.text("textLine") == ""
        assert Modality.of(panel.desk.controller.volumeNode) == "CT"

    def test_two_answers_stand_side_by_side_and_a_click_takes_the_other(self, twoAnswers, makePanel):  # noqa: F811
        panel = makePanel(WIDE_GRID, array(WIDE))
        panel.type("left kidney")
        assert panel.widget("answerChooser").visible and "where they differ most" in panel.text("comparisonLabel")
        assert "BiomedParse" in panel.text("answerLabel0") and "Recall memory" in panel.text("answerLabel1")
        buttons = [panel.widget(f"answer{place}") for place in (0, 1)]
        assert [button.checked for button in buttons] == [True, False]
        assert not np.array_equal(*map(pictureOf, buttons))
        first = panel.mask()
        panel.press("answer0")  # is taken already
        assert buttons[0].checked and len(panel.prompts) == 1
        panel.press("answer1")
        assert not np.array_equal(panel.mask(), first) and [button.checked for button in buttons] == [False, True]
        panel.press("undoButton")
        assert np.array_equal(panel.mask(), first) and [button.checked for button in buttons] == [True, False]
        panel.press("undoButton")
        assert not panel.widget("answerChooser").visible and not panel.mask().any()

    def test_a_single_answer_is_compared_with_nothing(self, panel):
        panel.type("left kidney")
        assert panel.mask().any() and not panel.widget("answerChooser").visible


class TestTheEffect:
    def test_it_shows_how_far_it_is_and_stops_without_an_undo_state(self, effect, slow, pump):
        begin(effect, slow, pump, "MemSegWords", "MemSegFind")
        assert effect.text("workingWords") == "Slice 4 of 12" and not effect.widget("MemSegBusy").visible
        assert "Esc" not in effect.widget("stopAnswer").text
        effect.widget("stopAnswer").click()
        slow.let()
        effect.settle()
        assert slow.encoded == 4 and not effect.mask().any() and not effect.state.canUndo
        assert "Stopped, and nothing was changed." in effect.text("MemSegStatus")

    def test_leaving_the_effect_gives_the_answer_up(self, effect, slow, pump):
        begin(effect, slow, pump, "MemSegWords", "MemSegFind")
        effect.editor.setActiveEffectByName("")
        slow.let()
        effect.settle()
        assert slow.encoded == 4 and not effect.mask().any()

    def test_the_kind_of_image_is_asked_for_there_too(self, slow, makeStage):  # noqa: F811
        effect = makeStage(GRID, array(kind="unknown")).begin()
        effect.widget("MemSegWords").text = "left kidney"
        effect.widget("MemSegFind").click()
        effect.settle()
        assert effect.widget("modalityChoice").visible
        effect.widget("modalityMR").click()
        effect.settle()
        assert not effect.widget("modalityChoice").visible and Modality.of(effect.volumeNode) == "MR"

    def test_two_answers_stand_side_by_side_there_too(self, twoAnswers, makeStage):  # noqa: F811
        effect = makeStage(WIDE_GRID, array(WIDE)).begin()
        effect.widget("MemSegWords").text = "left kidney"
        effect.widget("MemSegFind").click()
        effect.settle()
        assert effect.widget("answerChooser").visible
        first = effect.mask()
        effect.widget("answer1").click()
        effect.settle()
        assert not np.array_equal(effect.mask(), first)
        effect.undo()
        assert np.array_equal(effect.mask(), first)
