"""The part of a volume in which a mask may change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Box
from .volume import MaskChange

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Guard:
    """A box that may be turned against the voxels; outside it nothing changes.

    unit_from_kji: three rows of four numbers, the rows' own coordinates of a voxel (k, j, i, 1); it is inside where all
    three are -1 to 1.
    """

    unit_from_kji: tuple[tuple[float, float, float, float], ...]

    def __post_init__(self) -> None:
        rows = np.asarray(self.unit_from_kji, dtype=np.float64)
        if rows.shape != (3, 4) or not np.isfinite(rows).all():
            raise ValueError("A guard is three rows of four numbers.")
        object.__setattr__(self, "unit_from_kji", tuple(map(tuple, rows.tolist())))

    def inside(self, box: Box) -> np.ndarray:
        """Bool of the box's shape."""
        held = np.ones(box.shape_kji, bool)
        axes = [np.arange(start, stop, dtype=np.float64) for start, stop in zip(box.start_kji, box.stop_kji)]
        for *steps, shift in self.unit_from_kji:
            k, j, i = (step * axis for step, axis in zip(steps, axes))
            held &= np.abs(k[:, None, None] + j[:, None] + i + shift) <= 1 + _ROUNDING
        return held

    def kept(self, mask_kji: np.ndarray, box: Box, after: np.ndarray) -> np.ndarray:
        """The crop `after` at `box`, with the voxels outside the guard as they are in the mask."""
        return np.where(self.inside(box), after, mask_kji[box.slices])

    def limited(self, change: MaskChange) -> MaskChange:
        """What of a change is inside."""
        after = np.where(self.inside(change.box), change.after, change.before)
        tight = Box.of_mask(after != change.before)
        return MaskChange(tight.shifted(change.box.start_kji), change.before[tight.slices], after[tight.slices])
