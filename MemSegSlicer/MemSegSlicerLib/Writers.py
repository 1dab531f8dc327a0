"""Who puts what a session changed into the segment: the scene bridge, or an editor that has rules of its own."""

from __future__ import annotations

from typing import Protocol

from .Record import Action
from .SessionJob import Outcome


class Writer(Protocol):
    """editsWin: an answer is dropped where the segment was edited while it was being found, and the session goes back
    to where it was; else the answer is added to the edit."""

    editsWin: bool

    def write(self, action: Action, outcome: Outcome) -> bool:
        """Returns whether the segment took all of the change, which may be that of no voxel. Raises MemSegError, before
        anything has been written, where the scene forbids it."""


class SceneWriter:
    """Writes voxels in place; the rest of the scene keeps out of the way."""

    editsWin = False

    def write(self, action: Action, outcome: Outcome) -> bool:
        if not outcome.change.is_empty:
            action.record.target.write(outcome.change)
            action.record.surfaceIsOld = True
        return True
