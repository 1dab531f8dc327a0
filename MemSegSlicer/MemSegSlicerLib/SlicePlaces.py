"""Slices of a volume and slice views: which of its axes a view shows, which slice, and where a slice lies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from memseg.geometry import AXES, Grid, nearest_voxel

_PLANES = (("Axial", 2), ("Coronal", 1), ("Sagittal", 0))  # and the world axis along which their slices follow
_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))  # towards plus and minus of the world's axes


@dataclass
class AxisRow:
    """An axis of the image. title: of the views that show its slices. low, high: letters at its first and last end."""

    axis: str = "k"
    title: str = ""
    size: int = 1
    low: str = ""
    high: str = ""


def axisRows(grid: Grid) -> list[AxisRow]:
    """The volume's axes k, j, i, each named after the standard plane nearest to its slices; every name once."""
    steps = {axis: stepRas(grid, axis) for axis in AXES}
    fits = {axis: np.abs(step) / np.linalg.norm(step) for axis, step in steps.items()}
    order = max(
        permutations(_PLANES), key=lambda planes: sum(fits[axis][world] for axis, (_, world) in zip(AXES, planes))
    )
    return [
        AxisRow(axis, name, size, directionLetters(-steps[axis]), directionLetters(steps[axis]))
        for axis, (name, _), size in zip(AXES, order, grid.shape_kji)
    ]


def axisAcross(grid: Grid, normalRas: np.ndarray) -> str:
    """The axis whose slices lie nearest to parallel to a plane with that normal."""
    steps = [stepRas(grid, axis) for axis in AXES]
    return AXES[int(np.argmax([abs(np.dot(step, normalRas)) / np.linalg.norm(step) for step in steps]))]


def indexAt(grid: Grid, axis: str, pointRas: np.ndarray, normalRas: np.ndarray) -> int:
    """The slice that a plane shows: where it crosses the line through the volume's middle along the axis."""
    start, step = placeRas(grid, axis, 0), stepRas(grid, axis)
    index = np.dot(np.asarray(pointRas) - start, normalRas) / np.dot(step, normalRas)
    return int(np.clip(nearest_voxel(index), 0, grid.shape_kji[AXES.index(axis)] - 1))


def placeRas(grid: Grid, axis: str, index: int) -> np.ndarray:
    """World mm of the middle of a slice."""
    point = (np.asarray(grid.shape_kji, dtype=float) - 1) / 2
    point[AXES.index(axis)] = index
    return grid.ras_from_kji(point)


def stepRas(grid: Grid, axis: str) -> np.ndarray:
    """World mm from a slice to the next."""
    return placeRas(grid, axis, 1) - placeRas(grid, axis, 0)


def directionLetters(directionRas: np.ndarray) -> str:
    """The letter of the world axis nearest to a direction, followed by a second one where the view is oblique."""
    order = np.argsort(-np.abs(directionRas))
    strong = [axis for axis in order[:2] if abs(directionRas[axis]) > 0.35]
    return "".join(_LETTERS[axis][0 if directionRas[axis] > 0 else 1] for axis in strong)
