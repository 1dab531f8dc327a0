"""What physics alone can find: the body, air, lung, fat, soft tissue, bone, contrast agent, metal on CT; body, skin and
what takes up tracer elsewhere.

HU windows after the usual tables (Hounsfield's scale: air -1000, fat -120 to -30, water 0, muscle 35 to 70, trabecular
bone 100 to 300, cortical bone above 300, metal above 2500).
"""

from __future__ import annotations

from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from scipy import ndimage

from ..geometry import Box
from ..volume import Volume
from .blobs import MOST_VOXELS, Blob, blobs
from .bulks import Bulk, bulks
from .pieces import Piece, united
from .query import Side
from .sight import Sight, sight_of, skin_level, whole_of

AIR_HU, LUNG_HU = -400.0, (-990.0, -400.0)
FAT_HU, SOFT_HU, MUSCLE_HU, FLUID_HU = (-150.0, -30.0), (-30.0, 150.0), (10.0, 100.0), (-15.0, 25.0)
BONE_HU, DENSE_HU, CORTICAL_HU, CONTRAST_HU, METAL_HU = 160.0, 350.0, 350.0, (130.0, 500.0), 2500.0
_LUNG_ML = 60.0
_LIMB_MM2 = 45_000.0  # across; both thighs of a heavy man have more
_SMALLEST_BONE_ML = 0.3
_BONE_REACH_MM = 10.0


