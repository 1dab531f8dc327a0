"""The four views: axial, coronal, sagittal and 3D, rendered on the server and sent as images."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from slicer import vtkMRMLCrosshairNode, vtkMRMLScalarVolumeNode
from trame_client.widgets.html import Div, Span
from trame_server import Server
from trame_server.utils.typed_state import TypedState
from trame_slicer.app.logic.slice_view_logic import connect_slice_view_slider_to_state, get_view_trame_id
from trame_slicer.app.ui.slider import Slider
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.views import AbstractView, Layout, LayoutDirection, SliceView, ThreeDView, ViewLayoutDefinition
from trame_vuetify.widgets.vuetify3 import VBtn, VIcon, VTooltip
from undo_stack import Signal
from vtkmodules.vtkCommonCore import vtkCommand

from MemSegSlicerLib.SlicePlaces import directionLetters

from .page_state import Page

logger = logging.getLogger(__name__)

# Singleton tags are Slicer's own, so that a saved scene opens in Slicer with the same views.
TITLES = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal", "ThreeD": "3D"}
FOUR_UP = "four-up"
_SLIDER_PX = 32
_QUALITY = 90  # JPEG; equal to the scheduler's still quality, so that every change is rendered once instead of twice
_BEFORE_TOOLS = 10.0  # priority of an observer: those that act on an event may keep it to themselves
_TOUCHES = (
    vtkCommand.LeftButtonPressEvent,
    vtkCommand.MiddleButtonPressEvent,
    vtkCommand.RightButtonPressEvent,
    vtkCommand.MouseWheelForwardEvent,
    vtkCommand.MouseWheelBackwardEvent,
)
_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))  # towards plus and minus of the world's axes


@dataclass
class SliceLabels:
    """Letters at the four edges of a slice view, and where its plane lies."""

    left: str = ""
    right: str = ""
    top: str = ""
    bottom: str = ""
    position: str = ""


def slice_labels(slice_to_ras: np.ndarray, offset_mm: float) -> SliceLabels:
    """Labels of a slice view from its (4, 4) slice-to-RAS matrix (columns: right, up, towards the viewer)."""
    right, up, normal = slice_to_ras[:3, 0], slice_to_ras[:3, 1], slice_to_ras[:3, 2]
    axis = int(np.argmax(np.abs(normal)))
    along = offset_mm * (1.0 if normal[axis] > 0 else -1.0)
    letter = _LETTERS[axis][0 if along >= 0 else 1]
    return SliceLabels(
        left=directionLetters(-right),
        right=directionLetters(right),
        top=directionLetters(up),
        bottom=directionLetters(-up),
        position=f"{letter} {abs(along):.1f} mm",
    )


class FourUpViews:
    """Creates the views and shows a volume in them.

    touched: the user did something in a slice view. moved: a slice view may show another slice.
    """

    touched = Signal(SliceView)
    moved = Signal(SliceView)

    def __init__(self, server: Server, slicer_app: SlicerApp, page: Page) -> None:
        self._server = server
        self._app = slicer_app
        self._page = page
        self._unsized: set[str] = set()
        self._crosshair: vtkMRMLCrosshairNode = slicer_app.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        self._labels: dict[str, TypedState[SliceLabels]] = {}
        register_rca_factories(
            slicer_app.view_manager,
            server,
            slice_view_ui_f=self._fill_slice_view,
            three_d_view_ui_f=self._fill_threed_view,
            interactive_quality=_QUALITY,
            blur_fps=20.0,
        )
        self.layouts = LayoutManager(slicer_app.scene, slicer_app.view_manager, server)
        self.layouts.register_layout_dict(_layouts())
        self.layouts.set_layout(FOUR_UP)
        for view in slicer_app.view_manager.get_views():
            view.render_window().AddObserver(vtkCommand.WindowResizeEvent, lambda *_, view=view: self._on_resized(view))
            self._unsized.add(view.get_singleton_tag())
            _make_light(view)

    @property
    def slice_views(self) -> list[SliceView]:
        return self._app.view_manager.get_slice_views()

    def show(self, volume_node: vtkMRMLScalarVolumeNode | None) -> None:
        """Put the volume behind every slice view and fit the views to it; None empties them."""
        display = self._app.display_manager
        display.show_volume_in_slice_background(volume_node)
        display.show_volume_in_slice_foreground(None)
        self.fit()

    def fit(self) -> None:
        for view in self._app.view_manager.get_views():
            _fit(view)

    def jump_to(self, point_ras: np.ndarray) -> None:
        """Move every slice through the point, and mark it with the crosshair."""
        self._crosshair.SetCrosshairRAS(*[float(value) for value in point_ras])
        self.show_crosshair(True)
        for view in self.slice_views:
            with view.trigger_modified_once():
                view.get_view_node().JumpSliceByOffsetting(*[float(value) for value in point_ras])
            view.schedule_render()

    def show_plane(self, point_ras: np.ndarray, normal_ras: np.ndarray) -> None:
        """Move the one view whose slices have about that normal through the point."""
        view = max(self.slice_views, key=lambda view: abs(np.dot(normal_of(view), normal_ras)))
        with view.trigger_modified_once():
            view.get_view_node().JumpSliceByOffsetting(*[float(value) for value in point_ras])
        view.schedule_render()

    def show_crosshair(self, shown: bool) -> None:
        node = self._crosshair
        node.SetCrosshairMode(node.ShowSmallIntersection if shown else node.NoCrosshair)

    def enlarge(self, tag: str) -> None:
        """Show one view alone, or all four when it is alone already."""
        self._page.data.enlarged = "" if self._page.data.enlarged == tag else tag
        self.layouts.set_layout(self._page.data.enlarged or FOUR_UP)

    def render(self) -> None:
        for view in self._app.view_manager.get_views():
            view.schedule_render()

    def rest_threed(self, resting: bool) -> None:
        """Spare the 3D view from drawing the same surface again for every slice of a propagation: without it a third
        more slices a second come to the page. Turning it by hand still works."""
        for view in self._app.view_manager.get_threed_views():
            view.set_render_blocked(resting)
            view.schedule_render()

    def _on_resized(self, view: AbstractView) -> None:
        """The first size a view gets comes from the browser, after the image was fitted to a guess."""
        if view.get_singleton_tag() in self._unsized:
            self._unsized.discard(view.get_singleton_tag())
            asyncio.get_running_loop().call_soon(_fit, view)  # the window says so before it has its new size

    def _fill_slice_view(self, server: Server, view_id: str, view: SliceView) -> None:
        labels = TypedState(server.state, SliceLabels, namespace=f"{view_id}_labels")
        self._labels[view_id] = labels
        view.modified.connect(self._on_slice_moved)
        slider = connect_slice_view_slider_to_state(server, view)
        tag = view.get_singleton_tag()
        with Div(classes="ms-overlay", v_show=(self._page.name.has_image,)):
            Div("{{ %s }}" % labels.name.left, classes="ms-letter ms-left")
            Div("{{ %s }}" % labels.name.right, classes="ms-letter ms-right")
            Div("{{ %s }}" % labels.name.top, classes="ms-letter ms-top")
            Div("{{ %s }}" % labels.name.bottom, classes="ms-letter ms-bottom")
        self._fill_header(tag, position="{{ %s }}" % labels.name.position)
        for touch in _TOUCHES:
            view.interactor().AddObserver(touch, lambda *_: self.touched.emit(view), _BEFORE_TOOLS)
        moving = {"v_show": (self._page.name.has_image,), "mousedown": lambda: self.touched.emit(view)}
        with Div(classes="ms-slider", **moving):
            Slider(typed_state=slider, theme="dark", density="compact", color="white", thumb_size=14, track_size=2)
        self._on_slice_moved(view)

    def _fill_threed_view(self, server: Server, view_id: str, view: AbstractView) -> None:
        self._fill_header(view.get_singleton_tag())
        name = self._page.name
        with Div(classes="ms-offer", v_if=(f"{name.has_image} && !{name.surface_shown}",)):
            VBtn(
                "Show the surface",
                variant="tonal",
                size="small",
                color="white",
                prepend_icon="mdi-cube-outline",
                click="trigger('toggle_surface')",
            )

    def _fill_header(self, tag: str, position: str = "") -> None:
        with Div(classes="ms-header"):
            Span(TITLES[tag], classes=f"ms-title ms-{tag.lower()}")
            Span(position, classes="ms-position", v_show=(self._page.name.has_image,))
        with Div(classes="ms-corner"):
            _corner_button("mdi-fit-to-page-outline", "Fit to view", lambda: self._reset(tag))
            enlarged = f"{self._page.name.enlarged} === '{tag}'"
            _corner_button(
                (f"{enlarged} ? 'mdi-arrow-collapse' : 'mdi-arrow-expand'",),
                f"{{{{ {enlarged} ? 'All four views' : 'Enlarge' }}}}",
                lambda: self.enlarge(tag),
            )

    def _reset(self, tag: str) -> None:
        _fit(self._app.view_manager.get_view(tag))

    def _on_slice_moved(self, view: SliceView) -> None:
        labels = self._labels[get_view_trame_id(self._server, view)]
        new = slice_labels(slice_to_ras(view), view.get_slice_value())
        for name, value in vars(new).items():
            setattr(labels.data, name, value)
        self.moved.emit(view)


def _make_light(view: AbstractView) -> None:
    """Spare what software rendering pays dearly for: eight samples a pixel triple the time of a slice view."""
    view.render_window().SetMultiSamples(0)
    if isinstance(view, ThreeDView):
        view.renderer().SetUseDepthPeeling(False)  # nothing shown there is translucent
        view.renderer().SetUseDepthPeelingForVolumes(False)
        view.renderer().SetUseFXAA(True)


def _fit(view: AbstractView) -> None:
    """Show all there is; a slice view keeps the strip at its lower edge free, where its slider lies."""
    view.reset_view()
    if not isinstance(view, SliceView):
        return
    node = view.get_view_node()
    height_px = node.GetDimensions()[1]
    if height_px <= 4 * _SLIDER_PX:
        return
    width_mm, height_mm, depth_mm = node.GetFieldOfView()
    wider = height_px / (height_px - _SLIDER_PX)
    with view.trigger_modified_once():
        node.SetFieldOfView(width_mm * wider, height_mm * wider, depth_mm)
        node.SetXYZOrigin(0.0, -0.5 * (wider - 1) * height_mm, 0.0)


def slice_to_ras(view: SliceView) -> np.ndarray:
    """(4, 4) matrix of the view's plane: columns right, up, towards the viewer, origin."""
    matrix = view.get_view_node().GetSliceToRAS()
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def normal_of(view: SliceView) -> np.ndarray:
    """Unit normal of the view's plane, world axes."""
    normal = slice_to_ras(view)[:3, 2]
    return normal / np.linalg.norm(normal)


def _corner_button(icon: str | tuple[str], title: str, click: Callable[[], None]) -> None:
    with VBtn(icon=True, variant="text", size="x-small", color="white", click=click, classes="ms-corner-button"):
        VIcon(icon=icon, size=16)
        VTooltip(title, activator="parent", location="bottom")


def _layouts() -> dict[str, Layout]:
    axial, coronal, sagittal = (
        ViewLayoutDefinition.axial_view(),
        ViewLayoutDefinition.coronal_view(),
        ViewLayoutDefinition.sagittal_view(),
    )
    threed = ViewLayoutDefinition.threed_view(background_color=("#14171b", "#2b3038"))
    rows = [
        Layout(LayoutDirection.Horizontal, [axial, threed]),
        Layout(LayoutDirection.Horizontal, [coronal, sagittal]),
    ]
    alone = {
        view.singleton_tag: Layout(LayoutDirection.Vertical, [view]) for view in (axial, coronal, sagittal, threed)
    }
    return {FOUR_UP: Layout(LayoutDirection.Vertical, rows), **alone}
