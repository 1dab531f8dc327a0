"""A small 2.5D network that follows an object from slice to slice, with a memory of slices it has met.

A slice is looked at through a square window of edge^2 samples round the object. `encode` sees the image alone (the
slice and its two neighbours) and can be cached; `remember` adds a mask and gives what memory keeps; `follow` answers
for a slice from the previous slice's mask, from agreed slices, and from memory: recent and long-lived entries are read
by separate attentions (SLM-SAM 2, arXiv 2505.01854), queries against keys of the image alone, as in STM (Oh et al.,
ICCV 2019) and SAM 2 (arXiv 2408.00714). It starts out from the previous mask and from what looks like the object, and
learns to do better.

Sizes for the default edge of 96: level 0 is 48^2, level 1 24^2, level 2 12^2. Points are (row, column), -1 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .parts import PositionEncoding, SelfAttention
from .slice_evidence import EVIDENCE_CHANNELS, IMAGE_CHANNELS, STACK

_SHARPNESS = 8.0  # to begin with: scores of attention are within +-8
CONDITIONS = 2  # log2 of the window's sample spacing in mm, log2 of the slice spacing over it


@dataclass(frozen=True)
class SliceConfig:
    """edge: samples along a window, a multiple of 8. widths, blocks: channels and residual blocks of levels 0, 1, 2.
    key_width, value_width: channels of what memory keeps at level 2."""

    edge: int = 96
    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: tuple[int, int, int] = (1, 2, 2)
    groups: int = 8
    heads: int = 4
    frequencies: int = 5
    key_width: int = 64
    value_width: int = 128

    def __post_init__(self) -> None:
        if len(self.widths) != 3 or len(self.blocks) != 3:
            raise ValueError("There are three levels.")
        if self.edge % 8:
            raise ValueError("The window's edge is a multiple of 8.")
        if self.widths[2] % self.heads or self.key_width % self.heads or self.value_width % self.heads:
            raise ValueError("The widths of level 2, of keys and of values are multiples of the number of heads.")


@dataclass(frozen=True)
class SliceImage:
    """B slices, encoded without any mask: levels 0 to 2 (B, C, e, e), and keys (B, key_width, e2, e2)."""

    levels: tuple[Tensor, Tensor, Tensor]
    keys: Tensor


@dataclass(frozen=True)
class SliceBatch:
    """N remembered slices for each of B queries. keys (B, N, Ck, e2, e2), values (B, N, Cv, e2, e2). places (B, N, 3):
    offset along the axis in half window edges of the query, row and column of the entry's window centre in the query's
    window; scale (B, N) edge of the entry's window over the query's. valid (B, N) bool."""

    keys: Tensor
    values: Tensor
    places: Tensor
    scale: Tensor
    valid: Tensor


@dataclass(frozen=True)
class SliceLogits:
    """logits (B, 1, edge^2); present (B,) logit that the object is in the slice; quality (B,) logit of the expected
    Dice."""

    logits: Tensor
    present: Tensor
    quality: Tensor


class Convolved(nn.Sequential):
    """3^2 convolution, GroupNorm, ReLU; stride 2 halves the edge."""

    def __init__(self, into: int, width: int, groups: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(into, width, 3, stride=stride, padding=1, bias=False),
            nn.GroupNorm(min(groups, width), width),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """Two 3^2 convolutions with GroupNorm and a shortcut; (B, C, e, e) stays so."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.norm_first, self.norm_second = (nn.GroupNorm(min(groups, width), width) for _ in range(2))

    def forward(self, maps: Tensor) -> Tensor:
        inner = functional.relu(self.norm_first(self.first(maps)))
        return functional.relu(maps + self.norm_second(self.second(inner)))


