"""A nano network small enough for tests, and prompts and memories for it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from memseg.networks.memory_attention import MemoryBatch, MemoryConfig
from memseg.networks.nano import Answer, Features, Nano, NanoConfig, PromptBatch
from memseg.networks.parts import cell_centres, unfolded

REGION, WIDTH, POINTS = 16, 16, 3


def small_config(variant: str = "both", **changes) -> NanoConfig:
    memory = MemoryConfig(variant=variant, heads=2)
    settings = {"region": REGION, "widths": (8, 8, WIDTH), "blocks": (1, 1, 1), "groups": 4, "heads": 2}
    return NanoConfig(**{**settings, "frequencies": 3, "points": POINTS, "memory": memory, **changes})


def small_network(variant: str = "both", seed: int = 0) -> Nano:
    """Every parameter is random, also those that start at zero, so that every part of the network matters."""
    torch.manual_seed(seed)
    network = Nano(small_config(variant))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return network.eval().requires_grad_(False)


def image(batch: int = 1, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Image (B, 2, 16, 16, 16) and condition (B, 4)."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn((batch, 2, REGION, REGION, REGION), generator=source), torch.zeros(batch, 4)


def prompt(points: Tensor, positive: bool = True, mask: Tensor | None = None) -> PromptBatch:
    """Clicks at points (B, 3), the other tokens of each sample not valid."""
    batch = len(points)
    met = torch.zeros(batch, 1, REGION, REGION, REGION) if mask is None else mask
    return PromptBatch(
        points=points[:, None].expand(-1, POINTS, -1).contiguous(),
        kinds=torch.zeros(batch, POINTS, dtype=torch.long),
        polarity=torch.full((batch, POINTS), 1.0 if positive else -1.0),
        valid=(torch.arange(POINTS) < 1).expand(batch, -1),
        maps=torch.zeros(batch, 4, REGION // 2, REGION // 2, REGION // 2),
        mask=met,
        has_mask=(met.flatten(1).amax(dim=1) > 0).float(),
    )


def memories(count: int, batch: int = 1, seed: int = 2) -> MemoryBatch:
    """`count` entries of one valid point each, oldest first."""
    source = torch.Generator().manual_seed(seed)
    return MemoryBatch(
        sparse=torch.randn((batch, count, POINTS, WIDTH), generator=source),
        points=torch.rand((batch, count, POINTS, 3), generator=source) * 2 - 1,
        polarity=torch.ones(batch, count, POINTS),
        valid=(torch.arange(POINTS) < 1).expand(batch, count, -1),
        dense=torch.randn((batch, count, WIDTH, 2, 2, 2), generator=source),
        centre=torch.zeros(batch, count, 3),
        scale=torch.ones(batch, count),
        age=torch.arange(count, 0, -1.0).expand(batch, count),
        present=torch.ones(batch, count, dtype=torch.bool),
    )


class ThresholdNano(Nano):
    """Answers by hand what can be worked out by hand: the object is where the image is above the middle of the volume's
    range, within `reach` (in half edges of the region) of the prompt's first point; for a negative prompt it is what
    the mask was without that. Everything else is a real network's."""

    reach = 2.0

    def __init__(self, config: NanoConfig) -> None:
        torch.manual_seed(0)
        super().__init__(config)
        self.encoded = 0  # regions whose image was encoded

    def encode(self, image: Tensor, condition: Tensor) -> Features:
        self.encoded += len(image)
        return super().encode(image, condition)

    def answer(
        self, features: Features, prompt: PromptBatch, memory: MemoryBatch | None = None, reads: str = "both"
    ) -> Answer:
        bright = unfolded(features.image)[:, :1] > 0
        cells = cell_centres(self.config.region)
        near = (cells[None] - prompt.points[:, :1]).norm(dim=-1).reshape(bright.shape) <= self.reach
        positive = (prompt.polarity[:, 0] > 0)[:, None, None, None, None]
        before = prompt.mask > 0.5
        after = torch.where(positive, before | (bright & near), before & ~near)
        made = super().answer(features, prompt, memory, reads)
        return replace(made, logits=torch.where(after, 9.0, -9.0))
