"""A trained model guesses first, and finished segments go back as training data."""

from __future__ import annotations

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from MemSegSlicerLib.AutoWork import AutoState
from MemSegSlicerLib.Record import SessionState

from . import Building
from .Workbench import Workbench

_GUESS, _CANCEL = _("Auto"), _("Cancel")
_WINDOWS = _("%v of %m windows")


class AutoSection:
    def __init__(self, area: qt.QWidget, bench: Workbench, askCollect: Callable[[], None]) -> None:
        """askCollect: asks where finished segments go."""
        self._bench = bench
        self._auto = bench.controller.auto
        self._shownError = ""
        guarded = bench.notices.guarded
        layout = Building.column(area)
        title = Building.label("autoModelLabel", _("Folder of the trained model"))
        self._model = folderLine("autoModelLine", _("What memseg train auto wrote with --out"))
        self._model.connect("editingFinished()", guarded(self._chooseModel))
        self._browse = browseButton("autoModelButton", self._model, guarded(self._chooseModel))
        layout.addWidget(title)
        layout.addLayout(Building.row(self._model, self._browse, stretch=0))
        tip = _(
            "Have the trained model propose every structure it knows, each a segment that clicks correct; "
            "again to cancel"
        )
        self._guess = Building.button("autoGuessButton", _GUESS, guarded(self._onGuess), tip)
        tip = _("Let the next training learn from what is finished here")
        self._collect = Building.button("askCollectButton", _("Add to training data…"), guarded(askCollect), tip)
        layout.addLayout(Building.row(self._guess, self._collect, stretch=0))
        self._bar = qt.QProgressBar()
        self._bar.objectName, self._bar.format = "autoBar", _WINDOWS
        self._bar.setMaximumHeight(18)
        layout.addWidget(self._bar)
        self._words = Building.label("autoWords", isHint=True)
        self._words.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
        layout.addWidget(self._words)
        self._stopListening = self._auto.addListener(self._showAuto)
        self._showAuto(self._auto.state)

    def cleanup(self) -> None:
        self._stopListening()

    def restore(self) -> None:
        """A model may have been trained meanwhile."""
        self._auto.look()

    def show(self, session: SessionState) -> None:
        if not session.busy:
            self._auto.look()
        self._showAuto(self._auto.state)

    # -- what the user does -------------------------------------------------------------------------------------------

    def _chooseModel(self) -> None:
        if self._model.text.strip() != str(self._auto.state.folders.model):
            self._auto.choose(model=self._model.text)

    def _onGuess(self) -> None:
        if self._auto.state.running:
            self._auto.cancel()
            return
        self._chooseModel()
        self._bench.leave()
        self._auto.guess()

    # -- what is shown ------------------------------------------------------------------------------------------------

    def _showAuto(self, state: AutoState) -> None:
        """Listener of the controller's AutoWork."""
        controller = self._bench.controller
        if not self._model.hasFocus():
            self._model.text = str(state.folders.model)
        self._model.enabled = self._browse.enabled = not state.running
        self._guess.text = _CANCEL if state.running else _GUESS
        isAble = controller.volumeNode is not None and not state.problem and not state.collecting
        self._guess.enabled = state.running or isAble
        self._collect.enabled = self._bench.key() is not None and not state.running and not state.collecting
        self._bar.visible = state.running
        self._bar.maximum = state.of  # without any it shows that something is going on
        self._bar.value = state.done
        self._words.text = state.error or state.report or state.problem
        self._words.visible = bool(self._words.text)
        if state.error and state.error != self._shownError:
            self._bench.notices.complain(state.error)
        self._shownError = state.error


def folderLine(name: str, tip: str) -> qt.QLineEdit:
    made = qt.QLineEdit()
    made.objectName, made.toolTip = name, tip
    return made


def browseButton(name: str, line: qt.QLineEdit, chosen: Callable[[], None]) -> qt.QToolButton:
    """Asks for a folder, which stands in the line then."""

    def ask() -> None:
        path = qt.QFileDialog.getExistingDirectory(line, _("Choose a folder"), line.text)
        if path:
            line.text = path
            chosen()

    return Building.smallButton(name, "…", ask, _("Choose a folder"))
