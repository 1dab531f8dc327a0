"""The MemSeg effect in a Segment Editor, on a small image in three real slice views, with the block segmenter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from desktop import slice_views
from pointing import GRID, Pointing
from scenes import slicersMask

from memseg.geometry import Grid
from MemSegSlicerLib import SceneBridge

FOLDER = Path(__file__).parents[2] / "MemSegSlicer"
SOURCE = FOLDER / "SegmentEditorMemSegLib" / "SegmentEditorMemSegEffect.py"


class Stage(Pointing):
    """What a user has in front of him, and does."""

    def __init__(self, editor: Any, volumeNode: slicer.vtkMRMLScalarVolumeNode, grid: Grid) -> None:
        from MemSegSlicerWidgets.Desk import Desk

        self.editor = editor
        self.volumeNode = volumeNode
        self.grid = grid
        self.segmentationNode = SceneBridge.newSegmentation(volumeNode.GetScene(), volumeNode)
        colours = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
        self.ids = [
            SceneBridge.addSegment(self.segmentationNode, name, colour)
            for name, colour in zip(("first", "second", "third"), colours)
        ]
        self.desk = Desk.shared()
        self.desk.controller.setModel("block")
        editor.setSegmentationNode(self.segmentationNode)
        editor.setSourceVolumeNode(volumeNode)
        editor.setCurrentSegmentID(self.ids[0])
        editor.show()  # what the effect has to say, it says there

    @property
    def node(self) -> slicer.vtkMRMLSegmentEditorNode:
        return self.editor.mrmlSegmentEditorNode()

    @property
    def host(self) -> Any:
        return self.editor.effectByName("MemSeg")

    def widget(self, name: str) -> Any:
        import qt

        return next(each for each in self.host.optionsFrame().findChildren(qt.QWidget) if each.name == name)

    def text(self, name: str) -> str:
        return self.widget(name).text

    # -- what the user does ------------------------------------------------------------------------------------------

    def begin(self) -> Stage:
        self.editor.setActiveEffectByName("MemSeg")
        return self

    def undo(self) -> None:
        self.editor.undo()
        self.settle()

    def redo(self) -> None:
        self.editor.redo()
        self.settle()

    # -- what came of it ---------------------------------------------------------------------------------------------

    def mask(self, number: int = 0) -> np.ndarray:
        """Of a segment, as Slicer exports it."""
        return slicersMask(self.segmentationNode, self.ids[number], self.volumeNode)

    def fill(self, number: int, mask: np.ndarray) -> None:
        """Give a segment that nobody edits now a mask."""
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, self.segmentationNode, self.ids[number], self.volumeNode)
        slicer.app.processEvents()


@pytest.fixture
def effectClass() -> Iterator[Any]:
    """Loaded and registered as Slicer does it; for the test only."""
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    import SegmentEditorMemSegLib  # noqa: F401  as the module does before it registers the effect
    from MemSegSlicerWidgets.Desk import Desk

    host = effects.qSlicerSegmentEditorScriptedEffect(None)
    assert host.setPythonSource(str(SOURCE))
    host.self().register()
    yield host
    slicer.qSlicerSegmentEditorEffectFactory.instance().forget("MemSeg")
    Desk.closeShared()


@pytest.fixture
def makeStage(
    effectClass: Any, makeEditor: Callable[[], Any], addVolume: Callable[..., Any], blocks: Any, blockSlices: Any
) -> Callable[..., Stage]:
    def make(grid: Grid = GRID, array: np.ndarray | None = None) -> Stage:
        array = np.full(grid.shape_kji, 100, np.int16) if array is None else array
        if array.min() == array.max():
            array = array.copy()
            array[0, 0, 0] = 0
        volumeNode = addVolume(grid, array)
        stage = Stage(makeEditor(), volumeNode, grid)
        slice_views.show(volumeNode, stage.point_ras(np.asarray(grid.shape_kji) // 2))
        return stage

    return make


@pytest.fixture
def stage(makeStage: Callable[..., Stage]) -> Stage:
    """With the effect active on the first of three empty segments."""
    return makeStage().begin()
