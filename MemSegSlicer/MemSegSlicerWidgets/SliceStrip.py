"""The strip: every slice of an axis as a bar, by what is known of it and how sure that is. A click goes to a slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import qt

from MemSegSlicerLib.Strip import ABSENT, AGREED, CLEAR, HELD, PROPAGATED, Bar

_HEIGHT_PX = 40
_MARK_PX = 5
_LEVELS = ("#d55e00", "#e69f00", "#a8a8a0", "#56b4e9", "#2780c4")
"""Of a propagated slice, least confident first; told apart also by people who confuse red and green."""
_SHARES = {AGREED: 1.0, CLEAR: 0.22, ABSENT: 0.22, HELD: 0.3}
"""How high a bar stands; that of a propagated slice grows with its confidence."""
_SHOWN, _SUGGESTED = "#e8453c", "#b04ae0"


@dataclass(frozen=True)
class StripView:
    """bars: of all slices. shown: the one in the view; suggested: the one to look at next; None without one. first,
    last: the range to propagate to."""

    bars: tuple[Bar, ...] = ()
    size: int = 1
    shown: int | None = None
    suggested: int | None = None
    first: int = 0
    last: int = 0


class SliceStrip(qt.QWidget):
    """pressed: called with the slice that was clicked or dragged to."""

    def __init__(self, pressed: Callable[[int], None], parent: qt.QWidget | None = None) -> None:
        super().__init__(parent)
        self._pressed = pressed
        self._view = StripView()
        self.setMinimumHeight(_HEIGHT_PX)
        self.setMaximumHeight(_HEIGHT_PX)
        self.setMouseTracking(True)
        self.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)

    def setView(self, view: StripView) -> None:
        if view != self._view:
            self._view = view
            self.update()

    def view(self) -> StripView:
        return self._view

    def indexAt(self, x: float) -> int:
        """The slice at so many pixels from the left."""
        return min(max(int(x * self._view.size / max(self.width, 1)), 0), self._view.size - 1)

    def words(self, index: int) -> str:
        bar = next((bar for bar in self._view.bars if bar.start <= index < bar.start + bar.count), None)
        return f"Slice {index}: {bar.words}" if bar is not None else ""

    # -- Qt's events --------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: qt.QMouseEvent) -> None:
        self._pressed(self.indexAt(event.pos().x()))

    def mouseMoveEvent(self, event: qt.QMouseEvent) -> None:
        index = self.indexAt(event.pos().x())
        self.toolTip = self.words(index)
        if event.buttons() & qt.Qt.LeftButton:
            self._pressed(index)

    def paintEvent(self, event: qt.QPaintEvent) -> None:
        painter = qt.QPainter(self)
        self._paint(painter)
        painter.end()

    # -- painting -----------------------------------------------------------------------------------------------------

    def _paint(self, painter: qt.QPainter) -> None:
        view, palette = self._view, self.palette
        painter.fillRect(0, 0, self.width, self.height, palette.color(qt.QPalette.Base))
        ink = palette.color(qt.QPalette.Text)
        for bar in view.bars:
            colour = _colour(bar, ink)
            if colour is not None:
                high = round(_share(bar) * (self.height - _MARK_PX))
                left, right = self._left(bar.start), self._left(bar.start + bar.count)
                painter.fillRect(left, self.height - high, max(right - left, 1), high, colour)
        shade = qt.QColor(palette.color(qt.QPalette.Window))
        shade.setAlpha(190)
        first, last = self._left(view.first), self._left(view.last + 1)
        painter.fillRect(0, 0, first, self.height, shade)
        painter.fillRect(last, 0, self.width - last, self.height, shade)
        for index, name in ((view.suggested, _SUGGESTED), (view.shown, _SHOWN)):
            if index is not None:
                self._paintMark(painter, index, qt.QColor(name))
        painter.setPen(palette.color(qt.QPalette.Mid))
        painter.drawRect(0, 0, self.width - 1, self.height - 1)

    def _paintMark(self, painter: qt.QPainter, index: int, colour: qt.QColor) -> None:
        """A line with a head."""
        middle = (self._left(index) + self._left(index + 1)) // 2
        painter.fillRect(middle, 0, 1, self.height, colour)
        painter.fillRect(middle - 2, 0, _MARK_PX, _MARK_PX, colour)

    def _left(self, index: int) -> int:
        return round(index * self.width / self._view.size)


def _share(bar: Bar) -> float:
    return _SHARES.get(bar.kind, 0.3 + 0.006 * bar.percent)


def _colour(bar: Bar, ink: qt.QColor) -> qt.QColor | None:
    """None where nothing is drawn."""
    if bar.kind == PROPAGATED:
        return qt.QColor(_LEVELS[bar.level])
    if bar.kind in (AGREED, CLEAR):
        return ink
    if bar.kind in (ABSENT, HELD):
        return qt.QColor(128, 128, 128, 190 if bar.kind == ABSENT else 90)
    return None