class Levels(nn.Module):
    """Folded maps (B, 4C, e0, e0) -> levels 0 to 2, each scaled and shifted by the condition (B, 2)."""

    def __init__(self, config: SliceConfig, folded_channels: int) -> None:
        super().__init__()
        before = (folded_channels, *config.widths[:2])
        self.enter = nn.ModuleList(
            [
                Convolved(into, width, config.groups, stride=1 if level == 0 else 2)
                for level, (into, width) in enumerate(zip(before, config.widths))
            ]
        )
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(*[ResidualBlock(width, config.groups) for _ in range(count)])
                for width, count in zip(config.widths, config.blocks)
            ]
        )
        self.condition = nn.ModuleList([_to_nothing(nn.Linear(CONDITIONS, 2 * width)) for width in config.widths])

    def forward(self, inner: Tensor, condition: Tensor, added: tuple[Tensor, ...] = ()) -> list[Tensor]:
        """added: maps of levels 0 to 2 to add on the way down."""
        levels = []
        for level, (enter, blocks, conditioning) in enumerate(zip(self.enter, self.blocks, self.condition)):
            scale, shift = conditioning(condition)[..., None, None].chunk(2, dim=1)
            inner = enter(inner) * (1 + scale) + shift
            inner = blocks(inner + added[level] if added else inner)
            levels.append(inner)
        return levels


