"""From a volume to the slices that BiomedParse is shown, and back.

The published way (utils.py and inference.py of microsoft/BiomedParse, branch v2): the volume as SimpleITK reads a scan,
slices running to the head, rows to the back, columns to the patient's left. It is cut along the first of these axes
unless its slices would be far from square, otherwise along the shortest. Each slice is padded with zeros to a square
and resized to 512 by cubic interpolation; its mask is enlarged, read at the nearest pixel, and loses the padding again.
Here the pixel is the one at a voxel's centre, which is exact; theirs is the one at its edge, up to half a voxel beside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from ..geometry import AXES, Box, Grid
from ..volume import Volume
from .canonical import Canonical

_NAMES = ("axial", "coronal", "sagittal")
_SQUARE = 0.5  # by how much, relative to their mean, rows and columns may differ in number


@dataclass(frozen=True)
class Stack:
    """How a volume is cut. along: 0 axial, 1 coronal, 2 sagittal. shape: slices, rows, columns. edge: of what the
    network is shown, in pixels."""

    canonical: Canonical
    along: int
    shape: tuple[int, int, int]
    edge: int

    @classmethod
    def of(cls, grid: Grid, edge: int) -> Stack:
        canonical = Canonical.of(grid)
        sizes = tuple(grid.shape_kji[axis] for axis in canonical.axes[::-1])  # towards S, P and L
        apart = 2 * abs(sizes[1] - sizes[2]) / (sizes[1] + sizes[2])
        along = 0 if apart < _SQUARE else int(np.argmin(sizes))
        return cls(canonical, along, (sizes[along], *(size for axis, size in enumerate(sizes) if axis != along)), edge)

    @property
    def count(self) -> int:
        return self.shape[0]

    @property
    def is_axial(self) -> bool:
        return self.along == 0

    @property
    def name(self) -> str:
        return _NAMES[self.along]

    @property
    def axis(self) -> str:
        """The volume's own axis that it is cut along: k, j or i."""
        return AXES[self._axis]

    def slice_at(self, point_kji: tuple[int, int, int]) -> int:
        """The number of the slice that holds a voxel; slices are numbered in the network's order."""
        place = point_kji[self._axis]
        return self.count - 1 - place if self._is_reversed else place

    def index_of(self, number: int) -> int:
        """Along the volume's own axis."""
        return self.count - 1 - number if self._is_reversed else number

    def planes(self, array_kji: np.ndarray) -> np.ndarray:
        """(slices, rows, columns), a view."""
        towards_spl = np.flip(self.canonical.turned(array_kji).transpose(2, 1, 0), (1, 2))
        return np.moveaxis(towards_spl, self.along, 0)

    def back(self, planes: np.ndarray) -> np.ndarray:
        """(slices, rows, columns) -> (k, j, i), a view; the inverse of `planes`."""
        towards_spl = np.moveaxis(planes, 0, self.along)
        return self.canonical.returned(np.flip(towards_spl, (1, 2)).transpose(2, 1, 0))

    def shown(self, volume: Volume, number: int, window: Window) -> Tensor:
        """(edge, edge) float32 of 0 to 255: a slice as the network is shown it."""
        grey = window.grey(self.planes(volume.array_kji)[number])
        padded = torch.from_numpy(np.pad(grey, self._padding))[None, None]
        resized = functional.interpolate(padded, size=(self.edge, self.edge), mode="bicubic", align_corners=False)
        return resized[0, 0].float()

    def read(self, logits: np.ndarray) -> np.ndarray:
        """(h, w) logits of a slice -> (rows, columns) float32 probability."""
        enlarged = functional.interpolate(
            torch.from_numpy(logits)[None, None], size=(self.edge, self.edge), mode="bicubic", align_corners=False
        )
        return self.cropped(enlarged[0, 0].sigmoid().numpy())

    def cropped(self, plane: np.ndarray) -> np.ndarray:
        """(edge, edge) -> (rows, columns): at the nearest pixel, without the padding."""
        (above, _), (left, _) = self._padding
        rows, columns = self.shape[1:]
        square = max(rows, columns)
        nearest = (2 * np.arange(square) + 1) * self.edge // (2 * square)
        return plane[np.ix_(nearest[above : above + rows], nearest[left : left + columns])]

    def box_of(self, numbers: list[int]) -> Box:
        """Of all slices between the first and the last of some."""
        ends = sorted(self.index_of(number) for number in (min(numbers), max(numbers)))
        start, stop = [0, 0, 0], list(self._shape_kji)
        start[self._axis], stop[self._axis] = ends[0], ends[1] + 1
        return Box(tuple(start), tuple(stop))

    @property
    def _shape_kji(self) -> tuple[int, int, int]:
        return self.back(np.empty(self.shape, np.bool_)).shape

    @property
    def _axis(self) -> int:
        """Which of k, j, i it is cut along; the slices run to S, P or L."""
        return self.canonical.axes[2 - self.along]

    @property
    def _is_reversed(self) -> bool:
        against = self.canonical.flipped[2 - self.along]
        return against if self.along == 0 else not against  # of R, A, S, the first two are turned round

    @property
    def _padding(self) -> tuple[tuple[int, int], tuple[int, int]]:
        rows, columns = self.shape[1:]
        lacking = (max(columns - rows, 0), max(rows - columns, 0))
        return tuple((size // 2, size - size // 2) for size in lacking)


@dataclass(frozen=True)
class Window:
    """The intensities that become 0 to 255."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError("A window runs from a lower to a higher intensity.")

    def grey(self, plane: np.ndarray) -> np.ndarray:
        """uint8, as the authors' data have it: resizing rounds and cuts off at 0 and 255, which is visible at edges."""
        share = (np.clip(plane.astype(np.float32), self.low, self.high) - self.low) / (self.high - self.low)
        return (share * 255).astype(np.uint8)
