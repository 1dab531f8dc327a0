"""Grids and boxes: the only place where axes are reversed between (i, j, k) and (k, j, i).

Frames: `_ras` world millimetres (Right, Anterior, Superior), `_ijk` continuous voxel coordinates in VTK order,
`_kji` the same in NumPy order. Voxel centres lie at integers, so the nearest voxel is floor(x + 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .errors import GeometryError

AXES = ("k", "j", "i")
_SHEAR_TOLERANCE = 1e-3  # cosine between two axes; NIfTI stores float32 matrices, whose rounding stays below 1e-5


@dataclass(frozen=True)
class Box:
    """Half-open box of voxels: start_kji <= index < stop_kji. May be empty."""

    start_kji: tuple[int, int, int]
    stop_kji: tuple[int, int, int]

    def __post_init__(self) -> None:
        start, stop = (tuple(int(value) for value in corner) for corner in (self.start_kji, self.stop_kji))
        if len(start) != 3 or len(stop) != 3:
            raise ValueError("A box has three start and three stop indices.")
        object.__setattr__(self, "start_kji", start)
        object.__setattr__(self, "stop_kji", tuple(max(low, high) for low, high in zip(start, stop)))

    @classmethod
    def of_shape(cls, shape_kji: tuple[int, int, int]) -> Box:
        return cls((0, 0, 0), shape_kji)

    @classmethod
    def empty(cls) -> Box:
        return cls((0, 0, 0), (0, 0, 0))

    @classmethod
    def around(cls, points_kji: np.ndarray) -> Box:
        """Smallest box holding the voxels nearest to (N, 3) points."""
        nearest = nearest_voxel(points_kji)
        return cls(tuple(nearest.min(axis=0)), tuple(nearest.max(axis=0) + 1))

    @classmethod
    def of_mask(cls, mask_kji: np.ndarray) -> Box:
        """Bounding box of the non-zero voxels; empty where there are none."""
        start, stop = [], []
        for axis in range(3):
            occupied = np.flatnonzero(mask_kji.any(axis=tuple(other for other in range(3) if other != axis)))
            start.append(int(occupied[0]) if occupied.size else 0)
            stop.append(int(occupied[-1]) + 1 if occupied.size else 0)
        return cls(tuple(start), tuple(stop))

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        return tuple(stop - start for start, stop in zip(self.start_kji, self.stop_kji))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape_kji, dtype=np.int64))

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        return tuple(slice(start, stop) for start, stop in zip(self.start_kji, self.stop_kji))

    @property
    def is_empty(self) -> bool:
        return self.size == 0

    def grown(self, margin_kji: int | tuple[int, int, int] | np.ndarray) -> Box:
        margin = np.broadcast_to(np.asarray(margin_kji, dtype=np.int64), (3,))
        return Box(tuple(self.start_kji - margin), tuple(self.stop_kji + margin))

    def intersection(self, other: Box) -> Box:
        return Box(
            tuple(max(pair) for pair in zip(self.start_kji, other.start_kji)),
            tuple(min(pair) for pair in zip(self.stop_kji, other.stop_kji)),
        )

    def union(self, other: Box) -> Box:
        """Smallest box holding both; an empty box adds nothing."""
        if self.is_empty:
            return other
        if other.is_empty:
            return self
        return Box(
            tuple(min(pair) for pair in zip(self.start_kji, other.start_kji)),
            tuple(max(pair) for pair in zip(self.stop_kji, other.stop_kji)),
        )

    def clipped(self, shape_kji: tuple[int, int, int]) -> Box:
        return self.intersection(Box.of_shape(shape_kji))

    def shifted(self, offset_kji: tuple[int, int, int]) -> Box:
        offset = np.asarray(offset_kji)
        return Box(tuple(self.start_kji + offset), tuple(self.stop_kji + offset))

    def relative_to(self, outer: Box) -> Box:
        """This box in the index space of a crop taken at `outer`."""
        return self.shifted(tuple(-value for value in outer.start_kji))

    def holds(self, point_kji: tuple[int, int, int]) -> bool:
        return all(low <= value < high for low, value, high in zip(self.start_kji, point_kji, self.stop_kji))

    def covers(self, other: Box) -> bool:
        return other.is_empty or self.intersection(other) == other


def nearest_voxel(points: np.ndarray) -> np.ndarray:
    """Index of the voxel nearest to continuous coordinates, any shape; halves go up, as Slicer rounds."""
    return np.floor(np.asarray(points, dtype=np.float64) + 0.5).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume lie in the world.

    shape_kji: number of voxels along each axis. ijk_to_ras: (4, 4) float64, voxel (i, j, k, 1) to world mm, parent
    transforms already folded in. Raises GeometryError for grids that are singular, sheared, or have no voxels.
    """

    shape_kji: tuple[int, int, int]
    ijk_to_ras: np.ndarray

    def __post_init__(self) -> None:
        shape = tuple(int(value) for value in self.shape_kji)
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        if len(shape) != 3 or matrix.shape != (4, 4):
            raise ValueError("A grid needs three sizes and a 4 x 4 matrix.")
        if min(shape) < 1:
            raise GeometryError("The image holds no voxels; load another one.")
        if not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise GeometryError("The image's position matrix is not a valid one; check the file's header.")
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if not np.all(lengths > 1e-9):
            raise GeometryError("The image has a voxel spacing of zero; correct its spacing, then load it again.")
        directions = matrix[:3, :3] / lengths
        if np.abs(directions.T @ directions - np.eye(3)).max() > _SHEAR_TOLERANCE:
            raise GeometryError(
                "The image's axes are not at right angles (gantry tilt or a shearing transform); "
                "resample it onto a straight grid first, for example with Slicer's Resample Scalar/Vector/DWI Volume."
            )
        matrix.flags.writeable = False
        object.__setattr__(self, "shape_kji", shape)
        object.__setattr__(self, "ijk_to_ras", matrix)

    @classmethod
    def from_spacing(cls, shape_kji: tuple[int, int, int], spacing_kji_mm: tuple[float, float, float]) -> Grid:
        """Axes along R, A, S with the first voxel at the world's origin."""
        return cls(shape_kji, np.diag([*reversed(spacing_kji_mm), 1.0]))

    @cached_property
    def spacing_kji_mm(self) -> tuple[float, float, float]:
        return tuple(float(length) for length in np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)[::-1])

    @property
    def voxel_volume_mm3(self) -> float:
        return float(np.prod(self.spacing_kji_mm))

    @cached_property
    def ras_to_ijk(self) -> np.ndarray:
        inverse = np.linalg.inv(self.ijk_to_ras)
        inverse.flags.writeable = False
        return inverse

    @property
    def box(self) -> Box:
        return Box.of_shape(self.shape_kji)

    def kji_from_ras(self, points_ras: np.ndarray) -> np.ndarray:
        """World mm, (..., 3), to continuous voxel coordinates (..., 3) in (k, j, i) order."""
        points = np.asarray(points_ras, dtype=np.float64)
        return (points @ self.ras_to_ijk[:3, :3].T + self.ras_to_ijk[:3, 3])[..., ::-1]

    def ras_from_kji(self, points_kji: np.ndarray) -> np.ndarray:
        """Voxel coordinates (..., 3) in (k, j, i) order to world mm (..., 3)."""
        points = np.asarray(points_kji, dtype=np.float64)[..., ::-1]
        return points @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]

    def transformed(self, ras_to_ras: np.ndarray) -> Grid:
        """The grid after a (4, 4) parent transform; GeometryError where the result is sheared."""
        return Grid(self.shape_kji, np.asarray(ras_to_ras, dtype=np.float64) @ self.ijk_to_ras)

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both have the same shape and no corner lies further apart than the tolerance."""
        if self.shape_kji != other.shape_kji:
            return False
        corners = np.array(np.meshgrid(*[(0, size - 1) for size in self.shape_kji], indexing="ij")).reshape(3, -1).T
        distance = self.ras_from_kji(corners) - other.ras_from_kji(corners)
        return bool(np.linalg.norm(distance, axis=1).max() <= tolerance_mm)
