"""The MemSeg effect in the Segment Editor: clicks, strokes, words, and the editor's undo, which takes memory along."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from desktop import slice_views
from pointing import A, B, C, block

from memseg.prompts import Click, MaskPrompt, Scribble

pytestmark = pytest.mark.slicer


class TestClicks:
    @pytest.mark.parametrize("view", ["Red", "Green", "Yellow"])
    def test_a_click_in_any_view_becomes_a_mask_and_a_prompt(self, stage, view):
        stage.click(A, view=view)
        assert stage.prompts == [Click(A)]
        assert np.array_equal(stage.mask(), block(A))

    def test_ctrl_and_click_takes_away(self, stage):
        stage.click(A, B)
        stage.click(B, control=True)
        assert np.array_equal(stage.mask(), block(A))
        assert stage.prompts == [Click(A), Click(B), Click(B, positive=False)]

    def test_remove_chosen_in_the_options_turns_both_round(self, stage):
        stage.click(A)
        stage.widget("MemSegRemove").click()
        stage.click(A)
        assert not stage.mask().any()
        stage.click(B, control=True)
        assert np.array_equal(stage.mask(), block(B))

    def test_quick_clicks_in_two_views_are_answered_in_order(self, stage):
        stage.tap(A, "Red")
        stage.tap(B, "Green")
        stage.tap(A, "Yellow", control=True)
        stage.settle()
        assert stage.prompts == [Click(A), Click(B), Click(A, positive=False)]
        assert np.array_equal(stage.mask(), block(B))

    def test_shift_and_click_is_left_to_slicer(self, stage):
        stage.tap(A, shift=True)
        stage.settle()
        assert stage.prompts == []

    def test_keys_and_the_wheel_are_left_to_the_editor(self, stage):
        widget = stage.view("Red", A)
        heard = []
        tags = [
            widget.interactor().AddObserver(event, lambda caller, event: heard.append(event), 0.5)
            for event in ("KeyPressEvent", "MouseWheelForwardEvent", "RightButtonPressEvent", "MouseMoveEvent")
        ]
        for key in (*"qwzyi1234567890", "Escape", "space", "Left", "Right", "Up", "Down"):
            widget.interactor().SetKeySym(key)
            widget.interactor().InvokeEvent("KeyPressEvent")
        for event in ("MouseWheelForwardEvent", "RightButtonPressEvent", "MouseMoveEvent"):
            widget.interactor().InvokeEvent(event)
        for tag in tags:
            widget.interactor().RemoveObserver(tag)
        assert heard == ["KeyPressEvent"] * 21 + ["MouseWheelForwardEvent", "RightButtonPressEvent", "MouseMoveEvent"]

    def test_a_click_outside_the_image_is_one_sentence_and_no_step(self, stage):
        stage.tap((15, 15, 500))
        stage.settle()
        assert "outside" in stage.text("MemSegNoticeText")
        assert stage.prompts == [] and not stage.editor.logic.CanUndo()

    def test_a_model_that_fails_changes_nothing_and_says_so_once(self, stage, blocks, monkeypatch):
        told = []
        monkeypatch.setattr(stage.desk.notices, "complain", lambda sentence, details="": told.append(sentence))
        stage.click(A)
        blocks.fails = True
        stage.click(B)
        assert told == ["The block segmenter was told to fail; tell it not to."]
        assert np.array_equal(stage.mask(), block(A)) and stage.prompts == [Click(A)]
        stage.undo()
        assert not stage.mask().any()


class TestStrokes:
    def test_dragging_draws_a_scribble_as_thick_as_the_brush(self, stage):
        stage.host.setParameter("BrushMm", 1.0)
        stage.drag([(15, 10, 10), (15, 10, 14), (15, 10, 18)])
        (scribble,) = stage.prompts
        assert isinstance(scribble, Scribble) and scribble.positive and scribble.radius_mm == 1.0
        assert scribble.points_kji[0] == pytest.approx((15, 10, 10), abs=0.1)
        assert scribble.points_kji[-1] == pytest.approx((15, 10, 18), abs=0.1)
        assert stage.mask()[15, 10, 10:19].all()

    def test_ctrl_and_drag_draws_what_is_too_much(self, stage):
        stage.click((15, 10, 14))
        stage.drag([(15, 10, 10), (15, 10, 18)], control=True)
        assert not stage.prompts[-1].positive and not stage.mask().any()

    def test_the_stroke_is_shown_while_it_is_drawn_and_nothing_stays_of_it(self, stage):
        widget = stage.view("Red", (15, 10, 10))
        renderer = stage.host.renderer(widget)
        actors = renderer.GetViewProps().GetNumberOfItems()
        before = slice_views.pixels(widget).copy()
        places = [slice_views.place_xy(widget, stage.point_ras(point)) for point in ((15, 10, 10), (15, 20, 20))]
        interactor = widget.interactor()
        for event, place in zip(("LeftButtonPressEvent", "MouseMoveEvent"), places):
            interactor.SetEventInformation(*place, 0, 0, chr(0), 0, None)
            interactor.InvokeEvent(event)
        during = slice_views.pixels(widget).astype(int) - before
        assert (during[..., 0] < -50).sum() > 500  # a green line on white
        stage.editor.setActiveEffectByName("")  # in the middle of it
        assert renderer.GetViewProps().GetNumberOfItems() == actors
        assert np.array_equal(slice_views.pixels(widget), before)
        interactor.InvokeEvent("LeftButtonReleaseEvent")
        stage.settle()
        assert stage.prompts == []

    def test_a_hand_that_trembles_still_clicks(self, stage):
        widget = stage.view("Red", A)
        x, y = slice_views.place_xy(widget, stage.point_ras(A))
        slice_views.drag(widget, [(x, y), (x + 2, y - 1), (x + 1, y)])
        stage.settle()
        assert stage.prompts == [Click(A)]


class TestWords:
    def say(self, stage, words: str) -> None:
        stage.widget("MemSegWords").text = words
        stage.widget("MemSegFind").click()
        stage.settle()

    def test_words_change_the_mask_and_are_understood_in_a_sentence(self, stage):
        stage.click(A)
        self.say(stage, "grow by 1 mm")
        grown = stage.mask()
        assert grown.sum() > block(A).sum() and (grown >= block(A)).all()
        assert "1 mm" in stage.text("MemSegUnderstood")
        stage.undo()
        assert np.array_equal(stage.mask(), block(A)) and stage.prompts == [Click(A)]

    def test_return_does_what_the_button_does(self, stage):
        stage.click(A)
        stage.widget("MemSegWords").text = "grow by 1 mm"
        stage.widget("MemSegWords").returnPressed.emit()
        stage.settle()
        assert len(stage.prompts) == 2 and stage.mask().sum() > block(A).sum()

    def test_what_is_typed_is_completed(self, stage):
        line = stage.widget("MemSegWords")
        line.textEdited.emit("left kid")
        model = line.completer().model()
        offered = [model.data(model.index(row, 0)) for row in range(model.rowCount())]
        assert "left kidney" in offered

    def test_words_that_say_nothing_are_a_sentence_and_no_step(self, stage):
        self.say(stage, "   ")
        assert stage.text("MemSegNoticeText") and stage.prompts == []
        self.say(stage, "qwertyuiop")
        assert "qwertyuiop" in stage.text("MemSegNoticeText") and stage.prompts == []
        assert not stage.editor.logic.CanUndo()


class TestUndo:
    def test_undo_and_redo_of_the_editor_take_prompts_and_memory_along(self, stage):
        stage.click(A, B, C)
        for count, mask in ((2, block(A, B)), (1, block(A)), (0, block())):
            stage.undo()
            assert np.array_equal(stage.mask(), mask)
            assert len(stage.prompts) == stage.state.memoryCount == count
        for count, mask in ((1, block(A)), (2, block(A, B)), (3, block(A, B, C))):
            stage.redo()
            assert np.array_equal(stage.mask(), mask)
            assert len(stage.prompts) == stage.state.memoryCount == count

    def test_a_click_after_an_undo_goes_on_from_there(self, stage, blocks):
        stage.click(A, B)
        stage.undo()
        stage.click(C)
        assert stage.prompts == [Click(A), Click(C)]
        assert blocks.recalled[-1] == (1,)  # of the first click, and nothing of the one undone
        assert np.array_equal(stage.mask(), block(A, C))
        stage.undo()
        assert stage.prompts == [Click(A)]

    def test_a_click_that_changes_no_voxel_is_a_step_too(self, stage):
        stage.click(A, A)
        assert len(stage.prompts) == 2
        stage.undo()
        assert stage.prompts == [Click(A)] and np.array_equal(stage.mask(), block(A))
        stage.redo()
        assert len(stage.prompts) == 2

    def test_many_undos_before_the_session_can_look_are_one_way_back(self, stage):
        stage.click(A, B, C)
        for _ in range(3):
            stage.editor.undo()
        stage.editor.redo()
        stage.settle()
        assert stage.prompts == [Click(A)] and stage.state.memoryCount == 1

    def test_an_edit_by_another_effect_is_a_prompt_and_undone_with_the_editor(self, stage):
        stage.click(A)
        stage.editor.setActiveEffectByName("")
        stage.editor.saveStateForUndo()
        stage.fill(0, block(A, B))
        stage.begin()
        stage.click(C)
        assert [prompt.kind for prompt in stage.prompts] == ["click", "mask", "click"]
        stage.undo()
        assert stage.prompts == [Click(A), MaskPrompt.from_mask(block(A, B))]
        stage.undo()
        assert stage.prompts == [Click(A)] and np.array_equal(stage.mask(), block(A))

    def test_an_undo_while_another_effect_is_active_is_followed_when_this_one_is_again(self, stage):
        stage.click(A, B)
        stage.editor.setActiveEffectByName("")
        stage.editor.undo()
        stage.settle()
        stage.begin()
        stage.settle()
        assert stage.prompts == [Click(A)] and stage.state.memoryCount == 1

    def test_each_segment_goes_back_on_its_own(self, stage):
        stage.click(A)
        stage.editor.setCurrentSegmentID(stage.ids[1])
        stage.click(B)
        stage.undo()
        assert stage.prompts == [] and not stage.mask(1).any() and np.array_equal(stage.mask(0), block(A))
        stage.undo()
        stage.editor.setCurrentSegmentID(stage.ids[0])
        stage.settle()
        assert stage.prompts == [] and not stage.mask(0).any()

    def test_undo_in_the_panel_and_in_the_editor_agree(self, stage):
        stage.click(A, B)
        stage.desk.controller.undo()  # the panel's button
        stage.settle()
        assert np.array_equal(stage.mask(), block(A)) and stage.prompts == [Click(A)]
        stage.click(C)
        stage.undo()
        assert np.array_equal(stage.mask(), block(A)) and stage.prompts == [Click(A)]
        stage.undo()  # of the panel's undo
        assert np.array_equal(stage.mask(), block(A, B))

    def test_the_state_is_saved_once_for_each_action(self, stage):
        saved = []
        save = stage.editor.saveStateForUndo
        stage.editor.__dict__["saveStateForUndo"] = lambda: (saved.append(1), save())
        stage.click(A, B)
        stage.click(B, control=True)
        stage.drag([(15, 10, 10), (15, 10, 18)])
        assert len(saved) == 4


def test_the_segments_status_is_in_progress_once_something_is_segmented(stage):
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    segment = stage.segmentationNode.GetSegmentation().GetSegment(stage.ids[0])
    assert logic.GetSegmentStatus(segment) == logic.NotStarted
    stage.click(A)
    assert logic.GetSegmentStatus(segment) == logic.InProgress
