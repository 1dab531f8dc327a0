"""The nano network as a segmenter: which part of the volume to look at, how closely, and what of the answer to keep.

The geodesic model gives a second opinion, and the log odds of both are added up, as they err in different places. For a
first prompt the second opinion also says how large the object may be, and the network looks at it twice, with some and
with more room round that. A correction is answered close to the prompt. Either way the view widens while the answer is
cut off by its border, and what changed is looked at once more at a finer zoom where that takes one view.
A stroke changes only what is connected to it; all other voxels stay exactly as they were, and what the prompts say
outright is honoured to the voxel.

With memory off both know the newest prompt and the mask; with memory on, also what earlier prompts left behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from .. import catalog
from ..geometry import Box
from ..memory.interaction import Interaction
from ..networks.nano import Nano
from ..prompts import BoxPrompt, Prompt
from ..raster import rasterize
from ..volume import Volume
from . import nano_weights
from .base import Numbered, Prediction
from .geodesic import Geodesic, bound, place_of, standing_prompts
from .nano_engine import Engine, Seen
from .nano_tensors import covered_voxels, embeddings
from .nano_view import View, extent_of_mask

_SLAB_VOXELS = 2_000_000
_AROUND = np.ones((3, 3, 3), bool)
# Trained for Dice, the network is far too sure of itself where it has seen nothing like it. Divided by 6, its log odds
# do as well as undivided ones on training subjects, and better on bones, air and soft tissue it was never taught.
_CALM = 6.0
_NETWORK_SUREST, _OPINION_SUREST = 12.0, 4.0


@dataclass(frozen=True)
class Zooming:
    """rooms: edges of the first views over the object's, as the second opinion has it. box_room: the same over a box's.
    room: edge of a correction's view over the object's. widenings: at most so many, each by `wider`. cut_off: samples
    on a face that call for one. finest: sample spacing over the volume's finest."""

    rooms: tuple[float, ...] = (1.6, 2.2)
    box_room: float = 1.5
    room: float = 1.3
    widenings: int = 3
    wider: float = 1.6
    cut_off: int = 12
    finest: float = 0.75
    refines: bool = True


@dataclass(frozen=True, eq=False)
class _Patch:
    """A probability crop that stands for the mask within its box."""

    box: Box
    probability: np.ndarray

    @property
    def extent(self) -> Box:
        """The tight box round what is object in it, in the volume."""
        tight = Box.of_mask(self.probability > 0.5)
        return tight if tight.is_empty else tight.shifted(self.box.start_kji)


