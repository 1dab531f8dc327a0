"""Follows an object from slice to slice without a network, by its intensities, its outline and the edges between.

Every working pixel round the previous mask is measured (slice_measures.py); one fitted quadratic form turns the
measures into odds, two others say from the whole answer whether the object is there and how good the mask is. The
numbers in slice_geodesic.json come from `Testing/benchmarks/fit_slice_geodesic.py`, from training subjects alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from scipy import ndimage

from .. import catalog
from ..geometry import AXES, Box
from ..memory.slices import Recalled
from ..volume import Volume
from .scores import QuadraticForm
from .slice_base import Plane, SliceAnswer, SliceFeatures, plane_of, plane_spacing_mm
from .slice_measures import Samples, Scene, Seen, measures, moved, region_round, signed_distance

_PATCH = 16  # pixels along what is remembered of a slice
_AROUND = 1.8  # edge of what is remembered, over the object's extent
REACH = 3.0  # how far from its previous outline the object is looked for, in paces of slice_measures.py
_SMALLEST_PART = 0.05  # of the answer; smaller ones are left out


@dataclass(frozen=True, eq=False)
class Forms:
    """pixel: log odds of a pixel; present: log odds that the object is there; quality: of the Dice, as a logit."""

    pixel: QuadraticForm
    present: QuadraticForm
    quality: QuadraticForm


@lru_cache(maxsize=1)
def forms() -> Forms:
    record = json.loads(resources.files(__package__).joinpath("slice_geodesic.json").read_text(encoding="utf-8"))
    return Forms(*(QuadraticForm.from_record(record[name]) for name in ("pixel", "present", "quality")))


class SliceGeodesic:
    """See the module. Keeps nothing between calls."""

    def __init__(self) -> None:
        self.card = catalog.slice_card("slice-geodesic")

    def features(self, volume: Volume, axis: str, plane: Plane) -> SliceFeatures:
        """Keys (1, 16, 16): intensities round the object, 0 to 1 over the volume's range. Values (2, 16, 16): those,
        and the mask."""
        spacing = np.array(plane_spacing_mm(volume.grid, axis))
        box = Box.of_mask(plane.mask[None])
        start, stop = np.array(box.start_kji[1:]), np.array(box.stop_kji[1:])
        edge_mm = _AROUND * float(((stop - start) * spacing).max())
        middle_mm = (start + stop - 1) / 2 * spacing
        steps = (np.arange(_PATCH) + 0.5) / _PATCH * edge_mm - edge_mm / 2
        rows, columns = (
            np.clip(np.round((middle + steps) / size), 0, count - 1).astype(int)
            for middle, size, count in zip(middle_mm, spacing, plane.mask.shape)
        )
        low, high = volume.intensity_range
        seen = (plane.image[np.ix_(rows, columns)].astype(np.float64) - low) / (high - low)
        keys = seen[None]
        return SliceFeatures(keys, np.stack([seen, plane.mask[np.ix_(rows, columns)]]), (*middle_mm, edge_mm))

    def follow(
        self,
        volume: Volume,
        axis: str,
        index: int,
        previous: Plane,
        anchors: tuple[Plane, ...],
        recalled: Recalled,
    ) -> SliceAnswer:
        """See slice_base.SliceSegmenter."""
        scene = scene_of(volume, axis, index, previous, anchors, recalled)
        measured, mask = measures(scene)
        probability = tidied(odds_of(measured, forms().pixel), mask)
        told = summary(scene, measured, mask, probability, anchors, index)[None]
        present, quality = (float(1 / (1 + np.exp(-form(told)[0]))) for form in (forms().present, forms().quality))
        whole = np.zeros(plane_of(volume.array_kji, axis, index).shape, np.float32)
        _, rows, columns = scene.region.box.slices
        whole[rows, columns] = scene.region.expanded(probability[None], scene.region.box)[0]
        return SliceAnswer(whole, present, quality)


def scene_of(
    volume: Volume, axis: str, index: int, previous: Plane, anchors: tuple[Plane, ...], recalled: Recalled
) -> Scene:
    """What is known, on the working grid."""
    spacing, step_mm = plane_spacing_mm(volume.grid, axis), volume.grid.spacing_kji_mm[AXES.index(axis)]
    step_mm *= max(1, abs(index - previous.index))
    closed = len(anchors) == 2 and all(plane.mask.any() for plane in anchors)
    extent = previous.mask | anchors[0].mask | anchors[1].mask if closed else previous.mask
    region = region_round(extent, previous.mask.shape, spacing, step_mm)

    def seen(plane: Plane) -> Seen:
        return Seen(region.sample(plane.image[None])[0], region.sample(plane.mask[None])[0])

    agreed = {plane.index: seen(plane) for plane in anchors if plane.mask.any()}
    image = region.sample(plane_of(volume.array_kji, axis, index)[None])[0]
    between = _between(anchors, index, agreed, region.spacing_kji_mm[1:]) if closed else None
    return Scene(region, image, seen(previous), tuple(agreed.values()), _remembered(recalled, volume), step_mm, between)


def _between(
    anchors: tuple[Plane, ...], index: int, seen: dict[int, Seen], spacing_mm: tuple[float, float]
) -> np.ndarray | None:
    """(rows, columns) float32 mm: signed distance of the shape between two, each moved to where its centre would be."""
    behind, ahead = (seen[plane.index].mask > 0.5 for plane in anchors)
    if not behind.any() or not ahead.any() or behind.all() or ahead.all():
        return None
    share = (index - anchors[0].index) / (anchors[1].index - anchors[0].index)
    way = np.argwhere(ahead).mean(axis=0) - np.argwhere(behind).mean(axis=0)
    shifts = np.round(share * way).astype(int), np.round((share - 1) * way).astype(int)
    near, far = (signed_distance(moved(mask, tuple(shift)), spacing_mm) for mask, shift in zip((behind, ahead), shifts))
    return near * (1 - share) + far * share


def _remembered(recalled: Recalled, volume: Volume) -> Samples:
    """The pixels of what memory offers, in raw intensities; an entry counts by its confidence and prominence."""
    low, high = volume.intensity_range
    entries = [*recalled.recent, *recalled.long]
    patches = [entry.features.values.astype(np.float64).reshape(2, -1) for entry in entries]
    if not patches:
        return Samples(np.zeros(0), np.zeros(0, bool), np.zeros(0))
    weights = [np.full(patch.shape[1], entry.confidence * entry.prominence) for entry, patch in zip(entries, patches)]
    values, inside = np.concatenate(patches, axis=1)
    return Samples(values * (high - low) + low, inside > 0.5, np.concatenate(weights))


def odds_of(measured: np.ndarray, form: QuadraticForm) -> np.ndarray:
    """(rows, columns) log odds; none of the object further from its previous outline than the form was fitted for."""
    odds = form(measured.reshape(-1, measured.shape[-1])).reshape(measured.shape[:2])
    return np.where(measured[..., 0] > -REACH, odds, -np.inf)


def tidied(odds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(rows, columns) float32 probability, a little smoother than the odds, without parts that are small or lie apart
    from the moved previous mask, and without pinholes."""
    odds = ndimage.gaussian_filter(np.clip(odds, -12, 12), 0.7)
    probability = 1 / (1 + np.exp(best_threshold(1 / (1 + np.exp(-odds))) - odds))
    parts, count = ndimage.label(probability > 0.5)
    if count:
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        touching = np.bincount(parts[ndimage.binary_dilation(mask)], minlength=count + 1) > 0
        kept = touching & (sizes >= _SMALLEST_PART * sizes[1:].max())
        kept[0] = True
        probability[~kept[parts]] = 0
    holes = ndimage.binary_fill_holes(probability > 0.5) & (probability <= 0.5)
    parts, count = ndimage.label(holes)
    if count:
        small = np.bincount(parts.ravel(), minlength=count + 1) <= max(2, 0.01 * np.count_nonzero(probability > 0.5))
        small[0] = False
        probability[small[parts]] = 0.75
    return probability.astype(np.float32)


