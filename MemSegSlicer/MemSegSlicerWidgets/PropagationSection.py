"""Slice by slice: where to propagate, the strip, agreeing, and where to look next."""

from __future__ import annotations

import time

import qt
import slicer
from slicer.i18n import tr as _

from memseg.errors import SessionError
from memseg.geometry import AXES
from MemSegSlicerLib import SliceNodes, SlicePlaces
from MemSegSlicerLib.Record import SessionState
from MemSegSlicerLib.SliceRows import progressWords, startSlice, startWords
from MemSegSlicerLib.Strip import bars

from . import Building
from .Keys import KEYS
from .SliceStrip import SliceStrip, StripView
from .Workbench import Workbench

_PATIENCE = 2  # slices without the object before a propagation stops
_STRIP_SECONDS = 0.1  # between two pictures of the strip while slices come in
_DIRECTIONS = ("both", "down", "up")
_PROPAGATE, _CANCEL = _("Propagate"), _("Cancel")
_AGREE, _RELEASE = _("Agree"), _("Release")
_BOTH_WAYS, _TOWARDS = _("Both ways"), _("Towards {end} only")
_STOPS = _("anything else you do stops it, and what was done stays")
_LEGEND = (
    ("#d55e00", _("unsure")),
    ("#2780c4", _("sure")),
    ("#000000", _("agreed")),
    ("#a0a0a0", _("mask, or absent")),
)


