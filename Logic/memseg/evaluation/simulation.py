"""The simulated user: where the next click goes (the protocol of the CVPR 2025 interactive segmentation challenge), and
how a hurried hand misses it."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from scipy import ndimage

from ..errors import PromptError
from ..geometry import Box, Grid, nearest_voxel
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


@dataclass(frozen=True)
class Noise:
    """How a hand misses: each click lies `mm` off in a random direction, a `wrong` share of them has the wrong sign.

    Raises PromptError for what no hand can do.
    """

    mm: float = 0.0
    wrong: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.mm <= 1000:
            raise PromptError(f"Clicks cannot lie {self.mm:g} mm off; give a length between 0 and 1000 mm.")
        if not 0 <= self.wrong <= 1:
            raise PromptError(f"{self.wrong:g} of the clicks cannot be wrong; give a share between 0 and 1.")
        if self.seed < 0:
            raise PromptError("The seed of the noise cannot be negative; give a whole number from 0 on.")

    def disturbed(self, click: Click, grid: Grid, occasion: str) -> Click:
        """The click made where this one was meant, kept inside the volume.

        occasion: names the object and the number of the click. The same direction and the same luck for the same
        occasion, whichever method is corrected there, however far off and however often wrong clicks are.
        """
        rng = np.random.default_rng((self.seed, crc32(occasion.encode())))
        direction = rng.normal(size=3)
        wrong = bool(rng.random() < self.wrong)
        offset_vox = self.mm * direction / np.linalg.norm(direction) / grid.spacing_kji_mm
        point_kji = np.clip(nearest_voxel(click.point_kji + offset_vox), 0, np.asarray(grid.shape_kji) - 1)
        return Click(tuple(int(index) for index in point_kji), click.positive != wrong)

    def __str__(self) -> str:
        parts = [f"clicks {self.mm:g} mm off"] if self.mm else []
        parts += [f"{self.wrong:.0%} of clicks with the wrong sign"] if self.wrong else []
        return ", ".join(parts)
