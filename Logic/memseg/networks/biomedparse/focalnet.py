"""The backbone of BiomedParse: a large FocalNet (Yang et al., arXiv 2203.11926), in our own words.

Focal modulation stands where attention stands elsewhere: every place is multiplied by what depth-wise convolutions of
growing size, and the mean of the whole map, tell of its surroundings, each gated by the place itself. Norms follow what
they belong to, and each part is scaled (gamma) before it is added. Maps are (B, h, w, C) inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


@dataclass(frozen=True)
class FocalConfig:
    """width: channels of the first stage, doubled from each to the next. windows: of the depth-wise convolutions."""

    width: int = 192
    depths: tuple[int, ...] = (2, 2, 18, 2)
    windows: tuple[int, ...] = (3, 5, 7, 9)
    mlp_ratio: int = 4

    @property
    def widths(self) -> tuple[int, ...]:
        """Of all stages, at strides 4, 8, 16 and 32."""
        return tuple(self.width * 2**stage for stage in range(len(self.depths)))


class Shrinking(nn.Module):
    """A convolution with stride, and a norm. (B, h, w, C) -> (B, ceil(h / stride), ceil(w / stride), out)."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, out, kernel, stride, padding)
        self.norm = nn.LayerNorm(out)
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        below, right = (-size % self.stride for size in maps.shape[1:3])
        maps = functional.pad(maps.movedim(3, 1), (0, right, 0, below))
        return self.norm(self.proj(maps).movedim(1, 3))


class FocalModulation(nn.Module):
    def __init__(self, width: int, windows: tuple[int, ...]) -> None:
        super().__init__()
        self.f = nn.Linear(width, 2 * width + len(windows) + 1)
        self.h = nn.Conv2d(width, width, 1)
        self.proj = nn.Linear(width, width)
        self.focal_layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, edge, padding=edge // 2, groups=width, bias=False), nn.GELU())
            for edge in windows
        )

    def forward(self, maps: Tensor) -> Tensor:
        width, levels = maps.shape[3], len(self.focal_layers)
        query, context, gates = self.f(maps).movedim(3, 1).split((width, width, levels + 1), dim=1)
        surroundings = torch.zeros_like(query)
        for level, look in enumerate(self.focal_layers):
            context = look(context)
            surroundings = surroundings + context * gates[:, level : level + 1]
        overall = functional.gelu(context.mean(dim=(2, 3), keepdim=True))
        surroundings = (surroundings + overall * gates[:, levels:]) / (levels + 1)
        return self.proj((query * self.h(surroundings)).movedim(1, 3))


class FocalMLP(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, maps: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(maps)))


class FocalBlock(nn.Module):
    def __init__(self, width: int, config: FocalConfig) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.modulation = FocalModulation(width, config.windows)
        self.mlp = FocalMLP(width, config.mlp_ratio * width)
        self.gamma_1, self.gamma_2 = (nn.Parameter(torch.full((width,), 1e-4)) for _ in range(2))

    def forward(self, maps: Tensor) -> Tensor:
        maps = maps + self.gamma_1 * self.norm1(self.modulation(maps))
        return maps + self.gamma_2 * self.norm2(self.mlp(maps))


class FocalStage(nn.Module):
    def __init__(self, width: int, depth: int, last: bool, config: FocalConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FocalBlock(width, config) for _ in range(depth))
        self.downsample = None if last else Shrinking(width, 2 * width, kernel=3, stride=2, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        for block in self.blocks:
            maps = block(maps)
        return maps


class FocalNet(nn.Module):
    """See the module."""

    def __init__(self, config: FocalConfig) -> None:
        super().__init__()
        self.patch_embed = Shrinking(3, config.width, kernel=7, stride=4, padding=2)
        last = len(config.depths) - 1
        self.layers = nn.ModuleList(
            FocalStage(width, depth, stage == last, config)
            for stage, (width, depth) in enumerate(zip(config.widths, config.depths))
        )
        for stage, width in enumerate(config.widths):
            self.add_module(f"norm{stage}", nn.LayerNorm(width))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, h, w), h and w multiples of 32 -> one map (B, C, h / s, w / s) a stage, s = 4, 8, 16, 32."""
        maps, found = self.patch_embed(image.movedim(1, 3)), []
        for stage, layer in enumerate(self.layers):
            maps = layer(maps)
            found.append(self.get_submodule(f"norm{stage}")(maps).movedim(3, 1))
            maps = maps if layer.downsample is None else layer.downsample(maps)
        return tuple(found)
