"""What the effect shows below the editor's tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from memseg import catalog
from memseg.geometry import Grid
from MemSegSlicerLib.PromptRows import adviceWords, sizeWords
from MemSegSlicerLib.Record import SessionState
from MemSegSlicerLib.SlicePlaces import AxisRow
from MemSegSlicerLib.SliceRows import progressWords
from MemSegSlicerLib.TextRows import answerRows, comparisonWords, completions
from MemSegSlicerWidgets.AnswerParts import AnswerChooser, ModalityChoice, WorkingBar

VIEW_AXIS = "view"  # of the view that was touched last; an empty parameter is an undefined one to Slicer
TO_THE_END = -1
_LARGEST_BRUSH_MM = 30.0


@dataclass(frozen=True)
class Settings:
    """What of the options is kept with the editor's node. axis: "k", "j", "i" or VIEW_AXIS; first, last: slices along
    it, TO_THE_END for all there are."""

    isPositive: bool = True
    brushMm: float = 3.0
    axis: str = VIEW_AXIS
    first: int = TO_THE_END
    last: int = TO_THE_END


class Options:
    """Call `add` once. edited: the user changed a setting. typed, propagate, choseModel, stop, toldModality, chose:
    what the user asked for. remembered: names that words may become besides the terms."""

    def __init__(
        self,
        edited: Callable[[], None],
        typed: Callable[[str], None],
        propagate: Callable[[], None],
        choseModel: Callable[[str], None],
        remembered: Callable[[], tuple[str, ...]],
        stop: Callable[[], None],
        toldModality: Callable[[str], None],
        chose: Callable[[int], None],
    ) -> None:
        self._edited = edited
        self._typed = typed
        self._remembered = remembered
        self._axisNames: list[str] = [VIEW_AXIS]
        self._sizes: dict[str, int] = {}
        self._addButton = _named(qt.QRadioButton(_("Add")), "MemSegAdd")
        self._removeButton = _named(qt.QRadioButton(_("Remove")), "MemSegRemove")
        self._brush = _named(ctk.ctkSliderWidget(), "MemSegBrush")
        self._words = _named(qt.QLineEdit(), "MemSegWords")
        self._find = _named(qt.QPushButton(_("Find")), "MemSegFind")
        self._completer = qt.QCompleter(self._words)
        self._completions = qt.QStringListModel(self._completer)
        self._working = WorkingBar(stop)  # without a key: Escape is the editor's own
        self._modality = ModalityChoice(toldModality)
        self._understood = _wrapped("MemSegUnderstood")
        self._chooser = AnswerChooser(chose)
        self._axis = _named(qt.QComboBox(), "MemSegAxis")
        self._first = _named(qt.QSpinBox(), "MemSegFirst")
        self._dash = qt.QLabel("\N{EN DASH}")
        self._last = _named(qt.QSpinBox(), "MemSegLast")
        self._propagate = _named(qt.QPushButton(_("Propagate")), "MemSegPropagate")
        self._model = _named(qt.QComboBox(), "MemSegModel")
        self._busy = _named(qt.QProgressBar(), "MemSegBusy")
        self._status = _wrapped("MemSegStatus")
        self._noticePlace = qt.QWidget()
        self._fill()
        self._connections = (
            (self._addButton, "toggled(bool)", edited),
            (self._brush, "valueChanged(double)", edited),
            (self._axis, "currentIndexChanged(int)", self._onAxis),
            (self._first, "valueChanged(int)", edited),
            (self._last, "valueChanged(int)", edited),
            (self._words, "textEdited(QString)", self._complete),
            (self._words, "returnPressed()", self._onWords),
            (self._find, "clicked()", self._onWords),
            (self._propagate, "clicked()", propagate),
            (self._model, "activated(int)", lambda index: choseModel(self._model.itemData(index))),
        )
        for sender, signal, slot in self._connections:
            sender.connect(signal, slot)

    def _fill(self) -> None:
        self._addButton.checked = True
        self._addButton.toolTip = _("A click or stroke says what belongs to the segment; with Ctrl, what does not.")
        self._removeButton.toolTip = _(
            "A click or stroke says what does not belong to the segment; with Ctrl, what does."
        )
        self._brush.minimum, self._brush.maximum, self._brush.singleStep = 0.0, _LARGEST_BRUSH_MM, 0.5
        self._brush.decimals, self._brush.suffix = 1, _(" mm")
        self._brush.toolTip = _("Radius of a scribble: hold the mouse button down and draw along the object.")
        self._words.placeholderText = _("left kidney, grow by 2 mm, smooth")
        self._completer.setModel(self._completions)
        self._completer.setCompletionMode(qt.QCompleter.UnfilteredPopupCompletion)
        self._words.setCompleter(self._completer)
        self._understood.hide()
        self._axis.addItem(_("Axis of the view"))
        self._propagate.toolTip = _("Follow the object from the slice shown through the range, in both directions.")
        for card in catalog.installed():
            self._model.addItem(card.title, card.name)
        self._busy.minimum = self._busy.maximum = 0
        self._busy.textVisible = False
        self._busy.maximumHeight = 6
        self._busy.hide()

    def add(self, scriptedEffect: Any) -> None:
        """To the editor's frame."""
        scriptedEffect.addLabeledOptionsWidget(_("Prompts:"), _row(self._addButton, self._removeButton))
        scriptedEffect.addLabeledOptionsWidget(_("Brush radius:"), self._brush)
        scriptedEffect.addLabeledOptionsWidget(_("In words:"), _row(self._words, self._find))
        for widget in (self._working.widget, self._modality.widget, self._understood, self._chooser.widget):
            scriptedEffect.addOptionsWidget(widget)
        slices = _row(self._axis, self._first, self._dash, self._last, self._propagate)
        scriptedEffect.addLabeledOptionsWidget(_("Slices:"), slices)
        scriptedEffect.addLabeledOptionsWidget(_("Model:"), self._model)
        scriptedEffect.addOptionsWidget(self._busy)
        scriptedEffect.addOptionsWidget(self._status)
        column = qt.QVBoxLayout(self._noticePlace)
        column.setContentsMargins(0, 0, 0, 0)
        scriptedEffect.addOptionsWidget(self._noticePlace)

    def addNotices(self, widget: Any) -> None:
        self._noticePlace.layout().addWidget(widget)

    def disconnectAll(self) -> None:
        for sender, signal, slot in self._connections:
            sender.disconnect(signal, slot)
        self._connections = ()

    # -- settings ----------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        axis = self._axisNames[max(self._axis.currentIndex, 0)]
        last = self._last.value if self._last.value < self._last.maximum else TO_THE_END
        first = self._first.value if self._first.value > 0 else TO_THE_END
        return Settings(self._addButton.checked, self._brush.value, axis, first, last)

    def showSettings(self, settings: Settings) -> None:
        """Without telling that anything was edited."""
        axis = settings.axis if settings.axis in self._axisNames else VIEW_AXIS
        size = self._sizes.get(axis, 1)
        last = settings.last if 0 <= settings.last < size else size - 1
        for box in (self._first, self._last):
            _silently(box, "maximum", size - 1)
        for widget in (self._first, self._dash, self._last):
            widget.visible = axis != VIEW_AXIS
        _silently(self._addButton, "checked", settings.isPositive)
        _silently(self._removeButton, "checked", not settings.isPositive)
        _silently(self._brush, "value", settings.brushMm)
        _silently(self._axis, "currentIndex", self._axisNames.index(axis))
        _silently(self._first, "value", max(settings.first, 0))
        _silently(self._last, "value", last)

    def showAxes(self, rows: Sequence[AxisRow]) -> None:
        """Those of the image; none where there is no image."""
        if [(row.axis, row.size) for row in rows] == list(self._sizes.items()):
            return
        settings = self.settings
        self._sizes = {row.axis: row.size for row in rows}
        self._axisNames = [VIEW_AXIS, *self._sizes]
        wasBlocked = self._axis.blockSignals(True)
        while self._axis.count > 1:
            self._axis.removeItem(1)
        for row in rows:
            self._axis.addItem(row.title)
        self._axis.blockSignals(wasBlocked)
        self.showSettings(settings)

    def _onAxis(self) -> None:
        """Another axis: all of its slices."""
        settings = self.settings
        self.showSettings(Settings(settings.isPositive, settings.brushMm, settings.axis))
        self._edited()

    # -- words -------------------------------------------------------------------------------------------------------

    def _onWords(self) -> None:
        self._typed(self._words.text)

    def _complete(self, words: str) -> None:
        self._completions.setStringList(completions(words, self._remembered()) if words.strip() else [])

    # -- what the session says ---------------------------------------------------------------------------------------

    def showState(self, state: SessionState, grid: Grid | None) -> None:
        """grid: the image's."""
        self._busy.visible = state.busy and state.working is None
        self._working.show(state.working)
        self._modality.show(state.asksModality)
        chosen = state.understood.chosen if state.understood is not None else 0
        self._chooser.show(answerRows(state.understood), comparisonWords(state.understood), chosen)
        self._propagate.text = _("Cancel") if state.propagating else _("Propagate")
        self._propagate.enabled = state.propagating or bool(state.voxels)
        _silently(self._model, "currentIndex", self._model.findData(state.model))
        self._understood.text = state.understood.sentence if state.understood is not None else ""
        self._understood.visible = state.understood is not None
        self._status.text = statusWords(state, grid)


def statusWords(state: SessionState, grid: Grid | None) -> str:
    if state.propagating:
        return progressWords(state)
    if state.busy:
        return _("Working\N{HORIZONTAL ELLIPSIS}")
    size = f"{sizeWords(state.voxels, grid)}." if state.voxels and grid is not None else ""
    return " ".join(part for part in (size, state.report or adviceWords(state), state.note) if part)


def _named(widget: Any, name: str) -> Any:
    widget.objectName = name
    return widget


def _wrapped(name: str) -> Any:
    label = _named(qt.QLabel(), name)
    label.wordWrap = True
    return label


def _row(*widgets: Any) -> Any:
    holder = qt.QWidget()
    row = qt.QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    return holder


def _silently(widget: Any, name: str, value: Any) -> None:
    """Set a property without its signals; nothing where it is so already."""
    if getattr(widget, name) == value:
        return
    wasBlocked = widget.blockSignals(True)
    setattr(widget, name, value)
    widget.blockSignals(wasBlocked)
