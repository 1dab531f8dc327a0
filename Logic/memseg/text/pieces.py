"""A set of voxels with its measures in mm: what is combined, grown, cut and compared while words are grounded.

All measures are taken in the patient's space, so that anisotropic and oblique grids make no difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from ..geometry import Box, Grid

FULL = np.ones((3, 3, 3), bool)  # 26 neighbours
_CALIPERS = np.array(
    [(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) if (a, b, c) > (0, 0, 0)], float
).T
_CALIPERS /= np.linalg.norm(_CALIPERS, axis=0)
_MOST_POINTS = 20_000  # of a piece's measures; a liver's extents differ by less than a voxel from those of all points


@dataclass(frozen=True, eq=False)
class Piece:
    """Voxels of a grid. box: tight, half-open; empty for no voxel. values: bool crop of its shape, read-only."""

    grid: Grid
    box: Box
    values: np.ndarray

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=bool)
        if values.shape != self.box.shape_kji:
            raise ValueError(f"The values have shape {values.shape}, their box {self.box.shape_kji}.")
        tight = Box.of_mask(values)
        if tight.shape_kji != values.shape:
            values = np.ascontiguousarray(values[tight.slices])
        values = values.view()
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "box", tight.shifted(self.box.start_kji) if not tight.is_empty else Box.empty())

    @classmethod
    def of(cls, grid: Grid, mask_kji: np.ndarray) -> Piece:
        """From a whole mask of the grid's shape."""
        return cls(grid, grid.box, mask_kji)

    @classmethod
    def nothing(cls, grid: Grid) -> Piece:
        return cls(grid, Box.empty(), np.zeros((0, 0, 0), bool))

    # -- measures ------------------------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        return self.box.is_empty

    @cached_property
    def voxels(self) -> int:
        return int(np.count_nonzero(self.values))

    @property
    def volume_mm3(self) -> float:
        return self.voxels * self.grid.voxel_volume_mm3

    @cached_property
    def points_ras(self) -> np.ndarray:
        """(N, 3) mm: voxel centres, of large pieces at even distances in array order."""
        places = np.argwhere(self.values)
        if len(places) > _MOST_POINTS:
            places = places[np.linspace(0, len(places) - 1, _MOST_POINTS).astype(int)]
        return self.grid.ras_from_kji(places + self.box.start_kji)

    @cached_property
    def centre_ras(self) -> np.ndarray:
        """(3,) mm: the mean of its voxels."""
        return self.points_ras.mean(axis=0)

    @cached_property
    def extents_mm(self) -> np.ndarray:
        """(3,) extent along its own principal axes, longest first; one voxel counts with its size."""
        points = self.points_ras - self.centre_ras
        _, axes = np.linalg.eigh(points.T @ points / len(points))
        return np.sort(self._extents_along(axes))[::-1]

    def _extents_along(self, axes: np.ndarray) -> np.ndarray:
        """(N,) mm along unit vectors, the columns of (3, N)."""
        steps = self.grid.ijk_to_ras[:3, :3][:, ::-1]  # columns: of one voxel along k, j, i
        along = (self.points_ras - self.centre_ras) @ axes
        voxel = np.sqrt(np.square(steps.T @ axes).sum(axis=0))
        return along.max(axis=0) - along.min(axis=0) + voxel

    @cached_property
    def longest_mm(self) -> float:
        """Its largest extent along its principal axes, the patient's, and their diagonals."""
        return float(max(self.extents_mm[0], self._extents_along(_CALIPERS).max()))

    @cached_property
    def compactness(self) -> float:
        """1 for a ball, towards 0 for what is thin, long or ragged: how much of the ellipsoid of its extents it fills,
        times how round that is."""
        a, b, c = self.extents_mm
        filled = min(self.volume_mm3 / (np.pi / 6 * a * b * c), 1.0)
        return float(filled * np.cbrt(b * c / (a * a)))

    @cached_property
    def tubularity(self) -> float:
        """Its length in diameters of the tube of its length and volume: 1.2 for a ball, 5 and more for a vessel."""
        length = float(self.extents_mm[0])
        return float(length / np.sqrt(4 * self.volume_mm3 / (np.pi * length)))

    @cached_property
    def flatness(self) -> float:
        """Its middle extent in thicknesses: 1 for a ball, 4 and more for a sheet."""
        _, middle, _ = self.extents_mm
        thickness = 2 * float(np.mean(self.depth_mm[self.values])) * 2
        return float(middle / max(thickness, 1e-3))

    @cached_property
    def hollowness(self) -> float:
        """The part of it, filled slice by slice, that is a hole: 0 for a solid one."""
        filled = self.filled(by_slice=True)
        return 1 - self.voxels / filled.voxels

    @cached_property
    def depth_mm(self) -> np.ndarray:
        """Float32 of the crop's shape: distance of its voxels to its surface, 0 outside it."""
        return distance_mm(np.pad(self.values, 1), self.grid.spacing_kji_mm)[1:-1, 1:-1, 1:-1]

    @cached_property
    def deepest_kji(self) -> tuple[int, int, int]:
        place = np.unravel_index(int(np.argmax(self.depth_mm)), self.values.shape)
        return tuple(int(index + start) for index, start in zip(place, self.box.start_kji))

    # -- other pieces --------------------------------------------------------------------------------------------

    def at(self, box: Box) -> np.ndarray:
        """Bool crop at any box of the grid."""
        crop = np.zeros(box.shape_kji, bool)
        shared = self.box.intersection(box)
        if not shared.is_empty:
            crop[shared.relative_to(box).slices] = self.values[shared.relative_to(self.box).slices]
        return crop

    def within(self, other: Piece) -> Piece:
        box = self.box.intersection(other.box)
        return Piece(self.grid, box, self.at(box) & other.at(box))

    def without(self, other: Piece) -> Piece:
        return Piece(self.grid, self.box, self.values & ~other.at(self.box))

    def overlap(self, other: Piece) -> float:
        """Intersection over union; 0 for two empty ones."""
        if self.box.intersection(other.box).is_empty:
            return 0.0
        shared = self.within(other).voxels
        return shared / max(self.voxels + other.voxels - shared, 1)

    def share_in(self, other: Piece) -> float:
        """The part of it that lies in the other."""
        return self.within(other).voxels / max(self.voxels, 1)

    def kept(self, mask: np.ndarray) -> Piece:
        """Only where a bool crop of its box says so."""
        return Piece(self.grid, self.box, self.values & mask)

    def components(self, fewest: int = 1) -> tuple[Piece, ...]:
        """Its 26-connected pieces of so many voxels at least, largest first."""
        if self.is_empty:
            return ()
        labels, count = ndimage.label(self.values, structure=FULL)
        if count == 1:
            return (self,) if self.voxels >= fewest else ()
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        places = ndimage.find_objects(labels)
        order = sorted(range(1, count + 1), key=lambda label: (-sizes[label], label))
        return tuple(
            Piece(self.grid, _box_of(places[label - 1], self.box), labels[places[label - 1]] == label)
            for label in order
            if sizes[label] >= fewest
        )

    # -- changes -------------------------------------------------------------------------------------------------

    def grown(self, mm: float) -> Piece:
        """By so many mm on every side, inside the volume; negative shrinks. Less than half a voxel changes nothing."""
        if self.is_empty:
            return self
        margin = np.ceil(abs(mm) / np.asarray(self.grid.spacing_kji_mm)).astype(int) + 1
        if mm >= 0:
            box = self.box.grown(margin).clipped(self.grid.shape_kji)
            far = distance_mm(~self.at(box), self.grid.spacing_kji_mm)
            return Piece(self.grid, box, far <= mm)
        box = self.box.grown(1)  # beyond the volume's end nothing is known, so nothing shrinks from there
        values, whole = self.at(box), self.grid.box
        for axis, (low, high) in enumerate(zip(self.box.start_kji, self.box.stop_kji)):
            for face, ends in ((0, low == whole.start_kji[axis]), (-1, high == whole.stop_kji[axis])):
                if ends:
                    inner = 1 if face == 0 else -2
                    np.moveaxis(values, axis, 0)[face] = np.moveaxis(values, axis, 0)[inner]
        deep = distance_mm(values, self.grid.spacing_kji_mm) > -mm
        return Piece(self.grid, box, deep).within(self)

    def smoothed(self, mm: float) -> Piece:
        """Its outline evened out over so many mm; its volume stays about the same."""
        if self.is_empty:
            return self
        sigma = [mm / 2 / spacing for spacing in self.grid.spacing_kji_mm]
        margin = [int(np.ceil(2 * each)) + 1 for each in sigma]
        box = self.box.grown(np.asarray(margin)).clipped(self.grid.shape_kji)
        blurred = ndimage.gaussian_filter(self.at(box).astype(np.float32), sigma, mode="nearest", truncate=3.0)
        return Piece(self.grid, box, blurred > 0.5)

    def filled(self, by_slice: bool = False) -> Piece:
        """With its holes; by_slice: also with what every slice across its grid's coarsest axis closes in."""
        if self.is_empty:
            return self
        values = ndimage.binary_fill_holes(self.values)
        if by_slice:
            axis = int(np.argmax(self.grid.spacing_kji_mm))
            planes = [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(values, axis, 0)]
            values = np.moveaxis(np.stack(planes), 0, axis)
        return Piece(self.grid, self.box, values)

    def closed(self, mm: float) -> Piece:
        """With gaps narrower than twice so many mm bridged."""
        return united((self.grown(mm).grown(-mm), self))

    def opened(self, times: int = 1) -> Piece:
        """Without what is thinner than twice so many voxels and one."""
        if self.is_empty:
            return self
        padded = np.pad(self.values, times, mode="edge")
        inner = (slice(times, -times),) * 3
        return self.kept(ndimage.binary_opening(padded, FULL, iterations=times)[inner])


