"""Where a remembered structure would be in another volume: every place votes, by its likeness to the remembered ones.

Each remembered place (key) is compared with places all over the volume; likeness moved by the key's offset to the
structure's centre, and summed over the keys, is a map of where the centre may be (a generalised Hough transform). Keys
may be off by a step each, as people differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from scipy import ndimage

from ..geometry import Grid
from ..memory.recall import RecallEntry
from .places import CHANNELS, RINGS, UNKNOWN, Landscape

STEP_MM = 8.0
MOST_PLACES = 40_000
FURTHEST = 0.30  # a descriptor's distance above which a place is simply another place
_SLACK = 0.02  # distance added for each step a key is off
_BLIND = 0.06  # squared distance of a place that sees nothing of what the key saw

RING_WEIGHTS = (2.0, 2.0, 1.5, 1.5, 1.0, 0.5)
OUTLINE_WEIGHTS = (1.0, 1.0, 0.3, 0.3)


def weights() -> np.ndarray:
    """(D,) float32, sum 1: how much each number of a descriptor counts."""
    parts = [
        np.full(CHANNELS * len(directions), weight / (CHANNELS * len(directions)))
        for weight, (_, _, directions) in zip(RING_WEIGHTS, RINGS)
    ]
    whole = np.concatenate([*parts, np.array(OUTLINE_WEIGHTS) * 0.5])
    return (whole / whole.sum()).astype(np.float32)


_WEIGHTS = weights()


@dataclass(frozen=True, eq=False)
class Search:
    """Places all over a body. lattice: along R, A, S. where: (K, J, I) bool, where there is a place. descriptors: (N,
    D)."""

    lattice: Grid
    where: np.ndarray
    descriptors: np.ndarray

    @cached_property
    def terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(D, N) each: whether a number is known, itself where it is, its square."""
        known = self.descriptors != UNKNOWN
        values = np.where(known, self.descriptors, np.float32(0))
        return tuple(np.ascontiguousarray(each.T, np.float32) for each in (known, values, np.square(values)))

    @property
    def step_mm(self) -> float:
        return self.lattice.spacing_kji_mm[0]


@dataclass(frozen=True, eq=False)
class Spot:
    """Where an entry's structure would be. centre_ras: world mm. distance: mean over its keys of how unlike the places
    are that they would lie at, 0 (the same) to FURTHEST. rival: the same at the best place elsewhere."""

    entry: RecallEntry
    centre_ras: np.ndarray
    distance: float
    rival: float


_cache: WeakKeyDictionary[Landscape, Search] = WeakKeyDictionary()


def search(seen: Landscape) -> Search:
    """The volume's places, described once."""
    found = _cache.get(seen)
    if found is None:
        found = _cache[seen] = _made(seen)
    return found


