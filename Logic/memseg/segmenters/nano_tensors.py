"""Prompts, masks and memories as the tensors a nano network takes, and its embeddings as what the memory keeps.

A remembered prompt is one row a point: D numbers of content, then its place in mm along the volume's axes (k, j, i)
and the side it is drawn on again (1, -1, or 0 for a box's corners). A remembered mask is D content maps on t^3 tokens,
then four maps that say where: the centre of the region it was made in (k, j, i, mm) and half that region's edge, mm.
"""

from __future__ import annotations

import numpy as np
import torch

from ..memory.interaction import Interaction
from ..networks.memory_attention import MemoryBatch
from ..networks.nano import KINDS, Answer, NanoConfig, PromptBatch
from ..prompts import BoxPrompt, Click, Prompt, Scribble
from ..raster import line_voxels, rasterize
from ..volume import Volume
from .nano_view import View

PLACE = 4  # numbers about the place, after the content


def points_of(prompt: Prompt, volume: Volume, most: int) -> tuple[np.ndarray, list[int]]:
    """(P, 3) voxel coordinates of the prompt's tokens, at most `most` (all of them for strokes and lassos), and
    kinds."""
    if isinstance(prompt, Click):
        return np.asarray([prompt.point_kji], float), [KINDS.index("click")]
    if isinstance(prompt, BoxPrompt):
        corners = np.asarray([prompt.box.start_kji, prompt.box.stop_kji], float) - 0.5  # the faces, not the centres
        return corners, [KINDS.index("box_low"), KINDS.index("box_high")]
    voxels = covered_voxels(prompt, volume)
    if isinstance(prompt, Scribble):
        along = line_voxels(np.asarray(prompt.points_kji))
        within = [volume.grid.box.holds(tuple(voxel)) for voxel in along]
        voxels = along[within] if any(within) else voxels
    places = np.floor(np.linspace(0, len(voxels) - 1, most) + 0.5).astype(int)
    return voxels[places].astype(float), [KINDS.index(prompt.kind)] * most


def covered_voxels(prompt: Prompt, volume: Volume) -> np.ndarray:
    """(N, 3) voxels a click, scribble or lasso covers."""
    box, crop = rasterize(prompt, volume.grid)
    return np.argwhere(crop) + box.start_kji


def prompt_batch(
    prompt: Prompt, volume: Volume, views: list[View], masks: list[np.ndarray], config: NanoConfig
) -> PromptBatch:
    """The prompt as each view sees it. masks: (edge, edge, edge) 0 to 1, the mask before, one for each view."""
    points, kinds = points_of(prompt, volume, config.points)
    count = len(points)
    padded = np.concatenate([points, np.repeat(points[:1], config.points - count, axis=0)])
    kind_row = torch.tensor(kinds + kinds[:1] * (config.points - count))
    batch = len(views)
    met = torch.from_numpy(np.stack(masks).astype(np.float32))[:, None]
    return PromptBatch(
        points=torch.from_numpy(np.stack([view.relative(padded) for view in views])),
        kinds=kind_row.expand(batch, -1),
        polarity=torch.full((batch, config.points), 1.0 if prompt.positive else -1.0),
        valid=(torch.arange(config.points) < count).expand(batch, -1),
        maps=torch.from_numpy(np.stack([_maps(prompt, volume, view) for view in views])),
        mask=met,
        has_mask=(met.flatten(1).amax(dim=1) > 0).float(),
    )


def _maps(prompt: Prompt, volume: Volume, view: View) -> np.ndarray:
    """(4, E, E, E) float32 at level 0: strokes and lassos, then boxes; positive before negative."""
    edge = view.edge // 2
    maps = np.zeros((4, edge, edge, edge), np.float32)
    side = 0 if prompt.positive else 1
    if isinstance(prompt, BoxPrompt):
        corners = view.relative(points_of(prompt, volume, 2)[0])
        axis = (np.arange(edge) + 0.5) * (2 / edge) - 1
        within = [(axis >= low) & (axis <= high) for low, high in zip(*corners)]
        for place, (low, high) in enumerate(zip(*corners)):
            if not within[place].any() and low < 1 and high > -1:  # thinner than a cell: the nearest one
                within[place][int(np.clip((low + high + 2) / 4 * edge, 0, edge - 1))] = True
        maps[2 + side] = within[0][:, None, None] & within[1][None, :, None] & within[2][None, None, :]
    elif not isinstance(prompt, Click):
        box, crop = rasterize(prompt, volume.grid)
        cells = np.floor((view.relative(np.argwhere(crop) + box.start_kji) + 1) * (edge / 2)).astype(int)
        cells = cells[((cells >= 0) & (cells < edge)).all(axis=1)]
        maps[side][tuple(cells.T)] = 1
        if (2 * view.step_kji < 1).any():  # voxels larger than cells would leave gaps
            maps[side] = np.maximum(maps[side], _looked_up(crop, box.start_kji, view, edge))
    return maps