class PropagationSection:
    def __init__(self, area: qt.QWidget, bench: Workbench) -> None:
        self._bench = bench
        self._session = bench.controller.state
        self._axes: list[SlicePlaces.AxisRow] = []
        self._stripShown = 0.0
        self._isShowing = False
        self._observed: slicer.vtkMRMLSliceNode | None = None
        self._tag = 0
        layout = Building.column(area)
        guarded = bench.notices.guarded
        self._strip = SliceStrip(guarded(self._goTo))
        self._strip.objectName = "sliceStrip"
        self._buildCourse(layout)
        layout.addWidget(self._strip)
        layout.addWidget(Building.label(text=" &nbsp; ".join(f'<font color="{c}">■</font> {w}' for c, w in _LEGEND)))
        self._buildLimits(layout)
        self._propagate = Building.button(
            "propagateButton",
            _PROPAGATE,
            guarded(self.propagate),
            _("Follow the object from slice to slice; again to cancel"),
        )
        layout.addWidget(self._propagate)
        self._words = Building.label("propagationLabel", isHint=True)
        layout.addWidget(self._words)
        self._buildReview(layout)

    def restore(self) -> None:
        """Show what the scene says, for the image there is now."""
        bench = self._bench
        self._axes = SlicePlaces.axisRows(bench.grid()) if bench.controller.volumeNode is not None else []
        self._isShowing = True
        self._axis.clear()
        for row in self._axes:
            self._axis.addItem(row.title)
        self._axis.setCurrentIndex(self._place())
        self._stops.checked = bench.state.stopsAtEnd
        self._showDirections()
        self._showLimits()
        self._isShowing = False
        self._observe(SliceNodes.viewAlong(bench.scene, bench.grid(), bench.state.axis) if self._axes else None)
        self._showSlices()

    def show(self, session: SessionState) -> None:
        self._session = session
        now = time.monotonic()
        self._showRun()
        if session.propagating and now - self._stripShown < _STRIP_SECONDS:
            return
        self._stripShown = now
        self._showSlices()

    def viewTouched(self, node: slicer.vtkMRMLSliceNode) -> None:
        """The view in which the user draws proposes its axis."""
        if self._axes and not self._session.propagating:
            self._chooseAxis(SliceNodes.axisAcross(self._bench.grid(), node))

    def cleanup(self) -> None:
        self._observe(None)

    # -- what the user does -------------------------------------------------------------------------------------------

    def propagate(self) -> None:
        """Start, or cancel what runs."""
        bench = self._bench
        if bench.controller.state.propagating:
            bench.controller.cancelPropagation()
            return
        size = self._row().size
        bench.ensureSegment()
        first, last = self._limits()
        patience = _PATIENCE if bench.state.stopsAtEnd else size
        reference = startSlice(self._session, bench.state.axis, self._shown(), first, last)
        bench.controller.propagate(bench.state.axis, reference, first, last, bench.state.direction, patience)

    def agree(self) -> None:
        """The slice shown is right; where that was said already, it is taken back."""
        self._row()
        controller, axis, shown = self._bench.controller, self._bench.state.axis, self._shown()
        (controller.release if self._isAgreed(shown) else controller.agree)(axis, shown)

    def showSuggested(self) -> None:
        suggestion = self._bench.controller.state.suggestion
        if suggestion is None:
            raise SessionError("No slice needs a correction that is known of; propagate first, or look for yourself.")
        self._chooseAxis(suggestion.axis)
        self._goTo(suggestion.index)
        self._words.text = suggestion.reason

    def makeConsistent(self) -> None:
        self._row()
        self._bench.controller.makeConsistent(self._bench.state.axis)

    def _goTo(self, index: int) -> None:
        self._row()
        SliceNodes.showSlice(self._bench.scene, self._bench.grid(), self._bench.state.axis, index)
        self._showSlices()

    def _chooseAxis(self, axis: str) -> None:
        """Through the whole volume, unless a range is chosen then."""
        if axis != self._bench.state.axis:
            self._bench.state.axis, self._bench.state.limits = axis, None
            self.restore()

    def _onAxis(self, place: int) -> None:
        if not self._isShowing and 0 <= place < len(self._axes):
            self._chooseAxis(self._axes[place].axis)

    def _onDirection(self, place: int) -> None:
        if not self._isShowing and place >= 0:
            self._bench.state.direction = _DIRECTIONS[place]

    def _onStops(self, isOn: bool) -> None:
        if not self._isShowing:
            self._bench.state.stopsAtEnd = isOn

    def _onLimits(self, _value: int) -> None:
        if self._isShowing or not self._axes:
            return
        first, last = sorted((self._first.value, self._last.value))
        isWhole = (first, last) == (0, self._row().size - 1)
        self._bench.state.limits = None if isWhole else (first, last)
        self._showSlices()

    # -- what is there ------------------------------------------------------------------------------------------------

    def _place(self) -> int:
        return AXES.index(self._bench.state.axis)

    def _row(self) -> SlicePlaces.AxisRow:
        """Of the axis. Raises SessionError without an image."""
        if not self._axes:
            self._bench.grid()
            self.restore()
        return self._axes[self._place()]

    def _limits(self) -> tuple[int, int]:
        end = self._row().size - 1
        first, last = self._bench.state.limits or (0, end)
        return min(first, end), min(last, end)

    def _shown(self) -> int:
        """The slice in the view along the axis; 0 without views."""
        bench = self._bench
        node = SliceNodes.viewAlong(bench.scene, bench.grid(), bench.state.axis)
        return SliceNodes.indexIn(bench.grid(), bench.state.axis, node) if node is not None else 0

    def _isAgreed(self, index: int) -> bool:
        mark = self._session.marksAlong(self._bench.state.axis).get(index)
        return mark is not None and mark.agreed

    # -- showing ------------------------------------------------------------------------------------------------------

    def _showRun(self) -> None:
        isRunning = self._session.propagating
        self._propagate.text = f"{_CANCEL if isRunning else _PROPAGATE} ({KEYS['propagate']})"
        for part in (self._axis, self._direction, self._first, self._last, self._stops):
            part.enabled = bool(self._axes) and not isRunning
        for part in (self._propagate, self._agree):
            part.enabled = bool(self._axes)
        if isRunning:
            self._words.text = f"{progressWords(self._session)}; {_STOPS}"

    def _showSlices(self) -> None:
        """The strip, the suggestion, and where a propagation would start."""
        session, bench = self._session, self._bench
        if not self._axes or bench.controller.volumeNode is None:
            self._strip.setView(StripView())
            self._words.text = ""
            self._showRun()
            return
        axis, row, shown, (first, last) = bench.state.axis, self._row(), self._shown(), self._limits()
        marks = session.marksAlong(axis)
        suggestion = session.suggestion
        suggested = suggestion.index if suggestion is not None and suggestion.axis == axis else None
        found = tuple(bars(marks, session.filled.get(axis, ()), row.size))
        self._strip.setView(StripView(found, row.size, shown, suggested, first, last))
        self._agree.text = f"{_RELEASE if self._isAgreed(shown) else _AGREE} ({KEYS['agree']})"
        self._next.enabled = suggestion is not None and not session.propagating
        self._next.toolTip = suggestion.reason if suggestion is not None else self._nextTip
        self._consistent.enabled = any(not mark.agreed for mark in marks.values()) and not session.propagating
        if not session.propagating:
            start = startSlice(session, axis, shown, first, last)
            place = f"Slice {shown} is shown, of {row.low} 0 to {row.high} {row.size - 1}."
            self._words.text = f"{startWords(session, axis, start)}. {place}"
        self._showRun()

    def _showDirections(self) -> None:
        self._direction.clear()
        low, high = (self._row().low, self._row().high) if self._axes else ("", "")
        for words in (_BOTH_WAYS, _TOWARDS.format(end=low), _TOWARDS.format(end=high)):
            self._direction.addItem(words)
        self._direction.setCurrentIndex(_DIRECTIONS.index(self._bench.state.direction))

    def _showLimits(self) -> None:
        end = self._row().size - 1 if self._axes else 0
        first, last = self._limits() if self._axes else (0, 0)
        for box, value in ((self._first, first), (self._last, last)):
            box.maximum = end
            box.value = value

    def _observe(self, node: slicer.vtkMRMLSliceNode | None) -> None:
        """The view along the axis: the strip shows where it is."""
        if node is self._observed:
            return
        if self._observed is not None:
            self._observed.RemoveObserver(self._tag)
        self._observed = node
        if node is not None:
            self._tag = node.AddObserver("ModifiedEvent", self._bench.notices.guarded(self._onMoved))

    def _onMoved(self, *_unused: object) -> None:
        if not self._session.propagating:
            self._showSlices()

    # -- building -----------------------------------------------------------------------------------------------------

    def _buildCourse(self, layout: qt.QVBoxLayout) -> None:
        guarded = self._bench.notices.guarded
        self._axis, self._direction = qt.QComboBox(), qt.QComboBox()
        self._axis.objectName, self._direction.objectName = "axisBox", "directionBox"
        self._axis.toolTip = _("Which slices; the view that you draw in proposes its own")
        self._direction.toolTip = _("Which way from where it starts")
        self._axis.connect("currentIndexChanged(int)", guarded(self._onAxis))
        self._direction.connect("currentIndexChanged(int)", guarded(self._onDirection))
        courses = Building.row(self._axis, self._direction, stretch=0)
        courses.setStretch(1, 1)
        layout.addLayout(courses)

    def _buildLimits(self, layout: qt.QVBoxLayout) -> None:
        guarded = self._bench.notices.guarded
        self._first, self._last = qt.QSpinBox(), qt.QSpinBox()
        for box, name, tip in (
            (self._first, "firstBox", _("First slice that may change")),
            (self._last, "lastBox", _("Last slice that may change")),
        ):
            box.objectName, box.toolTip = name, tip
            box.connect("valueChanged(int)", guarded(self._onLimits))
        self._stops = Building.tick(
            "stopsBox",
            _("Stop at its end"),
            self._onStops,
            _("Stop where two slices in a row do not hold the object; else go through the whole range"),
        )
        between = Building.label(text=_("to"))
        layout.addLayout(Building.row(Building.label(text=_("Slices")), self._first, between, self._last, self._stops))

    def _buildReview(self, layout: qt.QVBoxLayout) -> None:
        guarded = self._bench.notices.guarded
        self._nextTip = _("After a propagation: to the slice whose correction helps most")
        self._agree = Building.button(
            "agreeButton", _AGREE, guarded(self.agree), _("The slice shown is right and stays as it is"), KEYS["agree"]
        )
        self._next = Building.button(
            "nextButton", _("Next to check"), guarded(self.showSuggested), self._nextTip, KEYS["suggested"]
        )
        self._consistent = Building.button(
            "consistentButton",
            _("Smooth"),
            guarded(self.makeConsistent),
            _("Make consistent: smooth the propagated slices, drop loose parts"),
        )
        layout.addLayout(Building.row(self._agree, self._next, self._consistent, stretch=1))
