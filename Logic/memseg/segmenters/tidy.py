"""What an answer leaves behind and nobody asked for: crumbs of a cut, and pinholes in what was filled."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_LARGEST_CRUMB = 0.1  # of the mask; a larger part may be a second piece of the object
_LARGEST_HOLE = 0.02  # of the mask; a larger one may be a vessel or a cavity
_AROUND = np.ones((3, 3, 3), bool)


def crumbs(mask: np.ndarray, changed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Small parts of a mask that a change has cut off: bool (K, J, I).

    mask: bool, after the change. changed: bool, where it took voxels away; parts that do not touch it were apart before
    and stay. wanted: (N, 3) voxels whose parts stay. Parts are 6-connected; one that reaches the array's end may go on
    beyond it and stays.
    """
    return _small(*_enclosed(mask), changed, wanted, _LARGEST_CRUMB * np.count_nonzero(mask))


def pinholes(mask: np.ndarray, changed: np.ndarray, denied: np.ndarray) -> np.ndarray:
    """Small enclosed gaps in a mask that a change has left: bool (K, J, I).

    mask: bool, after the change. changed: bool, where it added voxels; gaps that do not touch it stay. denied: (N, 3)
    voxels whose gaps stay. A gap that reaches the array's end is not enclosed.
    """
    return _small(*_enclosed(~mask), changed, denied, _LARGEST_HOLE * np.count_nonzero(mask))


def _enclosed(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbered 6-connected parts, without those that reach the array's end, and the highest number."""
    parts, count = ndimage.label(mask)
    ends = [np.unique(np.take(parts, end, axis=axis)) for axis in range(3) for end in (0, -1)]
    inside = np.ones(count + 1, bool)
    inside[np.concatenate(ends)] = False
    return np.where(inside, np.arange(count + 1), 0)[parts], count


def _small(parts: np.ndarray, count: int, changed: np.ndarray, kept: np.ndarray, largest: float) -> np.ndarray:
    """Parts of at most `largest` voxels that touch the change and hold none of the kept voxels; part 0 is none."""
    chosen = np.bincount(parts.ravel(), minlength=count + 1) <= largest
    beside = np.zeros(count + 1, bool)
    beside[np.unique(parts[ndimage.binary_dilation(changed, _AROUND)])] = True
    chosen &= beside
    chosen[parts[tuple(kept.T)]] = False
    chosen[0] = False
    return chosen[parts]
