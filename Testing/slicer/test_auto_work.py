"""A trained model guesses first in a real scene, and finished segments go back as training data.

The model's weights are set by hand: "liver" is what is bright, "left kidney" what is dark, "spleen" is nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from fakes import box_mask
from scenes import editAsSlicerDoes, slicersMask
from small_auto import write_bright

from memseg.automatic.folder import FILE, folders
from memseg.automatic.model import AutoModel
from memseg.errors import ModelError
from memseg.geometry import Box, Grid
from memseg.memory.recall_files import RecallFolder, default_folder
from memseg.prompts import Click, MaskPrompt
from memseg.segmenters import weights
from memseg.training.auto_subjects import Subject, read
from MemSegSlicerLib import AutoWork, SceneBridge
from MemSegSlicerLib.PromptRows import promptRows

pytestmark = pytest.mark.slicer

SHAPE = (30, 30, 30)
GRID = Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0))
BRIGHT, DARK = Box((4, 4, 4), (9, 9, 9)), Box((20, 20, 20), (25, 25, 25))
LIVER, KIDNEY = box_mask(SHAPE, BRIGHT), box_mask(SHAPE, DARK)


def image() -> np.ndarray:
    return (300 * LIVER.astype(np.int16) - 300 * KIDNEY.astype(np.int16)).astype(np.int16)


class Stage:
    """A desk with an image, and a trained model in the user's own folder."""

    def __init__(self, desk: Any, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> None:
        self.desk, self.volumeNode = desk, volumeNode
        self.controller = desk.controller
        self.controller.setVolume(volumeNode)
        self.told: list[AutoWork.AutoState] = []
        self.auto.addListener(self.told.append)

    @property
    def auto(self) -> AutoWork.AutoWork:
        return self.controller.auto

    @property
    def node(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self.controller.segmentationNode

    @property
    def names(self) -> list[str]:
        if self.node is None:
            return []
        return [self.node.GetSegmentation().GetNthSegment(n).GetName() for n in range(self.count)]

    @property
    def count(self) -> int:
        return self.node.GetSegmentation().GetNumberOfSegments()

    def mask(self, name: str) -> np.ndarray:
        return slicersMask(self.node, self.idOf(name), self.volumeNode)

    def idOf(self, name: str) -> str:
        return self.node.GetSegmentation().GetNthSegmentID(self.names.index(name))

    def codes(self, name: str) -> str:
        text = vtk.reference("")
        segment = self.node.GetSegmentation().GetSegment(self.idOf(name))
        segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), text)
        return str(text)

    def go(self, name: str) -> None:
        self.controller.setSegment(self.node, self.idOf(name))
        self.desk.finish()

    def guess(self) -> AutoWork.AutoState:
        self.auto.guess()
        self.desk.finish()
        return self.auto.state

    def collect(self, remembers: bool = False) -> AutoWork.AutoState:
        self.auto.collect(remembers)
        self.desk.finish()
        return self.auto.state

    def draw(self, name: str, mask: np.ndarray) -> str:
        """By hand, in the Segment Editor."""
        if self.node is None:
            self.controller.setSegment(SceneBridge.newSegmentation(self.desk.scene, self.volumeNode), None)
        segmentId = SceneBridge.addSegment(self.node, name)
        editAsSlicerDoes(self.node, segmentId, self.volumeNode, mask)
        return segmentId


@pytest.fixture
def stage(makeDesk: Callable[..., Any], addVolume: Callable[..., Any], tmp_path: Path) -> Stage:
    write_bright(tmp_path / "auto" / "model")
    return Stage(makeDesk(), addVolume(GRID, image()))


