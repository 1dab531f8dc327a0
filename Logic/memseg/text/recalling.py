"""Typing a name in a volume: the recall memory finds where the structure would be, how it would lie, and how sure that
is.

After Memorizing SAM (arXiv 2412.13908) with the weighting corrected: the k nearest entries of that name answer by what
they hold (values) at the places most like the volume's (keys), each in proportion to 1 / distance; and the answer is
r * local + (1 - r) * sum_j w_j read_j, the local one being a segmenter's to the same clicks. r = 1 is exactly that.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import ndimage

from ..geometry import Box, Grid
from ..memory.recall import RecallEntry, RecallMemory
from ..prompts import Click
from ..segmenters.base import Numbered, Segmenter
from ..volume import Volume
from .evidence import Evidence
from .locating import locate
from .matching import Match, match, signed_distance
from .pieces import distance_mm
from .places import Landscape, interpolated, landscape
from .remembering import remember
from .sharpening import Looks, sharpen

__all__ = ["Recollection", "recall", "remember"]
log = logging.getLogger(__name__)
MOST_CANDIDATES = 12  # entries of a name that are compared with the volume place by place
TRIED = 2  # so many times as many as answer are matched
_SOFT_MM = 3.0
_LEAST_ML = 1e-3
_MOST_SEARCHED = 1_000_000  # voxels for clicks; more are thinned


@dataclass(frozen=True, eq=False)
class Recollection:
    """What was recalled. grid: the volume's. box: in it. probability: float32 crop, object where above 0.5. evidence:
    None where the structure would lie outside the volume. used: entries and their weights, sum 1, heaviest first.
    alone: what was recalled without the segmenter that had its part in this."""

    grid: Grid
    box: Box
    probability: np.ndarray
    evidence: Evidence | None
    used: tuple[tuple[RecallEntry, float], ...]
    alone: Recollection | None = None

    @property
    def mask(self) -> np.ndarray:
        """uint8 0/1 crop of the box's shape."""
        return (self.probability > 0.5).astype(np.uint8)

    @property
    def confidence(self) -> float:
        """0 to 1: the chance that it overlaps the structure (IoU above 0.3)."""
        return self.evidence.chance if self.evidence is not None else 0.0

    @cached_property
    def clicks(self) -> tuple[Click, ...]:
        """Up to three positive ones, at the deepest likely places recalled, far from each other."""
        if self.alone is not None:
            return self.alone.clicks
        return _clicks(self.probability, self.box, self.grid.spacing_kji_mm)


def recall(
    volume: Volume,
    key: str,
    side: str,
    memory: RecallMemory,
    *,
    k: int = 3,
    ratio: float = 0.3,
    segmenter: Segmenter | None = None,
) -> Recollection | None:
    """The structure as earlier volumes have it; None where none of that name was remembered of this kind of image.

    k: entries that answer. ratio: the segmenter's part in the answer, 0 to 1; without a segmenter it counts nothing.
    """
    if k < 1 or not 0 <= ratio <= 1:
        raise ValueError("k is at least 1, and the ratio lies between 0 and 1.")
    seen = landscape(volume)
    entries = [entry for entry in memory.named(key, side) if _comparable(entry, seen)]
    if not entries:
        return None
    near = memory.nearest(seen.embedding, MOST_CANDIDATES, entries)
    spots = locate(tuple(entry for entry, _ in near), seen)
    tried = [match(spot.entry, spot.centre_ras, seen) for spot in spots[: TRIED * k]]
    matches = agreeing(sorted(tried, key=lambda found: found.distance))[:k]
    weights = inverse_distances([found.distance for found in matches])
    box, shape = _read(matches, weights, volume)
    probability, evidence = shape, None
    if (shape > 0.5).any():
        remembered = sum(weight * found.entry.histograms.astype(np.float64) for found, weight in zip(matches, weights))
        looks = Looks.of(volume, box, seen)
        probability = sharpen(looks, shape, remembered)
        now = np.count_nonzero(probability > 0.5) * volume.grid.voxel_volume_mm3 / 1000
        then = sum(weight * found.entry.volume_ml for found, weight in zip(matches, weights))
        evidence = Evidence(
            scan=near[0][1],
            near=float(sum(weight * found.distance for found, weight in zip(matches, weights))),
            size=float(np.log(max(now, _LEAST_ML) / then)),
            looks=float(np.minimum(looks.histogram(shape > 0.5), remembered[0]).sum()),
        )
    used = sorted(zip((found.entry for found in matches), map(float, weights)), key=lambda pair: -pair[1])
    log.info("Recalled %s from %d of %d entries", key, len(matches), len(entries))
    answer = Recollection(volume.grid, box, probability, evidence, tuple(used))
    return answer if segmenter is None else _with_local(answer, volume, segmenter, ratio)


def inverse_distances(distances: list[float]) -> np.ndarray:
    """(k,) weights (1 / d_j) / sum(1 / d_i); all of it on the entries at distance 0 where there are some."""
    apart = np.asarray(distances, np.float64)
    if (apart <= 1e-9).any():
        exact = (apart <= 1e-9).astype(np.float64)
        return exact / exact.sum()
    return (1 / apart) / (1 / apart).sum()


def agreeing(matches: list[Match]) -> list[Match]:
    """Those that put the structure where most weight puts it, in the order given: others would only blur the answer."""
    centres = np.array([found.centre_ras + found.moved_mm.mean(axis=0) for found in matches])
    weights = inverse_distances([found.distance for found in matches])
    reach = np.array([0.5 * float(np.cbrt(np.prod(found.entry.size_mm))) for found in matches])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    near = apart <= np.maximum(reach[:, None], 8.0)
    chosen = int((near @ weights).argmax())
    return [found for found, together in zip(matches, near[chosen]) if together]


