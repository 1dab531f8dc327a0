"""Small pieces that the sections of the panel are built of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

_GREY = "color: palette(dark);"
_ROW_PX = 22
_HEADER_PX = 28
_MOST_ROWS_SHOWN = 7


def button(name: str, text: str, pressed: Callable[[], None], tip: str = "", key: str = "") -> qt.QPushButton:
    """key: its keyboard shortcut, shown with the text and the tip; who shows it makes it work."""
    made = qt.QPushButton(f"{text} ({key})" if key else text)
    made.objectName = name
    made.toolTip = f"{tip} ({key})" if key and tip else tip
    onClick(made, pressed)
    return made


def onClick(clicked: qt.QAbstractButton, pressed: Callable[[], None]) -> None:
    clicked.connect("clicked(bool)", lambda: pressed())


def smallButton(name: str, text: str, pressed: Callable[[], None], tip: str = "") -> qt.QToolButton:
    made = qt.QToolButton()
    made.objectName, made.text, made.toolTip, made.autoRaise = name, text, tip, True
    onClick(made, pressed)
    return made


def tick(name: str, text: str, changed: Callable[[bool], None], tip: str = "") -> qt.QCheckBox:
    made = qt.QCheckBox(text)
    made.objectName, made.toolTip = name, tip
    made.connect("toggled(bool)", changed)
    return made


def label(name: str = "", text: str = "", isHint: bool = False) -> qt.QLabel:
    made = qt.QLabel(text)
    made.objectName = name
    made.wordWrap = True
    if isHint:
        made.styleSheet = _GREY
    return made


def row(*parts: Any, stretch: int = -1) -> qt.QHBoxLayout:
    """Widgets beside one another; the one at `stretch` takes the room that is left, or a space at the end does."""
    layout = qt.QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for index, part in enumerate(parts):
        layout.addWidget(part, 1 if index == stretch else 0)
    if stretch < 0:
        layout.addStretch(1)
    return layout


def column(area: qt.QWidget, margin: int = 4) -> qt.QVBoxLayout:
    """The layout of an area that is still empty."""
    layout = qt.QVBoxLayout(area)
    layout.setContentsMargins(0, margin, 0, margin)
    layout.setSpacing(4)
    return layout


def table(name: str, headings: Sequence[str], stretched: int, clicked: Callable[[int, int], None]) -> qt.QTableWidget:
    """Rows that are clicked, not edited. stretched: the column that takes the room that is left."""
    made = qt.QTableWidget(0, len(headings))
    made.objectName = name
    made.setHorizontalHeaderLabels(list(headings))
    header = made.horizontalHeader()
    for index in range(len(headings)):
        mode = qt.QHeaderView.Stretch if index == stretched else qt.QHeaderView.ResizeToContents
        header.setSectionResizeMode(index, mode)
    made.verticalHeader().hide()
    made.verticalHeader().setDefaultSectionSize(_ROW_PX)
    made.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    made.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    made.setSelectionMode(qt.QAbstractItemView.SingleSelection)
    made.showGrid = False
    made.connect("cellClicked(int,int)", clicked)
    return made


def fill(made: qt.QTableWidget, rows: Sequence[Sequence[str]]) -> None:
    """Show these texts, changing only the cells that differ."""
    if made.rowCount != len(rows):
        made.setRowCount(len(rows))
    for number, texts in enumerate(rows):
        for column, text in enumerate(texts):
            item = made.item(number, column)
            if item is None:
                made.setItem(number, column, qt.QTableWidgetItem(text))
            elif item.text() != text:
                item.setText(text)


def fit(made: qt.QTableWidget) -> None:
    """As high as its rows, up to a few; more are scrolled."""
    rows = min(made.rowCount, _MOST_ROWS_SHOWN)
    height = _HEADER_PX + rows * _ROW_PX + 2 * made.frameWidth
    made.setMinimumHeight(height)
    made.setMaximumHeight(height)
