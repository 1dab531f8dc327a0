"""Bright objects, and a segmenter of SAM-Med3D's kind that finds them by hand."""

from __future__ import annotations

import numpy as np
from fakes import ellipsoid, turned_grid
from small_sam import ThresholdSam

from memseg.geometry import Grid
from memseg.segmenters.sam_med3d import Extending, SamMed3DSegmenter
from memseg.volume import Volume

SHAPE, CENTRE = (20, 60, 64), (9, 28, 33)
GRID = turned_grid(SHAPE)  # spacing 2.5, 0.9, 0.7 mm along k, j, i
OBJECT = ellipsoid(SHAPE, CENTRE, (5.2, 15.0, 18.5))  # radii of 13 mm


def bright(truth: np.ndarray = OBJECT, grid: Grid = GRID) -> Volume:
    noise = np.random.default_rng(3).normal(0, 4, truth.shape)
    return Volume((truth * 150 - 50 + noise).astype(np.float32), grid)


def thresholding(boxes: bool = False, extending: Extending | None = None, reach: float = 100.0) -> SamMed3DSegmenter:
    network = ThresholdSam(boxes)
    network.reach = reach
    return SamMed3DSegmenter(network, "cpu", extending)


def network_of(segmenter: SamMed3DSegmenter) -> ThresholdSam:
    return segmenter._engine.network
