"""What the slice-geodesic segmenter measures of a slice, pixel by pixel, against slices whose mask is known.

All of it is done on a working grid of bounded size round the object: a region of a volume one slice thick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometry import Box, Grid
from .arrival import UNREACHED, arrival_times
from .region import Region

MOST_PIXELS = 9_000
MEASURES = 13
_BINS = 32
_SUREST = 3.0  # of a likeness, a log ratio
_FURTHEST = 4.0  # of a distance, in steps
_STEEPEST = 16.0
_SLAB_MM = 1e6  # so thick that a region never joins slices
_FARTHEST_SHIFT = 6


@dataclass(frozen=True, eq=False)
class Seen:
    """A known slice on the working grid: image and share of the mask, (rows, columns) float32."""

    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True, eq=False)
class Samples:
    """Remembered pixels: raw intensities, whether in the object, and how much each counts; all (N,)."""

    values: np.ndarray
    inside: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class Scene:
    """A slice to be judged and what is known of its neighbours, on the working grid of `region`.

    step_mm: distance to the previous slice. between: signed distance in mm of the shape between two agreed slices, or
    None.
    """

    region: Region
    image: np.ndarray
    previous: Seen
    agreed: tuple[Seen, ...]
    remembered: Samples
    step_mm: float
    between: np.ndarray | None

    @property
    def spacing_mm(self) -> tuple[float, float]:
        return self.region.spacing_kji_mm[1:]


def region_round(mask: np.ndarray, shape: tuple[int, int], spacing_mm: tuple[float, float], step_mm: float) -> Region:
    """Round the object of a mask, with a margin of 30 % of its size, 8 voxels and one step at least."""
    box = Box.of_mask(mask[None])
    size_mm = np.array(box.shape_kji[1:]) * spacing_mm
    margin_mm = np.maximum(0.3 * size_mm.max(), np.maximum(8 * np.array(spacing_mm), 1.5 * step_mm))
    grid = Grid.from_spacing((1, *shape), (_SLAB_MM, *spacing_mm))
    return Region.covering(grid, box.grown((0, *np.ceil(margin_mm / spacing_mm).astype(int))), MOST_PIXELS)


def signed_distance(mask: np.ndarray, spacing_mm: tuple[float, float]) -> np.ndarray:
    """(rows, columns) float32 mm to the border of a bool mask, positive inside; of one without a border, the grid's
    size."""
    half, size = 0.5 * min(spacing_mm), float(np.hypot(*(np.array(mask.shape) * spacing_mm)))
    if mask.all() or not mask.any():
        return np.where(mask, np.float32(size), np.float32(-size))
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    return np.where(mask, inside - half, half - outside).astype(np.float32)


def likeness(image: np.ndarray, knots: np.ndarray, samples: Samples) -> np.ndarray:
    """(rows, columns) float32, -3 to 3: log of how much more often such an intensity occurs in the object than round
    it."""
    counts = np.zeros((2, _BINS))
    bins = np.searchsorted(knots, samples.values)
    for side, chosen in enumerate((samples.inside, ~samples.inside)):
        counts[side] = np.bincount(bins[chosen], samples.weights[chosen], _BINS)
    counts = ndimage.convolve1d(counts, [1, 2, 3, 2, 1], axis=1, mode="nearest")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
    if not counts[0].any():
        return np.zeros(image.shape, np.float32)
    ratio = np.clip(np.log((shares[0] + 0.004) / (shares[1] + 0.004)), -_SUREST, _SUREST)
    return ratio[np.searchsorted(knots, image)].astype(np.float32)


def shift_between(before: np.ndarray, after: np.ndarray, weights: np.ndarray) -> tuple[int, int]:
    """Rows and columns by which a weighted part of one image moves to fit the other best; at most 6 each."""
    shape = [size + 2 * _FARTHEST_SHIFT for size in before.shape]
    level = float(np.average(before, weights=np.maximum(weights, 1e-9)))
    before, after = before - level, after - level
    padded = np.pad(after, _FARTHEST_SHIFT, mode="edge")
    weight, weighted = (np.conj(np.fft.rfft2(each, shape)) for each in (weights, weights * before))
    squares = np.fft.irfft2(np.fft.rfft2(padded**2) * weight, shape)
    products = np.fft.irfft2(np.fft.rfft2(padded) * weighted, shape)
    reach = 2 * _FARTHEST_SHIFT + 1
    error = (squares - 2 * products)[:reach, :reach] + float((weights * before**2).sum())
    rows, columns = np.indices((reach, reach)) - _FARTHEST_SHIFT
    penalty = 1 + 0.03 * (rows**2 + columns**2) ** 0.5
    noise = 0.02 * float((weights * before**2).sum()) + 1e-9
    best = np.unravel_index(int(np.argmin((error + noise) * penalty)), error.shape)
    return int(rows[best]), int(columns[best])


def moved(array: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """The array shifted by whole pixels; what comes in from outside is its border."""
    rows, columns = (np.clip(np.arange(size) - step, 0, size - 1) for size, step in zip(array.shape, shift))
    return array[np.ix_(rows, columns)]


def measures(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns, 13) float32, and the moved previous mask, (rows, columns) bool."""
    spacing, image = scene.spacing_mm, ndimage.gaussian_filter(scene.image, 0.6)
    before = ndimage.gaussian_filter(scene.previous.image, 0.6)
    mask = scene.previous.mask > 0.5
    if not mask.any():
        mask = scene.previous.mask >= scene.previous.mask.max()
    knots = _knots(image, before)
    weights = ndimage.gaussian_filter(mask.astype(np.float32), 2.0) > 0.05
    shift = shift_between(before, image, weights.astype(np.float32))
    if moved(mask, shift).any():  # a small object at the border could be moved out
        mask, before = moved(mask, shift), moved(before, shift)
    distance = signed_distance(mask, spacing)
    radius = max(float(np.sqrt(mask.sum() * np.prod(spacing) / np.pi)), float(max(spacing)))
    pace = 0.5 * scene.step_mm + float(max(spacing))
    alike = likeness(image, knots, _pixels(before, mask))
    smooth = ndimage.gaussian_filter(alike, 1.0)
    agreed = [likeness(image, knots, _pixels(seen.image, seen.mask > 0.5)) for seen in scene.agreed]
    of_agreed = ndimage.gaussian_filter(np.mean(agreed, axis=0), 1.0) if agreed else smooth
    of_memory = smooth
    if len(scene.remembered.values):
        of_memory = ndimage.gaussian_filter(likeness(image, knots, scene.remembered), 1.0)
    by_likeness, by_edges = _competition(image, distance, smooth, pace, spacing)
    noise = max(1.4826 * float(np.median(np.abs(image - before))), 1e-6 + 0.01 * float(np.ptp(knots)))
    changed = np.clip((image - before) / noise, -6, 6)
    near = np.clip(distance / pace, -_FURTHEST, _FURTHEST)
    between = near if scene.between is None else np.clip(scene.between / pace, -_FURTHEST, _FURTHEST)
    core = distance > 0.3 * distance.max()
    areas = [np.count_nonzero(seen.mask > 0.5) for seen in scene.agreed]
    drift = np.log(np.count_nonzero(mask) / np.mean(areas)) if areas and min(areas) else 0.0
    stack = [
        near,
        np.clip(distance / radius, -1.5, 1.5),
        alike,
        smooth,
        of_agreed,
        of_memory,
        by_likeness,
        by_edges,
        between,
        np.abs(changed),
        np.full(image.shape, np.log(scene.step_mm / radius)),
        np.full(image.shape, float(smooth[core].mean())),
        np.full(image.shape, np.clip(drift, -2, 2)),
    ]
    return np.stack(stack, axis=-1).astype(np.float32), mask


