"""Slicer's own Grow from seeds behind the Segmenter protocol: what MemSeg's models are measured against."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from memseg.evaluation.seeds import OBJECT, seeded_box, seeds_of
from memseg.memory.interaction import Interaction
from memseg.segmenters.base import ModelCard, Numbered, Prediction
from memseg.segmenters.region import Region
from memseg.volume import Volume

# At 2 mm Dice after 1, 3, 5, 10 clicks was 0.34, 0.54, 0.63, 0.66 (every fifth validation object), at 4 mm as follows:
# 0.41, 0.59, 0.60, 0.66; the peer is given the better.
SEED_RADIUS_MM = 4.0


class GrowCutPeer:
    """vtkImageGrowCutSegment in the box of all prompts widened by 40 mm, the box's shell being background.

    Its seeds are those of memseg.evaluation.seeds. Every prompt is answered from all of them afresh, as Slicer's effect
    does.
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
        box = seeded_box(prompts, volume)
        seeds = seeds_of(prompts, Region(volume.grid, box, (1, 1, 1)), self._seedRadiusMm)
        labels = growFromSeeds(volume.array_kji[box.slices], seeds, volume.grid.spacing_kji_mm)
        # The box holds those of all earlier answers, so nothing of them stays outside it.
        return Prediction(box, (labels == OBJECT).astype(np.float32), np.zeros((1, 1), np.float32))


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


def _imageData(array_kji: np.ndarray, spacing_kji_mm: tuple[float, float, float]) -> vtk.vtkImageData:
    array = np.ascontiguousarray(array_kji)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(array.shape))
    image.SetSpacing(*reversed(spacing_kji_mm))
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(array.ravel(), deep=True))
    return image
