"""What the interaction memory keeps for the geodesic segmenter, and what it makes of it later.

One row of 14 numbers a prompt: polarity (1 or -1), place in world mm (R, A, S), log of the number of voxels it changed,
and the intensities of those: mean, deviation and the 5, 10, 25, 50, 75, 90, 95 % quantiles (of the answer's whole box
where nothing changed).
"""

from __future__ import annotations

import numpy as np

from ..geometry import Box
from ..memory.interaction import Interaction
from ..prompts import Prompt
from ..volume import Volume
from .appearance import Appearance

WIDTH = 14
_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_MOST_SAMPLES = 4000
_FEWEST_CHANGED = 20


def embedding(volume: Volume, prompt: Prompt, box: Box, changed: np.ndarray) -> np.ndarray:
    """(1, 14) float32. changed: bool crop at the box."""
    places = np.flatnonzero(changed)
    count = len(places)
    if count == 0:
        places = np.arange(changed.size)
    places = places[:: -(-len(places) // _MOST_SAMPLES)]
    inside = np.unravel_index(places, changed.shape)
    points_kji = np.stack(inside, axis=1) + box.start_kji
    values = volume.array_kji[tuple(points_kji.T)].astype(np.float64)
    place_ras = volume.grid.ras_from_kji(points_kji.mean(axis=0))
    row = [1.0 if prompt.positive else -1.0, *place_ras, np.log1p(count), values.mean(), values.std()]
    return np.asarray([[*row, *np.quantile(values, _QUANTILES)]], np.float32)


def looks_of(memory: tuple[Interaction, ...]) -> dict[bool, list[Appearance]]:
    """Remembered appearances by polarity, of the corrections that changed enough voxels to speak of."""
    looks: dict[bool, list[Appearance]] = {True: [], False: []}
    for entry in memory:
        for row in entry.sparse:
            if row[4] >= np.log1p(_FEWEST_CHANGED):
                spread = float(row[11] - row[9]) / 1.35
                looks[bool(row[0] > 0)].append(Appearance(float(row[10]), spread, 0.0, 1.0))
    return looks
