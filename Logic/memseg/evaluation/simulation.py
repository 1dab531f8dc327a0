"""The simulated user: where the next click goes (the protocol of the CVPR 2025 interactive segmentation challenge)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..geometry import Box
from ..prompts import Click

_NEIGHBOURS = np.ones((3, 3, 3), bool)  # 26-connected


def deepest_voxel(mask: np.ndarray, spacing_kji_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    """Voxel of a non-empty mask furthest in mm from the voxels outside it; the first in array order if several.

    The array's own edges bound nothing: an object cut off by the end of the scan is deepest at the cut, as it would be
    in the whole body. A mask without any voxel outside it is deepest at its centre.
    """
    mask = np.asarray(mask, dtype=bool)
    box = Box.of_mask(mask).grown(1).clipped(mask.shape)
    crop = mask[box.slices]
    if crop.all():
        return tuple((start + stop - 1) // 2 for start, stop in zip(box.start_kji, box.stop_kji))
    distance_mm = ndimage.distance_transform_edt(crop, sampling=spacing_kji_mm)
    distance_mm = np.round(distance_mm, 4)  # equal distances must stay equal whatever the order of the sums
    place = np.unravel_index(int(np.argmax(distance_mm)), distance_mm.shape)
    return tuple(int(index) + start for index, start in zip(place, box.start_kji))


def next_click(truth: np.ndarray, mask: np.ndarray, spacing_kji_mm: tuple[float, float, float]) -> Click | None:
    """The correction of the largest error, in the indices of the two arrays; None where there is no error.

    The arrays hold every voxel of truth and mask and, unless the volume ends there, one voxel round them.

    The largest 26-connected component of the wrong voxels is found (the first one in array order if several are as
    large), and the voxel deepest inside it is clicked: positive where it belongs to the object. An empty mask makes
    the whole object one error, so the first click falls deepest inside the object's largest part.
    """
    wrong = np.asarray(truth, dtype=bool) != np.asarray(mask, dtype=bool)
    components, count = ndimage.label(wrong, structure=_NEIGHBOURS)
    if count == 0:
        return None
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    point_kji = deepest_voxel(components == int(np.argmax(sizes)), spacing_kji_mm)
    return Click(point_kji, positive=bool(truth[point_kji]))
