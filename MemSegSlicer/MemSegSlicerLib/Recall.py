"""The user's recall memory as all sessions share it: read once, and kept up with what is done to it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from memseg.errors import FileError
from memseg.memory.recall import RecallEntry, RecallMemory, checked_name
from memseg.memory.recall_files import RecallFolder, default_folder, starter
from memseg.text.naming import key_of


class Recall:
    """What ships with the program, and the user's own in the folder where `memseg` keeps it.

    May be called from any thread. `memory` and all that changes it read or write files, and wait for another thread
    that does; they raise FileError where those cannot be written, and PromptError for a name that is none. Nothing has
    changed then.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._shipped = RecallMemory()
        self._own: RecallMemory | None = None  # until it is read
        self._whole = RecallMemory()
        self._problems: tuple[str, ...] = ()
        self._names: tuple[str, ...] = ()

    @property
    def known(self) -> RecallMemory:
        """As far as it was read; empty before."""
        return self._whole

    @property
    def names(self) -> tuple[str, ...]:
        """Titles of what is remembered, sorted; none before the memory was first read."""
        return self._names

    @property
    def problems(self) -> tuple[str, ...]:
        """Of reading it, a sentence each."""
        return self._problems

    def memory(self) -> RecallMemory:
        with self._lock:
            return self._whole if self._own is not None else self.readAgain()

    def readAgain(self) -> RecallMemory:
        """Also what other programs did to it meanwhile."""
        with self._lock:
            self._shipped = starter()
            own, self._problems = self._folder().read()
            self._take(own)
            return self._whole

    def isOwn(self, identity: str) -> bool:
        """Whether the user can rename and delete it, as it did not come with the program, as far as was read."""
        return self._own is not None and self._own.get(identity) is not None

    def took(self, entry: RecallEntry) -> None:
        """A session has put an entry into the folder."""
        with self._lock:
            self.memory()
            self._take(self._own.with_(entry))

    def rename(self, identity: str, name: str) -> None:
        with self._lock:
            self._checkOwn(identity)
            name = checked_name(name)
            key, side = key_of(name)
            self._folder().rename(identity, name, key, side)
            self._take(self._own.renamed(identity, name, key, side))

    def remove(self, identity: str) -> None:
        with self._lock:
            self._checkOwn(identity)
            self._folder().remove(identity)
            self._take(self._own.without(identity))

    def exportTo(self, path: Path, identities: Iterable[str]) -> None:
        """Of the user's own."""
        with self._lock:
            self._folder().export(identities, path)

    def importFrom(self, path: Path) -> tuple[int, tuple[str, ...]]:
        """Returns how many entries are new, and a sentence on each that was left out."""
        with self._lock:
            self.memory()
            added, left = self._folder().import_(path)
            self._take(self._own.with_(*added.entries))
            return len(added), left

    def _folder(self) -> RecallFolder:
        return RecallFolder(default_folder())

    def _take(self, own: RecallMemory) -> None:
        self._own, self._whole = own, self._shipped.with_(*own.entries)
        self._names = self._whole.names()

    def _checkOwn(self, identity: str) -> None:
        self.memory()
        if not self.isOwn(identity):
            raise FileError("This entry comes with the program, or is gone already; it cannot be changed.")
