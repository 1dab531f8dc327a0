"""What the object looks like round the prompts, and what it costs a path to leave that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .region import Region

COSTS = ("narrow", "middle", "middle, short", "edges", "edges and middle", "wide")
_STEEPEST = 25.0
_FEWEST_SEEDS = 27


@dataclass(frozen=True, eq=False)
class Picture:
    """The region's image as the segmenter sees it.

    smooth, gradient: (K, J, I) float32, lightly smoothed image and its gradient's magnitude per working voxel.
    low, span: robust intensity range of the region (2nd to 98th percentile).
    """

    region: Region
    smooth: np.ndarray
    gradient: np.ndarray
    low: float
    span: float


@dataclass(frozen=True)
class Appearance:
    """Intensity statistics round a prompt: median, spread (MAD as a standard deviation), noise, gradient nearby."""

    centre: float
    spread: float
    noise: float
    edge: float


def picture(region: Region, array_kji: np.ndarray) -> Picture:
    image = region.sample(array_kji)
    spacing = np.asarray(region.spacing_kji_mm)
    smooth = ndimage.gaussian_filter(image, 0.7 * spacing.min() / spacing, mode="nearest", truncate=3.0)
    gradient = np.zeros_like(smooth)
    for axis in range(3):
        if smooth.shape[axis] > 1:
            gradient += np.gradient(smooth, axis=axis) ** 2
    low, high = np.percentile(smooth[::2, ::2, ::2], [2, 98])
    span = max(float(high - low), 1e-3 * float(np.abs(smooth).max()), 1e-6)
    return Picture(region, smooth, np.sqrt(gradient), float(low), span)


def appearance(view: Picture, seeds_kji: np.ndarray) -> Appearance:
    """Of (N, 3) working voxels, at least one; a prompt of few is judged by the 2.5 voxels round its middle one.

    Noise and edges come from the 12 mm round the middle voxel.
    """
    spacing = np.asarray(view.region.spacing_kji_mm)
    middle = seeds_kji[len(seeds_kji) // 2]
    around = _window(middle, np.ceil(12 / spacing), view.smooth.shape)
    if len(seeds_kji) < _FEWEST_SEEDS:
        patch = view.smooth[_window(middle, np.ceil(2.5 * spacing.min() / spacing), view.smooth.shape)]
    else:
        patch = view.smooth[tuple(seeds_kji.T)]
    centre = float(np.median(patch))
    spread = 1.4826 * float(np.median(np.abs(patch - centre)))
    near = view.smooth[around]
    steps = np.abs(np.diff(near, axis=2)) if near.shape[2] > 1 else np.zeros(1)
    noise = max(1.5 * float(np.median(steps)), 0.004 * view.span)
    edge = max(float(np.median(view.gradient[around])), 0.005 * view.span)
    return Appearance(centre, spread, noise, edge)


def costs(view: Picture, look: Appearance) -> np.ndarray:
    """(6, K, J, I) float32 price per mm of entering a voxel, in the order of COSTS."""
    width = float(np.clip(look.spread + look.noise, 0.015 * view.span, 0.12 * view.span))
    away = np.abs(view.smooth - look.centre)
    steep = view.gradient / look.edge
    prices = (
        (0.1, (away / (1.5 * width)) ** 2),
        (0.1, (away / (3 * width)) ** 2),
        (0.5, (away / (3 * width)) ** 2),
        (0.1, (steep / 2) ** 2),
        (0.3, (steep / 3) ** 2 + (away / (4 * width)) ** 2),
        (0.1, (away / (0.12 * view.span)) ** 2),
    )
    return np.stack([floor + np.minimum(price, _STEEPEST) for floor, price in prices]).astype(np.float32)


def _window(seed_kji: np.ndarray, reach: np.ndarray, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    return tuple(
        slice(max(0, int(place - extent)), min(size, int(place + extent) + 1))
        for place, extent, size in zip(seed_kji, reach, shape)
    )
