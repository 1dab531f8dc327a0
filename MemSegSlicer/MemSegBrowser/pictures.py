"""Pictures of a scene without a window: Slicer's own slice and 3D views, rendered off screen to PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLViewNode
from trame_slicer.core import SlicerApp
from trame_slicer.views import AbstractView, SliceView, ThreeDView
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkIOImage import vtkPNGWriter
from vtkmodules.vtkRenderingCore import vtkActor2D, vtkTextActor, vtkWindowToImageFilter

from memseg.errors import FileError

SIZE_PX = (600, 600)
ORIENTATIONS = ("Axial", "Coronal", "Sagittal")
_LETTERS = {"Axial": "RLAP", "Coronal": "RLSI", "Sagittal": "APSI"}  # left, right, top, bottom edge, as in Slicer
_MARGIN_PX = 14


class SlicePicture:
    """One slice view of a volume; the segmentations and markups of the scene lie over it."""

    def __init__(self, app: SlicerApp, orientation: str, sizePx: tuple[int, int] = SIZE_PX) -> None:
        self.view = SliceView(app.scene, app.app_logic, app.scene.GenerateUniqueName(f"Picture{orientation}"))
        self.view.set_render_blocked(True)
        self.view.render_window().SetMultiSamples(0)
        self.view.update_size(*sizePx)
        self.view.set_orientation(orientation)
        _write(self.view, sizePx, orientation)

    def show(self, volumeNode: vtkMRMLScalarVolumeNode, pointRas: Sequence[float]) -> None:
        """The slice through a world point, with the whole image in view."""
        self.view.set_background_volume_id(volumeNode.GetID())
        self.view.fit_view_to_content()
        self.view.get_view_node().JumpSliceByOffsetting(*(float(value) for value in pointRas))
        _imageFirst(self.view)

    def pixels(self) -> np.ndarray:
        """(height, width, 3) uint8, first row at the top."""
        return _pixels(self.view)

    def save(self, path: Path) -> None:
        _save(self.view, path)


class SurfacePicture:
    """The 3D view, from the front and a little from above."""

    def __init__(self, app: SlicerApp, sizePx: tuple[int, int] = SIZE_PX) -> None:
        self.view = ThreeDView(app.scene, app.app_logic, app.scene.GenerateUniqueName("Picture3D"))
        self.view.set_render_blocked(True)
        self.view.render_window().SetMultiSamples(8)
        self.view.update_size(*sizePx)
        self.view.set_background_gradient_color([20, 23, 27], [58, 66, 78])
        node: vtkMRMLViewNode = self.view.get_view_node()
        node.SetBoxVisible(False)
        node.SetAxisLabelsVisible(False)

    def show(self, elevation: float = 15.0, azimuth: float = -20.0) -> None:
        """Fit everything that is visible, seen from anterior, turned by angles in degrees."""
        renderer = self.view.renderer()
        camera = renderer.GetActiveCamera()
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(0, 1, 0)
        camera.SetViewUp(0, 0, 1)
        camera.Azimuth(azimuth)
        camera.Elevation(elevation)
        camera.OrthogonalizeViewUp()
        renderer.ResetCamera()
        camera.Zoom(1.35)
        renderer.ResetCameraClippingRange()

    def pixels(self) -> np.ndarray:
        return _pixels(self.view)

    def save(self, path: Path) -> None:
        _save(self.view, path)


def _imageFirst(view: SliceView) -> None:
    """Draw the image before what lies over it. The view adds its actor when it first has an image, and a translucent
    fill that is drawn before the image blends with black."""
    props = view.first_renderer().GetViewProps()
    for actor in [prop for prop in props if isinstance(prop, vtkActor2D) and _isBackground(prop)]:
        props.RemoveItem(actor)
        props.InsertItem(-1, actor)


def _isBackground(actor: vtkActor2D) -> bool:
    return actor.GetProperty().GetDisplayLocation() == 0


def _write(view: SliceView, sizePx: tuple[int, int], orientation: str) -> None:
    """The view's name and the letters at its edges."""
    width, height = sizePx
    left, right, top, bottom = _LETTERS[orientation]
    _text(view, orientation, (_MARGIN_PX, height - _MARGIN_PX), "left", "top")
    _text(view, left, (_MARGIN_PX, height / 2), "left", "middle")
    _text(view, right, (width - _MARGIN_PX, height / 2), "right", "middle")
    _text(view, top, (width / 2, height - _MARGIN_PX), "middle", "top")
    _text(view, bottom, (width / 2, _MARGIN_PX), "middle", "bottom")


def _text(view: SliceView, words: str, placePx: tuple[float, float], horizontal: str, vertical: str) -> None:
    actor = vtkTextActor()
    actor.SetInput(words)
    actor.SetPosition(*placePx)
    style = actor.GetTextProperty()
    style.SetFontFamilyToArial()
    style.SetFontSize(18)
    style.SetColor(1, 1, 1)
    style.ShadowOn()
    style.SetJustification({"left": 0, "middle": 1, "right": 2}[horizontal])
    style.SetVerticalJustification({"bottom": 0, "middle": 1, "top": 2}[vertical])
    view.renderers()[1].AddViewProp(actor)


def _grab(view: AbstractView) -> vtkImageData:
    view.set_render_blocked(False)
    view.render()
    view.set_render_blocked(True)
    grab = vtkWindowToImageFilter()
    grab.SetInput(view.render_window())
    grab.ReadFrontBufferOff()
    grab.SetInputBufferTypeToRGB()
    grab.Update()
    return grab.GetOutput()


def _pixels(view: AbstractView) -> np.ndarray:
    image = _grab(view)
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1].copy()


def _save(view: AbstractView, path: Path) -> None:
    writer = vtkPNGWriter()
    writer.SetInputData(_grab(view))
    writer.SetFileName(str(path))
    writer.Write()
    if writer.GetErrorCode() != 0 or not path.is_file():
        raise FileError(f"{path.name} cannot be written; choose another place or free some space.")
