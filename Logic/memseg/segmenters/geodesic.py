"""A segmenter without a network: fronts grow from the prompts along even intensity, fitted scores say where to stop.

No mask yet: first.py grows candidates of many sizes and lets them vote. A mask to correct: evidence.py measures every
working voxel round the mask, and a fitted form turns the measures into odds; what it leaves as it was stays as it was,
to the voxel. Either way the work is done in a region on a working grid of bounded size, whatever the volume's, and only
the part that changes is brought back to the volume's own grid.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .. import catalog
from ..geometry import AXES, Box
from ..memory.interaction import Interaction
from ..prompts import BoxPrompt, MaskPrompt, Prompt
from ..raster import rasterize
from ..volume import Volume
from .appearance import Appearance, Picture, appearance, picture
from .base import Numbered, Prediction
from .evidence import Seeds, gather, nearer_to_positive
from .first import first_answer
from .region import Region
from .remembered import embedding, looks_of
from .scores import constants
from .tidy import crumbs, pinholes

MOST_VOXELS = 110_000  # of a correction's working grid
_MOST_SEEDS = 4000
_SEARCH_MM = 15.0
_MOST_WIDENINGS = 3
_LEAST_MARGIN_MM, _MARGIN = 12.0, 0.25
_NOWHERE = np.zeros((0, 3), np.int64)


class Geodesic:
    """See the module. Keeps nothing between calls."""

    def __init__(self) -> None:
        self.card = catalog.card("geodesic")

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        newest = prompts[-1].prompt
        standing = standing_prompts(prompts)
        extent = extent_of_mask(mask_kji, volume, prompts)
        if isinstance(newest, BoxPrompt):
            box, probability = _answer_to_box(volume, standing, newest, extent, mask_kji)
        else:
            box, probability = _answer_to_points(volume, standing, extent, mask_kji, memory)
        _honour(probability, box, standing, volume)
        _tidy(probability, box, standing, volume, mask_kji)
        changed = (probability > 0.5) != (mask_kji[box.slices] > 0)
        return Prediction(box, probability, embedding(volume, newest, box, changed))


def voxels_of(prompt: Prompt, volume: Volume) -> np.ndarray:
    """(N, 3) native voxels a click, scribble or lasso covers, in array order."""
    box, crop = rasterize(prompt, volume.grid)
    return np.argwhere(crop) + box.start_kji


def standing_prompts(prompts: tuple[Numbered, ...]) -> tuple[Prompt, ...]:
    """The prompts since the last mask, which overrules those before it."""
    given = [entry.prompt for entry in prompts]
    masks = [place for place, prompt in enumerate(given) if isinstance(prompt, MaskPrompt)]
    return tuple(given[masks[-1] + 1 :] if masks else given)


def place_of(prompt: Prompt, volume: Volume) -> Box:
    """The voxels of the volume a prompt covers, boxed."""
    if isinstance(prompt, (BoxPrompt, MaskPrompt)):
        return prompt.box.clipped(volume.shape_kji)
    return rasterize(prompt, volume.grid)[0]


def extent_of_mask(mask_kji: np.ndarray, volume: Volume, prompts: tuple[Numbered, ...]) -> Box:
    """Bounding box of the mask, found by widening a box round all prompts until none of its faces cuts the mask."""
    box = Box.empty()
    for entry in prompts:
        box = box.union(place_of(entry.prompt, volume))
    box = box.grown(np.ceil(_SEARCH_MM / np.asarray(volume.grid.spacing_kji_mm)).astype(int)).clipped(volume.shape_kji)
    while True:
        wider = np.zeros((2, 3), int)
        for axis in range(3):
            for side, end in enumerate((0, volume.shape_kji[axis])):
                face = np.take(mask_kji[box.slices], -side, axis=axis)
                if (box.start_kji, box.stop_kji)[side][axis] != end and face.any():
                    wider[side, axis] = max(8, box.shape_kji[axis] // 2)
        if not wider.any():
            tight = Box.of_mask(mask_kji[box.slices])
            return tight.shifted(box.start_kji) if not tight.is_empty else tight
        box = Box(tuple(box.start_kji - wider[0]), tuple(box.stop_kji + wider[1])).clipped(volume.shape_kji)


def _answer_to_box(
    volume: Volume, standing: tuple[Prompt, ...], newest: BoxPrompt, extent: Box, mask_kji: np.ndarray
) -> tuple[Box, np.ndarray]:
    """A negative box empties itself. A positive one holds the object: the outside goes, an empty one is filled."""
    inside = newest.box.clipped(volume.shape_kji)
    if newest.positive and not mask_kji[inside.slices].any():
        middle = np.asarray([[(start + stop - 1) // 2 for start, stop in zip(inside.start_kji, inside.stop_kji)]])
        box, probability = _first(volume, middle, standing)
        whole = box.union(extent)
        grown = np.zeros(whole.shape_kji, np.float32)
        grown[box.relative_to(whole).slices] = probability
        return whole, grown
    box = extent if newest.positive else inside.intersection(extent)
    if box.is_empty:
        box = Box(inside.start_kji, tuple(start + 1 for start in inside.start_kji))
    return box, mask_kji[box.slices].astype(np.float32)


def _answer_to_points(
    volume: Volume,
    standing: tuple[Prompt, ...],
    extent: Box,
    mask_kji: np.ndarray,
    memory: tuple[Interaction, ...] | None,
) -> tuple[Box, np.ndarray]:
    newest = standing[-1]
    points = voxels_of(newest, volume)
    here = mask_kji[tuple(points.T)] > 0
    if np.all(here == newest.positive):
        box = Box.around(points)
        return box, mask_kji[box.slices].astype(np.float32)  # as it should be already
    if extent.is_empty:
        return _first(volume, points, standing)
    return _correction(volume, standing, extent, mask_kji, memory)


def _first(volume: Volume, points: np.ndarray, standing: tuple[Prompt, ...]) -> tuple[Box, np.ndarray]:
    bounds = [prompt.box for prompt in standing if isinstance(prompt, BoxPrompt) and prompt.positive]
    holding = [box for box in bounds if all(box.holds(tuple(point)) for point in points[[0, -1]])]
    avoided = [
        voxels_of(prompt, volume) for prompt in standing if not prompt.positive and not isinstance(prompt, BoxPrompt)
    ]
    forbidden = np.concatenate([_NOWHERE, *avoided])
    region, probability = first_answer(volume, points, forbidden, holding[-1] if holding else None)
    box = region.native_box(probability > 0.5)
    return box, region.expanded(probability, box)


def _correction(
    volume: Volume,
    standing: tuple[Prompt, ...],
    extent: Box,
    mask_kji: np.ndarray,
    memory: tuple[Interaction, ...] | None,
) -> tuple[Box, np.ndarray]:
    """The mask corrected round the newest prompt; the region widens while the answer is cut off by its border."""
    for widening in range(1, _MOST_WIDENINGS + 1):
        region = correction_region(volume, standing, extent, widening)
        view, before = picture(region, volume.array_kji), region.sample(mask_kji)
        seeds = gather_seeds(view, before, standing, volume, memory)
        odds = correction_odds(view, before, seeds)
        if not region.touches_inner_border(odds > 0).any():
            break
    changed = _allowed((odds > 0) != (before > 0.5), before > 0.5, seeds, region)
    if not changed.any():
        box = place_of(standing[-1], volume)
        return box, mask_kji[box.slices].astype(np.float32)
    probability = np.where(changed, 1 / (1 + np.exp(-np.clip(odds, -30, 30))), before)
    box = region.native_box(changed)
    after, was, now = region.expanded(probability, box), region.expanded(before, box), mask_kji[box.slices]
    kept = ((after > 0.5) == (was > 0.5)) & (region.expanded(changed, box) <= 0.5)
    after[kept] = now[kept]
    return box, after


def correction_region(volume: Volume, standing: tuple[Prompt, ...], extent: Box, widening: int) -> Region:
    """Mask and newest prompt with a margin of 12 mm or a quarter of their size, `widening` times."""
    spacing = np.asarray(volume.grid.spacing_kji_mm)
    box = extent.union(place_of(standing[-1], volume))
    margin_mm = widening * max(_LEAST_MARGIN_MM, _MARGIN * float((np.asarray(box.shape_kji) * spacing).max()))
    return Region.covering(volume.grid, box.grown(np.ceil(margin_mm / spacing).astype(int)), MOST_VOXELS)


def _allowed(changed: np.ndarray, inside: np.ndarray, seeds: Seeds, region: Region) -> np.ndarray:
    """The part of a change, (K, J, I) bool, that the newest prompt may bring about.

    A positive prompt takes nothing away and a negative one adds nothing; a cut spares what lies nearer to the positive
    prompts; and only the 26-connected parts count that hold a voxel of the prompt or one beside it, so that a
    correction acts where it is made and what was agreed elsewhere stays.
    """
    changed = changed & (inside != seeds.newest_is_positive)
    if not seeds.newest_is_positive:
        changed &= ~nearer_to_positive(seeds, region)
    parts, count = ndimage.label(changed, structure=np.ones((3, 3, 3), bool))
    if count == 0:
        return changed
    near = np.zeros(changed.shape, bool)
    near[tuple(seeds.newest.T)] = True
    touched = np.unique(parts[ndimage.binary_dilation(near, np.ones((3, 3, 3), bool))])
    return np.isin(parts, touched[touched > 0])


def correction_odds(view: Picture, before: np.ndarray, seeds: Seeds) -> np.ndarray:
    """(K, J, I) float32 log odds of each working voxel of belonging to the object."""
    form = constants().grow if seeds.newest_is_positive else constants().cut
    return form(gather(view, before, seeds)).reshape(before.shape)


def gather_seeds(
    view: Picture,
    before: np.ndarray,
    standing: tuple[Prompt, ...],
    volume: Volume,
    memory: tuple[Interaction, ...] | None,
) -> Seeds:
    points: dict[bool, list[np.ndarray]] = {True: [_NOWHERE], False: [_NOWHERE]}
    looks: dict[bool, list[Appearance]] = {True: [], False: []}
    for prompt in standing:
        if isinstance(prompt, BoxPrompt):
            continue
        voxels = view.region.working(voxels_of(prompt, volume))
        if len(voxels):
            newest = voxels[:: -(-len(voxels) // _MOST_SEEDS)]
            points[prompt.positive].append(newest)
            looks[prompt.positive].append(appearance(view, newest))
    newest_look = looks[standing[-1].positive][-1]
    if not looks[True]:
        core = _core(before > 0.5, newest, view.region)
        points[True].append(core)
        looks[True] += [appearance(view, core)] if len(core) else []
    remembered = looks_of(memory or ())
    return Seeds(
        positive=np.concatenate(points[True]),
        negative=np.concatenate(points[False]),
        newest=newest,
        looks_positive=tuple(looks[True]),
        looks_negative=tuple(looks[False]),
        look_newest=newest_look,
        newest_is_positive=standing[-1].positive,
        remembered_positive=tuple(remembered[True]),
        remembered_negative=tuple(remembered[False]),
    )


def _core(inside: np.ndarray, newest: np.ndarray, region: Region) -> np.ndarray:
    """(1, 3) the deepest voxel of a mask that came without positive prompts, away from what the newest prompt denies.

    "Away" is twice as far as the prompt lies deep in the mask; (0, 3) where the mask holds no such voxel.
    """
    depth = ndimage.distance_transform_edt(inside, sampling=region.spacing_kji_mm)
    denied = newest[len(newest) // 2]
    squared = np.zeros(inside.shape)
    for axis, step in enumerate(region.spacing_kji_mm):
        along = ((np.arange(inside.shape[axis]) - denied[axis]) * step) ** 2
        squared += along.reshape([-1 if other == axis else 1 for other in range(3)])
    depth[squared <= (2 * depth[tuple(denied)]) ** 2] = 0
    deepest = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return np.asarray([deepest]) if depth[deepest] > 0 else _NOWHERE


def _honour(probability: np.ndarray, box: Box, standing: tuple[Prompt, ...], volume: Volume) -> None:
    """Write into the crop what the prompts say outright: boxes first, then points, later ones over earlier ones."""
    for place, prompt in enumerate(standing):
        if isinstance(prompt, BoxPrompt):
            within = prompt.box.intersection(box).relative_to(box)
            if not prompt.positive:
                probability[within.slices] = 0
            elif not _left_later(prompt, standing[place + 1 :], volume):
                bound(probability, prompt, within, box)
    for prompt in standing:
        if not isinstance(prompt, BoxPrompt):
            where, crop = rasterize(prompt, volume.grid)
            shared = where.intersection(box)
            if not shared.is_empty:
                covered = crop[shared.relative_to(where).slices] > 0
                probability[shared.relative_to(box).slices][covered] = float(prompt.positive)


def _tidy(
    probability: np.ndarray, box: Box, standing: tuple[Prompt, ...], volume: Volume, mask_kji: np.ndarray
) -> None:
    """Take from the crop the crumbs of what the newest prompt cut off, or fill the pinholes in what it added."""
    positive = standing[-1].positive
    whole = box.grown(1).clipped(volume.shape_kji)
    here = box.relative_to(whole).slices
    mask = mask_kji[whole.slices] > 0
    changed = np.zeros(mask.shape, bool)
    changed[here] = mask[here] != (probability > 0.5)
    mask[here] = probability > 0.5
    kept = [
        voxels_of(prompt, volume) - whole.start_kji
        for prompt in standing
        if prompt.positive != positive and not isinstance(prompt, BoxPrompt)
    ]
    points = np.concatenate([_NOWHERE, *kept])
    points = points[np.all((points >= 0) & (points < mask.shape), axis=1)]
    loose = pinholes(mask, changed, points) if positive else crumbs(mask, changed, points)
    probability[loose[here]] = float(positive)


def _left_later(bounds: BoxPrompt, later: tuple[Prompt, ...], volume: Volume) -> bool:
    """Whether a later prompt says that the object reaches outside the box after all."""
    return any(prompt.positive and not bounds.box.covers(place_of(prompt, volume)) for prompt in later)


def bound(probability: np.ndarray, prompt: BoxPrompt, within: Box, box: Box) -> None:
    """Empty the crop outside the bounds; a flat box bounds its own slice only."""
    outside = np.ones(probability.shape, bool)
    outside[within.slices] = False
    if prompt.flat_axis is not None:
        axis = AXES.index(prompt.flat_axis)
        index = prompt.box.start_kji[axis] - box.start_kji[axis]
        others = np.arange(probability.shape[axis]) != index
        np.moveaxis(outside, axis, 0)[others] = False
    probability[outside] = 0
