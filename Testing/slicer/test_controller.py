"""Prompts in, masks out, in a real scene: what a shell can rely on. The model is the block segmenter with a reach of 2,
so a click sets or clears the 5 x 5 x 5 voxels round it."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import slicer
from fakes import BlockSegmenter, box_mask, by_number, turned_grid
from scenes import editAsSlicerDoes, slicersMask, vtkMatrix
from vtk.util.numpy_support import vtk_to_numpy

import memseg
from memseg import build
from memseg.geometry import Box, Grid
from memseg.prompts import Click, MaskPrompt, Text
from MemSegSlicerLib import SceneBridge

pytestmark = pytest.mark.slicer

GRID = turned_grid()
SHAPE = GRID.shape_kji
A, B, C = (5, 5, 5), (10, 12, 14), (14, 18, 22)


def block(*points: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    for point in points:
        mask |= box_mask(SHAPE, Box(point, np.add(point, 1)).grown(2).clipped(SHAPE))
    return mask


@pytest.fixture
def volumeNode(addVolume):
    return addVolume(GRID)


@pytest.fixture
def segmentationNode(scene, volumeNode):
    return SceneBridge.newSegmentation(scene, volumeNode)


@pytest.fixture
def liver(segmentationNode) -> str:
    return SceneBridge.addSegment(segmentationNode, "liver")


@pytest.fixture
def spleen(segmentationNode, liver) -> str:
    return SceneBridge.addSegment(segmentationNode, "spleen")


@pytest.fixture
def ready(desk, volumeNode, segmentationNode, liver):
    """A desk with volume and segment chosen."""
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(segmentationNode, liver)
    desk.finish()
    return desk


@pytest.fixture
def maskOf(segmentationNode, volumeNode):
    return lambda segmentId: slicersMask(segmentationNode, segmentId, volumeNode)


def do(desk, *actions) -> None:
    """Each action is a prompt, or the name of a controller's method."""
    for action in actions:
        getattr(desk.controller, action)() if isinstance(action, str) else desk.controller.add(action)
        desk.finish()


class TestPrompts:
    def test_a_click_becomes_a_mask_in_the_segment(self, ready, liver, maskOf):
        ready.controller.add(Click(A))
        assert ready.controller.state.busy
        ready.finish()
        assert np.array_equal(maskOf(liver), block(A))
        state = ready.controller.state
        assert (state.voxels, state.memoryCount, state.memoryCapacity) == (125, 1, 60)
        assert (state.canUndo, state.canRedo, state.busy, state.error, state.model) == (True, False, False, "", "block")
        assert [entry.prompt for entry in state.prompts] == [Click(A)]
        assert state.milliseconds > 0

    def test_clicks_given_in_quick_succession_are_answered_in_order(self, ready, liver, maskOf):
        for prompt in (Click(A), Click(B), Click(A, positive=False), Click(C)):
            ready.controller.add(prompt)
        ready.controller.undo()
        ready.finish()
        assert np.array_equal(maskOf(liver), block(B))
        assert [entry.number for entry in ready.controller.state.prompts] == [1, 2, 3]

    def test_undo_redo_remove_and_reset_show_in_the_segment(self, ready, liver, maskOf):
        do(ready, Click(A), Click(B), "undo")
        assert np.array_equal(maskOf(liver), block(A))
        do(ready, "redo")
        assert np.array_equal(maskOf(liver), block(A, B))
        ready.controller.remove(0)
        ready.finish()
        assert np.array_equal(maskOf(liver), block(B))
        do(ready, "reset")
        assert not maskOf(liver).any() and ready.controller.state.prompts == ()
        do(ready, "undo")
        assert np.array_equal(maskOf(liver), block(B))

    def test_memories_can_be_dropped_one_by_one_or_all_and_come_back_with_undo(self, ready, liver, maskOf):
        do(ready, Click(A), Click(B), Click(C))
        ready.controller.forget(2)
        ready.finish()
        assert ready.controller.state.memoryCount == 2
        do(ready, "clearMemory")
        assert ready.controller.state.memoryCount == 0
        assert np.array_equal(maskOf(liver), block(A, B, C)) and len(ready.controller.state.prompts) == 3
        do(ready, "undo", "undo")
        assert ready.controller.state.memoryCount == 3

    def test_the_state_tells_what_the_mask_leaned_on(self, ready, segmentationNode, volumeNode, liver, spleen, blocks):
        blocks.attention = by_number
        do(ready, Click(A), Click(B), "undo", Click(B), Click(C))
        assert ready.controller.state.leaned == ((1, 0.25), (3, 0.75))
        ready.controller.setSegment(segmentationNode, spleen)
        assert ready.controller.state.leaned == ()
        ready.controller.setSegment(segmentationNode, liver)
        ready.controller.forget(1)
        ready.finish()
        assert ready.controller.state.leaned == ((3, 0.75),)
        do(ready, "undo", "undo")
        assert ready.controller.state.leaned == ((1, 1.0),)
        editAsSlicerDoes(segmentationNode, liver, volumeNode, block(C))
        do(ready, Text("xyzzy"))  # the edit enters before the words are refused
        assert ready.controller.state.leaned == ()

    def test_other_segments_on_the_labelmap_keep_their_voxels(self, ready, segmentationNode, liver, spleen, maskOf):
        do(ready, Click(A))
        ready.controller.setSegment(segmentationNode, spleen)
        do(ready, Click((6, 6, 6)))
        assert np.array_equal(maskOf(liver), block(A))
        assert np.array_equal(maskOf(spleen), block((6, 6, 6)))


