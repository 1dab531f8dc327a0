"""BiomedParse whose every slice waits until it is let go, so that tests can look at an answer on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from bright_biomedparse import bright_segmenter, network_of
from fakes import ellipsoid

from memseg import build, catalog
from memseg.segmenters.base import Segmenter

SHAPE, CENTRE = (12, 48, 48), (6, 24, 24)
OBJECT = ellipsoid(SHAPE, CENTRE, (4.2, 12, 12))


def array(truth: np.ndarray = OBJECT, kind: str = "CT") -> np.ndarray:
    """Soft tissue with a bright object and air round it; or values that are neither CT's nor MR's."""
    values = truth.astype(np.float32) * 250 - 50
    if kind == "CT":
        values[:, :4] = -1000
        return values.astype(np.int16)
    return np.where(truth > 0, 80.0, -170.0).astype(np.float32)


class Slow:
    """segmenter: the fake. hold: from now on every slice waits for `let`."""

    def __init__(self) -> None:
        self.segmenter = bright_segmenter()
        self.network = network_of(self.segmenter)
        self._encode = self.network.encode
        self._gate = threading.Semaphore(0)
        self._isHeld = False
        self.network.encode = self._encoded

    @property
    def encoded(self) -> int:
        """Slices so far."""
        return len(self.network.shown)

    def hold(self) -> None:
        self._isHeld = True

    def let(self, count: int = 1) -> None:
        """So many slices go on."""
        self._gate.release(count)

    def let_all(self) -> None:
        self._isHeld = False
        self._gate.release(1000)

    def _encoded(self, slices):
        if self._isHeld:
            assert self._gate.acquire(timeout=30)
        return self._encode(slices)


def installed(monkeypatch: pytest.MonkeyPatch, places: tuple[str, ...], real: Callable[..., Segmenter]) -> Slow:
    """As the model "biomedparse", and as what reads words for models that take none. places: where models are built,
    beside others that `real` builds."""
    slow = Slow()

    def built(name: str | None = None, device: str = "auto", reads: str = "both") -> Segmenter:
        return slow.segmenter if name == "biomedparse" else real(name, device)

    for place in places:
        monkeypatch.setattr(place, built)
    monkeypatch.setattr(catalog, "default_for_text", lambda: "biomedparse")
    return slow


def usual_places() -> tuple[tuple[str, ...], Callable[..., Segmenter]]:
    return ("memseg.session.build", "memseg.talking.build", "memseg.build.build"), build.build
