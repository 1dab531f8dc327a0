"""What belongs to one answer, in the panel and in the effect: how far it is, which kind of image this is, and two
answers side by side. Each is shown only while there is something to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
import qt
from slicer.i18n import tr as _

from memseg.modality import MODALITIES
from memseg.watching import Progress
from MemSegSlicerLib.TextRows import AnswerRow

from . import Building

_WHOLE = 100
_PICTURE_PX, _MARGIN_PX = 124, 8
_STOP = _("Stop")
_STOP_TIP = _("Give the answer up; nothing is changed then")
_WHICH = _("Which kind of image is this? It is remembered for the image.")
_TAKE = _("Take this answer")
_CHOSEN = "QToolButton { border: 2px solid #2ec4b6; border-radius: 4px; }"


class WorkingBar:
    """How far an answer is that takes long. key: stops it too, while the bar can be seen; "" none."""

    def __init__(self, stop: Callable[[], None], key: str = "") -> None:
        self.widget = qt.QWidget()
        self.widget.objectName = "answerWorking"
        layout = Building.column(self.widget, margin=0)
        self._words = Building.label("workingWords", isHint=True)
        self._stop = Building.button("stopAnswer", _STOP, stop, _STOP_TIP, key)
        layout.addLayout(Building.row(self._words, self._stop, stretch=0))
        self._bar = qt.QProgressBar()
        self._bar.objectName = "workingBar"
        self._bar.textVisible = False
        self._bar.setMaximumHeight(8)
        layout.addWidget(self._bar)
        if key:
            self._shortcut = qt.QShortcut(qt.QKeySequence(key), self.widget)
            self._shortcut.connect("activated()", stop)
        self.show(None)

    def show(self, working: Progress | None) -> None:
        self.widget.visible = working is not None
        if working is None:
            return
        self._words.text = f"{working.words[0].upper()}{working.words[1:]}"
        self._bar.maximum = _WHOLE if working.fraction is not None else 0  # else it shows that something goes on
        self._bar.value = round(_WHOLE * (working.fraction or 0.0))


class ModalityChoice:
    """told: is called with one of MODALITIES."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self.widget = qt.QWidget()
        self.widget.objectName = "modalityChoice"
        layout = Building.column(self.widget, margin=0)
        layout.addWidget(Building.label("modalityLabel", _WHICH))
        names = [
            Building.smallButton(f"modality{name}", name, lambda name=name: told(name), name) for name in MODALITIES
        ]
        for button in names:
            button.autoRaise = False
        layout.addLayout(Building.row(*names))
        self.show(False)

    def show(self, isAsked: bool) -> None:
        self.widget.visible = isAsked


class AnswerChooser:
    """Two answers side by side. choose: is called with the number of the one that the user takes."""

    def __init__(self, choose: Callable[[int], None]) -> None:
        self._choose = choose
        self._rows: Sequence[AnswerRow] = ()
        self._chosen = 0
        self.widget = qt.QWidget()
        self.widget.objectName = "answerChooser"
        layout = Building.column(self.widget, margin=0)
        self._words = Building.label("comparisonLabel", isHint=True)
        layout.addWidget(self._words)
        grid = qt.QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        self._buttons = [self._button(place) for place in (0, 1)]
        self._labels = [Building.label(f"answerLabel{place}") for place in (0, 1)]
        for place in (0, 1):
            grid.addWidget(self._buttons[place], 0, place, qt.Qt.AlignHCenter)
            grid.addWidget(self._labels[place], 1, place, qt.Qt.AlignTop)
            grid.setColumnStretch(place, 1)
        layout.addLayout(grid)
        self.show((), "", 0)

    def show(self, rows: Sequence[AnswerRow], words: str, chosen: int) -> None:
        """rows: two, or none. chosen: number of the answer that is the mask."""
        isNew = [id(row.picture) for row in rows] != [id(row.picture) for row in self._rows]
        self._rows, self._chosen = rows, chosen
        self.widget.visible = bool(rows)
        self._words.text = words
        for row, button, label in zip(rows, self._buttons, self._labels):
            if isNew:
                button.icon = qt.QIcon(picture(row.picture))
            isChosen = row.number == chosen
            button.checked = isChosen  # and not disabled, as Qt would paint its picture grey
            button.styleSheet = _CHOSEN if isChosen else ""
            button.toolTip = row.why if isChosen else f"{_TAKE}. {row.why}"
            label.text = f"<b>{escape(row.who)}</b><br>{escape(row.facts)}<br>{escape(row.why)}"

    def _button(self, place: int) -> qt.QToolButton:
        button = Building.smallButton(f"answer{place}", "", lambda: self._take(place))
        button.checkable = True
        button.iconSize = qt.QSize(_PICTURE_PX, _PICTURE_PX)
        button.setMinimumSize(_PICTURE_PX + _MARGIN_PX, _PICTURE_PX + _MARGIN_PX)
        return button

    def _take(self, place: int) -> None:
        button, row = self._buttons[place], self._rows[place]
        isNew, button.checked = row.number != self._chosen, row.number == self._chosen  # it is checked once it is so
        if isNew:
            self._choose(row.number)


def picture(colours: np.ndarray) -> qt.QPixmap:
    """(h, w, 3) uint8."""
    height, width, _channels = colours.shape
    pixmap = qt.QPixmap()
    pixmap.loadFromData(f"P6 {width} {height} 255\n".encode() + colours.tobytes(), "PPM")
    return pixmap
