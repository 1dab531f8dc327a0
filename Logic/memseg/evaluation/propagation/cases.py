"""What is followed: an object along an axis, from its largest slice or from several, perhaps with a gap made in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...geometry import AXES, Box
from ...prompts import MaskPrompt
from ...volume import Volume
from ..dataset import LabelledObject

FEWEST_VOXELS = 50
FEWEST_SLICES = 3
LONG = 30  # slices of an object long enough to be given a gap
_LEFT_BESIDE_A_GAP = 2  # slices of the object, at least, on either side of it


@dataclass(frozen=True, eq=False)
class Case:
    """One object along one axis. gap: how many slices were taken out of it, 0 for the object as it is.

    Slices are counted in the volume, from 0.
    """

    labelled: LabelledObject
    axis: str
    gap: int = 0

    @property
    def axis_number(self) -> int:
        """0, 1 or 2: where the axis is in (k, j, i)."""
        return AXES.index(self.axis)

    @property
    def volume(self) -> Volume:
        return self.labelled.volume

    @cached_property
    def areas(self) -> dict[int, int]:
        """Voxels of the object by slice, only slices that have some, in order."""
        others = tuple(number for number in range(3) if number != self.axis_number)
        counts = np.count_nonzero(self.labelled.truth, axis=others)
        first = self.labelled.box.start_kji[self.axis_number]
        return {first + int(place): int(counts[place]) for place in np.flatnonzero(counts)}

    @property
    def slices(self) -> tuple[int, ...]:
        """The slices that the object is in."""
        return tuple(self.areas)

    @property
    def reference(self) -> int:
        """The slice with most of the object; the first such."""
        return max(self.areas, key=lambda index: (self.areas[index], -index))

    def spread(self, count: int) -> tuple[int, ...]:
        """The first and the last slice of the object and others evenly between them, `count` in all (two at least)."""
        places = np.floor(np.linspace(0, len(self.slices) - 1, count) + 0.5).astype(int)
        return tuple(self.slices[place] for place in np.unique(places))

    def slab(self, index: int) -> Box:
        """The voxels of one whole slice of the volume."""
        start, stop = [0, 0, 0], list(self.volume.shape_kji)
        start[self.axis_number], stop[self.axis_number] = index, index + 1
        return Box(tuple(start), tuple(stop))

    def truth_at(self, box: Box) -> np.ndarray:
        """Bool crop of the truth at a box inside the volume."""
        return crop_at(self.labelled.box, self.labelled.truth, box)

    def drawn(self, indices: Iterable[int]) -> MaskPrompt:
        """The truth in these slices and nothing elsewhere: what a user has drawn."""
        box, values = self.labelled.box, np.zeros(self.labelled.truth.shape, np.uint8)
        for index in indices:
            within = self.slab(index).intersection(box).relative_to(box)
            values[within.slices] = self.labelled.truth[within.slices]
        return MaskPrompt(self.volume.shape_kji, box, values)

    def corrected(self, box: Box, mask: np.ndarray, index: int) -> MaskPrompt:
        """A mask (crop at `box`, empty elsewhere) with the truth in one slice."""
        whole = self.labelled.box.union(box)
        values = crop_at(box, mask, whole)
        slab = self.slab(index).intersection(whole)
        if not slab.is_empty:
            values[slab.relative_to(whole).slices] = self.truth_at(slab)
        return MaskPrompt(self.volume.shape_kji, whole, values)


def crop_at(box: Box, values: np.ndarray, wanted: Box) -> np.ndarray:
    """The crop at `wanted` of an array that holds `values` at `box` and nothing elsewhere."""
    crop = np.zeros(wanted.shape_kji, values.dtype)
    shared = box.intersection(wanted)
    if not shared.is_empty:
        crop[shared.relative_to(wanted).slices] = values[shared.relative_to(box).slices]
    return crop


def cases_of(labelled: LabelledObject, axes: Sequence[str], gap: int = 0) -> Iterator[Case]:
    """The object along each of the axes on which it has 3 slices or more; none where it has fewer than 50 voxels.

    With a gap only along those on which it is long enough for that, and without that part.
    """
    if np.count_nonzero(labelled.truth) < FEWEST_VOXELS:
        return
    for axis in axes:
        case = Case(labelled, axis)
        if gap:
            case = with_gap(case, gap)
        if case is not None and len(case.slices) >= FEWEST_SLICES:
            yield case


def with_gap(case: Case, gap: int) -> Case | None:
    """The object without `gap` slices in the middle of its longer side, seen from the reference slice.

    Those slices of the image hold its median, as if the scan had failed there. None where the object has fewer than 30
    slices, or where less than two slices of that side would be left on either side of the gap.
    """
    if len(case.slices) < LONG:
        return None
    low, high = (
        tuple(index for index in case.slices if below == (index < case.reference) and index != case.reference)
        for below in (True, False)
    )
    side = low if len(low) > len(high) else high
    if len(side) < gap + 2 * _LEFT_BESIDE_A_GAP:
        return None
    start = (len(side) - gap) // 2
    return _emptied(case, side[start : start + gap])


def _emptied(case: Case, indices: Sequence[int]) -> Case:
    labelled, volume = case.labelled, case.volume
    image, truth = np.array(volume.array_kji), np.array(labelled.truth)
    median = np.median(image)
    for index in indices:
        slab = case.slab(index)
        image[slab.slices] = median
        truth[slab.intersection(labelled.box).relative_to(labelled.box).slices] = False
    tight = Box.of_mask(truth)
    emptied = replace(
        labelled,
        volume=Volume(image, volume.grid, volume.name),
        box=tight.shifted(labelled.box.start_kji),
        truth=np.ascontiguousarray(truth[tight.slices]),
    )
    return Case(emptied, case.axis, gap=len(indices))