class NanoSegmenter:
    """See the module."""

    def __init__(
        self, network: Nano, device: str = "auto", zooming: Zooming | None = None, reads: str = "both"
    ) -> None:
        self.card = catalog.card("nano")
        self._engine = Engine(network, device, reads)
        self._geodesic = Geodesic()
        self._zooming = zooming or Zooming()

    @classmethod
    def from_file(cls, path: Path, device: str = "auto", reads: str = "both") -> NanoSegmenter:
        """reads: the kinds of memory to read. Raises ModelError for weights that are missing, damaged, or of another
        model."""
        return cls(nano_weights.load(path), device, reads=reads)

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        newest = prompts[-1].prompt
        extent = _extent(mask_kji, volume, prompts)
        opinion = self._opinion(volume, prompts, mask_kji, memory)
        first = extent.is_empty
        views = self._first_views(volume, newest, opinion) if first else [self._correcting(volume, newest, extent)]
        seen, before, changed = self._widened(volume, newest, views, mask_kji, memory)
        patch = _pasted(seen, before, changed, mask_kji, _anchor(newest, volume))
        patch = self._refined(volume, newest, mask_kji, memory, seen, patch)
        if opinion is not None:
            blind = first and not changed.any()
            patch = opinion if blind else _agreed(patch, opinion, mask_kji)
        patch = _grown(patch, mask_kji, _cleared_by(newest, extent))
        honour(patch.probability, patch.box, standing_prompts(prompts), volume)
        kept = embeddings(seen.answer, seen.place, newest, volume, seen.view)
        attention = attention_of(seen, memory)
        return Prediction(patch.box, patch.probability, *kept, attention=attention, note=self._engine.take_note())

    def _opinion(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> _Patch | None:
        """What the geodesic model answers, told of earlier prompts unless memory is off; None to a box."""
        if isinstance(prompts[-1].prompt, BoxPrompt):
            return None
        asked = prompts if memory is not None else prompts[-1:]
        answer = self._geodesic.predict(volume, asked, mask_kji, None)
        return _Patch(answer.box, answer.probability)

    # -- where to look -------------------------------------------------------------------------------------------

    def _first_views(self, volume: Volume, prompt: Prompt, opinion: _Patch | None) -> list[View]:
        edge, zooming = self._engine.network.config.region, self._zooming
        place, rooms = place_of(prompt, volume), (zooming.box_room,)
        if opinion is not None:
            place, rooms = place.union(opinion.extent), zooming.rooms
        extent_mm = float((np.asarray(place.shape_kji) * volume.grid.spacing_kji_mm).max())
        centre = (np.asarray(place.start_kji) + np.asarray(place.stop_kji) - 1) / 2
        spacings = dict.fromkeys(self._allowed(volume, extent_mm * room / edge) for room in rooms)
        return [View(volume.grid, tuple(map(float, centre)), size, edge) for size in spacings]

    def _correcting(self, volume: Volume, prompt: Prompt, extent: Box) -> View:
        """The whole object where that is no more than twice too coarse, otherwise the surroundings of the prompt."""
        edge, spacing = self._engine.network.config.region, np.asarray(volume.grid.spacing_kji_mm)
        place = place_of(prompt, volume)
        whole = extent.union(place)
        needed = float((np.asarray(whole.shape_kji) * spacing).max()) * self._zooming.room / edge
        box = whole
        if needed > 2 * spacing.min():
            box = place
            own = float((np.asarray(place.shape_kji) * spacing).max()) * self._zooming.room / edge
            needed = max(needed / 2, own)
        centre = (np.asarray(box.start_kji) + np.asarray(box.stop_kji) - 1) / 2
        return View.around(volume.grid, centre, self._allowed(volume, needed), edge)

    def _allowed(self, volume: Volume, spacing_mm: float) -> float:
        """The next larger step of a ladder of factors of the square root of two from the volume's finest spacing,
        never finer than allowed nor coarser than it takes to see the whole volume."""
        native = np.asarray(volume.grid.spacing_kji_mm)
        coarsest = float((np.asarray(volume.shape_kji) * native).max()) / self._engine.network.config.region
        finest = self._zooming.finest * native.min()
        step = np.ceil(2 * np.log2(np.clip(spacing_mm, finest, max(coarsest, finest)) / finest) - 1e-6)
        return float(finest * 2 ** (step / 2))

    # -- what to keep ----------------------------------------------------------------------------------------------

    def _widened(
        self,
        volume: Volume,
        prompt: Prompt,
        views: list[View],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> tuple[Seen, np.ndarray, np.ndarray]:
        """The views' answer in the first of them, from wider views while the border cuts off what changed; the mask it
        met, (edge, edge, edge) 0 to 1; and bool, which samples it changed."""
        for widening in range(self._zooming.widenings + 1):
            masks = [view.sample(mask_kji) for view in views]
            seen, before = averaged(self._engine.answers(volume, prompt, views, masks, memory)), masks[0]
            changed = ((seen.logits > 0) != (before > 0.5)) & seen.view.inside
            changed = _at_the_prompt(changed, before > 0.5, prompt, volume, seen.view)
            larger = self._allowed(volume, seen.view.spacing_mm * self._zooming.wider)
            enough = seen.view.border_samples(changed) < self._zooming.cut_off
            if enough or widening == self._zooming.widenings or larger <= seen.view.spacing_mm:
                break
            views = [replace(seen.view, spacing_mm=larger)]
        return seen, before, changed

    def _refined(
        self,
        volume: Volume,
        prompt: Prompt,
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
        seen: Seen,
        patch: _Patch,
    ) -> _Patch:
        """What changed, looked at once more at a finer zoom, where that is finer by a half and takes one view."""
        now = mask_kji[patch.box.slices] > 0
        changed = Box.of_mask((patch.probability > 0.5) != now)
        if not self._zooming.refines or changed.is_empty:
            return patch
        changed = changed.shifted(patch.box.start_kji)
        spacing = np.asarray(volume.grid.spacing_kji_mm)
        needed = float((np.asarray(changed.shape_kji) * spacing).max()) * self._zooming.room / seen.view.edge
        finer = self._allowed(volume, needed)
        if finer * 1.4 > seen.view.spacing_mm:
            return patch
        centre = (np.asarray(changed.start_kji) + np.asarray(changed.stop_kji) - 1) / 2
        view = View.around(volume.grid, centre, finer, seen.view.edge)
        around = view.box.union(patch.box)
        current = mask_kji[around.slices].astype(np.float32)
        current[patch.box.relative_to(around).slices] = patch.probability > 0.5
        met = view.sample(current, around.start_kji)
        again = self._engine.answers(volume, prompt, [view], [met], memory)[0]
        differs = current != (mask_kji[around.slices] > 0)
        reach = int(np.ceil(seen.view.spacing_mm / view.spacing_mm)) + 1
        near = ndimage.binary_dilation(view.sample(differs, around.start_kji) > 0, _AROUND, iterations=reach)
        again_changed = ((again.logits > 0) != (met > 0.5)) & view.inside & near
        fine = _pasted(again, met, again_changed, current, _voxel_of(view.box), around)
        current[patch.box.relative_to(around).slices] = patch.probability
        current[fine.box.relative_to(around).slices] = fine.probability
        box = patch.box.union(fine.box)
        return _Patch(box, np.ascontiguousarray(current[box.relative_to(around).slices]))


def averaged(answers: list[Seen]) -> Seen:
    """The first answer with the mean of all probabilities, each counting by the Dice it expects; of those of wider
    views only what the first view sees."""
    if len(answers) == 1:
        return answers[0]
    first = answers[0]
    seen = [each.view.seen_by(first.view, 1 / (1 + np.exp(-np.clip(each.logits, -30, 30)))) for each in answers]
    mean = np.average(seen, axis=0, weights=[each.quality + 1e-3 for each in answers])
    mean = np.clip(mean, 1e-7, 1 - 1e-7)
    return replace(first, logits=np.log(mean / (1 - mean)).astype(np.float32))


def attention_of(seen: Seen, memory: tuple[Interaction, ...] | None) -> np.ndarray | None:
    """(N,) how much an answer leaned on each entry; 0 for one the network cannot read."""
    weights = seen.answer.attention
    if weights is None or not memory:
        return None
    spread = np.zeros(len(memory), np.float32)
    spread[seen.read] = weights[seen.place].float().cpu().numpy()
    return spread


def _anchor(prompt: Prompt, volume: Volume) -> Box:
    """Voxels that a patch holds in any case: the prompt's own, or one of a box's, which may be as large as the
    volume."""
    place = place_of(prompt, volume)
    return _voxel_of(place) if isinstance(prompt, BoxPrompt) else place


def _voxel_of(box: Box) -> Box:
    """The one in the middle of a box that is not empty."""
    middle = tuple((start + stop - 1) // 2 for start, stop in zip(box.start_kji, box.stop_kji))
    return Box(middle, tuple(index + 1 for index in middle))


def _cleared_by(prompt: Prompt, extent: Box) -> Box:
    """Where a box empties the mask, which the network may not have looked at; empty for other prompts."""
    if not isinstance(prompt, BoxPrompt):
        return Box.empty()
    return extent if prompt.positive else prompt.box.intersection(extent)


def _agreed(network: _Patch, opinion: _Patch, mask_kji: np.ndarray) -> _Patch:
    """The sum of the log odds of both, the network's calmed; where one has no answer it is for what the mask was."""
    whole = network.box.union(opinion.box)
    calm = _log_odds(_grown(network, mask_kji, whole).probability, _NETWORK_SUREST) / _CALM
    odds = calm + _log_odds(_grown(opinion, mask_kji, whole).probability, _OPINION_SUREST)
    return _Patch(whole, 1 / (1 + np.exp(-odds)))


def _log_odds(probability: np.ndarray, surest: float) -> np.ndarray:
    tiny = np.float32(1e-6)
    certain = np.clip(probability, tiny, 1 - tiny)
    return np.clip(np.log(certain / (1 - certain)), -surest, surest)


def _grown(patch: _Patch, mask_kji: np.ndarray, box: Box) -> _Patch:
    """The patch on a box that holds `box` too, there as the mask was."""
    whole = patch.box.union(box)
    if whole == patch.box:
        return patch
    probability = (mask_kji[whole.slices] > 0).astype(np.float32)
    probability[patch.box.relative_to(whole).slices] = patch.probability
    return _Patch(whole, probability)


def _extent(mask_kji: np.ndarray, volume: Volume, prompts: tuple[Numbered, ...]) -> Box:
    near = Box.empty()
    for entry in prompts:
        near = near.union(place_of(entry.prompt, volume))
    margin = np.ceil(15.0 / np.asarray(volume.grid.spacing_kji_mm)).astype(int)
    return extent_of_mask(mask_kji, near, margin)


def _at_the_prompt(changed: np.ndarray, before: np.ndarray, prompt: Prompt, volume: Volume, view: View) -> np.ndarray:
    """The part of a change, bool (edge, edge, edge), that a stroke may bring about: a positive one takes nothing away,
    a negative one adds nothing, and only the 26-connected parts count that come within two samples of it. So a
    correction acts where it is made, and what was agreed elsewhere stays. A box may change everything."""
    if isinstance(prompt, BoxPrompt):
        return changed
    changed = changed & (before != prompt.positive)
    parts, count = ndimage.label(changed, structure=_AROUND)
    if count == 0:
        return changed
    voxels = covered_voxels(prompt, volume)
    places = np.floor((voxels - view.first_kji) / view.step_kji + 0.5).astype(int)
    places = places[((places >= 0) & (places < view.edge)).all(axis=1)]
    near = np.zeros(changed.shape, bool)
    near[tuple(places.T)] = True
    touched = np.unique(parts[ndimage.binary_dilation(near, _AROUND, iterations=2)])
    return np.isin(parts, touched[touched > 0])


def _pasted(
    seen: Seen, before: np.ndarray, changed: np.ndarray, mask_kji: np.ndarray, place: Box, frame: Box | None = None
) -> _Patch:
    """The answer on the voxels it changed (and the prompt's); the others as they were, to the voxel.

    before: the mask as the view samples it. changed: bool, the samples to take from the answer. frame: the box of the
    volume that mask_kji covers; None for all of it.
    """
    view = seen.view
    probability = np.where(changed, 1 / (1 + np.exp(-np.clip(seen.logits, -30, 30))), before)
    box = view.native_box(changed).union(place.intersection(view.box))
    if box.is_empty:
        box = place
    pieces = [np.zeros((0, *box.shape_kji[1:]), np.float32)]
    for slab in _slabs(box):
        local = slab if frame is None else slab.relative_to(frame)
        after, was = view.written(probability, slab), view.written(before, slab)
        pieces.append(np.where((after > 0.5) == (was > 0.5), mask_kji[local.slices] > 0.5, after))
    return _Patch(box, np.concatenate(pieces, dtype=np.float32))


def _slabs(box: Box) -> Iterator[Box]:
    """The box cut along k, so that what is worked on at a time stays small."""
    (start, j_start, i_start), (stop, j_stop, i_stop) = box.start_kji, box.stop_kji
    thickness = max(1, _SLAB_VOXELS // max(1, box.shape_kji[1] * box.shape_kji[2]))
    for low in range(start, stop, thickness):
        yield Box((low, j_start, i_start), (min(stop, low + thickness), j_stop, i_stop))


def honour(probability: np.ndarray, box: Box, standing: tuple[Prompt, ...], volume: Volume) -> None:
    """Write into the crop what the prompts say outright; later ones over earlier ones."""
    for prompt in standing:
        if isinstance(prompt, BoxPrompt):
            within = prompt.box.intersection(box).relative_to(box)
            if not prompt.positive:
                probability[within.slices] = 0
            elif prompt is standing[-1]:
                bound(probability, prompt, within, box)
            continue
        where, crop = rasterize(prompt, volume.grid)
        shared = where.intersection(box)
        if not shared.is_empty:
            covered = crop[shared.relative_to(where).slices] > 0
            probability[shared.relative_to(box).slices][covered] = float(prompt.positive)
