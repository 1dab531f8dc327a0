"""What is remembered, in the panel: interactions, and the recall memory in its window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from panel_stage import makePanel, stage  # noqa: F401  fixtures
from pointing import A, B, C, block

pytestmark = pytest.mark.slicer


def remember(stage, name: str, note: str = "") -> None:
    stage.press("rememberButton")
    stage.widget("rememberName").text = name
    stage.widget("rememberNote").text = note
    stage.press("rememberNow")


def openRecall(stage, own: int):
    stage.press("recallButton")
    search = stage.widget("recallSearch")
    search.text = "of the test"
    assert len(stage.rows("recallTable")) == own
    return stage.widget("recallTable")


class TestInteractions:
    def test_the_list_shows_how_full_the_memory_is_and_what_the_mask_leaned_on(self, stage, blocks):
        from fakes import by_number

        blocks.attention = by_number
        stage.click(A, B, C)
        bar = stage.widget("memoryBar")
        assert (bar.value, bar.maximum) == (3, 60)
        assert [row[:3] for row in stage.rows("interactionsTable")] == [
            ("3", "positive click", ""),
            ("2", "positive click", "67 %"),
            ("1", "positive click", "33 %"),
        ]
        assert [row[2] for row in stage.rows("promptsTable")] == ["", "67 %", "33 %"]

    def test_one_is_forgotten_and_its_prompt_stays(self, stage):
        stage.click(A, B)
        stage.widget("interactionsTable").cellClicked.emit(0, 3)
        stage.settle()
        assert [row[0] for row in stage.rows("interactionsTable")] == ["1"]
        assert len(stage.rows("promptsTable")) == 2 and np.array_equal(stage.mask(), block(A, B))

    def test_all_are_forgotten(self, stage):
        stage.click(A, B)
        stage.press("clearMemoryButton")
        assert stage.rows("interactionsTable") == [] and stage.widget("memoryBar").value == 0


class TestRecall:
    def test_a_segment_is_remembered_found_renamed_and_deleted(self, stage, monkeypatch):
        stage.click(B)
        remember(stage, "odd block", "of the test")
        assert "Remembered as" in stage.text("adviceLabel")
        table = openRecall(stage, own=1)
        assert stage.rows("recallTable")[0][1] == "odd block"
        assert not table.item(0, 0).icon().isNull()
        table.item(0, 1).setText("stranger block")
        stage.settle()
        assert stage.rows("recallTable")[0][1] == "stranger block"
        table.selectRow(0)
        assert stage.widget("recallRename").enabled and stage.widget("recallDelete").enabled
        import qt

        monkeypatch.setattr(qt.QMessageBox, "question", lambda *arguments: qt.QMessageBox.Yes)
        stage.press("recallDelete")
        assert stage.rows("recallTable") == [] and stage.text("recallLabel") == "Nothing here fits the search."

    def test_what_comes_with_the_program_cannot_be_changed(self, stage):
        stage.press("recallButton")
        shipped = stage.rows("recallTable")
        assert shipped and all("comes with MemSegSlicer" in row[4] for row in shipped)
        stage.widget("recallTable").selectRow(0)
        assert not stage.widget("recallRename").enabled and not stage.widget("recallDelete").enabled
        assert "shown; search to see others" in stage.text("recallLabel")

    def test_entries_go_to_a_file_and_come_from_one(self, stage, tmp_path: Path, monkeypatch):
        import qt

        stage.click(B)
        remember(stage, "odd block", "of the test")
        openRecall(stage, own=1)
        path = str(tmp_path / "mine.zip")
        monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *arguments: path)
        monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *arguments: path)
        stage.press("recallExport")
        assert stage.text("recallLabel") == "Exported 1 entry."
        stage.panel._browser.delete([stage.panel._browser._rows[0].identity])
        stage.settle()
        assert stage.rows("recallTable") == []
        stage.press("recallImport")
        assert stage.rows("recallTable")[0][1] == "odd block"
        stage.press("recallImport")
        assert stage.text("recallLabel").startswith("The file brought nothing new.")

    def test_without_a_name_nothing_is_remembered(self, stage):
        stage.click(B)
        remember(stage, "  ")
        assert "Give the segment a name first" in stage.said()

    def test_named_segments_are_remembered_by_themselves_where_that_is_wished(self, stage):
        stage.click(B)
        stage.press("rememberButton")
        stage.widget("rememberName").text = "odd block"
        stage.widget("rememberAlways").checked = True
        stage.press("rememberNow")
        stage.press("addSegmentButton")
        stage.segmentationNode.GetSegmentation().GetNthSegment(1).SetName("other block")
        stage.click(C)
        stage.press("addSegmentButton")
        names = {entry.name for entry in stage.desk.controller.recall.known.entries}
        assert {"odd block", "other block"} <= names


class TestHighlightAndMarkers:
    def test_prompts_are_marked_and_helpers_are_hidden_and_never_saved(self, stage):
        stage.click(A, B)
        stage.click(B, control=True)
        nodes = [each for each in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")]
        assert sorted(node.GetNumberOfControlPoints() for node in nodes) == [1, 2]
        assert all(node.GetHideFromEditors() and not node.GetSaveWithScene() and node.GetLocked() for node in nodes)
        stage.press("undoButton")
        assert sum(node.GetNumberOfControlPoints() for node in nodes) == 2
        stage.panel.exit()
        assert sum(node.GetNumberOfControlPoints() for node in nodes) == 0
