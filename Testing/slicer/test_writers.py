"""A controller whose changes reach the segment by way of an editor: one that keeps a part of them back, here."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from fakes import Box, box_mask, turned_grid
from scenes import editAsSlicerDoes, slicersMask

from memseg.prompts import Click
from memseg.volume import MaskChange
from MemSegSlicerLib import SceneBridge
from MemSegSlicerLib.Record import Action
from MemSegSlicerLib.SessionJob import Outcome

pytestmark = pytest.mark.slicer
GRID = turned_grid()
SHAPE = GRID.shape_kji
A, B, C = (5, 5, 5), (10, 12, 14), (14, 18, 22)
ALLOWED = box_mask(SHAPE, Box((0, 0, 0), (11, 24, 28)))  # k up to 10: B's block sticks out, C's lies outside


class NarrowWriter:
    """Writes where ALLOWED says so. written: the steps before and after each change."""

    editsWin = True

    def __init__(self) -> None:
        self.written: list[tuple[int, int]] = []

    def write(self, action: Action, outcome: Outcome) -> bool:
        change = outcome.change
        allowed = np.where(ALLOWED[change.box.slices], change.after, change.before)
        action.record.target.write(MaskChange(change.box, change.before, allowed))
        self.written.append(outcome.steps)
        return bool(np.array_equal(allowed, change.after))


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
def liver(segmentationNode):
    return SceneBridge.addSegment(segmentationNode, "liver")


@pytest.fixture
def writer():
    return NarrowWriter()


@pytest.fixture
def ready(desk, volumeNode, segmentationNode, liver, writer):
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(segmentationNode, liver)
    desk.finish()
    desk.stop = desk.controller.writeWith(writer)
    return desk


@pytest.fixture
def mask(segmentationNode, liver, volumeNode):
    return lambda: slicersMask(segmentationNode, liver, volumeNode)


def click(desk, *points) -> None:
    for point in points:
        desk.controller.add(Click(point))
        desk.finish()


def kinds(desk) -> list[str]:
    return [entry.prompt.kind for entry in desk.controller.state.prompts]


def test_the_session_takes_over_what_came_through(ready, mask):
    click(ready, A, B, C)
    assert np.array_equal(mask(), block(A, B) & ALLOWED)
    assert kinds(ready) == ["click"] * 3
    assert ready.controller.state.voxels == mask().sum() and ready.controller.state.memoryCount == 3


def test_each_change_says_which_steps_it_lies_between(ready, writer, segmentationNode, liver, volumeNode):
    click(ready, A, B)
    editAsSlicerDoes(segmentationNode, liver, volumeNode, block(A))
    click(ready, A)
    ready.controller.undo()
    ready.finish()
    assert writer.written == [(0, 1), (1, 2), (3, 4), (4, 3)]  # the edit was the third


def test_after_the_editor_the_scene_bridge_writes_again(ready, mask):
    ready.stop()
    click(ready, B)
    assert np.array_equal(mask(), block(B))


def test_who_took_over_meanwhile_stays(ready, mask):
    ready.controller.writeWith(other := NarrowWriter())
    ready.stop()
    click(ready, B)
    assert other.written == [(0, 1)]


def test_an_edit_made_while_the_answer_was_found_wins(ready, blocks, segmentationNode, liver, volumeNode, mask):
    click(ready, A)
    held, asked, plain = threading.Event(), threading.Event(), blocks.predict
    blocks.predict = lambda *arguments: (asked.set(), held.wait(30), plain(*arguments))[2]
    ready.controller.add(Click(B))
    assert asked.wait(30)
    editAsSlicerDoes(segmentationNode, liver, volumeNode, block(C))
    held.set()
    ready.finish()
    assert np.array_equal(mask(), block(C)) and kinds(ready) == ["click", "mask"]
    assert "dropped" in ready.controller.state.report


def test_what_is_abandoned_is_taken_back_and_the_rest_never_begun(ready, blocks, mask):
    click(ready, A)
    held, asked, plain = threading.Event(), threading.Event(), blocks.predict
    blocks.predict = lambda *arguments: (asked.set(), held.wait(30), plain(*arguments))[2]
    ready.controller.add(Click(B))
    ready.controller.add(Click(C))
    assert asked.wait(30)
    ready.controller.abandon()
    held.set()
    ready.finish()
    assert np.array_equal(mask(), block(A)) and kinds(ready) == ["click"]
    assert ready.controller.state.memoryCount == 1 and not ready.controller.state.busy


def test_abandoning_nothing_changes_nothing(ready, mask):
    click(ready, A)
    ready.controller.abandon()
    ready.finish()
    click(ready, B)
    assert kinds(ready) == ["click", "click"] and ready.controller.state.report == ""


def test_looking_again_takes_an_edit_in_before_the_next_prompt(ready, segmentationNode, liver, volumeNode):
    click(ready, A)
    ready.controller.lookAgain()
    ready.finish()
    assert kinds(ready) == ["click"]
    editAsSlicerDoes(segmentationNode, liver, volumeNode, block(C))
    ready.controller.lookAgain()
    ready.finish()
    assert kinds(ready) == ["click", "mask"]


def test_looking_where_there_is_no_session_makes_none(ready, segmentationNode, liver, volumeNode):
    editAsSlicerDoes(segmentationNode, liver, volumeNode, block(C))
    ready.controller.lookAgain()
    ready.finish()
    assert kinds(ready) == [] and ready.controller.state.voxels == 0


def test_a_noted_step_brings_the_session_back(ready, segmentationNode, liver, volumeNode, mask):
    click(ready, A, (4, 14, 20))
    older = block(A)
    editAsSlicerDoes(segmentationNode, liver, volumeNode, older)
    SceneBridge.noteStep(segmentationNode.GetSegmentation().GetSegment(liver), 1)
    ready.controller.lookAgain()
    ready.finish()
    assert kinds(ready) == ["click"] and ready.controller.state.canRedo and np.array_equal(mask(), older)


@pytest.mark.parametrize("text, step", [("3", 3), ("0", 0), ("", None), ("-1", None), ("two", None)])
def test_only_a_number_is_a_noted_step(segmentationNode, liver, text, step):
    segment = segmentationNode.GetSegmentation().GetSegment(liver)
    assert SceneBridge.notedStep(segment) is None
    segment.SetTag("MemSegSlicer.Step", text)
    assert SceneBridge.notedStep(segment) == step
