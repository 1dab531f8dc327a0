"""What is worked on: Slicer's own selectors for volume and segmentation, and its table of segments."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import qt
import slicer

from memseg.errors import MemSegError

from . import Building
from .Workbench import Workbench

_EVENTS = (slicer.vtkSegmentation.SegmentAdded, slicer.vtkSegmentation.SegmentRemoved)


class TargetSection:
    def __init__(self, ui: SimpleNamespace, bench: Workbench, remember: Callable[[], None]) -> None:
        """ui: the widgets of MemSegSlicer.ui by name. remember: asks for what a segment is remembered under."""
        self._bench = bench
        self._volume, self._segmentation, self._table = ui.volumeSelector, ui.segmentationSelector, ui.segmentsTable
        self._removeButton, self._rememberButton = ui.removeSegmentButton, ui.rememberButton
        self._isShowing = False
        self._observed: slicer.vtkSegmentation | None = None
        self._tags: list[int] = []
        self._table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        guarded = bench.notices.guarded
        self._volume.connect("currentNodeChanged(vtkMRMLNode*)", self._unlessShowing(bench.chooseVolume))
        self._segmentation.connect("currentNodeChanged(vtkMRMLNode*)", self._unlessShowing(bench.chooseSegmentation))
        self._onSelection = self._unlessShowing(self._chooseSelected)
        self._table.connect("selectionChanged(QItemSelection,QItemSelection)", self._onSelection)
        Building.onClick(ui.addSegmentButton, guarded(bench.addSegment))
        Building.onClick(self._removeButton, guarded(bench.removeSegment))
        Building.onClick(self._rememberButton, guarded(remember))

    def show(self) -> None:
        """The nodes that the controller works on."""
        controller = self._bench.controller
        node = controller.segmentationNode
        self._isShowing = True
        try:
            self._volume.setCurrentNode(controller.volumeNode)
            self._segmentation.setCurrentNode(node)
            self._table.setSegmentationNode(node)
            if controller.segmentId is not None and tuple(self._table.selectedSegmentIDs()) != (controller.segmentId,):
                self._table.setSelectedSegmentIDs([controller.segmentId])
        finally:
            self._isShowing = False
        self._observe(node.GetSegmentation() if node is not None else None)
        self._removeButton.enabled = self._bench.key() is not None
        self._rememberButton.enabled = bool(controller.state.voxels)

    def cleanup(self) -> None:
        self._observe(None)
        self._isShowing = True  # what the widgets still say while they go is not what the user chose

    def _chooseSelected(self) -> None:
        node, ids = self._table.segmentationNode(), self._table.selectedSegmentIDs()
        if node is not None and len(ids) == 1:
            self._bench.chooseSegment(node, ids[0])

    def _observe(self, segmentation: slicer.vtkSegmentation | None) -> None:
        if segmentation is self._observed:
            return
        for tag in self._tags:
            self._observed.RemoveObserver(tag)
        self._observed, self._tags = segmentation, []
        if segmentation is not None:
            react = self._bench.notices.guarded(self._onSegments)
            self._tags = [segmentation.AddObserver(event, react) for event in _EVENTS]

    def _onSegments(self, *_unused: object) -> None:
        """A segment came or went, by whatever hand: one that is there is chosen."""
        controller = self._bench.controller
        node = controller.segmentationNode
        if node is None or self._bench.key() is not None or controller.volumeNode is None:
            return
        ids = node.GetSegmentation().GetSegmentIDs()
        controller.setSegment(node, ids[0] if ids else None)

    def _unlessShowing(self, chosen: Callable[..., None]) -> Callable[..., None]:
        """What the user chooses; not what `show` puts there."""

        def react(*arguments: object) -> None:
            if self._isShowing:
                return
            try:
                chosen(*arguments[: 0 if chosen == self._chooseSelected else 1])
            except MemSegError as error:
                self._bench.notices.report(error)

        return react
