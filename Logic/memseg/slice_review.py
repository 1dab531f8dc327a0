"""A look at propagated slices together: which one to correct next, and how to make them agree with one another."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .geometry import AXES, Box, Grid
from .propagation import Key, SliceMark
from .segmenters.slice_base import plane_of, plane_spacing_mm
from .volume import MaskChange

_HELPS_MM = 10.0  # a correction helps slices so far away by a third


@dataclass(frozen=True)
class Suggestion:
    """A slice to look at, and why: a sentence."""

    axis: str
    index: int
    reason: str


def suggest(
    marks: Mapping[int, SliceMark], mask_kji: np.ndarray, axis: str, grid: Grid, extent: Box | None = None
) -> Suggestion | None:
    """The propagated slice whose correction would help most; None where there is none. extent: a box outside which the
    mask is empty."""
    loose = sorted(index for index, mark in marks.items() if not mark.agreed)
    if not loose:
        return None
    overlaps, areas = _overlaps(loose, mask_kji, axis, extent)
    largest = {index: max(areas[near] for near in (index - 1, index, index + 1) if near in areas) for index in loose}
    doubts = {index: doubt(marks[index], overlaps[index]) for index in loose}
    needs = {index: doubts[index] * largest[index] for index in loose}
    if not any(needs.values()):
        return None
    agreed = sorted(index for index, mark in marks.items() if mark.agreed)
    step_mm = grid.spacing_kji_mm[AXES.index(axis)]
    gains = {index: gain(index, needs, agreed, step_mm) for index in loose}
    best = max(loose, key=lambda index: gains[index])
    return Suggestion(axis, best, _reason(best, marks[best], overlaps[best]))


def doubt(mark: SliceMark, overlap: float) -> float:
    """0 to 1: how wrong a slice may be. overlap: 0 to 1, Dice with the slices beside it."""
    return max(1 - mark.confidence, 0.5 * (1 - overlap))


def gain(index: int, needs: Mapping[int, float], agreed: Sequence[int], step_mm: float) -> float:
    """What correcting a slice mends: its own need (wrong voxels to expect) and that of others, the less the farther
    off, and not beyond the next agreed slice. needs: by slice."""
    place = bisect_left(agreed, index)
    low = agreed[place - 1] if place else -1
    high = agreed[place] if place < len(agreed) else max(needs) + 1
    return sum(
        need * float(np.exp(-abs(other - index) * step_mm / _HELPS_MM))
        for other, need in needs.items()
        if low < other < high
    )


def _reason(index: int, mark: SliceMark, overlap: float) -> str:
    if not mark.present:
        return f"Slice {index} is where the object ends, as far as is known: check whether it does."
    if 1 - mark.confidence >= 0.5 * (1 - overlap):
        return f"Slice {index} and those beside it are the least certain: about {mark.confidence:.0%} of it is right."
    return f"Slice {index} differs most from the slices beside it."


def _overlaps(
    indices: list[int], mask_kji: np.ndarray, axis: str, extent: Box | None
) -> tuple[dict[int, float], dict[int, int]]:
    """Dice of each slice with those beside it, the mean of two, 1 where both are empty; and voxels of all these
    slices."""
    box = extent or Box.of_shape(mask_kji.shape)
    along, count = AXES.index(axis), mask_kji.shape[AXES.index(axis)]
    within = tuple(part for other, part in enumerate(box.slices) if other != along)
    planes: dict[int, np.ndarray] = {}

    def plane(index: int) -> np.ndarray:
        if index not in planes:
            planes[index] = plane_of(mask_kji, axis, index)[within] > 0
        return planes[index]

    found = {}
    for index in indices:
        beside = [other for other in (index - 1, index + 1) if 0 <= other < count]
        found[index] = float(np.mean([_dice(plane(index), plane(other)) for other in beside])) if beside else 1.0
    return found, {index: int(np.count_nonzero(seen)) for index, seen in planes.items()}


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    together = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / together if together else 1.0


def consistent(grid: Grid, mask_kji: np.ndarray, axis: str, marks: Mapping[Key, SliceMark], extent: Box) -> MaskChange:
    """What evens out the propagated slices of an axis: each becomes the median, by signed distance, of itself and the
    two beside it, and loses the parts that hang on no agreed slice. Agreed slices, on every axis, stay.

    extent: a box outside which the mask is empty.
    """
    along = AXES.index(axis)
    box = extent
    start, stop = box.start_kji[along], box.stop_kji[along]
    now = np.moveaxis(mask_kji[box.slices], along, 0) > 0
    loose = [
        index - start
        for (other, index), mark in marks.items()
        if other == axis and not mark.agreed and start <= index < stop
    ]
    if not loose:
        return MaskChange.nothing()
    after = _evened(now, loose, plane_spacing_mm(grid, axis))
    held = [
        index - start
        for (other, index), mark in marks.items()
        if other == axis and mark.agreed and start <= index < stop
    ]
    if after[held].any():
        parts, count = ndimage.label(after, structure=np.ones((3, 3, 3), bool))
        hanging = np.zeros(count + 1, bool)
        hanging[np.unique(parts[held])] = True
        for place in loose:
            after[place] &= hanging[parts[place]]
    crop = np.moveaxis(after, 0, along).astype(np.uint8)
    from .propagation import spared

    keys = [key for key, mark in marks.items() if mark.agreed]
    return MaskChange.between(mask_kji, box, spared(mask_kji, box, crop, keys))


def _evened(stack: np.ndarray, loose: list[int], spacing_mm: tuple[float, float]) -> np.ndarray:
    """(N, rows, columns) bool -> the same with the loose slices evened out between their neighbours; the first and the
    last slice and those at the object's ends stay."""
    after, distances = stack.copy(), {}

    def distance(place: int) -> np.ndarray:
        if place not in distances:
            inside = ndimage.distance_transform_edt(stack[place], sampling=spacing_mm)
            outside = ndimage.distance_transform_edt(~stack[place], sampling=spacing_mm)
            distances[place] = inside - outside
        return distances[place]

    for place in sorted(loose):
        beside = (place - 1, place, place + 1)
        if place > 0 and place < len(stack) - 1 and all(stack[other].any() for other in beside):
            after[place] = np.median([distance(other) for other in beside], axis=0) > 0
            for old in [other for other in distances if other < place - 1]:
                del distances[old]
    return after
