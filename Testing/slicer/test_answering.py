"""Answers that take long, in a real scene: how far they are, stopping them, and what BiomedParse cannot answer.

The object is where the image is bright, slice by slice; slices wait until the test lets them go.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from fakes import ellipsoid
from scenes import slicersMask
from slow_biomedparse import CENTRE, OBJECT, SHAPE, Slow, array, installed, usual_places

from memseg import build, registry
from memseg.errors import ModelError
from memseg.evaluation.metrics import dice
from memseg.geometry import Grid
from memseg.prompts import Click, Text
from MemSegSlicerLib import Answering, Modality, SceneBridge

pytestmark = pytest.mark.slicer

GRID = Grid.from_spacing(SHAPE, (4.0, 1.0, 1.0))
KIDNEY = Text("left kidney")


@pytest.fixture
def slow(blocks, monkeypatch) -> Slow:
    """Beside the block segmenter."""
    for name in ("_SOON_SECONDS", "_BETWEEN_SECONDS"):
        monkeypatch.setattr(Answering, name, 0.0)
    slow = installed(monkeypatch, *usual_places())
    yield slow
    slow.let_all()


@pytest.fixture
def stage(slow, makeDesk, addVolume, scene) -> Callable[..., object]:
    """A desk with BiomedParse on an image, and a segment that nobody named."""

    def make(values: np.ndarray | None = None, grid: Grid = GRID, model: str = "biomedparse"):
        node = addVolume(grid, array() if values is None else values)
        segmentationNode = SceneBridge.newSegmentation(scene, node)
        segmentId = SceneBridge.addSegment(segmentationNode, "Segment 1")
        desk = makeDesk(model=model)
        desk.controller.setVolume(node)
        desk.controller.setSegment(segmentationNode, segmentId)
        desk.finish()
        desk.node = node
        desk.mask = lambda: slicersMask(segmentationNode, segmentId, node)
        return desk

    return make


def until(desk, isSo: Callable[[], bool]) -> None:
    """Turn the main queue until something is so."""
    end = time.monotonic() + 30
    while not isSo():
        assert time.monotonic() < end, "it did not come to that in time"
        desk.queue.wait(0.01)
        desk.queue.process()


def answer(desk, prompt) -> None:
    desk.controller.add(prompt)
    desk.finish()


def begin(desk, slow: Slow, count: int = 3, text: Text = KIDNEY) -> None:
    """Ask, and let so many slices go; the next one is being looked at then."""
    slow.hold()
    desk.controller.add(text)
    slow.let(count)
    until(desk, lambda: slow.encoded == count and _at(desk) == f"slice {count + 1} of {SHAPE[0]}")


def _at(desk) -> str:
    working = desk.controller.state.working
    return working.words if working is not None else ""


class TestProgress:
    def test_the_state_says_which_slice_is_looked_at_and_how_much_is_behind(self, stage, slow):
        desk = stage()
        begin(desk, slow, 3)
        assert desk.controller.state.working.fraction == pytest.approx(0.9 * 3 / 12)  # looked at again with memory
        assert desk.controller.state.busy
        slow.let_all()
        desk.finish()
        state = desk.controller.state
        assert state.working is None and not state.busy and dice(OBJECT, desk.mask()) > 0.85

    def test_what_is_there_at_once_is_not_watched(self, slow, stage):
        desk = stage(model="block")
        told = []
        desk.controller.addListener(lambda state: told.append(state.working))
        answer(desk, Click(CENTRE))
        assert told and set(told) == {None}

    def test_progress_is_shown_a_few_times_a_second_and_not_of_what_is_soon_there(self):
        posted = []
        answering = Answering.Answering(posted.append, lambda: None)

        def work() -> None:
            from memseg.watching import tell

            for place in range(1000):
                tell(f"slice {place}", place / 1000)

        answering.run(work)
        assert posted == [] and answering.progress is None


class TestStopping:
    def test_within_a_slice_nothing_has_changed_and_asking_again_goes_on_from_there(self, stage, slow):
        desk = stage()
        answer(desk, Click((2, 40, 40)))
        before, prompts = desk.mask(), desk.controller.state.prompts
        begin(desk, slow, 3)
        desk.controller.stop()
        slow.let()
        desk.finish()
        state = desk.controller.state
        assert slow.encoded == 4 and np.array_equal(desk.mask(), before)
        assert state.prompts == prompts and state.canUndo and not state.canRedo and state.working is None
        assert (state.error, state.stopped) == ("", True) and state.report == "Stopped, and nothing was changed."
        slow.let_all()
        answer(desk, KIDNEY)
        assert slow.encoded == SHAPE[0] and dice(OBJECT, desk.mask()) > 0.85 and not desk.controller.state.stopped
        desk.controller.undo()
        desk.finish()
        assert np.array_equal(desk.mask(), before)

    def test_what_waits_for_its_turn_is_done_all_the_same(self, stage, slow):
        desk = stage()
        begin(desk, slow)
        desk.controller.add(Click((2, 40, 40)))
        desk.controller.stop()
        slow.let_all()
        desk.finish()
        assert [entry.prompt for entry in desk.controller.state.prompts] == [Click((2, 40, 40))]
        assert desk.mask()[2, 40, 40] == 1

    def test_the_reader_beside_a_model_for_clicks_is_stopped_too(self, stage, slow):
        desk = stage(model="block")
        begin(desk, slow)
        desk.controller.stop()
        slow.let()
        desk.finish()
        assert desk.controller.state.stopped and not desk.mask().any() and slow.encoded == 4

    def test_with_nothing_to_stop_nothing_happens(self, stage, slow):
        desk = stage()
        desk.controller.stop()
        answer(desk, KIDNEY)
        assert dice(OBJECT, desk.mask()) > 0.85

    @pytest.mark.parametrize("how", ["abandon", "cleanup", "delete the image", "save"])
    def test_nobody_waits_for_an_answer_that_is_no_longer_wanted(self, stage, slow, scene, how):
        desk = stage()
        begin(desk, slow)
        slow.let(1)
        match how:
            case "abandon":
                desk.controller.abandon()
            case "cleanup":
                desk.controller.cleanup()
            case "delete the image":
                scene.RemoveNode(desk.node)
            case "save":
                desk.controller.saveToScene()
        desk.finish()
        assert slow.encoded <= 5  # the one that was looked at, and one that may have begun
        if how == "save":
            assert desk.controller.state.stopped and not desk.mask().any()

    def test_a_long_answer_that_waits_does_not_hold_up_saving_either(self, stage, slow):
        desk = stage()
        begin(desk, slow)
        desk.controller.add(Text("right kidney"))
        slow.let(1)
        desk.controller.saveToScene()
        assert slow.encoded <= 5 and not desk.controller.state.busy
        slow.let_all()
        answer(desk, KIDNEY)
        assert dice(OBJECT, desk.mask()) > 0.85


class TestTheKindOfImage:
    @pytest.mark.parametrize("model", ["biomedparse", "block"])
    def test_it_is_asked_for_and_the_words_are_tried_again_with_the_answer(self, stage, model):
        desk = stage(array(kind="unknown"), model=model)
        answer(desk, KIDNEY)
        state = desk.controller.state
        assert state.asksModality and "cannot be told" in state.error and not desk.mask().any()
        desk.controller.tellModality("CT")
        desk.finish()
        state = desk.controller.state
        assert (state.asksModality, state.error, state.modality) == (False, "", "CT")
        assert dice(OBJECT, desk.mask()) > 0.8 and len(state.prompts) == 1

    def test_it_is_kept_with_the_volume_in_the_scene_and_not_asked_for_again(self, stage, scene, tmp_path):
        desk = stage(array(kind="unknown"))
        answer(desk, KIDNEY)
        desk.controller.tellModality("CT")
        desk.finish()
        assert Modality.of(desk.node) == "CT"
        desk.controller.saveToScene()
        scene.SetURL(str(tmp_path / "scene.mrml"))
        assert scene.Commit()
        assert "MemSegSlicer.Modality:CT" in (tmp_path / "scene.mrml").read_text()

        other = stage(array(kind="unknown"))
        Modality.keep(other.node, "CT")  # as a scene that is opened again has it
        answer(other, KIDNEY)
        assert not other.controller.state.asksModality and other.mask().any()

    def test_words_that_say_it_in_passing_are_heard(self, stage):
        desk = stage(array(kind="unknown"))
        answer(desk, Text("left kidney in CT"))
        assert Modality.of(desk.node) == "CT" and desk.mask().any()

    def test_whatever_else_is_done_ends_the_question(self, stage):
        desk = stage(array(kind="unknown"))
        answer(desk, KIDNEY)
        answer(desk, Click(CENTRE))
        assert not desk.controller.state.asksModality
        desk.controller.tellModality("CT")
        desk.finish()
        assert len(desk.controller.state.prompts) == 1

    def test_what_a_file_says_that_makes_no_sense_is_ignored(self, stage):
        desk = stage(array(kind="unknown"))
        desk.node.SetAttribute("MemSegSlicer.Modality", "X-ray")
        assert Modality.of(desk.node) == ""
        answer(desk, Click(CENTRE))
        assert desk.controller.state.error == ""


class TestWhatIsAwkward:
    @pytest.mark.parametrize("model", ["biomedparse", "block"])
    def test_words_that_match_nothing_paint_nothing_and_that_is_said(self, stage, slow, model):
        slow.network.knows = ("liver",)
        desk = stage(model=model)
        answer(desk, Click((2, 40, 40)))
        before = desk.mask()
        answer(desk, KIDNEY)
        state = desk.controller.state
        assert "finds no left kidney here" in state.error and not state.asksModality
        assert np.array_equal(desk.mask(), before) and len(state.prompts) == 1

    @pytest.mark.parametrize(("count", "note"), [(1, "single slice"), (2, "")])
    def test_images_of_one_and_two_slices_are_answered(self, stage, count, note):
        truth = np.repeat(OBJECT[6:7], count, axis=0)
        desk = stage(array(truth), Grid.from_spacing(truth.shape, (5.0, 1.0, 1.0)))
        answer(desk, KIDNEY)
        assert desk.controller.state.error == "" and dice(truth, desk.mask()) > 0.85
        assert note in desk.controller.state.note

    def test_an_image_cut_from_the_side_is_answered_in_its_own_slices(self, stage, slow):
        truth = np.ascontiguousarray(ellipsoid((12, 48, 48), CENTRE, (4.2, 12, 12)).transpose(1, 2, 0))
        desk = stage(array(truth), Grid.from_spacing(truth.shape, (1.0, 1.0, 4.0)))
        answer(desk, KIDNEY)
        assert slow.encoded == 12 and dice(truth, desk.mask()) > 0.8
        assert "cut into sagittal slices" in desk.controller.state.note

    def test_a_file_that_is_not_the_models_is_refused_when_it_is_added_and_when_it_is_used(
        self, makeDesk, blocks, addVolume, scene, monkeypatch, tmp_path
    ):
        monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "registry"))
        path = tmp_path / "biomedparse_v2.ckpt"
        torch.save({"state_dict": {"some.other.weight": torch.ones(3)}}, path)
        with pytest.raises(ModelError, match="BiomedParse"):
            build.check_weights("biomedparse", path)
        registry.add("biomedparse", path, "CC BY-NC-SA 4.0")
        node = addVolume(GRID, array())
        segmentationNode = SceneBridge.newSegmentation(scene, node)
        segmentId = SceneBridge.addSegment(segmentationNode, "Segment 1")
        desk = makeDesk()
        desk.controller.setVolume(node)
        desk.controller.setSegment(segmentationNode, segmentId)
        answer(desk, Click(CENTRE))
        before = slicersMask(segmentationNode, segmentId, node)
        desk.controller.setModel("biomedparse")
        desk.finish()
        state = desk.controller.state
        assert "BiomedParse" in state.error and state.model == "block" and len(state.prompts) == 1
        answer(desk, Text("left kidney"))
        assert desk.controller.state.error and np.array_equal(slicersMask(segmentationNode, segmentId, node), before)
