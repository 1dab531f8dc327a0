"""From slice to slice in a real scene: live, to be cancelled, and never in the way of what the user does meanwhile.

The image is a bright tube, slices 3 to 16 of 20 along k. The block slices follow what is bright, so that a propagation
from slice 10 answers 11 to 18 and 9 to 1: two slices beyond either end tell it that the tube ends there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import slicer
from fakes import BlockSlices, box_mask, turned_grid
from scenes import editAsSlicerDoes, slicersMask

from memseg.geometry import Box
from memseg.prompts import Click
from MemSegSlicerLib import Pauses, SceneBridge
from MemSegSlicerLib.Propagation import GONE, IMAGE_CHANGED, RUNNING, SCENE_CLOSED, SEGMENT_EDITED

pytestmark = pytest.mark.slicer

GRID = turned_grid()
SHAPE = GRID.shape_kji
FAR = (5, 20, 24)  # a click there is outside the tube
ALL_ANSWERED = 17  # 11 to 18 and 9 to 1


def tube(first: int, last: int) -> np.ndarray:
    return box_mask(SHAPE, Box((first, 8, 10), (last + 1, 14, 18)))


def blockRound(point: tuple[int, int, int]) -> np.ndarray:
    return box_mask(SHAPE, Box(point, np.add(point, 1)).grown(2).clipped(SHAPE))


class Gate:
    """Lets the block slices through up to a slice, whose answer they give when it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._reached, self._open = threading.Event(), threading.Event()
        self._index: int | None = None
        follow = BlockSlices.follow

        def waiting(segmenter, volume, axis, index, *rest):
            if index == self._index:
                self._reached.set()
                assert self._open.wait(20)
            return follow(segmenter, volume, axis, index, *rest)

        monkeypatch.setattr(BlockSlices, "follow", waiting)

    def closeAt(self, index: int) -> None:
        self._index = index

    def waitFor(self, desk) -> None:
        """Until the slice is being answered, with everything before it in the segment."""
        while not self._reached.wait(0.005):
            desk.queue.process()

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(monkeypatch) -> Gate:
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


@pytest.fixture
def volumeNode(addVolume):
    return addVolume(GRID, np.where(tube(3, 16) > 0, 100, -100).astype(np.int16))


@pytest.fixture
def segmentationNode(scene, volumeNode):
    return SceneBridge.newSegmentation(scene, volumeNode)


@pytest.fixture
def liver(segmentationNode) -> str:
    return SceneBridge.addSegment(segmentationNode, "liver")


@pytest.fixture
def maskOf(segmentationNode, volumeNode) -> Callable[[str], np.ndarray]:
    return lambda segmentId: slicersMask(segmentationNode, segmentId, volumeNode)


@pytest.fixture
def edit(segmentationNode, volumeNode, liver) -> Callable[[np.ndarray], None]:
    return lambda mask: editAsSlicerDoes(segmentationNode, liver, volumeNode, mask)


@pytest.fixture
def ready(desk, volumeNode, segmentationNode, liver, edit):
    """A desk whose segment holds the tube in slice 10 alone, drawn by hand."""
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(segmentationNode, liver)
    edit(tube(10, 10))
    desk.finish()
    return desk


@pytest.fixture
def running(ready, gate):
    """A propagation that is answering slice 13; slices 7 to 12 are done."""
    gate.closeAt(13)
    ready.controller.propagate("k")
    gate.waitFor(ready)
    return ready


def propagated(desk, **course: object) -> None:
    desk.controller.propagate("k", **course)
    desk.finish()


