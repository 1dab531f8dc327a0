"""Volumes and what changes in a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .errors import VolumeError
from .geometry import Box, Grid


@dataclass(frozen=True, eq=False)
class Volume:
    """An image and its grid.

    array_kji: (K, J, I), any real number type, all finite, not constant; kept as a read-only view, never copied.
    Raises VolumeError with what to do about it otherwise. Two volumes are equal only if they are the same object.
    """

    array_kji: np.ndarray
    grid: Grid
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        array = np.asarray(self.array_kji).view()
        if array.ndim != 3:
            raise VolumeError(_dimension_sentence(array))
        if array.shape != self.grid.shape_kji:
            raise ValueError(f"The array has shape {array.shape}, the grid {self.grid.shape_kji}.")
        if array.dtype.kind not in "biuf":
            raise VolumeError("The image does not hold plain numbers; convert it to a scalar volume first.")
        low, high = array.min(), array.max()  # NaN wins both, infinity wins one: two passes, no temporary copy
        if not (np.isfinite(low) and np.isfinite(high)):
            raise VolumeError(
                "The image holds voxels that are not numbers (NaN or infinite); replace them by the background first."
            )
        if low == high:
            raise VolumeError(f"Every voxel of the image has the same value ({low}), so there is nothing to segment.")
        array.flags.writeable = False
        object.__setattr__(self, "array_kji", array)
        object.__setattr__(self, "_range", (float(low), float(high)))

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        return self.grid.shape_kji

    @property
    def intensity_range(self) -> tuple[float, float]:
        """Smallest and largest voxel value."""
        return self._range

    @cached_property
    def fingerprint(self) -> str:
        """Tells this image from others, wherever it lies: SHA-256 of its shape and up to 64 slices of 4096 voxels."""
        import hashlib

        digest = hashlib.sha256(repr(self.shape_kji).encode())
        for k in np.unique(np.linspace(0, self.shape_kji[0] - 1, 64).astype(int)):
            plane = self.array_kji[k]
            step = max(1, int(np.ceil(np.sqrt(plane.size / 4096))))
            digest.update(np.ascontiguousarray(plane[::step, ::step], dtype="<f4").tobytes())
        return digest.hexdigest()


def _dimension_sentence(array: np.ndarray) -> str:
    if array.ndim == 4 and array.shape[-1] in (3, 4):
        return "This is a colour image; convert it first, for example with Slicer's Vector to Scalar Volume."
    if array.ndim == 4:
        return f"The image has {array.shape[0]} time points or channels; extract one of them and load that."
    return f"The image has {array.ndim} dimensions; MemSeg segments volumes of three."


@dataclass(frozen=True, eq=False)
class MaskChange:
    """The crop of a mask that changed: half-open box, and uint8 0/1 crops of the box's shape, before and after."""

    box: Box
    before: np.ndarray
    after: np.ndarray

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            crop = np.array(getattr(self, name), dtype=np.uint8)
            if crop.shape != self.box.shape_kji:
                raise ValueError(f"The crop '{name}' has shape {crop.shape}, the box {self.box.shape_kji}.")
            crop.flags.writeable = False
            object.__setattr__(self, name, crop)

    @classmethod
    def between(cls, mask_kji: np.ndarray, box: Box, after: np.ndarray) -> MaskChange:
        """What writing the crop `after` at `box` into the mask would change, cut down to the voxels that differ."""
        before = mask_kji[box.slices]
        tight = Box.of_mask(before != after)
        return cls(tight.shifted(box.start_kji), before[tight.slices], after[tight.slices])

    @classmethod
    def of_all(cls, changes: Sequence[MaskChange], mask_kji: np.ndarray) -> MaskChange:
        """Changes made one after the other, the last of which led to the mask, as one."""
        box = Box.empty()
        for change in changes:
            box = box.union(change.box)
        after = mask_kji[box.slices].copy()
        before = after.copy()
        for change in reversed(changes):
            if not change.is_empty:
                before[change.box.relative_to(box).slices] = change.before
        return cls(box, before, after)

    @classmethod
    def nothing(cls) -> MaskChange:
        """The change of no voxel."""
        none = np.zeros((0, 0, 0), np.uint8)
        return cls(Box.empty(), none, none)

    @property
    def is_empty(self) -> bool:
        return self.box.is_empty

    @property
    def inverse(self) -> MaskChange:
        return MaskChange(self.box, self.after, self.before)

    @property
    def voxels_changed(self) -> int:
        return int(np.count_nonzero(self.before != self.after))