def _made(seen: Landscape) -> Search:
    level = seen.levels[0]
    body = seen.body
    occupied = np.argwhere(body)
    if len(occupied) == 0:
        occupied = np.argwhere(level.known > 0.5)
    ras = level.grid.ras_from_kji(occupied)
    low, high = ras.min(axis=0), ras.max(axis=0)
    step = max(STEP_MM, float(np.cbrt(len(occupied) / MOST_PLACES)) * level.spacing_mm)
    shape = tuple(int(size) for size in np.floor((high - low) / step + 1e-6).astype(int)[::-1] + 1)
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = (low + high) / 2 - (np.array(shape[::-1]) - 1) / 2 * step
    lattice = Grid(shape, matrix)
    index = np.array(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij")).reshape(3, -1).T
    points = lattice.ras_from_kji(index)
    nearest = np.floor(level.grid.kji_from_ras(points) + 0.5).astype(int)
    nearest = np.clip(nearest, 0, np.array(level.grid.shape_kji) - 1)
    grown = ndimage.binary_dilation(body, iterations=2) if body.any() else level.known > 0.5
    where = grown[tuple(nearest.T)].reshape(shape)
    return Search(lattice, where, seen.describe_lattice(lattice, where))


def unlikeness(keys: np.ndarray, places: Search) -> np.ndarray:
    """(A, N) float32 weighted root mean square differences of descriptors, of what both know."""
    keys = keys.astype(np.float32)
    known = (keys != UNKNOWN).astype(np.float32)
    keys = keys * known
    weighted = known * _WEIGHTS
    there, values, squares = places.terms
    both = weighted @ there
    squared = weighted @ squares - 2 * (weighted * keys) @ values + (weighted * keys**2) @ there
    told = both / np.maximum(weighted.sum(axis=1, keepdims=True), 1e-6)
    mean = np.maximum(squared, 0) / np.maximum(both, 1e-6)
    return np.sqrt(told * mean + (1 - told) * _BLIND)


def votes(entry: RecallEntry, places: Search) -> np.ndarray:
    """(K, J, I) float32 on the search lattice: mean distance of the keys were the centre there, 0 to FURTHEST."""
    apart = np.minimum(unlikeness(entry.keys, places), FURTHEST)
    offsets = np.floor(entry.values[:, 2:].astype(np.float64)[:, ::-1] / places.step_mm + 0.5).astype(int)
    total = np.zeros(places.where.shape, np.float32)
    field = np.empty(places.where.shape, np.float32)
    for row, offset in zip(apart, offsets):
        field.fill(FURTHEST)
        field[places.where] = row
        total += _moved(_slackened(field), -offset)
    return total / len(apart)


def _slackened(field: np.ndarray) -> np.ndarray:
    """The least of a place and its six neighbours, these at a price."""
    least = field.copy()
    for axis in range(3):
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        np.minimum(least[tuple(low)], field[tuple(high)] + _SLACK, out=least[tuple(low)])
        np.minimum(least[tuple(high)], field[tuple(low)] + _SLACK, out=least[tuple(high)])
    return least


def _moved(field: np.ndarray, by: np.ndarray) -> np.ndarray:
    """field[x - by] at x; FURTHEST where that is off the lattice."""
    moved = np.full(field.shape, FURTHEST, np.float32)
    to, source = [], []
    for size, shift in zip(field.shape, by):
        if abs(shift) >= size:
            return moved
        to.append(slice(max(shift, 0), size + min(shift, 0)))
        source.append(slice(max(-shift, 0), size - max(shift, 0)))
    moved[tuple(to)] = field[tuple(source)]
    return moved


def locate(entries: tuple[RecallEntry, ...], seen: Landscape) -> list[Spot]:
    """Where each entry's structure would be, best first: near where all of them together say it is."""
    if not entries:
        return []
    places = search(seen)
    maps = np.stack([votes(entry, places) for entry in entries])
    together = maps.mean(axis=0) + 0.5 * maps.min(axis=0)
    best = np.unravel_index(int(together.argmin()), together.shape)
    reach = max(2, int(np.ceil(20.0 / places.step_mm)))
    window = tuple(slice(max(0, at - reach), at + reach + 1) for at in best)
    start = np.array([each.start for each in window])
    far = np.ones(together.shape, bool)
    away = int(np.ceil(40.0 / places.step_mm))
    far[tuple(slice(max(0, at - away), at + away + 1) for at in best)] = False
    spots = []
    for entry, field in zip(entries, maps):
        local = field[window]
        at = np.array(np.unravel_index(int(local.argmin()), local.shape))
        rival = float(field[far].min()) if far.any() else FURTHEST
        spots.append(Spot(entry, places.lattice.ras_from_kji(_finer(local, at) + start), float(local.min()), rival))
    return sorted(spots, key=lambda spot: spot.distance)


def _finer(field: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The least place between samples, by a parabola along each axis."""
    place = at.astype(np.float64)
    for axis in range(3):
        if 0 < at[axis] < field.shape[axis] - 1:
            step = np.eye(3, dtype=int)[axis]
            before, here, after = (float(field[tuple(at + shift * step)]) for shift in (-1, 0, 1))
            bend = before - 2 * here + after
            if bend > 1e-9:
                place[axis] += np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    return place