class TestRunning:
    def test_a_drawn_slice_grows_to_the_object_and_stops_at_its_ends(self, ready, liver, maskOf):
        propagated(ready)
        state = ready.controller.state
        assert np.array_equal(maskOf(liver), tube(3, 16))
        assert (state.error, state.busy, state.propagating) == ("", False, False)
        assert state.report == (
            "17 slices propagated. The object ends at slice 16: it is not in slices 17 to 18. "
            "The object ends at slice 3: it is not in slices 1 to 2."
        )

    def test_every_slice_is_in_the_segment_before_the_next_is_done(self, running, liver, maskOf):
        assert np.array_equal(maskOf(liver), tube(8, 12))
        state = running.controller.state
        assert state.propagating and state.busy
        assert (state.progress.axis, state.progress.done, state.progress.index) == ("k", 4, 8)

    def test_listeners_hear_of_every_slice(self, ready):
        heard = []
        ready.controller.addListener(lambda state: heard.append(state.progress.done if state.progress else None))
        propagated(ready)
        assert set(range(ALL_ANSWERED + 1)) <= set(heard) and heard[-1] is None

    def test_it_is_one_step_to_undo(self, ready, liver, maskOf):
        propagated(ready)
        ready.controller.undo()
        ready.finish()
        assert np.array_equal(maskOf(liver), tube(10, 10)) and ready.controller.state.marks == {}
        ready.controller.redo()
        ready.finish()
        assert np.array_equal(maskOf(liver), tube(3, 16))

    def test_the_state_tells_of_every_slice_what_is_known(self, ready, blockSlices):
        blockSlices.confidence = {15: 0.6}
        propagated(ready, direction="up")
        marks = ready.controller.state.marksAlong("k")
        assert sorted(marks) == list(range(10, 19))
        assert marks[10].agreed and not marks[11].agreed
        # a step of confidence 0.9 keeps 1 - 2 * 0.1^2 of what was right, one of 0.6 keeps 1 - 2 * 0.4^2
        expected = [0.98**4 * 0.68, 0.98**5 * 0.68]
        assert [marks[15].confidence, marks[16].confidence] == pytest.approx(expected)
        assert [marks[index].present for index in (16, 17, 18)] == [True, False, False]
        assert ready.controller.state.filled["k"] == frozenset(range(10, 17))
        assert ready.controller.state.filled["j"] == frozenset(range(8, 14))
        assert ready.controller.state.suggestion.index == 16

    def test_the_slice_memory_is_in_the_state(self, ready):
        propagated(ready)
        entries = {entry.index: entry for entry in ready.controller.state.slices}
        assert entries[10].agreed and entries[10].prominence == 2
        assert len(entries) == ready.controller.state.sliceCapacity == 8

    def test_range_and_direction_bound_it_and_patience_lets_it_go_on(self, ready, liver, maskOf):
        propagated(ready, first=6, last=12)
        assert np.array_equal(maskOf(liver), tube(6, 12))
        propagated(ready, direction="up", patience=20)
        assert np.array_equal(maskOf(liver), tube(6, 16))
        assert ready.controller.state.report == "9 slices propagated. The volume ends here."


class TestCancelling:
    def test_cancel_keeps_what_was_done_as_one_step(self, running, gate, liver, maskOf):
        running.controller.cancelPropagation()
        assert not running.controller.state.propagating
        gate.open()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(8, 13))
        assert running.controller.state.report == "Cancelled. 5 slices propagated."
        running.controller.undo()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(10, 10))

    def test_a_cancelled_propagation_goes_on_from_where_it_was(self, running, gate, liver, maskOf):
        running.controller.cancelPropagation()
        gate.open()
        running.finish()
        propagated(running)
        assert np.array_equal(maskOf(liver), tube(3, 16))

    def test_cancel_before_the_first_slice_changes_nothing(self, ready, gate, liver, maskOf):
        gate.closeAt(11)
        ready.controller.propagate("k")
        gate.waitFor(ready)
        ready.controller.cancelPropagation()
        gate.open()
        ready.finish()
        assert np.array_equal(maskOf(liver), tube(10, 11))

    def test_cancel_without_a_propagation_does_nothing(self, ready):
        ready.controller.cancelPropagation()
        ready.finish()
        assert ready.controller.state.error == ""

    def test_a_second_propagation_is_refused_and_the_first_goes_on(self, running, gate, liver, maskOf):
        running.controller.propagate("j")
        assert running.controller.state.error == RUNNING
        gate.open()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(3, 16))