class TestAFirstGuess:
    def test_each_structure_found_is_a_segment_with_a_session_and_what_is_not_found_is_said(self, stage: Stage):
        state = stage.guess()
        assert stage.names == ["liver", "left kidney"]
        assert np.array_equal(stage.mask("liver"), LIVER) and np.array_equal(stage.mask("left kidney"), KIDNEY)
        assert state.report.startswith("Found liver and left kidney;") and "Not found: spleen." in state.report
        assert not state.running and not state.error
        prompts = stage.controller.state.prompts
        assert [type(entry.prompt) for entry in prompts] == [MaskPrompt]
        assert promptRows(stage.controller.state)[0].title == "first guess of the trained model"
        assert "Liver" in stage.codes("liver")

    def test_memory_is_announced_before_the_first_window(self, stage: Stage):
        stage.guess()
        first = next(told for told in stage.told if told.of)
        assert first.done == 0 and first.of == 27
        megabytes = AutoModel.load(stage.auto.state.folders.model, "cpu").need(stage.controller.volume).bytes / 2**20
        words = f"this takes about {max(1, round(megabytes))} MB of memory beside the image."
        assert first.report == f"27 windows to look at; {words}"
        assert [told.done for told in stage.told if told.of and told.running][:28] == list(range(28))

    def test_clicks_correct_it_and_undo_goes_back_to_nothing(self, stage: Stage):
        stage.guess()
        stage.controller.add(Click((6, 6, 6), positive=False))
        stage.desk.finish()
        assert stage.mask("liver").sum() < LIVER.sum() and np.array_equal(stage.mask("left kidney"), KIDNEY)
        stage.controller.undo()
        stage.desk.finish()
        assert np.array_equal(stage.mask("liver"), LIVER)
        stage.controller.undo()
        stage.desk.finish()
        assert not stage.mask("liver").any() and np.array_equal(stage.mask("left kidney"), KIDNEY)

    def test_it_is_saved_with_the_scene(self, stage: Stage, tmp_path: Path):
        stage.guess()
        stage.controller.saveToScene()
        assert stage.desk.scene.WriteToMRB(str(tmp_path / "scene.mrb"))
        stage.desk.scene.Clear(False)
        assert stage.desk.scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
        stage.desk.finish()
        assert [type(entry.prompt) for entry in stage.controller.state.prompts] == [MaskPrompt]
        stage.go("left kidney")
        assert [type(entry.prompt) for entry in stage.controller.state.prompts] == [MaskPrompt]
        assert stage.controller.state.canUndo

    def test_segments_that_are_there_stay_as_they_are(self, stage: Stage):
        stage.draw("liver", KIDNEY)
        stage.guess()
        assert stage.names == ["liver", "liver 2", "left kidney"]
        assert "Liver" in stage.codes("liver 2")
        assert np.array_equal(stage.mask("liver"), KIDNEY) and np.array_equal(stage.mask("liver 2"), LIVER)
        stage.guess()
        assert stage.names[3:] == ["liver 3", "left kidney 2"]

    def test_a_number_at_a_names_end_is_no_counter(self, stage: Stage, tmp_path: Path):
        write_bright(tmp_path / "auto" / "model", names=("vertebra L3",))
        stage.guess()
        stage.guess()
        assert stage.names == ["vertebra L3", "vertebra L3 2"]

    def test_an_empty_segment_that_nobody_named_makes_room(self, stage: Stage):
        stage.controller.setSegment(SceneBridge.newSegmentation(stage.desk.scene, stage.volumeNode), None)
        SceneBridge.addSegment(stage.node, "Segment 1")
        stage.guess()
        assert stage.names == ["liver", "left kidney"]

    def test_one_that_was_drawn_in_stays_though_nobody_named_it(self, stage: Stage):
        stage.draw("Segment 1", KIDNEY)
        stage.guess()
        assert stage.names == ["Segment 1", "liver", "left kidney"]

    def test_clicks_are_answered_while_it_goes_on(self, stage: Stage):
        segmentId = stage.draw("mine", KIDNEY)
        stage.controller.setSegment(stage.node, segmentId)
        stage.desk.finish()
        stage.auto.guess()
        stage.controller.add(Click((15, 15, 15)))
        answered: list[bool] = []
        stage.auto.addListener(
            lambda state: answered.append(len(stage.controller._records) == 1 and bool(stage.controller.state.prompts))
        )
        stage.desk.finish()
        assert True in answered[:10]
        assert stage.names == ["mine", "liver", "left kidney"]


def during(stage: Stage, window: int, act: Callable[[], None]) -> None:
    """Have it done when so many windows were looked at."""
    stage.auto.addListener(lambda state: act() if state.running and state.done == window else None)