class MemoryReading(nn.Module):
    """Query keys (B, Ck, e, e) look at remembered slices and take their values (B, Cv, e, e).

    Only the direction of queries and keys counts, as their lengths let one token that says nothing outweigh all others.
    """

    def __init__(self, config: SliceConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.position = PositionEncoding(config.key_width, config.frequencies)
        self.query, self.key = (nn.Linear(config.key_width, config.key_width) for _ in range(2))
        self.value, self.out = (nn.Linear(config.value_width, config.value_width) for _ in range(2))
        self.nothing = nn.Parameter(torch.zeros(1, 1, config.value_width))
        self.sharpness = nn.Parameter(torch.full((1, config.heads, 1, 1), math.log(_SHARPNESS)))

    def forward(self, keys: Tensor, memory: SliceBatch) -> Tensor:
        batch, count, _, edge, _ = memory.values.shape
        cells = cell_centres(edge, keys.device)  # (e^2, 2)
        here = functional.pad(cells, (1, 0)).expand(batch, -1, -1)
        around = memory.places[:, :, None, 1:] + memory.scale[:, :, None, None] * cells
        along = memory.places[:, :, None, :1].expand(-1, -1, len(cells), -1)
        there = torch.cat([along, around], dim=-1).flatten(1, 2)  # (B, N e^2, 3)
        query = self.query(tokens_of(keys) + self.position(here))
        tokens = memory.keys.flatten(3).transpose(2, 3).flatten(1, 2)  # (B, N e^2, Ck)
        key = self.key(tokens + self.position(there))
        value = self.value(memory.values.flatten(3).transpose(2, 3).flatten(1, 2))
        # One more token, that says nothing, for queries that find nothing like them.
        key = torch.cat([key.new_zeros(batch, 1, key.shape[-1]), key], dim=1)
        value = torch.cat([self.nothing.to(value.dtype).expand(batch, -1, -1), value], dim=1)
        valid = functional.pad(memory.valid.repeat_interleave(len(cells), dim=1), (1, 0), value=True)
        query, key, value = (each.unflatten(2, (self.heads, -1)).transpose(1, 2) for each in (query, key, value))
        query = functional.normalize(query, dim=-1) * self.sharpness.exp()
        key = functional.normalize(key, dim=-1)
        mask = valid[:, None, None, :]
        found = functional.scaled_dot_product_attention(
            query.to(value.dtype), key.to(value.dtype), value, mask, scale=1.0
        )
        return maps_of(self.out(found.transpose(1, 2).flatten(2)), edge)


class Judge(nn.Module):
    """Two logits for an answer, that the object is there and the Dice to expect, from what lies in and round it and
    from plain figures of it."""

    def __init__(self, width: int, maps: int) -> None:
        super().__init__()
        self.judge = nn.Sequential(nn.Linear(width + 3 * maps + 5, width), nn.GELU(), nn.Linear(width, 2))

    def forward(self, deep: Tensor, maps: Tensor, logits: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """deep (B, C2, e2, e2), maps (B, C, e0, e0), logits and before (the previous mask) (B, 1, edge^2)."""
        inside = functional.avg_pool2d(logits.detach().float().sigmoid(), 2)
        then = functional.avg_pool2d(before.float(), 2)
        around = functional.max_pool2d(inside, 5, stride=1, padding=2) - inside
        maps = maps.float()
        pooled = [
            (maps * where).flatten(2).sum(dim=2) / (where.flatten(2).sum(dim=2) + 1) for where in (inside, around, then)
        ]
        size, size_then = inside.flatten(1).sum(dim=1) + 1, then.flatten(1).sum(dim=1) + 1
        shared = (inside * then).flatten(1).sum(dim=1)
        unsure = (inside * (1 - inside)).flatten(1).sum(dim=1)
        plain = [
            size.log() / 4 - 1,
            (size / size_then).log() / 2,
            2 * shared / (size + size_then),
            unsure / size * 4,
            inside.flatten(1).amax(dim=1),
        ]
        token = deep.float().mean(dim=(2, 3))
        both = self.judge(torch.cat([token, *pooled, torch.stack(plain, dim=1)], dim=1)).float()
        return both[:, 0], both[:, 1]


class SliceNetwork(nn.Module):
    """See the module."""

    def __init__(self, config: SliceConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, wide = config.widths
        self.image = Levels(config, 4 * IMAGE_CHANNELS * STACK)
        self.to_keys = nn.Conv2d(wide, config.key_width, 1)
        self.prior = Levels(config, 4 * (EVIDENCE_CHANNELS + 2 * IMAGE_CHANNELS))
        self.mask_enter = nn.Sequential(
            Convolved(8, fine // 2, config.groups), Convolved(fine // 2, fine, config.groups, 2)
        )
        self.mask_join = Convolved(fine + middle, middle, config.groups, 2)
        self.mask_fuse = nn.Sequential(nn.Conv2d(middle + wide, wide, 1), ResidualBlock(wide, config.groups))
        self.to_values = nn.Conv2d(wide, config.value_width, 1)
        self.recent, self.long = MemoryReading(config), MemoryReading(config)
        self.join = nn.Conv2d(wide + 2 * config.value_width, wide, 1)
        self.deep = ResidualBlock(wide, config.groups)
        self.position = PositionEncoding(wide, config.frequencies)
        self.among = SelfAttention(wide, config.heads)
        self.up = nn.ModuleList([nn.Conv2d(wide, middle, 1), nn.Conv2d(middle, fine, 1)])
        self.blocks = nn.ModuleList([ResidualBlock(middle, config.groups), ResidualBlock(fine, config.groups)])
        self.head = Convolved(fine + 4 * (EVIDENCE_CHANNELS + IMAGE_CHANNELS), fine, config.groups)
        self.detail = _to_nothing(nn.Conv2d(fine, 4, 1))  # one logit for each of the 2^2 samples of a cell
        self.plain = nn.Conv2d(2 + EVIDENCE_CHANNELS, 1, 1)  # what the evidence says by itself, to begin with
        with torch.no_grad():
            self.plain.weight.zero_()
            self.plain.bias.zero_()
            self.plain.weight[0, 0], self.plain.weight[0, 4] = 2.0, 1.0
        self.judge = Judge(wide, fine + EVIDENCE_CHANNELS)

    def encode(self, stack: Tensor, condition: Tensor) -> SliceImage:
        """stack (B, 6, edge^2): two channels of the slice below, the slice, the slice above; condition (B, 2)."""
        levels = self.image(folded(stack), condition)
        return SliceImage(tuple(levels), self.to_keys(levels[2]))

    def remember(self, image: SliceImage, mask: Tensor, distance: Tensor) -> Tensor:
        """Values (B, value_width, e2, e2) of a slice and its mask (B, 1, edge^2) 0 to 1, with its signed distance."""
        inner = self.mask_enter(folded(torch.cat([mask, distance], dim=1)))
        inner = self.mask_join(torch.cat([inner, image.levels[1]], dim=1))
        return self.to_values(self.mask_fuse(torch.cat([inner, image.levels[2]], dim=1)))

    def follow(
        self,
        image: SliceImage,
        condition: Tensor,
        own: Tensor,
        previous: Tensor,
        evidence: Tensor,
        recent: SliceBatch,
        long: SliceBatch,
    ) -> SliceLogits:
        """own, previous (B, 2, edge^2): image channels of the slice and of the one before; evidence (B, 7, edge^2): see
        slice_evidence."""
        maps = self.prior(folded(torch.cat([own, previous, evidence], dim=1)), condition, image.levels)
        edge = maps[2].shape[-1]
        read = [reading(image.keys, memory) for reading, memory in ((self.recent, recent), (self.long, long))]
        inner = self.deep(self.join(torch.cat([maps[2], *read], dim=1)))
        at = self.position(functional.pad(cell_centres(edge, inner.device), (1, 0)))
        deep = inner = maps_of(self.among(tokens_of(inner), at), edge)
        for up, block, level in zip(self.up, self.blocks, (1, 0)):
            inner = block(functional.interpolate(up(inner), scale_factor=2, mode="nearest") + maps[level])
        cells = folded(torch.cat([own, evidence], dim=1))
        fine = unfolded(self.detail(self.head(torch.cat([inner, cells.to(inner.dtype)], dim=1)))).float()
        logits = fine + self.plain(torch.cat([near_border(evidence), evidence], dim=1)).float()
        judged = torch.cat([inner, functional.avg_pool2d(evidence, 2).to(inner.dtype)], dim=1)
        present, quality = self.judge(deep, judged, logits, evidence[:, :1])
        return SliceLogits(logits, present, quality)


def near_border(evidence: Tensor) -> Tensor:
    """(B, 7, edge^2) -> (B, 2, edge^2): the signed distances of the previous and of the interpolated mask, -1 to 1
    within three samples of the border; the latter zero where there is none."""
    return torch.cat([(4 * evidence[:, 1:2]).clamp(-1, 1), (4 * evidence[:, -2:-1]).clamp(-1, 1)], dim=1)


def folded(maps: Tensor) -> Tensor:
    """(B, C, 2r, 2c) -> (B, 4C, r, c): every 2 x 2 block becomes four channels, nothing is lost."""
    return functional.pixel_unshuffle(maps, 2)


def unfolded(maps: Tensor) -> Tensor:
    """(B, 4C, r, c) -> (B, C, 2r, 2c): the inverse of `folded`."""
    return functional.pixel_shuffle(maps, 2)


def tokens_of(maps: Tensor) -> Tensor:
    """(B, C, r, c) -> (B, r*c, C)."""
    return maps.flatten(2).transpose(1, 2)


def maps_of(tokens: Tensor, edge: int) -> Tensor:
    """(B, edge^2, C) -> (B, C, edge, edge)."""
    return tokens.transpose(1, 2).unflatten(2, (edge, edge))


def cell_centres(edge: int, device: torch.device | None = None) -> Tensor:
    """(edge^2, 2) centres (row, column) of the cells of a square that reaches from -1 to 1."""
    axis = (torch.arange(edge, device=device, dtype=torch.float32) + 0.5) * (2 / edge) - 1
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)


def condition(spacing_mm: Tensor, gap_mm: Tensor) -> Tensor:
    """Sample spacing of the window and distance to the next slice, (B,) each -> (B, 2), each about -1 to 1."""
    return torch.stack([spacing_mm.log2() / 2, (gap_mm / spacing_mm).log2() / 3], dim=1).clamp(-2, 2)


def _to_nothing(layer: nn.Module) -> nn.Module:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
