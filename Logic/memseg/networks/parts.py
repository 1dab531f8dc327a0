"""Pieces that the networks share. Shapes: B batch, C channels, (k, j, i) space, T tokens, D token width."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


def folded(values: Tensor) -> Tensor:
    """(B, C, 2k, 2j, 2i) -> (B, 8C, k, j, i): every 2 x 2 x 2 block becomes eight channels, nothing is lost."""
    batch, channels, k, j, i = values.shape
    blocks = values.reshape(batch, channels, k // 2, 2, j // 2, 2, i // 2, 2)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, channels * 8, k // 2, j // 2, i // 2)


def unfolded(values: Tensor) -> Tensor:
    """(B, 8C, k, j, i) -> (B, C, 2k, 2j, 2i): the inverse of `folded`."""
    batch, channels, k, j, i = values.shape
    blocks = values.reshape(batch, channels // 8, 2, 2, 2, k, j, i)
    return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, channels // 8, 2 * k, 2 * j, 2 * i)


def cell_centres(edge: int, device: torch.device | None = None) -> Tensor:
    """(edge^3, 3) centres (k, j, i) of the cells of a cube that reaches from -1 to 1."""
    axis = (torch.arange(edge, device=device, dtype=torch.float32) + 0.5) * (2 / edge) - 1
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)


def tokens_of(maps: Tensor) -> Tensor:
    """(B, C, k, j, i) -> (B, T = k*j*i, C)."""
    return maps.flatten(2).transpose(1, 2)


def maps_of(tokens: Tensor, edge: int) -> Tensor:
    """(B, T = edge^3, C) -> (B, C, edge, edge, edge)."""
    return tokens.transpose(1, 2).unflatten(2, (edge, edge, edge))


def sampled(maps: Tensor, points: Tensor) -> Tensor:
    """Values (B, P, C) of maps (B, C, k, j, i) at points (B, P, 3) in (k, j, i), -1 to 1 from face to face, linearly.

    Points outside take the value at the border.
    """
    place = points.float().flip(-1)[:, :, None, None, :]  # grid_sample counts (i, j, k); bfloat16 would be a cell off
    found = functional.grid_sample(maps.float(), place, mode="bilinear", padding_mode="border", align_corners=False)
    return found[:, :, :, 0, 0].transpose(1, 2)


class PositionEncoding(nn.Module):
    """Fourier features of a point relative to the region, at octaves from the region's own size down, then linear."""

    def __init__(self, width: int, frequencies: int) -> None:
        super().__init__()
        self.octaves: Tensor
        self.register_buffer("octaves", torch.pi * 2.0 ** torch.arange(-1, frequencies - 1), persistent=False)
        self.project = nn.Linear(6 * frequencies + 3, width)

    def forward(self, points: Tensor) -> Tensor:
        """(..., 3) with -1 to 1 inside the region -> (..., D). Far outside only the direction and log distance
        count."""
        angles = (points[..., None] * self.octaves).flatten(-2)
        squeezed = points / (1 + points.abs())
        return self.project(torch.cat([angles.sin(), angles.cos(), squeezed], dim=-1))


class Attention(nn.Module):
    """Multi-head attention over (B, T, D) tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, valid: Tensor | None = None) -> Tensor:
        """queries (B, Q, D), keys and values (B, K, D), valid (B, K) bool with at least one true each -> (B, Q, D)."""
        parts = self._split(queries, keys, values)
        mask = None if valid is None else valid[:, None, None, :]
        found = functional.scaled_dot_product_attention(*parts, attn_mask=mask)
        return self.out(found.transpose(1, 2).flatten(2))

    def with_weights(
        self, queries: Tensor, keys: Tensor, values: Tensor, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As forward, and how much each key was looked at: (B, K) float32, averaged over heads and queries, sum 1."""
        query, key, value = self._split(queries, keys, values)
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None, None, :], -torch.inf)
        weights = scores.softmax(dim=-1, dtype=torch.float32)
        found = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        return self.out(found), weights.mean(dim=(1, 2))

    def _split(self, *tokens: Tensor) -> list[Tensor]:
        """Each (B, T, D) projected -> (B, heads, T, D / heads)."""
        projections = (self.query, self.key, self.value)
        return [
            project(part).unflatten(2, (self.heads, -1)).transpose(1, 2) for project, part in zip(projections, tokens)
        ]


class FeedForward(nn.Sequential):
    """(..., D) -> (..., D)."""

    def __init__(self, width: int, ratio: int = 2) -> None:
        super().__init__(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))


class SelfAttention(nn.Module):
    """A pre-norm transformer block over (B, T, D) tokens; positions are added to queries and keys only."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.forward_part = FeedForward(width)

    def forward(self, tokens: Tensor, positions: Tensor, valid: Tensor | None = None) -> Tensor:
        normed = self.norm(tokens)
        placed = normed + positions
        tokens = tokens + self.attention(placed, placed, normed, valid)
        return tokens + self.forward_part(self.norm_forward(tokens))


class ResidualBlock(nn.Module):
    """Two 3^3 convolutions with GroupNorm and a shortcut; (B, C, k, j, i) stays so."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv3d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.norm_first, self.norm_second = (nn.GroupNorm(min(groups, width), width) for _ in range(2))

    def forward(self, maps: Tensor) -> Tensor:
        inner = functional.relu(self.norm_first(self.first(maps)))
        return functional.relu(maps + self.norm_second(self.second(inner)))


class Convolved(nn.Sequential):
    """3^3 convolution, GroupNorm, ReLU; stride 2 halves the edge."""

    def __init__(self, channels: int, width: int, groups: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.GroupNorm(min(groups, width), width),
            nn.ReLU(),
        )