class Scene:
    """A volume and what physics shows in it, each worked out once, when first asked for. Working grid: the sight's."""

    def __init__(self, volume: Volume) -> None:
        self.sight: Sight = whole_of(volume)

    @classmethod
    def of(cls, volume: Volume) -> Scene:
        found = _scenes.get(volume)
        if found is None:
            found = _scenes[volume] = cls(volume)
        return found

    @property
    def body(self) -> Piece:
        return self.sight.body

    @cached_property
    def middle_ras(self) -> np.ndarray:
        """(3,) mm: the middle of the body's extent."""
        points = self.body.points_ras
        return (points.min(axis=0) + points.max(axis=0)) / 2

    def in_body(self, low: float, high: float) -> Piece:
        """What of the body lies in a window, on the image without noise."""
        smooth = self.sight.smooth[self.body.box.slices]
        return self.body.kept((smooth >= low) & (smooth <= high))

    def side_of(self, piece: Piece) -> Side:
        return Side.RIGHT if piece.centre_ras[0] > self.middle_ras[0] else Side.LEFT

    # -- air -----------------------------------------------------------------------------------------------------

    @cached_property
    def air(self) -> Piece:
        return self.in_body(-np.inf, AIR_HU)

    @cached_property
    def lungs(self) -> tuple[tuple[Side, Piece], ...]:
        """Left and right lung, as far as they are in the volume; none where no air is as dense as a lung's."""
        smooth = self.sight.smooth
        parenchyma = self.air.kept(smooth[self.air.box.slices] > LUNG_HU[0] + 40)
        found: list[tuple[Side, Piece]] = []
        for part in parenchyma.opened().components():
            if part.volume_mm3 < _LUNG_ML * 1000 or not self._is_lung(part):
                continue
            found += self._by_side(part)
        sides: dict[Side, list[Piece]] = {}
        for side, part in found:
            sides.setdefault(side, []).append(part)
        return tuple((side, united(parts).closed(5.0).filled(by_slice=True)) for side, parts in sorted(sides.items()))

    def _is_lung(self, part: Piece) -> bool:
        """Lung lies in most of its voxels between -950 and -500 HU; gas in the bowel is darker, and hardly varies."""
        values = self.sight.smooth[part.box.slices][part.values]
        return bool(np.mean((values > -950) & (values < -500)) > 0.6)

    def _by_side(self, part: Piece) -> list[tuple[Side, Piece]]:
        """Cut in two at its narrowest place near the body's middle, where it lies on both sides of that."""
        right = self.sight.grid.ras_from_kji(np.argwhere(part.values) + part.box.start_kji)[:, 0]
        middle = self.middle_ras[0]
        if min(np.mean(right > middle + 10), np.mean(right < middle - 10)) < 0.1:
            return [(self.side_of(part), part)]
        counts, edges = np.histogram(right, bins=np.arange(middle - 40, middle + 41, 4))
        cut = float((edges[:-1] + edges[1:])[int(np.argmin(counts))] / 2)
        masks = [np.zeros(part.values.shape, bool) for _ in range(2)]
        for mask, chosen in zip(masks, (right > cut, right <= cut)):
            mask[part.values] = chosen
        return [(side, part.kept(mask)) for side, mask in zip((Side.RIGHT, Side.LEFT), masks)]

    @cached_property
    def airway(self) -> Piece:
        """The air of throat, trachea and main bronchi: long, near the middle, outside the lungs."""
        air = self.air
        for _, lung in self.lungs:
            air = air.without(lung)
        kept = []
        for part in air.components(fewest=5):
            low, high = part.points_ras.min(axis=0), part.points_ras.max(axis=0)
            near = abs(part.centre_ras[0] - self.middle_ras[0]) < 25
            if near and high[2] - low[2] > 35 and part.tubularity > 2.0 and part.volume_mm3 < 120_000:
                kept.append(part)
        return united(kept) if kept else Piece.nothing(self.sight.grid)

    # -- bone and what is as bright --------------------------------------------------------------------------------

    @cached_property
    def metal(self) -> Piece:
        image = self.sight.image
        box = self.body.grown(max(self.sight.region.spacing_kji_mm)).box
        return Piece(self.sight.grid, box, image[box.slices] > METAL_HU)

    @cached_property
    def bone(self) -> Piece:
        """Voxels above 160 HU within 10 mm of dense ones of their piece; what contrast agent brightens is seldom dense.
        Its marrow counts."""
        image, box = self.sight.image[self.body.box.slices], self.body.box
        bright = self.body.values & (image > BONE_HU)
        dense = bright & (image > DENSE_HU)
        reach = [max(1, int(_BONE_REACH_MM / spacing)) for spacing in self.sight.region.spacing_kji_mm]
        near = ndimage.maximum_filter(dense.view(np.uint8), [2 * each + 1 for each in reach], mode="constant").view(
            bool
        )
        piece = Piece(self.sight.grid, box, bright & near)
        parts = [part for part in piece.components() if self._is_bone(part, dense, box)]
        return united(parts) if parts else Piece.nothing(self.sight.grid)

    def _is_bone(self, part: Piece, dense: np.ndarray, box: Box) -> bool:
        enough = np.count_nonzero(dense[part.box.relative_to(box).slices] & part.values)
        return part.volume_mm3 > _SMALLEST_BONE_ML * 1000 and enough >= max(2, 0.03 * part.voxels)

    @cached_property
    def contrast(self) -> Piece:
        """What contrast agent brightens: 130 to 500 HU, no bone nor next to it."""
        bright = self.in_body(*CONTRAST_HU)
        if not self.bone.is_empty:
            bright = bright.without(self.bone.grown(1.2 * max(self.sight.region.spacing_kji_mm)))
        parts = [part for part in bright.components() if part.volume_mm3 > 300]
        return united(parts) if parts else Piece.nothing(self.sight.grid)

    @cached_property
    def brain(self) -> Piece:
        """On CT soft tissue that the skull encloses; on MR the body, where only a brain was left of the head."""
        if not self.sight.is_ct:
            return self.body if self._is_stripped else Piece.nothing(self.sight.grid)
        closed = self.bone.closed(6.0)
        inside = closed.filled(by_slice=True).without(closed)
        image = self.sight.smooth[inside.box.slices]
        parts = inside.kept((image > -20) & (image < 120)).components()
        return parts[0] if parts and parts[0].volume_mm3 > 150_000 else Piece.nothing(self.sight.grid)

    @property
    def _is_stripped(self) -> bool:
        """The body is a brain's size in a background of one value, as after the skull was taken off."""
        values, counts = np.unique(self.sight.volume.array_kji[::4, ::4, ::4], return_counts=True)
        even = counts.max() > 0.2 * counts.sum() and values[counts.argmax()] < self.sight.level(0.05)
        return bool(even and self.sight.modality == "MR" and 600_000 < self.body.volume_mm3 < 2_200_000)

    @cached_property
    def is_limb(self) -> bool:
        """A part of the body without lung, airway or brain, and no thicker than a thigh."""
        if (
            self.body.is_empty
            or not self.brain.is_empty
            or (self.sight.is_ct and (self.lungs or not self.airway.is_empty))
        ):
            return False
        points = self.body.points_ras
        long = float(np.ptp(points, axis=0)[2]) + max(self.sight.grid.spacing_kji_mm)
        return self.body.volume_mm3 / long < _LIMB_MM2

    @cached_property
    def bulks(self) -> tuple[Sight, tuple[Bulk, ...]]:
        """The sight they are on, and thick soft tissue of a limb; none elsewhere, where organs are thicker."""
        sight = self._blob_sight
        return sight, bulks(sight) if self.is_limb else ()

    def unlike_its_mirror(self, sight: Sight, piece: Piece) -> float:
        """0 to 1: how much a piece of the brain differs from the same place of the other half, 1 where that is not
        known. piece: on the sight's grid."""
        if self.brain.is_empty:
            return 1.0
        points = piece.points_ras
        other = points * (-1, 1, 1) + (2 * self.brain.centre_ras[0], 0, 0)
        at = np.floor(sight.grid.kji_from_ras(other) + 0.5).astype(int)
        inside = ((at >= 0) & (at < sight.image.shape)).all(axis=1)
        at = at[inside]
        if len(at) < 0.5 * len(points):
            return 1.0
        there = sight.image[tuple(at.T)]
        here = sight.image[piece.box.slices][piece.values]
        low, high = self.sight.level(0.05), self.sight.level(0.95)
        return float(min(abs(here.mean() - there.mean()) / max(0.3 * (high - low), 1e-6), 1.0))

    # -- what stands out -----------------------------------------------------------------------------------------

    @cached_property
    def _blob_sight(self) -> Sight:
        volume = self.sight.volume
        return sight_of(volume, volume.grid.box, self.sight.modality, MOST_VOXELS)

    @cached_property
    def _bright_blobs(self) -> tuple[Blob, ...]:
        return blobs(self._blob_sight, self._blob_sight.body, True)

    @cached_property
    def _dark_blobs(self) -> tuple[Blob, ...]:
        return blobs(self._blob_sight, self._blob_sight.body, False)

    def standing_out(
        self, place: Piece | None, bright: bool | None, smallest_mm: float
    ) -> tuple[Sight, tuple[Blob, ...]]:
        """The sight they are on, and what stands out of the body, or within a place on the volume's grid, most
        prominent first."""
        if place is not None:
            volume = self.sight.volume
            margin = np.ceil(8 / np.asarray(volume.grid.spacing_kji_mm)).astype(int)
            near = sight_of(volume, place.box.grown(margin).clipped(volume.shape_kji), self.sight.modality, MOST_VOXELS)
            return near, blobs(near, near.seen(place), bright, smallest_mm)
        if bright is None:
            found = sorted((*self._bright_blobs, *self._dark_blobs), key=lambda blob: -blob.prominence)
            return self._blob_sight, tuple(found)
        return self._blob_sight, self._bright_blobs if bright else self._dark_blobs


_scenes: WeakKeyDictionary[Volume, Scene] = WeakKeyDictionary()


def skin_deep(sight: Sight, body: Piece) -> Piece:
    """The body's outline where the volume's own voxels are no longer air."""
    return sight.refined(body, skin_level(sight), np.inf, solid=True)
