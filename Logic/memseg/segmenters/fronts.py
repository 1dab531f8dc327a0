"""Candidate masks: the fronts of a geodesic arrival map at growing volumes, each described by a few plain measures.

A front at level n holds the voxels that arrive first, so the candidates of one map are nested and every measure of all
of them follows from one sort and a few histograms: the cost does not depend on how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .region import Region

GROWTH = 1.3  # from one candidate's volume to the next, on average
_PARTS = 8
SMALLEST_VOXELS = 6
FEATURES = (
    "volume",
    "compactness",
    "spread",
    "eccentricity",
    "depth",
    "contrast",
    "edge",
    "edge_rise",
    "weak",
    "homogeneity",
    "drift",
    "barrier",
    "barrier_rise",
    "leak",
    "border",
    "outer_wall",
)


@dataclass(frozen=True, eq=False)
class Fronts:
    """The candidates of one arrival map.

    level_of: (K, J, I) int16, the first candidate that holds a voxel; len(features) where none does.
    features: (L, D) float32, D as in FEATURES. counts: (L,) working voxels, growing.
    """

    level_of: np.ndarray
    features: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class Place:
    """Where a region's working voxels lie from the click: what all its arrival maps share.

    offsets_mm: three broadcastable float32 arrays. squared: (K, J, I) float32 mm2. by_distance: voxels, furthest first.
    """

    seed_kji: np.ndarray
    offsets_mm: tuple[np.ndarray, np.ndarray, np.ndarray]
    squared: np.ndarray
    by_distance: np.ndarray

    @classmethod
    def of(cls, region: Region, seed_kji: np.ndarray) -> Place:
        offsets = tuple(
            (((np.arange(size) - place) * step).astype(np.float32)).reshape(
                [-1 if other == axis else 1 for other in range(3)]
            )
            for axis, (size, place, step) in enumerate(zip(region.shape_kji, seed_kji, region.spacing_kji_mm))
        )
        squared = offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2
        return cls(seed_kji, offsets, squared, np.argsort(-squared, axis=None, kind="stable"))


def fronts(times: np.ndarray, smooth: np.ndarray, region: Region, place: Place, noise: float, span: float) -> Fronts:
    """Candidates of one (K, J, I) arrival map.

    smooth: the lightly smoothed image of the same shape. noise: image values that count as no difference. span: robust
    intensity range of the region.
    """
    front_time = _levels(np.sort(times, axis=None))
    level_of = np.searchsorted(front_time, times.ravel()).astype(np.int16).reshape(times.shape)
    sums = _Sums(level_of, len(front_time))
    counts = sums.inside(np.ones(times.size))
    features = _measures(sums, level_of, counts, np.maximum(front_time, 1e-6), smooth, region, place, noise, span)
    return Fronts(level_of, features, counts)


def _levels(ordered: np.ndarray) -> np.ndarray:
    """(L,) growing arrival times at which to stop: one in each step of growth by 30 %, where the front is held up most.

    A wall shows as a leap in the sorted times. Each step is cut into 8 parts, and the front stops before the part over
    which the time grows by the largest factor; even steps would miss a sharp object by up to 15 % of its volume.
    """
    steps = int(np.log(max(ordered.size / SMALLEST_VOXELS, 1.0)) / np.log(GROWTH))
    parts = SMALLEST_VOXELS * GROWTH ** (np.arange(steps * _PARTS + 1) / _PARTS)
    counts = np.minimum(parts.astype(np.int64), ordered.size)
    times = ordered[counts - 1]
    leap = np.diff(np.log(np.maximum(times, 1e-6))).reshape(steps, _PARTS)
    held = np.arange(steps) * _PARTS + np.argmax(leap, axis=1) if steps else np.zeros(0, int)
    return np.unique(np.append(times[held], ordered[-1]))


class _Sums:
    """Sums over nested candidates by histogram."""

    def __init__(self, level_of: np.ndarray, levels: int) -> None:
        self._flat = level_of.ravel()
        self._levels = levels

    def inside(self, weights: np.ndarray) -> np.ndarray:
        """(L,) sum of voxel weights inside each candidate."""
        return np.cumsum(np.bincount(self._flat, weights.ravel(), self._levels + 1)[: self._levels])

    def across(self, low: np.ndarray, high: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(L,) sum of weights of voxel pairs of which each candidate holds just one (levels low < high)."""
        size = self._levels + 1
        opened = np.bincount(low, weights, size) - np.bincount(high, weights, size)
        return np.cumsum(opened[: self._levels])

    def nearest_outside(self, place: Place) -> np.ndarray:
        """(L,) distance in mm from the click to the nearest voxel outside each candidate."""
        nearest = np.full(self._levels + 1, np.inf)
        nearest[self._flat[place.by_distance]] = place.squared.ravel()[
            place.by_distance
        ]  # the last write, the least, wins
        following = np.minimum.accumulate(nearest[::-1])[::-1]
        return np.sqrt(following[1:])


