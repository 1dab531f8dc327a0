"""The section Auto of the panel: a trained model guesses first, clicks correct it, finished segments are collected.

The model's weights are set by hand: "liver" is what is bright, "left kidney" what is dark, "spleen" is nowhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
from fakes import box_mask
from panel_stage import makePanel  # noqa: F401  fixtures
from pointing import SHAPE
from small_auto import write_bright

from memseg.automatic.folder import FILE
from memseg.geometry import Box
from memseg.memory.recall_files import RecallFolder, default_folder
from memseg.prompts import MaskPrompt

pytestmark = pytest.mark.slicer

LIVER, KIDNEY = box_mask(SHAPE, Box((4, 4, 4), (9, 9, 9))), box_mask(SHAPE, Box((20, 20, 20), (25, 25, 25)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_bright(tmp_path / "auto" / "model")


@pytest.fixture
def stage(model, makePanel):
    return makePanel(array=300 * LIVER.astype(np.int16) - 300 * KIDNEY.astype(np.int16))


def shown(stage, name: str) -> bool:
    return stage.widget(name).isVisibleTo(stage.widget("autoArea"))


class TestAFirstGuess:
    def test_a_press_makes_segments_that_clicks_correct_and_undo_empties(self, stage):
        assert not stage.widget("autoButton").collapsed
        stage.press("autoGuessButton")
        assert stage.segments() == ["liver", "left kidney"]
        assert np.array_equal(stage.mask(0), LIVER) and np.array_equal(stage.mask(1), KIDNEY)
        assert stage.text("autoWords") == "Found liver and left kidney; click to correct them. Not found: spleen."
        assert [type(prompt) for prompt in stage.prompts] == [MaskPrompt]
        assert stage.rows("promptsTable")[0][1].endswith("first guess of the trained model")
        stage.click((4, 4, 4), control=True)
        assert 0 < stage.mask().sum() < LIVER.sum()
        stage.press("undoButton")
        stage.press("undoButton")
        assert not stage.mask(0).any() and np.array_equal(stage.mask(1), KIDNEY)

    def test_it_shows_how_far_it_is_and_a_second_press_cancels(self, stage):
        seen = []

        def look(state):
            if state.running:
                seen.append((stage.widget("autoBar").value, stage.widget("autoBar").maximum, stage.text("autoWords")))
            if state.running and state.done == 4:
                stage.widget("autoGuessButton").click()

        stage.desk.controller.auto.addListener(look)
        stage.press("autoGuessButton")
        assert seen[-1][:2] == (4, 27) and "27 windows to look at" in seen[-1][2]
        assert stage.segmentationNode is None
        assert stage.text("autoWords") == "Cancelled; nothing was changed."
        assert stage.text("autoGuessButton") == "Auto" and not shown(stage, "autoBar")

    def test_without_a_model_the_button_is_off_and_says_how_to_train_one(self, stage, tmp_path):
        line = stage.widget("autoModelLine")
        line.text = str(tmp_path / "other")
        line.editingFinished.emit()
        assert not stage.widget("autoGuessButton").enabled
        assert "Train one with: memseg train auto" in stage.text("autoWords")
        write_bright(tmp_path / "other")
        stage.panel.exit()
        stage.panel.enter()
        assert stage.widget("autoGuessButton").enabled and not shown(stage, "autoWords")

    def test_a_folder_can_be_looked_for(self, stage, tmp_path, monkeypatch):
        write_bright(tmp_path / "other", names=("tumour",))
        monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_arguments: str(tmp_path / "other"))
        stage.press("autoModelButton")
        stage.press("autoGuessButton")
        assert stage.segments() == ["tumour"]

    def test_a_broken_model_is_a_sentence_and_nothing_changes(self, stage, model):
        (model / FILE).write_bytes(b"nothing")
        stage.press("autoGuessButton")
        assert FILE in stage.said() and stage.segmentationNode is None
        assert stage.text("autoWords") == stage.said()

    def test_without_an_image_there_is_nothing_to_press(self, stage):
        stage.widget("volumeSelector").setCurrentNode(None)
        stage.settle()
        assert not stage.widget("autoGuessButton").enabled and not stage.widget("askCollectButton").enabled


def test_without_a_model_the_section_is_there_and_folded(makePanel):
    stage = makePanel()
    assert stage.widget("autoButton").collapsed and stage.widget("autoButton").visible


class TestTrainingData:
    def test_finished_segments_are_added_where_the_user_says(self, stage, tmp_path):
        stage.press("autoGuessButton")
        stage.press("askCollectButton")
        assert stage.text("collectFolder") == str(tmp_path / "auto" / "data")
        assert not stage.widget("collectRemembers").visible
        stage.widget("collectFolder").text = str(tmp_path / "mine")
        stage.press("collectNow")
        assert stage.text("autoWords").startswith("liver and left kidney: added.")
        (entry,) = json.loads((tmp_path / "mine" / "manifest.json").read_text())
        assert entry["labels"] == {"liver": 1, "left kidney": 2}
        stage.press("askCollectButton")
        assert stage.text("collectFolder") == str(tmp_path / "mine")
        stage.press("collectCancel")
        assert not RecallFolder(default_folder()).read()[0].names()

    def test_the_recall_memory_learns_them_where_it_remembers_by_itself(self, stage):
        stage.press("autoGuessButton")
        stage.panel._bench.state.remembersByItself = True
        stage.press("askCollectButton")
        assert stage.widget("collectRemembers").visible
        stage.press("collectNow")
        assert sorted(RecallFolder(default_folder()).read()[0].names()) == ["left kidney", "liver"]
        assert "2 of them are remembered, too." in stage.text("autoWords")


def test_a_picture_shows_the_section_and_nothing_is_clipped(stage, screenshot):
    stage.press("autoGuessButton")
    stage.press("askCollectButton")
    slicer.app.processEvents()
    dialog = next(each for each in stage.host.findChildren(qt.QDialog) if each.name == "collectDialog")
    assert screenshot(dialog, "collect.png").stat().st_size > 3_000
    stage.press("collectCancel")
    assert screenshot(stage.host, "panel.png").stat().st_size > 10_000
    for button in stage.widget("autoArea").findChildren(qt.QPushButton):
        assert button.width >= button.fontMetrics().horizontalAdvance(button.text), button.text
