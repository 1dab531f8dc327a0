"""The recall memory in a window of its own: search, rename, delete, import, export; files are read and written by the
worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import qt
from slicer.i18n import tr as _

from memseg.errors import SessionError
from memseg.memory.recall import RecallEntry
from MemSegSlicerLib.RecallRows import countWords, matching, originWords, sizeWords, toldOnce

from . import Building
from .Workbench import Workbench

_MOST_ROWS = 60  # at once; others are found by searching
_THUMBNAIL_PX = 48
_OUTLINE, _OUTLINE_COLOUR = 255, (46, 196, 182)
_NAME = 1
_SHIPPED = _("comes with MemSegSlicer")
_NOTHING_FITS = _("Nothing here fits the search.")
_NOTHING = _("Nothing is remembered yet. Segment something, give it a name, and press Remember.")
_SOME = _("{shown} of {count} shown; search to see others.")


class RecallBrowser:
    def __init__(self, parent: qt.QWidget, bench: Workbench) -> None:
        self._bench = bench
        self._recall = bench.controller.recall
        self._rows: list[RecallEntry] = []
        self._isShowing = False
        self.dialog = qt.QDialog(parent)
        self.dialog.objectName = "recallBrowser"
        self.dialog.windowTitle = _("Recall memory")
        self.dialog.resize(640, 480)
        layout = qt.QVBoxLayout(self.dialog)
        guarded = bench.notices.guarded
        self._search = qt.QLineEdit()
        self._search.objectName = "recallSearch"
        self._search.placeholderText = _("Search names, modality, notes")
        self._search.connect("textChanged(QString)", lambda _words: self.show())
        layout.addWidget(self._search)
        headings = ("", _("Name"), _("Of"), _("Size"), _("From"))
        self._table = Building.table("recallTable", headings, 4, lambda _row, _column: self._showButtons())
        self._table.setEditTriggers(qt.QAbstractItemView.DoubleClicked | qt.QAbstractItemView.EditKeyPressed)
        self._table.setSelectionMode(qt.QAbstractItemView.ExtendedSelection)
        self._table.verticalHeader().setDefaultSectionSize(_THUMBNAIL_PX + 4)
        self._table.setIconSize(qt.QSize(_THUMBNAIL_PX, _THUMBNAIL_PX))
        self._table.connect("cellChanged(int,int)", guarded(self._onEdited))
        self._table.connect("itemSelectionChanged()", self._showButtons)
        layout.addWidget(self._table, 1)
        self._words = Building.label("recallLabel", isHint=True)
        layout.addWidget(self._words)
        self._rename = Building.button("recallRename", _("Rename"), guarded(self._beginRename))
        self._delete = Building.button("recallDelete", _("Delete"), guarded(self._askDelete))
        self._import = Building.button("recallImport", _("Import…"), guarded(self._askImport))
        self._export = Building.button(
            "recallExport", _("Export…"), guarded(self._askExport), _("Your own entries: the selected, or all that fit")
        )
        self._close = Building.button("recallClose", _("Close"), self.dialog.hide)
        layout.addLayout(Building.row(self._rename, self._delete, self._import, self._export, self._close))

    def open(self) -> None:
        self._search.text = ""
        self._do(self._recall.readAgain, lambda _memory: self._tell(toldOnce(self._recall.problems)))
        self.show()
        self.dialog.show()
        self.dialog.raise_()

    def show(self) -> None:
        """The memory as far as it was read."""
        memory = self._recall.known
        found = matching(memory, self._search.text)
        self._rows = found[:_MOST_ROWS]
        self._isShowing = True
        self._table.clearSelection()
        Building.fill(self._table, [self._texts(entry) for entry in self._rows])
        for row, entry in enumerate(self._rows):
            self._table.item(row, 0).setIcon(qt.QIcon(thumbnail(entry.thumbnail)))
            self._table.item(row, _NAME).setFlags(self._flags(self._recall.isOwn(entry.identity)))
            for column in (0, 2, 3, 4):
                self._table.item(row, column).setFlags(self._flags(False))
        self._isShowing = False
        if not found:
            self._words.text = _NOTHING_FITS if len(memory) else _NOTHING
        else:
            more = len(found) > len(self._rows)
            self._words.text = _SOME.format(shown=len(self._rows), count=len(found)) if more else ""
        self._showButtons()

    def cleanup(self) -> None:
        self.dialog.hide()
        self.dialog.setParent(None)

    # -- what the user does -------------------------------------------------------------------------------------------

    def rename(self, identity: str, name: str) -> None:
        self._do(lambda: self._recall.rename(identity, name), lambda _none: None)

    def delete(self, identities: list[str]) -> None:
        def work() -> None:
            for identity in identities:
                self._recall.remove(identity)

        self._do(work, lambda _none: None)

    def importFrom(self, path: Path) -> None:
        def told(result: tuple[int, tuple[str, ...]]) -> None:
            new, left = result
            words = f"Imported {countWords(new)}." if new else "The file brought nothing new."
            self._tell([words, *toldOnce(left)])

        self._do(lambda: self._recall.importFrom(path), told)

    def exportTo(self, path: Path) -> None:
        """The user's own among the selected, or among all that fit the search."""
        chosen = self._selected() or matching(self._recall.known, self._search.text)
        own = [entry.identity for entry in chosen if self._recall.isOwn(entry.identity)]
        if not own:
            raise SessionError("There is nothing of your own here to export.")
        self._do(
            lambda: self._recall.exportTo(path, own), lambda _none: self._tell([f"Exported {countWords(len(own))}."])
        )

    def _onEdited(self, row: int, column: int) -> None:
        if self._isShowing or column != _NAME:
            return
        name = self._table.item(row, column).text()
        if name != self._rows[row].name:
            self.rename(self._rows[row].identity, name)

    def _beginRename(self) -> None:
        row = self._table.currentRow()
        if 0 <= row < len(self._rows):
            self._table.editItem(self._table.item(row, _NAME))

    def _askDelete(self) -> None:
        own = [entry for entry in self._selected() if self._recall.isOwn(entry.identity)]
        question = _("Delete {count} of the recall memory for good?").format(count=countWords(len(own)))
        buttons = qt.QMessageBox.Yes | qt.QMessageBox.No
        if own and qt.QMessageBox.question(self.dialog, _("Recall memory"), question, buttons) == qt.QMessageBox.Yes:
            self.delete([entry.identity for entry in own])

    def _askImport(self) -> None:
        path = qt.QFileDialog.getOpenFileName(self.dialog, _("Import"), "", "*.zip")
        path = path[0] if isinstance(path, tuple) else path
        if path:
            self.importFrom(Path(path))

    def _askExport(self) -> None:
        path = qt.QFileDialog.getSaveFileName(self.dialog, _("Export"), "recall-memory.zip", "*.zip")
        path = path[0] if isinstance(path, tuple) else path
        if path:
            self.exportTo(Path(path))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _do(self, work: Callable[[], object], done: Callable[[object], None]) -> None:
        """In the worker; the list then shows the memory as it is."""

        def finish(result: object) -> None:
            self.show()
            done(result)

        def fail(error: Exception) -> None:
            self.show()
            self._bench.notices.report(error)
            self._tell([str(error)])

        self._bench.desk.worker.submit(work, finish, fail)

    def _tell(self, sentences: list[str]) -> None:
        if sentences:
            self._words.text = " ".join(sentences)

    def _selected(self) -> list[RecallEntry]:
        rows = {index.row() for index in self._table.selectionModel().selectedRows()}
        return [entry for row, entry in enumerate(self._rows) if row in rows]

    def _showButtons(self) -> None:
        selected = self._selected()
        own = [entry for entry in selected if self._recall.isOwn(entry.identity)]
        self._rename.enabled, self._delete.enabled = len(own) == len(selected) == 1, bool(own)

    def _texts(self, entry: RecallEntry) -> tuple[str, ...]:
        origin = originWords(entry)
        if not self._recall.isOwn(entry.identity):
            origin = f"{_SHIPPED}; {origin}" if origin else _SHIPPED
        return ("", entry.name, entry.modality, sizeWords(entry), origin)

    def _flags(self, isEditable: bool) -> qt.Qt.ItemFlags:
        flags = qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled
        return flags | qt.Qt.ItemIsEditable if isEditable else flags


def thumbnail(grey: np.ndarray) -> qt.QPixmap:
    """(h, w) uint8 as a picture, the outline at 255 in a colour."""
    picture = np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=2)
    picture[grey == _OUTLINE] = _OUTLINE_COLOUR
    height, width, _channels = picture.shape
    pixmap = qt.QPixmap()
    pixmap.loadFromData(f"P6 {width} {height} 255\n".encode() + picture.tobytes(), "PPM")
    return pixmap.scaled(_THUMBNAIL_PX, _THUMBNAIL_PX, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)
