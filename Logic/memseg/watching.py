"""Answers that take their time: whoever works one out tells how far it is, and whoever waits for it may stop it.

A watch is over what its thread does, so that a segmenter is not handed one, and one that answers at once need not know
of this at all. One that takes seconds says before each part of its work what comes (`tell`); there it also ends, where
nobody wants the answer any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Event

from .errors import StoppedError

_STOPPED = "Stopped, and nothing was changed."


@dataclass(frozen=True)
class Progress:
    """words: what is being done, such as "slice 12 of 90". fraction: of the work that is behind, 0 to 1; None where
    nobody can tell."""

    words: str
    fraction: float | None = None

    def __post_init__(self) -> None:
        if not self.words or (self.fraction is not None and not 0 <= self.fraction <= 1):
            raise ValueError("Progress is told in words, and its fraction lies between 0 and 1.")


class Watch:
    """Over one answer. told: gets what is told, on the thread that works; None: nobody listens."""

    def __init__(self, told: Callable[[Progress], object] | None = None) -> None:
        self._told = told
        self._stopped = Event()

    def stop(self) -> None:
        """From any thread: end the work at the next thing that it tells."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    @contextmanager
    def over(self) -> Iterator[Watch]:
        """What this thread does inside is watched by this watch alone."""
        before = _present.set(self)
        try:
            yield self
        finally:
            _present.reset(before)

    def hear(self, progress: Progress) -> None:
        """Raises StoppedError where the work is to end."""
        if self.is_stopped:
            raise StoppedError(_STOPPED)
        if self._told is not None:
            self._told(progress)


_present: ContextVar[Watch | None] = ContextVar("memseg_watch", default=None)


def tell(words: str, fraction: float | None = None) -> None:
    """What is done next, for whoever watches. Raises StoppedError where that one has had enough; nothing where nobody
    does."""
    watch = _present.get()
    if watch is not None:
        watch.hear(Progress(words, fraction))
