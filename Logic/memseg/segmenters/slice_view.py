"""The square window through which the slice network looks at a slice. Places are mm in the plane: index times spacing,
so that voxel centres lie at whole multiples; rows first, then columns."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

_ZOOM = 2.0  # a window's edge over the object's extent
_FINEST = 0.25  # sample spacing over the plane's finer voxel spacing
_STEPS = 4  # window edges between one size and its double


@dataclass(frozen=True)
class PlaneWindow:
    """middle_mm: row and column of its middle. edge_mm: its length along both. samples: along both."""

    middle_mm: tuple[float, float]
    edge_mm: float
    samples: int

    @classmethod
    def around(cls, mask: np.ndarray, spacing_mm: tuple[float, float], samples: int) -> PlaneWindow:
        """Twice as large as the object of a mask (rows, columns), round it. Sizes and places are of a ladder and a
        lattice, so that neighbouring slices and other objects at the place share a window. ValueError for an empty
        mask."""
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            raise ValueError("A window is round a mask that is not empty.")
        ends = np.array([[rows[0], rows[-1] + 1], [columns[0], columns[-1] + 1]]) * np.array(spacing_mm)[:, None]
        extent = float((ends[:, 1] - ends[:, 0]).max())
        smallest = _FINEST * min(spacing_mm) * samples
        edge = smallest * 2 ** (max(0, ceil(_STEPS * log2(_ZOOM * extent / smallest) - 0.5)) / _STEPS)
        lattice = edge / 16
        middle = ends.mean(axis=1) - np.array(spacing_mm) / 2
        return cls(tuple(float(round(place / lattice) * lattice) for place in middle), edge, samples)

    @property
    def sample_mm(self) -> float:
        return self.edge_mm / self.samples

    def read(self, planes: np.ndarray, spacing_mm: tuple[float, float]) -> Tensor:
        """(N, rows, columns) -> (N, samples, samples) float32, averaged over as many voxels as a sample spans; beyond
        the plane its border goes on."""
        size = np.array(spacing_mm)
        span = np.maximum(1, np.round(self.sample_mm / size)).astype(int) | 1
        low = np.floor((np.array(self.middle_mm) - self.edge_mm / 2) / size).astype(int) - span
        high = np.ceil((np.array(self.middle_mm) + self.edge_mm / 2) / size).astype(int) + span + 1
        shape = np.array(planes.shape[1:])
        low, high = np.clip(low, 0, shape - 1), np.clip(high, 1, shape)
        crop = planes[:, low[0] : high[0], low[1] : high[1]].astype(np.float32)
        for axis in (0, 1):
            crop = _averaged(crop, int(span[axis]), axis + 1)
        crop = torch.from_numpy(crop)[None]
        grid = self._grid(low, np.array(crop.shape[2:]), size)
        return functional.grid_sample(crop, grid, padding_mode="border", align_corners=False)[0]

    def inside(self, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> Tensor:
        """(samples, samples) bool: where the plane has voxels."""
        grid = self._grid(np.zeros(2), np.array(shape), np.array(spacing_mm))
        return (grid[0].abs() <= 1).all(dim=-1)

    def _grid(self, low: np.ndarray, shape: np.ndarray, size: np.ndarray) -> Tensor:
        """(1, samples, samples, 2): where the samples lie in a crop that begins at voxel `low`, as grid_sample
        counts."""
        steps = (np.arange(self.samples) + 0.5) * self.sample_mm - self.edge_mm / 2
        places = [
            ((self.middle_mm[axis] + steps) / size[axis] - low[axis] + 0.5) * 2 / shape[axis] - 1 for axis in (0, 1)
        ]
        rows, columns = (torch.from_numpy(place).float() for place in places)
        return torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], dim=-1)[None]

    def write(self, values: Tensor, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> np.ndarray:
        """(samples, samples) -> the part of a plane (rows, columns) the window covers, float32; and its place: low row,
        low column."""
        size = np.array(spacing_mm)
        low = np.ceil((np.array(self.middle_mm) - self.edge_mm / 2) / size).astype(int).clip(0)
        high = (np.floor((np.array(self.middle_mm) + self.edge_mm / 2) / size).astype(int) + 1).clip(0, shape)
        places = [
            (torch.arange(int(low[axis]), int(high[axis])) * size[axis] - self.middle_mm[axis]) * 2 / self.edge_mm
            for axis in (0, 1)
        ]
        grid = torch.stack(torch.meshgrid(*(place.float() for place in places), indexing="ij")[::-1], dim=-1)
        found = functional.grid_sample(values[None, None], grid[None], padding_mode="border", align_corners=False)
        return found[0, 0].numpy(), (int(low[0]), int(low[1]))


def _averaged(planes: np.ndarray, span: int, axis: int) -> np.ndarray:
    """Each value the mean of an odd number of values along the axis; beyond an end the last value goes on. Sums of
    shifted arrays: five times as fast as SciPy's running one for the few values that a sample spans."""
    if span == 1:
        return planes
    count, half = planes.shape[axis], span // 2
    padded = np.pad(planes, [(half, half) if each == axis else (0, 0) for each in range(planes.ndim)], mode="edge")
    before = (slice(None),) * axis
    total = padded[(*before, slice(0, count))].copy()
    for shift in range(1, span):
        total += padded[(*before, slice(shift, shift + count))]
    return total / np.float32(span)
