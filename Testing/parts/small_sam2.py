"""Networks of SAM 2's kind small enough for tests, the files their authors would have written, and one that answers by
hand."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as functional
from published import weight
from torch import Tensor

from memseg.networks.sam2 import ABSENT, LOW_CORNER, NEGATIVE, POSITIVE, Sam2, Sam2Answer, Sam2Config, Sam2Image, Told
from memseg.segmenters.sam2_weights import as_transformers_has_it, published_shapes

EDGE = 128  # maps of 8 x 8, logits of 32 x 32


def small_config(**changes) -> Sam2Config:
    sizes = {"edge": EDGE, "widths": (16, 32, 64, 128), "depths": (1, 1, 2, 1), "windows": (8, 4, 4, 2)}
    sizes |= {"global_blocks": (3,), "background": 3, "width": 128, "decoder_heads": 4, "perceptron": 64, "fuser": 32}
    return Sam2Config(**{**sizes, "attention_layers": 1, **changes})


def published_weights(network: Sam2) -> dict[str, torch.Tensor]:
    """Random weights under the authors' names, so that every part matters."""
    shapes = published_shapes(network.model.state_dict())
    drawn = {name: weight(name, shape) for name, shape in shapes.items()}
    # As drawn, the score of a small network says of every object that it is there, or of none.
    drawn["sam_mask_decoder.pred_obj_score_head.layers.2.bias"] += 2
    return drawn


def small_sam2(**changes) -> Sam2:
    network = Sam2(small_config(**changes))
    held = network.model.state_dict()
    weights = as_transformers_has_it(held, published_weights(network))
    network.model.load_state_dict(weights, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def published_file(path: Path, **changes) -> dict[str, torch.Tensor]:
    """Writes a checkpoint as the authors do; the weights in it."""
    weights = published_weights(Sam2(small_config(**changes)))
    torch.save({"model": weights}, path)
    return weights


SURE = 9.0


class ThresholdSam2(Sam2):
    """Answers what can be worked out by hand: the object is where the image is brighter than the middle of its grey
    values and, on a slice with points, within `reach` samples of a positive one and of no negative one, or in the box;
    on a slice that is followed, within `reach` samples of it on a slice that it is told of.

    shown: the images it was given to encode. said: points, kinds and logits before, of every slice with points. told:
    times and distances of pointers, of every slice that was told something. A remembered slice's first map is its mask.
    """

    reach = 24.0

    def __init__(self, **changes) -> None:
        super().__init__(small_config(**changes))
        self.model.requires_grad_(False)
        self.shown: list[Tensor] = []
        self.said: list[tuple[Tensor, Tensor, Tensor | None]] = []
        self.told: list[tuple[tuple[int | None, ...], tuple[float, ...]]] = []

    def encode(self, image: Tensor) -> Sam2Image:
        self.shown.append(image)
        grey = functional.avg_pool2d(image.mean(dim=1, keepdim=True), 4)
        coarse = torch.zeros(1, self.config.width, self.config.cells, self.config.cells)
        coarse[:, :1] = functional.avg_pool2d(grey, 4)
        return Sam2Image(grey, functional.avg_pool2d(grey, 2), coarse)

    def alone(self, image: Sam2Image) -> Tensor:
        return torch.zeros_like(image.coarse)

    def conditioned(self, image: Sam2Image, told: Told) -> Tensor:
        self.told.append((told.times, told.away))
        near = torch.zeros_like(image.coarse)
        near[:, 0] = told.maps[:, 0].amax(dim=0)
        return near

    def answer(
        self,
        image: Sam2Image,
        features: Tensor,
        points: Tensor | None = None,
        kinds: Tensor | None = None,
        before: Tensor | None = None,
        several: bool = True,
    ) -> Sam2Answer:
        bright = image.fine > 0
        if points is None:
            wide = int(self.reach / 16) * 2 + 1
            near = functional.max_pool2d(features[:, :1], wide, 1, wide // 2)
            inside = functional.interpolate(near, bright.shape[-2:]) > 0.5
        else:
            self.said.append((points, kinds, before))
            inside = self._inside(points[0], kinds[0].tolist(), bright.shape[-1])
        logits = torch.where(bright & inside, SURE, -SURE)
        there = bool((logits > 0).any())
        pointer = torch.full((1, self.config.width), 0.25)
        logits = logits if there else torch.full_like(logits, ABSENT)
        large = functional.interpolate(logits, scale_factor=4.0)
        return Sam2Answer(logits, large, 0.8, 3.0 if there else -3.0, pointer)

    def _inside(self, points: Tensor, kinds: list[int], edge: int) -> Tensor:
        axis = (torch.arange(edge) + 0.5) * 4 - 0.5
        rows, columns = torch.meshgrid(axis, axis, indexing="ij")
        inside = torch.zeros(edge, edge, dtype=torch.bool)
        if LOW_CORNER in kinds:
            (left, top), (right, bottom) = points[0].tolist(), points[1].tolist()
            inside |= (columns >= left) & (columns <= right) & (rows >= top) & (rows <= bottom)
        for (column, row), kind in zip(points.tolist(), kinds):
            near = (columns - column) ** 2 + (rows - row) ** 2 <= self.reach**2
            inside = inside | near if kind == POSITIVE else inside & ~near if kind == NEGATIVE else inside
        return inside

    def of_mask(self, image: Sam2Image, mask: Tensor) -> Sam2Answer:
        there = bool(mask.any())
        small = functional.avg_pool2d(mask, 4) * 2 * SURE - SURE
        return Sam2Answer(
            small, 2 * SURE * mask - SURE, 1.0, 10.0 if there else -10.0, torch.full((1, self.config.width), 0.5)
        )

    def remember(self, image: Sam2Image, mask: Tensor, present: bool) -> Tensor:
        maps = torch.zeros(1, 64, self.config.cells, self.config.cells)
        maps[:, :1] = (functional.avg_pool2d(mask, 16) > 0.1).float() * present
        return maps