def _looked_up(crop: np.ndarray, start_kji: tuple[int, int, int], view: View, edge: int) -> np.ndarray:
    """(edge, edge, edge): the crop's value at the voxel nearest to each cell's centre, 0 beside the crop."""
    result = crop
    for axis in range(3):
        place = view.first_kji[axis] + (2 * np.arange(edge) + 0.5) * view.step_kji[axis] - start_kji[axis]
        nearest = np.floor(place + 0.5).astype(int)
        within = (nearest >= 0) & (nearest < crop.shape[axis])
        taken = np.take(result, np.clip(nearest, 0, crop.shape[axis] - 1), axis=axis)
        result = taken * within.reshape([-1 if other == axis else 1 for other in range(3)])
    return result


def embeddings(answer: Answer, place: int, prompt: Prompt, volume: Volume, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Sparse (P, D + 4) and dense (D + 4, t, t, t), as the module says, of one sample of an answer."""
    points, _ = points_of(prompt, volume, answer.sparse.shape[1])
    spacing = np.asarray(volume.grid.spacing_kji_mm)
    content = answer.sparse[place, : len(points)].cpu().numpy()
    side = 0.0 if isinstance(prompt, BoxPrompt) else (1.0 if prompt.positive else -1.0)
    sparse = np.concatenate([content, points * spacing, np.full((len(points), 1), side)], axis=1)
    maps = answer.dense[place].cpu().numpy()
    where = np.array([*(np.asarray(view.centre_kji) * spacing), view.edge / 2 * view.spacing_mm])
    located = np.broadcast_to(where[:, None, None, None], (PLACE, *maps.shape[1:]))
    return sparse.astype(np.float32), np.concatenate([maps, located]).astype(np.float32)


def fits(entry: Interaction, config: NanoConfig) -> bool:
    """Whether a network of this configuration can read the entry; one of other weights may not have been written so."""
    edge, width = config.memory.dense_edge, config.width + PLACE
    return (
        entry.dense is not None
        and entry.dense.shape == (width, edge, edge, edge)
        and entry.sparse.shape[1] == width
        and 1 <= len(entry.sparse) <= config.points
        and float(entry.dense[-1, 0, 0, 0]) > 0
    )


def memory_batch(entries: list[Interaction], views: list[View], config: NanoConfig) -> MemoryBatch:
    """The entries, at least one and all of them fit, oldest first, as each view sees them."""
    count, width = len(entries), config.width
    most = max(len(entry.sparse) for entry in entries)  # 1 after clicks alone, which is four times less to attend to
    rows = np.zeros((count, most, width + PLACE), np.float32)
    valid = np.zeros((count, most), bool)
    for number, entry in enumerate(entries):
        rows[number, : len(entry.sparse)] = entry.sparse
        valid[number, : len(entry.sparse)] = True
    dense = np.stack([entry.dense for entry in entries])
    where = dense[:, width:, 0, 0, 0]
    voxel_mm = np.asarray(views[0].grid.spacing_kji_mm, np.float32)
    points, centres, scales = [], [], []
    for view in views:
        points.append(view.relative(rows[:, :, width : width + 3] / voxel_mm))
        centres.append(view.relative(where[:, :3] / voxel_mm))
        scales.append(where[:, 3] / (view.edge / 2 * view.spacing_mm))
    batch = len(views)

    def repeated(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).expand(batch, *array.shape)

    return MemoryBatch(
        sparse=repeated(rows[:, :, :width]),
        points=torch.from_numpy(np.stack(points)),
        polarity=repeated(rows[:, :, width + 3]),
        valid=repeated(valid),
        dense=repeated(dense[:, :width]),
        centre=torch.from_numpy(np.stack(centres)),
        scale=torch.from_numpy(np.stack(scales).astype(np.float32)),
        age=repeated(np.arange(count, 0, -1, dtype=np.float32)),
        present=repeated(np.ones(count, bool)),
    )
