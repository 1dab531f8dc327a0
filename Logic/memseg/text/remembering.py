"""From a structure in a volume to an entry of the recall memory: what it looks like there, and in places round it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import PromptError
from ..geometry import Box, Grid
from ..memory.recall import BINS, RecallEntry, checked_name
from ..volume import Volume
from .naming import key_of
from .places import UNKNOWN, Landscape, landscape

ANCHORS_INSIDE, ANCHORS_ROUND = 12, 12
ROUND_MM = 15.0  # how far outside the structure an anchor lies
MARGIN_MM = 20.0  # how far round the structure it is remembered closely
MOST_NEAR = 2000
MOST_BITS = 60_000
FINEST_MASK_MM = 2.0
THUMBNAIL = 64
_SHELL_MM = 8.0
_NEAR_SCALE = 250.0  # near keys 0 to 1 as 0 to 250; 255 is unknown
_MOST_IMAGE_VOXELS = 2_000_000


def remember(
    volume: Volume,
    box: Box,
    values: np.ndarray,
    name: str,
    *,
    modality: str = "",
    subject: str = "",
    licence: str = "",
    note: str = "",
    keep_image: bool = False,
) -> RecallEntry:
    """The entry of a structure, the crop `values` (0/1) at `box` of the volume's mask.

    modality: "CT", "MR" or "PET" where it is known; otherwise it is guessed. keep_image: keep a crop of the voxels too.
    Raises PromptError for an empty mask or a name that is none.
    """
    name = checked_name(name)
    mask = np.asarray(values) > 0
    if mask.shape != box.shape_kji:
        raise ValueError(f"The mask's crop has shape {mask.shape}, its box {box.shape_kji}.")
    if not mask.any():
        raise PromptError("The mask is empty, so there is nothing to remember; segment the structure first.")
    tight = Box.of_mask(mask)
    mask, box = mask[tight.slices], tight.shifted(box.start_kji)
    seen = landscape(volume)
    key, side = key_of(name)
    shape = CoarseShape.of(volume, box, mask)
    anchors, values_there = _anchors(shape)
    near_index, near_spacing = _near(shape)
    near_keys = near_looks(seen, shape.centre_ras + near_places(near_index, near_spacing), near_spacing)
    known = (near_keys < 255).any(axis=1)
    known |= not known.any()
    image, to_mm = _image(volume, box, shape.centre_ras) if keep_image else (None, None)
    return RecallEntry(
        name=name, key=key, side=side, modality=modality or seen.modality, subject=subject, licence=licence, note=note,
        keys=seen.describe(shape.centre_ras + anchors), values=values_there,
        near_index=near_index[known], near_keys=near_keys[known], near_spacing_mm=near_spacing,
        mask=np.packbits(shape.mask), mask_shape_kji=shape.mask.shape, mask_spacing_mm=shape.spacing_mm,
        mask_start_mm=tuple(shape.start_mm), cut=_cut(volume, box, mask),
        histograms=_histograms(volume, box, mask, seen),
        embedding=seen.embedding, thumbnail=_thumbnail(volume, box, mask, seen), size_mm=tuple(shape.size_mm),
        volume_ml=float(mask.sum() * volume.grid.voxel_volume_mm3 / 1000), image=image, image_to_mm=to_mm,
    )  # fmt: skip


class CoarseShape:
    """A structure on a coarse lattice along the patient's axes.

    mask: (K, J, I) bool along S, A, R. centre_ras: of the structure, world mm. start_mm: (R, A, S) of the first sample
    from the centre. size_mm: (R, A, S) extent.
    """

    def __init__(self, mask: np.ndarray, spacing_mm: float, start_mm: np.ndarray, centre_ras: np.ndarray) -> None:
        self.mask, self.spacing_mm, self.start_mm, self.centre_ras = mask, spacing_mm, start_mm, centre_ras
        self.size_mm = np.array(Box.of_mask(mask).shape_kji[::-1]) * spacing_mm

    @classmethod
    def of(cls, volume: Volume, box: Box, mask: np.ndarray) -> CoarseShape:
        grid = volume.grid
        inside = np.argwhere(mask) + box.start_kji
        ras = grid.ras_from_kji(inside)
        centre = ras.mean(axis=0)
        half = np.abs(grid.ijk_to_ras[:3, :3]).sum(axis=1) / 2
        low, high = ras.min(axis=0) - half, ras.max(axis=0) + half
        spacing = max(FINEST_MASK_MM, float(np.cbrt(np.prod(high - low) / MOST_BITS)))
        shape = tuple(int(size) for size in np.ceil((high - low) / spacing - 1e-6).clip(1)[::-1])
        first = (low + high) / 2 - (np.array(shape[::-1]) - 1) / 2 * spacing
        matrix = np.diag([spacing, spacing, spacing, 1.0])
        matrix[:3, 3] = first
        part = _resampled(mask.astype(np.float32), box, grid, Grid(shape, matrix))
        wanted = int(round(len(inside) * grid.voxel_volume_mm3 / spacing**3))
        count = int(np.clip(wanted, 1, part.size))
        level = np.partition(part.ravel(), part.size - count)[part.size - count]
        coarse = (part >= max(level, 1e-6)) if part.any() else part >= part.max()
        return cls(coarse, spacing, first - centre, centre)

    @classmethod
    def of_entry(cls, entry: RecallEntry) -> CoarseShape:
        return cls(entry.mask_kji, entry.mask_spacing_mm, np.array(entry.mask_start_mm), np.zeros(3))

    def distances(self, margin_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """Signed distance in mm to the surface, positive inside, (K, J, I) float32 with a margin; and start_mm of
        it."""
        wide = int(np.ceil(margin_mm / self.spacing_mm))
        padded = np.pad(self.mask, wide)
        within = ndimage.distance_transform_edt(padded) - 0.5 * padded
        outside = ndimage.distance_transform_edt(~padded) - 0.5 * ~padded
        return ((within - outside) * self.spacing_mm).astype(np.float32), self.start_mm - wide * self.spacing_mm


def _resampled(crop: np.ndarray, box: Box, grid: Grid, lattice: Grid) -> np.ndarray:
    """(K, J, I) float32 of the lattice: a crop read there, evened out to the lattice's spacing first; 0 outside it."""
    ratio = lattice.spacing_kji_mm[0] / np.asarray(grid.spacing_kji_mm)
    wide = np.ceil(ratio).astype(int) + 1
    padded = np.pad(crop, [(size, size) for size in wide])
    smooth = ndimage.gaussian_filter(padded, np.where(ratio > 1.01, 0.4 * ratio, 0), mode="constant")
    form = (grid.ras_to_ijk @ lattice.ijk_to_ras)[:3]
    turned, moved = form[::-1, :3][:, ::-1], form[::-1, 3] - box.start_kji + wide
    return ndimage.affine_transform(smooth, turned, moved, lattice.shape_kji, order=1, mode="constant", cval=0.0)


