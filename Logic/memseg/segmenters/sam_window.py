"""Where SAM-Med3D looks: cubes of samples of 1.5 mm along the volume's own axes, and what was answered in them.

As published a window's image has 128 samples an edge and its answer 32 cells of 6 mm round the same centre, so that
the answer, interpolated linearly at the volume's voxels, is the published upsampling and the way back in one. Windows
of one answer lie half an edge apart, so that their cells are those of one lattice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..geometry import Box, Grid
from ..networks.sam_med3d import SPACING_MM
from ..prompts import BoxPrompt, Click, Prompt
from .nano_view import View

_INNER = 0.75  # of half a window: what lies within needs no window of its own
Place = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Window:
    """origin_kji: voxel coordinates of the centre of the first window of an answer. place: how many half windows along
    k, j, i this one lies from it. samples, cells: along an edge. spacing_mm: between samples."""

    grid: Grid
    origin_kji: tuple[float, float, float]
    samples: int
    cells: int
    place: Place = (0, 0, 0)
    spacing_mm: float = SPACING_MM

    @cached_property
    def image(self) -> View:
        """As the network sees it."""
        return View(self.grid, self._centre_kji, self.spacing_mm, self.samples)

    @cached_property
    def answer(self) -> View:
        """As the network answers."""
        return View(self.grid, self._centre_kji, self.cell_mm, self.cells)

    def canvas(self, reach: int) -> View:
        """The lattice of cells round the first window, wide enough for windows at most `reach` places away."""
        return View(self.grid, self.origin_kji, self.cell_mm, self.cells * (1 + reach))

    @property
    def cell_mm(self) -> float:
        return self.spacing_mm * self.samples / self.cells

    @property
    def key(self) -> tuple[float, ...]:
        """Equal for windows of one volume that see the same."""
        return (*self.origin_kji, *self.place)

    def beside(self, axis: int, side: int) -> Window:
        """The next one, half a window on. side: -1 or 1."""
        place = tuple(step + side * (along == axis) for along, step in enumerate(self.place))
        return replace(self, place=place)

    def goes_on(self, axis: int, side: int) -> bool:
        """Whether the volume goes on beyond a face by a cell and more."""
        view = self.answer
        end = view.centre_kji[axis] + side * (self.cells / 2 + 1) * view.step_kji[axis]
        return end > 0 if side < 0 else end < self.grid.shape_kji[axis] - 1

    @property
    def _centre_kji(self) -> tuple[float, float, float]:
        half = self.samples / 2 * self.spacing_mm / np.asarray(self.grid.spacing_kji_mm)
        return tuple(float(value) for value in np.asarray(self.origin_kji) + np.asarray(self.place) * half)


def window_of(
    standing: Sequence[Prompt], grid: Grid, samples: int, cells: int, spacing_mm: float = SPACING_MM
) -> Window:
    """The window of the newest prompt, by the prompts alone, so that it is the same whatever is cached.

    A click or box opens a window round itself unless it lies well within one that an earlier prompt has opened; of
    several it takes the one whose centre is nearest. So corrections of one object share an encoded image.
    """
    opened: list[Window] = []
    chosen = None
    for prompt in standing:
        if not isinstance(prompt, (Click, BoxPrompt)):
            continue
        points = corners_of(prompt, grid)
        away = [float(np.abs(window.image.relative(points)).max()) for window in opened]
        if away and min(away) <= _INNER:
            chosen = opened[int(np.argmin(away))]
        else:
            middle = tuple(float(value) for value in points.mean(axis=0))
            chosen = Window(grid, middle, samples, cells, spacing_mm=spacing_mm)
            opened.append(chosen)
    if chosen is None:
        raise ValueError("A window needs a click or a box.")
    return chosen


def corners_of(prompt: Click | BoxPrompt, grid: Grid) -> np.ndarray:
    """(P, 3) voxels: the click's, or the first and the last of the box's in the volume."""
    if isinstance(prompt, Click):
        return np.asarray([prompt.point_kji], float)
    box = prompt.box.clipped(grid.shape_kji)
    return np.asarray([box.start_kji, np.subtract(box.stop_kji, 1)], float)


# -- what the network is shown -----------------------------------------------------------------------------------------


def image_of(view: View, array_kji: np.ndarray) -> np.ndarray:
    """Float32 (edge, edge, edge): linear between voxels, however fine they are, and 0 beside the volume."""
    pieces, places = [], []
    for axis, size in enumerate(array_kji.shape):
        place = np.clip(view.first_kji[axis] + np.arange(view.edge) * view.step_kji[axis], 0, size - 1)
        low = int(np.floor(place[0]))
        pieces.append(slice(low, int(np.ceil(place[-1])) + 1))
        places.append(place - low)
    found = array_kji[tuple(pieces)]
    for axis in np.argsort([view.edge / size for size in found.shape]):  # first where most voxels fall away
        found = _interpolated(found, int(axis), places[axis])
    return np.where(view.inside, found, np.float32(0))


def _interpolated(values: np.ndarray, axis: int, place: np.ndarray) -> np.ndarray:
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    share = (place - below).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
    found = np.take(values, below, axis=axis).astype(np.float32)
    found += share * (np.take(values, above, axis=axis) - found)
    return found


def normalised(image: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 of the values above 0, as in training; of all where none are."""
    counted = image[image > 0]
    counted = counted if counted.size > 1 else image.ravel()
    mean, deviation = counted.mean(dtype=np.float64), counted.std(dtype=np.float64, ddof=1)
    return ((image - mean) / (deviation or 1.0)).astype(np.float32)


# -- what it has answered ----------------------------------------------------------------------------------------------


@dataclass
class Mosaic:
    """Answers in windows of one lattice: logits (cells^3) by the window's place. Where windows overlap, each counts the
    more the further a cell lies from its faces."""

    cells: int
    answers: dict[Place, np.ndarray] = field(default_factory=dict)

    @property
    def reach(self) -> int:
        """The largest number of half windows between the first one and any other along an axis."""
        return max(abs(step) for place in self.answers for step in place)

    def seen(self, place: Place, reach: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Logits and bool (edge^3), where there are any: in the cube round that place that is `reach` half windows
        wider on every side than a window."""
        half, edge = self.cells // 2, self.cells * (1 + reach)
        total, weights = np.zeros((edge,) * 3, np.float32), np.zeros((edge,) * 3, np.float32)
        cube = Box.of_shape(total.shape)
        for other, logits in self.answers.items():
            start = [half * (there - here + reach) for there, here in zip(other, place)]
            whole = Box(tuple(start), tuple(value + self.cells for value in start))
            shared = whole.intersection(cube)
            if not shared.is_empty:
                within = shared.relative_to(whole).slices
                total[shared.slices] += (logits * self._weight)[within]
                weights[shared.slices] += self._weight[within]
        there = weights > 0
        return np.divide(total, weights, out=total, where=there), there

    @cached_property
    def _weight(self) -> np.ndarray:
        """(cells^3) 0 to 1, above 0."""
        ramp = (1 - np.abs(np.arange(self.cells) + 0.5 - self.cells / 2) / (self.cells / 2)).astype(np.float32)
        return ramp[:, None, None] * ramp[None, :, None] * ramp[None, None, :]
