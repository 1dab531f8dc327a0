"""What a user's prompts say on the slices of one axis, and what SAM 2 had answered there before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from ..geometry import AXES, Box, Grid
from ..memory.interaction import Interaction
from ..networks.sam2 import HIGH_CORNER, LOW_CORNER, NEGATIVE, POSITIVE
from ..prompts import BoxPrompt, Click, Prompt
from .sam2_engine import Points
from .sam2_view import acquired_axis, places

PLACE = 2  # what stands behind the pointer in a memory: the number of the axis, and the index
_SURE, _SUREST = 20.0, -10.0
_PLAIN = 0.75  # a cell this full is object whatever was answered, and one this empty is not
_NEAR_VOX = 2  # of a click: what it points at
Given = Click | BoxPrompt


@dataclass(frozen=True, eq=False)
class Sayings:
    """axis: along which the object is followed. standing: clicks and boxes, oldest first, the newest last."""

    axis: str
    standing: tuple[Given, ...]
    grid: Grid

    @classmethod
    def of(cls, standing: Sequence[Prompt], grid: Grid) -> Sayings:
        """The axis is that of the last flat box, or the one along which slices were acquired."""
        known = tuple(prompt for prompt in standing if isinstance(prompt, (Click, BoxPrompt)))
        flat = [box.flat_axis for box in known if isinstance(box, BoxPrompt) and box.positive and box.flat_axis]
        return cls(flat[-1] if flat else acquired_axis(grid), known, grid)

    @property
    def newest(self) -> Given:
        return self.standing[-1]

    @property
    def number(self) -> int:
        """Of the axis."""
        return AXES.index(self.axis)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a slice."""
        return tuple(size for other, size in enumerate(self.grid.shape_kji) if other != self.number)

    def index(self, prompt: Given) -> int:
        """The slice a prompt is given on; of a box in 3D, the middle one."""
        if isinstance(prompt, Click):
            return prompt.point_kji[self.number]
        box = prompt.box.clipped(self.grid.shape_kji)
        return (box.start_kji[self.number] + box.stop_kji[self.number] - 1) // 2

    @property
    def indices(self) -> tuple[int, ...]:
        """Slices with a prompt that SAM 2 is told, ascending."""
        return tuple(sorted({self.index(prompt) for prompt in self.standing if _is_told(prompt)}))

    @property
    def bounds(self) -> range:
        """Slices that the object may lie in: those of the last box in 3D that holds it, or all."""
        boxes = [box for box in self.standing if isinstance(box, BoxPrompt) and box.positive and not box.flat_axis]
        box = boxes[-1].box.clipped(self.grid.shape_kji) if boxes else Box.of_shape(self.grid.shape_kji)
        return range(box.start_kji[self.number], box.stop_kji[self.number])

    def on(self, index: int, edge: int) -> Points:
        """The last box of a slice and the clicks given since; all clicks where there is none."""
        here = [prompt for prompt in self.standing if _is_told(prompt) and self.index(prompt) == index]
        boxes = [place for place, prompt in enumerate(here) if isinstance(prompt, BoxPrompt)]
        points, kinds = [], []
        for prompt in here[boxes[-1] :] if boxes else here:
            if isinstance(prompt, BoxPrompt):
                box = prompt.box.clipped(self.grid.shape_kji)
                points += [self._in_plane(box.start_kji), self._in_plane(np.subtract(box.stop_kji, 1))]
                kinds += [LOW_CORNER, HIGH_CORNER]
            else:
                points.append(self._in_plane(prompt.point_kji))
                kinds.append(POSITIVE if prompt.positive else NEGATIVE)
        return Points(places(points, self.shape, edge), tuple(kinds))

    def values_at(self, array_kji: np.ndarray, mask: np.ndarray | None, index: int) -> np.ndarray:
        """Raw values of the object as far as it is known on a slice: its mask, or voxels round positive clicks and in
        boxes; any array."""
        plane = np.take(array_kji, index, axis=self.number)
        if mask is not None and mask.any():
            return plane[mask > 0]
        found = []
        for prompt in self.standing:
            if prompt.positive and self.index(prompt) == index:
                box = (prompt.box if isinstance(prompt, BoxPrompt) else _round(prompt)).clipped(self.grid.shape_kji)
                across = tuple(part for other, part in enumerate(box.slices) if other != self.number)
                found.append(plane[across].ravel())
        return np.concatenate(found) if found else np.zeros(0)

    def _in_plane(self, point_kji: Sequence[int]) -> tuple[float, float]:
        return tuple(float(value) for other, value in enumerate(point_kji) if other != self.number)


def _round(click: Click) -> Box:
    return Box(click.point_kji, tuple(index + 1 for index in click.point_kji)).grown(_NEAR_VOX)


def _is_told(prompt: Given) -> bool:
    """A box that the object is not in is honoured, but SAM 2 has no word for it."""
    return isinstance(prompt, Click) or prompt.positive


def before(mask: np.ndarray, remembered: Sequence[Interaction], axis: str, index: int, edge: int) -> Tensor | None:
    """(1, 1, edge / 4, edge / 4) logits of a slice's mask so far; None for an empty one.

    Those that were answered there last, where the mask is still what they made of it; it may have been painted in.
    """
    if not mask.any():
        return None
    cells = edge // 4
    share = functional.interpolate(
        torch.from_numpy(np.asarray(mask != 0, np.float32))[None, None], (cells, cells), mode="bilinear", antialias=True
    )
    plain = share * _SURE + _SUREST
    for entry in reversed(remembered):
        place = (AXES.index(axis), index)
        if entry.dense is None or entry.dense.shape[1:] != (1, cells, cells):
            continue
        if tuple(entry.sparse[0, -PLACE:].astype(int)) == place:
            answered = torch.from_numpy(np.array(entry.dense))
            contradicts = ((answered > 0) & (share < 1 - _PLAIN)) | ((answered <= 0) & (share > _PLAIN))
            return torch.where(contradicts, plain, answered)
    return plain


def kept(pointer: np.ndarray, logits: Tensor, axis: str, index: int) -> dict[str, np.ndarray]:
    """sparse (1, width + 2) and dense (1, 1, edge / 4, edge / 4) of a Prediction."""
    sparse = np.concatenate([pointer, [AXES.index(axis), index]])[None].astype(np.float32)
    return {"sparse": sparse, "dense": logits.numpy().reshape(1, 1, *logits.shape[-2:])}
