"""SAM 2, SAM 2.1 and MedSAM2 as segmenters: of an object in a volume by clicks and boxes, and from slice to slice.

A prompt is answered on its slice: of the axis along which slices were acquired, or of the one that a flat box lies
across. From there the object is followed both ways, as users of MedSAM2 do it: by what is remembered of the slices with
prompts and of the last six, until it is absent from two slices in a row, or a box in 3D ends. Each direction begins
anew, so that the answer does not depend on which comes first. Only parts that hang together with the object on a slice
with a prompt stay.

An object that was there as a whole before (painted, propagated, answered by another model) is corrected on the slice of
the prompt alone: what a propagation should make of that is for the user to ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy import ndimage

from .. import catalog
from ..geometry import AXES, Box
from ..memory.interaction import Interaction
from ..memory.slices import Recalled, SliceEntry, SliceFeatures
from ..networks.sam2 import Sam2
from ..prompts import BoxPrompt, Click, MaskPrompt, Prompt, Text
from ..volume import Volume
from ..watching import tell
from .base import Numbered, Prediction
from .geodesic import extent_of_mask, place_of, standing_prompts
from .nano import honour
from .outright import without_looking
from .sam2_engine import Answered, Engine
from .sam2_memory import STOCK, shade_of, told, unpacked
from .sam2_said import Sayings, before, kept
from .sam2_view import Shade, on_slice, probability
from .sam2_weights import load
from .slice_base import Plane, SliceAnswer, plane_of
from .slice_base import place_of as place_along

_AROUND = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class Following:
    """How far a prompt's answer goes from its slice. patience: slices in a row without the object that end it. most:
    slices in each direction; 0 answers on the slice alone."""

    patience: int = 2
    most: float = inf


class Sam2Segmenter:
    """See the module."""

    name: ClassVar[str] = "sam2-tiny"

    def __init__(self, network: Sam2, device: str = "auto", following: Following | None = None) -> None:
        self.card = catalog.card(self.name)
        self._engine = Engine(network, self.card.title, device)
        self._following = following or Following()

    @classmethod
    def from_file(cls, path: Path, device: str = "auto", reads: str = "both") -> Sam2Segmenter:
        """reads: of no effect, as there is one kind of memory. Raises ModelError for a file that is not the model's."""
        return cls(load(path, catalog.card(cls.name)), device)

    # -- from slice to slice -----------------------------------------------------------------------------------------

    def features(self, volume: Volume, axis: str, plane: Plane) -> SliceFeatures:
        """What memory keeps of a slice whose mask is right."""
        shade = self._engine.shading(volume).round(plane.image[plane.mask > 0])
        return self._engine.masked(volume, axis, plane, shade)

    def follow(
        self,
        volume: Volume,
        axis: str,
        index: int,
        previous: Plane,
        anchors: tuple[Plane, ...],
        recalled: Recalled,
    ) -> SliceAnswer:
        """See slice_base.SliceSegmenter. Where nothing is remembered, it is told of the planes it is given."""
        recalled = self._own(recalled)
        if not recalled.long and not recalled.recent:
            planes = [plane for plane in anchors if plane.mask.any() and plane.index != previous.index]
            entries = [self._entry(volume, axis, plane, stays=True) for plane in planes]
            entries.append(self._entry(volume, axis, previous, stays=not entries))
            recalled = Recalled(
                tuple(each for each in entries if not each.stays), tuple(filter(_stays, entries)), STOCK
            )
        way = -1 if index < previous.index else 1
        answered = self._followed(volume, axis, index, way, recalled)
        logits = on_slice(answered.logits, plane_of(volume.array_kji, axis, index).shape)
        dice = 2 * answered.quality / (1 + answered.quality)
        note = self._engine.take_note()
        return SliceAnswer(probability(logits), answered.present, dice, note, answered.features)

    def _followed(self, volume: Volume, axis: str, index: int, way: int, recalled: Recalled) -> Answered:
        config = self._engine.config
        shade = shade_of((*recalled.long, *recalled.recent), config.width)
        count = volume.shape_kji[AXES.index(axis)]
        return self._engine.followed(volume, axis, index, shade, told(recalled, index, way, config, count))

    def _own(self, recalled: Recalled) -> Recalled:
        own = [
            tuple(entry for entry in held if entry.model == self.card.name) for held in (recalled.recent, recalled.long)
        ]
        return Recalled(*own, recalled.policy)

    def _entry(self, volume: Volume, axis: str, plane: Plane, stays: bool) -> SliceEntry:
        return self._entry_of(axis, plane.index, self.features(volume, axis, plane), stays)

    def _entry_of(self, axis: str, index: int, features: SliceFeatures, stays: bool) -> SliceEntry:
        return SliceEntry(axis, index, float(index), self.card.name, features, agreed=stays)

    # -- by prompts --------------------------------------------------------------------------------------------------

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        standing = tuple(prompt for prompt in standing_prompts(prompts) if not isinstance(prompt, Text))
        sayings, newest = Sayings.of(standing, volume.grid), standing[-1]
        index = sayings.index(newest)
        here = plane_of(mask_kji, sayings.axis, index)
        if not newest.positive and (isinstance(newest, BoxPrompt) or not here.any()):
            return self._without_looking(volume, prompts, standing, mask_kji)
        as_whole = any(isinstance(entry.prompt, MaskPrompt) for entry in prompts)
        others = self._others(volume, sayings, mask_kji, index, as_whole)
        shade = self._shade(volume, sayings, others, here, index)
        answered = self._prompted(volume, sayings, index, here, others, shade, memory or ())
        planes = {index: probability(on_slice(answered.logits, sayings.shape))}
        if not as_whole:
            own = self._entry_of(sayings.axis, index, answered.features, stays=True)
            planes |= self._all_along(volume, sayings, mask_kji, own, others)
        place = place_of(newest, volume).union(_outside(newest, volume, prompts, mask_kji))
        box, values = _assembled(planes, sayings, mask_kji, place)
        if not as_whole:
            _drop_what_hangs_on_nothing(values, box, sayings, index)
        honour(values, box, standing, volume)
        blind = isinstance(newest, Click) and newest.positive and not (planes[index] > 0.5).any()
        blind_note = (
            f"{self.card.title} found nothing at the click; click nearer to the object's middle, or draw a box."
        )
        note = " ".join(filter(None, (self._engine.take_note(), blind_note if blind else "")))
        pointer = unpacked(answered.features, self._engine.config.width).pointer
        return Prediction(box, values, **kept(pointer, answered.logits, sayings.axis, index), note=note)

    def _others(
        self, volume: Volume, sayings: Sayings, mask_kji: np.ndarray, index: int, as_whole: bool
    ) -> tuple[SliceEntry, ...]:
        """Slices that say where the object is, beside the one that is asked: those with prompts, or of an object that
        was there as a whole the ones next to it."""
        if as_whole:
            wanted = [near for near in (index - 1, index + 1) if 0 <= near < volume.shape_kji[sayings.number]]
        else:
            wanted = [other for other in sayings.indices if other != index]
        found = []
        for other in wanted:
            mask = plane_of(mask_kji, sayings.axis, other)
            if mask.any():
                image, place = (
                    plane_of(volume.array_kji, sayings.axis, other),
                    place_along(volume.grid, sayings.axis, other),
                )
                found.append(self._entry(volume, sayings.axis, Plane(other, image, mask, place), stays=True))
        return tuple(found)

    def _shade(
        self, volume: Volume, sayings: Sayings, others: Sequence[SliceEntry], here: np.ndarray, index: int
    ) -> Shade:
        """The window in which the object is seen already, or that of what the prompts point at."""
        if others:
            return shade_of(others, self._engine.config.width)
        return self._engine.shading(volume).round(sayings.values_at(volume.array_kji, here, index))

    def _prompted(
        self,
        volume: Volume,
        sayings: Sayings,
        index: int,
        here: np.ndarray,
        others: tuple[SliceEntry, ...],
        shade: Shade,
        remembered: tuple[Interaction, ...],
    ) -> Answered:
        config, axis = self._engine.config, sayings.axis
        known = None
        if not isinstance(sayings.newest, BoxPrompt):
            known = before(here, remembered, axis, index, config.edge)
        around = None
        if others:
            way = 1 if others[0].index < index else -1
            around = told(Recalled((), others, STOCK), index, way, config, volume.shape_kji[sayings.number])
        said = sayings.on(index, config.edge)
        return self._engine.prompted(volume, axis, index, shade, said, known, around)

    def _all_along(
        self, volume: Volume, sayings: Sayings, mask_kji: np.ndarray, own: SliceEntry, others: tuple[SliceEntry, ...]
    ) -> dict[int, np.ndarray]:
        """The object in the slices on either side, float16 (rows, columns) by index."""
        planes: dict[int, np.ndarray] = {}
        for way in (1, -1):
            planes |= self._one_way(volume, sayings, mask_kji, own, others, way, len(planes))
        return planes

    def _one_way(
        self,
        volume: Volume,
        sayings: Sayings,
        mask_kji: np.ndarray,
        own: SliceEntry,
        others: tuple[SliceEntry, ...],
        way: int,
        followed: int,
    ) -> dict[int, np.ndarray]:
        """followed: how many slices were followed before these."""
        prompted = {entry.index: entry for entry in (own, *others)}
        ahead = [other for other in prompted if (other - own.index) * way > 0]
        planes: dict[int, np.ndarray] = {}
        recent: tuple[SliceEntry, ...] = ()
        absent, index = 0, own.index + way
        while index in sayings.bounds and abs(index - own.index) <= self._following.most:
            if absent >= self._following.patience and not any((other - index) * way >= 0 for other in ahead):
                break
            if index in prompted:
                planes[index], absent = plane_of(mask_kji, sayings.axis, index).astype(np.float16), 0
            else:
                tell(f"slice {index}, {followed + len(planes)} followed so far")
                recalled = Recalled(recent, tuple(prompted.values()), STOCK)
                answered = self._followed(volume, sayings.axis, index, way, recalled)
                found = probability(on_slice(answered.logits, sayings.shape))
                planes[index] = found.astype(np.float16)
                absent = 0 if (found > 0.5).any() else absent + 1
                entry = self._entry_of(sayings.axis, index, answered.features, stays=False)
                recent = (*recent, entry)[-(self._engine.config.pointers - 1) :]
            index += way
        while 0 <= index < volume.shape_kji[sayings.number] and self._following.most == inf:
            if not plane_of(mask_kji, sayings.axis, index).any():
                break
            planes[index] = np.zeros(sayings.shape, np.float16)  # what an earlier answer left beyond the end
            index += way
        return planes

    def _without_looking(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        standing: tuple[Prompt, ...],
        mask_kji: np.ndarray,
    ) -> Prediction:
        """The mask with the newest prompt honoured."""
        box, probability = without_looking(volume, prompts, standing, mask_kji)
        return Prediction(box, probability, np.zeros((1, self._engine.config.width + 2), np.float32))


