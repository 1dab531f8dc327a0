"""How any place of a volume looks from afar: the descriptors by which the recall memory finds a place again.

A Landscape is the volume averaged onto coarse lattices along the patient's axes, whatever the orientation, spacing or
obliqueness of its own grid. A descriptor is the averages at one place and at several distances and directions from it,
in boxes that grow with the distance (geometric blur, Berg and Malik, CVPR 2001), and where the place lies between the
outlines of the body. CT enters by a curve of HU, any other image by its ranks within the body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from scipy import ndimage

from .. import modality as modalities
from ..geometry import Grid
from ..memory.recall import EMBEDDING_NUMBERS
from ..volume import Volume

SPACING_MM = 4.0
MOST_SAMPLES = 2_200_000  # of the finest lattice: 512 x 512 x 300 voxels of 0.8 x 0.8 x 2 mm make 1.6 million at 4 mm
CHANNELS = 3  # how bright; how very bright; how empty
LEVELS = 4  # boxes of 4, 8, 16 and 32 mm
UNKNOWN = -1.0  # the value of what lies outside the volume
LEAST_KNOWN = 0.4  # of a box has to be covered by the volume
_SINGLE = 0.6  # steps from the one sample along an axis up to which a place counts as there
_AXES = [sign * np.eye(3)[axis] for axis in range(3) for sign in (1, -1)]
_CORNERS = [np.array([a, b, c]) / np.sqrt(3) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
RINGS = ((0.0, 0, [np.zeros(3)]), (0.0, 1, [np.zeros(3)]), (12.0, 1, _AXES), (30.0, 2, _AXES + _CORNERS),
          (70.0, 3, _AXES + _CORNERS), (120.0, 3, _AXES))  # fmt: skip
_OUTLINE = 4  # numbers on the body's outline
# HU to how bright, how very bright, how empty.
_HU = (-1000.0, -900.0, -600.0, -200.0, -100.0, 0.0, 60.0, 100.0, 200.0, 300.0, 1000.0)
_CURVES = (
    (0.00, 0.00, 0.00, 0.00, 0.25, 0.50, 0.75, 0.82, 1.00, 1.00, 1.00),
    (0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.20, 0.40, 1.00),
    (1.00, 0.75, 0.50, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00),
)


@dataclass(frozen=True, eq=False)
class Level:
    """One lattice. values: (C, K, J, I) float32, 0 to 1. known: (K, J, I) float32, the part of each box that the volume
    covers."""

    grid: Grid
    values: np.ndarray
    known: np.ndarray

    @property
    def spacing_mm(self) -> float:
        return self.grid.spacing_kji_mm[0]

    def read(self, along_ras: Sequence[np.ndarray]) -> np.ndarray:
        """(C, K, J, I) float32 on a lattice along the patient's axes, between samples linearly; UNKNOWN outside the
        volume. along_ras: places along R, A and S in world mm."""
        first, read = self.grid.ijk_to_ras[:3, 3], np.concatenate([self.values, self.known[None]])
        inside = np.ones((1, 1, 1), bool)
        for axis, size in enumerate(self.known.shape):
            places = settled((along_ras[2 - axis] - first[2 - axis]) / self.spacing_mm, size)
            read = interpolated(read, places, axis + 1)
            within = (places >= 0) & (places <= size - 1)
            inside = inside & within.reshape([-1 if other == axis else 1 for other in range(3)])
        read[:-1, (read[-1] < LEAST_KNOWN) | ~inside] = UNKNOWN
        return read[:-1]


def settled(places: np.ndarray, size: int) -> np.ndarray:
    """Places along an axis of so many samples; of a single one, whatever lies in its box lies at its centre: of a few
    slices no place would be known otherwise."""
    return np.where(np.abs(places) <= _SINGLE, 0.0, places) if size == 1 else places


def interpolated(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Values at places between samples along an axis, linearly; beyond the last one its value."""
    last = values.shape[axis] - 1
    low = np.clip(np.floor(places).astype(int), 0, last)
    form = [1] * values.ndim
    form[axis] = len(places)
    part = np.clip(places - low, 0, 1).astype(np.float32).reshape(form)
    lower = np.take(values, low, axis)
    return lower + part * (np.take(values, np.minimum(low + 1, last), axis) - lower)


def along(lattice: Grid) -> list[np.ndarray]:
    """Places along R, A and S in world mm of a lattice along these axes."""
    start, spacing = lattice.ijk_to_ras[:3, 3], lattice.spacing_kji_mm[0]
    return [start[axis] + np.arange(size) * spacing for axis, size in enumerate(reversed(lattice.shape_kji))]


