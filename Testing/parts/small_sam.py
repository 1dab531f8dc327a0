"""Networks of SAM-Med3D's kind small enough for tests, and one that answers by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from published import filled
from torch import Tensor

from memseg.networks.fastsam3d import StudentConfig
from memseg.networks.mais import Mais, MaisConfig, MemoryConfig
from memseg.networks.sam_decoder import DecoderConfig
from memseg.networks.sam_encoder import EncoderConfig
from memseg.networks.sam_med3d import SamAnswer, SamConfig, SamMed3D
from memseg.networks.sam_prompts import LOW_CORNER, POSITIVE

EDGE, CELLS, WIDTH = 32, 16, 24  # a cube of 48 mm, cells of 3 mm
SURE = 9.0


def small_encoder(**changes) -> EncoderConfig:
    sizes = {"edge": EDGE, "patch": 8, "width": WIDTH, "depth": 2, "heads": 2, "window": 6, "global_blocks": (1,)}
    return EncoderConfig(**{**sizes, "out": WIDTH, **changes})


def small_config(boxes: bool = False, swapped: bool = True, **changes) -> SamConfig:
    decoder = DecoderConfig(heads=2, mlp=32, quality_width=8)
    return SamConfig(small_encoder(**changes), decoder, boxes, swapped=swapped)


def small_student(**changes) -> StudentConfig:
    sizes = {"edge": EDGE, "patch": 8, "width": WIDTH, "depth": 4, "heads": 2, "without_attention": 1, "out": WIDTH}
    return StudentConfig(**{**sizes, **changes})


def small_sam(boxes: bool = False, **changes) -> SamMed3D:
    """With random weights, so that every part matters."""
    return filled(SamMed3D(small_config(boxes, **changes)))


def small_mais(variant: str = "both", boxes: bool = False, **changes) -> Mais:
    """The same SAM-Med3D with a memory, which has random weights too."""
    return filled(Mais(MaisConfig(small_config(boxes, **changes), MemoryConfig(variant, heads=2))))


class ThresholdSam(SamMed3D):
    """Answers what can be worked out by hand: the object is where the image is nearer to its largest value than to its
    smallest, within `reach` samples of a
    click or in a box; for a negative click it is what it was without that. shown: the images it was given to encode.
    said: points, kinds and mask of every answer."""

    reach = 100.0

    def __init__(self, boxes: bool = False, **changes) -> None:
        super().__init__(small_config(boxes, **changes))
        filled(self)
        self.shown: list[Tensor] = []
        self.said: list[tuple[Tensor, Tensor, Tensor]] = []

    def encode(self, image: Tensor) -> Tensor:
        self.shown.append(image)
        low, high = image.min(), image.max()
        return functional.avg_pool3d((2 * image - low - high) / (high - low), EDGE // CELLS)

    def answer(self, embedding: Tensor, points: Tensor, kinds: Tensor, mask: Tensor) -> SamAnswer:
        self.said.append((points, kinds, mask))
        bright = SURE * embedding
        axis = (torch.arange(CELLS) + 0.5) * (EDGE / CELLS) - 0.5  # of cells' centres, in samples
        cells = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
        nothing = torch.full_like(mask, -SURE)
        known = mask if bool((mask != 0).any()) else nothing
        if int(kinds[0, 0]) == LOW_CORNER:
            low, high = points[0]
            logits = torch.where(((cells >= low) & (cells <= high)).all(dim=-1), bright, nothing)
        else:
            near = (cells - points[0, 0]).norm(dim=-1) <= self.reach
            positive = int(kinds[0, 0]) == POSITIVE
            logits = torch.where(near, torch.maximum(known, bright) if positive else nothing, known)
        sparse = self.prompt_encoder.sparse(points, kinds)
        return SamAnswer(logits, sparse, self.prompt_encoder.dense(mask), torch.zeros(1, 1))
