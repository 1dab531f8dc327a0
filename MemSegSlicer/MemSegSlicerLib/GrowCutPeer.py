"""Slicer's own Grow from seeds behind the Segmenter protocol: what MemSeg's models are measured against."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from memseg.errors import PromptError
from memseg.geometry import Box
from memseg.memory.interaction import Interaction
from memseg.prompts import Click
from memseg.raster import rasterize
from memseg.segmenters.base import ModelCard, Numbered, Prediction
from memseg.volume import Volume

SHELL_MM = 40.0
# At 2 mm Dice after 1, 3, 5, 10 clicks was 0.34, 0.54, 0.63, 0.66 (every fifth validation object), at 4 mm as follows:
# 0.41, 0.59, 0.60, 0.66; the peer is given the better.
SEED_RADIUS_MM = 4.0
_THINNEST_SHELLED = 9  # slices; along a shorter axis a shell would leave the object no room
_OBJECT, _BACKGROUND = 1, 2


class GrowCutPeer:
    """vtkImageGrowCutSegment in the box of all prompts widened by 40 mm, the box's shell being background.

    A click seeds a small ball (never less than its voxel), other prompts the voxels they cover; where balls overlap,
    the later one wins. Every prompt is answered from all of them afresh, as Slicer's effect does.
    """

    def __init__(self, seedRadiusMm: float = SEED_RADIUS_MM) -> None:
        self.card = ModelCard(
            name="growcut",
            title="Grow from seeds",
            summary="Slicer's Grow from seeds (fast GrowCut), for comparison.",
            prompts=frozenset({"click", "scribble", "lasso"}),
            licence="BSD-style (3D Slicer)",
            source="https://doi.org/10.54294/lcr0u7 (Zhu et al., Insight Journal 2014)",
            needs=("slicer",),
        )
        self._seedRadiusMm = seedRadiusMm

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        covered = [(prompt.prompt, *rasterize(prompt.prompt, volume.grid)) for prompt in prompts]
        box = Box.empty()
        for _, where, _ in covered:
            box = box.union(where)
        spacing = np.asarray(volume.grid.spacing_kji_mm)
        box = box.grown(np.ceil(SHELL_MM / spacing).astype(int)).clipped(volume.shape_kji)
        if min(box.shape_kji) < 1:
            raise PromptError("Grow from seeds needs a prompt inside the volume; click on the image.")
        seeds = np.zeros(box.shape_kji, np.uint8)
        _shell(seeds, box, volume.shape_kji)
        for prompt, where, crop in covered:
            label = _OBJECT if prompt.positive else _BACKGROUND
            if isinstance(prompt, Click):
                _ball(seeds, np.subtract(prompt.point_kji, box.start_kji), self._seedRadiusMm / spacing, label)
            else:
                seeds[where.relative_to(box).slices][crop > 0] = label
        labels = growFromSeeds(volume.array_kji[box.slices], seeds, volume.grid.spacing_kji_mm)
        # The box holds those of all earlier answers, so nothing of them stays outside it.
        return Prediction(box, (labels == _OBJECT).astype(np.float32), np.zeros((1, 1), np.float32))


def growFromSeeds(
    image: np.ndarray, seeds: np.ndarray, spacing_kji_mm: tuple[float, float, float], distancePenalty: float = 0.0
) -> np.ndarray:
    """(K, J, I) labels for an image and uint8 seeds of one shape; every voxel gets the label of some seed."""
    if len(np.unique(seeds[seeds > 0])) < 2:
        return np.where(seeds.max() > 0, np.full_like(seeds, seeds.max()), seeds)
    growCut = slicer.vtkImageGrowCutSegment()
    # Labels do not spread from the outermost voxels of what the filter is given, so it is given one more all round.
    growCut.SetIntensityVolume(_imageData(np.pad(image, 1, mode="edge"), spacing_kji_mm))
    growCut.SetSeedLabelVolume(_imageData(np.pad(seeds, 1), spacing_kji_mm))
    growCut.SetDistancePenalty(distancePenalty)
    growCut.Update()
    scalars = growCut.GetOutput().GetPointData().GetScalars()
    padded = tuple(size + 2 for size in seeds.shape)
    return numpy_support.vtk_to_numpy(scalars).reshape(padded)[1:-1, 1:-1, 1:-1].copy()


def _shell(seeds: np.ndarray, box: Box, shape_kji: tuple[int, int, int]) -> None:
    """Background on the box's faces, but not where the volume itself ends: an object may well reach the last slice.

    In a volume that lies within the 40 mm altogether every face counts, thin axes apart, since there must be some.
    """
    cut = [(box.start_kji[axis] > 0, box.stop_kji[axis] < shape_kji[axis]) for axis in range(3)]
    if not np.any(cut):
        cut = [(size >= _THINNEST_SHELLED,) * 2 for size in seeds.shape]
    for axis, sides in enumerate(cut):
        for face, wanted in zip((0, -1), sides):
            if wanted:
                np.moveaxis(seeds, axis, 0)[face] = _BACKGROUND


def _ball(seeds: np.ndarray, centre: np.ndarray, radius_vox: np.ndarray, label: int) -> None:
    axes = [
        (np.arange(size) - place) / max(radius, 1e-3) for size, place, radius in zip(seeds.shape, centre, radius_vox)
    ]
    inside = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2 <= 1
    seeds[inside] = label


def _imageData(array_kji: np.ndarray, spacing_kji_mm: tuple[float, float, float]) -> vtk.vtkImageData:
    array = np.ascontiguousarray(array_kji)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(array.shape))
    image.SetSpacing(*reversed(spacing_kji_mm))
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(array.ravel(), deep=True))
    return image
