"""How a remembered structure lies in another volume: each remembered place round it looks for where it is there now.

Every place tries a cube of displacements; the costs of neighbours are averaged, and displacements are evened out
between tries (coupled convex optimisation, Heinrich et al., MICCAI 2014), first coarsely and as one affine motion, then
finely and each for itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..memory.recall import RecallEntry
from .places import UNKNOWN, Landscape
from .remembering import CoarseShape, looks_as_numbers, near_level, near_places

_BLIND = 0.08  # mean squared difference of a place that lies outside the volume
_FARTHEST = 0.25


@dataclass(frozen=True)
class Passing:
    """reach, step: of the displacements tried, mm. together: neighbours over how many lattice steps agree on costs.
    even: weight of staying near the neighbours' displacement, per mm squared. thinned: only every so many places take
    part. affine: whether all move by one affine motion."""

    reach_mm: float
    step_mm: float
    together: float
    even: float
    affine: bool = False
    thinned: int = 1


PASSES = (
    Passing(18.0, 6.0, 2.5, 2e-5, affine=True, thinned=2),
    Passing(8.0, 4.0, 1.5, 6e-5),
    Passing(2.5, 2.5, 1.0, 1e-4),
)


@dataclass(frozen=True, eq=False)
class Match:
    """places_mm: (N, 3) remembered places, R, A, S from the structure's centre. moved_mm: (N, 3) how far each lies from
    where the centre_ras alone would put it. residual: (N,) root mean square difference of how they look. distance: its
    mean."""

    entry: RecallEntry
    centre_ras: np.ndarray
    places_mm: np.ndarray
    moved_mm: np.ndarray
    residual: np.ndarray
    distance: float

    @property
    def now_ras(self) -> np.ndarray:
        """(N, 3) where the places lie in the volume."""
        return self.centre_ras + self.places_mm + self.moved_mm


def match(entry: RecallEntry, centre_ras: np.ndarray, seen: Landscape, passes: tuple[Passing, ...] = PASSES) -> Match:
    """From a first idea of where the structure's centre is."""
    spacing = entry.near_spacing_mm
    places = near_places(entry.near_index, spacing)
    looks = looks_as_numbers(entry.near_keys)
    patch = Patch(seen, centre_ras + places, spacing, sum(each.reach_mm for each in passes))
    moved = np.zeros_like(places)
    for each in passes:
        some = (entry.near_index % each.thinned == 0).all(axis=1)
        if np.count_nonzero(some) < 30:
            some = np.ones(len(places), bool)
        tried = _cube(each.reach_mm, each.step_mm)
        index = entry.near_index[some] // (each.thinned if not some.all() else 1)
        neighbours = Neighbours(index, each.together / (each.thinned if not some.all() else 1))
        costs = neighbours.mean(patch.costs(centre_ras + places[some] + moved[some], looks[some], tried))
        shifts = _agreed(costs, tried, moved[some], neighbours, each.even)
        if each.affine:
            moved = moved + _affine(places[some], shifts, places)
        else:
            moved = moved.copy()
            moved[some] += shifts
    residual = np.sqrt(patch.costs(centre_ras + places + moved, looks, np.zeros((1, 3)))[:, 0])
    return Match(entry, centre_ras, places, moved, residual, float(residual.mean()))


class Patch:
    """The part of a landscape round a structure, quick to look up: (K * J * I, 2 C) float32 along S, A, R."""

    STEP_MM = 2.0

    def __init__(self, seen: Landscape, points_ras: np.ndarray, spacing_mm: float, reach_mm: float) -> None:
        low, high = points_ras.min(axis=0) - reach_mm - 4, points_ras.max(axis=0) + reach_mm + 4
        self.step = max(self.STEP_MM, 0.4 * spacing_mm, float(np.cbrt(np.prod(high - low) / 150_000)))
        self.low = low
        axes = [
            low[axis] + np.arange(int(np.ceil((high - low)[axis] / self.step)) + 1) * self.step for axis in range(3)
        ]
        level = near_level(spacing_mm)
        values = [each.read(axes) for each in seen.levels[level : level + 2]]
        self.size = np.array(values[0].shape[1:])
        self.values = np.ascontiguousarray(np.concatenate(values).reshape(sum(map(len, values)), -1).T)

    def costs(self, points_ras: np.ndarray, looks: np.ndarray, tried: np.ndarray) -> np.ndarray:
        """(N, U) float32 mean squared differences between how N places looked and the volume, displaced by U."""
        known = looks[:, 0] != UNKNOWN, looks[:, -1] != UNKNOWN
        half = looks.shape[1] // 2
        weight = np.repeat(np.stack(known, axis=1), half, axis=1).astype(np.float32)
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1)
        at = np.floor((points_ras - self.low) / self.step + 0.5).astype(np.int64)[:, ::-1]
        steps = np.floor(tried / self.step + 0.5).astype(np.int64)[:, ::-1]
        costs = np.empty((len(tried), len(looks)), np.float32)
        for row, step in zip(costs, steps):
            k, j, i = np.clip(at + step, 0, self.size - 1).T
            there = self.values[(k * self.size[1] + j) * self.size[2] + i]
            squared = np.square(there - looks)
            squared[there < 0] = _BLIND
            np.einsum("nc,nc->n", squared, weight, out=row)
        costs[:, ~np.any(known, axis=0)] = _BLIND
        return np.minimum(costs, _FARTHEST).T