def best_threshold(probability: np.ndarray) -> float:
    """The log odds above which pixels make the mask of the greatest expected Dice, 0 at most.

    A threshold of one half would lose a little of every doubtful border, slice after slice, until nothing is left.
    """
    ordered = np.sort(probability, axis=None)[::-1].astype(np.float64)
    expected = 2 * np.cumsum(ordered) / (np.arange(1, ordered.size + 1) + ordered.sum())
    lowest = np.clip(ordered[int(np.argmax(expected))], 0.1, 0.5)
    return float(np.log(lowest / (1 - lowest))) - 1e-6


def summary(
    scene: Scene,
    measured: np.ndarray,
    mask: np.ndarray,
    probability: np.ndarray,
    anchors: tuple[Plane, ...],
    index: int,
) -> np.ndarray:
    """(13,) float32, what the whole answer says of itself."""
    answer = probability > 0.5
    before, after = np.count_nonzero(mask), np.count_nonzero(answer)
    near = measured[..., 0]
    core = near >= 0.5 * near.max()
    band = np.abs(near) < 2
    band = band if band.any() else np.ones(band.shape, bool)
    smooth, of_agreed, of_memory = (measured[..., place] for place in (3, 4, 5))
    shared = 2 * np.count_nonzero(mask & answer) / (before + after)
    away = min((abs(plane.index - index) for plane in anchors), default=100)
    closed = len(anchors) == 2 and scene.between is not None
    empty_beside = any(not plane.mask.any() and abs(plane.index - index) <= 3 for plane in anchors)
    spread = float(smooth[answer].mean() - smooth[band & ~answer].mean()) if after and (band & ~answer).any() else 0.0
    return np.array(
        [
            np.clip(np.log((after + 0.5) / (before + 0.5)), -2, 2),
            float(np.abs(2 * probability[band] - 1).mean()),
            float(smooth[core].mean()),
            float(of_agreed[core].mean()),
            float(of_memory[core].mean()),
            spread,
            float(measured[..., 9][core].mean()),
            float(measured[0, 0, 10]),
            shared,
            np.log1p(away),
            float(closed) - float(empty_beside),
            float(of_agreed[answer].mean()) if after else -3.0,
            np.clip(float(measured[0, 0, 12]) + np.log((after + 0.5) / (before + 0.5)), -4, 2),
        ],
        np.float32,
    )
