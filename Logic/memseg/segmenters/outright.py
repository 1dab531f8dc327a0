"""What a prompt says outright, for models that need not look at the image to honour it."""

from __future__ import annotations

import numpy as np

from ..geometry import Box
from ..prompts import BoxPrompt, Prompt
from ..volume import Volume
from .base import Numbered
from .geodesic import extent_of_mask, place_of
from .nano import honour


def without_looking(
    volume: Volume, prompts: tuple[Numbered, ...], standing: tuple[Prompt, ...], mask_kji: np.ndarray
) -> tuple[Box, np.ndarray]:
    """The mask with the newest prompt honoured, as to a negative box, and to a negative click where nothing is: a box
    and the float32 crop there, 0 to 1."""
    newest = standing[-1]
    box = place_of(newest, volume)
    if isinstance(newest, BoxPrompt):
        shared = box.intersection(extent_of_mask(mask_kji, volume, prompts))
        box = Box(box.start_kji, tuple(start + 1 for start in box.start_kji)) if shared.is_empty else shared
    probability = mask_kji[box.slices].astype(np.float32)
    honour(probability, box, standing, volume)
    return box, probability