def _measures(
    sums: _Sums,
    level_of: np.ndarray,
    count: np.ndarray,
    front_time: np.ndarray,
    smooth: np.ndarray,
    region: Region,
    place: Place,
    noise: float,
    span: float,
) -> np.ndarray:
    """(L, D) float32 features as in FEATURES."""
    volume_mm3 = count * region.voxel_mm3
    radius_mm = np.cbrt(volume_mm3 * 0.75 / np.pi)
    centroid = [sums.inside(np.broadcast_to(offset, level_of.shape)) / count for offset in place.offsets_mm]
    off_centre = np.sqrt(sum(value**2 for value in centroid))
    spread = sums.inside(place.squared) / count - off_centre**2
    inscribed = np.minimum(sums.nearest_outside(place), 1e3)
    centred = smooth - float(smooth[tuple(place.seed_kji)])
    mean = sums.inside(centred) / count
    deviation = np.sqrt(np.maximum(sums.inside(centred**2) / count - mean**2, 0))
    shell_mean = _shell_means(sums.inside(centred), count)
    area, edge, weak, border, wall = _boundary(sums, level_of, smooth, region, noise)
    edge_mean = np.maximum(edge, 0) / np.maximum(area, 1e-6)  # sums of opened and closed pairs may end below 0
    log_time, log_count = np.log(front_time), np.log(count)
    slope = np.gradient(log_time, log_count) if len(count) > 1 else np.zeros(1)
    columns = [
        np.log(volume_mm3),
        np.log(np.maximum(area + wall, 1e-6) / (4 * np.pi * radius_mm**2)),
        np.log(np.maximum(spread, 1e-3) / (0.6 * radius_mm**2 + 1e-3)),
        off_centre / radius_mm,
        inscribed / radius_mm,
        np.log1p(np.abs(mean - shell_mean) / (deviation + noise)),
        np.log(edge_mean / span + 1e-3),
        _rise(np.log(edge_mean / span + 1e-3)),
        weak / np.maximum(area, 1e-6),
        np.log((deviation + noise) / span),
        np.abs(mean) / (deviation + noise),
        log_time,
        _rise(slope),
        slope,
        border / np.maximum(area + wall + border, 1e-6),
        wall / np.maximum(area + wall + border, 1e-6),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _rise(values: np.ndarray) -> np.ndarray:
    """By how much each value tops the mean of its neighbours two levels away."""
    padded = np.pad(values, 2, mode="edge")
    return values - (padded[:-4] + padded[4:]) / 2


def _shell_means(sum_inside: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(L,) mean over the voxels the candidate two levels further adds; the own mean for the last ones."""
    further = np.minimum(np.arange(len(count)) + 2, len(count) - 1)
    extra = count[further] - count
    own = sum_inside / count
    return np.where(extra > 0, (sum_inside[further] - sum_inside) / np.maximum(extra, 1), own)


def _boundary(
    sums: _Sums, level_of: np.ndarray, smooth: np.ndarray, region: Region, noise: float
) -> tuple[np.ndarray, ...]:
    """(L,) each, mm2: boundary, boundary times intensity step, weak boundary, at the region's and the volume's end."""
    levels = [np.zeros(sums._levels) for _ in range(5)]
    area, edge, weak, border, wall = levels
    spacing = np.asarray(region.spacing_kji_mm)
    for axis in range(3):
        face_mm2 = region.voxel_mm3 / spacing[axis]
        ahead = np.moveaxis(level_of, axis, 0)
        image = np.moveaxis(smooth, axis, 0)
        for side, index in enumerate((0, -1)):
            end = (region.box.start_kji[axis] == 0, region.box.stop_kji[axis] == region.grid.shape_kji[axis])[side]
            reached = (
                np.cumsum(np.bincount(ahead[index].ravel(), minlength=sums._levels + 1)[: sums._levels]) * face_mm2
            )
            (wall if end else border)[:] += reached
        if len(ahead) < 2:
            continue
        low, high = np.minimum(ahead[:-1], ahead[1:]), np.maximum(ahead[:-1], ahead[1:])
        crossing = low != high
        wide = np.abs(np.concatenate([image[2:], image[-1:]]) - np.concatenate([image[:1], image[:-2]]))
        step = wide[crossing]
        low, high = low[crossing], high[crossing]
        face = np.full(len(low), face_mm2)
        area += sums.across(low, high, face)
        edge += sums.across(low, high, face * step)
        weak += sums.across(low, high, face * (step < 2 * noise))
    return area, edge, weak, border, wall
