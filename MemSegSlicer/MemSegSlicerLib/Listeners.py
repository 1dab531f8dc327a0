"""Those who want to know what has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
Told = TypeVar("Told")


class Listeners(Generic[Told]):
    """Told in the order they came in."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Told], None]] = []

    def add(self, listener: Callable[[Told], None]) -> Callable[[], None]:
        """Returns what removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def clear(self) -> None:
        self._listeners.clear()

    def tell(self, told: Told) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(told)
            except Exception:
                log.exception("a listener failed; the others are told all the same")
