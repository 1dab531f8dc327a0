"""Things that stand out, whatever they are: connected regions brighter or darker than what is round them.

The image is cut at many levels and three scales. Of the regions that lie in each other the one is kept that differs
most from its surroundings, measured by both spreads (after maximally stable extremal regions, Matas et al., BMVC 2002,
with that difference in place of the stability). On training subjects the tumour is the first on 5 of 6 PETs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometry import Box
from .pieces import Piece
from .sight import Sight

MOST_VOXELS = 200_000  # of the sight to look for them on: 3 mm in a thigh, 6 mm in a trunk
SCALES_MM = (0.0, 2.5, 5.0)
LEVELS = 12
MOST_KEPT = 24
_MOST_OF_A_LEVEL = 10
_ALIKE, _PART = 0.5, 0.7  # overlap (IoU), or part of the smaller in the larger, above which two regions are one thing
_CLEAR = 0.25  # contrast, in parts of the range looked at, from which on it counts in full
_LARGEST_SHARE = 0.4  # of what is looked at; a larger region is its background
_FINEST = 0.02  # of the range looked at: no spread counts as smaller
_SHELL = 7  # voxels across the neighbourhood that counts as surroundings
_SIZE_MM = 30.0  # things of this diameter and more count in full


@dataclass(frozen=True, eq=False)
class Blob:
    """piece: on the sight's grid. bright: brighter than its surroundings. difference: of its mean from theirs, over
    both spreads. contrast: the same, over the range of values looked at. cut: the part of its surroundings that lies
    out of the place looked at."""

    piece: Piece
    bright: bool
    difference: float
    contrast: float
    cut: float

    @property
    def diameter_mm(self) -> float:
        """Of the ball of its volume."""
        return float(np.cbrt(6 / np.pi * self.piece.volume_mm3))

    @property
    def prominence(self) -> float:
        """How much it stands out as a thing of its own: 0.3 hardly, 1 clearly, 2 by far."""
        size = np.sqrt(min(self.diameter_mm / _SIZE_MM, 1.0))
        clear = min(self.contrast / _CLEAR, 1.0)  # or noise, cut at its own level, would stand out
        return float(self.difference * np.sqrt(self.piece.compactness * (1 - self.cut)) * size * clear)


def blobs(sight: Sight, place: Piece, bright: bool | None = None, smallest_mm: float = 4.0) -> tuple[Blob, ...]:
    """The most prominent first. place: where to look, on the sight's grid. bright: only such, or only dark ones; None:
    both. smallest_mm: the diameter of a ball with the volume of the smallest that counts."""
    if place.is_empty:
        return ()
    found = list(_cut(sight, place, (True, False) if bright is None else (bright,), smallest_mm))
    found.sort(key=lambda blob: -blob.prominence)
    return tuple(distinct(found))


def distinct(found: list[Blob]) -> list[Blob]:
    """Without those that are about the same as an earlier one, or as bright and a part of it, or it of them."""
    kept: list[Blob] = []
    for blob in found:
        if not any(_same(blob, other) for other in kept):
            kept.append(blob)
        if len(kept) == MOST_KEPT:
            break
    return kept


def _same(one: Blob, other: Blob) -> bool:
    if one.piece.box.intersection(other.piece.box).is_empty:
        return False
    shared = one.piece.within(other.piece).voxels
    smaller, total = min(one.piece.voxels, other.piece.voxels), one.piece.voxels + other.piece.voxels
    return shared > _ALIKE * (total - shared) or (one.bright == other.bright and shared > _PART * smaller)


def _cut(sight: Sight, place: Piece, signs: tuple[bool, ...], smallest_mm: float) -> Iterator[Blob]:
    """All regions at all levels and scales."""
    box = place.box.grown(_SHELL).clipped(sight.region.shape_kji)
    inside, shown = place.at(box), sight.shown[box.slices]
    count_inside = np.count_nonzero(inside)
    for scale in SCALES_MM:
        smooth = shown
        if scale:
            smooth = ndimage.gaussian_filter(
                shown, [scale / step for step in sight.region.spacing_kji_mm], truncate=3.0
            )
        fewest = max(4, np.pi / 6 * max(smallest_mm, 2 * scale) ** 3 / sight.region.voxel_mm3)
        span = max(float(np.ptp(np.percentile(smooth[inside], [1, 99]))), 1e-6)
        shares = np.geomspace(0.3, 45, LEVELS)
        for bright in signs:
            for level in np.unique(np.percentile(smooth[inside], 100 - shares if bright else shares)):
                labels, count = ndimage.label(inside & (smooth >= level if bright else smooth <= level))
                sizes = np.bincount(labels.ravel(), minlength=count + 1)
                fits = np.flatnonzero((sizes >= fewest) & (sizes <= _LARGEST_SHARE * count_inside))
                places = ndimage.find_objects(labels)
                for label in sorted(fits[fits > 0], key=lambda each: -sizes[each])[:_MOST_OF_A_LEVEL]:
                    blob = _measured(sight, box, labels, int(label), places[label - 1], shown, inside, bright, span)
                    if blob is not None:
                        yield blob


def _measured(
    sight: Sight,
    box: Box,
    labels: np.ndarray,
    label: int,
    part: tuple[slice, ...],
    shown: np.ndarray,
    inside: np.ndarray,
    bright: bool,
    span: float,
) -> Blob | None:
    """One region of a level; None where it has hardly any surroundings, or does not differ from them."""
    tight = Box(tuple(each.start for each in part), tuple(each.stop for each in part))
    around = tight.grown(_SHELL // 2).clipped(shown.shape)
    mask = labels[around.slices] == label
    shell = ndimage.maximum_filter(mask.view(np.uint8), _SHELL, mode="constant").view(bool) & ~mask
    outside = shell & inside[around.slices]
    beside = np.count_nonzero(outside)
    if beside < 8:
        return None
    values = shown[around.slices]
    within, without = values[mask], values[outside]
    difference = float(within.mean() - without.mean()) * (1 if bright else -1)
    if difference <= 0:
        return None
    spread = np.sqrt(float(within.var()) + float(without.var()) + (_FINEST * span) ** 2)
    piece = Piece(sight.grid, around.shifted(box.start_kji), mask)
    cut = 1 - beside / np.count_nonzero(shell)
    return Blob(piece, bright, difference / spread, difference / span, cut)
