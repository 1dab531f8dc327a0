"""The prompts of the segment, newest first, those that wait to be run on top: go to one, delete one."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from memseg.errors import SessionError
from MemSegSlicerLib import PromptTools
from MemSegSlicerLib.PromptRows import promptRows, promptTitle
from MemSegSlicerLib.Record import SessionState

from . import Building
from .Workbench import Workbench

_MOST_ROWS = 300
_DELETE = 3
_WAITS = _("waits to be run")
_SIGNS = {True: "+", False: "−"}


class PromptList:
    def __init__(self, area: qt.QWidget, bench: Workbench) -> None:
        self._bench = bench
        self._entries: list[tuple[bool, int]] = []  # of each row: whether it waits, and its place among its like
        layout = Building.column(area)
        self._table = Building.table(
            "promptsTable", (_("No."), _("Prompt"), _("Leaned on"), ""), 1, bench.notices.guarded(self._onClicked)
        )
        self._table.toolTip = _("Click a prompt to go to its place; × deletes it")
        self._empty = Building.label(
            "noPromptsLabel", _("Clicks, boxes, strokes and words appear here; click one to go to it."), isHint=True
        )
        layout.addWidget(self._empty)
        layout.addWidget(self._table)

    def show(self, session: SessionState) -> None:
        waiting = self._bench.collected.of(self._bench.key())
        rows = [("…", f"{promptTitle(prompt)}, {_WAITS}", "", "×") for prompt in reversed(waiting)]
        self._entries = [(True, index) for index in reversed(range(len(waiting)))]
        for row in promptRows(session)[:_MOST_ROWS]:
            rows.append((str(row.number), f"{_SIGNS[row.positive]} {row.title}", row.leaned, "×"))
            self._entries.append((False, row.index))
        Building.fill(self._table, rows)
        Building.fit(self._table)
        self._table.visible, self._empty.visible = bool(rows), not rows

    def _onClicked(self, row: int, column: int) -> None:
        isWaiting, index = self._entries[row]
        if column == _DELETE and isWaiting:
            self._bench.collected.remove(self._bench.key(), index)
            self._bench.changed()
        elif column == _DELETE:
            self._bench.controller.remove(index)
        else:
            self._goTo(isWaiting, index)

    def _goTo(self, isWaiting: bool, index: int) -> None:
        if isWaiting:
            prompts = self._bench.collected.of(self._bench.key())
        else:
            prompts = tuple(each.prompt for each in self._bench.controller.state.prompts)
        if index >= len(prompts):
            raise SessionError("This prompt is no longer there; choose another one from the list.")
        self._bench.jumpTo(PromptTools.rasOfPrompt(self._bench.image(), prompts[index]))
