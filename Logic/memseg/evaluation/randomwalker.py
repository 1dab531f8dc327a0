"""scikit-image's random walker behind the Segmenter protocol: a peer to measure the models against."""

from __future__ import annotations

import numpy as np
from skimage.segmentation import random_walker

from ..memory.interaction import Interaction
from ..segmenters.base import ModelCard, Numbered, Prediction
from ..segmenters.region import Region
from ..volume import Volume
from .seeds import BACKGROUND, OBJECT, seeded_box, seeds_of

SEED_RADIUS_MM = 4.0
BETA = 130.0
TOL = 1e-3
MOST_VOXELS = 60_000
_PERCENTILES = (0.5, 99.5)
_BEYOND = 1.0  # how far iterations may end outside 0 to 1 without a warning: what lies there is cut off


class RandomWalker:
    """The random walker (Grady, 2006) in the box of all prompts widened by 40 mm, the box's shell being background.

    Its seeds are those of seeds.py, on a working grid of at most `most_voxels`. Every prompt is answered from all of
    them afresh.
    """

    def __init__(
        self, seed_radius_mm: float = SEED_RADIUS_MM, beta: float = BETA, most_voxels: int = MOST_VOXELS
    ) -> None:
        self.card = ModelCard(
            name="randomwalker",
            title="Random walker",
            summary="The random walker of scikit-image, for comparison.",
            prompts=frozenset({"click", "scribble", "lasso"}),
            licence="BSD-3-Clause (scikit-image)",
            source="https://doi.org/10.1109/TPAMI.2006.233 (Grady, TPAMI 2006)",
            needs=("skimage",),
        )
        self._seed_radius_mm = seed_radius_mm
        self._beta = beta
        self._most_voxels = most_voxels

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        region = Region.covering(volume.grid, seeded_box(prompts, volume), self._most_voxels)
        seeds = seeds_of(prompts, region, self._seed_radius_mm)
        probability = self._walked(_standardized(region.sample(volume.array_kji)), seeds, region.spacing_kji_mm)
        # The box holds those of all earlier answers, so nothing of them stays outside it.
        return Prediction(region.box, region.expanded(probability, region.box), np.zeros((1, 1), np.float32))

    def _walked(self, image: np.ndarray, seeds: np.ndarray, spacing_kji_mm: tuple[float, float, float]) -> np.ndarray:
        """(K, J, I) probability of the object, 0 to 1: how likely a walk from a voxel meets a seed of it first."""
        if not {0, OBJECT, BACKGROUND} <= set(np.unique(seeds)):
            return ((seeds == OBJECT) | ((seeds == 0) & (seeds.max() == OBJECT))).astype(np.float32)
        spacing = np.asarray(spacing_kji_mm) / min(spacing_kji_mm)
        both = random_walker(
            image, seeds, beta=self._beta, mode="cg_j", spacing=spacing, return_full_prob=True, prob_tol=1.0, tol=TOL
        )
        return np.clip(both[OBJECT - 1], 0, 1).astype(np.float32)


def _standardized(image: np.ndarray) -> np.ndarray:
    """Outliers cut, deviation 1, so that one beta (which the walker divides by the deviation) fits CT, MR and PET."""
    image = np.clip(image, *np.percentile(image, _PERCENTILES)).astype(np.float64)
    deviation = image.std()
    if deviation == 0:
        image = np.zeros_like(image)
        image.flat[0] = 1  # a region of one value has no deviation, by which the walker would divide
        return image
    return (image - image.mean()) / deviation
