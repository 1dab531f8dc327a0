"""What is remembered of this segment, interactions and slices, one by one, to pin and to drop; and the door to the
recall memory."""

from __future__ import annotations

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from memseg.memory.interaction import CAPACITY
from MemSegSlicerLib import SliceNodes, SlicePlaces
from MemSegSlicerLib.PromptRows import PromptRow, promptRows
from MemSegSlicerLib.Record import SessionState
from MemSegSlicerLib.SliceRows import SliceRow, sliceRows

from . import Building
from .Workbench import Workbench

_FORGET = 3
_PIN, _DROP = 3, 4
_MOST_ROWS = 100
_RECALL, _NO_RECALL = _("Recall memory ({count})…"), _("Recall memory…")
_SLICES, _NO_SLICES = _("Slices remembered: {count}"), _("No slice remembered yet.")


class MemorySection:
    def __init__(self, area: qt.QWidget, bench: Workbench, showRecall: Callable[[], None]) -> None:
        self._bench = bench
        self._interactionRows: list[PromptRow] = []
        self._sliceRows: list[SliceRow] = []
        layout = Building.column(area)
        self._buildInteractions(layout)
        self._buildSlices(layout)
        self._recall = Building.button(
            "recallButton",
            _NO_RECALL,
            bench.notices.guarded(showRecall),
            _("Structures kept under their names, to be found again in other images: look, rename, delete, share"),
        )
        layout.addWidget(self._recall)

    def show(self, session: SessionState) -> None:
        self._showInteractions(session)
        self._showSlices(session)
        count = len(self._bench.controller.recall.known)
        self._recall.text = _RECALL.format(count=count) if count else _NO_RECALL

    # -- interactions -------------------------------------------------------------------------------------------------

    def _buildInteractions(self, layout: qt.QVBoxLayout) -> None:
        guarded = self._bench.notices.guarded
        self._fill = qt.QProgressBar()
        self._fill.objectName = "memoryBar"
        self._fill.format = _("%v of %m interactions remembered")
        self._fill.toolTip = _("How many of your interactions the model remembers; the oldest leaves when it is full")
        self._fill.setMaximumHeight(18)
        self._interactions = Building.table(
            "interactionsTable", (_("No."), _("Interaction"), _("Leaned on"), ""), 1, guarded(self._onInteraction)
        )
        self._clear = Building.button(
            "clearMemoryButton", _("Forget all interactions"), guarded(self._bench.controller.clearMemory)
        )
        for part in (self._fill, self._interactions, self._clear):
            layout.addWidget(part)

    def _showInteractions(self, session: SessionState) -> None:
        self._fill.maximum = session.memoryCapacity or CAPACITY
        self._fill.value = session.memoryCount
        remembered = set(session.remembered)
        self._interactionRows = [row for row in promptRows(session) if row.number in remembered]
        rows = [(str(row.number), row.title, row.leaned, "×") for row in self._interactionRows]
        Building.fill(self._interactions, rows)
        Building.fit(self._interactions)
        self._interactions.visible = self._clear.visible = bool(rows)

    def _onInteraction(self, row: int, column: int) -> None:
        if column == _FORGET:
            self._bench.controller.forget(self._interactionRows[row].number)

    # -- slices -------------------------------------------------------------------------------------------------------

    def _buildSlices(self, layout: qt.QVBoxLayout) -> None:
        guarded = self._bench.notices.guarded
        self._noSlices = Building.label("slicesLabel", isHint=True)
        headings = (_("Slice"), _("Sure"), _("Counts"), _("Pin"), "")
        self._slices = Building.table("slicesTable", headings, 0, guarded(self._onSlice))
        self._slices.toolTip = _(
            "Slices that propagation looks back to. Agreed and pinned ones stay; click Pin to pin, × to drop."
        )
        self._clearSlices = Building.button(
            "clearSlicesButton", _("Forget all slices"), guarded(self._bench.controller.clearSlices)
        )
        for part in (self._noSlices, self._slices, self._clearSlices):
            layout.addWidget(part)

    def _showSlices(self, session: SessionState) -> None:
        hasImage = self._bench.controller.volumeNode is not None and bool(session.slices)
        axes = SlicePlaces.axisRows(self._bench.grid()) if hasImage else []
        self._sliceRows = sliceRows(session, {row.axis: row.title for row in axes})[:_MOST_ROWS]
        rows = [
            (
                f"✓ {row.title}" if row.agreed else row.title,
                f"{row.confidence} %",
                f"×{row.prominence}",
                "●" if row.pinned else "○",
                "×",
            )
            for row in self._sliceRows
        ]
        Building.fill(self._slices, rows)
        Building.fit(self._slices)
        self._slices.visible = self._clearSlices.visible = bool(rows)
        self._noSlices.text = _SLICES.format(count=len(session.slices)) if rows else _NO_SLICES

    def _onSlice(self, row: int, column: int) -> None:
        entry = self._sliceRows[row]
        if column == _PIN:
            self._bench.controller.pinSlice(entry.axis, entry.index, not entry.pinned)
        elif column == _DROP:
            self._bench.controller.dropSlice(entry.axis, entry.index)
        else:
            SliceNodes.showSlice(self._bench.scene, self._bench.grid(), entry.axis, entry.index)
