"""The panel as a whole: what is chosen, keys, coming and going, and no window at all."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer
from panel_stage import makePanel, stage  # noqa: F401  fixtures
from pointing import A, B, block
from PySide6.QtTest import QTest

from memseg.prompts import Click
from MemSegSlicerWidgets.Desk import Desk
from MemSegSlicerWidgets.Keys import KEYS
from MemSegSlicerWidgets.Panel import Panel

pytestmark = pytest.mark.slicer

KEY_CODES = {"X": qt.Qt.Key_X, "S": qt.Qt.Key_S, "L": qt.Qt.Key_L, "C": qt.Qt.Key_C, "N": qt.Qt.Key_N, "U": qt.Qt.Key_U}


def strike(stage, key: str, modifier=qt.Qt.NoModifier) -> None:
    stage.host.activateWindow()
    stage.panel.widget.setFocus()
    QTest.keyClick(stage.panel.widget, KEY_CODES[key], modifier)
    stage.settle()


class TestChoosing:
    def test_the_chosen_nodes_are_the_controllers(self, stage):
        stage.click(A)
        controller = stage.desk.controller
        assert stage.widget("volumeSelector").currentNode() is controller.volumeNode
        assert stage.widget("segmentationSelector").currentNode() is controller.segmentationNode
        assert tuple(stage.widget("segmentsTable").selectedSegmentIDs()) == (controller.segmentId,)

    def test_a_segmentation_made_with_the_selector_is_shown_in_the_views(self, stage):
        made = stage.widget("segmentationSelector").addNode()
        stage.click(A)
        assert stage.desk.controller.segmentationNode is made
        assert made.GetDisplayNode().GetVisibility() and stage.desk.controller.state.voxels == 125

    def test_switching_segments_brings_back_prompts_and_mask(self, stage):
        stage.click(A)
        stage.press("addSegmentButton")
        stage.click(B)
        table = stage.widget("segmentsTable")
        first, second = stage.segmentationNode.GetSegmentation().GetSegmentIDs()
        table.setSelectedSegmentIDs([first])
        stage.settle()
        assert stage.prompts == [Click(A)] and len(stage.rows("promptsTable")) == 1
        stage.press("undoButton")
        assert not stage.mask(0).any() and np.array_equal(stage.mask(1), block(B))
        table.setSelectedSegmentIDs([second])
        assert stage.prompts == [Click(B)]

    def test_a_segment_renamed_by_hand_keeps_its_session(self, stage):
        stage.click(A)
        stage.segmentationNode.GetSegmentation().GetNthSegment(0).SetName("left kidney")
        stage.click(B)
        assert stage.prompts == [Click(A), Click(B)]

    def test_a_deleted_segment_makes_room_for_its_neighbour(self, stage):
        stage.click(A)
        stage.press("addSegmentButton")
        stage.press("removeSegmentButton")
        assert stage.segments() == ["Segment_1"] and stage.prompts == [Click(A)]
        stage.press("removeSegmentButton")
        assert stage.segments() == [] and stage.prompts == []
        stage.click(B)
        assert np.array_equal(stage.mask(), block(B))

    def test_a_segment_removed_elsewhere_is_let_go(self, stage):
        stage.click(A)
        stage.press("addSegmentButton")
        segmentation = stage.segmentationNode.GetSegmentation()
        segmentation.RemoveSegment(segmentation.GetNthSegmentID(1))
        stage.settle()
        assert stage.desk.controller.segmentId == segmentation.GetNthSegmentID(0)

    def test_without_an_image_the_panel_says_what_to_do(self, stage):
        stage.widget("volumeSelector").setCurrentNode(None)
        assert stage.text("adviceLabel").startswith("Load an image")
        stage.press("addSegmentButton")
        assert "load one, or choose it under Volume" in stage.said()

    def test_model_and_device_are_the_controllers_and_the_licence_is_shown(self, stage):
        stage.click(A)
        models = stage.widget("modelBox")
        place = next(n for n in range(models.count) if models.itemText(n) == "Geodesic")
        models.setCurrentIndex(place)
        models.activated.emit(place)
        stage.settle()
        assert stage.state.model == "geodesic"
        assert "Licence: Apache-2.0" in stage.text("licenceLabel")
        stage.widget("deviceBox").activated.emit(1)
        stage.settle()
        assert stage.desk.controller.device == "cpu" and stage.said() == ""

    def test_a_model_that_is_not_installed_says_what_it_lacks(self, stage):
        models = stage.widget("modelBox")
        place = next(n for n in range(models.count) if models.itemText(n).startswith("SAM-Med3D"))
        models.activated.emit(place)
        assert "memseg models add sam-med3d" in stage.said()
        assert stage.state.model == "block"


class TestKeys:
    def test_every_key_stands_on_a_button_and_is_given_once(self, stage):
        widgets = stage.host.findChildren(qt.QWidget)
        shown = (
            " ".join(f"{each.text} {each.toolTip}" for each in widgets if isinstance(each, qt.QAbstractButton))
            + stage.widget("textLine").placeholderText
        )
        assert [key for key in KEYS.values() if f"({key})" not in shown] == []
        assert len(set(KEYS.values())) == len(KEYS)

    def test_no_key_is_one_of_slicers_or_the_editors(self):
        taken = {*"QWZYI1234567890RGTVBF", "Space", "Esc", "Left", "Right", "Up", "Down", "Ctrl+Z", "Ctrl+Y", "Ctrl+S"}
        assert taken.isdisjoint(KEYS.values())

    def test_keys_choose_tools_and_take_back(self, stage):
        for key, name in (("X", "boxButton"), ("S", "scribbleButton"), ("L", "lassoButton"), ("C", "clickButton")):
            strike(stage, key)
            assert stage.widget(name).checked
        strike(stage, "N")
        assert stage.widget("removeButton").checked and not stage.widget("addButton").checked
        strike(stage, "N")
        stage.click(A)
        strike(stage, "U")
        assert not stage.mask().any()
        strike(stage, "U", qt.Qt.ShiftModifier)
        assert np.array_equal(stage.mask(), block(A))

    def test_a_key_typed_into_the_text_line_is_a_letter(self, stage):
        line = stage.widget("textLine")
        stage.host.activateWindow()
        line.setFocus()
        QTest.keyClick(line, qt.Qt.Key_X)
        assert line.text == "x" and stage.widget("clickButton").checked

    def test_away_from_the_module_neither_keys_nor_clicks_do_anything(self, stage):
        stage.click(A)
        stage.panel.exit()
        strike(stage, "U")
        stage.tap(B)
        stage.settle()
        assert np.array_equal(stage.mask(), block(A))
        stage.panel.enter()
        stage.click(B)
        assert np.array_equal(stage.mask(), block(A, B))


class TestWithoutViews:
    def test_a_slicer_without_a_main_window_has_the_panel_all_the_same(self, stage, addVolume, monkeypatch):
        monkeypatch.setattr(type(slicer.app), "layoutManager", lambda self: None)
        host = qt.QWidget()
        panel = Panel(host)
        panel.enter()
        panel.ui.addSegmentButton.click()
        stage.settle()
        assert stage.segments() == ["Segment_1"]
        panel.exit()
        panel.cleanup()

    def test_another_panel_after_a_reload_goes_on_with_the_session(self, stage):
        stage.click(A)
        stage.panel.cleanup()
        host = qt.QWidget()
        stage.panel, stage.host = Panel(host), host
        stage.panel.enter()
        assert len(stage.rows("promptsTable")) == 1
        stage.click(B)
        assert np.array_equal(stage.mask(), block(A, B))

    def test_after_the_desk_was_closed_a_new_one_is_made(self, stage):
        Desk.closeShared()
        assert stage.desk.isClosed and not Desk.shared().isClosed
        stage.desk = Desk.shared()


class TestPictures:
    def test_nothing_is_clipped_at_the_panels_usual_width(self, stage, screenshot):
        stage.click(A, B)
        for name in ("memoryButton", "modelButton", "regionButton"):
            stage.widget(name).collapsed = False
        slicer.app.processEvents()
        assert screenshot(stage.host).stat().st_size > 10_000
        for button in stage.host.findChildren(qt.QPushButton):
            if button.isVisibleTo(stage.host):
                needed = button.fontMetrics().horizontalAdvance(button.text)
                assert button.width >= needed, button.text


class TestInstalling:
    def test_what_the_networks_need_is_offered_where_it_is_missing(self, stage, makePanel, monkeypatch):
        from MemSegSlicerWidgets import Dependencies

        assert not stage.widget("installButton").isVisibleTo(stage.widget("modelArea"))
        monkeypatch.setattr(Dependencies, "find_spec", lambda name: None)
        offered = []
        monkeypatch.setattr(Dependencies.Dependencies, "offer", lambda self: offered.append(True))
        other = makePanel()
        assert other.widget("installButton").isVisibleTo(other.widget("modelArea"))
        other.press("installButton")
        assert offered == [True]
        monkeypatch.undo()
        other.desk.dependencies.installed.tell(("torch",))
        other.settle()
        assert not other.widget("installButton").isVisibleTo(other.widget("modelArea"))
