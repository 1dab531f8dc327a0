"""Where methods that grow from labelled seeds get them: from the prompts, and from a shell round all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import PromptError
from ..geometry import Box
from ..prompts import Click
from ..raster import rasterize
from ..segmenters.base import Numbered
from ..segmenters.region import Region
from ..volume import Volume

OBJECT, BACKGROUND = 1, 2
SHELL_MM = 40.0
_THINNEST_SHELLED = 9  # voxels; along a shorter axis a shell would leave the object no room


def seeded_box(prompts: Sequence[Numbered], volume: Volume) -> Box:
    """The box of all prompts widened by 40 mm, inside the volume. Raises PromptError where none lies in the volume."""
    box = Box.empty()
    for each in prompts:
        box = box.union(rasterize(each.prompt, volume.grid)[0])
    if box.is_empty:
        raise PromptError("Growing from seeds needs a prompt inside the volume; click on the image.")
    margin = np.ceil(SHELL_MM / np.asarray(volume.grid.spacing_kji_mm)).astype(int)
    return box.grown(margin).clipped(volume.shape_kji)


def seeds_of(prompts: Sequence[Numbered], region: Region, radius_mm: float) -> np.ndarray:
    """Uint8 on the region's working grid: 0, OBJECT or BACKGROUND.

    A click seeds a ball (never less than its voxel), other prompts the voxels they cover; where they overlap, the later
    one wins. The region's shell is background.
    """
    seeds = np.zeros(region.shape_kji, np.uint8)
    _shell(seeds, region)
    for each in prompts:
        label = OBJECT if each.prompt.positive else BACKGROUND
        if isinstance(each.prompt, Click):
            for centre in region.working(np.asarray(each.prompt.point_kji)):
                _ball(seeds, centre, radius_mm / np.asarray(region.spacing_kji_mm), label)
        else:
            box, crop = rasterize(each.prompt, region.grid)
            seeds[tuple(region.working(np.argwhere(crop) + box.start_kji).T)] = label
    return seeds


def _shell(seeds: np.ndarray, region: Region) -> None:
    """Background on the region's faces, but not where the volume itself ends: an object may well reach the last slice.

    In a volume that lies within the 40 mm altogether every face counts, thin axes apart, since there must be some.
    """
    box, ends = region.box, region.grid.shape_kji
    cut = [(box.start_kji[axis] > 0, box.stop_kji[axis] < ends[axis]) for axis in range(3)]
    if not np.any(cut):
        cut = [(size >= _THINNEST_SHELLED,) * 2 for size in seeds.shape]
    for axis, sides in enumerate(cut):
        for face, wanted in zip((0, -1), sides):
            if wanted:
                np.moveaxis(seeds, axis, 0)[face] = BACKGROUND


def _ball(seeds: np.ndarray, centre: np.ndarray, radius_vox: np.ndarray, label: int) -> None:
    axes = [
        (np.arange(size) - place) / max(radius, 1e-3) for size, place, radius in zip(seeds.shape, centre, radius_vox)
    ]
    inside = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2 <= 1
    seeds[inside] = label