class TestDrawingSlowly:
    """A shell that is still drawing one slice when the next one is there."""

    @pytest.fixture
    def undrawn(self) -> list[Callable[[], None]]:
        return []

    @pytest.fixture
    def desk(self, makeDesk, undrawn):
        return makeDesk(pace=undrawn.append)

    def test_the_next_slice_waits_until_it_is_asked_for(self, ready, undrawn, liver, maskOf):
        propagated(ready)
        assert np.array_equal(maskOf(liver), tube(10, 10)) and ready.controller.state.busy
        undrawn.pop()()
        ready.finish()
        assert np.array_equal(maskOf(liver), tube(10, 11))
        while undrawn:
            undrawn.pop()()
            ready.finish()
        assert np.array_equal(maskOf(liver), tube(3, 16)) and not ready.controller.state.busy

    def test_cancel_does_not_wait_for_it(self, ready, undrawn, liver, maskOf):
        propagated(ready)
        ready.controller.cancelPropagation()
        ready.finish()
        assert np.array_equal(maskOf(liver), tube(10, 11)) and not ready.controller.state.busy
        undrawn.pop()()
        ready.finish()
        assert np.array_equal(maskOf(liver), tube(10, 11)) and undrawn == []

    def test_neither_does_a_click(self, ready, undrawn, liver, maskOf):
        propagated(ready)
        ready.controller.add(Click(FAR))
        ready.finish()
        assert np.array_equal(maskOf(liver), tube(10, 11) | blockRound(FAR))

    def test_a_scene_closed_meanwhile_takes_the_slice_with_it(self, ready, undrawn, scene):
        propagated(ready)
        scene.Clear(False)
        ready.finish()
        undrawn.pop()()
        ready.finish()
        assert ready.controller.state.error == SCENE_CLOSED and not ready.controller.state.busy


class TestOtherActionsMeanwhile:
    def test_a_click_ends_it_and_is_answered(self, running, gate, liver, maskOf):
        running.controller.add(Click(FAR))
        gate.open()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(8, 13) | blockRound(FAR))
        assert [entry.prompt.kind for entry in running.controller.state.prompts] == ["mask", "mask", "click"]
        running.controller.undo()
        running.controller.undo()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(10, 10))

    def test_undo_takes_back_what_was_done_so_far(self, running, gate, liver, maskOf):
        running.controller.undo()
        gate.open()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(10, 10)) and running.controller.state.canRedo

    def test_an_agreement_ends_it_too(self, running, gate):
        running.controller.agree("k", 12)
        gate.open()
        running.finish()
        state = running.controller.state
        assert state.marksAlong("k")[12].agreed and state.marksAlong("k")[13] and 14 not in state.marksAlong("k")
        assert state.error == "" and not state.propagating

    def test_another_segment_chosen_meanwhile_leaves_what_was_done(
        self, running, gate, segmentationNode, liver, maskOf
    ):
        spleen = SceneBridge.addSegment(segmentationNode, "spleen")
        running.controller.setSegment(segmentationNode, spleen)
        assert not running.controller.state.propagating
        gate.open()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(8, 13)) and not maskOf(spleen).any()
        running.controller.setSegment(segmentationNode, liver)
        running.controller.undo()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(10, 10))

    def test_a_scene_saved_meanwhile_holds_what_was_done(self, running, gate, liver, maskOf):
        threading.Timer(0.05, gate.open).start()
        running.controller.saveToScene()
        assert np.array_equal(maskOf(liver), tube(8, 13))
        assert running.controller.state.marksAlong("k")[13].confidence == pytest.approx(0.98**3)

    def test_a_pause_between_two_slices_does_not_store_the_session_which_would_end_it(
        self, ready, gate, liver, maskOf, monkeypatch
    ):
        monkeypatch.setattr(Pauses, "_PAUSE_SECONDS", 0.3)
        ready.controller.agree("k", 10)  # leaves something to store
        ready.finish()
        gate.closeAt(13)
        ready.controller.propagate("k")
        gate.waitFor(ready)
        gate.open()
        time.sleep(0.8)  # as when the main thread is busy drawing
        ready.finish()
        assert np.array_equal(maskOf(liver), tube(3, 16))