class TestErrors:
    def test_words_that_mean_nothing_say_so_and_change_nothing(self, ready, liver, maskOf):
        do(ready, Click(A), Text("xyzzy"))
        assert "xyzzy" in ready.controller.state.error
        assert np.array_equal(maskOf(liver), block(A)) and len(ready.controller.state.prompts) == 1

    def test_the_next_action_that_works_clears_the_sentence(self, ready):
        do(ready, Text("xyzzy"), Click(A))
        assert ready.controller.state.error == ""

    def test_a_model_that_fails_leaves_mask_and_prompts_as_they_were(self, ready, liver, maskOf, blocks):
        do(ready, Click(A))
        blocks.fails = True
        do(ready, Click(B))
        assert "told to fail" in ready.controller.state.error
        assert np.array_equal(maskOf(liver), block(A)) and len(ready.controller.state.prompts) == 1

    def test_the_model_is_loaded_before_the_first_click(self, makeDesk, volumeNode, monkeypatch):
        asked, real = [], build.build
        monkeypatch.setattr(build, "build", lambda name, device: asked.append((name, device)) or real(name, device))
        makeDesk(device="cpu").controller.setVolume(volumeNode)
        end = time.monotonic() + 10
        while not asked and time.monotonic() < end:
            time.sleep(0.01)
        assert asked == [("block", "cpu")]

    def test_an_unforeseen_error_becomes_one_sentence_and_the_next_click_works(self, ready, liver, maskOf, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(BlockSegmenter, "predict", lambda *_: 1 / 0)
            do(ready, Click(A))
        assert ready.controller.state.error == (
            "Something unexpected went wrong and the mask was left as it is; the log says more."
        )
        do(ready, Click(B))
        assert np.array_equal(maskOf(liver), block(B)) and ready.controller.state.error == ""

    def test_without_a_volume_or_segment_the_user_is_told_to_choose_one(self, desk, volumeNode):
        desk.controller.add(Click(A))
        assert "choose a volume first" in desk.controller.state.error
        desk.controller.setVolume(volumeNode)
        desk.controller.undo()
        assert "choose a segment first" in desk.controller.state.error

    def test_nothing_to_undo_is_a_sentence(self, ready):
        do(ready, "undo")
        assert ready.controller.state.error == "There is nothing to undo."

    @pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (3.0, "same value")])
    def test_an_image_that_cannot_be_segmented_says_so_when_it_is_chosen(self, desk, addVolume, value, words):
        array = np.full(SHAPE, 3.0, np.float32)
        array[0, 0, 0] = value
        desk.controller.setVolume(addVolume(GRID, array))
        desk.finish()
        assert words in desk.controller.state.error

    def test_a_model_that_does_not_exist_is_refused(self, ready):
        ready.controller.setModel("blok")
        assert "did you mean 'block'" in ready.controller.state.error
        assert ready.controller.state.model == "block"


