"""The order of axes in which published networks were shown volumes: along right, anterior and superior.

A volume's own axes, whatever their order and direction, are taken for the nearest ones of the world; an oblique volume
stays oblique, as TorchIO's and NiBabel's canonical orientation have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from ..geometry import Grid


@dataclass(frozen=True)
class Canonical:
    """axes: which of the volume's axes (0 k, 1 j, 2 i) runs along R, along A and along S. flipped: which of these three
    run against it."""

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    @classmethod
    def of(cls, grid: Grid) -> Canonical:
        steps = grid.ras_from_kji(np.eye(3)) - grid.ras_from_kji(np.zeros(3))  # rows k, j, i; columns R, A, S
        along = steps / np.linalg.norm(steps, axis=1, keepdims=True)
        axes = max(permutations(range(3)), key=lambda order: sum(abs(along[axis, to]) for to, axis in enumerate(order)))
        return cls(axes, tuple(bool(along[axis, to] < 0) for to, axis in enumerate(axes)))

    def turned(self, array_kji: np.ndarray) -> np.ndarray:
        """(k, j, i) -> (R, A, S), a view."""
        return np.flip(np.transpose(array_kji, self.axes), self._against)

    def returned(self, array_ras: np.ndarray) -> np.ndarray:
        """(R, A, S) -> (k, j, i), a view; the inverse of `turned`."""
        return np.transpose(np.flip(array_ras, self._against), np.argsort(self.axes))

    def points(self, points_kji: np.ndarray, edge: int) -> np.ndarray:
        """(N, 3) indices in a cube of that edge, before and after it is turned."""
        turned = np.asarray(points_kji, float)[:, self.axes]
        return np.where(self.flipped, edge - 1 - turned, turned)

    @property
    def _against(self) -> tuple[int, ...]:
        return tuple(axis for axis, against in enumerate(self.flipped) if against)
