"""The outline of a recalled structure, drawn to where the volume's intensities change from the structure's to its
surroundings': the remembered shape says roughly where, remembered and present intensities say exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..geometry import Box
from ..memory.recall import RecallEntry
from ..volume import Volume
from .places import Landscape
from .remembering import BINS, appearance

STRENGTH = 1.0  # how much intensities count beside the shape, whose log odds change by 1 every few mm
REMEMBERED = 0.7  # the remembered histograms' part, beside those of the volume itself
ROUNDS = 2
_SMOOTH_MM = 1.5
_MOST_ODDS = 2.5  # no intensity says more than that
_MOST_VOXELS = 1_500_000
_SMALLEST_PIECE = 0.2  # of the largest; smaller ones are dropped


def sharpen(
    volume: Volume,
    box: Box,
    probability: np.ndarray,
    weighted: Sequence[tuple[RecallEntry, float]],
    seen: Landscape,
) -> np.ndarray:
    """(k, j, i) float32 crop at the box: the shape's probability, changed by what the voxels look like."""
    if box.is_empty or not (probability > 0.5).any():
        return probability
    step = max(1, int(np.ceil(np.cbrt(box.size / _MOST_VOXELS))))
    thin = (slice(None, None, step),) * 3
    values = appearance(seen.normalise(volume.array_kji[box.slices][thin]))
    spacing = np.asarray(volume.grid.spacing_kji_mm) * step
    bins = np.minimum((values * BINS).astype(np.intp), BINS - 1)
    odds = _log_odds(probability[thin])
    now, extra = odds, np.zeros_like(odds)
    remembered = sum(weight * entry.histograms.astype(np.float32) for entry, weight in weighted)
    if remembered.shape != (2, BINS):
        return probability
    for _ in range(ROUNDS):
        table = _table(bins, 1 / (1 + np.exp(-now)), remembered)
        extra = ndimage.gaussian_filter(table[bins], _SMOOTH_MM / spacing, mode="nearest") * np.float32(STRENGTH)
        now = odds + extra
    if step > 1:
        places = [np.minimum(np.arange(size) / step, short - 1) for size, short in zip(box.shape_kji, extra.shape)]
        for axis, place in enumerate(places):
            extra = _stretched(extra, place, axis)
    whole = 1 / (1 + np.exp(-(_log_odds(probability) + extra)))
    return _tidied(whole.astype(np.float32))


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


def _stretched(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    form = [1, 1, 1]
    form[axis] = len(places)
    part = (places - low).astype(np.float32).reshape(form)
    return np.take(values, low, axis) * (1 - part) + np.take(values, high, axis) * part


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
