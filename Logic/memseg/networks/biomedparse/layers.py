"""Attention among tokens (B, T, D) as BiomedParse's decoders have it: a norm after each sum, places and names added to
queries and keys, never to values. Parameters have the names of the published files."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


class SelfAttentionLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, named: Tensor) -> Tensor:
        """named: (B, T, D), added to queries and keys."""
        asking = tokens + named
        found, _ = self.self_attn(asking, asking, tokens, need_weights=False)
        return self.norm(tokens + found)


class CrossAttentionLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        tokens: Tensor,
        others: Tensor,
        named: Tensor | None,
        placed: Tensor | None,
        hidden: Tensor | None = None,
    ) -> Tensor:
        """others (B, N, D); named (B, T, D) and placed (B or 1, N, D) are added to queries and keys. hidden (B * heads,
        T, N): true where a token may not look, or numbers that are added to the logits."""
        asking = tokens if named is None else tokens + named
        keys = others if placed is None else others + placed
        found, _ = self.multihead_attn(asking, keys, others, attn_mask=hidden, need_weights=False)
        return self.norm(tokens + found)


class FeedForwardLayer(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm(tokens + self.linear2(functional.relu(self.linear1(tokens))))


class Perceptron(nn.Module):
    """Three linear layers, ReLU between them."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, size) for size in (width, width, out))

    def forward(self, tokens: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            tokens = functional.relu(layer(tokens))
        return self.layers[-1](tokens)


@lru_cache(maxsize=32)
def sine_places(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """(1, height * width, channels): sine and cosine by turns of row (first half) and column, each scaled to 2 pi at
    the far end (DETR, arXiv 2005.12872)."""
    half = channels // 2
    step = torch.arange(half, dtype=torch.float32, device=device)
    period = 10_000 ** (2 * torch.div(step, 2, rounding_mode="floor") / half)

    def along(count: int) -> Tensor:
        place = torch.arange(1, count + 1, dtype=torch.float32, device=device) / (count + 1e-6) * (2 * math.pi)
        angle = place[:, None] / period  # (count, half)
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)

    rows = along(height)[:, None].expand(-1, width, -1)
    columns = along(width)[None].expand(height, -1, -1)
    return torch.cat((rows, columns), dim=2).reshape(1, height * width, channels)


def tokens_of(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h * w, C)."""
    return maps.flatten(2).transpose(1, 2)
