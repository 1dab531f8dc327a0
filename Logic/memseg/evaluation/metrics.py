"""How well a mask agrees with the truth."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..geometry import Box


def dice(truth: np.ndarray, mask: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two masks of one shape; 1 where both are empty, 0 where only one is."""
    truth, mask = np.asarray(truth, dtype=bool), np.asarray(mask, dtype=bool)
    total = int(np.count_nonzero(truth)) + int(np.count_nonzero(mask))
    return 1.0 if total == 0 else 2.0 * int(np.count_nonzero(truth & mask)) / total


def surface(mask: np.ndarray) -> np.ndarray:
    """Bool: voxels of the mask with a face neighbour outside it; what lies beyond the array counts as outside."""
    mask = np.asarray(mask, dtype=bool)
    return mask & ~ndimage.binary_erosion(mask)


def surface_dice(
    truth: np.ndarray, mask: np.ndarray, spacing_kji_mm: tuple[float, float, float], tolerance_mm: float = 2.0
) -> float:
    """Normalised surface Dice: the part of both surfaces' voxels that lie within the tolerance of the other surface.

    Distances run between voxel centres. 1 where both masks are empty, 0 where only one is.
    """
    surfaces = [surface(truth), surface(mask)]
    counts = [int(np.count_nonzero(each)) for each in surfaces]
    if min(counts) == 0:
        return float(max(counts) == 0)
    margin = np.ceil(tolerance_mm / np.asarray(spacing_kji_mm)).astype(int)
    agreeing = 0
    for own, other in (surfaces, surfaces[::-1]):
        # Surface voxels outside the other's box grown by the tolerance are too far off: only that box is transformed.
        near = Box.of_mask(other).grown(margin).clipped(own.shape)
        distance_mm = ndimage.distance_transform_edt(~other[near.slices], sampling=spacing_kji_mm)
        agreeing += int(np.count_nonzero(distance_mm[own[near.slices]] <= tolerance_mm + 1e-9))
    return agreeing / sum(counts)


def area_under_clicks(scores: np.ndarray) -> float:
    """Trapezoidal area under the scores after clicks 1 to n, divided by n - 1: 0 to 1; one score is its own area."""
    scores = np.asarray(scores, dtype=float)
    return float(scores[0]) if len(scores) == 1 else float((scores[:-1] + scores[1:]).mean() / 2)


def clicks_until(scores: np.ndarray, target: float) -> int | None:
    """How many clicks the score needed to reach the target first; None if it never did."""
    reached = np.flatnonzero(np.asarray(scores) >= target)
    return int(reached[0]) + 1 if reached.size else None
