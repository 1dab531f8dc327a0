"""The module's panel beside three real slice views on a small image, with the block segmenter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import slicer
from desktop import slice_views
from pointing import GRID, Pointing
from scenes import slicersMask

from memseg.geometry import Grid


class PanelStage(Pointing):
    """What a user has in front of him, and does."""

    def __init__(self, volumeNode: slicer.vtkMRMLScalarVolumeNode | None, grid: Grid) -> None:
        import qt

        from MemSegSlicerWidgets.Desk import Desk
        from MemSegSlicerWidgets.Panel import Panel

        self.grid = grid
        self.scene = slicer.mrmlScene
        self.desk = Desk.shared()
        self.desk.controller.setModel("block")
        self.host = qt.QWidget()
        self.host.resize(420, 1400)
        self.panel = Panel(self.host)
        self.host.show()
        self.panel.enter()
        if volumeNode is not None:
            self.widget("volumeSelector").setCurrentNode(volumeNode)
        self.settle()

    def close(self) -> None:
        self.panel.cleanup()
        self.host.setParent(None)
        self.host.deleteLater()

    # -- what is there -----------------------------------------------------------------------------------------------

    def widget(self, name: str) -> Any:
        import qt

        return next(each for each in self.host.findChildren(qt.QWidget) if each.name == name)

    def text(self, name: str) -> str:
        return self.widget(name).text

    def rows(self, name: str) -> list[tuple[str, ...]]:
        """The texts of a table."""
        table = self.widget(name)
        return [
            tuple(table.item(row, column).text() for column in range(table.columnCount))
            for row in range(table.rowCount)
        ]

    @property
    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode:
        return self.desk.controller.segmentationNode

    def segments(self) -> list[str]:
        """Their names."""
        segmentation = self.segmentationNode.GetSegmentation()
        return [segmentation.GetSegment(each).GetName() for each in segmentation.GetSegmentIDs()]

    def mask(self, number: int | None = None) -> np.ndarray:
        """Of a segment, by its place, or of the chosen one; as Slicer exports it."""
        controller = self.desk.controller
        ids = self.segmentationNode.GetSegmentation().GetSegmentIDs()
        segmentId = controller.segmentId if number is None else ids[number]
        return slicersMask(self.segmentationNode, segmentId, controller.volumeNode)

    def said(self) -> str:
        """What stands in the notice at the top."""
        return self.text("MemSegNoticeText") if self.widget("MemSegNotice").visible else ""

    # -- what the user does ------------------------------------------------------------------------------------------

    def press(self, name: str) -> None:
        """A button, and wait for what it does."""
        self.widget(name).click()
        self.settle()

    def type(self, words: str) -> None:
        line = self.widget("textLine")
        line.text = words
        self.press("textButton")


@pytest.fixture
def makePanel(
    addVolume: Callable[..., Any], blocks: Any, blockSlices: Any, desktop: Any
) -> Iterator[Callable[..., PanelStage]]:
    from MemSegSlicerWidgets.Desk import Desk

    stages: list[PanelStage] = []
    desktop.app.makeViews()

    def make(grid: Grid = GRID, array: np.ndarray | None = None) -> PanelStage:
        if array is None:
            array = np.full(grid.shape_kji, 100, np.int16)
            array[0, 0, 0] = 0
        volumeNode = addVolume(grid, array)
        slice_views.show(volumeNode, [float(v) for v in grid.ras_from_kji(np.asarray(grid.shape_kji) // 2)])
        stages.append(PanelStage(volumeNode, grid))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()
    Desk.closeShared()


@pytest.fixture
def stage(makePanel: Callable[..., PanelStage]) -> PanelStage:
    """With the image chosen and nothing segmented yet."""
    return makePanel()
