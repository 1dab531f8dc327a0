"""Small real parts for tests: a segmenter whose answers can be worked out by hand, and volumes on awkward grids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from memseg.errors import ModelError
from memseg.geometry import Box, Grid
from memseg.memory.interaction import Interaction
from memseg.memory.slices import Recalled, SliceFeatures
from memseg.raster import rasterize
from memseg.segmenters.base import ModelCard, Numbered, Prediction
from memseg.segmenters.slice_base import Plane, SliceAnswer, plane_of
from memseg.volume import Volume


class BlockSegmenter:
    """Sets (positive) or clears (negative) the bounding block of the newest prompt, grown by `reach` voxels.

    Voxels of a block whose image value is below `threshold` stay as they were, so that the image matters too.
    attention: from the numbers of the memories it was given to what it says of them; None: it cannot tell.
    """

    card = ModelCard(
        name="block",
        title="Block",
        summary="For tests.",
        prompts=frozenset({"click", "box", "scribble", "lasso", "mask"}),
        licence="Apache-2.0",
        source="",
    )

    def __init__(
        self,
        reach: int = 2,
        threshold: float = -np.inf,
        attention: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.reach = reach
        self.threshold = threshold
        self.fails = False
        self.attention = attention
        self.recalled: list[tuple[int, ...] | None] = []

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        if self.fails:
            raise ModelError("The block segmenter was told to fail; tell it not to.")
        self.recalled.append(None if memory is None else tuple(entry.number for entry in memory))
        newest = prompts[-1]
        box = rasterize(newest.prompt, volume.grid)[0].grown(self.reach).clipped(volume.shape_kji)
        probability = mask_kji[box.slices].astype(np.float32)
        probability[volume.array_kji[box.slices] >= self.threshold] = float(newest.prompt.positive)
        sparse, dense = np.array([[newest.number, *box.start_kji]]), np.full((1, 2, 2, 2), newest.number)
        attention = None
        if memory and self.attention is not None:
            attention = self.attention(np.array([entry.number for entry in memory], np.float32))
        return Prediction(box, probability, sparse, dense, attention)


def by_number(numbers: np.ndarray) -> np.ndarray:
    """Attention in proportion to the numbers, so 1/4 and 3/4 to the memories 1 and 3."""
    return numbers / numbers.sum()


def turned_grid(
    shape_kji: tuple[int, int, int] = (20, 24, 28), spacing_ijk_mm: tuple[float, ...] = (0.7, 0.9, 2.5)
) -> Grid:
    """Oblique (20 degrees about S, then -15 about R), anisotropic, left-handed in i and j as scanners write it."""
    turn, tilt = np.deg2rad(20), np.deg2rad(-15)
    about_s = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_r = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_s @ about_r @ np.diag([-spacing_ijk_mm[0], -spacing_ijk_mm[1], spacing_ijk_mm[2]])
    matrix[:3, 3] = (12, -34, 56)
    return Grid(shape_kji, matrix)


def ellipsoid(
    shape_kji: tuple[int, int, int], centre_kji: tuple[float, ...], radii_vox: tuple[float, ...]
) -> np.ndarray:
    """Bool (K, J, I): voxels whose centres lie in the ellipsoid."""
    offsets = np.indices(shape_kji).reshape(3, -1).T - np.asarray(centre_kji)
    return (np.square(offsets / np.asarray(radii_vox)).sum(axis=1) <= 1).reshape(shape_kji)


def ramp_volume(grid: Grid | None = None) -> Volume:
    """Voxel value = its flat index, so that every voxel can be told from every other."""
    grid = grid or turned_grid()
    return Volume(np.arange(np.prod(grid.shape_kji), dtype=np.int32).reshape(grid.shape_kji), grid, "ramp")


def box_mask(shape_kji: tuple[int, int, int], box: Box) -> np.ndarray:
    mask = np.zeros(shape_kji, np.uint8)
    mask[box.slices] = 1
    return mask


class BlockSlices:
    """A slice segmenter that can be worked out by hand: the object is where the image is above 0 and the previous mask,
    grown by one pixel (4 neighbours), reaches; it is absent where nothing is. Anchors and memory change nothing.

    confidence: by index; 0.9 where it says nothing. fails_at: the index at which it raises. followed: (axis, index,
    index of the previous plane, of the anchors, of the recalled recent slices and long-lived ones), one for each
    answer.
    """

    card = ModelCard(
        name="block-slices", title="", summary="For tests.", prompts=frozenset(), licence="Apache-2.0", source=""
    )

    def __init__(self, confidence: dict[int, float] | None = None, fails_at: int | None = None) -> None:
        self.confidence = confidence or {}
        self.fails_at = fails_at
        self.followed: list[tuple] = []

    def features(self, volume: Volume, axis: str, plane: Plane) -> SliceFeatures:
        """Keys: the image's mean in 2 x 2 quarters. Values: those and the mask's. The window is the plane."""
        quarters = [
            [
                float(part.mean()) if part.size else 0.0
                for half in np.array_split(array, 2)
                for part in np.array_split(half, 2, axis=1)
            ]
            for array in (plane.image, plane.mask)
        ]
        keys, values = np.reshape(quarters[0], (1, 2, 2)), np.reshape(quarters, (2, 2, 2))
        return SliceFeatures(
            np.clip(keys, -1e4, 1e4), np.clip(values, -1e4, 1e4), (0.0, 0.0, 1.0 + max(plane.mask.shape))
        )

    def follow(
        self,
        volume: Volume,
        axis: str,
        index: int,
        previous: Plane,
        anchors: tuple[Plane, ...],
        recalled: Recalled,
    ) -> SliceAnswer:
        if index == self.fails_at:
            raise ModelError("The block slices were told to fail; tell them not to.")
        told = [tuple(each.index for each in given) for given in (anchors, recalled.recent, recalled.long)]
        self.followed.append((axis, index, previous.index, *told))
        grown = np.pad(previous.mask > 0, 1)
        reach = grown[1:-1, 1:-1] | grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:]
        inside = reach & (plane_of(volume.array_kji, axis, index) > 0)
        present = 0.9 if inside.any() else 0.1
        return SliceAnswer(inside.astype(np.float32), present, self.confidence.get(index, 0.9))
