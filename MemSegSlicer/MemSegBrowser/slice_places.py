"""Slices of a volume and slice views: which of its axes a view shows, which slice, and where a slice lies."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from memseg.geometry import AXES, Grid, nearest_voxel

from .page_state import AxisRow
from .views import direction_letters

_PLANES = (("Axial", 2), ("Coronal", 1), ("Sagittal", 0))  # and the world axis along which their slices follow


def axis_rows(grid: Grid) -> list[AxisRow]:
    """The volume's axes k, j, i, each named after the standard plane nearest to its slices; every name once."""
    steps = {axis: step_ras(grid, axis) for axis in AXES}
    fits = {axis: np.abs(step) / np.linalg.norm(step) for axis, step in steps.items()}
    order = max(
        permutations(_PLANES), key=lambda planes: sum(fits[axis][world] for axis, (_, world) in zip(AXES, planes))
    )
    return [
        AxisRow(axis, name, size, direction_letters(-steps[axis]), direction_letters(steps[axis]))
        for axis, (name, _), size in zip(AXES, order, grid.shape_kji)
    ]


def axis_across(grid: Grid, normal_ras: np.ndarray) -> str:
    """The axis whose slices lie nearest to parallel to a plane with that normal."""
    steps = [step_ras(grid, axis) for axis in AXES]
    return AXES[int(np.argmax([abs(np.dot(step, normal_ras)) / np.linalg.norm(step) for step in steps]))]


def index_at(grid: Grid, axis: str, point_ras: np.ndarray, normal_ras: np.ndarray) -> int:
    """The slice that a plane shows: where it crosses the line through the volume's middle along the axis."""
    start, step = place_ras(grid, axis, 0), step_ras(grid, axis)
    index = np.dot(np.asarray(point_ras) - start, normal_ras) / np.dot(step, normal_ras)
    return int(np.clip(nearest_voxel(index), 0, grid.shape_kji[AXES.index(axis)] - 1))


def place_ras(grid: Grid, axis: str, index: int) -> np.ndarray:
    """World mm of the middle of a slice."""
    point = (np.asarray(grid.shape_kji, dtype=float) - 1) / 2
    point[AXES.index(axis)] = index
    return grid.ras_from_kji(point)


def step_ras(grid: Grid, axis: str) -> np.ndarray:
    """World mm from a slice to the next."""
    return place_ras(grid, axis, 1) - place_ras(grid, axis, 0)
