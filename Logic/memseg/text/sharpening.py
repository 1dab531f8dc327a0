"""The outline of a recalled structure, drawn to where the volume's intensities change from the structure's to its
surroundings': the remembered shape says roughly where, remembered and present intensities say exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from ..geometry import Box
from ..memory.recall import BINS
from ..volume import Volume
from .places import Landscape, interpolated
from .remembering import appearance

STRENGTH = 1.0  # how much intensities count beside the shape, whose log odds change by 1 every few mm
REMEMBERED = 0.7  # the remembered histograms' part, beside those of the volume itself
ROUNDS = 2
_SMOOTH_MM = 1.5
_MOST_ODDS = 2.5  # no intensity says more than that
_MOST_VOXELS = 1_500_000
_SMALLEST_PIECE = 0.2  # of the largest; smaller ones are dropped


@dataclass(frozen=True, eq=False)
class Looks:
    """How the voxels of a box look. values: float32, 0 to 1, of every step-th voxel along each axis. spacing_mm: of
    these, along k, j, i."""

    values: np.ndarray
    step: int
    spacing_mm: np.ndarray

    @classmethod
    def of(cls, volume: Volume, box: Box, seen: Landscape) -> Looks:
        step = max(1, int(np.ceil(np.cbrt(box.size / _MOST_VOXELS))))
        values = appearance(seen.normalise(volume.array_kji[box.slices][_thinned(step)]))
        return cls(values, step, np.asarray(volume.grid.spacing_kji_mm) * step)

    @cached_property
    def bins(self) -> np.ndarray:
        """intp, 0 to BINS - 1."""
        return np.minimum((self.values * BINS).astype(np.intp), BINS - 1)

    def histogram(self, inside: np.ndarray) -> np.ndarray:
        """(BINS,) float, sum 1, of the voxels in a bool crop of the box; zeros where there are none."""
        counts = np.bincount(self.bins[inside[_thinned(self.step)]], minlength=BINS)
        return counts / max(counts.sum(), 1)


def sharpen(looks: Looks, probability: np.ndarray, remembered: np.ndarray) -> np.ndarray:
    """(k, j, i) float32 crop: the shape's probability, changed by what the voxels look like. remembered: (2, BINS) how
    often intensities occur inside and close outside."""
    odds = _log_odds(probability[_thinned(looks.step)])
    now, extra = odds, np.zeros_like(odds)
    for _ in range(ROUNDS):
        table = _table(looks.bins, 1 / (1 + np.exp(-now)), remembered)
        extra = ndimage.gaussian_filter(table[looks.bins], _SMOOTH_MM / looks.spacing_mm, mode="nearest")
        extra *= np.float32(STRENGTH)
        now = odds + extra
    if looks.step > 1:
        for axis, size in enumerate(probability.shape):
            extra = interpolated(extra, np.arange(size) / looks.step, axis)
    whole = 1 / (1 + np.exp(-(_log_odds(probability) + extra)))
    return _tidied(whole.astype(np.float32))


def _thinned(step: int) -> tuple[slice, slice, slice]:
    return (slice(None, None, step),) * 3


def _log_odds(probability: np.ndarray) -> np.ndarray:
    held = np.clip(probability, 0.005, 0.995)
    return np.log(held / (1 - held)).astype(np.float32)


def _table(bins: np.ndarray, probability: np.ndarray, remembered: np.ndarray) -> np.ndarray:
    """(BINS,) float32 log odds that a voxel of that appearance is inside."""
    inside, round_it = probability > 0.6, (probability < 0.4) & (probability > 0.01)
    parts = []
    for where, before in zip((inside, round_it), remembered):
        counts = np.bincount(bins[where], minlength=BINS).astype(np.float32)
        total = counts.sum()
        present = counts / total if total >= 20 else before
        mixed = REMEMBERED * before + (1 - REMEMBERED) * present
        parts.append(ndimage.correlate1d(mixed, [0.25, 0.5, 0.25], mode="nearest") + 0.003)
    return np.clip(np.log(parts[0] / parts[1]), -_MOST_ODDS, _MOST_ODDS).astype(np.float32)


def _tidied(probability: np.ndarray) -> np.ndarray:
    """Without pieces far smaller than the largest."""
    pieces, count = ndimage.label(probability > 0.5)
    if count < 2:
        return probability
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    small = sizes < _SMALLEST_PIECE * sizes.max()
    small[0] = False
    return np.where(small[pieces], np.float32(0.49), probability)