class TestSegmentsAndVolumes:
    def test_prompts_and_memory_survive_a_switch_to_another_segment_and_back(
        self, ready, segmentationNode, liver, spleen, maskOf
    ):
        do(ready, Click(A), Click(B))
        ready.controller.setSegment(segmentationNode, spleen)
        assert ready.controller.state.prompts == ()
        do(ready, Click(C))
        ready.controller.setSegment(segmentationNode, liver)
        assert [entry.prompt.point_kji for entry in ready.controller.state.prompts] == [A, B]
        assert ready.controller.state.memoryCount == 2
        do(ready, "undo", "undo")
        assert not maskOf(liver).any() and np.array_equal(maskOf(spleen), block(C))

    def test_a_switch_while_a_click_is_answered_puts_its_mask_where_it_belongs(
        self, ready, segmentationNode, liver, spleen, maskOf
    ):
        ready.controller.add(Click(A))
        ready.controller.setSegment(segmentationNode, spleen)
        ready.finish()
        assert np.array_equal(maskOf(liver), block(A)) and not maskOf(spleen).any()
        assert ready.controller.state.prompts == ()

    def test_two_volumes_keep_two_sessions_on_one_segment(self, ready, addVolume, volumeNode, liver):
        do(ready, Click(A))
        ready.controller.setVolume(addVolume(GRID, name="other"))
        do(ready, Click(B))
        assert [entry.prompt.kind for entry in ready.controller.state.prompts] == ["mask", "click"]
        ready.controller.setVolume(volumeNode)
        assert [entry.prompt for entry in ready.controller.state.prompts] == [Click(A)]

    def test_a_segment_that_holds_a_mask_already_is_refined_and_not_replaced(
        self, ready, segmentationNode, volumeNode, liver, maskOf
    ):
        editAsSlicerDoes(segmentationNode, liver, volumeNode, block(C))
        do(ready, Click(A))
        assert np.array_equal(maskOf(liver), block(A, C))
        assert [entry.prompt.kind for entry in ready.controller.state.prompts] == ["mask", "click"]

    def test_the_model_can_be_changed_between_clicks(self, ready):
        do(ready, Click(A))
        ready.controller.setModel("geodesic")
        ready.finish()
        assert ready.controller.state.model == "geodesic" and len(ready.controller.state.prompts) == 1

    def test_new_sessions_take_the_model_chosen_last(self, ready, segmentationNode, spleen, blocks):
        ready.controller.setModel("geodesic")
        ready.controller.setSegment(segmentationNode, spleen)
        assert ready.controller.state.model == "geodesic"


class TestManualEdits:
    def test_an_edit_between_clicks_enters_the_session_and_can_be_undone(
        self, ready, segmentationNode, volumeNode, liver, maskOf
    ):
        do(ready, Click(A))
        painted = block(A, C)
        editAsSlicerDoes(segmentationNode, liver, volumeNode, painted)
        do(ready, Click(B))
        assert np.array_equal(maskOf(liver), block(A, B, C))
        kinds = [entry.prompt.kind for entry in ready.controller.state.prompts]
        assert kinds == ["click", "mask", "click"]
        do(ready, "undo")
        assert np.array_equal(maskOf(liver), painted)
        do(ready, "undo")
        assert np.array_equal(maskOf(liver), block(A))

    def test_undo_right_after_an_edit_takes_the_edit_back(self, ready, segmentationNode, volumeNode, liver, maskOf):
        do(ready, Click(A))
        editAsSlicerDoes(segmentationNode, liver, volumeNode, block(C))
        do(ready, "undo")
        assert np.array_equal(maskOf(liver), block(A))

    def test_erasing_everything_by_hand_is_an_edit_too(self, ready, segmentationNode, volumeNode, liver, maskOf):
        do(ready, Click(A))
        editAsSlicerDoes(segmentationNode, liver, volumeNode, np.zeros(SHAPE, np.uint8))
        do(ready, Click(B))
        assert np.array_equal(maskOf(liver), block(B))

    def test_an_edit_made_while_a_click_is_answered_is_kept_and_noticed(
        self, ready, segmentationNode, volumeNode, liver, maskOf, monkeypatch
    ):
        started, goOn = threading.Event(), threading.Event()
        predict = BlockSegmenter.predict

        def slowly(*arguments):
            started.set()
            assert goOn.wait(10)
            return predict(*arguments)

        monkeypatch.setattr(BlockSegmenter, "predict", slowly)
        ready.controller.add(Click(A))
        assert started.wait(10)
        editAsSlicerDoes(segmentationNode, liver, volumeNode, block(C))
        goOn.set()
        ready.finish()
        assert np.array_equal(maskOf(liver), block(A, C))
        do(ready, Click(B))
        assert [entry.prompt.kind for entry in ready.controller.state.prompts] == ["click", "mask", "click"]

    def test_editing_a_neighbour_on_the_same_labelmap_is_no_edit_of_this_segment(
        self, ready, segmentationNode, volumeNode, liver, spleen
    ):
        do(ready, Click(A))
        ready.controller.setSegment(segmentationNode, spleen)
        do(ready, Click(C))
        ready.controller.setSegment(segmentationNode, liver)
        do(ready, Click(B))
        assert [entry.prompt.kind for entry in ready.controller.state.prompts] == ["click", "click"]

    def test_on_an_oversampled_labelmap_clicks_are_not_taken_for_edits(
        self, ready, segmentationNode, volumeNode, liver, maskOf
    ):
        fine = slicer.vtkOrientedImageData()
        numbers = GRID.ijk_to_ras.copy()
        numbers[:3, :3] /= 2
        fine.SetImageToWorldMatrix(vtkMatrix(numbers))
        fine.SetExtent(0, 55, 0, 47, 0, 39)
        converter = slicer.vtkSegmentationConverter
        segmentationNode.GetSegmentation().SetConversionParameter(
            converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(fine)
        )
        do(ready, Click(A), Click(B))
        assert [entry.prompt.kind for entry in ready.controller.state.prompts] == ["click", "click"]


