"""The first answer: how far to grow from the prompts when there is no mask yet.

Fronts grow under six costs in regions of five sizes. Every front is a candidate mask, scored by a fitted form of its
measures (fronts.py). The region of the best candidate is kept, and its candidates vote in proportion to
exp(score / temperature), which is steadier than the best one alone: by 0.016 Dice on training subjects held out of the
fit, by 0.034 on validation subjects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometry import Box
from ..volume import Volume
from .appearance import Picture, appearance, costs, picture
from .arrival import UNREACHED, arrival_times
from .fronts import Fronts, Place, fronts
from .region import Region
from .scores import constants

REACHES_MM = (15.0, 25.0, 45.0, 80.0, 130.0)
MOST_VOXELS = 90_000
TEMPERATURE = 0.08
_CERTAIN, _FEWEST, _APART = 0.9, 20, 3.0
_WALL = 1e4  # price per mm where the object cannot be
_BOX_WEIGHT = 1.0  # of a candidate filling the user's box from face to face, in units of Dice


@dataclass(frozen=True, eq=False)
class Look:
    """One region's candidates, cost by cost. centre: the intensity of the object at the prompt."""

    view: Picture
    centre: float
    found: tuple[Fronts, ...]


def first_answer(
    volume: Volume, points_kji: np.ndarray, forbidden: np.ndarray, bounds: Box | None
) -> tuple[Region, np.ndarray]:
    """Region and (K, J, I) float32 probability on its working grid.

    points_kji: (N, 3) native voxels of the object. forbidden: (M, 3) native voxels outside it. bounds: a box drawn
    round the object; one voxel thick, it bounds the object within that slice only.
    """
    held = Box.around(points_kji)
    best, answer, shown = -np.inf, None, None
    for scale, reach_mm in enumerate(REACHES_MM):
        margin = np.ceil(reach_mm / np.asarray(volume.grid.spacing_kji_mm)).astype(int)
        box = held.grown(margin) if bounds is None else _roomy(bounds, volume)
        region = Region.covering(volume.grid, box, MOST_VOXELS)
        if region.box == shown:
            break  # the volume or the user's box ends here: a wider region would show the same
        shown = region.box
        look = grown_in(region, volume, points_kji, forbidden, bounds)
        scores = scores_of(look, scale if bounds is None else _nearest_scale(region), bounds)
        highest = max(float(score.max()) for score in scores)
        if highest > best:
            best, answer = highest, (region, trimmed(vote(look, scores), look))
    return answer


