"""The panel's tools: what is drawn in real slice views becomes prompts and masks; taking back, deleting, collecting."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from desktop import slice_views
from fakes import turned_grid
from panel_stage import makePanel, stage  # noqa: F401  fixtures
from pointing import A, B, C, block
from scenes import slicersMask

from memseg.geometry import Box
from memseg.prompts import BoxPrompt, Click, Lasso, Scribble

pytestmark = pytest.mark.slicer


class TestClicks:
    @pytest.mark.parametrize("view", ["Red", "Green", "Yellow"])
    def test_the_first_click_makes_a_segment_a_mask_and_a_prompt(self, stage, view):
        stage.click(A, view=view)
        assert stage.prompts == [Click(A)]
        assert stage.segments() == ["Segment_1"]
        assert np.array_equal(stage.mask(), block(A))

    def test_ctrl_inverts_what_the_sign_says(self, stage):
        stage.click(A, B)
        stage.click(B, control=True)
        assert np.array_equal(stage.mask(), block(A))
        stage.press("removeButton")
        stage.click(A)
        assert not stage.mask().any()
        stage.click(C, control=True)
        assert np.array_equal(stage.mask(), block(C))

    def test_shift_and_click_is_left_to_slicer(self, stage):
        stage.tap(A, shift=True)
        stage.settle()
        assert stage.prompts == []

    def test_a_click_while_other_markups_are_placed_is_theirs(self, stage):
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)
        stage.tap(A)
        stage.settle()
        interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
        assert stage.prompts == []

    def test_without_a_tool_the_view_is_slicers(self, stage):
        stage.press("clickButton")
        stage.tap(A)
        stage.settle()
        assert stage.prompts == [] and not stage.widget("clickButton").checked

    def test_what_a_tool_takes_slicer_does_not_get(self, stage):
        widget = stage.view("Red", A)
        heard = []
        tags = [
            widget.interactor().AddObserver(event, lambda caller, event: heard.append(event), 5.0)
            for event in ("LeftButtonPressEvent", "LeftButtonReleaseEvent", "RightButtonPressEvent")
        ]
        stage.click(A)
        for event in ("RightButtonPressEvent", "RightButtonReleaseEvent"):
            widget.interactor().InvokeEvent(event)
        for tag in tags:
            widget.interactor().RemoveObserver(tag)
        assert heard == ["RightButtonPressEvent"]

    def test_a_click_outside_the_image_is_a_sentence_and_no_prompt(self, stage):
        stage.click((15, 15, 500))
        assert "outside" in stage.said()
        assert stage.prompts == []

    def test_an_oblique_view_on_an_oblique_image_finds_the_voxel(self, makePanel):
        stage = makePanel(turned_grid((24, 30, 30)))
        node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
        straight = vtk.vtkMatrix4x4()
        straight.DeepCopy(node.GetSliceToRAS())
        normal, up = np.array([0.3, 0.2, 0.9]), np.array([0.0, 1.0, 0.1])
        right = np.cross(up, normal)
        node.SetSliceToRASByNTP(*(normal / np.linalg.norm(normal)), *(right / np.linalg.norm(right)), 0, 0, 0, 0)
        stage.click((12, 15, 15))
        node.GetSliceToRAS().DeepCopy(straight)
        node.UpdateMatrices()
        assert stage.prompts == [Click((12, 15, 15))]


class TestStrokes:
    def test_a_box_is_one_slice_thick_unless_it_is_given_a_depth(self, stage):
        stage.press("boxButton")
        stage.drag([(15, 10, 10), (15, 14, 14), (15, 20, 20)])
        assert stage.prompts == [BoxPrompt((15, 10, 10), (16, 21, 21))]
        stage.widget("depthSlider").value = 4.0
        stage.drag([(15, 10, 10), (15, 14, 14), (15, 20, 20)])
        assert stage.prompts[1] == BoxPrompt((13, 10, 10), (18, 21, 21))

    def test_a_box_is_dragged_not_clicked(self, stage):
        stage.press("boxButton")
        stage.click(A)
        assert "drag to draw a box" in stage.said()
        assert stage.prompts == []

    def test_a_scribble_has_the_brush_of_the_slider(self, stage):
        stage.press("scribbleButton")
        stage.widget("brushSlider").value = 2.0
        stage.drag([(10, 10, 10), (10, 10, 16), (10, 10, 22)], view="Red", control=True)
        (scribble,) = stage.prompts
        assert isinstance(scribble, Scribble) and not scribble.positive and scribble.radius_mm == 2.0
        assert np.allclose(scribble.points_kji[-1], (10, 10, 22), atol=0.5)

    def test_a_lasso_lies_in_the_slice_it_was_drawn_in(self, stage):
        stage.press("lassoButton")
        stage.drag([(5, 15, 5), (20, 15, 5), (20, 15, 20), (5, 15, 20)], view="Green")
        (lasso,) = stage.prompts
        assert isinstance(lasso, Lasso)
        assert np.allclose(np.array(lasso.points_kji)[:, 1], 15, atol=0.01)

    def test_escape_takes_a_stroke_back_while_it_is_drawn(self, stage):
        stage.press("lassoButton")
        interactor = stage.view("Red", A).interactor()
        for event in ("LeftButtonPressEvent", "MouseMoveEvent"):
            interactor.InvokeEvent(event)
        interactor.SetKeySym("Escape")
        interactor.InvokeEvent("KeyPressEvent")
        interactor.InvokeEvent("LeftButtonReleaseEvent")
        stage.settle()
        assert stage.prompts == []

    def test_the_outline_is_seen_only_while_drawing(self, stage):
        stage.press("lassoButton")
        widget = stage.view("Red", A)
        before = slice_views.pixels(widget)
        send = widget.interactor()
        for xy in ((100, 100), (300, 120), (200, 300)):
            send.SetEventInformation(*xy, 0, 0, chr(0), 0, None)
            send.InvokeEvent("LeftButtonPressEvent" if xy == (100, 100) else "MouseMoveEvent")
        assert (slice_views.pixels(widget) != before).any()
        send.SetKeySym("Escape")
        send.InvokeEvent("KeyPressEvent")
        assert np.array_equal(slice_views.pixels(widget), before)


class TestTakingBack:
    def test_undo_redo_and_reset(self, stage):
        stage.click(A, B)
        stage.press("undoButton")
        assert np.array_equal(stage.mask(), block(A))
        stage.press("redoButton")
        assert np.array_equal(stage.mask(), block(A, B))
        stage.press("resetButton")
        assert not stage.mask().any() and stage.prompts == []
        stage.press("undoButton")
        assert np.array_equal(stage.mask(), block(A, B))

    def test_buttons_are_there_when_they_do_something(self, stage):
        names = ("undoButton", "redoButton", "resetButton")
        assert [stage.widget(name).enabled for name in names] == [False, False, False]
        stage.click(A)
        assert [stage.widget(name).enabled for name in names] == [True, False, True]
        stage.press("undoButton")
        assert [stage.widget(name).enabled for name in names] == [False, True, False]

    def test_a_prompt_out_of_the_middle_is_deleted_from_the_list(self, stage):
        stage.click(A, B, C)
        assert [row[:2] for row in stage.rows("promptsTable")] == [
            ("3", "+ positive click"),
            ("2", "+ positive click"),
            ("1", "+ positive click"),
        ]
        stage.widget("promptsTable").cellClicked.emit(1, 3)
        stage.settle()
        assert np.array_equal(stage.mask(), block(A, C))
        assert [row[0] for row in stage.rows("promptsTable")] == ["3", "1"]

    def test_a_click_on_a_prompt_goes_to_its_place(self, stage):
        stage.click(A, C)
        stage.widget("promptsTable").cellClicked.emit(1, 1)
        for world, name in enumerate(("Yellow", "Green", "Red")):
            node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
            assert node.GetSliceToRAS().GetElement(world, 3) == stage.point_ras(A)[world]

    def test_the_last_change_is_highlighted_on_request(self, stage):
        stage.click(A, B)
        stage.click(B, control=True)
        stage.press("changeBox")
        (node,) = (each for each in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if each.GetHideFromEditors())
        grew, shrank = node.GetSegmentation().GetSegmentIDs()
        volumeNode = stage.desk.controller.volumeNode
        assert not slicersMask(node, grew, volumeNode).any()
        assert np.array_equal(slicersMask(node, shrank, volumeNode), block(B))
        assert not node.GetSaveWithScene()
        stage.press("changeBox")
        assert node.GetScene() is None


class TestCollecting:
    def test_collected_prompts_wait_and_are_run_together(self, stage):
        stage.press("liveBox")
        stage.click(A, B)
        assert not stage.mask().any() and stage.prompts == []
        assert [row[0] for row in stage.rows("promptsTable")] == ["…", "…"]
        assert stage.widget("runButton").text == "Run 2 collected (Ctrl+Return)"
        stage.press("runButton")
        assert stage.prompts == [Click(A), Click(B)]
        assert np.array_equal(stage.mask(), block(A, B))
        assert not stage.widget("runButton").enabled

    def test_one_that_waits_can_be_deleted(self, stage):
        stage.press("liveBox")
        stage.click(A, B)
        stage.widget("promptsTable").cellClicked.emit(0, 3)
        stage.press("runButton")
        assert stage.prompts == [Click(A)]

    def test_each_segment_has_its_own(self, stage):
        stage.press("liveBox")
        stage.click(A)
        stage.press("addSegmentButton")
        assert stage.rows("promptsTable") == []
        stage.widget("segmentsTable").setSelectedSegmentIDs(
            [stage.segmentationNode.GetSegmentation().GetNthSegmentID(0)]
        )
        stage.press("runButton")
        assert np.array_equal(stage.mask(0), block(A)) and not stage.mask(1).any()


class TestManyLesions:
    def test_each_click_is_a_segment_of_its_own(self, stage):
        stage.press("lesionsBox")
        stage.click(A, B, C)
        assert stage.segments() == ["Segment_1", "Segment_2", "Segment_3"]
        assert [np.array_equal(stage.mask(n), block(point)) for n, point in enumerate((A, B, C))] == [True] * 3

    def test_quick_clicks_too_and_they_are_named_after_the_first(self, stage):
        stage.press("addSegmentButton")
        stage.segmentationNode.GetSegmentation().GetNthSegment(0).SetName("lesion")
        stage.press("lesionsBox")
        for point in (A, B, C):
            stage.tap(point)
        stage.settle()
        assert stage.segments() == ["lesion", "lesion 2", "lesion 3"]
        assert np.array_equal(stage.mask(2), block(C))

    def test_a_correction_stays_in_its_segment(self, stage):
        stage.press("lesionsBox")
        stage.click(A)
        stage.click((9, 9, 9), control=True)
        assert stage.segments() == ["Segment_1"]
        assert [prompt.positive for prompt in stage.prompts] == [True, False]

    def test_a_mask_from_elsewhere_is_left_alone(self, stage):
        stage.press("addSegmentButton")
        segmentId = stage.desk.controller.segmentId
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            block(A), stage.segmentationNode, segmentId, stage.desk.controller.volumeNode
        )
        stage.press("lesionsBox")
        stage.click(B)
        assert np.array_equal(stage.mask(0), block(A)) and np.array_equal(stage.mask(1), block(B))


class TestRegion:
    def test_outside_the_region_nothing_changes(self, stage):
        stage.click(B)
        stage.press("undoButton")
        stage.press("regionBox")
        node = stage.widget("regionSelector").currentNode()
        low, high = np.array(stage.point_ras((14.5, 9.5, 9.5))), np.array(stage.point_ras((20.5, 20.5, 20.5)))
        node.SetCenterWorld(((low + high) / 2).tolist())
        node.SetSize(np.abs(high - low).tolist())
        stage.click(B)
        inside = block(B)
        inside[:15] = 0  # the region begins between the slices 14 and 15
        assert np.array_equal(stage.mask(), inside)
        stage.press("regionBox")
        stage.click(B)
        assert np.array_equal(stage.mask(), block(B))

    def test_a_new_region_lies_round_the_mask(self, stage):
        stage.click(B)
        stage.press("newRegionButton")
        bounds = [0.0] * 6
        stage.widget("regionSelector").currentNode().GetRASBounds(bounds)
        corners = np.array([stage.point_ras((10.5, 10.5, 10.5)), stage.point_ras((19.5, 19.5, 19.5))])
        assert np.allclose(np.sort(corners, axis=0).T.ravel(), bounds, atol=0.3)  # the mask, and 2 voxels more
        assert stage.widget("regionBox").checked
        assert Box.of_mask(stage.mask()) == Box((13, 13, 13), (18, 18, 18))