class TestEditsMeanwhile:
    def test_an_edit_elsewhere_stops_it_and_stays(self, running, gate, edit, liver, maskOf):
        edit(tube(8, 12) | blockRound(FAR))
        gate.open()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(8, 13) | blockRound(FAR))
        state = running.controller.state
        assert state.report == SEGMENT_EDITED and not state.propagating
        assert [entry.prompt.kind for entry in state.prompts] == ["mask", "mask", "mask"]
        assert all(state.marksAlong("k")[index].agreed for index in range(3, 8))

    def test_an_edit_of_the_very_slice_being_answered_wins(self, running, gate, edit, liver, maskOf):
        painted = tube(8, 12)
        painted[13, 9, 11] = 1
        edit(painted)
        gate.open()
        running.finish()
        assert np.array_equal(maskOf(liver), painted)
        assert running.controller.state.report == SEGMENT_EDITED
        running.controller.propagate("k")
        running.finish()
        assert maskOf(liver)[13].sum() == 1

    def test_undo_takes_the_edit_back_first_and_then_the_propagation(self, running, gate, edit, liver, maskOf):
        edit(tube(8, 12) | blockRound(FAR))
        gate.open()
        running.finish()
        running.controller.undo()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(8, 13))
        running.controller.undo()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(10, 10))

    def test_an_edit_of_a_neighbour_on_the_same_labelmap_does_not_disturb_it(
        self, running, gate, segmentationNode, volumeNode, liver, maskOf
    ):
        spleen = SceneBridge.addSegment(segmentationNode, "spleen")
        editAsSlicerDoes(segmentationNode, spleen, volumeNode, blockRound(FAR))
        gate.open()
        running.finish()
        assert np.array_equal(maskOf(liver), tube(3, 16)) and np.array_equal(maskOf(spleen), blockRound(FAR))


class TestThingsThatVanish:
    @pytest.mark.parametrize(
        ("what", "sentence"),
        [("segment", GONE), ("segmentation", GONE), ("volume", GONE), ("scene", SCENE_CLOSED)],
    )
    def test_it_stops_with_a_sentence(self, running, gate, scene, volumeNode, segmentationNode, liver, what, sentence):
        match what:
            case "segment":
                segmentationNode.GetSegmentation().RemoveSegment(liver)
            case "segmentation":
                scene.RemoveNode(segmentationNode)
            case "volume":
                scene.RemoveNode(volumeNode)
            case "scene":
                scene.Clear(False)
        gate.open()
        running.finish()
        state = running.controller.state
        assert (state.error, state.propagating, state.busy, state.prompts) == (sentence, False, False, ())

    def test_a_change_of_the_image_stops_it_and_the_mask_stays(self, running, gate, volumeNode, liver, maskOf):
        slicer.util.arrayFromVolume(volumeNode)[0, 0, 0] += 1
        slicer.util.arrayFromVolumeModified(volumeNode)
        gate.open()
        running.finish()
        assert running.controller.state.report.startswith(IMAGE_CHANGED)
        assert np.array_equal(maskOf(liver), tube(8, 13))
        running.controller.propagate("k")
        running.finish()
        assert np.array_equal(maskOf(liver), tube(3, 16)) and running.controller.state.error == ""

    def test_an_image_of_another_size_stops_it_and_clicks_go_on(self, running, gate, volumeNode, liver):
        slicer.util.updateVolumeFromArray(volumeNode, np.arange(15 * 24 * 28, dtype=np.int16).reshape(15, 24, 28))
        gate.open()
        running.finish()
        assert running.controller.state.report.startswith(IMAGE_CHANGED)
        running.controller.add(Click(FAR))
        running.finish()
        assert running.controller.state.error == ""


