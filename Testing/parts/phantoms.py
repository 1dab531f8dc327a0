"""Small bodies whose parts lie where their numbers say: for tests of words that are to be found in a volume."""

from __future__ import annotations

import numpy as np

from memseg.geometry import Grid
from memseg.volume import Volume

AIR, FAT, TISSUE, BONE, LUNG = -1000, -90, 45, 700, -800


def axis_grid(
    shape_kji: tuple[int, int, int] = (40, 40, 60), spacing_kji_mm: tuple[float, ...] = (6.0, 6.0, 6.0)
) -> Grid:
    """Axes along R, A, S, its middle at the world's origin: i to the right, j to the front, k up."""
    matrix = np.diag([*reversed(spacing_kji_mm), 1.0])
    matrix[:3, 3] = [-(size - 1) / 2 * step for size, step in zip(reversed(shape_kji), reversed(spacing_kji_mm))]
    return Grid(shape_kji, matrix)


def ras_of(grid: Grid) -> np.ndarray:
    """(K, J, I, 3) world mm of the voxels."""
    return grid.ras_from_kji(np.moveaxis(np.indices(grid.shape_kji), 0, -1))


def in_ellipsoid(ras: np.ndarray, centre_ras: tuple[float, ...], radii_mm: tuple[float, ...]) -> np.ndarray:
    return np.square((ras - np.asarray(centre_ras)) / np.asarray(radii_mm)).sum(axis=-1) <= 1


def chest_parts(grid: Grid) -> dict[str, np.ndarray]:
    """Bool (K, J, I) masks of a chest in world mm: an elliptic trunk 300 mm wide and 200 mm deep, a shell of fat, two
    lungs of which the right one is larger, a spine behind, and in the right lung a ball of 12 mm at (75, 10, 10)."""
    ras = ras_of(grid)
    across = np.square(ras[..., :2] / (150, 100)).sum(axis=-1)
    body = across <= 1
    parts = {"body": body, "fat": body & (across > 0.8)}
    parts["right lung"] = in_ellipsoid(ras, (70, 5, 0), (52, 62, 100))
    parts["left lung"] = in_ellipsoid(ras, (-75, 5, 0), (45, 58, 100))
    parts["spine"] = np.square((ras[..., :2] - (0, -65)) / 18).sum(axis=-1) <= 1
    parts["nodule"] = in_ellipsoid(ras, (75, 10, 10), (12, 12, 12))
    return parts


def chest(grid: Grid | None = None, noise: float = 8.0) -> Volume:
    """A CT of `chest_parts`."""
    grid = grid or axis_grid()
    parts = chest_parts(grid)
    image = np.full(grid.shape_kji, AIR, np.float32)
    for name, value in (("body", TISSUE), ("fat", FAT), ("right lung", LUNG), ("left lung", LUNG), ("spine", BONE),
                        ("nodule", TISSUE)):  # fmt: skip
        image[parts[name]] = value
    image += np.random.default_rng(1).normal(0, noise, grid.shape_kji)
    return Volume(np.rint(image).astype(np.int16), grid, "chest")


def spots(grid: Grid | None = None) -> Volume:
    """A MR: a body of 200 in the dark, with three bright balls of 20, 15 and 12 mm radius, to the left, to the right
    and above, and a dark one of 18 mm in front."""
    grid = grid or axis_grid()
    ras = ras_of(grid)
    image = np.zeros(grid.shape_kji, np.float32)
    image[np.square(ras / (150, 100, 110)).sum(axis=-1) <= 1] = 200
    for centre, radius, value in SPOTS.values():
        image[in_ellipsoid(ras, centre, (radius,) * 3)] = value
    image += np.random.default_rng(2).normal(0, 5, grid.shape_kji)
    return Volume(np.clip(np.rint(image), 0, None).astype(np.int16), grid, "spots")


SPOTS = {
    "left": ((-80, 0, 0), 20, 500), "right": ((80, 0, 0), 15, 500), "upper": ((0, 0, 60), 12, 500),
    "front": ((0, 55, 0), 18, 60),
}  # fmt: skip


def spot(name: str, grid: Grid) -> np.ndarray:
    """Bool (K, J, I) mask of one of SPOTS."""
    centre, radius, _ = SPOTS[name]
    return in_ellipsoid(ras_of(grid), centre, (radius,) * 3)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    return float(np.count_nonzero(one & other) / max(np.count_nonzero(one | other), 1))
