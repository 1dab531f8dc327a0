"""What slice memory keeps of one segmented slice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..geometry import AXES


@dataclass(frozen=True, eq=False)
class SliceFeatures:
    """A plane as a segmenter remembers it.

    keys: of the image alone. values: of image and mask. Both (C, h, w) float16, read-only copies, of one shape for all
    slices of a segmenter. window_mm: the square that was looked at: row and column of its centre, and its edge.
    """

    keys: np.ndarray
    values: np.ndarray
    window_mm: tuple[float, float, float]

    def __post_init__(self) -> None:
        for name in ("keys", "values"):
            array = np.array(getattr(self, name), dtype=np.float16)
            if array.ndim != 3 or not array.size or not np.isfinite(array).all():
                raise ValueError(f"The {name} of a slice are (C, h, w) numbers.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        window = tuple(float(value) for value in self.window_mm)
        if len(window) != 3 or not np.isfinite(window).all() or window[2] <= 0:
            raise ValueError("A slice's window has a centre row, a centre column and an edge.")
        object.__setattr__(self, "window_mm", window)

    @cached_property
    def key_direction(self) -> np.ndarray:
        """(C * h * w,) float32, the keys as one vector of length 1."""
        return _direction(self.keys)

    @cached_property
    def value_direction(self) -> np.ndarray:
        """(C * h * w,) float32, the values as one vector of length 1."""
        return _direction(self.values)

    @property
    def size_bytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes


@dataclass(frozen=True, eq=False)
class SliceEntry:
    """One remembered slice.

    place_mm: where it lies along its axis. model: the segmenter that made the features. confidence: 0 to 1, the Dice
    its mask was expected to have. prominence: above 0, how much it counts beside the others. agreed: its mask is the
    user's; pinned: the user keeps it; reference: a propagation began there. Such entries never leave by themselves.
    """

    axis: str
    index: int
    place_mm: float
    model: str
    features: SliceFeatures
    confidence: float = 1.0
    prominence: float = 1.0
    agreed: bool = False
    pinned: bool = False
    reference: bool = False

    def __post_init__(self) -> None:
        if self.axis not in AXES or self.index < 0 or not np.isfinite(self.place_mm):
            raise ValueError("A remembered slice lies on an axis k, j or i, at an index from 0.")
        if not 0 <= self.confidence <= 1 or not 0 < self.prominence <= 100:
            raise ValueError("A remembered slice has a confidence of 0 to 1 and a prominence above 0.")
        kinds = {"index": int, "place_mm": float, "confidence": float, "prominence": float}
        for name, kind in {**kinds, "agreed": bool, "pinned": bool, "reference": bool}.items():
            object.__setattr__(self, name, kind(getattr(self, name)))

    @property
    def key(self) -> tuple[str, int]:
        return (self.axis, self.index)

    @property
    def stays(self) -> bool:
        return self.agreed or self.pinned or self.reference


def _direction(array: np.ndarray) -> np.ndarray:
    flat = array.astype(np.float32).ravel()
    return flat / max(float(np.linalg.norm(flat)), 1e-12)
