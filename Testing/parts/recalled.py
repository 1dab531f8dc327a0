"""Remembered structures made of numbers: for tests of what is kept and found again, where no volume is needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from memseg.memory.recall import RecallEntry


def entry_named(name: str = "left kidney", **changed: Any) -> RecallEntry:
    """A cube of 6 mm under that name; its key and side are what the name says plainly."""
    side, _, rest = name.partition(" ")
    if side not in ("left", "right"):
        side, rest = "", name
    given: dict[str, Any] = {
        "name": name, "key": rest.lower().replace(" ", "_"), "side": side, "modality": "CT", "subject": "someone",
        "keys": np.full((2, 130), 0.5), "values": np.array([[1, 3, 0, 0, 0], [0, -15, 18, 0, 0]]),
        "near_index": np.array([[0, 0, 0], [0, 0, 1]]), "near_keys": np.full((2, 6), 100), "near_spacing_mm": 4.0,
        "mask": np.packbits(np.ones(27, bool)), "mask_shape_kji": (3, 3, 3), "mask_spacing_mm": 2.0,
        "mask_start_mm": (-2.0, -2.0, -2.0), "cut": np.zeros(6, bool), "histograms": np.full((2, 32), 1 / 32),
        "embedding": np.zeros(48), "thumbnail": np.zeros((64, 64)), "size_mm": (6.0, 6.0, 6.0), "volume_ml": 0.216,
        "made": "2026-01-02",
    }  # fmt: skip
    return RecallEntry(**{**given, **changed})


def looking_like(*numbers: float) -> np.ndarray:
    """(48,) an embedding that begins so."""
    return np.pad(np.array(numbers, np.float32), (0, 48 - len(numbers)))


def numbered(number: int) -> str:
    """An identity."""
    return f"{number:032x}"
