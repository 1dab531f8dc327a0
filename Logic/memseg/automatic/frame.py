"""From a volume's own voxels to the samples that a network sees, along S, A and R, and back.

Samples are as large as the plan says, rounded so that whole ones fill the volume; an oblique volume stays oblique.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometry import Box, Grid
from ..segmenters.canonical import Canonical

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Frame:
    """fine_sar: the volume's voxels, turned. coarse_sar: the network's samples."""

    canonical: Canonical
    fine_sar: Shape
    coarse_sar: Shape

    @classmethod
    def of(cls, grid: Grid, spacing_sar_mm: tuple[float, float, float]) -> Frame:
        canonical = Canonical.of(grid)
        fine, steps = shape_sar(grid), spacing_of(grid)
        coarse = tuple(max(1, round(side * step / wanted)) for side, step, wanted in zip(fine, steps, spacing_sar_mm))
        return cls(canonical, fine, coarse)

    def image(self, array_kji: np.ndarray) -> np.ndarray:
        """float32 samples."""
        return resized(self._turned(array_kji), self.coarse_sar)

    def labels(self, array_kji: np.ndarray) -> np.ndarray:
        """uint8 classes of the samples."""
        return resized_labels(self._turned(array_kji), self.coarse_sar)

    def returned(self, labels_sar: np.ndarray) -> np.ndarray:
        """uint8 classes of the samples -> of the volume's voxels (K, J, I)."""
        return self.canonical.returned(resized_labels(labels_sar, self.fine_sar).transpose(2, 1, 0))

    def _turned(self, array_kji: np.ndarray) -> np.ndarray:
        return self.canonical.turned(array_kji).transpose(2, 1, 0)


def shape_sar(grid: Grid) -> Shape:
    """Voxels along the volume's axes nearest to S, A and R."""
    return tuple(grid.shape_kji[axis] for axis in reversed(Canonical.of(grid).axes))


def spacing_of(grid: Grid) -> tuple[float, float, float]:
    """Mm along the volume's axes nearest to S, A and R."""
    return tuple(grid.spacing_kji_mm[axis] for axis in reversed(Canonical.of(grid).axes))


def resized(array: np.ndarray, shape: Shape) -> np.ndarray:
    """float32, the same field of view in other samples: smoothed before it gets coarser, linear in between."""
    if array.shape == shape:
        return np.ascontiguousarray(array, np.float32)
    factors = [old / new for old, new in zip(array.shape, shape)]
    smooth = _smoothed(np.asarray(array, np.float32), factors)
    first = [0.5 * factor - 0.5 for factor in factors]
    return ndimage.affine_transform(smooth, factors, first, shape, order=1, mode="nearest", output=np.float32)


def resized_labels(labels: np.ndarray, shape: Shape) -> np.ndarray:
    """uint8: the class that fills most of each new sample; borders stay smooth where it gets finer."""
    if labels.shape == shape:
        return np.ascontiguousarray(labels, np.uint8)
    classes = np.zeros(shape, np.uint8)
    best, total = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for number, found in enumerate(ndimage.find_objects(labels), start=1):
        if found is None:
            continue
        box, share = _share(labels, number, found, shape)
        wins = share > best[box.slices]
        classes[box.slices][wins] = number
        np.maximum(best[box.slices], share, out=best[box.slices])
        total[box.slices] += share
    classes[best <= 1 - total] = 0
    return classes


def _share(labels: np.ndarray, number: int, found: tuple[slice, ...], shape: Shape) -> tuple[Box, np.ndarray]:
    """How much of each new sample is of that class, and the box of new samples that can be."""
    factors = np.divide(labels.shape, shape)
    margin = np.ceil(2 * np.maximum(factors - 1, 0)).astype(int) + 1  # four deviations of the smoothing
    around = Box(tuple(part.start for part in found), tuple(part.stop for part in found))
    around = around.grown(margin).clipped(labels.shape)
    low = np.floor((np.array(around.start_kji) - 0.5) / factors - 0.5).astype(int)
    high = np.ceil((np.array(around.stop_kji) + 0.5) / factors - 0.5).astype(int) + 1
    box = Box(tuple(low), tuple(high)).clipped(shape)
    crop = _smoothed((labels[around.slices] == number).astype(np.float32), factors)
    first = (np.array(box.start_kji) + 0.5) * factors - 0.5 - around.start_kji
    share = ndimage.affine_transform(crop, factors, first, box.shape_kji, order=1, mode="nearest", output=np.float32)
    return box, share


def _smoothed(array: np.ndarray, factors: list[float] | np.ndarray) -> np.ndarray:
    """Blurred by half of what the samples grow by, as is usual against aliasing."""
    deviations = [max(0.0, (factor - 1) / 2) for factor in factors]
    return ndimage.gaussian_filter(array, deviations, mode="nearest") if max(deviations) > 0.1 else array
