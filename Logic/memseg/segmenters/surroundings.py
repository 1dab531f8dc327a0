"""What lies round a structure, as a network of SAM-Med3D's kind would be shown it: a cube of 128^3 samples of 1.5 mm
along the volume's own axes, 0 beside the volume. Known without torch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..geometry import Box
from ..memory.bank import Surroundings
from ..volume import Volume
from .nano_view import View

EDGE, SPACING_MM = 128, 1.5


def surroundings_of(volume: Volume, box: Box, values: np.ndarray, identity: str) -> Surroundings:
    """Round the structure that is the crop `values` (0/1) at `box` of the volume's mask, which is not empty. Whole
    numbers where the volume has such. identity: of the remembered structure."""
    grid = volume.grid
    inside = np.argwhere(np.asarray(values) > 0) + box.start_kji
    centre_ras = grid.ras_from_kji(inside).mean(axis=0)
    view = View(grid, tuple(float(value) for value in grid.kji_from_ras(centre_ras)), SPACING_MM, EDGE)
    shape = (view.edge,) * 3
    found = ndimage.affine_transform(
        volume.array_kji, view.step_kji, view.first_kji, shape, order=1, mode="nearest", output=np.float32
    )
    image = np.where(view.inside, found, np.float32(0))
    low, high = volume.intensity_range
    if volume.array_kji.dtype.kind in "biu" and -(2**15) <= low and high < 2**15:
        image = np.rint(image).astype(np.int16)
    form = grid.ijk_to_ras.copy()
    form[:3, :3] = form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0) * view.spacing_mm
    form[:3, 3] = grid.ras_from_kji(view.first_kji) - centre_ras
    return Surroundings(identity, image, form)
