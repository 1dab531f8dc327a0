"""Sessions saved with the scene and brought back, as .mrb and .mrml files, and what becomes of damaged ones."""

from __future__ import annotations

import base64
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import slicer
from fakes import box_mask, by_number, turned_grid
from scenes import editAsSlicerDoes, slicersMask

from memseg.geometry import Box, Grid
from memseg.prompts import Click
from memseg.session import Session
from MemSegSlicerLib import SceneBridge
from MemSegSlicerLib.SceneState import SceneState, SegmentKey

pytestmark = pytest.mark.slicer

GRID = turned_grid()
SHAPE = GRID.shape_kji
A, B, C = (5, 5, 5), (10, 12, 14), (14, 18, 22)


@pytest.fixture
def grid() -> Grid:
    return GRID


@pytest.fixture
def started(desk, addVolume, grid):
    """Two clicks and a manual edit on a segment of a fresh scene."""
    volumeNode = addVolume(grid)
    segmentationNode = SceneBridge.newSegmentation(desk.scene, volumeNode)
    liver = SceneBridge.addSegment(segmentationNode, "liver")
    SceneBridge.addSegment(segmentationNode, "spleen")
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(segmentationNode, liver)
    desk.controller.add(Click(A))
    desk.finish()
    editAsSlicerDoes(segmentationNode, liver, volumeNode, box_mask(SHAPE, Box((2, 2, 2), (9, 9, 9))))
    desk.controller.add(Click(B))
    desk.finish()
    desk.controller.saveToScene()
    return desk


def currentMask(desk) -> np.ndarray:
    controller = desk.controller
    return slicersMask(controller.segmentationNode, controller.segmentId, controller.volumeNode)


def save(slicerApp, path: Path) -> None:
    assert slicerApp.io_manager.save_scene(path)


def reopen(slicerApp, desk, path: Path) -> None:
    slicerApp.scene.Clear(False)
    assert desk.controller.volumeNode is None
    assert slicerApp.io_manager.load_scene(path)
    desk.finish()


def after(desk, *actions) -> np.ndarray:
    for action in actions:
        desk.controller.add(action) if isinstance(action, Click) else getattr(desk.controller, action)()
        desk.finish()
        assert desk.controller.state.error == ""
    return currentMask(desk)


