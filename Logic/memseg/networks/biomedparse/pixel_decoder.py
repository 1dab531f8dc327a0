"""The pixel decoder of BiomedParse: a transformer on the coarsest map, then a feature pyramid down to stride 4."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as functional
from torch import Tensor, nn

from .layers import sine_places, tokens_of

GROUPS = 32  # of every norm


@dataclass(frozen=True)
class PixelConfig:
    """width: channels of all maps, D. mlp: inner width of the transformer. depth: its layers."""

    width: int = 512
    heads: int = 8
    mlp: int = 2048
    depth: int = 6

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % GROUPS or self.width % 4:
            raise ValueError(f"The width is a multiple of the heads, of {GROUPS} and of 4.")


class NormedConvolution(nn.Conv2d):
    """Without a bias, and normed."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__(channels, out, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(GROUPS, out)

    def forward(self, maps: Tensor) -> Tensor:
        return self.norm(super().forward(maps))


class EncoderLayer(nn.Module):
    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        width = config.width
        self.self_attn = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, config.mlp), nn.Linear(config.mlp, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, tokens: Tensor, placed: Tensor) -> Tensor:
        asking = tokens + placed
        found, _ = self.self_attn(asking, asking, tokens, need_weights=False)
        tokens = self.norm1(tokens + found)
        return self.norm2(tokens + self.linear2(functional.relu(self.linear1(tokens))))


class Encoder(nn.Module):
    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.depth))


class Transformer(nn.Module):
    """(B, D, h, w) -> the same shape."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)

    def forward(self, maps: Tensor) -> Tensor:
        tokens = tokens_of(maps)
        placed = sine_places(*maps.shape[2:], maps.shape[1], maps.device)
        for layer in self.encoder.layers:
            tokens = layer(tokens, placed)
        return tokens.transpose(1, 2).unflatten(2, maps.shape[2:])


class PixelDecoder(nn.Module):
    """See the module."""

    def __init__(self, widths: tuple[int, ...], config: PixelConfig) -> None:
        super().__init__()
        width, coarsest = config.width, len(widths)
        for stage, channels in enumerate(widths, 1):
            if stage < coarsest:
                self.add_module(f"adapter_{stage}", NormedConvolution(channels, width, 1))
            self.add_module(f"layer_{stage}", NormedConvolution(width, width, 3))
        self.input_proj = nn.Conv2d(widths[-1], width, 1)
        self.transformer = Transformer(config)
        self.mask_features = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, stages: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """stages: the backbone's, at strides 4 to 32 -> mask features (B, D, h, w) at stride 4, and three levels (B, D,
        ...) at strides 32, 16 and 8."""
        coarsest = len(stages)
        maps, levels = self.transformer(self.input_proj(stages[-1])), []
        for stage in range(coarsest, 0, -1):
            if stage < coarsest:
                beside = self.get_submodule(f"adapter_{stage}")(stages[stage - 1])
                maps = beside + functional.interpolate(maps, size=beside.shape[2:], mode="nearest")
            maps = functional.relu(self.get_submodule(f"layer_{stage}")(maps))
            levels.append(maps)
        return self.mask_features(maps), tuple(levels[:3])
