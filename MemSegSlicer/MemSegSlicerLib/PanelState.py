"""What a panel shows beside the session, as saved with the scene."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .SceneState import SceneState
from .Strokes import CLICK, TOOLS

_HISTORY = 50
_BOTH_WAYS = ("both", "up", "down")


def _choice(name: str, values: Sequence[str], default: str) -> property:
    def read(self: PanelState) -> str:
        value = self.scene.parameter(name)
        return value if value in values else default

    return property(read, lambda self, value: self.scene.setParameter(name, value))


def _flag(name: str, default: bool = False) -> property:
    def read(self: PanelState) -> bool:
        value = self.scene.parameter(name)
        return default if value is None else value == "true"

    return property(read, lambda self, value: self.scene.setParameter(name, "true" if value else "false"))


def _number(name: str, default: float, least: float, most: float) -> property:
    def read(self: PanelState) -> float:
        try:
            value = float(self.scene.parameter(name) or default)
        except ValueError:
            return default
        return value if least <= value <= most else default

    return property(read, lambda self, value: self.scene.setParameter(name, f"{value:g}"))


class PanelState:
    """Typed access through the scene's node. Reading creates nothing; what a file holds that makes no sense is ignored.

    tool: one of TOOLS, or "" for none. isLive: prompts are answered at once; else they are collected and run together.
    manyLesions: each click starts a segment of its own. showsChange: what the last step changed is highlighted. axis:
    of propagation. remembersByItself: named segments go into the recall memory when the user goes on.
    """

    tool = _choice("Tool", (*TOOLS, "none"), CLICK)
    positive = _flag("Positive", True)
    brushMm = _number("BrushMm", 4.0, 0.5, 50.0)
    boxDepthMm = _number("BoxDepthMm", 0.0, 0.0, 500.0)
    isLive = _flag("Live", True)
    manyLesions = _flag("ManyLesions")
    showsChange = _flag("ShowsChange")
    axis = _choice("Axis", ("k", "j", "i"), "k")
    direction = _choice("Direction", _BOTH_WAYS, "both")
    stopsAtEnd = _flag("StopsAtEnd", True)
    remembersByItself = _flag("RemembersByItself")

    def __init__(self, scene: SceneState) -> None:
        self.scene = scene

    @property
    def limits(self) -> tuple[int, int] | None:
        """First and last slice to propagate to; None for all."""
        match self._json("Limits"):
            case [int(first), int(last)] if 0 <= first <= last:
                return first, last
        return None

    @limits.setter
    def limits(self, limits: tuple[int, int] | None) -> None:
        self.scene.setParameter("Limits", json.dumps(limits) if limits is not None else "")

    @property
    def history(self) -> tuple[str, ...]:
        """What was typed, oldest first."""
        return self._words("History")

    def addToHistory(self, words: str) -> None:
        kept = [*(earlier for earlier in self.history if earlier != words), words][-_HISTORY:]
        self.scene.setParameter("History", json.dumps(kept))

    @property
    def folded(self) -> tuple[str, ...] | None:
        """Names of the sections that are closed; None where nobody opened or closed one."""
        return self._words("Folded") if self.scene.parameter("Folded") is not None else None

    @folded.setter
    def folded(self, names: Sequence[str]) -> None:
        self.scene.setParameter("Folded", json.dumps(sorted(names)))

    def _words(self, name: str) -> tuple[str, ...]:
        match self._json(name):
            case [*words] if all(isinstance(each, str) for each in words):
                return tuple(words)
        return ()

    def _json(self, name: str) -> object:
        try:
            return json.loads(self.scene.parameter(name) or "null")
        except ValueError:
            return None