class TestChangesOfTheVolume:
    def test_a_moved_volume_keeps_prompts_in_their_voxels(
        self, ready, volumeNode, segmentationNode, liver, addTransform, maskOf
    ):
        do(ready, Click(A))
        shift = np.eye(4)
        shift[:3, 3] = (30, 0, 0)
        transformId = addTransform(shift).GetID()
        volumeNode.SetAndObserveTransformNodeID(transformId)
        segmentationNode.SetAndObserveTransformNodeID(transformId)
        do(ready, Click(B))
        assert np.array_equal(maskOf(liver), block(A, B))
        assert [entry.prompt for entry in ready.controller.state.prompts] == [Click(A), Click(B)]
        assert ready.controller.volume.grid.ijk_to_ras[0, 3] == pytest.approx(12 + 30)
        do(ready, "undo", "undo")
        assert not maskOf(liver).any()

    def test_changed_voxels_are_what_the_next_click_sees(self, ready, volumeNode, liver, maskOf, blocks):
        blocks.threshold = 0
        do(ready, Click(A))
        slicer.util.arrayFromVolume(volumeNode)[:] = -np.arange(np.prod(SHAPE)).reshape(SHAPE) - 1
        slicer.util.arrayFromVolumeModified(volumeNode)
        assert ready.controller.volume.intensity_range == (-np.prod(SHAPE), -1)
        do(ready, Click(B))
        assert np.array_equal(maskOf(liver), block(A))  # every voxel lies below the threshold now
        assert [entry.prompt for entry in ready.controller.state.prompts] == [Click(A), Click(B)]

    def test_an_image_of_another_size_starts_a_new_session_from_the_mask(
        self, ready, volumeNode, segmentationNode, liver
    ):
        do(ready, Click(A))
        smaller = np.arange(np.prod((12, 24, 28)), dtype=np.int16).reshape(12, 24, 28)
        slicer.util.updateVolumeFromArray(volumeNode, smaller)
        do(ready, Click((9, 12, 14)))
        assert [entry.prompt.kind for entry in ready.controller.state.prompts] == ["mask", "click"]
        assert ready.controller.state.voxels == 250


