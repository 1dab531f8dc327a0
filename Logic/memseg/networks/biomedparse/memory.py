"""A memory for BiomedParse, which by itself forgets every slice: what is kept of one, and how later ones read it.

Our own design, none of it published with weights. Each part stands by itself:

- `remembered`, the stateful encoder: a slice's key is its features of all scales, averaged on one grid; its value is
  the same with the embedding of the mask that was found, where the mask is (as SAM 2 adds masks to memories).
- `FormatAdapter`: makes features of any grid into tokens of the bank's width, and refuses what does not fit.
- `BankAttention`: one more look in every layer of the decoder, at the remembered tokens, and one of the mask features
  before them: queries alone can tell what is looked for, but where it was only as far as mask features tell places
  apart. Its gates begin at zero, so that an untrained one changes not a bit; and without entries it is not asked at
  all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .boltzmann_decoder import Decoded
from .layers import sine_places, tokens_of
from .model import SliceMaps

_FEWEST, _SURE = 8, 10.0


@dataclass(frozen=True)
class MemoryConfig:
    """width: of the decoder. bank_width: of remembered tokens. grid: a slice is read as grid^2 tokens. depth: layers of
    the decoder."""

    width: int = 512
    bank_width: int = 64
    grid: int = 8
    heads: int = 4
    depth: int = 9

    def __post_init__(self) -> None:
        if self.bank_width % self.heads or min(self.grid, self.depth) < 1:
            raise ValueError("The bank's width is a multiple of the heads, and there is a grid and a layer.")


@dataclass(frozen=True)
class Remembered:
    """Of N slices, for each of B slices that ask: keys and values (B, N, D, g, g), and how far they lie from it, (B, N)
    in mm, signed."""

    keys: Tensor
    values: Tensor
    away_mm: Tensor


def grid_of(edge: int) -> int:
    """Places along an edge that a slice of so many pixels is remembered in: those of the coarsest level that has eight
    or more, else of the finest."""
    return next((edge // stride for stride in (32, 16) if edge // stride >= _FEWEST), edge // 8)


def remembered(maps: SliceMaps, answer: Decoded) -> tuple[Tensor, Tensor]:
    """Keys and values (B, D, g, g) of slices that were answered; see `grid_of`."""
    size = (grid_of(4 * maps.mask_features.shape[2]),) * 2
    keys = torch.stack([functional.adaptive_avg_pool2d(level, size) for level in maps.levels]).mean(dim=0)
    mask = functional.adaptive_max_pool2d(answer.logits.sigmoid()[:, None], size)  # (B, 1, g, g), of small ones too
    return keys, keys + mask * answer.mask_embedding[:, :, None, None]


def known(answer: Decoded, logits: Tensor) -> Decoded:
    """An answer whose mask is known otherwise, as logits (B, h, w); the object is in those slices that have any."""
    there = (logits > 0).flatten(1).any(dim=1)
    return replace(answer, logits=logits, existence=torch.where(there, _SURE, -_SURE).to(answer.existence))


class FormatAdapter(nn.Module):
    """(N, width, h, w) -> (N, grid^2, bank_width). Raises ValueError, a sentence, for features of another width, or of
    a grid too small to be averaged."""

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(config.width, config.bank_width)

    def forward(self, features: Tensor) -> Tensor:
        width, grid = self.config.width, self.config.grid
        if features.ndim != 4 or features.shape[1] != width or not torch.is_floating_point(features):
            raise ValueError(
                f"Slices are remembered as {width} features a place; what came has the shape {tuple(features.shape)}."
            )
        if min(features.shape[2:]) < grid:
            raise ValueError(
                f"A remembered slice has at least {grid} x {grid} places; this one has "
                f"{features.shape[2]} x {features.shape[3]}."
            )
        pooled = functional.adaptive_avg_pool2d(features.float(), grid).flatten(2).transpose(1, 2)
        return self.project(pooled + sine_places(grid, grid, width, features.device))


class BankLayer(nn.Module):
    """Tokens look at what is remembered; what they find is added, scaled by the tangent of a gate."""

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = nn.LayerNorm(config.width)
        self.asks, self.gives = nn.Linear(config.width, config.bank_width), nn.Linear(config.bank_width, config.width)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, placed: Tensor | None = None) -> Tensor:
        """queries (B, Q, width), keys and values (B, T, bank_width); placed (1, Q, width) is added to what asks."""
        asking = self.norm(queries)
        parts = (self.asks(asking if placed is None else asking + placed), keys, values)
        split = [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts]
        found = functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
        return queries + self.gate.tanh() * self.gives(found)


class BankAttention(nn.Module):
    """See the module."""

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__()
        self.config = config
        self.keys, self.values = FormatAdapter(config), FormatAdapter(config)
        self.away, self.inside = nn.Linear(3, config.bank_width), nn.Linear(1, config.bank_width)
        self.features = BankLayer(config)
        self.layers = nn.ModuleList(BankLayer(config) for _ in range(config.depth))

    def reading(self, bank: Remembered) -> Reading | None:
        """What informs the decoder's queries (see BoltzmannDecoder) of a bank; None of an empty one."""
        if bank.away_mm.shape[1] == 0:
            return None
        away = bank.away_mm.float() / 30
        placed = self.away(torch.stack([away.abs().log1p(), away.sign(), (-away.abs()).exp()], dim=2))  # (B, N, w)
        keys, values = (
            adapter(features.flatten(0, 1)).unflatten(0, away.shape)  # (B, N, T, w)
            for adapter, features in ((self.keys, bank.keys), (self.values, bank.values))
        )
        values = values + self.inside(self._masked(bank))
        return Reading(self, (keys + placed[:, :, None]).flatten(1, 2), values.flatten(1, 2))

    def _masked(self, bank: Remembered) -> Tensor:
        """(B, N, T, 1) of 0 to 1: how much of a remembered mask is in each place, by what it added to the values."""
        added = (bank.values - bank.keys).float().square().mean(dim=2).sqrt()  # (B, N, g, g)
        return functional.adaptive_max_pool2d(added, self.config.grid).tanh().flatten(2)[..., None]


class Reading:
    """A bank as tokens (B, T, bank_width), read layer by layer."""

    def __init__(self, attention: BankAttention, keys: Tensor, values: Tensor) -> None:
        self._attention, self._keys, self._values = attention, keys, values

    def features(self, mask_features: Tensor) -> Tensor:
        height, width = mask_features.shape[2:]
        placed = sine_places(height, width, mask_features.shape[1], mask_features.device)
        seen = self._attention.features(tokens_of(mask_features), self._keys, self._values, placed)
        return seen.transpose(1, 2).unflatten(2, (height, width))

    def __call__(self, layer: int, queries: Tensor) -> Tensor:
        return self._attention.layers[layer](queries, self._keys, self._values)
