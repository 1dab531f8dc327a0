"""What the effect does from its activation to its deactivation: nothing of it is left afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from memseg.errors import SessionError
from memseg.geometry import Grid
from memseg.prompts import Text
from MemSegSlicerLib import SceneBridge, SlicePlaces
from MemSegSlicerLib.Controller import Controller
from MemSegSlicerLib.Record import SessionState
from MemSegSlicerLib.Strokes import Stroke, promptOf, sliceNormalRas
from MemSegSlicerWidgets.Desk import Desk

from .Drawing import Drawing
from .EditorWriter import EditorWriter

_PATIENCE = 2  # slices without the object before a propagation stops
_SEGMENTATION_EVENTS = (slicer.vtkSegmentation.SegmentModified, slicer.vtkSegmentation.SourceRepresentationModified)


class Work(VTKObservationMixin):
    """scriptedEffect: active. changed: is told of the session's state, and when the user turns to another view."""

    def __init__(self, scriptedEffect: Any, desk: Desk, changed: Callable[[SessionState], None]) -> None:
        super().__init__()
        self._effect = scriptedEffect
        self.desk = desk
        self._changed = changed
        self._segmentation: slicer.vtkSegmentation | None = None
        self._isAboutToLook = False
        self._isOver = False
        self._viewNode: slicer.vtkMRMLSliceNode | None = None
        self.drawing = Drawing(scriptedEffect, desk.notices.guarded(self._onDrawn))
        self._stops = (
            desk.controller.writeWith(EditorWriter(scriptedEffect)),
            desk.controller.addListener(changed),
        )
        self.addObserver(scriptedEffect.parameterSetNode(), vtk.vtkCommand.ModifiedEvent, self.follow)
        self.addObserver(desk.scene, slicer.vtkMRMLScene.EndCloseEvent, self.follow)
        self.follow()
        desk.controller.lookAgain()

    @property
    def controller(self) -> Controller:
        return self.desk.controller

    def end(self) -> None:
        """Drop what is not done yet and let everything go. May be called twice."""
        if self._isOver:
            return
        self._isOver = True
        self.drawing.end()
        self.removeObservers()
        for stop in self._stops:
            stop()
        self._segmentation = self._viewNode = None
        self.controller.abandon()

    # -- what the user does ------------------------------------------------------------------------------------------

    def process(self, interactor: vtk.vtkRenderWindowInteractor, event: int, view: Any) -> bool:
        """An event of a slice view; whether it is for nobody else."""
        node = view.sliceLogic().GetSliceNode()
        if node is not self._viewNode and event != vtk.vtkCommand.LeaveEvent:
            self._viewNode = node
            self._changed(self.controller.state)
        return self.drawing.process(interactor, event, view)

    def type(self, words: str) -> None:
        """Raises PromptError for what is no text."""
        self.controller.add(Text(words))

    def propagate(self, axis: str, first: int, last: int) -> None:
        """Along an axis of the image, through a range, both ends included; or cancel what runs."""
        if self.controller.state.propagating:
            self.controller.cancelPropagation()
        else:
            self.controller.propagate(axis, self._reference(axis, first, last), first, last, patience=_PATIENCE)

    def axisShown(self) -> str:
        """The axis of the image whose slices the view shows that the user touched last."""
        grid = self.grid()
        if grid is None or self._viewNode is None:
            return "k"
        return SlicePlaces.axisAcross(grid, sliceNormalRas(self._viewNode))

    def grid(self) -> Grid | None:
        """Of the image; None where there is none. Raises MemSegError where it cannot be used."""
        node = self.controller.volumeNode
        return SceneBridge.gridOf(node) if node is not None else None

    def _onDrawn(self, tool: str, stroke: Stroke) -> None:
        volume = self.controller.volume
        if volume is None:
            raise SessionError(_("Choose a source volume first."))
        self.controller.add(promptOf(volume, tool, stroke, self.drawing.brushMm))

    def _reference(self, axis: str, first: int, last: int) -> int | None:
        """The slice shown, where it holds the object and none is agreed yet; else the session knows where to start."""
        state, grid = self.controller.state, self.grid()
        if grid is None or self._viewNode is None or axis != self.axisShown():
            return None
        if any(mark.agreed and mark.present for mark in state.marksAlong(axis).values()):
            return None
        toRas = self._viewNode.GetSliceToRAS()
        origin = [toRas.GetElement(row, 3) for row in range(3)]
        shown = SlicePlaces.indexAt(grid, axis, origin, sliceNormalRas(self._viewNode))
        return shown if shown in state.filled.get(axis, ()) and first <= shown <= last else None

    # -- what happens to the editor and its segmentation ---------------------------------------------------------------

    def follow(self, *__: object) -> None:
        """Work on what the editor shows now; what was asked for on something else is dropped."""
        volumeNode, segmentationNode, segmentId = self._shown()
        controller = self.controller
        shown = (controller.volumeNode, controller.segmentationNode, controller.segmentId)
        if shown != (volumeNode, segmentationNode, segmentId):
            self.drawing.end()
            controller.abandon()
            controller.setVolume(volumeNode)
            controller.setSegment(segmentationNode, segmentId)
            self._lookSoon()
        self._observe(segmentationNode.GetSegmentation() if segmentationNode is not None else None)

    def _shown(self) -> tuple[slicer.vtkMRMLVolumeNode | None, slicer.vtkMRMLSegmentationNode | None, str | None]:
        """The editor's volume and segmentation, and which segment is selected; None for what is not there."""
        node = self._effect.parameterSetNode()
        if node is None or node.GetScene() is None:
            return None, None, None
        segmentationNode, segmentId = node.GetSegmentationNode(), node.GetSelectedSegmentID() or ""
        if segmentationNode is None or segmentationNode.GetSegmentation().GetSegment(segmentId) is None:
            return node.GetSourceVolumeNode(), None, None
        return node.GetSourceVolumeNode(), segmentationNode, segmentId

    def _observe(self, segmentation: slicer.vtkSegmentation | None) -> None:
        if segmentation is self._segmentation:
            return
        for event in _SEGMENTATION_EVENTS:
            if self._segmentation is not None:
                self.removeObserver(self._segmentation, event, self._lookSoon)
            if segmentation is not None:
                self.addObserver(segmentation, event, self._lookSoon)
        self._segmentation = segmentation

    def _lookSoon(self, *__: object) -> None:
        """When whatever changes the segmentation now is done with it: an undo changes one segment after the other."""
        if not self._isAboutToLook:
            self._isAboutToLook = True
            qt.QTimer.singleShot(0, self._look)

    def _look(self) -> None:
        self._isAboutToLook = False
        if not self._isOver:
            self.controller.lookAgain()
