"""Where the user types what to segment: the line with its completions, and how the words were understood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import qt
from slicer.i18n import tr as _

from memseg.prompts import Text
from MemSegSlicerLib import PromptTools, SceneBridge, SliceNodes
from MemSegSlicerLib.Record import SessionState
from MemSegSlicerLib.TextRows import alternativeRows, answerRows, comparisonWords, completions, insteadWords
from MemSegSlicerLib.Understanding import Understanding

from . import Building
from .AnswerParts import AnswerChooser, ModalityChoice, WorkingBar
from .Keys import KEYS, STOP_KEY
from .Workbench import Workbench


class TextSection:
    def __init__(self, area: qt.QWidget, bench: Workbench) -> None:
        self._bench = bench
        self._shown: Understanding | None = None
        self._typed = ""
        self._isWaiting = False  # for the answer to words or to a choice
        self._past = 0  # which of the earlier words stand in the line, counted back from 1; 0 none
        layout = Building.column(area)
        guarded = bench.notices.guarded
        self._line = qt.QLineEdit()
        self._line.objectName = "textLine"
        self._line.placeholderText = _("Type what to segment, such as left kidney ({key})").format(key=KEYS["text"])
        self._line.maxLength = 1000
        self._line.connect("returnPressed()", guarded(self._type))
        self._line.connect("textEdited(QString)", guarded(self._complete))
        self._go = Building.button("textButton", _("Find"), guarded(self._type), _("Segment what is typed (Enter)"))
        layout.addLayout(Building.row(self._line, self._go, stretch=0))
        self._buildCompletion(guarded)
        self._working = WorkingBar(guarded(bench.controller.stop), STOP_KEY)
        self._modality = ModalityChoice(guarded(self._tellModality))
        layout.addWidget(self._working.widget)
        layout.addWidget(self._modality.widget)
        self._sentence = Building.label("sentenceLabel")
        self._sentence.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
        layout.addWidget(self._sentence)
        self._buildDoubt(layout, guarded)
        self._links = Building.label("linksLabel", isHint=True)
        layout.addWidget(self._links)
        self._chooser = AnswerChooser(guarded(self._take))
        layout.addWidget(self._chooser.widget)
        self._showUnderstanding(None)

    def focus(self) -> None:
        self._line.setFocus()
        self._line.selectAll()

    def show(self, session: SessionState) -> None:
        if self._isWaiting and not session.busy:
            self._isWaiting = False
            if not session.error and not session.stopped and session.understood is not None:
                if self._line.text.strip() == self._typed:
                    self._line.text = ""
                self._goThere(session)
        self._go.enabled = not self._isWaiting
        self._working.show(session.working)
        self._modality.show(session.asksModality)
        if session.understood != self._shown:
            self._shown = session.understood
            self._showUnderstanding(session.understood)

    # -- what the user does -------------------------------------------------------------------------------------------

    def _type(self) -> None:
        prompt = Text(self._line.text)
        self._bench.grid()
        self._bench.ensureSegment()
        self._bench.state.addToHistory(prompt.words)
        self._typed, self._past, self._isWaiting = prompt.words, 0, True
        self._bench.controller.add(prompt)

    def _complete(self, words: str) -> None:
        self._past = 0
        self._offers.setStringList(completions(words, self._bench.controller.recall.names) if words.strip() else [])
        self._completer.complete()

    def _recallEarlier(self, step: int) -> None:
        """Earlier words with the arrow up, later ones with the arrow down."""
        history = self._bench.state.history
        self._past = min(max(self._past + step, 0), len(history))
        self._line.text = history[-self._past] if self._past else ""

    def _choose(self, number: int) -> None:
        if (
            self._shown is not None
            and 0 <= number < len(self._rows)
            and self._rows[number].number != self._shown.chosen
        ):
            self._isWaiting = True
            self._bench.controller.choose(self._rows[number].number)

    def _take(self, number: int) -> None:
        """One of the two answers side by side."""
        self._isWaiting = True
        self._bench.controller.choose(number)

    def _tellModality(self, name: str) -> None:
        self._isWaiting = True
        self._bench.controller.tellModality(name)

    def _toggleLinks(self) -> None:
        self._links.visible = self._why.checked

    # -- what the session says ----------------------------------------------------------------------------------------

    def _showUnderstanding(self, understood: Understanding | None) -> None:
        self._rows = alternativeRows(understood) if understood is not None else []
        self._sentence.visible = understood is not None
        self._why.checked = False
        self._links.visible = False
        hasDoubt = understood is not None and understood.confidence < 1
        self._sure.visible, self._why.visible = hasDoubt, bool(understood and understood.links)
        self._meanings.visible = len(self._rows) > 1
        self._meanings.blockSignals(True)
        self._meanings.clear()
        for place, row in enumerate(self._rows):
            self._meanings.addItem(f"{row.title}, {row.percent} %")
            self._meanings.setItemData(place, row.why, qt.Qt.ToolTipRole)
            if row.number == understood.chosen:
                self._meanings.setCurrentIndex(place)
        self._meanings.blockSignals(False)
        chosen = understood.chosen if understood is not None else 0
        self._chooser.show(answerRows(understood), comparisonWords(understood), chosen)
        if understood is not None:
            self._sentence.text = " ".join(part for part in (understood.sentence, insteadWords(understood)) if part)
            self._sure.value = round(100 * understood.confidence)
            self._links.text = "\n".join(f"• {link}" for link in understood.links)

    def _goThere(self, session: SessionState) -> None:
        """All views to the mask's middle, unless each shows some of it."""
        controller = self._bench.controller
        grid = SceneBridge.gridOf(controller.volumeNode)
        for axis in session.filled:
            node = SliceNodes.viewAlong(self._bench.scene, grid, axis)
            if node is not None and SliceNodes.indexIn(grid, axis, node) not in session.filled[axis]:
                point = PromptTools.rasOfPrompt(self._bench.image(), session.prompts[-1].prompt)
                self._bench.jumpTo(tuple(np.asarray(point).tolist()))
                return

    # -- building -----------------------------------------------------------------------------------------------------

    def _buildCompletion(self, guarded: Callable[..., Callable[..., None]]) -> None:
        self._offers = qt.QStringListModel(self._line)
        self._completer = qt.QCompleter(self._line)
        self._completer.setModel(self._offers)
        self._completer.setCompletionMode(qt.QCompleter.UnfilteredPopupCompletion)
        self._completer.setCaseSensitivity(qt.Qt.CaseInsensitive)
        self._line.setCompleter(self._completer)
        self._arrows = []
        for key, step in (("Up", 1), ("Down", -1)):
            arrow = qt.QShortcut(qt.QKeySequence(key), self._line)
            arrow.setContext(qt.Qt.WidgetShortcut)
            arrow.connect("activated()", guarded(lambda step=step: self._recallEarlier(step)))
            self._arrows.append(arrow)

    def _buildDoubt(self, layout: qt.QVBoxLayout, guarded: Callable[..., Callable[..., None]]) -> None:
        self._sure = qt.QProgressBar()
        self._sure.objectName = "confidenceBar"
        self._sure.maximum = 100
        self._sure.format = _("%p % sure")
        self._sure.setMaximumHeight(18)
        self._why = qt.QToolButton()
        self._why.objectName, self._why.text, self._why.checkable = "whyButton", _("How it was found"), True
        Building.onClick(self._why, self._toggleLinks)
        layout.addLayout(Building.row(self._sure, self._why, stretch=0))
        self._meanings = qt.QComboBox()
        self._meanings.objectName = "meaningsBox"
        self._meanings.toolTip = _("What else the words may mean")
        self._meanings.connect("activated(int)", guarded(self._choose))
        layout.addWidget(self._meanings)
