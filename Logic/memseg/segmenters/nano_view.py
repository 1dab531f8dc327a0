"""The cube of space a nano network looks at: isotropic samples along the volume's own axes, whatever its spacing.

Sample n of an axis lies at centre + (n + 0.5 - edge / 2) * spacing. The volume's axes are at right angles, so sampling
and writing back are one small matrix an axis, and the work depends on the cube and not on the volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..geometry import Box, Grid


@dataclass(frozen=True, eq=False)
class View:
    """centre_kji: continuous voxel coordinates. spacing_mm: between samples. edge: samples along each axis."""

    grid: Grid
    centre_kji: tuple[float, float, float]
    spacing_mm: float
    edge: int

    @classmethod
    def around(cls, grid: Grid, centre_kji: np.ndarray, spacing_mm: float, edge: int) -> View:
        """The centre moved by at most an eighth of the view onto a lattice, so that nearby views are the same one."""
        step = edge / 8 * spacing_mm / np.asarray(grid.spacing_kji_mm)
        snapped = np.floor(np.asarray(centre_kji, dtype=float) / step + 0.5) * step
        return cls(grid, tuple(float(value) for value in snapped), float(spacing_mm), edge)

    @property
    def key(self) -> tuple[float, ...]:
        """Equal for views of one volume that see the same."""
        return (*self.centre_kji, self.spacing_mm)

    @cached_property
    def step_kji(self) -> np.ndarray:
        """Voxels from one sample to the next."""
        return self.spacing_mm / np.asarray(self.grid.spacing_kji_mm)

    @cached_property
    def first_kji(self) -> np.ndarray:
        """Voxel coordinates of sample (0, 0, 0)."""
        return np.asarray(self.centre_kji) + (0.5 - self.edge / 2) * self.step_kji

    @cached_property
    def box(self) -> Box:
        """The voxels whose centres lie in the cube; empty where it lies beside the volume."""
        start = np.ceil(self.first_kji - self.step_kji / 2 - 1e-9)
        stop = np.floor(self.first_kji + (self.edge - 0.5) * self.step_kji + 1e-9) + 1
        return Box(tuple(start), tuple(stop)).clipped(self.grid.shape_kji)

    @cached_property
    def inside(self) -> np.ndarray:
        """Bool (edge, edge, edge): samples within the volume."""
        axes = []
        for axis, size in enumerate(self.grid.shape_kji):
            place = self.first_kji[axis] + np.arange(self.edge) * self.step_kji[axis]
            axes.append((place >= -0.5) & (place <= size - 0.5))
        return axes[0][:, None, None] & axes[1][None, :, None] & axes[2][None, None, :]

    def relative(self, points_kji: np.ndarray) -> np.ndarray:
        """(..., 3) voxel coordinates to -1 to 1, float32."""
        offset = np.asarray(points_kji, dtype=float) - np.asarray(self.centre_kji)
        return (offset / (self.edge / 2 * self.step_kji)).astype(np.float32)

    def sample(self, array_kji: np.ndarray, origin_kji: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
        """Float32 (edge, edge, edge) of an array whose first voxel is the volume's voxel `origin_kji`: linear between
        voxels closer than two samples, means over the voxels a sample spans otherwise; edge values beyond the array."""
        weights, pieces = [], []
        for axis in range(3):
            piece, matrix = self._axis_weights(axis, origin_kji[axis], array_kji.shape[axis])
            pieces.append(piece)
            weights.append(matrix)
        crop = np.asarray(array_kji[tuple(pieces)], dtype=np.float32)
        crop = np.tensordot(weights[0], crop, axes=(1, 0))
        return np.ascontiguousarray(np.matmul(np.matmul(weights[1], crop), weights[2].T))

    def _axis_weights(self, axis: int, origin: int, size: int) -> tuple[slice, np.ndarray]:
        """Which voxels of an axis are read, and (edge, voxels) float32 what each counts for each sample."""
        step = float(self.step_kji[axis])
        places = np.clip(self.first_kji[axis] + np.arange(self.edge) * step - origin, 0, size - 1)
        stride = max(1, int(np.floor(step / 2 + 0.5)))
        reach = max(step / 2, 1.0)
        low, high = max(0, int(np.floor(places[0] - reach))), min(size, int(np.ceil(places[-1] + reach)) + 1)
        voxels = np.arange(low, high, stride)
        if step <= 1:
            matrix = np.clip(1 - np.abs(voxels - places[:, None]), 0, None)
        else:
            right = np.minimum(voxels + stride / 2, places[:, None] + step / 2)
            left = np.maximum(voxels - stride / 2, places[:, None] - step / 2)
            matrix = np.clip(right - left, 0, None)
        return slice(low, high, stride), (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)

    def written(self, samples: np.ndarray, box: Box) -> np.ndarray:
        """Float32 of the box's shape: (edge, edge, edge) samples interpolated linearly at the voxels of a box."""
        return self._interpolated(samples, [np.arange(start, stop) for start, stop in zip(box.start_kji, box.stop_kji)])

    def seen_by(self, other: View, samples: np.ndarray) -> np.ndarray:
        """Float32 (edge, edge, edge): samples of this view, linearly at those of another; edge values beyond it."""
        places = [first + np.arange(other.edge) * step for first, step in zip(other.first_kji, other.step_kji)]
        return self._interpolated(samples, places)

    def _interpolated(self, samples: np.ndarray, voxels: list[np.ndarray]) -> np.ndarray:
        """At the voxel coordinates given for each axis."""
        result = np.asarray(samples, dtype=np.float32)
        for axis, wanted in enumerate(voxels):
            place = (wanted - self.first_kji[axis]) / self.step_kji[axis]
            place = np.clip(place, 0, self.edge - 1)
            matrix = np.clip(1 - np.abs(place[:, None] - np.arange(self.edge)), 0, None).astype(np.float32)
            result = np.moveaxis(np.tensordot(matrix, result, axes=(1, axis)), 0, axis)
        return np.ascontiguousarray(result)

    def native_box(self, mask: np.ndarray) -> Box:
        """The voxels within one sample of those set in (edge, edge, edge); empty where none is set."""
        tight = Box.of_mask(mask)
        if tight.is_empty:
            return Box.empty()
        low = self.first_kji + (np.asarray(tight.start_kji) - 1) * self.step_kji
        high = self.first_kji + np.asarray(tight.stop_kji) * self.step_kji
        return Box(tuple(np.floor(low)), tuple(np.ceil(high) + 1)).intersection(self.box)

    def border_samples(self, mask: np.ndarray) -> int:
        """How many set samples lie on faces of the cube beyond which the volume goes on."""
        total = 0
        for axis, size in enumerate(self.grid.shape_kji):
            ends = self.first_kji[axis] + np.array([-1, self.edge]) * self.step_kji[axis]
            for index, goes_on in ((0, ends[0] > 0), (-1, ends[1] < size - 1)):
                if goes_on:
                    total += int(np.count_nonzero(np.take(mask, index, axis=axis)))
        return total


def extent_of_mask(mask_kji: np.ndarray, near: Box, margin_kji: np.ndarray) -> Box:
    """Bounding box of the mask, found by widening `near` until none of its faces cuts the mask: flat in the volume's
    size.

    Pieces of the mask that no widening meets are not seen. Empty where nothing is set nearby.
    """
    box = near.grown(margin_kji).clipped(mask_kji.shape)
    while True:
        crop = mask_kji[box.slices]
        start, stop = list(box.start_kji), list(box.stop_kji)
        for axis, size in enumerate(mask_kji.shape):
            widening = max(8, box.shape_kji[axis] // 2)
            if start[axis] > 0 and np.take(crop, 0, axis=axis).any():
                start[axis] = max(0, start[axis] - widening)
            if stop[axis] < size and np.take(crop, -1, axis=axis).any():
                stop[axis] = min(size, stop[axis] + widening)
        wider = Box(tuple(start), tuple(stop))
        if wider == box:
            tight = Box.of_mask(crop)
            return tight if tight.is_empty else tight.shifted(box.start_kji)
        box = wider
