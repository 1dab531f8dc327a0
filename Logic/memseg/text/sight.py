"""A volume as it is looked at while words are grounded: its means on a coarse working grid, and the body in it.

What is found there is brought back to the volume's own voxels for the winner only, so that the time hardly depends on
how fine the volume is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary, ref

import numpy as np
from scipy import ndimage

from .. import modality as modalities
from ..geometry import Box, Grid
from ..segmenters.region import Region
from ..volume import Volume
from .pieces import FULL, Piece

MOST_VOXELS = 1_000_000  # 400 x 400 x 450 mm at 4.2 mm; labelling them takes 10 ms
SMOOTH_MM = 1.2
_SKIN_HU = -300.0
_COUCH_MM = 8.0  # what is thinner than that and does not hang on the body by more is no body
_BODY_ABOVE = 0.08  # of the range between the 0.5th and 99.5th percentile, where no HU tell
_LEVELS = 256
# HU to how bright a reader sees them: soft tissue, where most of what is looked for lies, takes up most of the range.
_HU = (-1000.0, -600.0, -200.0, -100.0, 0.0, 60.0, 100.0, 200.0, 400.0, 1000.0)
_SEEN = (0.0, 0.1, 0.2, 0.25, 0.5, 0.8, 0.9, 1.0, 1.1, 1.2)


@dataclass(frozen=True, eq=False)
class Sight:
    """region: the box looked at and its working grid. image: (K, J, I) float32 means on it. modality: as guessed.

    It holds the volume weakly, as it is kept for as long as that lives and no longer.
    """

    _volume: ref[Volume]
    region: Region
    image: np.ndarray
    modality: str

    @property
    def volume(self) -> Volume:
        volume = self._volume()
        if volume is None:
            raise ReferenceError("the volume of this sight is no more")
        return volume

    @cached_property
    def grid(self) -> Grid:
        """Of the working voxels."""
        factor, start = np.asarray(self.region.factor_kji, float), np.asarray(self.region.box.start_kji, float)
        to_native = np.eye(4)
        to_native[:3, :3] = np.diag(factor[::-1])
        to_native[:3, 3] = (start + (factor - 1) / 2)[::-1]
        return Grid(self.region.shape_kji, self.volume.grid.ijk_to_ras @ to_native)

    @property
    def is_ct(self) -> bool:
        return self.modality == "CT"

    @cached_property
    def smooth(self) -> np.ndarray:
        """(K, J, I) float32: with the noise of single voxels taken off."""
        sigma = [SMOOTH_MM / spacing for spacing in self.region.spacing_kji_mm]
        return ndimage.gaussian_filter(self.image, sigma, mode="nearest", truncate=3.0)

    @cached_property
    def shown(self) -> np.ndarray:
        """(K, J, I) float32: how bright it is to a reader. CT by a curve of HU, PET by the logarithm of the uptake over
        the body's median, others as they are."""
        if self.is_ct:
            return np.interp(self.image, _HU, _SEEN).astype(np.float32)
        if self.modality == "PET":
            median = max(self.level(0.5), 1e-3)
            return np.log(np.maximum(self.image / median, 0.5)).astype(np.float32)
        return self.image

    @cached_property
    def body(self) -> Piece:
        """What is the patient: not the air around, nor the couch. Holes in it count as body."""
        return Piece.of(self.grid, _body(self))

    @cached_property
    def levels(self) -> np.ndarray:
        """(256,) float32 ascending: what part k / 255 of the body's voxels is no brighter than."""
        inside = self.smooth[self.body.box.slices][self.body.values]
        if inside.size == 0:
            inside = self.smooth.ravel()
        return np.percentile(inside, np.linspace(0, 100, _LEVELS)).astype(np.float32)

    def level(self, part: float) -> float:
        """The value that a part (0 to 1) of the body's voxels does not exceed."""
        return float(np.interp(part, np.linspace(0, 1, _LEVELS), self.levels))

    # -- between the working grid and the volume's -------------------------------------------------------------------

    def native(self, piece: Piece) -> Piece:
        """A piece of the working grid in the volume's own voxels, its outline interpolated."""
        volume_grid = self.volume.grid
        if piece.is_empty:
            return Piece.nothing(volume_grid)
        if self.region.factor_kji == (1, 1, 1):
            return Piece(volume_grid, piece.box.shifted(self.region.box.start_kji), piece.values)
        working = piece.box.grown(1).clipped(self.region.shape_kji)
        box = self._blocks(working)
        inner = Region(volume_grid, box, self.region.factor_kji)
        values = inner.expanded(piece.at(working).astype(np.float32), box)
        return Piece(volume_grid, box, values > 0.5)

    def refined(self, piece: Piece, low: float, high: float, solid: bool = False) -> Piece:
        """The same with its outline where the volume's own voxels leave the range low to high, at most a working voxel
        from where it was. solid: what lies deeper than a working voxel belongs to it whatever its value. As it was
        found where nothing would be left."""
        if piece.is_empty:
            return self.native(piece)
        around = piece.box.grown(1).clipped(self.region.shape_kji)
        wide = ndimage.binary_dilation(piece.at(around), FULL)
        box = self._blocks(around)
        values = self.volume.array_kji[box.slices]
        fits = self._repeated(wide, around, box) & (values >= low) & (values <= high)
        if solid:
            core = ndimage.binary_erosion(piece.at(around), FULL, border_value=1)
            fits |= self._repeated(core, around, box)
        return Piece(self.volume.grid, box, fits) if fits.any() else self.native(piece)

    def sharpened(self, piece: Piece) -> Piece:
        """The same with its outline, at most a working voxel from where it was, where the image is half-way between
        what it is inside and outside."""
        found = self.native(piece)
        if piece.is_empty or max(self.region.factor_kji) == 1:
            return found
        around = piece.box.grown(2).clipped(self.region.shape_kji)
        mask = piece.at(around)
        wide, core = ndimage.binary_dilation(mask, FULL), ndimage.binary_erosion(mask, FULL, border_value=1)
        rim, shell = mask & ~core, ndimage.binary_dilation(wide, FULL) & ~wide
        inside = self.image[around.slices][core if core.any() else mask]
        outside = self.image[around.slices][shell]
        if not rim.any() or outside.size < 8:
            return found
        high, low = float(np.median(inside)), float(np.median(outside))
        box = self._blocks(around)
        sigma = [SMOOTH_MM / spacing for spacing in self.volume.grid.spacing_kji_mm]
        image = ndimage.gaussian_filter(np.asarray(self.volume.array_kji[box.slices], np.float32), sigma, truncate=2.0)
        half = (high + low) / 2
        alike = image > half if high > low else image < half
        fits = self._repeated(core, around, box) | (self._repeated(wide, around, box) & alike)
        sharp = Piece(self.volume.grid, box, fits)
        return sharp.components()[0] if not sharp.is_empty and sharp.overlap(found) > 0.5 else found

    def _blocks(self, working: Box) -> Box:
        """The volume's box that a working box covers."""
        start, factor = np.asarray(self.region.box.start_kji), np.asarray(self.region.factor_kji)
        low, high = np.asarray(working.start_kji) * factor + start, np.asarray(working.stop_kji) * factor + start
        return Box(tuple(low), tuple(high)).intersection(self.region.box)

    def _repeated(self, values: np.ndarray, working: Box, box: Box) -> np.ndarray:
        """Bool values of a working box at all native voxels of its blocks, `box`."""
        for axis, factor in enumerate(self.region.factor_kji):
            if factor > 1:
                values = np.repeat(values, factor, axis=axis)
        return values[tuple(slice(0, size) for size in box.shape_kji)]

    def seen(self, piece: Piece) -> Piece:
        """A piece of the volume's own voxels on the working grid; of a small one at least a voxel."""
        box = piece.box.intersection(self.region.box)
        if box.is_empty:
            return Piece.nothing(self.grid)
        start, factor = np.asarray(self.region.box.start_kji), np.asarray(self.region.factor_kji)
        low = (np.asarray(box.start_kji) - start) // factor
        high = -(-(np.asarray(box.stop_kji) - start) // factor)
        working = Box(tuple(low), tuple(high))
        native = Box(tuple(low * factor + start), tuple(np.minimum(high * factor + start, self.region.box.stop_kji)))
        blocks = Region(piece.grid, Box.of_shape(native.shape_kji), self.region.factor_kji)
        share = blocks.sample(piece.at(native).astype(np.uint8))
        values = share >= min(0.5, float(share.max()))
        return Piece(self.grid, working, values & (share > 0))


_whole: WeakKeyDictionary[Volume, Sight] = WeakKeyDictionary()


def whole_of(volume: Volume) -> Sight:
    """The sight of the whole volume, made once."""
    found = _whole.get(volume)
    if found is None:
        found = _whole[volume] = sight_of(volume, volume.grid.box)
    return found


def sight_of(volume: Volume, box: Box, modality: str | None = None, most_voxels: int = MOST_VOXELS) -> Sight:
    """A look at a box that is not empty. modality: None guesses it from the volume."""
    region = Region.covering(volume.grid, box, most_voxels)
    kind = modalities.guess(volume) if modality is None else modality
    return Sight(ref(volume), region, region.sample(volume.array_kji), kind)


# -- the body --------------------------------------------------------------------------------------------------------


def _body(sight: Sight) -> np.ndarray:
    """(K, J, I) bool."""
    solid = sight.smooth > skin_level(sight)
    if not solid.any():
        return solid
    piece = Piece.of(sight.grid, solid)
    if sight.is_ct:
        core = piece.grown(-_COUCH_MM / 2)
        core = core if not core.is_empty else piece
        parts = core.components()
        kept = [part for part in parts if part.voxels > 0.1 * parts[0].voxels]
        mask = np.zeros(solid.shape, bool)
        for part in kept:
            grown = part.grown(_COUCH_MM / 2 + max(sight.region.spacing_kji_mm))
            mask[grown.box.slices] |= grown.values
        mask &= solid
    else:
        parts = piece.components()
        mask = np.zeros(solid.shape, bool)
        for part in parts:
            if part.voxels > 0.05 * parts[0].voxels:
                mask[part.box.slices] |= part.values
    return _without_holes(mask, sight)


def skin_level(sight: Sight) -> float:
    """What is brighter than this is patient, or lies on the patient's side of the skin."""
    if sight.is_ct:
        return _SKIN_HU
    low, high = np.percentile(sight.image[::2, ::2, ::2], [0.5, 99.5])
    return float(low + _BODY_ABOVE * (high - low))


def _without_holes(mask: np.ndarray, sight: Sight) -> np.ndarray:
    """Filled in 3D and across the axis nearest to the patient's long one, as airways open to the air outside."""
    axis = long_axis(sight.grid)
    filled = ndimage.binary_fill_holes(mask)
    planes = np.moveaxis(filled, axis, 0)
    return np.ascontiguousarray(np.moveaxis(np.stack([ndimage.binary_fill_holes(each) for each in planes]), 0, axis))


def long_axis(grid: Grid) -> int:
    """The axis (0, 1 or 2 for k, j, i) nearest to the patient's feet-to-head direction."""
    return int(np.argmax(np.abs(grid.ijk_to_ras[2, :3][::-1] / np.asarray(grid.spacing_kji_mm))))