def _anchors(shape: CoarseShape) -> tuple[np.ndarray, np.ndarray]:
    """(A, 3) places in mm R, A, S from the centre, spread inside and in a shell round the structure; (A, 5) values."""
    distance, start = shape.distances(MARGIN_MM + 5)
    deep = distance >= max(0.5 * float(distance.max()), 0.1)
    groups = [
        (np.argwhere(deep | (distance > 4.0)), ANCHORS_INSIDE),
        (np.argwhere(np.abs(distance + ROUND_MM) < 0.6 * shape.spacing_mm + 0.5), ANCHORS_ROUND),
    ]
    chosen = []
    for group, count in groups:
        if len(group) == 0:
            continue
        places = start + group[:, ::-1] * shape.spacing_mm
        picked = _spread(places, count)
        signed = distance[tuple(group[picked].T)]
        chosen.append(np.column_stack([signed > 0, signed, places[picked]]))
    values = np.concatenate(chosen)
    return values[:, 2:], values


def _spread(places: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to `count` places far from each other: the one nearest the middle, then always the farthest."""
    picked = [int(np.square(places - places.mean(axis=0)).sum(axis=1).argmin())]
    nearest = np.square(places - places[picked[0]]).sum(axis=1)
    while len(picked) < min(count, len(places)):
        picked.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.square(places - places[picked[-1]]).sum(axis=1))
    return np.array(picked)


def _near(shape: CoarseShape) -> tuple[np.ndarray, float]:
    """(N, 3) int16 places k, j, i of a lattice round the structure's centre, and its spacing: 4 mm or as much as takes
    no more than MOST_NEAR places."""
    distance, start = shape.distances(MARGIN_MM + 2)
    spacing = 4.0
    while True:
        low = np.ceil(start / spacing).astype(int)
        high = np.floor((start + (np.array(distance.shape[::-1]) - 1) * shape.spacing_mm) / spacing).astype(int)
        axes = [np.arange(a, b + 1) for a, b in zip(low[::-1], high[::-1])]
        index = np.array(np.meshgrid(*axes, indexing="ij")).reshape(3, -1).T
        places = (index * spacing - start[::-1]) / shape.spacing_mm
        signed = ndimage.map_coordinates(distance, places.T, order=1, mode="nearest")
        index = index[signed > -MARGIN_MM]
        if len(index) <= MOST_NEAR:
            return index.astype(np.int16), spacing
        spacing *= max(1.02, (len(index) / MOST_NEAR) ** (1 / 3))


def near_places(index: np.ndarray, spacing_mm: float) -> np.ndarray:
    """(N, 3) mm R, A, S from the structure's centre."""
    return index[:, ::-1].astype(np.float64) * spacing_mm


def near_level(spacing_mm: float) -> int:
    """The level of a landscape that near keys are read from, with the next coarser one."""
    return int(np.clip(np.floor(np.log2(spacing_mm / 4.0) + 0.5), 0, 2))


def near_looks(seen: Landscape, points_ras: np.ndarray, spacing_mm: float) -> np.ndarray:
    """(N, 2 C) uint8, 0 to 250; 255 outside the volume."""
    level = near_level(spacing_mm)
    values = np.concatenate([seen.sampled(points_ras, level), seen.sampled(points_ras, level + 1)]).T
    return np.where(values == UNKNOWN, 255, np.clip(values, 0, 1) * _NEAR_SCALE + 0.5).astype(np.uint8)


def looks_as_numbers(near_keys: np.ndarray) -> np.ndarray:
    """Near keys as float32, 0 to 1, UNKNOWN where they are."""
    return np.where(near_keys == 255, np.float32(UNKNOWN), near_keys.astype(np.float32) / np.float32(_NEAR_SCALE))


def appearance(channels: np.ndarray) -> np.ndarray:
    """One number from 0 to 1 for a landscape's channels (C, ...), rising with intensity."""
    return (channels[0] + channels[1] + 1 - channels[2]) / 3


def _histograms(volume: Volume, box: Box, mask: np.ndarray, seen: Landscape) -> np.ndarray:
    margin = np.ceil(_SHELL_MM / np.asarray(volume.grid.spacing_kji_mm)).astype(int)
    around = box.grown(margin).clipped(volume.shape_kji)
    inside = np.zeros(around.shape_kji, bool)
    inside[box.relative_to(around).slices] = mask
    distance = ndimage.distance_transform_edt(~inside, sampling=volume.grid.spacing_kji_mm)
    values = appearance(seen.normalise(volume.array_kji[around.slices]))
    counts = [
        np.histogram(values[where], BINS, (0, 1))[0] for where in (inside, (distance > 0) & (distance <= _SHELL_MM))
    ]
    return np.array([count / max(count.sum(), 1) for count in counts])


def _cut(volume: Volume, box: Box, mask: np.ndarray) -> np.ndarray:
    """(6,) bool: whether the volume ends at the structure at R-, R+, A-, A+, S-, S+."""
    cut = np.zeros(6, bool)
    columns = volume.grid.ijk_to_ras[:3, :3][:, ::-1]
    for axis in range(3):
        ras_axis = int(np.abs(columns[:, axis]).argmax())
        rising = columns[ras_axis, axis] > 0
        ends = (box.start_kji[axis] == 0, box.stop_kji[axis] == volume.shape_kji[axis])
        for at_stop, touches in enumerate(ends):
            if touches and np.count_nonzero(np.take(mask, -at_stop, axis=axis)) > 0:
                cut[2 * ras_axis + int(bool(at_stop) == rising)] = True
    return cut


def _thumbnail(volume: Volume, box: Box, mask: np.ndarray, seen: Landscape) -> np.ndarray:
    """(64, 64) uint8: the slice across S where the structure is largest, its front up and the patient's right on the
    left, as radiologists look; 0 to 215, the outline 255."""
    grid = volume.grid
    points = grid.ras_from_kji(np.argwhere(mask) + box.start_kji)
    heights = np.round(points[:, 2] / max(grid.spacing_kji_mm))
    levels, counts = np.unique(heights, return_counts=True)
    slab = points[heights == levels[counts.argmax()]]
    middle = (slab.min(axis=0) + slab.max(axis=0)) / 2
    middle[2] = slab[:, 2].mean()
    wide = max(float(np.ptp(slab[:, :2], axis=0).max()) * 1.8, 60.0)
    steps = (np.arange(THUMBNAIL) - (THUMBNAIL - 1) / 2) / THUMBNAIL * wide
    across, up = np.meshgrid(-steps, -steps)
    places = middle + np.stack([across, up, np.zeros_like(up)], axis=-1)
    kji = np.moveaxis(grid.kji_from_ras(places), -1, 0)
    around = Box.around(np.moveaxis(kji, 0, -1).reshape(-1, 3)).grown(2).clipped(volume.shape_kji)
    if around.is_empty:
        return np.zeros((THUMBNAIL, THUMBNAIL), np.uint8)
    start = np.array(around.start_kji).reshape(3, 1, 1)
    crop = volume.array_kji[around.slices].astype(np.float32)
    picture = ndimage.map_coordinates(
        crop, kji - start, order=1, mode="constant", cval=float(volume.intensity_range[0])
    )
    grey = seen.normalise(picture)[0]
    local = np.array(box.start_kji).reshape(3, 1, 1)
    inside = (
        ndimage.map_coordinates(np.pad(mask, 1).astype(np.float32), kji - local + 1, order=1, mode="constant") > 0.5
    )
    image = (np.clip(grey, 0, 1) * 215).astype(np.uint8)
    image[inside & ~ndimage.binary_erosion(inside)] = 255
    return image


def _image(volume: Volume, box: Box, centre_ras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The voxels in and 10 mm round the structure, thinned to two million, and their place from the centre."""
    margin = np.ceil(10.0 / np.asarray(volume.grid.spacing_kji_mm)).astype(int)
    around = box.grown(margin).clipped(volume.shape_kji)
    step = max(1, int(np.ceil(np.cbrt(around.size / _MOST_IMAGE_VOXELS))))
    crop = volume.array_kji[around.slices][::step, ::step, ::step]
    if crop.dtype.kind == "f":
        crop = crop.astype(np.float32)
    matrix = volume.grid.ijk_to_ras.copy()
    matrix[:3, 3] = volume.grid.ras_from_kji(around.start_kji) - centre_ras
    matrix[:3, :3] *= step
    return np.ascontiguousarray(crop), matrix
