"""Thick, even soft tissue: where the largest balls fit between fat, bone and air.

A tumour of a limb hardly differs in value from muscle without contrast agent, but it is thicker than any muscle, and on
CT a little darker. On training subjects the first such place is the sarcoma on 6 of 12 CTs and T1 images, where by
contrast alone 1 is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .pieces import Piece, distance_mm
from .sight import Sight

_FIRM_HU = (0.0, 130.0)
_MOST = 4
_THINNEST_MM = 6.0
_CORE, _REACH = 0.8, 1.6  # in radii of the ball: how deep its core lies, and how far that goes
_APART = 1.3
_DARKER_HU = 20.0  # so much darker than soft tissue counts as much as 2.7 times the radius


@dataclass(frozen=True, eq=False)
class Bulk:
    """piece: on the sight's grid. radius_mm: of the largest ball in it. weight: that, more for what is darker on CT."""

    piece: Piece
    radius_mm: float
    weight: float


def bulks(sight: Sight) -> tuple[Bulk, ...]:
    """The heaviest first; none on PET."""
    soft = _soft(sight)
    if soft is None or not soft.any():
        return ()
    spacing = sight.region.spacing_kji_mm
    depth = distance_mm(np.pad(soft, 1), spacing)[1:-1, 1:-1, 1:-1]
    usual = float(np.median(sight.image[soft]))
    left, found = depth.copy(), []
    for _ in range(_MOST):
        place = np.unravel_index(int(left.argmax()), left.shape)
        radius = float(left[place])
        if radius < _THINNEST_MM:
            break
        axes = np.ogrid[tuple(slice(0, size) for size in left.shape)]
        far = np.sqrt(sum(((axis - at) * step) ** 2 for axis, at, step in zip(axes, place, spacing)))
        cores, _ = ndimage.label((depth > _CORE * radius) & (far < _REACH * radius))
        values = (distance_mm(cores != cores[place], spacing) < _CORE * radius) & soft
        darker = usual - float(sight.image[(far < _CORE * radius) & soft].mean()) if sight.is_ct else 0.0
        found.append(Bulk(Piece.of(sight.grid, values), radius, radius * float(np.exp(darker / _DARKER_HU))))
        left[(far < _APART * radius) | values] = 0
    return tuple(sorted(found, key=lambda bulk: -bulk.weight))


def _soft(sight: Sight) -> np.ndarray | None:
    """(K, J, I) bool: neither fat, bone nor air; single voxels evened out."""
    image = sight.image
    if sight.is_ct:
        mask = (image > _FIRM_HU[0]) & (image < _FIRM_HU[1])
    elif sight.modality == "MR":
        body = sight.body.at(sight.grid.box)
        if not body.any():
            return None
        low, high = np.percentile(image[body], [2, 98])
        mask = body & (image < _between_two(image[body])) & (image > low + 0.1 * (high - low))
    else:
        return None
    return ndimage.median_filter(mask, 3)


def _between_two(values: np.ndarray) -> float:
    """The value that best parts them into two kinds (Otsu, IEEE Trans. SMC 1979): muscle and fat on a T1 image."""
    counts, edges = np.histogram(values, 128)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    spread = (sums[-1] * below / below[-1] - sums) ** 2 / np.maximum(below * above, 1)
    return float(centres[int(spread.argmax())])
