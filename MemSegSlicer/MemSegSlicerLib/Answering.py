"""One answer while it is worked out: how far it is, and its end before its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from memseg.watching import Progress, Watch

Result = TypeVar("Result")
_SOON_SECONDS = 0.3  # an answer that is there by then is not worth watching
_BETWEEN_SECONDS = 0.2


class Answering:
    """`run` is for the worker, the rest for the main thread. progress: None while nothing was told that is worth
    showing. post: as Worker's. changed: called when there is more progress."""

    def __init__(self, post: Callable[[Callable[[], object]], None], changed: Callable[[], None]) -> None:
        self.progress: Progress | None = None
        self._post = post
        self._changed = changed
        self._watch = Watch(self._hear)
        self._nextShown = time.monotonic() + _SOON_SECONDS

    def run(self, job: Callable[[], Result]) -> Result:
        with self._watch.over():
            return job()

    def stop(self) -> None:
        """Before the next thing that the one who answers tells."""
        self._watch.stop()

    def _hear(self, progress: Progress) -> None:
        """In the worker."""
        now = time.monotonic()
        if now >= self._nextShown:
            self._nextShown = now + _BETWEEN_SECONDS
            self._post(partial(self._show, progress))

    def _show(self, progress: Progress) -> None:
        self.progress = progress
        self._changed()
