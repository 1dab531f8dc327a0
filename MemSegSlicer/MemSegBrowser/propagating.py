"""Slice by slice: the panel's propagation, the strip, the slices agreed on and remembered."""

from __future__ import annotations

import logging
import time

import numpy as np
from trame_slicer.views import SliceView

from memseg.errors import SessionError
from memseg.geometry import Grid
from memseg.memory.slices import CAPACITY
from MemSegSlicerLib import SceneBridge, SlicePlaces
from MemSegSlicerLib.Controller import Controller, SessionState
from MemSegSlicerLib.SliceRows import progressWords, sliceRows, startSlice, startWords
from MemSegSlicerLib.Strip import bars

from .notices import Notices
from .page_state import Page
from .segments import Segments
from .views import FourUpViews, normal_of, slice_to_ras

logger = logging.getLogger(__name__)

_PATIENCE = 2  # slices without the object before a propagation stops
_STRIP_SECONDS = 0.1  # between two pictures of the strip while slices come in


class Propagating:
    """Hands what is asked for slice by slice to the controller, and shows what it says of slices."""

    def __init__(
        self, page: Page, controller: Controller, segments: Segments, views: FourUpViews, notices: Notices
    ) -> None:
        self._page = page
        self._controller = controller
        self._segments = segments
        self._views = views
        self._notices = notices
        self._state = controller.state
        self._strip_shown = 0.0
        page.data.slice_capacity = CAPACITY
        page.bind_changes({page.name.slice_range: lambda _: self._show_slices()})
        views.touched.connect(self._on_touched)
        views.moved.connect(self._on_moved)

    def show_volume(self) -> None:
        """Another image is open: its axes, all of the first one."""
        self._page.data.axes = SlicePlaces.axisRows(self._grid())
        self.choose_axis("k")

    # -- what the user does ------------------------------------------------------------------------------------------

    def choose_axis(self, axis: str) -> None:
        """Propagate along this axis, through the whole volume unless a range is chosen then."""
        data = self._page.data
        row = next((row for row in data.axes if row.axis == axis), None)
        if row is None:
            raise SessionError("There is no image to segment; open one first.")
        data.axis, data.axis_size, data.axis_low, data.axis_high = row.axis, row.size, row.low, row.high
        data.slice_range = [0, row.size - 1]
        data.slice_shown = self._index_of(self._view())
        self._show_slices()

    def propagate(
        self, limits: list[int] | None = None, direction: str | None = None, stops_at_end: bool | None = None
    ) -> None:
        """Start, or cancel what runs. limits: first and last slice. None: as the page has it."""
        if self._controller.state.propagating:
            self._controller.cancelPropagation()
            return
        self._grid()
        self._segments.ensure_one()
        data = self._page.data
        first, last = (int(value) for value in limits or data.slice_range)
        stops = data.stops_at_end if stops_at_end is None else stops_at_end
        patience = _PATIENCE if stops else data.axis_size
        direction = direction or data.direction
        self._controller.propagate(data.axis, self._reference(first, last), first, last, direction, patience)
        if self._controller.state.propagating:
            self._notices.say("Propagating; anything else you do stops it, and what was done stays.")

    def agree(self) -> None:
        """The slice shown is right; where that was said already, it is taken back."""
        data = self._page.data
        self._grid()
        act = self._controller.release if data.slice_agreed else self._controller.agree
        act(data.axis, data.slice_shown)

    def show_suggested(self) -> None:
        """Go to the slice whose correction would help most, and say why."""
        suggestion = self._controller.state.suggestion
        if suggestion is None:
            raise SessionError("No slice needs a correction that is known of; propagate first, or look for yourself.")
        self.show_slice(suggestion.index, suggestion.axis)
        self._notices.say(suggestion.reason)

    def make_consistent(self) -> None:
        self._grid()
        self._controller.makeConsistent(self._page.data.axis)

    def show_slice(self, index: int, axis: str = "") -> None:
        """Move the view along the axis, the present one if none is named, to a slice."""
        if axis and axis != self._page.data.axis:
            self.choose_axis(axis)
        grid, axis = self._grid(), self._page.data.axis
        index = int(np.clip(index, 0, self._page.data.axis_size - 1))
        step = SlicePlaces.stepRas(grid, axis)
        self._views.show_plane(SlicePlaces.placeRas(grid, axis, index), step / np.linalg.norm(step))

    def pin_slice(self, axis: str, index: int, on: bool) -> None:
        self._controller.pinSlice(axis, int(index), bool(on))

    def drop_slice(self, axis: str, index: int) -> None:
        self._controller.dropSlice(axis, int(index))

    def clear_slices(self) -> None:
        self._controller.clearSlices()

    # -- what the session says ---------------------------------------------------------------------------------------

    def show_state(self, state: SessionState) -> None:
        """Listener of the controller: what the page shows of slices."""
        self._state = state
        data = self._page.data
        if state.propagating != data.propagating:
            self._views.rest_threed(state.propagating)
        data.propagating = state.propagating
        data.progress = progressWords(state)
        now = time.monotonic()
        if state.propagating and now - self._strip_shown < _STRIP_SECONDS:
            return
        self._strip_shown = now
        data.slices = sliceRows(state, {row.axis: row.title for row in data.axes})
        self._show_slices()

    def _show_slices(self) -> None:
        """Strip, suggestion and where a propagation would start, along the present axis."""
        data, state = self._page.data, self._state
        marks = state.marksAlong(data.axis)
        data.bars = bars(marks, state.filled.get(data.axis, ()), data.axis_size)
        data.slice_agreed = data.slice_shown in marks and marks[data.slice_shown].agreed
        suggestion = state.suggestion
        data.suggested = suggestion.index if suggestion is not None and suggestion.axis == data.axis else -1
        data.suggestion = suggestion.reason if suggestion is not None else ""
        data.starts_from = startWords(state, data.axis, self._reference(*data.slice_range))

    def _reference(self, first: int, last: int) -> int | None:
        return startSlice(self._state, self._page.data.axis, self._page.data.slice_shown, first, last)

    # -- views -------------------------------------------------------------------------------------------------------

    def _on_touched(self, view: SliceView) -> None:
        if self._has_image():
            axis = SlicePlaces.axisAcross(self._grid(), normal_of(view))
            if axis != self._page.data.axis:
                self.choose_axis(axis)

    def _on_moved(self, view: SliceView) -> None:
        data = self._page.data
        if self._has_image() and view is self._view():
            data.slice_shown = self._index_of(view)
            self._show_slices()

    def _view(self) -> SliceView:
        """The one that shows slices of the present axis."""
        step = SlicePlaces.stepRas(self._grid(), self._page.data.axis)
        return max(self._views.slice_views, key=lambda view: abs(np.dot(normal_of(view), step)))

    def _index_of(self, view: SliceView) -> int:
        origin = slice_to_ras(view)[:3, 3]
        return SlicePlaces.indexAt(self._grid(), self._page.data.axis, origin, normal_of(view))

    def _grid(self) -> Grid:
        node = self._controller.volumeNode
        if node is None:
            raise SessionError("There is no image to segment; open one first.")
        return SceneBridge.gridOf(node)

    def _has_image(self) -> bool:
        """Whether the axes on the page are those of the controller's image."""
        return bool(self._page.data.axes) and self._controller.volumeNode is not None