class Sam2Small(Sam2Segmenter):
    name = "sam2-small"


class Sam2BasePlus(Sam2Segmenter):
    name = "sam2-base-plus"


class Sam2Large(Sam2Segmenter):
    name = "sam2-large"


class MedSam2(Sam2Segmenter):
    name = "medsam2"


def _stays(entry: SliceEntry) -> bool:
    return entry.stays


def _outside(newest: Click | BoxPrompt, volume: Volume, prompts: tuple[Numbered, ...], mask_kji: np.ndarray) -> Box:
    """Where a positive box in 3D empties the mask."""
    empties = isinstance(newest, BoxPrompt) and newest.positive and not newest.flat_axis
    return extent_of_mask(mask_kji, volume, prompts) if empties else Box.empty()


def _assembled(
    planes: dict[int, np.ndarray], sayings: Sayings, mask_kji: np.ndarray, place: Box
) -> tuple[Box, np.ndarray]:
    """A box and its probabilities: those of the planes, which are one run of slices, and the mask as it is elsewhere.
    place: voxels that the box holds in any case."""
    low, high = min(planes), max(planes) + 1
    within: Box = place
    for index, plane in planes.items():
        filled = (plane > 0.5) | (plane_of(mask_kji, sayings.axis, index) > 0)
        tight = Box.of_mask(np.expand_dims(filled, sayings.number))
        if not tight.is_empty:
            within = within.union(tight.shifted(_offset(sayings.number, index)))
    start, stop = list(within.start_kji), list(within.stop_kji)
    start[sayings.number], stop[sayings.number] = min(low, start[sayings.number]), max(high, stop[sayings.number])
    box = Box(tuple(start), tuple(stop))
    values = mask_kji[box.slices].astype(np.float32)
    across = tuple(part for other, part in enumerate(box.slices) if other != sayings.number)
    for index, plane in planes.items():
        plane_of(values, sayings.axis, index - box.start_kji[sayings.number])[:] = plane[across]
    return box, values


def _offset(number: int, index: int) -> tuple[int, int, int]:
    return tuple(index if axis == number else 0 for axis in range(3))


def _drop_what_hangs_on_nothing(values: np.ndarray, box: Box, sayings: Sayings, index: int) -> None:
    """Empty the parts (26 neighbours) that touch no slice with a prompt."""
    parts, count = ndimage.label(values > 0.5, structure=_AROUND)
    start = box.start_kji[sayings.number]
    said = [other - start for other in {*sayings.indices, index} if 0 <= other - start < box.shape_kji[sayings.number]]
    hangs = np.zeros(count + 1, bool)
    for place in said:
        hangs[np.unique(plane_of(parts, sayings.axis, place))] = True
    values[~hangs[parts] & (parts > 0)] = 0
