"""What speaks for and against each working voxel when a mask is corrected: one column of plain measures a voxel.

Positive and negative prompts compete by geodesic arrival; the mask before, its appearance, and the front that grows
from the newest prompt inside what it contradicts complete the picture. A fitted quadratic form weighs them (scores.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .appearance import Appearance, Picture, appearance
from .arrival import UNREACHED, arrival_times
from .fronts import Fronts, fronts
from .region import Region

COLUMNS = (
    "mask", "depth", "depth over click's", "edge to positive", "edge to negative", "edge competition",
    "even to positive", "even to negative", "even competition", "edge to newest", "even to newest",
    "mm to newest", "mm over click's depth", "mm to positive", "mm to negative", "unlike positive", "unlike negative",
    "unlike newest", "mask's histogram", "its neighbourhood", "gradient", "edge within", "even within",
    "front", "size", "positives", "negatives",
)  # fmt: skip
_FAR = 12.0  # log time of what no prompt reaches
_STEEPEST = 25.0
_BINS = 48


@dataclass(frozen=True, eq=False)
class Seeds:
    """Prompts on the working grid: (N, 3) voxels and appearances of the positive, the negative and the newest ones."""

    positive: np.ndarray
    negative: np.ndarray
    newest: np.ndarray
    looks_positive: list[Appearance]
    looks_negative: list[Appearance]
    look_newest: Appearance
    newest_is_positive: bool


@dataclass(frozen=True, eq=False)
class Evidence:
    """table: (N, D) float32 in the order of COLUMNS, N working voxels in array order, the column "front" still zero.

    fronts: the candidates that grow from the newest prompt within what it contradicts, by edges and by evenness.
    """

    table: np.ndarray
    fronts: tuple[Fronts, Fronts]


def gather(view: Picture, before: np.ndarray, seeds: Seeds) -> Evidence:
    """before: (K, J, I) float32, the part of each working voxel that was in the mask."""
    region = view.region
    width = _width(view, seeds)
    inside = before > 0.5
    blocked = inside if seeds.newest_is_positive else ~inside
    times = _times(view, seeds, width, blocked)
    depth = _signed_depth_mm(inside, region.spacing_kji_mm)
    centre = tuple(seeds.newest[len(seeds.newest) // 2])
    own_depth = max(abs(float(depth[centre])), 0.7 * min(region.spacing_kji_mm))
    near_newest, near_positive, near_negative = (
        _distance_mm(points, region) for points in (seeds.newest, seeds.positive, seeds.negative)
    )
    log = [np.log(np.minimum(value, np.exp(_FAR)) + 0.05) for value in times[:6]]
    ratio = _histogram_ratio(view.smooth, inside)
    look = seeds.look_newest
    candidates = tuple(fronts(each, view.smooth, region, np.asarray(centre), look.noise, view.span) for each in times[6:8])
    size = np.log(max(np.count_nonzero(inside), 1) * region.voxel_mm3) / 3
    volume = [
        2 * before - 1,
        np.tanh(depth / 4),
        np.clip(depth / own_depth, -3, 3),
        log[0], log[2], np.clip(log[2] - log[0], -6, 6),
        log[1], log[3], np.clip(log[3] - log[1], -6, 6),
        log[4], log[5],
        np.log(near_newest + 1), np.log(near_newest / own_depth + 0.3), np.log(near_positive + 1), np.log(near_negative + 1),
        _unlike(view.smooth, seeds.looks_positive, width), _unlike(view.smooth, seeds.looks_negative, width),
        _unlike(view.smooth, [seeds.look_newest], width),
        ratio, ndimage.uniform_filter(ratio, 3, mode="nearest"),
        np.log(view.gradient / seeds.look_newest.edge + 0.1),
        np.log(np.minimum(times[6], np.exp(_FAR)) + 0.05), np.log(np.minimum(times[7], np.exp(_FAR)) + 0.05),
        np.zeros(inside.shape, np.float32),
    ]  # fmt: skip
    table = np.empty((inside.size, len(COLUMNS)), np.float32)
    for index, column in enumerate(volume):
        table[:, index] = column.ravel()
    table[:, len(volume) :] = size, np.log1p(len(seeds.looks_positive)), np.log1p(len(seeds.looks_negative))
    return Evidence(table, candidates)


def _width(view: Picture, seeds: Seeds) -> float:
    look = seeds.look_newest
    spreads = [each.spread + each.noise for each in seeds.looks_positive] or [look.spread + look.noise]
    return float(np.clip(np.median(spreads), 0.015 * view.span, 0.12 * view.span))


def _times(view: Picture, seeds: Seeds, width: float, blocked: np.ndarray) -> np.ndarray:
    """(8, K, J, I): to positive by edges, evenness; to negative; to newest; to newest within what it contradicts."""
    edge = seeds.look_newest.edge
    by_edge = 0.15 + np.minimum((view.gradient / (2 * edge)) ** 2, _STEEPEST)
    even = [
        by_edge if not looks else 0.15 + np.minimum((_away(view.smooth, looks) / (2.5 * width)) ** 2, _STEEPEST)
        for looks in (seeds.looks_positive, seeds.looks_negative, [seeds.look_newest])
    ]
    walls = np.where(blocked, np.float32(1e4), np.float32(0))
    price = np.stack([by_edge, even[0], by_edge, even[1], by_edge, even[2], by_edge + walls, even[2] + walls])
    start = np.full(price.shape, UNREACHED, np.float32)
    for points, rows in ((seeds.positive, (0, 1)), (seeds.negative, (2, 3)), (seeds.newest, (4, 5, 6, 7))):
        for row in rows:
            start[(row, *points.T)] = 0
    return arrival_times(price.astype(np.float32), start, view.region.spacing_kji_mm)


def _away(smooth: np.ndarray, looks: list[Appearance]) -> np.ndarray:
    """Distance of each voxel's intensity from the nearest of the appearances' centres."""
    centres = np.sort([look.centre for look in looks])
    if len(centres) == 1:
        return np.abs(smooth - np.float32(centres[0]))
    upper = np.clip(np.searchsorted(centres, smooth), 1, len(centres) - 1)
    return np.minimum(np.abs(smooth - centres[upper]), np.abs(smooth - centres[upper - 1])).astype(np.float32)


def _unlike(smooth: np.ndarray, looks: list[Appearance], width: float) -> np.ndarray:
    if not looks:
        return np.full(smooth.shape, 2.0, np.float32)
    return np.log(_away(smooth, looks) / width + 0.2)


def _signed_depth_mm(inside: np.ndarray, spacing_kji_mm: tuple[float, float, float]) -> np.ndarray:
    """Distance to the mask's boundary, positive inside; capped at 200 mm."""
    start = np.where(np.stack([inside, ~inside]), np.float32(0), UNREACHED)
    outside, within = arrival_times(np.ones(start.shape, np.float32), start, spacing_kji_mm, iterations=1)
    return np.minimum(within, 200) - np.minimum(outside, 200)


