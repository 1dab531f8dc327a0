"""The same part of the world on grids of every kind: for tests of what may not depend on how a scanner stores it."""

from __future__ import annotations

import numpy as np
from phantoms import axis_grid

from memseg.geometry import Grid

_SIZE_MM = np.array([360.0, 240.0, 240.0])  # R, A, S; its middle at the world's origin


def covering(axes: np.ndarray, spacing_ijk_mm: tuple[float, ...], size_ijk_mm: np.ndarray) -> Grid:
    """axes: (3, 3), columns along i, j, k as unit vectors in R, A, S."""
    shape_ijk = np.round(size_ijk_mm / np.array(spacing_ijk_mm)).astype(int)
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.array(spacing_ijk_mm)
    matrix[:3, 3] = -matrix[:3, :3] @ ((shape_ijk - 1) / 2)
    return Grid(tuple(int(size) for size in shape_ijk[::-1]), matrix)


def tilted(about_r_degrees: float, about_s_degrees: float) -> np.ndarray:
    """Axes turned from R, A, S."""
    r, s = np.deg2rad((about_r_degrees, about_s_degrees))
    about_r = np.array([[1, 0, 0], [0, np.cos(r), -np.sin(r)], [0, np.sin(r), np.cos(r)]])
    about_s = np.array([[np.cos(s), -np.sin(s), 0], [np.sin(s), np.cos(s), 0], [0, 0, 1]])
    return about_s @ about_r


GRIDS = {
    "along R, A, S": axis_grid(),
    "mirrored": covering(np.diag([-1.0, -1.0, 1.0]), (6.0, 6.0, 6.0), _SIZE_MM),
    "upside down": covering(np.diag([1.0, 1.0, -1.0]), (6.0, 6.0, 6.0), _SIZE_MM),
    "sagittal": covering(np.eye(3)[:, [1, 2, 0]], (6.0, 6.0, 6.0), _SIZE_MM[[1, 2, 0]]),
    "thick slices": covering(np.eye(3), (3.0, 3.0, 10.0), _SIZE_MM),
    "oblique": covering(tilted(18, 8), (6.0, 5.0, 4.0), np.array([420.0, 340.0, 340.0])),
}