def grown_in(
    region: Region, volume: Volume, points_kji: np.ndarray, forbidden: np.ndarray, bounds: Box | None = None
) -> Look:
    """The fronts that grow from native voxels in one region."""
    view = picture(region, volume.array_kji)
    seeds = region.working(points_kji)
    seed_kji = seeds[len(seeds) // 2]
    look = appearance(view, seeds)
    price = costs(view, look)
    price[(slice(None), *region.working(forbidden).T)] = _WALL
    if bounds is not None:
        price[:, ~_within(bounds, region)] = _WALL
    start = np.full(price.shape, UNREACHED, np.float32)
    start[(slice(None), *seeds.T)] = 0
    times = arrival_times(price, start, region.spacing_kji_mm)
    place = Place.of(region, seed_kji)
    found = tuple(fronts(each, view.smooth, region, place, look.noise, view.span) for each in times)
    return Look(view, look.centre, found)


def scores_of(look: Look, scale: int, bounds: Box | None = None) -> list[np.ndarray]:
    """(L,) score of each candidate, cost by cost."""
    front, scores = constants().front, []
    for family, found in enumerate(look.found):
        score = front(measures(found, look.centre, look.view), scale, family)
        if bounds is not None:
            score = score + _BOX_WEIGHT * _filling(found, bounds, look.view.region)
        scores.append(score)
    return scores


def measures(found: Fronts, centre: float, view: Picture) -> np.ndarray:
    """(L, D) what the front score is a form of: the fronts' own measures and how bright the prompt is in the region."""
    brightness = np.full((len(found.counts), 1), (centre - view.low) / view.span, np.float32)
    return np.concatenate([found.features, brightness], axis=1)


def vote(look: Look, scores: list[np.ndarray]) -> np.ndarray:
    """(K, J, I) float32: the share of the candidates' weights that hold a voxel."""
    best = max(float(score.max()) for score in scores)
    votes, total = np.zeros(look.view.region.shape_kji, np.float32), 0.0
    for found, score in zip(look.found, scores):
        weight = np.exp((score - best) / TEMPERATURE)
        held_from = np.append(np.cumsum(weight[::-1])[::-1], 0.0).astype(np.float32)
        votes += held_from[found.level_of]
        total += float(weight.sum())
    return votes / np.float32(total)


def trimmed(votes: np.ndarray, look: Look) -> np.ndarray:
    """The votes without what looks like the surroundings, where object and surroundings can be told apart.

    The object looks like the voxels nearly all candidates hold, the surroundings like the two layers round the mask.
    If their medians lie further apart than both spread, what is nearer to the latter is no part of the object.
    """
    mask, smooth = votes > 0.5, look.view.smooth
    core = smooth[votes > _CERTAIN]
    ring = smooth[ndimage.binary_dilation(mask, np.ones((3, 3, 3), bool), iterations=2) & ~mask]
    if core.size < _FEWEST or ring.size < _FEWEST:
        return votes
    inside, outside = float(np.median(core)), float(np.median(ring))
    spread = 1.4826 * float(np.median(np.abs(core - inside)) + np.median(np.abs(ring - outside)))
    if abs(inside - outside) < _APART * max(spread, 1e-3 * look.view.span):
        return votes
    like_outside = np.abs(smooth - outside) < np.abs(smooth - inside)
    return np.where(like_outside & ((smooth - inside) * (outside - inside) > 0), np.float32(0), votes)


def _nearest_scale(region: Region) -> int:
    """The scale whose region is about as large."""
    half_mm = 0.5 * np.cbrt(np.prod(np.asarray(region.shape_kji) * region.spacing_kji_mm))
    return int(np.argmin(np.abs(np.log(np.asarray(REACHES_MM) / half_mm))))


def _roomy(bounds: Box, volume: Volume) -> Box:
    """The box with a margin of 2 voxels; a flat one also reaches as far through the slices as it is wide."""
    spacing = np.asarray(volume.grid.spacing_kji_mm)
    extent = np.asarray(bounds.shape_kji)
    margin = np.full(3, 2)
    margin[extent == 1] = np.ceil((extent * spacing).max() / spacing)[extent == 1]
    return bounds.grown(margin)


def _within(bounds: Box, region: Region) -> np.ndarray:
    """(K, J, I) bool: where the bounds let the object be."""
    parts = []
    for axis, (start, stop) in enumerate(zip(bounds.start_kji, bounds.stop_kji)):
        low = region.box.start_kji[axis] + np.arange(region.shape_kji[axis]) * region.factor_kji[axis]
        parts.append((low + region.factor_kji[axis] > start) & (low < stop))
    inside = parts[0][:, None, None] & parts[1][:, None] & parts[2]
    flat = [axis for axis, size in enumerate(bounds.shape_kji) if size == 1]
    if len(flat) != 1:
        return inside
    others = np.ones(region.shape_kji, bool)
    np.moveaxis(others, flat[0], 0)[parts[flat[0]]] = False
    return inside | others


def _filling(found: Fronts, bounds: Box, region: Region) -> np.ndarray:
    """(L,) how much of the box's length a candidate covers, averaged over the axes along which the box is not flat."""
    levels = len(found.counts)
    shares = []
    for axis, size in enumerate(bounds.shape_kji):
        if size == 1:
            continue
        first = found.level_of.min(axis=tuple(other for other in range(3) if other != axis))
        planes = np.cumsum(np.bincount(first, minlength=levels + 1)[:levels])
        shares.append(np.minimum(planes * region.factor_kji[axis] / size, 1.0))
    return np.mean(shares, axis=0) if shares else np.zeros(levels)
