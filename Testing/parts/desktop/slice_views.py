"""Slice views, real and off screen, in the widgets that Slicer has around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import qt
import slicer
import vtk
from PySide6.QtCore import Signal
from trame_slicer.core import SlicerApp
from trame_slicer.views import SliceView
from trame_slicer.views.render_scheduler import NoScheduleRendering
from vtkmodules.util.numpy_support import vtk_to_numpy

from .pythonqt import standIn

SIZE_PX = (400, 400)
ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


@standIn
class qMRMLSliceView(qt.QWidget):
    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._view = view
        self._cursor = None

    def renderWindow(self) -> vtk.vtkRenderWindow:
        return self._view.render_window()

    def interactor(self) -> vtk.vtkRenderWindowInteractor:
        return self._view.interactor()

    def interactorStyle(self) -> slicer.vtkMRMLSliceViewInteractorStyle:
        return self._view._interactor_observer

    def firstRenderer(self) -> vtk.vtkRenderer:
        return self._view.first_renderer()

    def overlayRenderer(self) -> vtk.vtkRenderer:
        return self._view._overlay_renderer

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._view.get_view_node()

    def scheduleRender(self) -> None:
        """Pictures are drawn when they are asked for."""

    def forceRender(self) -> None:
        self._view.render()

    def displayableManagerByClassName(self, name: str) -> Any:
        return self._view._displayable_manager_group.GetDisplayableManagerByClassName(name)

    def setViewCursor(self, cursor: Any) -> None:
        self._cursor = cursor

    def unsetViewCursor(self) -> None:
        self._cursor = None

    def setDefaultViewCursor(self, cursor: Any) -> None:
        self._cursor = cursor


@standIn
class qMRMLSliceWidget(slicer.qMRMLWidget):
    def __init__(self, core: SlicerApp, name: str) -> None:
        super().__init__()
        self._view = SliceView(core.scene, core.app_logic, name, NoScheduleRendering())
        self._view.set_orientation(ORIENTATIONS[name])
        self._view.render_window().SetSize(*SIZE_PX)
        self._view.interactor().SetSize(*SIZE_PX)
        self._sliceView = qMRMLSliceView(self._view)

    def sliceView(self) -> qMRMLSliceView:
        return self._sliceView

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        return self._view._logic

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._view.get_view_node()

    def interactor(self) -> vtk.vtkRenderWindowInteractor:
        return self._view.interactor()

    def interactorStyle(self) -> slicer.vtkMRMLSliceViewInteractorStyle:
        return self._sliceView.interactorStyle()

    def fitSliceToBackground(self) -> None:
        self._view._logic.ResizeSliceNode(*SIZE_PX)
        self._view._logic.FitSliceToBackground()


@standIn
class LayoutManager(qt.QObject):
    signals = ("layoutChanged(int)",)
    layoutChanged = Signal(int)

    def __init__(self, core: SlicerApp) -> None:
        super().__init__()
        self._widgets = {name: qMRMLSliceWidget(core, name) for name in ORIENTATIONS}

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._widgets)

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self._widgets.get(name)

    def threeDViewCount(self) -> int:
        return 0

    def mrmlSliceLogics(self) -> vtk.vtkCollection:
        return slicer.app.applicationLogic().GetSliceLogics()


# ------------------------------------------------------------------------------------ what a user does in a view


def show(volumeNode: slicer.vtkMRMLVolumeNode, at_ras: Sequence[float] | None = None) -> None:
    """The volume in every view, fitted; at_ras: the point that every view shows."""
    layoutManager = slicer.app.makeViews()
    for name in layoutManager.sliceViewNames():
        widget = layoutManager.sliceWidget(name)
        widget.sliceLogic().GetSliceCompositeNode().SetBackgroundVolumeID(volumeNode.GetID())
        widget.fitSliceToBackground()
        if at_ras is not None:
            widget.mrmlSliceNode().JumpSliceByOffsetting(*at_ras)


def place_xy(widget: qMRMLSliceWidget, ras: Sequence[float]) -> tuple[int, int]:
    """The pixel of the view where a point is shown, from the lower left corner."""
    toXy = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(widget.mrmlSliceNode().GetXYToRAS(), toXy)
    x, y = toXy.MultiplyPoint((*ras, 1))[:2]
    return round(x), round(y)


def click(widget: qMRMLSliceWidget, xy: tuple[int, int], control: bool = False, shift: bool = False) -> None:
    drag(widget, [xy], control, shift)


def drag(
    widget: qMRMLSliceWidget, path_xy: Sequence[tuple[int, int]], control: bool = False, shift: bool = False
) -> None:
    """Enter the view, press the left button at the first place, move through the others, let go at the last."""
    interactor = widget.interactor()

    def send(event: str, xy: tuple[int, int]) -> None:
        interactor.SetEventInformation(*xy, int(control), int(shift), chr(0), 0, None)
        interactor.InvokeEvent(event)

    send("EnterEvent", path_xy[0])
    send("MouseMoveEvent", path_xy[0])
    send("LeftButtonPressEvent", path_xy[0])
    for xy in path_xy[1:]:
        send("MouseMoveEvent", xy)
    send("LeftButtonReleaseEvent", path_xy[-1])


def pixels(widget: qMRMLSliceWidget) -> np.ndarray:
    """(height, width, 3) uint8, top row first: what the view shows."""
    widget.sliceView().forceRender()
    image = vtk.vtkWindowToImageFilter()
    image.SetInput(widget.sliceView().renderWindow())
    image.ReadFrontBufferOff()
    image.Update()
    width, height, _ = image.GetOutput().GetDimensions()
    values = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars())
    return values.reshape(height, width, -1)[::-1]


CLASSES = (qMRMLSliceView, qMRMLSliceWidget)