class TestErrors:
    @pytest.mark.parametrize(
        ("course", "words"),
        [
            ({"reference": 5}, "The mask is empty in slice 5"),
            ({"reference": 10, "first": 12}, "outside the range"),
            ({"first": 12, "last": 11}, "exchange them"),
            ({"last": 20}, "There is no slice 20 along k"),
            ({"direction": "sideways"}, "no direction"),
        ],
    )
    def test_what_cannot_be_done_is_a_sentence_and_changes_nothing(self, ready, liver, maskOf, course, words):
        propagated(ready, **course)
        state = ready.controller.state
        assert words in state.error and not state.propagating
        assert np.array_equal(maskOf(liver), tube(10, 10)) and state.marks == {}

    def test_without_a_mask_the_user_is_told_to_draw_one(self, ready, edit):
        edit(np.zeros(SHAPE, np.uint8))
        propagated(ready)
        assert "draw or click the object" in ready.controller.state.error

    def test_without_a_segment_the_user_is_told_to_choose_one(self, desk, volumeNode):
        desk.controller.setVolume(volumeNode)
        desk.controller.propagate("k")
        assert "choose a segment first" in desk.controller.state.error

    def test_a_failure_in_the_middle_keeps_what_was_done(self, ready, blockSlices, liver, maskOf):
        blockSlices.fails_at = 13
        propagated(ready)
        assert "told to fail" in ready.controller.state.error and not ready.controller.state.propagating
        assert np.array_equal(maskOf(liver), tube(8, 12))
        blockSlices.fails_at = None
        propagated(ready)
        assert ready.controller.state.error == "" and np.array_equal(maskOf(liver), tube(3, 16))

    def test_an_unforeseen_error_in_the_middle_is_one_sentence(self, ready, blockSlices, monkeypatch, liver, maskOf):
        with monkeypatch.context() as patch:
            patch.setattr(BlockSlices, "follow", lambda *_: 1 / 0)
            propagated(ready)
        assert ready.controller.state.error.startswith("Something unexpected went wrong")
        assert not ready.controller.state.propagating
        propagated(ready)
        assert np.array_equal(maskOf(liver), tube(3, 16))


class TestAgreedSlices:
    def test_a_corrected_slice_stays_and_the_rest_follows_it(self, ready, edit, liver, maskOf):
        propagated(ready)
        corrected = tube(3, 16)
        corrected[13] = 0
        corrected[13, 9:12, 11:15] = 1
        edit(corrected)
        propagated(ready)
        assert np.array_equal(maskOf(liver)[13], corrected[13])
        assert ready.controller.state.marksAlong("k")[13].agreed

    def test_agree_and_release_are_steps_to_undo(self, ready):
        propagated(ready)
        ready.controller.agree("k", 12)
        ready.finish()
        assert ready.controller.state.marksAlong("k")[12].agreed
        ready.controller.release("k", 12)
        ready.finish()
        assert not ready.controller.state.marksAlong("k")[12].agreed
        ready.controller.undo()
        ready.finish()
        assert ready.controller.state.marksAlong("k")[12].agreed
        ready.controller.release("k", 11)
        ready.finish()
        assert "nothing to release" in ready.controller.state.error

    def test_remembered_slices_are_pinned_dropped_and_cleared(self, ready):
        def entries() -> dict:
            return {entry.index: entry for entry in ready.controller.state.slices}

        propagated(ready)
        index = next(index for index in entries() if index != 10)
        ready.controller.pinSlice("k", index)
        ready.finish()
        assert entries()[index].pinned
        ready.controller.pinSlice("k", index, False)
        ready.controller.dropSlice("k", 10)
        ready.finish()
        assert not entries()[index].pinned and 10 not in entries()
        ready.controller.clearSlices()
        ready.finish()
        assert entries() == {} and ready.controller.state.marksAlong("k")[10].agreed
        ready.controller.undo()
        ready.finish()
        assert len(entries()) == 7

    def test_making_consistent_takes_off_what_hangs_on_nothing(self, ready, blockSlices, edit, liver, maskOf):
        propagated(ready)
        ready.controller.makeConsistent("k")
        ready.finish()
        assert ready.controller.state.error == "" and np.array_equal(maskOf(liver), tube(3, 16))


class TestSavedScenes:
    def test_marks_memory_and_undo_come_back_with_the_scene(self, slicerApp, ready, blockSlices, tmp_path):
        blockSlices.confidence = {5: 0.55}
        propagated(ready)
        ready.controller.saveToScene()
        before = ready.controller.state
        assert slicerApp.io_manager.save_scene(tmp_path / "scene.mrb")
        slicerApp.scene.Clear(False)
        assert slicerApp.io_manager.load_scene(tmp_path / "scene.mrb")
        ready.finish()
        after = ready.controller.state
        assert after.marks == before.marks and len(after.marks) == 18
        assert [entry.key for entry in after.slices] == [entry.key for entry in before.slices]
        assert after.suggestion == before.suggestion and after.suggestion.index == 4
        ready.controller.undo()
        ready.finish()
        controller = ready.controller
        mask = slicersMask(controller.segmentationNode, controller.segmentId, controller.volumeNode)
        assert np.array_equal(mask, tube(10, 10)) and controller.state.marks == {}
