"""Geodesic arrival times: how costly the cheapest path from the seeds to each voxel is.

Fast sweeping over planes (Criminisi et al., GeoS, ECCV 2008, sweep a raster; here each of the six sweeps moves a whole
plane at once and covers all 26 neighbours). Several costs are swept together, so that numpy's call overhead is shared:
44 x 44 x 44 voxels under four costs take 14 ms an iteration, SimpleITK's FastMarching 60 ms for one cost.
"""

from __future__ import annotations

import numpy as np

UNREACHED = np.float32(1e9)


def arrival_times(
    cost: np.ndarray, start: np.ndarray, spacing_kji_mm: tuple[float, float, float], iterations: int = 2
) -> np.ndarray:
    """(F, K, J, I) float32 arrival times under F costs.

    cost: (F, K, J, I) float32, price per millimetre of entering a voxel, positive. start: (F, K, J, I) float32, 0 (or a
    head start) at the seeds and UNREACHED elsewhere. Two iterations follow paths that turn back on themselves twice.
    """
    times = np.ascontiguousarray(start, dtype=np.float32)
    cost = np.asarray(cost, dtype=np.float32)
    for _ in range(iterations):
        for axis in range(3):
            times = _sweep(times, cost, axis, spacing_kji_mm)
    return times


def _sweep(times: np.ndarray, cost: np.ndarray, axis: int, spacing_kji_mm: tuple[float, float, float]) -> np.ndarray:
    """One pass forth and one back along an axis."""
    rows, columns = (other for other in range(3) if other != axis)
    order = (axis + 1, 0, rows + 1, columns + 1)
    moved, price = (np.ascontiguousarray(array.transpose(order)) for array in (times, cost))
    straight, row, column = (spacing_kji_mm[which] ** 2 for which in (axis, rows, columns))
    steps = [
        np.float32(np.sqrt(value)) for value in (straight, straight + row, straight + column, straight + row + column)
    ]
    padded = np.full((moved.shape[1], moved.shape[2] + 2, moved.shape[3] + 2), UNREACHED, np.float32)
    last = len(moved) - 1
    for plane in range(1, last + 1):
        _relax(moved[plane], moved[plane - 1], price[plane], steps, padded)
    for plane in range(last - 1, -1, -1):
        _relax(moved[plane], moved[plane + 1], price[plane], steps, padded)
    return np.ascontiguousarray(moved.transpose(np.argsort(order)))


def _relax(
    plane: np.ndarray, previous: np.ndarray, price: np.ndarray, steps: list[np.float32], padded: np.ndarray
) -> None:
    """Lower the times of one plane by what its nine neighbours in the previous plane offer."""
    padded[:, 1:-1, 1:-1] = previous
    by_row = np.minimum(padded[:, :-2], padded[:, 2:])
    best = price * steps[0]
    best += previous
    offer = price * steps[1]
    offer += by_row[:, :, 1:-1]
    np.minimum(best, offer, out=best)
    np.multiply(price, steps[2], out=offer)
    offer += np.minimum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    np.minimum(best, offer, out=best)
    np.multiply(price, steps[3], out=offer)
    offer += np.minimum(by_row[:, :, :-2], by_row[:, :, 2:])
    np.minimum(best, offer, out=best)
    np.minimum(plane, best, out=plane)