def _box_of(place: tuple[slice, ...], outer: Box) -> Box:
    box = Box(tuple(part.start for part in place), tuple(part.stop for part in place))
    return box.shifted(outer.start_kji)


def united(pieces: Iterable[Piece]) -> Piece:
    """All of them together; at least one."""
    pieces = tuple(pieces)
    grid = pieces[0].grid
    pieces = tuple(piece for piece in pieces if not piece.is_empty)
    box = Box.empty()
    for piece in pieces:
        box = box.union(piece.box)
    values = np.zeros(box.shape_kji, bool)
    for piece in pieces:
        values[piece.box.relative_to(box).slices] |= piece.values
    return Piece(grid, box, values)


def distance_mm(mask: np.ndarray, spacing_kji_mm: tuple[float, float, float]) -> np.ndarray:
    """Float32: for voxels of the mask, the distance in mm to the nearest voxel outside it, 0 for those; without any
    outside, infinite. (SimpleITK's is four times as fast as SciPy's on 9 million voxels.)"""
    import SimpleITK as sitk

    mask = np.asarray(mask, dtype=bool)
    if mask.size == 0 or mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    if min(mask.shape) < 2:
        return ndimage.distance_transform_edt(mask, sampling=spacing_kji_mm).astype(np.float32)
    image = sitk.GetImageFromArray((~mask).astype(np.uint8))
    image.SetSpacing([float(spacing) for spacing in reversed(spacing_kji_mm)])
    far = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return np.clip(sitk.GetArrayFromImage(far), 0, None).astype(np.float32)