class TestThingsThatVanish:
    @pytest.fixture
    def held(self, ready, monkeypatch):
        """A click that is being answered until `held` is set."""
        started, goOn = threading.Event(), threading.Event()
        predict = BlockSegmenter.predict

        def slowly(*arguments):
            started.set()
            assert goOn.wait(10)
            return predict(*arguments)

        monkeypatch.setattr(BlockSegmenter, "predict", slowly)
        ready.controller.add(Click(A))
        ready.controller.add(Click(B))
        assert started.wait(10)
        yield goOn
        goOn.set()

    @pytest.mark.parametrize("what", ["segment", "segmentation", "volume", "scene"])
    def test_deletion_while_a_click_is_answered_drops_its_result(
        self, ready, held, scene, volumeNode, segmentationNode, liver, what
    ):
        match what:
            case "segment":
                segmentationNode.GetSegmentation().RemoveSegment(liver)
            case "segmentation":
                scene.RemoveNode(segmentationNode)
            case "volume":
                scene.RemoveNode(volumeNode)
            case "scene":
                scene.Clear(False)
        held.set()
        ready.finish()
        state = ready.controller.state
        assert (state.prompts, state.busy, state.voxels, state.error) == ((), False, 0, "")

    def test_a_new_scene_after_a_closed_one_works(self, ready, scene, addVolume):
        do(ready, Click(A))
        scene.Clear(False)
        node = addVolume(Grid.from_spacing(SHAPE, (1, 1, 1)))
        segmentation = SceneBridge.newSegmentation(scene, node)
        segmentId = SceneBridge.addSegment(segmentation, "liver")
        ready.controller.setVolume(node)
        ready.controller.setSegment(segmentation, segmentId)
        do(ready, Click(B))
        assert np.array_equal(slicersMask(segmentation, segmentId, node), block(B))
        assert len(ready.controller.state.prompts) == 1

    def test_closing_the_scene_takes_the_last_sentence_with_it(self, ready, scene):
        do(ready, "undo")
        scene.Clear(False)
        assert ready.controller.state.error == ""

    def test_a_deleted_segment_that_is_clicked_says_so(self, ready, segmentationNode, liver):
        segmentationNode.GetSegmentation().RemoveSegment(liver)
        do(ready, Click(A))
        assert "no longer exists" in ready.controller.state.error


class TestListeners:
    def test_listeners_hear_of_the_click_and_of_its_mask_on_the_calling_thread(self, ready):
        heard = []
        remove = ready.controller.addListener(
            lambda state: heard.append((state.busy, state.voxels, threading.get_ident()))
        )
        do(ready, Click(A))
        assert heard[0] == (True, 0, threading.get_ident())
        assert heard[-1] == (False, 125, threading.get_ident())
        remove()
        remove()
        count = len(heard)
        do(ready, Click(B))
        assert len(heard) == count

    def test_a_failing_listener_is_logged_and_the_others_are_told(self, ready, caplog):
        heard = []
        ready.controller.addListener(lambda state: 1 / 0)
        ready.controller.addListener(heard.append)
        do(ready, Click(A))
        assert heard[-1].voxels == 125 and "a listener failed" in caplog.text

    def test_after_cleanup_nothing_is_heard_and_the_scene_may_go(self, ready, scene):
        heard = []
        ready.controller.addListener(heard.append)
        ready.controller.add(Click(A))
        ready.controller.cleanup()
        count = len(heard)
        scene.Clear(False)
        ready.finish()
        assert len(heard) == count


def test_each_session_keeps_a_journal_where_one_is_asked_for(makeDesk, volumeNode, segmentationNode, liver, tmp_path):
    desk = makeDesk(journalFolder=tmp_path)
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(segmentationNode, liver)
    do(desk, Click(A), Click(B))
    (journal,) = tmp_path.iterdir()
    assert len(journal.read_text().splitlines()) == 3  # the header and two clicks


def test_a_session_taken_over_to_changed_voxels_begins_a_journal_that_holds_all_of_it(
    makeDesk, volumeNode, segmentationNode, liver, tmp_path, maskOf
):
    desk = makeDesk(journalFolder=tmp_path)
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(segmentationNode, liver)
    do(desk, Click(A), Click(B))
    (first,) = tmp_path.iterdir()
    slicer.util.arrayFromVolume(volumeNode)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(volumeNode)
    do(desk, Click(A, positive=False))
    (second,) = set(tmp_path.iterdir()) - {first}
    resumed = memseg.resume_session(second, desk.controller.volume)
    assert len(resumed.prompts) == 3 and np.array_equal(resumed.mask_kji, maskOf(liver))


def test_a_journal_that_cannot_be_written_is_a_sentence_and_nothing_is_lost(
    makeDesk, volumeNode, segmentationNode, liver, tmp_path, maskOf
):
    desk = makeDesk(journalFolder=tmp_path / "not made yet")
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(segmentationNode, liver)
    do(desk, Click(A))
    assert "journal" in desk.controller.state.error and not maskOf(liver).any()
    (tmp_path / "not made yet").mkdir()
    do(desk, Click(A))
    assert desk.controller.state.error == "" and np.array_equal(maskOf(liver), block(A))