@dataclass(frozen=True, eq=False)
class Landscape:
    """levels: finest first, each twice as coarse as the one before. normalise: of voxel values to (C, ...) float32."""

    levels: tuple[Level, ...]
    modality: str
    normalise: Callable[[np.ndarray], np.ndarray]

    @cached_property
    def body(self) -> np.ndarray:
        """(K, J, I) bool on the finest lattice: what is not empty, largest piece, with what it encloses slice by
        slice."""
        level = self.levels[0]
        solid = (level.values[2] < 0.5) & (level.known > 0.5)
        pieces, count = ndimage.label(solid)
        if count > 1:
            sizes = np.bincount(pieces.ravel())
            sizes[0] = 0
            solid = pieces == int(sizes.argmax())
        return np.stack([ndimage.binary_fill_holes(plane) for plane in solid])

    @cached_property
    def outline(self) -> np.ndarray:
        """(K, 4) for each slice of the finest lattice: left and right, back and front end of the body, mm in RAS; NaN
        where there is none."""
        level, body = self.levels[0], self.body
        ends = np.full((body.shape[0], 4), np.nan)
        for column, axis in ((0, 1), (2, 2)):
            across = body.any(axis=axis)
            some = across.any(axis=1)
            ends[some, column] = across[some].argmax(axis=1)
            ends[some, column + 1] = across.shape[1] - 1 - across[some, ::-1].argmax(axis=1)
        origin = level.grid.ijk_to_ras[:3, 3]
        ends[:, :2] = ends[:, :2] * level.spacing_mm + origin[0]
        ends[:, 2:] = ends[:, 2:] * level.spacing_mm + origin[1]
        smooth = np.array([ndimage.median_filter(column, 5, mode="nearest") for column in ends.T]).T
        return np.where(np.isnan(smooth), ends, smooth)

    def sampled(self, points_ras: np.ndarray, number: int) -> np.ndarray:
        """(C, N) float32 from one level, between its samples linearly; UNKNOWN outside the volume."""
        level = self.levels[number]
        places = level.grid.kji_from_ras(points_ras).T
        places = np.stack([settled(along, size) for along, size in zip(places, level.known.shape)])
        values = np.stack([ndimage.map_coordinates(each, places, order=1, mode="nearest") for each in level.values])
        known = ndimage.map_coordinates(level.known, places, order=1, mode="constant", cval=0.0)
        values[:, known < LEAST_KNOWN] = UNKNOWN
        return values

    def describe(self, points_ras: np.ndarray) -> np.ndarray:
        """(N, DIMENSIONS) float32 descriptors of places in world mm; UNKNOWN where they look out of the volume."""
        points = np.atleast_2d(np.asarray(points_ras, np.float64))
        parts = []
        for distance, number, directions in RINGS:
            around = (points[:, None] + distance * np.array(directions)[None]).reshape(-1, 3)
            seen = self.sampled(around, min(number, len(self.levels) - 1))
            parts.append(seen.reshape(CHANNELS, len(points), -1).transpose(1, 2, 0).reshape(len(points), -1))
        return np.concatenate([*parts, self._within_outline(points)], axis=1)

    def describe_lattice(self, lattice: Grid, where: np.ndarray) -> np.ndarray:
        """The same of those places of a lattice along R, A, S that are chosen by a (K, J, I) bool; far quicker."""
        parts, places = [], along(lattice)
        for distance, number, directions in RINGS:
            level = self.levels[min(number, len(self.levels) - 1)]
            for direction in directions:
                seen = level.read([place + distance * way for place, way in zip(places, direction)])
                parts.append(seen[:, where].T)
        return np.concatenate([*parts, self._within_outline(lattice.ras_from_kji(np.argwhere(where)))], axis=1)

    def _within_outline(self, points: np.ndarray) -> np.ndarray:
        """(N, 4): the part of the way from the body's left to its right, from back to front, and both widths."""
        level = self.levels[0]
        rows = np.floor(level.grid.kji_from_ras(points)[:, 0] + 0.5).astype(int)
        left, right, back, front = self.outline[np.clip(rows, 0, len(self.outline) - 1)].T
        wide, deep = right - left, front - back
        numbers = np.stack(
            [
                (points[:, 0] - left) / np.maximum(wide, 1),
                (points[:, 1] - back) / np.maximum(deep, 1),
                wide / 500,
                deep / 500,
            ],
            axis=1,
        )
        numbers = np.clip(numbers, 0, 1)
        numbers[~np.isfinite(numbers)] = UNKNOWN
        return numbers.astype(np.float32)

    @cached_property
    def embedding(self) -> np.ndarray:
        """(48,) float32 of the whole volume: what it covers, how its intensities are spread, and what of it is body,
        dense or empty from its feet end to its head end."""
        level, body = self.levels[0], self.body
        extent = np.asarray(body.shape) * level.spacing_mm / 1000
        share = body.mean()
        bright, dense, empty = (channel[body] for channel in level.values) if body.any() else (np.zeros(1),) * 3
        spread = np.histogram(bright, bins=8, range=(0, 1.0001))[0] / bright.size
        rows = np.flatnonzero(body.any(axis=(1, 2)))
        profile = np.zeros((3, 8))
        if rows.size:
            for part, which in enumerate(np.array_split(np.arange(rows[0], rows[-1] + 1), 8)):
                within = body[which] if which.size else body[rows[:1]]
                planes = which if which.size else rows[:1]
                area = within.sum() / max(len(planes), 1) * level.spacing_mm**2 / 1e5
                count = max(int(within.sum()), 1)
                profile[:, part] = (
                    area,
                    3 * level.values[1][planes][within].sum() / count,
                    level.values[2][planes][within].sum() / count,
                )
        kind = [float(self.modality == known) for known in ("CT", "MR", "PET")]
        tail = [share, dense.mean(), empty.mean(), bright.mean(), bright.std()]
        numbers = np.concatenate([kind, extent, tail, spread, profile.ravel()])
        return np.pad(numbers, (0, EMBEDDING_NUMBERS - len(numbers))).astype(np.float32)


