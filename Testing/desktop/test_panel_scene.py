"""The panel and its scene: saved and reopened, closed in mid-job, nodes that vanish, and nothing that piles up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from panel_stage import makePanel, stage  # noqa: F401  fixtures
from pointing import GRID, A, B, C, block

from memseg.prompts import Click
from MemSegSlicerLib.PanelState import PanelState
from MemSegSlicerLib.SceneState import SceneState

pytestmark = pytest.mark.slicer


def names(scene: slicer.vtkMRMLScene) -> list[str]:
    return [scene.GetNthNode(index).GetName() or "" for index in range(scene.GetNumberOfNodes())]


def reopen(stage, path: Path) -> None:
    stage.scene.Clear(False)
    assert stage.scene.ReadFromMRB(str(path))
    stage.settle()


class TestSaving:
    def test_prompts_masks_and_choices_come_back_with_the_scene(self, stage, tmp_path):
        stage.click(A, B)
        stage.press("boxButton")
        stage.press("removeButton")
        stage.widget("depthSlider").value = 15.0
        stage.widget("firstBox").value = 5
        stage.widget("promptsButton").collapsed = True
        stage.desk.controller.saveToScene()
        assert stage.scene.WriteToMRB(str(tmp_path / "scene.mrb"))
        reopen(stage, tmp_path / "scene.mrb")
        assert stage.prompts == [Click(A), Click(B)]
        assert np.array_equal(stage.mask(), block(A, B))
        assert len(stage.rows("promptsTable")) == 2
        assert stage.widget("boxButton").checked and stage.widget("removeButton").checked
        assert stage.widget("depthSlider").value == 15.0
        assert stage.widget("firstBox").value == 5 and stage.widget("promptsButton").collapsed
        assert stage.widget("volumeSelector").currentNode().GetName() == "image"
        stage.press("undoButton")
        assert np.array_equal(stage.mask(), block(A))

    def test_prompts_that_wait_and_the_region_come_back_too(self, stage, tmp_path):
        stage.press("newRegionButton")
        stage.press("liveBox")
        stage.click(A)
        assert stage.scene.WriteToMRB(str(tmp_path / "scene.mrb"))
        reopen(stage, tmp_path / "scene.mrb")
        assert [row[0] for row in stage.rows("promptsTable")] == ["…"]
        assert stage.widget("regionBox").checked
        assert stage.widget("regionSelector").currentNode().GetName() == "Region"

    def test_helpers_are_not_in_the_file(self, stage, tmp_path):
        stage.click(A)
        stage.press("changeBox")
        assert {"Positive prompts", "MemSegSlicer change"} <= set(names(stage.scene))
        assert stage.scene.WriteToMRB(str(tmp_path / "scene.mrb"))
        stage.press("changeBox")
        stage.panel.exit()
        stage.scene.Clear(False)
        assert stage.scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
        assert {"Positive prompts", "MemSegSlicer change"}.isdisjoint(names(stage.scene))

    def test_what_a_file_holds_that_makes_no_sense_is_ignored(self, scene):
        state = SceneState(scene)
        for name in ("Tool", "BrushMm", "BoxDepthMm", "Axis", "Direction", "Limits", "History", "Folded", "Live"):
            state.setParameter(name, "[nan, 3")
        panel = PanelState(state)
        assert (panel.tool, panel.brushMm, panel.axis, panel.direction) == ("click", 4.0, "k", "both")
        assert (panel.limits, panel.history, panel.folded) == (None, (), ())
        state.setParameter("BrushMm", "nan")
        assert panel.brushMm == 4.0


class TestMidJob:
    def test_the_scene_closed_while_a_click_is_answered_leaves_nothing(self, stage):
        stage.tap(A)
        stage.scene.Clear(False)
        stage.settle()
        assert stage.state.prompts == () and stage.widget("volumeSelector").currentNode() is None
        assert stage.text("adviceLabel").startswith("Load an image")
        assert {"Positive prompts", "MemSegSlicer change", "MemSegSlicer session"}.isdisjoint(names(stage.scene))

    @pytest.mark.parametrize("what", ["volumeNode", "segmentationNode"])
    def test_a_node_deleted_while_a_click_is_answered(self, stage, what):
        stage.click(A)
        stage.tap(B)
        stage.scene.RemoveNode(getattr(stage.desk.controller, what))
        stage.settle()
        assert stage.said() == "" or stage.said().endswith(".")
        assert stage.state.prompts == ()

    def test_the_segment_deleted_while_a_click_is_answered(self, stage):
        stage.click(A)
        stage.tap(B)
        stage.widget("removeSegmentButton").click()
        stage.settle()
        assert stage.segments() == []
        stage.click(C)
        assert np.array_equal(stage.mask(), block(C))

    def test_another_volume_is_chosen_while_a_click_is_answered(self, stage, addVolume):
        stage.click(A)
        stage.tap(B)
        other = addVolume(GRID, name="other")
        stage.widget("volumeSelector").setCurrentNode(other)
        stage.settle()
        assert stage.state.prompts == ()
        stage.widget("volumeSelector").setCurrentNode(stage.scene.GetFirstNodeByName("image"))
        stage.settle()
        assert stage.prompts == [Click(A), Click(B)]

    def test_the_image_replaced_and_moved_under_a_transform_is_taken_over(self, stage, addTransform):
        stage.click(A)
        node = stage.desk.controller.volumeNode
        slicer.util.updateVolumeFromArray(node, np.arange(27000, dtype=np.int16).reshape(30, 30, 30))
        shift = np.eye(4)
        shift[:3, 3] = (100, 0, 0)
        transform = addTransform(shift)
        for each in (node, stage.segmentationNode):
            each.SetAndObserveTransformNodeID(transform.GetID())
        stage.settle()
        stage.grid = type(stage.grid)(stage.grid.shape_kji, shift @ stage.grid.ijk_to_ras)
        widget = slicer.app.layoutManager().sliceWidget("Red")
        widget.fitSliceToBackground()
        stage.click(B)
        assert stage.said() == "" and stage.prompts[-1] == Click(B)
        assert np.array_equal(stage.mask(), block(A, B))

    def test_the_layout_changed_while_drawing_lets_the_stroke_go(self, stage):
        stage.press("lassoButton")
        interactor = stage.view("Red", A).interactor()
        interactor.InvokeEvent("LeftButtonPressEvent")
        slicer.app.layoutManager().layoutChanged.emit(3)
        interactor.InvokeEvent("LeftButtonReleaseEvent")
        stage.settle()
        assert stage.prompts == []
        stage.press("clickButton")
        stage.click(A)
        assert stage.prompts == [Click(A)]

    def test_the_module_reloaded_while_a_click_is_answered(self, stage):
        stage.tap(A)
        stage.panel.cleanup()
        stage.settle()
        assert np.array_equal(stage.mask(), block(A))
        import qt

        from MemSegSlicerWidgets.Panel import Panel

        stage.host = qt.QWidget()
        stage.panel = Panel(stage.host)
        assert len(stage.rows("promptsTable")) == 1

    def test_the_application_quits_while_a_click_is_answered(self, stage):
        stage.tap(A)
        slicer.app.aboutToQuit.emit()
        assert stage.desk.isClosed
        slicer.app.processEvents()


class TestLeaks:
    @pytest.mark.slow
    def test_a_thousand_clicks_leave_as_many_nodes_and_observers_as_one(self, stage, monkeypatch):
        def click(number: int) -> None:
            view = ("Red", "Green", "Yellow")[number % 3]
            stage.tap((8 + number % 14, 8 + number % 11, 8 + number % 7), view, control=number % 4 == 3)
            if number % 10 == 9:
                stage.settle()
                stage.press("resetButton") if number % 100 == 99 else stage.press("undoButton")

        def counted() -> tuple[int, ...]:
            stage.settle()
            stage.click(A)
            views = slicer.app.layoutManager()
            watched = [stage.scene, stage.segmentationNode.GetSegmentation(), stage.desk.controller.volumeNode]
            watched += [views.sliceWidget(name).interactor() for name in views.sliceViewNames()]
            watched += [views.sliceWidget(name).mrmlSliceNode() for name in views.sliceViewNames()]
            return stage.scene.GetNumberOfNodes(), *(str(each).count("Priority") for each in watched)

        for number in range(20):
            click(number)
        stage.desk.controller.saveToScene()
        before = counted()
        for number in range(1000):
            click(number)
        stage.desk.controller.saveToScene()
        assert counted() == before

    def test_coming_and_going_leaves_nothing_behind(self, stage):
        import qt

        from MemSegSlicerWidgets.Panel import Panel

        def observers() -> tuple[int, ...]:
            views = slicer.app.layoutManager()
            watched = [stage.scene, *(views.sliceWidget(name).interactor() for name in views.sliceViewNames())]
            return stage.scene.GetNumberOfNodes(), *(str(each).count("Priority") for each in watched)

        stage.click(A)
        stage.panel.exit()
        stage.desk.controller.saveToScene()
        before = observers()
        for _ in range(5):
            host = qt.QWidget()
            panel = Panel(host)
            panel.enter()
            stage.settle()
            panel.exit()
            panel.cleanup()
            host.deleteLater()
            slicer.app.sendPostedEvents(None, qt.QEvent.DeferredDelete)
            slicer.app.processEvents()
        assert observers()[0] == before[0]
        assert observers()[2:] == before[2:]
