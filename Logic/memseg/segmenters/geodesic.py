"""A segmenter without a network: fronts grow from the clicks along even intensity, and a fitted score says where to stop."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from scipy import ndimage

from .. import catalog
from ..geometry import Box
from ..memory.interaction import Interaction
from ..prompts import Prompt
from ..raster import rasterize
from ..volume import Volume
from .appearance import COSTS, appearance, costs, picture
from .arrival import UNREACHED, arrival_times
from .base import Numbered, Prediction
from .fronts import fronts
from .region import Region

_FIRST_REACH_MM = (15.0, 25.0, 45.0, 80.0, 130.0)
_CORRECTION_REACH_MM = (10.0, 20.0, 40.0, 80.0)
_MOST_VOXELS = 90_000


class Geodesic:
    """See the module. Keeps nothing between calls."""

    def __init__(self) -> None:
        self.card = catalog.card("geodesic")

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        newest = prompts[-1].prompt
        covered, crop = rasterize(newest, volume.grid)
        points = np.argwhere(crop) + covered.start_kji
        centre = points[len(points) // 2]
        reaches = _FIRST_REACH_MM if len(prompts) == 1 else _CORRECTION_REACH_MM
        best = None
        for reach_mm in reaches:
            found = _answer_at(volume, newest, points, centre, reach_mm, mask_kji, reaches.index(reach_mm))
            if best is None or found[0] > best[0]:
                best = found
        _, region, working = best
        probability = region.expanded(working, region.box)
        before = mask_kji[region.box.slices]
        probability = np.maximum(probability, before) if newest.positive else np.where(probability > 0.5, 0, before)
        probability = probability.astype(np.float32)
        for entry in prompts:
            where, voxels = rasterize(entry.prompt, volume.grid)
            inside = where.intersection(region.box)
            if not inside.is_empty and entry.prompt.kind != "box":
                chosen = voxels[inside.relative_to(where).slices] > 0
                probability[inside.relative_to(region.box).slices][chosen] = float(entry.prompt.positive)
        return Prediction(region.box, probability, np.zeros((1, 8), np.float32))


def _answer_at(volume, newest, points, centre, reach_mm, mask_kji, scale):
    reach = np.ceil(reach_mm / np.asarray(volume.grid.spacing_kji_mm)).astype(int)
    box = Box(tuple(centre - reach), tuple(centre + reach + 1))
    region = Region.covering(volume.grid, box, _MOST_VOXELS)
    view = picture(region, volume.array_kji)
    seeds = region.working(points)
    seed = region.working(centre[None])[0]
    look = appearance(view, seed)
    price = costs(view, look)
    before = region.sample(mask_kji)
    blocked = before > 0.5 if newest.positive else before < 0.5
    blocked[tuple(seeds.T)] = False
    price[:, blocked] = 1e4
    start = np.full_like(price, UNREACHED)
    start[(slice(None), *seeds.T)] = 0
    times = arrival_times(price, start, region.spacing_kji_mm)
    table = _table()
    best = (-np.inf, None, None)
    for family in range(len(COSTS)):
        answer = fronts(times[family], view.smooth, region, seed, look.noise, view.span)
        bright = np.full((len(answer.features), 1), (look.centre - view.low) / view.span)
        score = table.scores(np.concatenate([answer.features, bright], axis=1), scale, family)
        level = int(np.argmax(score))
        if score[level] > best[0]:
            best = (score[level], region, (answer.level_of <= level).astype(np.float32))
    return best


@dataclass(frozen=True, eq=False)
class Table:
    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray
    scales: int

    def scores(self, features: np.ndarray, scale: int, family: int) -> np.ndarray:
        z = np.clip((features - self.mean) / self.deviation, -3, 3)
        rows, columns = np.triu_indices(z.shape[1])
        kind = np.zeros((len(z), self.scales + len(COSTS)))
        kind[:, scale] = kind[:, self.scales + family] = 1
        lifted = [z, z[:, rows] * z[:, columns], kind, z[:, :1] ** 3, kind * z[:, :1], np.ones((len(z), 1))]
        return np.concatenate(lifted, axis=1) @ self.weights


@lru_cache(maxsize=1)
def _table() -> Table:
    record = json.loads(resources.files(__package__).joinpath("geodesic.json").read_text(encoding="utf-8"))
    return Table(*(np.asarray(record[key]) for key in ("mean", "deviation", "weights")), scales=record["scales"])