def test_a_first_click_need_not_wait_for_the_volume_to_be_checked(desk, volumeNode, segmentationNode, liver, maskOf):
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(segmentationNode, liver)
    desk.controller.add(Click(A))
    desk.controller.add(Click(B))
    desk.finish()
    assert np.array_equal(maskOf(liver), block(A, B))
    assert desk.controller.state.memoryCount == 2


def test_a_surface_that_is_shown_follows_the_mask(ready, segmentationNode, liver):
    do(ready, Click(A))
    segmentationNode.CreateClosedSurfaceRepresentation()
    low, high = segmentationNode.GetClosedSurfaceInternalRepresentation(liver).GetBounds()[4:]
    do(ready, Click(C))
    end, height = time.monotonic() + 20, high - low
    while height < 1.5 * (high - low) and time.monotonic() < end:  # it is made in a pause between clicks
        ready.finish()
        time.sleep(0.02)
        bounds = segmentationNode.GetClosedSurfaceInternalRepresentation(liver).GetBounds()
        height = bounds[5] - bounds[4]
    assert height > 1.5 * (high - low)


def test_manual_edits_enter_as_whole_masks(ready, segmentationNode, volumeNode, liver):
    editAsSlicerDoes(segmentationNode, liver, volumeNode, block(C))
    do(ready, Click(A))
    (first, _) = ready.controller.state.prompts
    assert isinstance(first.prompt, MaskPrompt) and first.prompt.values.sum() == 125


class TestBesideTheSegmentEditor:
    """Slicer's own editor logic works on the same segment, with its own undo."""

    @pytest.fixture
    def editor(self, scene, volumeNode, segmentationNode, liver):
        node = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        logic = slicer.vtkSlicerSegmentEditorLogic()
        logic.SetMRMLScene(scene)
        logic.SetSegmentEditorNode(node)
        logic.SetSegmentationNode(segmentationNode)
        logic.SetSourceVolumeNode(volumeNode)
        node.SetSelectedSegmentID(liver)
        logic.SetMaximumNumberOfUndoStates(10)
        return logic

    def paint(self, editor, segmentationNode, liver, mask: np.ndarray) -> None:
        editor.SaveStateForUndo()
        editor.UpdateReferenceGeometryImage()
        editor.ResetModifierLabelmapToDefault()
        labelmap = editor.GetModifierLabelmap()
        vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(SHAPE)[mask != 0] = 1
        labelmap.Modified()
        whole = [0, -1, 0, -1, 0, -1]
        add = editor.ModificationModeAdd
        editor.ModifySegmentByLabelmap(segmentationNode, liver, labelmap, add, whole, True, False)

    def test_strokes_and_clicks_alternate(self, ready, editor, segmentationNode, liver, maskOf):
        do(ready, Click(A))
        self.paint(editor, segmentationNode, liver, block(C))
        do(ready, Click(B))
        assert np.array_equal(maskOf(liver), block(A, B, C))
        do(ready, "undo", "undo")
        assert np.array_equal(maskOf(liver), block(A))

    def test_the_editors_undo_is_one_more_edit(self, ready, editor, segmentationNode, liver, maskOf):
        do(ready, Click(A))
        self.paint(editor, segmentationNode, liver, block(C))
        editor.Undo()
        assert np.array_equal(maskOf(liver), block(A))
        do(ready, Click(B))
        assert np.array_equal(maskOf(liver), block(A, B))

    def test_clicks_do_not_reach_into_the_states_the_editor_saved(self, ready, editor, segmentationNode, liver, maskOf):
        do(ready, Click(A))
        editor.SaveStateForUndo()
        do(ready, Click(B))
        editor.SaveStateForUndo()
        do(ready, Click(C))
        editor.Undo()
        assert np.array_equal(maskOf(liver), block(A, B))
        do(ready, Click(C))
        editor.Undo()
        assert np.array_equal(maskOf(liver), block(A, B))
        editor.Undo()
        assert np.array_equal(maskOf(liver), block(A))
        editor.Redo()
        assert np.array_equal(maskOf(liver), block(A, B))
