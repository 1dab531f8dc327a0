"""Random walks of a user through a real scene, beside the same walk on plain sessions: the masks must always agree."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from fakes import BlockSegmenter, BlockSlices, box_mask, turned_grid
from scenes import editAsSlicerDoes, slicersMask

from memseg.errors import MemSegError
from memseg.geometry import AXES, Box, Grid
from memseg.prompts import BoxPrompt, Click, MaskPrompt
from memseg.session import Session
from MemSegSlicerLib import SceneBridge

pytestmark = pytest.mark.slicer

GRID = turned_grid((12, 14, 16))
SHAPE = GRID.shape_kji
SEGMENTS = ("liver", "spleen", "stomach")
ACTIONS = (
    *("click", "click", "click", "box", "undo", "redo", "remove", "reset", "switch", "edit", "reopen"),
    *("propagate", "propagate", "agree", "release", "makeConsistent"),
)


class PlainUser:
    """The same actions on sessions without a scene. An edit becomes a mask prompt with the segment's next action."""

    def __init__(self, volume) -> None:
        self.sessions = {name: Session(volume, BlockSegmenter(), slices=BlockSlices()) for name in SEGMENTS}
        self.masks = {name: np.zeros(SHAPE, np.uint8) for name in SEGMENTS}
        self.name = SEGMENTS[0]

    def do(self, act) -> None:
        session = self.sessions[self.name]
        if not np.array_equal(self.masks[self.name], session.mask_kji):
            session.add(MaskPrompt.from_mask(self.masks[self.name]))
        try:
            act(session)
        except MemSegError:
            return
        self.masks[self.name] = session.mask_kji.copy()


def randomPoint(dice: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(value) for value in dice.integers(0, SHAPE))


def randomMask(dice: np.random.Generator) -> np.ndarray:
    a, b = randomPoint(dice), randomPoint(dice)
    return box_mask(SHAPE, Box(np.minimum(a, b), np.maximum(a, b)))


def asSlicerCounts(volumeNode: slicer.vtkMRMLVolumeNode, mask: np.ndarray) -> np.ndarray:
    """From the controller's order of slices to the node's, or back: they differ where its axes are left-handed."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return mask[::-1] if matrix.Determinant() < 0 else mask


@pytest.mark.parametrize("seed", range(6))
def test_scene_and_plain_sessions_agree_all_along(slicerApp, desk, addVolume, tmp_path, seed):
    dice = np.random.default_rng(seed)
    grid = GRID if seed % 2 else Grid(SHAPE, GRID.ijk_to_ras @ np.diag([1.0, -1.0, 1.0, 1.0]))  # left-handed
    volumeNode = addVolume(grid)
    segmentationNode = SceneBridge.newSegmentation(desk.scene, volumeNode)
    ids = {name: SceneBridge.addSegment(segmentationNode, name) for name in SEGMENTS}
    controller = desk.controller
    controller.setVolume(volumeNode)
    controller.setSegment(segmentationNode, ids[SEGMENTS[0]])
    plain = PlainUser(SceneBridge.volumeFromNode(volumeNode))
    for _ in range(60):
        match dice.choice(ACTIONS):
            case "click":
                prompt = Click(randomPoint(dice), bool(dice.integers(2)))
                controller.add(prompt)
                plain.do(lambda session, prompt=prompt: session.add(prompt))
            case "box":
                a, b = randomPoint(dice), randomPoint(dice)
                prompt = BoxPrompt(np.minimum(a, b), np.maximum(a, b) + 1)
                controller.add(prompt)
                plain.do(lambda session, prompt=prompt: session.add(prompt))
            case "remove":
                index = int(dice.integers(4))
                controller.remove(index)
                plain.do(lambda session, index=index: session.remove(index))
            case "undo" | "redo" | "reset" as name:
                getattr(controller, name)()
                plain.do(lambda session, name=name: getattr(session, name)())
            case "propagate":
                axis, first = str(dice.choice(AXES)), int(dice.integers(6))
                controller.propagate(axis, first=first)
                desk.finish()  # what comes next would end it
                plain.do(lambda session, axis=axis, first=first: list(session.propagate(axis, first=first)))
            case "agree" | "release" as name:
                axis, index = str(dice.choice(AXES)), int(dice.integers(12))
                getattr(controller, name)(axis, index)
                plain.do(lambda session, name=name, axis=axis, index=index: getattr(session, name)(axis, index))
            case "makeConsistent":
                controller.makeConsistent("k")
                plain.do(lambda session: session.make_consistent("k"))
            case "switch":
                plain.name = str(dice.choice(SEGMENTS))
                controller.setSegment(controller.segmentationNode, ids[plain.name])
            case "edit":
                desk.finish()
                plain.masks[plain.name] = randomMask(dice)
                node = controller.segmentationNode
                turned = asSlicerCounts(controller.volumeNode, plain.masks[plain.name])
                editAsSlicerDoes(node, ids[plain.name], controller.volumeNode, turned)
            case "reopen":
                controller.saveToScene()
                assert slicerApp.io_manager.save_scene(tmp_path / "scene.mrb")
                slicerApp.scene.Clear(False)
                assert slicerApp.io_manager.load_scene(tmp_path / "scene.mrb")
    desk.finish()
    for name in SEGMENTS:
        mask = slicersMask(controller.segmentationNode, ids[name], controller.volumeNode)
        assert np.array_equal(asSlicerCounts(controller.volumeNode, mask), plain.masks[name]), name
    plain.do(lambda session: None)
    controller.undo()
    desk.finish()
    plain.do(Session.undo)
    state, session = controller.state, plain.sessions[plain.name]
    assert [entry.number for entry in state.prompts] == [entry.number for entry in session.prompts]
    assert state.memoryCount == len(session.memory)
    assert (state.canUndo, state.canRedo) == (session.can_undo, session.can_redo)
    assert all(state.marksAlong(axis) == session.marks(axis) for axis in AXES)
    assert [entry.key for entry in state.slices] == [entry.key for entry in session.slices]
