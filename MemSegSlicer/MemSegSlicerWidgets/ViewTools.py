"""Drawing in the slice views: a click, a box, a scribble or a lasso becomes a stroke in world RAS mm, whatever the
view's orientation. Wheel, right and middle button, Shift and Slicer's own place mode stay Slicer's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
import vtk

from MemSegSlicerLib.Outline import Outline, rectangle
from MemSegSlicerLib.Strokes import BOX, CLICK, LASSO, SCRIBBLE, STILL_PX, Stroke, millimetresPerPixel, sliceNormalRas

from .Notices import Notices
from .Workbench import Workbench

_BEFORE_SLICER = 10.0  # priority of the observers: what a tool takes, Slicer's own interaction does not get
_EVENTS = (
    "LeftButtonPressEvent",
    "LeftButtonDoubleClickEvent",
    "MouseMoveEvent",
    "LeftButtonReleaseEvent",
    "KeyPressEvent",
)


class ViewTools:
    """The tools in all slice views of the layout, while they are on."""

    def __init__(self, bench: Workbench, touched: Callable[[slicer.vtkMRMLSliceNode], None]) -> None:
        """touched: called when a stroke begins in a view."""
        self._bench = bench
        self._touched = touched
        self._views: list[SliceViewTool] = []
        self._isOn = False
        self._layoutManager = slicer.app.layoutManager()  # None in a Slicer without a main window
        if self._layoutManager is not None:
            self._layoutManager.connect("layoutChanged(int)", self._onLayout)

    @property
    def viewCount(self) -> int:
        return len(self._views)

    def setOn(self, isOn: bool) -> None:
        if isOn != self._isOn:
            self._isOn = isOn
            self._onLayout()

    def cleanup(self) -> None:
        self.setOn(False)
        if self._layoutManager is not None:
            self._layoutManager.disconnect("layoutChanged(int)", self._onLayout)
        self._layoutManager = None

    def _onLayout(self) -> None:
        """Another layout may bring other views."""
        for view in self._views:
            view.end()
        self._views = []
        if not self._isOn or self._layoutManager is None:
            return
        for name in self._layoutManager.sliceViewNames():
            widget = self._layoutManager.sliceWidget(name)
            if widget is not None:
                self._views.append(
                    SliceViewTool(widget.sliceView(), widget.mrmlSliceNode(), self._bench, self._touched)
                )


class SliceViewTool:
    """The tool in one slice view."""

    def __init__(
        self,
        view: Any,
        node: slicer.vtkMRMLSliceNode,
        bench: Workbench,
        touched: Callable[[slicer.vtkMRMLSliceNode], None],
    ) -> None:
        self._view = view
        self._node = node
        self._bench = bench
        self._touched = touched
        self._outline = Outline()
        self._stroke: Stroke | None = None
        self._tool = CLICK
        notices: Notices = bench.notices
        react = notices.guarded(self._onEvent)
        self._interactor = view.interactor()
        self._tags = {name: self._interactor.AddObserver(name, react, _BEFORE_SLICER) for name in _EVENTS}
        view.setViewCursor(qt.QCursor(qt.Qt.CrossCursor))

    def end(self) -> None:
        self._cancel()
        for tag in self._tags.values():
            self._interactor.RemoveObserver(tag)
        self._tags = {}
        if self._view:  # False where the view has gone with its node
            self._view.unsetViewCursor()

    # -- events -------------------------------------------------------------------------------------------------------

    def _onEvent(self, interactor: vtk.vtkRenderWindowInteractor, event: str) -> None:
        if self._stroke is None:
            isTaken = event in ("LeftButtonPressEvent", "LeftButtonDoubleClickEvent") and self._begin()
        else:
            isTaken = event != "KeyPressEvent" or interactor.GetKeySym() == "Escape"
            if isTaken:
                self._goOn(event)
        if isTaken:
            self._interactor.GetCommand(self._tags[event]).SetAbortFlag(1)

    def _begin(self) -> bool:
        state = self._bench.state
        if state.tool == "none" or self._interactor.GetShiftKey() or self._interactor.GetAltKey() or _isPlacing():
            return False
        self._tool = state.tool
        isInverted = bool(self._interactor.GetControlKey())
        self._stroke = Stroke(state.positive != isInverted, sliceNormalRas(self._node))
        self._outline.attach(self._view.renderWindow().GetRenderers().GetFirstRenderer())
        self._append()
        self._touched(self._node)
        return True

    def _goOn(self, event: str) -> None:
        if event == "KeyPressEvent":
            self._cancel()
            return
        self._append()
        if event == "MouseMoveEvent":
            self._draw()
        else:
            self._finish()

    def _finish(self) -> None:
        stroke, tool = self._stroke, self._tool
        self._cancel()
        if tool in (BOX, LASSO) and stroke.extent_px < STILL_PX:
            self._bench.notices.say(f"Keep the mouse button down and drag to draw a {tool}.")
        else:
            self._bench.draw(tool, stroke)

    def _cancel(self) -> None:
        if self._stroke is not None:
            self._stroke = None
            self._outline.hide()
            self._outline.detach()
            if self._view:
                self._view.scheduleRender()

    # -- the stroke ---------------------------------------------------------------------------------------------------

    def _append(self) -> None:
        x, y = self._interactor.GetEventPosition()
        point = self._node.GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))
        self._stroke.points_px.append((float(x), float(y)))
        self._stroke.points_ras.append(tuple(np.asarray(point[:3], dtype=float).tolist()))

    def _draw(self) -> None:
        stroke = self._stroke
        if self._tool == BOX:
            corners = rectangle(stroke.points_px[0], stroke.points_px[-1])
            self._outline.draw(corners, True, stroke.positive, 2.0, 1.0)
        elif self._tool == LASSO:
            self._outline.draw(stroke.points_px, True, stroke.positive, 2.0, 1.0)
        elif self._tool == SCRIBBLE:
            width = 2 * self._bench.state.brushMm / millimetresPerPixel(self._node)
            self._outline.draw(stroke.points_px, False, stroke.positive, width, 0.6)
        else:
            return
        self._view.scheduleRender()


def _isPlacing() -> bool:
    """Whether the user is placing points of other markups."""
    node = slicer.app.applicationLogic().GetInteractionNode()
    return node is not None and node.GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.Place
