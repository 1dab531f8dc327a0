"""The one place of the desktop where errors become visible: once, as a sentence, with details on demand."""

from __future__ import annotations

import functools
import inspect
import logging
import traceback
from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from memseg.errors import MemSegError

log = logging.getLogger(__name__)


class Notices:
    """Shows in the bars that are visible; where none is, as a message of the application, which a Slicer without a
    main window only logs."""

    def __init__(self) -> None:
        self._bars: list[NoticeBar] = []
        self._fromSession = ""

    def bar(self) -> NoticeBar:
        """A new place to show what happens. Put its `widget` into a layout, and call `removeBar` when that goes."""
        bar = NoticeBar()
        self._bars.append(bar)
        return bar

    def removeBar(self, bar: NoticeBar) -> None:
        if bar in self._bars:
            self._bars.remove(bar)

    def say(self, sentence: str) -> None:
        """What is no error. Nothing where no bar is visible, but in the main window's status bar."""
        for bar in self._visible():
            bar.show(sentence)
        slicer.util.showStatusMessage(sentence, 5000)

    def complain(self, sentence: str, details: str = "") -> None:
        log.warning("%s", sentence)
        visible = self._visible()
        for bar in visible:
            bar.show(sentence, details, isError=True)
        if not visible:
            options = {"detailedText": details} if details else {}
            slicer.util.errorDisplay(sentence, windowTitle="MemSegSlicer", **options)

    def clear(self) -> None:
        for bar in self._bars:
            bar.clear()

    def report(self, error: BaseException) -> None:
        """An error as one sentence; one that no user can cause brings its details along, and the log has them."""
        if isinstance(error, MemSegError):
            self.complain(str(error))
            return
        log.error("Unexpected error", exc_info=error)
        self.complain(
            _("Something went wrong inside the program ({kind}), and nothing was changed.").format(
                kind=type(error).__name__
            ),
            "".join(traceback.format_exception(error)),
        )

    def guarded(self, action: Callable[..., Any]) -> Callable[..., Any]:
        """The action with its errors shown instead of raised: for everything that Qt or VTK calls. It gets no more
        arguments than it takes, which Qt cannot see from outside."""
        most = _mostArguments(action)

        @functools.wraps(action)
        def run(*arguments: Any) -> Any:
            try:
                return action(*arguments[:most])
            except Exception as error:
                self.report(error)

        return run

    def showError(self, sentence: str) -> None:
        """What a session says of its last action, "" where nothing is wrong; said again with every change, shown
        once."""
        if sentence == self._fromSession:
            return
        self._fromSession = sentence
        if sentence:
            self.complain(sentence)
        else:
            self.clear()

    def _visible(self) -> list[NoticeBar]:
        return [bar for bar in self._bars if bar.isVisible]


def _mostArguments(action: Callable[..., Any]) -> int | None:
    """None for any number."""
    parameters = inspect.signature(action).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    return sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)


class NoticeBar:
    """A line in a panel that is there while it has something to say."""

    def __init__(self) -> None:
        self.widget = qt.QFrame()
        self.widget.objectName = "MemSegNotice"
        self.widget.setFrameShape(qt.QFrame.StyledPanel)
        self._host: Any = None
        row = qt.QHBoxLayout(self.widget)
        row.setContentsMargins(6, 4, 6, 4)
        self._label = qt.QLabel()
        self._label.objectName = "MemSegNoticeText"
        self._label.wordWrap = True
        self._label.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
        self._detailsButton = self._button("MemSegNoticeDetails", _("Details"), self._showDetails)
        self._closeButton = self._button("MemSegNoticeClose", "\u2715", self.clear)
        self._closeButton.toolTip = _("Hide this message")
        row.addWidget(self._label, 1)
        row.addWidget(self._detailsButton)
        row.addWidget(self._closeButton)
        self._details = ""
        self.widget.hide()

    @property
    def isVisible(self) -> bool:
        """Whether what it says can be seen, or could be if it had something to say."""
        parent = self.widget.parentWidget()
        return parent is not None and parent.visible

    @property
    def text(self) -> str:
        return self._label.text if self.widget.isVisibleTo(self.widget.parentWidget()) else ""

    def show(self, sentence: str, details: str = "", isError: bool = False) -> None:
        self._label.text = sentence
        self._label.styleSheet = "color: #c0392b;" if isError else ""
        self._details = details
        self._detailsButton.visible = bool(details)
        self.widget.show()

    def clear(self) -> None:
        self._details = ""
        self.widget.hide()

    def _button(self, name: str, text: str, pressed: Callable[[], None]) -> Any:
        button = qt.QToolButton()
        button.objectName = name
        button.text = text
        button.autoRaise = True
        button.connect("clicked()", pressed)
        return button

    def _showDetails(self) -> None:
        box = qt.QMessageBox(self.widget)
        box.objectName = "MemSegNoticeDetailsBox"
        box.windowTitle = "MemSegSlicer"
        box.text = self._label.text
        box.detailedText = self._details
        box.setAttribute(qt.Qt.WA_DeleteOnClose)
        box.open()