def _comparable(entry: RecallEntry, seen: Landscape) -> bool:
    return not entry.modality or not seen.modality or entry.modality == seen.modality


def _read(matches: list[Match], weights: np.ndarray, volume: Volume) -> tuple[Box, np.ndarray]:
    """The entries' answer on the volume's voxels."""
    low = np.min([found.now_ras.min(axis=0) for found in matches], axis=0)
    high = np.max([found.now_ras.max(axis=0) for found in matches], axis=0)
    spacing = max(2.0, float(np.cbrt(np.prod(high - low) / 60_000)))
    shape = tuple(int(size) for size in np.ceil((high - low) / spacing).astype(int)[::-1] + 1)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = low
    lattice = Grid(shape, matrix)
    index = np.array(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij")).reshape(3, -1).T
    points = lattice.ras_from_kji(index)
    total = sum(
        weight * 1 / (1 + np.exp(-np.clip(signed_distance(found, points) / _SOFT_MM, -20, 20)))
        for found, weight in zip(matches, weights)
    )
    field = total.reshape(shape).astype(np.float32)
    return onto_volume(field, lattice, volume)


def onto_volume(field: np.ndarray, lattice: Grid, volume: Volume) -> tuple[Box, np.ndarray]:
    """A field on a lattice read at the voxels of the box that its values above 0.05 take up."""
    likely = Box.of_mask(field > 0.05)
    if likely.is_empty:
        return Box.empty(), np.zeros((0, 0, 0), np.float32)
    ends = np.array([likely.start_kji, np.array(likely.stop_kji) - 1])
    corners = np.array(np.meshgrid(*ends.T, indexing="ij")).reshape(3, -1).T
    box = Box.around(volume.grid.kji_from_ras(lattice.ras_from_kji(corners))).grown(1).clipped(volume.shape_kji)
    if box.is_empty:
        return Box.empty(), np.zeros((0, 0, 0), np.float32)
    form = (lattice.ras_to_ijk @ volume.grid.ijk_to_ras)[:3]
    turned = form[::-1, :3][:, ::-1]
    moved = form[::-1, 3] + turned @ np.array(box.start_kji)
    if np.allclose(turned, np.diag(np.diag(turned)), atol=1e-9):  # along the same axes: one by one is far quicker
        read = np.pad(field, 1)
        for axis, size in enumerate(box.shape_kji):
            read = interpolated(read, moved[axis] + 1 + turned[axis, axis] * np.arange(size), axis)
        return box, read
    return box, ndimage.affine_transform(
        field, turned, moved, box.shape_kji, order=1, mode="constant", cval=0.0, output=np.float32
    )


def _clicks(probability: np.ndarray, box: Box, spacing_kji_mm: tuple[float, ...], count: int = 3) -> tuple[Click, ...]:
    step = max(1, int(np.ceil(np.cbrt(probability.size / _MOST_SEARCHED))))
    thin = probability[(slice(None, None, step),) * 3]
    inside = thin > 0.5
    if not inside.any():
        return ()
    spacing = np.asarray(spacing_kji_mm) * step
    depth = distance_mm(np.pad(inside, 1), tuple(spacing))[1:-1, 1:-1, 1:-1]
    score = depth * thin
    clicks, apart = [], float(depth.max()) * 1.5
    axes = np.ogrid[tuple(slice(0, size) for size in thin.shape)]
    for _ in range(count):
        at = np.unravel_index(int(score.argmax()), score.shape)
        if score[at] <= 0.25 * float(depth.max()):
            break
        clicks.append(Click(tuple(int(place) * step + start for place, start in zip(at, box.start_kji)), True))
        away = sum(np.square((axis - place) * width) for axis, place, width in zip(axes, at, spacing))
        score = np.where(away > apart**2, score, 0)
    return tuple(clicks)


def _with_local(answer: Recollection, volume: Volume, segmenter: Segmenter, ratio: float) -> Recollection:
    """r * the segmenter's answer to the clicks + (1 - r) * what was recalled."""
    if not answer.clicks:
        return answer
    local_box, local = local_answer(volume, segmenter, answer.clicks)
    whole = answer.box.union(local_box)
    mixed = np.zeros(whole.shape_kji, np.float32)
    mixed[local_box.relative_to(whole).slices] += np.float32(ratio) * local
    mixed[answer.box.relative_to(whole).slices] += np.float32(1 - ratio) * answer.probability
    return replace(answer, box=whole, probability=mixed, alone=answer)


def local_answer(volume: Volume, segmenter: Segmenter, clicks: tuple[Click, ...]) -> tuple[Box, np.ndarray]:
    """What the segmenter makes of the clicks, one after the other, from an empty mask: a box and a float32 crop."""
    mask = np.zeros(volume.shape_kji, np.uint8)
    probability = np.zeros(volume.shape_kji, np.float32)
    extent, prompts = Box.empty(), []
    for number, click in enumerate(clicks, 1):
        prompts.append(Numbered(number, click))
        view = mask.view()
        view.flags.writeable = False
        answer = segmenter.predict(volume, tuple(prompts), view, None)
        probability[answer.box.slices] = answer.probability
        mask[answer.box.slices] = answer.probability > 0.5
        extent = extent.union(answer.box)
    return extent, np.ascontiguousarray(probability[extent.slices])
