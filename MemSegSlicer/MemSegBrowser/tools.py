"""The tools: what the mouse does in the views, said as prompts in world RAS mm.

`PromptTool` is a trame-slicer effect that holds the settings and signals what was drawn; one pipeline per view turns
mouse events into these signals and draws the outline while the user drags. Nothing here knows a session.
"""

from __future__ import annotations

import logging

import numpy as np
from slicer import vtkMRMLAbstractViewNode, vtkMRMLInteractionEventData, vtkMRMLNode, vtkMRMLSliceNode
from trame_slicer.segmentation import SegmentationEffect, SegmentationEffectPipeline
from undo_stack import Signal
from vtkmodules.vtkCommonCore import vtkCommand, vtkObject
from vtkmodules.vtkRenderingCore import vtkRenderer

from MemSegSlicerLib.Outline import DisplayPoint, Outline, rectangle
from MemSegSlicerLib.Strokes import BOX, CLICK, LASSO, SCRIBBLE, STILL_PX, Stroke, millimetresPerPixel, sliceNormalRas

logger = logging.getLogger(__name__)

NAVIGATE, WINDOW = "navigate", "window"
TOOLS = (NAVIGATE, WINDOW, CLICK, BOX, SCRIBBLE, LASSO)
_SHIFT, _CONTROL = 1, 2  # vtkEvent's bits
_PRESS = int(vtkCommand.LeftButtonPressEvent)
_RELEASE = int(vtkCommand.LeftButtonReleaseEvent)
_MOVE = int(vtkCommand.MouseMoveEvent)
_LEAVE = int(vtkCommand.LeaveEvent)
_KEY = int(vtkCommand.KeyPressEvent)


class PromptTool(SegmentationEffect):
    """The one tool of the views; `tool` says which of TOOLS it is now."""

    stroke_drawn = Signal(str, Stroke)
    jump_asked = Signal(tuple)
    window_dragged = Signal(float, float)
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.tool = CLICK
        self.positive = True
        self.brush_mm = 4.0

    def _create_pipeline(
        self, view_node: vtkMRMLAbstractViewNode, _parameter: vtkMRMLNode
    ) -> SegmentationEffectPipeline | None:
        return SlicePipeline() if isinstance(view_node, vtkMRMLSliceNode) else ThreeDPipeline()


class SlicePipeline(SegmentationEffectPipeline[PromptTool]):
    """Draws in one slice view."""

    def __init__(self) -> None:
        super().__init__()
        self._outline = Outline()
        self._stroke: Stroke | None = None
        self._tool = CLICK

    def OnRendererAdded(self, renderer: vtkRenderer | None) -> None:
        self._outline.attach(renderer)

    def OnRendererRemoved(self, renderer: vtkRenderer) -> None:
        self._outline.detach()

    def LoseFocus(self, eventData: vtkMRMLInteractionEventData | None) -> None:
        self._cancel()

    def OnUpdate(self, obj: vtkObject, eventId: int, callData: object) -> None:
        """Settings live in the effect itself; nothing to take over from the parameter node."""

    def CanProcessInteractionEvent(self, eventData: vtkMRMLInteractionEventData) -> tuple[bool, float]:
        kind = eventData.GetType()
        wanted = kind == _PRESS or (self._stroke is not None and kind in (_MOVE, _RELEASE, _LEAVE, _KEY))
        return bool(self.IsActive()) and wanted, 0.0

    def ProcessInteractionEvent(self, eventData: vtkMRMLInteractionEventData) -> bool:
        kind = eventData.GetType()
        if kind == _PRESS:
            return self._start(eventData)
        if self._stroke is None:
            return False
        if kind == _MOVE:
            self._continue(eventData)
        elif kind == _RELEASE:
            self._continue(eventData)
            self._finish()
        elif kind == _KEY and eventData.GetKeySym() == "Escape":
            self._cancel()
        return True

    def _start(self, event: vtkMRMLInteractionEventData) -> bool:
        self._tool = self._effect.tool
        inverted = bool(event.GetModifiers() & (_SHIFT | _CONTROL))
        if self._tool == NAVIGATE and inverted:
            return False  # Slicer's own: Shift and drag pans
        self._stroke = Stroke(self._effect.positive != inverted, sliceNormalRas(self.GetViewNode()))
        self._append(event)
        self._draw()
        return True

    def _continue(self, event: vtkMRMLInteractionEventData) -> None:
        before = self._stroke.points_px[-1]
        self._append(event)
        now = self._stroke.points_px[-1]
        if self._tool == WINDOW:
            self._effect.window_dragged.emit(now[0] - before[0], now[1] - before[1])
        self._draw()

    def _append(self, event: vtkMRMLInteractionEventData) -> None:
        self._stroke.points_px.append(tuple(float(value) for value in event.GetDisplayPosition()))
        self._stroke.points_ras.append(tuple(event.GetWorldPosition()))

    def _finish(self) -> None:
        stroke, self._stroke = self._stroke, None
        self._outline.hide()
        self.RequestRender()
        still = stroke.extent_px < STILL_PX
        if self._tool == NAVIGATE:
            self._effect.jump_asked.emit(stroke.points_ras[-1])
        elif self._tool in (BOX, LASSO) and still:
            self._effect.refused.emit(f"Keep the mouse button down and drag to draw a {self._tool}.")
        elif self._tool != WINDOW:
            self._effect.stroke_drawn.emit(self._tool, stroke)

    def _cancel(self) -> None:
        if self._stroke is not None:
            self._stroke = None
            self._outline.hide()
            self.RequestRender()

    def _draw(self) -> None:
        stroke = self._stroke
        if self._tool == BOX:
            corners = rectangle(stroke.points_px[0], stroke.points_px[-1])
            self._outline.draw(corners, True, stroke.positive, 2.0, 1.0)
        elif self._tool == LASSO:
            self._outline.draw(stroke.points_px, True, stroke.positive, 2.0, 1.0)
        elif self._tool == SCRIBBLE:
            width = 2 * self._effect.brush_mm / millimetresPerPixel(self.GetViewNode())
            self._outline.draw(stroke.points_px, False, stroke.positive, width, 0.6)
        else:
            return
        self.RequestRender()


class ThreeDPipeline(SegmentationEffectPipeline[PromptTool]):
    """Lets the 3D view turn, and says where to click instead when it is clicked."""

    def __init__(self) -> None:
        super().__init__()
        self._pressed_px: DisplayPoint | None = None

    def CanProcessInteractionEvent(self, eventData: vtkMRMLInteractionEventData) -> tuple[bool, float]:
        drawing = bool(self.IsActive()) and self._effect.tool not in (NAVIGATE, WINDOW)
        return drawing and eventData.GetType() in (_PRESS, _RELEASE), 0.0

    def ProcessInteractionEvent(self, eventData: vtkMRMLInteractionEventData) -> bool:
        here = tuple(float(value) for value in eventData.GetDisplayPosition())
        if eventData.GetType() == _PRESS:
            self._pressed_px = here
        elif self._pressed_px is not None:
            moved = float(np.abs(np.subtract(here, self._pressed_px)).max())
            self._pressed_px = None
            if moved < STILL_PX:
                self._effect.refused.emit("The 3D view only shows the result; click in one of the three slice views.")
        return False  # the camera gets every event as well