def _distance_mm(points: np.ndarray, region: Region) -> np.ndarray:
    """To the nearest of the points, at most 64 of them; 200 mm where there are none."""
    nearest = np.full(region.shape_kji, 200.0**2, np.float32)
    for point in points[:: max(1, -(-len(points) // 64))]:
        squared = [
            (((np.arange(size) - place) * step) ** 2).astype(np.float32)
            for size, place, step in zip(region.shape_kji, point, region.spacing_kji_mm)
        ]
        np.minimum(nearest, squared[0][:, None, None] + squared[1][:, None] + squared[2], out=nearest)
    return np.sqrt(nearest)


def _histogram_ratio(smooth: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Log of how much likelier an intensity is inside the mask than outside it, -3 to 3."""
    low, high = np.percentile(smooth[::2, ::2, ::2], [1, 99])
    bins = np.clip((smooth - low) * (_BINS / max(float(high - low), 1e-6)), 0, _BINS - 1).astype(np.int32)
    counts = [np.bincount(bins[where], minlength=_BINS).astype(float) for where in (inside, ~inside)]
    shares = [ndimage.gaussian_filter1d(count / max(count.sum(), 1), 1.5, mode="nearest") + 1e-3 for count in counts]
    return np.clip(np.log(shares[0] / shares[1]), -3, 3).astype(np.float32)[bins]
