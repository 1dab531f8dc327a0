"""The MemSeg effect in a Segment Editor, on a small image in three real slice views, with the block segmenter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from desktop import application, slice_views
from fakes import box_mask
from scenes import slicersMask

from memseg.geometry import Box, Grid
from MemSegSlicerLib import SceneBridge

FOLDER = Path(__file__).parents[2] / "MemSegSlicer"
SOURCE = FOLDER / "SegmentEditorMemSegLib" / "SegmentEditorMemSegEffect.py"
SHAPE = (30, 30, 30)
GRID = Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0))
A, B, C = (8, 8, 8), (15, 15, 15), (22, 22, 22)  # far enough apart that their blocks do not touch


def block(*points: tuple[int, int, int], shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """What clicks there make: 5 x 5 x 5 voxels each."""
    mask = np.zeros(shape, np.uint8)
    for point in points:
        mask |= box_mask(shape, Box(point, np.add(point, 1)).grown(2).clipped(shape))
    return mask


class Stage:
    """What a user has in front of him, and does. View names: Red (axial), Green (coronal), Yellow (sagittal)."""

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

    @property
    def state(self) -> Any:
        return self.desk.controller.state

    @property
    def prompts(self) -> list[Any]:
        return [entry.prompt for entry in self.state.prompts]

    def widget(self, name: str) -> Any:
        import qt

        return next(each for each in self.host.optionsFrame().findChildren(qt.QWidget) if each.name == name)

    def text(self, name: str) -> str:
        return self.widget(name).text

    # -- what the user does ------------------------------------------------------------------------------------------

    def begin(self) -> Stage:
        self.editor.setActiveEffectByName("MemSeg")
        return self

    def point_ras(self, point_kji: Sequence[float]) -> list[float]:
        return [float(value) for value in self.grid.ras_from_kji(np.asarray(point_kji, float))]

    def view(self, name: str, point_kji: Sequence[float]) -> Any:
        """The view, showing the slice through a voxel."""
        widget = slicer.app.layoutManager().sliceWidget(name)
        widget.mrmlSliceNode().JumpSliceByOffsetting(*self.point_ras(point_kji))
        return widget

    def press(self, point_kji: Sequence[float], view: str = "Red", control: bool = False, shift: bool = False) -> None:
        """A click at a voxel, not waiting for its answer."""
        widget = self.view(view, point_kji)
        slice_views.click(widget, slice_views.place_xy(widget, self.point_ras(point_kji)), control, shift)

    def click(self, *points_kji: Sequence[float], view: str = "Red", control: bool = False) -> None:
        for point in points_kji:
            self.press(point, view, control)
            self.settle()

    def drag(self, points_kji: Sequence[Sequence[float]], view: str = "Red", control: bool = False) -> None:
        widget = self.view(view, points_kji[0])
        path = [slice_views.place_xy(widget, self.point_ras(point)) for point in points_kji]
        slice_views.drag(widget, path, control)
        self.settle()

    def undo(self) -> None:
        self.editor.undo()
        self.settle()

    def redo(self) -> None:
        self.editor.redo()
        self.settle()

    def settle(self) -> None:
        """Until nothing is being done any more, and what the segmentation's changes led to neither."""
        slicer.app.processEvents()
        application.pump(slicer.app, lambda: not self.isBusy, timeout=30)
        slicer.app.processEvents()
        application.pump(slicer.app, lambda: not self.isBusy, timeout=30)
        assert not self.isBusy

    @property
    def isBusy(self) -> bool:
        return self.state.busy or self.state.propagating or self.desk.worker.busy

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
