"""From a prompt to the voxels it covers."""

from __future__ import annotations

import numpy as np

from .geometry import Box, Grid, nearest_voxel
from .prompts import BoxPrompt, Click, Lasso, MaskPrompt, Prompt, Scribble


def rasterize(prompt: Prompt, grid: Grid) -> tuple[Box, np.ndarray]:
    """The voxels a prompt covers: a box inside the volume and a uint8 0/1 crop of its shape; both empty outside it.

    A click covers one voxel, a scribble its stroke widened to its radius, a lasso the voxels of its plane within the
    outline, a box and a mask themselves. Raises ValueError for a prompt that has no place (Text).
    """
    if isinstance(prompt, Click):
        box = Box(prompt.point_kji, tuple(index + 1 for index in prompt.point_kji))
        return _clipped(box, np.ones((1, 1, 1), np.uint8), grid)
    if isinstance(prompt, BoxPrompt):
        box = prompt.box.clipped(grid.shape_kji)
        return box, np.ones(box.shape_kji, np.uint8)
    if isinstance(prompt, MaskPrompt):
        return prompt.box, prompt.values
    if isinstance(prompt, Scribble):
        return _scribble(prompt, grid)
    if isinstance(prompt, Lasso):
        return _clipped(*_lasso(np.asarray(prompt.points_kji)), grid)
    raise ValueError(f"A {prompt.kind} prompt covers no voxels.")


def _clipped(box: Box, crop: np.ndarray, grid: Grid) -> tuple[Box, np.ndarray]:
    inside = box.clipped(grid.shape_kji)
    return inside, np.ascontiguousarray(crop[inside.relative_to(box).slices])


def line_voxels(points_kji: np.ndarray) -> np.ndarray:
    """(M, 3) int64 voxels along a polyline through (N, 3) points, neighbours touching, without repeats in a row."""
    points = np.asarray(points_kji, dtype=np.float64)
    pieces = [points[:1]]
    for start, stop in zip(points[:-1], points[1:]):
        steps = max(1, int(np.ceil(2 * np.abs(stop - start).max())))  # half a voxel a step leaves no gap
        pieces.append(start + (stop - start) * (np.arange(1, steps + 1) / steps)[:, None])
    voxels = nearest_voxel(np.concatenate(pieces))
    return voxels[np.r_[True, np.any(np.diff(voxels, axis=0) != 0, axis=1)]]


def _scribble(prompt: Scribble, grid: Grid) -> tuple[Box, np.ndarray]:
    voxels = line_voxels(np.asarray(prompt.points_kji))
    radius_vox = np.floor(prompt.radius_mm / np.asarray(grid.spacing_kji_mm)).astype(int)
    box = Box.around(voxels).grown(radius_vox).clipped(grid.shape_kji)
    reach = box.grown(radius_vox)  # part of the stroke may lie just outside the volume and still reach into it
    voxels = voxels[[reach.holds(tuple(voxel)) for voxel in voxels]]
    crop = np.zeros(reach.shape_kji, np.uint8)
    crop[tuple((voxels - reach.start_kji).T)] = 1
    if radius_vox.any() and len(voxels):
        from scipy import ndimage

        distance_mm = ndimage.distance_transform_edt(crop == 0, sampling=grid.spacing_kji_mm)
        crop = (distance_mm <= prompt.radius_mm).astype(np.uint8)
    return box, np.ascontiguousarray(crop[box.relative_to(reach).slices])


def _lasso(points: np.ndarray) -> tuple[Box, np.ndarray]:
    """Voxels of the outline's plane inside it, one in each column along the axis nearest to the plane's normal.

    Seen along that axis the plane is a one-to-one picture of the other two, so the outline is filled there and each
    filled column meets the plane in one voxel. An outline too thin to hold a voxel's centre covers its own line.
    """
    centre = points.mean(axis=0)
    normal = np.linalg.svd(points - centre, full_matrices=True)[2][2]
    along = int(np.argmax(np.abs(normal)))
    across = [axis for axis in range(3) if axis != along]
    start = np.floor(points[:, across].min(axis=0)).astype(int)
    shape = np.ceil(points[:, across].max(axis=0)).astype(int) - start + 1
    columns = np.argwhere(fill_polygon(points[:, across] - start, tuple(shape))) + start
    if len(columns) == 0:
        voxels = line_voxels(np.vstack([points, points[:1]]))
    else:
        voxels = np.empty((len(columns), 3), np.int64)
        voxels[:, across] = columns
        slope = -normal[across] / normal[along]
        voxels[:, along] = nearest_voxel(centre[along] + (columns - centre[across]) @ slope)
    box = Box.around(voxels)
    crop = np.zeros(box.shape_kji, np.uint8)
    crop[tuple((voxels - box.start_kji).T)] = 1
    return box, crop


def fill_polygon(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bool image of the shape: pixel centres (row, column) inside a closed outline of (N, 2) corners, even-odd rule.

    Centres on the outline count as inside at its low edges and as outside at its high ones, so that outlines sharing an
    edge share no pixel.
    """
    parity = np.zeros((shape[0], shape[1] + 1), np.uint8)
    for edge in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        (low, start), (high, stop) = sorted(map(tuple, edge))  # the same rounding whichever way an edge is walked
        rows = np.arange(max(0, int(np.ceil(low))), min(shape[0], int(np.ceil(high))))
        if len(rows) == 0:
            continue
        crossings = start + (rows - low) * (stop - start) / (high - low)
        parity[rows, np.clip(np.ceil(crossings), 0, shape[1]).astype(int)] ^= 1
    return np.bitwise_xor.accumulate(parity, axis=1)[:, :-1].astype(bool)