class TestRoundTrips:
    @pytest.mark.parametrize("name", ["scene.mrb", "scene.mrml"])
    def test_after_reopening_everything_goes_on_as_it_would_have(self, slicerApp, started, tmp_path, name):
        if name.endswith(".mrml"):
            for node in (started.controller.volumeNode, started.controller.segmentationNode):
                writeBeside(node, tmp_path)
        save(slicerApp, tmp_path / name)
        before = started.controller.state
        walks = [(Click(C), "undo", "undo", "redo"), ("undo", "undo"), (Click(C, positive=False),), ("undo", Click(C))]
        expected = []
        for walk in walks:
            expected.append(after(started, *walk))
            reopen(slicerApp, started, tmp_path / name)
        assert started.controller.state.prompts[1].prompt == before.prompts[1].prompt
        assert [entry.number for entry in started.controller.state.prompts] == [1, 2, 3]
        assert started.controller.state.memoryCount == before.memoryCount == 2
        for walk, mask in zip(walks, expected):
            assert np.array_equal(after(started, *walk), mask)
            reopen(slicerApp, started, tmp_path / name)

    def test_what_the_mask_leaned_on_is_in_the_scene_too(self, slicerApp, started, blocks, tmp_path):
        blocks.attention = by_number
        after(started, Click(C))
        started.controller.saveToScene()
        save(slicerApp, tmp_path / "scene.mrb")
        blocks.attention = None
        reopen(slicerApp, started, tmp_path / "scene.mrb")
        assert started.controller.state.leaned == ((1, 0.25), (3, 0.75))

    def test_a_fresh_program_finds_volume_segment_model_and_prompts(self, slicerApp, started, makeDesk, tmp_path):
        save(slicerApp, tmp_path / "scene.mrb")
        expected = after(started, Click(C))
        started.controller.cleanup()
        slicerApp.scene.Clear(False)
        assert slicerApp.io_manager.load_scene(tmp_path / "scene.mrb")
        desk = makeDesk(model=None)
        desk.finish()
        state = desk.controller.state
        assert (state.model, len(state.prompts), state.error) == ("block", 3, "")
        assert np.array_equal(after(desk, Click(C)), expected)
        assert [entry.prompt.kind for entry in desk.controller.state.prompts] == ["click", "mask", "click", "click"]

    @pytest.mark.parametrize(
        "grid",
        [
            Grid(SHAPE, GRID.ijk_to_ras @ np.diag([-1.0, 1.0, 1.0, 1.0])),
            Grid(SHAPE, GRID.ijk_to_ras[:, [2, 1, 0, 3]]),
            Grid.from_spacing(SHAPE, (2.0, 1.0, 1.0)),
        ],
        ids=["left-handed", "left-handed by order", "along the world's axes"],
    )
    def test_images_that_slicer_turns_round_keep_their_sessions(self, slicerApp, started, tmp_path, grid):
        save(slicerApp, tmp_path / "scene.mrb")
        expected = after(started, Click(C), "undo", "undo")
        reopen(slicerApp, started, tmp_path / "scene.mrb")
        assert len(started.controller.state.prompts) == 3
        turned = after(started, Click(C), "undo", "undo")
        wasLeftHanded = np.linalg.det(grid.ijk_to_ras[:3, :3]) < 0
        assert np.array_equal(turned, expected[::-1] if wasLeftHanded else expected)

    def test_slicers_own_way_of_reading_a_bundle_brings_the_session_back_too(self, slicerApp, started, tmp_path):
        save(slicerApp, tmp_path / "scene.mrb")
        expected = after(started, Click(C))
        slicerApp.scene.Clear(False)
        assert slicerApp.scene.ReadFromMRB((tmp_path / "scene.mrb").as_posix())
        started.finish()
        assert len(started.controller.state.prompts) == 3
        assert np.array_equal(after(started, Click(C)), expected)

    def test_sessions_find_their_segments_where_ids_change_at_import(self, slicerApp, started, makeDesk, tmp_path):
        save(slicerApp, tmp_path / "scene.mrb")
        oldVolume = started.controller.volumeNode
        oldId = oldVolume.GetID()
        slicerApp.scene.SetURL("")
        assert slicerApp.io_manager.load_scene(tmp_path / "scene.mrb")  # beside what is open: all IDs are taken
        started.finish()
        keys = SceneState(slicerApp.scene).storedKeys()
        assert len(keys) == 2 and len({key.volumeId for key in keys}) == 2
        (other,) = [key for key in keys if key.volumeId != oldId]
        node = slicerApp.scene.GetNodeByID(other.segmentationId)
        started.controller.setVolume(slicerApp.scene.GetNodeByID(other.volumeId))
        started.controller.setSegment(node, other.segmentId)
        started.finish()
        assert [entry.prompt.kind for entry in started.controller.state.prompts] == ["click", "mask", "click"]

    def test_saving_waits_for_a_click_that_is_still_being_answered(self, slicerApp, started, tmp_path):
        started.controller.add(Click(C))
        started.controller.saveToScene()
        save(slicerApp, tmp_path / "scene.mrb")
        reopen(slicerApp, started, tmp_path / "scene.mrb")
        assert len(started.controller.state.prompts) == 4
        assert currentMask(started)[C] == 1

    def test_saving_twice_leaves_one_session_in_the_scene(self, slicerApp, started, tmp_path):
        for _ in range(2):
            save(slicerApp, tmp_path / "scene.mrb")
            reopen(slicerApp, started, tmp_path / "scene.mrb")
            started.controller.add(Click(C))
            started.controller.saveToScene()
        assert len(SceneState(slicerApp.scene).storedKeys()) == 1

    def test_a_session_still_to_be_stored_when_its_scene_is_closed_does_not_touch_the_next_one(
        self, slicerApp, started, tmp_path
    ):
        save(slicerApp, tmp_path / "scene.mrb")
        started.controller.add(Click(C))
        started.finish()  # it would be stored after a pause
        reopen(slicerApp, started, tmp_path / "scene.mrb")
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            started.queue.process()
            time.sleep(0.02)
        assert len(started.controller.state.prompts) == 3
        session = Session.from_bytes(base64.b64decode(sessionNode(started.scene).GetText()), started.controller.volume)
        assert len(session.prompts) == 3

    def test_without_being_asked_a_session_is_in_the_scene_soon_after_the_last_click(self, started):
        before = sessionNode(started.scene).GetText()
        started.controller.add(Click(C))
        end = time.monotonic() + 20
        while sessionNode(started.scene).GetText() == before and time.monotonic() < end:
            started.finish()
            time.sleep(0.02)
        data = base64.b64decode(sessionNode(started.scene).GetText())
        session = Session.from_bytes(data, started.controller.volume)
        assert [entry.prompt.kind for entry in session.prompts] == ["click", "mask", "click", "click"]

    def test_a_session_that_takes_long_to_store_waits_for_a_longer_pause(self, started, monkeypatch):
        pauses = []
        monkeypatch.setattr(started.worker, "whenIdle", lambda seconds, *_: pauses.append(seconds))
        toBytes = Session.to_bytes

        def slowly(session: Session) -> bytes:
            time.sleep(0.2)
            return toBytes(session)

        monkeypatch.setattr(Session, "to_bytes", slowly)
        started.controller.add(Click(C))
        started.controller.saveToScene()
        started.controller.add(Click(B))
        started.finish()
        assert pauses[0] == 0.5 and pauses[-1] >= 4

    def test_no_session_survives_its_segment(self, started):
        state = SceneState(started.scene)
        assert len(state.storedKeys()) == 1
        node = started.controller.segmentationNode
        node.GetSegmentation().RemoveSegment(started.controller.segmentId)
        assert state.storedKeys() == ()
        started.controller.saveToScene()
        assert started.scene.GetNumberOfNodesByClass("vtkMRMLTextNode") == 0


