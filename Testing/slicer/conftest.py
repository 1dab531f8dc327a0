"""Real MRML for tests: one slicer-core application for the whole run, a scene emptied before each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import slicer
from fakes import BlockSegmenter, BlockSlices
from scenes import vtkMatrix
from trame_slicer.core import SlicerApp

from memseg import build, catalog
from memseg.geometry import Grid
from memseg.segmenters.base import Segmenter
from memseg.segmenters.slice_base import SliceSegmenter
from MemSegSlicerLib.Controller import Controller
from MemSegSlicerLib.Worker import MainQueue, Worker


@pytest.fixture(scope="session")
def slicerApp() -> SlicerApp:
    return SlicerApp()


@pytest.fixture
def scene(slicerApp: SlicerApp) -> Iterator[slicer.vtkMRMLScene]:
    emptied(slicerApp.scene)
    yield slicerApp.scene
    emptied(slicerApp.scene)


def emptied(scene: slicer.vtkMRMLScene) -> None:
    scene.Clear(False)  # leaves singletons
    node = scene.GetSingletonNode("MemSegSlicer", "vtkMRMLScriptedModuleNode")
    if node is not None:
        scene.RemoveNode(node)


@dataclass
class Desk:
    """A controller as a shell runs it: with a worker and a main queue that the test turns by hand."""

    scene: slicer.vtkMRMLScene
    queue: MainQueue
    worker: Worker
    controller: Controller

    def finish(self) -> None:
        assert self.queue.waitUntilIdle(self.worker, timeout=60)


@pytest.fixture(autouse=True)
def ownRecallMemory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests neither see nor change what the user remembered, nor models that the user trained."""
    monkeypatch.setenv("MEMSEG_RECALL", str(tmp_path / "recall"))
    monkeypatch.setenv("MEMSEG_AUTO", str(tmp_path / "auto"))


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> BlockSegmenter:
    """The block segmenter as the model "block", beside the real ones."""
    segmenter = BlockSegmenter(reach=2)
    real = build.build

    def buildBlock(name: str | None = None, device: str = "auto") -> Segmenter:
        return segmenter if name == "block" else real(name, device)

    monkeypatch.setattr(catalog, "_CARDS", (*catalog.cards(), BlockSegmenter.card))
    for place in ("memseg.session.build", "memseg.build.build"):
        monkeypatch.setattr(place, buildBlock)
    return segmenter


@pytest.fixture
def blockSlices(monkeypatch: pytest.MonkeyPatch) -> BlockSlices:
    """The block slices follow objects from slice to slice."""
    segmenter = BlockSlices()

    def buildSlices(name: str | None = None, device: str = "auto") -> SliceSegmenter:
        return segmenter

    for place in ("memseg.slicing.build_slices", "memseg.build.build_slices"):
        monkeypatch.setattr(place, buildSlices)
    return segmenter


@pytest.fixture
def makeDesk(
    scene: slicer.vtkMRMLScene, blocks: BlockSegmenter, blockSlices: BlockSlices
) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def make(**options: object) -> Desk:
        queue = MainQueue()
        worker = Worker(queue.post)
        desks.append(Desk(scene, queue, worker, Controller(scene, worker, **{"model": "block", **options})))
        return desks[-1]

    yield make
    for desk in desks:
        desk.controller.cleanup()
        desk.finish()  # so that a propagation that was going on ends as it should
        desk.worker.close()


@pytest.fixture
def desk(makeDesk: Callable[..., Desk]) -> Desk:
    return makeDesk()


@pytest.fixture
def addVolume(scene: slicer.vtkMRMLScene) -> Callable[..., slicer.vtkMRMLScalarVolumeNode]:
    """A volume node on a grid; voxel values are a ramp unless an array is given."""

    def add(grid: Grid, array: np.ndarray | None = None, name: str = "image") -> slicer.vtkMRMLScalarVolumeNode:
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        if array is None:
            array = np.arange(np.prod(grid.shape_kji), dtype=np.int16).reshape(grid.shape_kji)
        slicer.util.updateVolumeFromArray(node, array)
        node.SetIJKToRASMatrix(vtkMatrix(grid.ijk_to_ras))
        node.CreateDefaultDisplayNodes()
        return node

    return add


@pytest.fixture
def addTransform(scene: slicer.vtkMRMLScene) -> Callable[[np.ndarray], slicer.vtkMRMLLinearTransformNode]:
    def add(matrix: np.ndarray) -> slicer.vtkMRMLLinearTransformNode:
        node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        node.SetMatrixTransformToParent(vtkMatrix(matrix))
        return node

    return add
