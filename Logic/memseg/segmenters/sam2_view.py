"""What SAM 2 is shown of a slice, and the way back: 8 bits by window and level, a square whatever the slice's shape.

As the authors of SAM 2 and MedSAM2 have it: grey values 0 to 255, resized by cubic interpolation whatever the slice's
own proportions, and normalised by ImageNet's mean and deviation. A voxel's centre stays where it is: row r of R lies at
(r + 0.5) edge / R - 0.5 of the square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from ..geometry import Grid
from ..modality import guess, samples
from ..volume import Volume

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PERCENTILES = (0.5, 99.5)  # of an MR or PET volume, as MedSAM's preprocessing has it


@dataclass(frozen=True)
class Shade:
    """Raw values shown black and white."""

    black: float
    white: float

    def __post_init__(self) -> None:
        # What a remembered slice keeps is float32, and a shade that comes back from there is the same.
        for name in ("black", "white"):
            object.__setattr__(self, name, float(np.float32(getattr(self, name))))
        if not self.black < self.white:
            raise ValueError("White is above black.")

    def seen(self, plane: np.ndarray) -> np.ndarray:
        """uint8 0 to 255 of the same shape."""
        values = (np.asarray(plane, np.float32) - np.float32(self.black)) * np.float32(255 / (self.white - self.black))
        return np.clip(values, 0, 255).astype(np.uint8)


SOFT_TISSUE = Shade(-160, 240)  # level 40, width 400, as MedSAM2's data were shown unless said otherwise
LUNG = Shade(-1350, 150)  # level -600, width 1500
BONE = Shade(-500, 1300)  # level 400, width 1800
_LUNG_BELOW_HU, _BONE_ABOVE_HU = -500.0, 300.0


@dataclass(frozen=True)
class Shading:
    """How the slices of a volume are shown. plain: of a volume that is no CT."""

    is_ct: bool
    plain: Shade

    @classmethod
    def of(cls, volume: Volume) -> Shading:
        values = samples(volume)
        if guess(volume) == "CT":
            return cls(True, SOFT_TISSUE)
        counted = values[values > 0] if values.min() >= 0 and (values > 0).any() else values
        low, high = (float(value) for value in np.percentile(counted, _PERCENTILES))
        return cls(False, Shade(low, high) if np.float32(low) < np.float32(high) else Shade(*volume.intensity_range))

    def round(self, values: np.ndarray) -> Shade:
        """For an object of these raw values: of a CT, the window in which such tissue is looked at."""
        if not self.is_ct or not values.size:
            return self.plain
        middle = float(np.median(values))
        return LUNG if middle < _LUNG_BELOW_HU else BONE if middle > _BONE_ABOVE_HU else SOFT_TISSUE


# -- there -------------------------------------------------------------------------------------------------------------


def picture(plane: np.ndarray, shade: Shade, edge: int) -> Tensor:
    """(rows, columns) raw -> (1, 3, edge, edge) normalised."""
    grey = torch.from_numpy(shade.seen(plane))[None, None]  # in bytes it is Pillow's own way: columns first, rounded
    grey = functional.interpolate(grey, (edge, edge), mode="bicubic", antialias=True)
    mean, deviation = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (_MEAN, _DEVIATION))
    return (grey.float() / 255 - mean) / deviation


def places(points: Sequence[tuple[float, float]], shape: tuple[int, int], edge: int) -> np.ndarray:
    """(N, 2) rows and columns of a slice -> (N, 2) columns and rows of the square, float32."""
    array = np.asarray(points, np.float64).reshape(-1, 2)
    return ((array + 0.5) * edge / np.asarray(shape) - 0.5)[:, ::-1].astype(np.float32)


def squared(mask: np.ndarray, edge: int) -> Tensor:
    """(rows, columns) 0/1 -> (1, 1, edge, edge) 0/1; a mask that is not empty stays so however small it is."""
    values = torch.from_numpy(np.asarray(mask != 0, np.float32))[None, None]
    values = functional.interpolate(values, (edge, edge), mode="bilinear", antialias=True)
    return (values >= min(0.5, float(values.max()) or 0.5)).float()


# -- and back ----------------------------------------------------------------------------------------------------------


def on_slice(logits: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """(1, 1, e, e) -> (rows, columns) float32."""
    return functional.interpolate(logits.float(), shape, mode="bilinear", align_corners=False)[0, 0].cpu().numpy()


def probability(logits: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)


def acquired_axis(grid: Grid) -> str:
    """The axis along which slices were acquired, as far as can be told: that of the largest spacing with more than one
    slice; k where all are alike."""
    spacing = [size if count > 1 else 0.0 for size, count in zip(grid.spacing_kji_mm, grid.shape_kji)]
    largest = max(spacing)
    return next(axis for axis, size in zip("kji", spacing) if size >= largest * 0.999)
