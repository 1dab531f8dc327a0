"""What the mouse does in slice views: a click, or a stroke while the button is held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk

from MemSegSlicerLib.Outline import Outline
from MemSegSlicerLib.Strokes import CLICK, SCRIBBLE, STILL_PX, Stroke, millimetresPerPixel, sliceNormalRas

_PRESS = vtk.vtkCommand.LeftButtonPressEvent
_MOVE = vtk.vtkCommand.MouseMoveEvent
_RELEASE = vtk.vtkCommand.LeftButtonReleaseEvent
_DOUBLE_CLICK = vtk.vtkCommand.LeftButtonDoubleClickEvent  # follows the second of two quick clicks
_OPACITY = 0.6


class Drawing:
    """scriptedEffect: the active effect. drawn: is given the tool, CLICK or SCRIBBLE, and the stroke. brushMm: radius
    of a scribble. isPositive: without Ctrl."""

    def __init__(self, scriptedEffect: Any, drawn: Callable[[str, Stroke], None]) -> None:
        self.brushMm = 0.0
        self.isPositive = True
        self._effect = scriptedEffect
        self._drawn = drawn
        self._outline = Outline()
        self._stroke: Stroke | None = None
        self._view: Any = None

    def process(self, interactor: vtk.vtkRenderWindowInteractor, event: int, view: Any) -> bool:
        """Whether the event is meant for this, and for nobody else."""
        if event in (_PRESS, _DOUBLE_CLICK) and not (interactor.GetShiftKey() or interactor.GetAltKey()):
            if event == _PRESS:
                self._start(interactor, view)
            return True
        if self._stroke is None or view != self._view or event not in (_MOVE, _RELEASE):
            return False
        self._append(interactor)
        if event == _RELEASE:
            self._finish()
        elif self._stroke.extent_px >= STILL_PX:
            self._draw()
        return True

    def end(self) -> None:
        """Forget a stroke that is half drawn, and leave nothing in the view."""
        if self._stroke is None:
            return
        view, self._stroke, self._view = self._view, None, None
        self._outline.hide()
        self._outline.detach()
        self._effect.scheduleRender(view)

    def _start(self, interactor: vtk.vtkRenderWindowInteractor, view: Any) -> None:
        self.end()
        if self._effect.confirmCurrentSegmentVisible() != self._effect.ConfirmedWithoutDialog:
            return  # after a dialogue the button is up again
        self._view = view
        isPositive = self.isPositive != bool(interactor.GetControlKey())
        self._stroke = Stroke(isPositive, sliceNormalRas(self._node()))
        self._outline.attach(self._effect.renderer(view))
        self._append(interactor)

    def _append(self, interactor: vtk.vtkRenderWindowInteractor) -> None:
        x, y = interactor.GetEventPosition()
        self._stroke.points_px.append((float(x), float(y)))
        self._stroke.points_ras.append(self._node().GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))[:3])

    def _draw(self) -> None:
        width = 2 * self.brushMm / millimetresPerPixel(self._node())
        self._outline.draw(self._stroke.points_px, False, self._stroke.positive, width, _OPACITY)
        self._effect.scheduleRender(self._view)

    def _finish(self) -> None:
        stroke = self._stroke
        self.end()
        self._drawn(CLICK if stroke.extent_px < STILL_PX else SCRIBBLE, stroke)

    def _node(self) -> slicer.vtkMRMLSliceNode:
        return self._view.sliceLogic().GetSliceNode()