DIMENSIONS = CHANNELS * sum(len(directions) for _, _, directions in RINGS) + _OUTLINE
_cache: WeakKeyDictionary[Volume, Landscape] = WeakKeyDictionary()


def landscape(volume: Volume) -> Landscape:
    """The volume's landscape, worked out once."""
    found = _cache.get(volume)
    if found is None:
        found = _cache[volume] = _made(volume)
    return found


def _made(volume: Volume) -> Landscape:
    modality = modalities.guess(volume)
    normalise = _hounsfield if modality == "CT" else _ranks(modalities.samples(volume))
    finest = _finest(volume, _by_table(volume, normalise))
    levels = [finest]
    for _ in range(LEVELS - 1):
        levels.append(_coarser(levels[-1]))
    return Landscape(tuple(levels), modality, normalise)


def _by_table(volume: Volume, normalise: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """The same, looked up where voxels are whole numbers of no great range."""
    low, high = volume.intensity_range
    if volume.array_kji.dtype.kind not in "iu" or high - low > 70_000:
        return normalise
    table = normalise(np.arange(int(low), int(high) + 1))

    def looked_up(array: np.ndarray) -> np.ndarray:
        places = array.astype(np.int32) - int(low)
        return np.stack([row[places] for row in table])

    return looked_up


def _hounsfield(values: np.ndarray) -> np.ndarray:
    """(C, ...) float32 by the curves."""
    return np.stack([np.interp(values, _HU, curve).astype(np.float32) for curve in _CURVES])


def _ranks(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Ranks within what is brighter than the background, from samples of the volume."""
    low, high = np.percentile(values, [0.5, 99.5])
    threshold = low + 0.08 * (high - low)
    above = np.sort(values[values > threshold])
    if above.size < 10:
        above = np.sort(values)
        threshold = -np.inf
    knots = above[np.linspace(0, len(above) - 1, 65).astype(int)]
    steps, first = np.unique(knots, return_index=True)
    ranks = np.linspace(0, 1, 65)[first]

    def normalise(array: np.ndarray) -> np.ndarray:
        rank = np.interp(array, steps, ranks).astype(np.float32)
        empty = (np.asarray(array) <= threshold).astype(np.float32)
        return np.stack([rank * (1 - empty), np.clip((rank - 0.8) * 5, 0, 1), empty])

    return normalise


def _finest(volume: Volume, normalise: Callable[[np.ndarray], np.ndarray]) -> Level:
    """The volume's channels averaged over blocks of its own voxels, then read onto a lattice along R, A, S."""
    grid = volume.grid
    last = np.asarray(grid.shape_kji) - 1
    corners = np.array(np.meshgrid(*[(-0.5, size + 0.5) for size in last], indexing="ij")).reshape(3, -1).T
    ras = grid.ras_from_kji(corners)
    low, high = ras.min(axis=0), ras.max(axis=0)
    spacing = max(SPACING_MM, float(np.cbrt(np.prod(high - low) / MOST_SAMPLES)))
    shape = tuple(int(size) for size in np.maximum(np.ceil((high - low) / spacing - 1e-6), 1)[::-1])
    middle = (low + high) / 2 - (np.array(shape[::-1]) - 1) / 2 * spacing
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = middle
    lattice = Grid(shape, matrix)
    blocks, first, step = _blocks(volume.array_kji, grid.spacing_kji_mm, spacing, normalise)
    # from lattice (k, j, i) to native to block coordinates
    to_native = (grid.ras_to_ijk @ lattice.ijk_to_ras)[:3]
    turned, moved = to_native[::-1, :3][:, ::-1], to_native[::-1, 3]
    matrix_kji, offset = turned / step[:, None], (moved - first) / step
    values = np.stack(
        [
            ndimage.affine_transform(channel, matrix_kji, offset, shape, order=1, mode="nearest", output=np.float32)
            for channel in blocks
        ]
    )
    known = np.ones(shape, bool)
    for axis in range(3):
        along = moved[axis]
        for other in range(3):
            form = [1, 1, 1]
            form[other] = shape[other]
            along = along + (turned[axis, other] * np.arange(shape[other])).reshape(form)
        # A slab thinner than a box counts as one box thick, or an oblique one would slip between the boxes' centres.
        margin = max(0.5, (spacing / grid.spacing_kji_mm[axis] - last[axis]) / 2)
        known &= (along >= -margin) & (along <= last[axis] + margin)
    return Level(lattice, values * known, known.astype(np.float32))


def _blocks(
    array: np.ndarray, spacing_kji_mm: tuple[float, ...], wanted_mm: float, normalise: Callable
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(C, k, j, i) float32 means over blocks; the native place of the first block's centre, and the step between
    two."""
    sizes = [
        max(1, min(int(wanted_mm / spacing + 1e-6), length)) for spacing, length in zip(spacing_kji_mm, array.shape)
    ]
    looks = [min(2, size) for size in sizes]
    strides = [size // look for size, look in zip(sizes, looks)]
    steps = [stride * look for stride, look in zip(strides, looks)]
    counts = [max(1, length // step) for length, step in zip(array.shape, steps)]
    total = np.zeros((CHANNELS, *counts), np.float32)
    per_slab = max(1, 2_000_000 // (counts[1] * counts[2]))
    for low in range(0, counts[0], per_slab):
        high = min(counts[0], low + per_slab)
        for start in np.ndindex(*looks):
            part = array[tuple(
                slice(begin * step + look * stride, end * step, step)
                for begin, end, step, look, stride in zip((low, 0, 0), (high, *counts[1:]), steps, start, strides)
            )]  # fmt: skip
            total[:, low:high] += normalise(part)
    total /= np.prod(looks)
    first = np.array([stride * (look - 1) / 2 for stride, look in zip(strides, looks)])
    return total, first, np.array(steps, float)


def _coarser(level: Level) -> Level:
    """Twice as coarse; each box the mean of what is known of the eight it covers. Along an axis on which the volume is
    no more than one box, that stays where it is and counts as a box of the new size."""
    single = np.array([size == 1 for size in level.known.shape])
    padding = [(0, size % 2) for size in level.known.shape]
    known = _doubled(np.pad(level.known, np.where(single[:, None], 0, padding)), single)
    values = _doubled(np.pad(level.values, [(0, 0), *np.where(single[:, None], 0, padding)]), single) * known
    shape = tuple(size // 2 for size in known.shape)

    def pooled(array: np.ndarray) -> np.ndarray:
        return array.reshape(*array.shape[:-3], shape[0], 2, shape[1], 2, shape[2], 2).mean(axis=(-5, -3, -1))

    part = pooled(known)
    mean = pooled(values) / np.maximum(part, 1e-6)
    matrix = level.grid.ijk_to_ras.copy()
    matrix[:3, 3] += matrix[:3, :3] @ np.where(single, 0.0, 0.5)[::-1]
    matrix[:3, :3] *= 2
    return Level(Grid(shape, matrix), mean.astype(np.float32), part.astype(np.float32))


def _doubled(array: np.ndarray, single: np.ndarray) -> np.ndarray:
    """Each sample twice along the single ones of the last three axes."""
    for axis in np.flatnonzero(single):
        array = np.repeat(array, 2, axis=axis - 3)
    return array