def _cube(reach_mm: float, step_mm: float) -> np.ndarray:
    """(U, 3) displacements, the shortest first."""
    steps = np.arange(-round(reach_mm / step_mm), round(reach_mm / step_mm) + 1) * step_mm
    cube = np.array(np.meshgrid(steps, steps, steps, indexing="ij")).reshape(3, -1).T
    return cube[np.argsort(np.square(cube).sum(axis=1), kind="stable")]


class Neighbours:
    """Gaussian means over the places of a lattice that are there. index: (N, 3). sigma: in steps of the lattice."""

    def __init__(self, index: np.ndarray, sigma: float) -> None:
        self.at = tuple((index - index.min(axis=0)).astype(np.int64).T)
        self.shape = tuple(int(axis.max()) + 1 for axis in self.at)
        reach = max(1, int(np.ceil(1.8 * sigma)))
        self.kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma)).astype(np.float32)
        self.total = self._spread(np.ones((len(index), 1), np.float32))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(N, U) to (N, U) float32."""
        return self._spread(values) / self.total

    def _spread(self, values: np.ndarray) -> np.ndarray:
        field = np.zeros((*self.shape, values.shape[1]), np.float32)
        field[self.at] = values
        for axis in range(3):
            field = ndimage.correlate1d(field, self.kernel, axis=axis, mode="constant")
        return field[self.at]


def _agreed(
    costs: np.ndarray, tried: np.ndarray, before: np.ndarray, neighbours: Neighbours, even: float
) -> np.ndarray:
    """(N, 3) displacements that cost little and differ little between neighbours."""
    wanted = tried.astype(np.float32)
    lengths = np.square(wanted).sum(axis=1)
    chosen = tried[costs.argmin(axis=1)]
    for strength in (0.3, 1.0, 3.0, 10.0):
        mean = (neighbours.mean(before + chosen) - before).astype(np.float32)
        away = lengths - 2 * mean @ wanted.T  # and the mean's own length, which is the same for all
        chosen = tried[(costs + np.float32(even * strength) * away).argmin(axis=1)]
    return neighbours.mean(before + chosen) - before


def _affine(places: np.ndarray, moved: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The affine motion nearest to displacements of places, its stretch and turn within bounds, at the places
    wanted."""
    table = np.column_stack([places, np.ones(len(places))])
    held = 0.3 * 30.0 * np.sqrt(len(places)) * np.eye(4)[:3]  # holds it to a shift where the places say little
    target = np.concatenate([moved, np.zeros((3, 3))])
    solution = np.linalg.lstsq(np.concatenate([table, held]), target, rcond=None)[0]
    solution[:3] = np.clip(solution[:3], -0.3, 0.3)
    return np.column_stack([wanted, np.ones(len(wanted))]) @ solution


def signed_distance(found: Match, points_ras: np.ndarray, neighbours: int = 4) -> np.ndarray:
    """(P,) mm to the structure's surface at world points, positive inside, the remembered shape moved with the
    places."""
    shape = CoarseShape.of_entry(found.entry)
    distance, start = shape.distances(24.0)
    now = found.now_ras
    apart, near = cKDTree(now).query(points_ras, k=min(neighbours, len(now)))
    apart, near = apart.reshape(len(points_ras), -1), near.reshape(len(points_ras), -1)
    weight = 1 / (np.square(apart) + (0.3 * found.entry.near_spacing_mm) ** 2)
    moved = np.einsum("pn,pnc->pc", weight, found.moved_mm[near]) / weight.sum(axis=1, keepdims=True)
    then = points_ras - found.centre_ras - moved
    index = ((then - start) / shape.spacing_mm)[:, ::-1].T
    read = ndimage.map_coordinates(distance, index, order=1, mode="nearest")
    return read - np.maximum(apart[:, 0] - 25.0, 0)