class TestWhatGoesWrong:
    def unchanged(self, stage: Stage, words: str) -> None:
        state = stage.guess()
        assert words in (state.error or state.report)
        assert not state.running and not stage.names
        assert stage.desk.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0

    def test_a_cancelled_guess_changes_nothing_and_another_one_can_be_asked_for(self, stage: Stage):
        remove = stage.auto.addListener(lambda state: stage.auto.cancel() if state.done == 3 else None)
        self.unchanged(stage, "Cancelled; nothing was changed.")
        assert max(told.done for told in stage.told) == 3
        remove()
        stage.guess()
        assert stage.names == ["liver", "left kidney"]

    def test_no_model_yet(self, stage: Stage, tmp_path: Path):
        stage.auto.choose(model=str(tmp_path / "elsewhere"))
        assert "Train one with: memseg train auto" in stage.auto.state.problem
        self.unchanged(stage, "There is no trained model in this folder.")
        write_bright(tmp_path / "elsewhere")
        stage.auto.look()
        assert stage.auto.state.problem == "" and folders().model == tmp_path / "elsewhere"

    def test_a_file_of_another_kind(self, stage: Stage, tmp_path: Path):
        (tmp_path / "auto" / "model" / FILE).write_bytes(b"\x80\x02" + b"x" * 100)
        self.unchanged(stage, FILE)

    def test_weights_of_another_model(self, stage: Stage, tmp_path: Path):
        path = tmp_path / "auto" / "model" / FILE
        from torch import nn

        weights.save(path, "memseg-nano", nn.Linear(1, 1), "{}")
        self.unchanged(stage, "are of another model")

    def test_nothing_found(self, stage: Stage):
        slicer.util.updateVolumeFromArray(stage.volumeNode, image() // 30 + 200)
        self.unchanged(stage, "Nothing was found of liver, left kidney and spleen")

    def test_a_model_that_fails(self, stage: Stage, monkeypatch: pytest.MonkeyPatch):
        def fails(*_arguments: object) -> None:
            raise RuntimeError("shapes")

        monkeypatch.setattr("memseg.automatic.model.logits_of", fails)
        self.unchanged(stage, "Something unexpected went wrong and nothing was changed")

    def test_too_little_memory(self, stage: Stage, monkeypatch: pytest.MonkeyPatch):
        def fails(*_arguments: object) -> None:
            raise MemoryError

        monkeypatch.setattr("memseg.automatic.model.logits_of", fails)
        self.unchanged(stage, "not enough memory")

    def test_a_session_that_cannot_be_made(self, stage: Stage, monkeypatch: pytest.MonkeyPatch):
        def fails(*_arguments: object, **_options: object) -> None:
            raise ModelError("The model is not there; choose another one.")

        monkeypatch.setattr("memseg.session.build", fails)
        self.unchanged(stage, "The model is not there")

    def test_no_image(self, stage: Stage):
        stage.controller.setVolume(None)
        self.unchanged(stage, AutoWork.NO_IMAGE)

    def test_an_image_that_changes_meanwhile(self, stage: Stage):
        during(stage, 5, lambda: slicer.util.updateVolumeFromArray(stage.volumeNode, image() + 1))
        self.unchanged(stage, AutoWork.IMAGE_CHANGED)

    def test_an_image_that_is_removed_meanwhile(self, stage: Stage):
        during(stage, 5, lambda: stage.desk.scene.RemoveNode(stage.volumeNode))
        self.unchanged(stage, AutoWork.IMAGE_CHANGED)

    def test_another_image_that_is_chosen_meanwhile(self, stage: Stage, addVolume: Callable[..., Any]):
        other = addVolume(GRID, image())
        during(stage, 5, lambda: stage.controller.setVolume(other))
        self.unchanged(stage, AutoWork.IMAGE_CHANGED)

    @pytest.mark.parametrize("window", [0, 5, 27])
    def test_a_scene_that_is_closed_meanwhile(self, stage: Stage, window: int):
        during(stage, window, lambda: stage.desk.scene.Clear(False))
        self.unchanged(stage, AutoWork.AUTO_CLOSED)

    def test_a_scene_that_is_saved_meanwhile_is_saved_at_once(self, stage: Stage):
        during(stage, 5, stage.controller.saveToScene)
        self.unchanged(stage, AutoWork.AUTO_SAVED)

    def test_a_second_press_is_told_to_wait(self, stage: Stage):
        stage.auto.guess()
        stage.auto.guess()
        assert stage.auto.state.error == AutoWork.RUNNING
        stage.desk.finish()
        assert stage.names == ["liver", "left kidney"]

    def test_a_segmentation_that_does_not_fit_is_left_alone(self, stage: Stage, addVolume: Callable[..., Any]):
        coarse = Grid.from_spacing((10, 10, 10), (3.0, 3.0, 3.0))
        other = addVolume(coarse, np.arange(1000, dtype=np.int16).reshape(10, 10, 10))
        node = SceneBridge.newSegmentation(stage.desk.scene, other)
        segmentId = SceneBridge.addSegment(node, "other")
        editAsSlicerDoes(node, segmentId, other, box_mask((10, 10, 10), Box((1, 1, 1), (3, 3, 3))))
        stage.controller.setSegment(node, segmentId)
        assert "coarser" in stage.guess().error
        assert stage.names == ["other"]


class TestTrainingData:
    def entries(self, tmp_path: Path) -> list[dict[str, Any]]:
        return json.loads((tmp_path / "auto" / "data" / "manifest.json").read_text())

    def test_named_segments_become_what_the_training_reads(self, stage: Stage, tmp_path: Path):
        stage.guess()
        stage.draw("Segment 3", LIVER)
        state = stage.collect()
        assert state.report.startswith("liver and left kidney: added.") and not state.error
        assert "Left out, as nobody named it: Segment 3." in state.report
        (entry,) = self.entries(tmp_path)
        folder = tmp_path / "auto" / "data"
        drawn = read(
            Subject("", "", folder / entry["image"], folder / entry["label"], tuple(entry["labels"].items()), "")
        )
        assert np.array_equal(drawn.volume.array_kji, image())
        assert np.array_equal(drawn.masks["liver"], LIVER) and np.array_equal(drawn.masks["left kidney"], KIDNEY)

    def test_the_same_image_again_takes_its_own_place(self, stage: Stage, tmp_path: Path):
        stage.draw("liver", LIVER)
        stage.collect()
        stage.draw("left kidney", KIDNEY)
        assert "took the place of what was there" in stage.collect().report
        assert [list(entry["labels"]) for entry in self.entries(tmp_path)] == [["liver", "left kidney"]]

    @pytest.mark.parametrize("remembers", [True, False])
    def test_the_recall_memory_learns_them_where_it_is_to(self, stage: Stage, remembers: bool):
        stage.guess()
        stage.draw("lesion", box_mask(SHAPE, Box((10, 10, 10), (14, 14, 14))))
        state = stage.collect(remembers)
        own, _ = RecallFolder(default_folder()).read()
        assert sorted(own.names()) == (["left kidney", "lesion", "liver"] if remembers else [])
        assert ("3 of them are remembered, too." in state.report) == remembers
        assert "remembered" not in stage.collect(remembers).report

    def test_overlaps_are_said(self, stage: Stage):
        stage.draw("liver", LIVER)
        stage.draw("tumour", box_mask(SHAPE, Box((5, 5, 5), (7, 7, 7))))
        assert "Where liver and tumour overlap, tumour counts" in stage.collect().report

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            (("Segment 1",), "No segment has a name that somebody chose"),
            (("liver", "liver"), "Two segments are called liver"),
            (("liver", "also liver"), "Nothing of liver can be seen under also liver"),
        ],
    )
    def test_what_cannot_be_learnt_from_is_said(self, stage: Stage, tmp_path: Path, names: tuple[str, ...], words: str):
        for name in names:
            stage.draw(name, LIVER)
        state = stage.collect()
        assert words in state.error and not state.collecting
        assert not (tmp_path / "auto" / "data" / "manifest.json").exists()

    def test_without_image_or_segment_there_is_nothing_to_add(self, stage: Stage):
        assert stage.collect().error == AutoWork.NO_SEGMENT
        stage.controller.setVolume(None)
        assert stage.collect().error == AutoWork.NO_IMAGE

    def test_a_folder_that_cannot_be_written_is_a_sentence(self, stage: Stage, tmp_path: Path):
        stage.draw("liver", LIVER)
        (tmp_path / "file").write_text("")
        stage.auto.choose(data=str(tmp_path / "file"))
        assert "choose another place" in stage.collect().error

    def test_it_waits_for_what_is_being_done(self, stage: Stage):
        stage.draw("liver", LIVER)
        stage.auto.guess()
        stage.auto.collect()
        assert stage.auto.state.error == AutoWork.BUSY
        stage.desk.finish()
        assert stage.names == ["liver", "liver 2", "left kidney"]