def _pixels(image: np.ndarray, mask: np.ndarray) -> Samples:
    return Samples(image.ravel(), mask.ravel(), np.ones(image.size))


def _knots(*images: np.ndarray) -> np.ndarray:
    """(31,) borders between intensities that hold equally many pixels each."""
    values = np.concatenate([image.ravel() for image in images])
    values = np.sort(values[:: max(1, values.size // 4096) | 1])
    return values[(np.arange(1, _BINS) / _BINS * (values.size - 1)).round().astype(int)]


def _competition(
    image: np.ndarray, distance: np.ndarray, alike: np.ndarray, pace: float, spacing_mm: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Two (rows, columns) maps, positive where a front from the object's core arrives before one from its surroundings:
    by intensities, and by edges alone."""
    gradient = np.sqrt(sum(np.gradient(image, axis=axis) ** 2 for axis in (0, 1) if image.shape[axis] > 1) + 0 * image)
    band = np.abs(distance) < 2 * pace
    edge = max(float(np.percentile(gradient[band], 75)) if band.any() else 0.0, 1e-6)
    steep = np.minimum((gradient / edge) ** 2, _STEEPEST)
    inner = distance >= min(pace, 0.6 * float(distance.max()))
    liked = inner & (alike > -1)
    inner = liked if liked.any() else inner
    outer = distance <= -min(2 * pace, 0.8 * float(-distance.min()))
    cost = np.stack(
        [
            0.15 + 0.5 * steep + np.maximum(-alike, 0) ** 2,
            0.15 + 0.5 * steep + np.maximum(alike, 0) ** 2,
            0.15 + steep,
            0.15 + steep,
        ]
    ).astype(np.float32)
    start = np.full(cost.shape, UNREACHED, np.float32)
    start[0::2, inner], start[1::2, outer] = 0, 0
    times = arrival_times(cost[:, None], start[:, None], (_SLAB_MM, *spacing_mm), 1)[:, 0]
    least = np.float32(min(spacing_mm) * 0.3)
    ratios = [np.log((times[out] + least) / (times[out - 1] + least)) for out in (1, 3)]
    return tuple(np.clip(ratio, -3, 3) for ratio in ratios)