class TestDamagedScenes:
    @pytest.mark.parametrize(
        "text",
        ["", "not base64 at all!", base64.b64encode(b"neither a session").decode(), "é" * 10],
        ids=["empty", "not base64", "not a session", "not ascii"],
    )
    def test_a_damaged_session_is_one_sentence_and_the_mask_stays(self, slicerApp, started, tmp_path, text):
        before = currentMask(started)
        (key,) = SceneState(started.scene).storedKeys()
        sessionNode(started.scene).SetText(text)
        save(slicerApp, tmp_path / "scene.mrb")
        reopen(slicerApp, started, tmp_path / "scene.mrb")
        state = started.controller.state
        assert state.error.endswith(".") and state.error.count(". ") == 0
        assert state.prompts == () and np.array_equal(currentMask(started), before)
        started.controller.add(Click(C))
        started.finish()
        assert started.controller.state.error == ""
        assert currentMask(started).sum() == before.sum() + 125

    def test_half_a_session_is_refused_as_well(self, slicerApp, started, tmp_path):
        before = currentMask(started)
        node = sessionNode(started.scene)
        data = base64.b64decode(node.GetText())
        node.SetText(base64.b64encode(data[: len(data) // 2]).decode())
        save(slicerApp, tmp_path / "scene.mrb")
        reopen(slicerApp, started, tmp_path / "scene.mrb")
        assert started.controller.state.error and np.array_equal(currentMask(started), before)

    def test_a_session_of_another_image_is_refused(self, slicerApp, started, tmp_path):
        slicer.util.arrayFromVolume(started.controller.volumeNode)[:] += 1
        slicer.util.arrayFromVolumeModified(started.controller.volumeNode)
        save(slicerApp, tmp_path / "scene.mrb")
        before = currentMask(started)
        reopen(slicerApp, started, tmp_path / "scene.mrb")
        assert "another image" in started.controller.state.error
        assert np.array_equal(currentMask(started), before)

    def test_choices_that_lead_nowhere_are_ignored(self, scene, makeDesk):
        state = SceneState(scene)
        state.segmentId, state.model = "no such segment", "no such model"
        crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        node = scene.GetSingletonNode("MemSegSlicer", "vtkMRMLScriptedModuleNode")
        node.SetNodeReferenceID("Volume", crosshair.GetID())
        controller = makeDesk().controller
        assert (controller.volumeNode, controller.segmentationNode, controller.state.model) == (None, None, "block")


def test_choices_are_kept_in_one_node_and_read_back(scene, addVolume):
    state = SceneState(scene)
    assert (state.volumeNode, state.segmentationNode, state.segmentId, state.model) == (None, None, None, None)
    assert scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 0
    volumeNode = addVolume(GRID)
    segmentationNode = SceneBridge.newSegmentation(scene, volumeNode)
    state.volumeNode, state.segmentationNode = volumeNode, segmentationNode
    state.segmentId, state.model = "Segment_1", "geodesic"
    again = SceneState(scene)
    assert (again.volumeNode, again.segmentationNode) == (volumeNode, segmentationNode)
    assert (again.segmentId, again.model) == ("Segment_1", "geodesic")
    state.volumeNode = None
    assert again.volumeNode is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 1


def test_bytes_of_every_value_come_back(scene, addVolume):
    volumeNode = addVolume(GRID)
    segmentationNode = SceneBridge.newSegmentation(scene, volumeNode)
    key = SegmentKey(volumeNode.GetID(), segmentationNode.GetID(), SceneBridge.addSegment(segmentationNode, "liver"))
    state = SceneState(scene)
    assert state.sessionText(key) is None
    state.storeSession(key, bytes(range(256)))
    assert base64.b64decode(state.sessionText(key)) == bytes(range(256))


def test_the_scene_file_itself_holds_the_session(slicerApp, started, tmp_path):
    save(slicerApp, tmp_path / "scene.mrb")
    with zipfile.ZipFile(tmp_path / "scene.mrb") as bundle:
        (name,) = [name for name in bundle.namelist() if name.endswith(".mrml")]
        assert sessionNode(slicerApp.scene).GetText() in bundle.read(name).decode()


def sessionNode(scene) -> slicer.vtkMRMLTextNode:
    return scene.GetFirstNodeByClass("vtkMRMLTextNode")


def writeBeside(node, folder: Path) -> None:
    """Write a node's data file, as Slicer's save dialog does for a scene that is not a bundle."""
    node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    storage.SetFileName((folder / f"{node.GetID()}.{storage.GetDefaultWriteFileExtension()}").as_posix())
    assert storage.WriteData(node)
