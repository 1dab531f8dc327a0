"""The panel's keyboard shortcuts: one table, away from those of Slicer's slice views (r g t v b f, brackets, arrows)
and of the Segment Editor (q w z y, space, escape, i, digits)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import qt

KEYS = {
    "click": "C",
    "box": "X",
    "scribble": "S",
    "lasso": "L",
    "sign": "N",
    "text": "E",
    "undo": "U",
    "redo": "Shift+U",
    "run": "Ctrl+Return",
    "change": "H",
    "propagate": "P",
    "agree": "A",
    "suggested": "J",
    "remember": "M",
}
STOP_KEY = "Esc"
"""Of no use but while the panel shows an answer that takes long, as an editor's tools have it otherwise."""


class Keys:
    """Active while the module is entered."""

    def __init__(self, widget: qt.QWidget, actions: Mapping[str, Callable[[], None]]) -> None:
        """widget: of the window in which they count. actions: by the names of KEYS, all of them."""
        self._shortcuts: list[qt.QShortcut] = []
        for name, key in KEYS.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), widget)
            shortcut.connect("activated()", actions[name])
            self._shortcuts.append(shortcut)
        self.setOn(False)

    def setOn(self, isOn: bool) -> None:
        for shortcut in self._shortcuts:
            shortcut.enabled = isOn

    def cleanup(self) -> None:
        for shortcut in self._shortcuts:
            shortcut.disconnect("activated()")
            shortcut.setParent(None)
        self._shortcuts = []
