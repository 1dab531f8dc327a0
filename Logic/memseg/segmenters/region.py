"""The region a segmenter looks at: a box of the volume, seen on a coarser working grid where it is large."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..geometry import Box, Grid


@dataclass(frozen=True, eq=False)
class Region:
    """A native box inside the volume and how many native voxels make one working voxel along each axis.

    Working voxel n of an axis holds the native voxels start + n * factor to start + (n + 1) * factor - 1; the last one
    may hold fewer.
    """

    grid: Grid
    box: Box
    factor_kji: tuple[int, int, int]

    @classmethod
    def covering(cls, grid: Grid, box: Box, most_voxels: int) -> Region:
        """The box, clipped to the volume, on the finest near-isotropic working grid of at most `most_voxels` voxels."""
        box = box.clipped(grid.shape_kji)
        native = np.asarray(grid.spacing_kji_mm)
        shape = np.asarray(box.shape_kji)
        target_mm = native.min()
        factor = np.ones(3, int)
        while np.prod(-(-shape // factor)) > most_voxels:
            target_mm *= 1.1
            factor = np.clip(np.floor(target_mm / native + 0.5).astype(int), 1, None)
        return cls(grid, box, tuple(int(value) for value in factor))

    @cached_property
    def shape_kji(self) -> tuple[int, int, int]:
        """Of the working grid."""
        return tuple(-(-size // factor) for size, factor in zip(self.box.shape_kji, self.factor_kji))

    @cached_property
    def spacing_kji_mm(self) -> tuple[float, float, float]:
        """Of the working grid."""
        return tuple(size * factor for size, factor in zip(self.grid.spacing_kji_mm, self.factor_kji))

    @property
    def voxel_mm3(self) -> float:
        return float(np.prod(self.spacing_kji_mm))

    def working(self, points_kji: np.ndarray) -> np.ndarray:
        """(N, 3) native voxel indices to working indices; points outside the box are dropped."""
        points = np.asarray(points_kji).reshape(-1, 3)
        inside = np.all((points >= self.box.start_kji) & (points < self.box.stop_kji), axis=1)
        return (points[inside] - self.box.start_kji) // self.factor_kji

    def sample(self, array_kji: np.ndarray) -> np.ndarray:
        """Float32 means of a full-size native array over the working voxels (over every second voxel of large ones)."""
        stride = tuple(max(1, factor // 2) for factor in self.factor_kji)
        crop = array_kji[tuple(slice(part.start, part.stop, step) for part, step in zip(self.box.slices, stride))]
        crop = np.asarray(crop, dtype=np.float32)
        for axis, factor in enumerate(self.factor_kji):
            if factor > 1:
                starts = np.arange(self.shape_kji[axis]) * factor
                low = np.minimum(-(-starts // stride[axis]), crop.shape[axis] - 1)  # a last block may hold no sample
                counts = np.diff(np.r_[low, crop.shape[axis]])
                sums = np.add.reduceat(crop, low, axis=axis)
                crop = sums / counts.reshape([-1 if other == axis else 1 for other in range(3)]).astype(np.float32)
        return crop

    def expanded(self, values: np.ndarray, box: Box) -> np.ndarray:
        """Float32 values of the working grid, interpolated linearly at the native voxels of a box in the region."""
        within = box.relative_to(self.box)
        result = np.asarray(values, dtype=np.float32)
        for axis, (factor, low, high) in enumerate(zip(self.factor_kji, within.start_kji, within.stop_kji)):
            if factor == 1:
                result = result[(slice(None),) * axis + (slice(low, high),)]
                continue
            weights = _linear_weights(self.shape_kji[axis], factor, low, high)
            result = np.moveaxis(np.tensordot(weights, result, axes=(1, axis)), 0, axis)
        return np.ascontiguousarray(result)

    def native_box(self, mask: np.ndarray) -> Box:
        """Bounding box, in the volume, of a working mask that is not empty and one working voxel round it."""
        tight = Box.of_mask(mask).grown(1)
        start, stop, factor = (np.asarray(each) for each in (tight.start_kji, tight.stop_kji, self.factor_kji))
        return Box(tuple(start * factor), tuple(stop * factor)).shifted(self.box.start_kji).intersection(self.box)

    def touches_inner_border(self, mask: np.ndarray) -> np.ndarray:
        """(3, 2) bool: whether a working mask reaches the region's low and high faces that are not the volume's own."""
        touches = np.zeros((3, 2), bool)
        for axis in range(3):
            for side, index in enumerate((0, -1)):
                at_edge = (self.box.start_kji[axis] == 0, self.box.stop_kji[axis] == self.grid.shape_kji[axis])[side]
                touches[axis, side] = not at_edge and bool(np.take(mask, index, axis=axis).any())
        return touches


def _linear_weights(count: int, factor: int, low: int, high: int) -> np.ndarray:
    """(high - low, count) float32: linear interpolation from the centres of working voxels to native voxels."""
    position = np.clip((np.arange(low, high) + 0.5) / factor - 0.5, 0, count - 1)
    left = np.minimum(np.floor(position).astype(int), max(count - 2, 0))
    share = (position - left).astype(np.float32)
    weights = np.zeros((high - low, count), np.float32)
    rows = np.arange(high - low)
    weights[rows, left] = 1 - share
    weights[rows, np.minimum(left + 1, count - 1)] += share
    return weights
