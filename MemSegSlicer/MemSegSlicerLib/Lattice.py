"""How the voxels of a volume lie on those of a segment's labelmap: arithmetic on arrays, no scene in here.

A labelmap's lattice may be the volume's own, shifted by whole voxels (cropped), finer (oversampled) or turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from memseg.geometry import Box, nearest_voxel
from memseg.volume import MaskChange

_SAME_DIRECTION = 1e-4  # voxels per voxel: 0.1 over a thousand, above the rounding of headers kept in float32
_SAME_PLACE = 0.1  # voxels


@dataclass(frozen=True, eq=False)
class Alignment:
    """volumeToLattice: (4, 4), voxel (i, j, k, 1) of the volume to voxel of the lattice."""

    volumeToLattice: np.ndarray

    @cached_property
    def latticeToVolume(self) -> np.ndarray:
        return np.linalg.inv(self.volumeToLattice)

    @cached_property
    def wholeShift_kji(self) -> tuple[int, int, int] | None:
        """By how much indices grow where both lattices are the same but for a shift by whole voxels, else None."""
        whole = np.rint(self.volumeToLattice)
        if not (self._isWhole and np.array_equal(whole[:3, :3], np.eye(3))):
            return None
        return tuple(int(value) for value in whole[2::-1, 3])

    @cached_property
    def keepsMasks(self) -> bool:
        """Whether every mask survives the way to the lattice and back.

        It does where both have the same voxels (perhaps with axes in another order), and where the lattice point
        nearest to a voxel's centre always lies less than half a voxel away along each of the volume's axes: half the
        sum over the lattice's axes of their lengths in voxels bounds that distance.
        """
        whole = np.abs(np.rint(self.volumeToLattice[:3, :3]))
        sameVoxels = self._isWhole and np.all(whole.sum(axis=0) == 1) and np.all(whole.sum(axis=1) == 1)
        reach = 0.5 * np.abs(self.latticeToVolume[:3, :3]).sum(axis=1)
        return bool(sameVoxels or np.all(reach < 0.5))

    def onLattice(self, change: MaskChange) -> tuple[Box, np.ndarray, np.ndarray]:
        """The change as a box of the lattice and, of its shape, which voxels to add and which to remove."""
        if self.wholeShift_kji is not None:
            box, before, after = change.box.shifted(self.wholeShift_kji), change.before, change.after
        else:
            box = _boxThrough(self.volumeToLattice, change.box)
            before = _sampled(change.before, change.box, self.latticeToVolume, box)
            after = _sampled(change.after, change.box, self.latticeToVolume, box)
        return box, (after != 0) & (before == 0), (before != 0) & (after == 0)

    def inVolume(self, values: np.ndarray, extent: Box, shape_kji: tuple[int, int, int]) -> tuple[Box, np.ndarray]:
        """Values at an extent of the lattice, seen in a volume of that shape: a box and values of its shape."""
        if self.wholeShift_kji is not None:
            shift = np.asarray(self.wholeShift_kji)
            box = extent.shifted(tuple(-shift)).clipped(shape_kji)
            return box, values[box.shifted(tuple(shift)).relative_to(extent).slices]
        box = _boxThrough(self.latticeToVolume, extent).clipped(shape_kji)
        found = np.zeros(box.shape_kji, values.dtype)
        for index, k in enumerate(range(box.start_kji[0], box.stop_kji[0])):  # plane by plane, to spare memory
            plane = Box((k, *box.start_kji[1:]), (k + 1, *box.stop_kji[1:]))
            found[index] = _sampled(values, extent, self.volumeToLattice, plane)[0]
        return box, found

    @property
    def _isWhole(self) -> bool:
        rest = np.abs(self.volumeToLattice - np.rint(self.volumeToLattice))
        return bool(rest[:, :3].max() < _SAME_DIRECTION and rest[:, 3].max() < _SAME_PLACE)


@dataclass(frozen=True, eq=False)
class SegmentVoxels:
    """A snapshot of one segment that needs the scene no longer.

    values: labels of the whole labelmap, of the shape of `extent`, a copy. shape_kji: the volume's.
    """

    values: np.ndarray
    extent: Box
    label: int
    alignment: Alignment
    shape_kji: tuple[int, int, int]

    def crop(self) -> tuple[Box, np.ndarray]:
        """The segment in the volume's grid: a box, and uint8 0/1 of its shape. Outside the box the segment is empty."""
        if self.extent.is_empty:
            return Box.empty(), np.zeros((0, 0, 0), np.uint8)
        return self.alignment.inVolume((self.values == self.label).view(np.uint8), self.extent, self.shape_kji)

    def mask(self) -> np.ndarray:
        """(K, J, I) uint8 0/1 in the volume's grid."""
        mask = np.zeros(self.shape_kji, np.uint8)
        box, values = self.crop()
        mask[box.slices] = values
        return mask


def _boxThrough(matrix: np.ndarray, box: Box) -> Box:
    """The smallest box of the target's voxels that holds a box of voxels, seen through an index matrix (i, j, k, 1)."""
    bounds = zip(box.start_kji[::-1], box.stop_kji[::-1])
    corners = np.array(np.meshgrid(*[(low - 0.5, high - 0.5) for low, high in bounds])).reshape(3, -1)
    moved = (matrix[:3, :3] @ corners + matrix[:3, 3:])[::-1]
    return Box(tuple(nearest_voxel(moved.min(axis=1))), tuple(nearest_voxel(moved.max(axis=1)) + 1))


def _sampled(values: np.ndarray, valuesBox: Box, targetToSource: np.ndarray, target: Box) -> np.ndarray:
    """Values (crop at valuesBox of the source) at the target's voxels, nearest neighbour; 0 outside the crop."""
    k, j, i = (np.arange(low, high, dtype=np.float64) for low, high in zip(target.start_kji, target.stop_kji))
    inside, index = np.ones(target.shape_kji, bool), []
    for axis in (2, 1, 0):  # of the matrix's rows (i, j, k), so that the index comes out as k, j, i
        row = targetToSource[axis]
        place = row[2] * k[:, None, None] + row[1] * j[:, None] + row[0] * i + row[3]
        whole = nearest_voxel(place) - valuesBox.start_kji[2 - axis]
        inside &= (whole >= 0) & (whole < values.shape[2 - axis])
        index.append(whole)
    sampled = np.zeros(target.shape_kji, values.dtype)
    sampled[inside] = values[tuple(whole[inside] for whole in index)]
    return sampled
