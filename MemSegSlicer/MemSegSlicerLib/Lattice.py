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
    def hasSameVoxels(self) -> bool:
        """Whether both have the same voxels, perhaps shifted by whole ones, with axes in other orders or directions."""
        whole = np.rint(self.volumeToLattice)
        rest = np.abs(self.volumeToLattice - whole)
        axes = np.abs(whole[:3, :3])
        isWhole = rest[:, :3].max() < _SAME_DIRECTION and rest[:, 3].max() < _SAME_PLACE
        return bool(isWhole and np.all(axes.sum(axis=0) == 1) and np.all(axes.sum(axis=1) == 1))

    @cached_property
    def keepsMasks(self) -> bool:
        """Whether every mask survives the way to the lattice and back.

        It does where both have the same voxels, and where the lattice point nearest to a voxel's centre always lies
        less than half a voxel away along each of the volume's axes: half the sum over the lattice's axes of their
        lengths in voxels bounds that distance.
        """
        reach = 0.5 * np.abs(self.latticeToVolume[:3, :3]).sum(axis=1)
        return self.hasSameVoxels or bool(np.all(reach < 0.5))

    def onLattice(self, change: MaskChange) -> tuple[Box, np.ndarray, np.ndarray]:
        """The change as a box of the lattice and, of its shape, which voxels to add and which to remove."""
        if self.hasSameVoxels:
            box, before = _turned(self.volumeToLattice, change.box, change.before)
            _, after = _turned(self.volumeToLattice, change.box, change.after)
        else:
            box = _boxThrough(self.volumeToLattice, change.box)
            before = _sampled(change.before, change.box, self.latticeToVolume, box)
            after = _sampled(change.after, change.box, self.latticeToVolume, box)
        return box, (after != 0) & (before == 0), (before != 0) & (after == 0)

    def inVolume(self, values: np.ndarray, extent: Box, shape_kji: tuple[int, int, int]) -> tuple[Box, np.ndarray]:
        """Values at an extent of the lattice, seen in a volume of that shape: a box and values of its shape."""
        if self.hasSameVoxels:
            whole, turned = _turned(self.latticeToVolume, extent, values)
            box = whole.clipped(shape_kji)
            return box, turned[box.relative_to(whole).slices]
        box = _boxThrough(self.latticeToVolume, extent).clipped(shape_kji)
        found = np.zeros(box.shape_kji, values.dtype)
        for index, k in enumerate(range(box.start_kji[0], box.stop_kji[0])):  # plane by plane, to spare memory
            plane = Box((k, *box.start_kji[1:]), (k + 1, *box.stop_kji[1:]))
            found[index] = _sampled(values, extent, self.volumeToLattice, plane)[0]
        return box, found


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

    def at(self, box: Box) -> np.ndarray:
        """uint8 0/1 at a box of the volume's grid; takes as long as the box is large."""
        found = np.zeros(box.shape_kji, np.uint8)
        near = _boxThrough(self.alignment.volumeToLattice, box).intersection(self.extent)
        if not near.is_empty:
            values = (self.values[near.relative_to(self.extent).slices] == self.label).view(np.uint8)
            there, seen = self.alignment.inVolume(values, near, self.shape_kji)
            common = there.intersection(box)
            if not common.is_empty:
                found[common.relative_to(box).slices] = seen[common.relative_to(there).slices]
        return found

    def mask(self) -> np.ndarray:
        """(K, J, I) uint8 0/1 in the volume's grid."""
        mask = np.zeros(self.shape_kji, np.uint8)
        box, values = self.crop()
        mask[box.slices] = values
        return mask


def _turned(matrix: np.ndarray, box: Box, values: np.ndarray) -> tuple[Box, np.ndarray]:
    """A box and its values on the other of two lattices that have the same voxels: axes reordered and reversed."""
    whole = np.rint(matrix).astype(int)
    turn, shift = whole[2::-1, 2::-1], whole[2::-1, 3]  # rows and columns as k, j, i
    axes = np.abs(turn).argmax(axis=1)
    signs = turn[np.arange(3), axes]
    start, stop = np.asarray(box.start_kji)[axes], np.asarray(box.stop_kji)[axes]
    forward = signs > 0
    starts = np.where(forward, start, 1 - stop) + shift
    stops = np.where(forward, stop, 1 - start) + shift
    reversals = tuple(slice(None, None, int(sign)) for sign in signs)
    return Box(tuple(starts), tuple(stops)), values.transpose(axes)[reversals]


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
