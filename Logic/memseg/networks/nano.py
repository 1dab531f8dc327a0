"""Nano: a small promptable 3D network with interaction memory.

It looks at a cube of region^3 isotropic samples. The image is encoded once (`encode`); each prompt is then answered
from those features, the prompt, the mask so far and what earlier interactions left behind (`answer`). Every
convolution runs at half the region's edge or below: the image enters, and the logits leave, as blocks of 2^3 folded
into channels.

Sizes for the default region of 48 samples: level 0 is 24^3, level 1 12^3, level 2 6^3. Points are (k, j, i), -1 to 1
from face to face of the region.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .geodesics import CELL_CHANNELS, SAMPLE_CHANNELS, Seeds, evidence
from .memory_attention import MemoryAttention, MemoryBatch, MemoryConfig
from .parts import (
    Attention,
    Convolved,
    FeedForward,
    PositionEncoding,
    ResidualBlock,
    SelfAttention,
    cell_centres,
    folded,
    maps_of,
    sampled,
    tokens_of,
    unfolded,
)

KINDS = ("click", "scribble", "lasso", "box_low", "box_high")
IMAGE_CHANNELS = 2
CONDITIONS = 4  # log2 of the working spacing in mm, log2 of native over working spacing along k, j, i


@dataclass(frozen=True)
class NanoConfig:
    """region: samples along an edge, a multiple of 8. widths, blocks: channels and residual blocks of levels 0, 1, 2.
    encoder_attention: transformer blocks at level 2. decoder_depth: two-way attention layers; decoder_blocks: residual
    blocks at levels 0 and 1 on the way up. points: tokens a prompt may have. spread: deviation in level-0 cells of the
    bump a click is drawn as."""

    region: int = 48
    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: tuple[int, int, int] = (2, 2, 1)
    groups: int = 8
    heads: int = 4
    frequencies: int = 6
    encoder_attention: int = 1
    decoder_depth: int = 2
    decoder_blocks: tuple[int, int] = (1, 1)
    points: int = 4
    spread: float = 1.0
    memory: MemoryConfig = field(default_factory=MemoryConfig)

    def __post_init__(self) -> None:
        if self.region % 8 or (self.region // 8) % self.memory.dense_edge:
            raise ValueError("The region's edge is a multiple of 8 and of 8 times the dense memory's edge.")
        if self.widths[2] % self.heads or self.widths[2] % self.memory.heads:
            raise ValueError("The width of level 2 is a multiple of both numbers of heads.")

    @property
    def width(self) -> int:
        """Of tokens and of the dense embedding (D)."""
        return self.widths[2]


@dataclass(frozen=True)
class PromptBatch:
    """The newest prompt of B samples, and the mask it met.

    points (B, P, 3), kinds (B, P) index of KINDS, polarity (B, P) 1 or -1, valid (B, P) bool. maps (B, 4, E, E, E) at
    level 0 (E = region / 2), 0 to 1: what positive and negative strokes and lassos cover, then boxes. mask (B, 1,
    region^3) 0 to 1, and has_mask (B,) 0 or 1.
    """

    points: Tensor
    kinds: Tensor
    polarity: Tensor
    valid: Tensor
    maps: Tensor
    mask: Tensor
    has_mask: Tensor


@dataclass(frozen=True)
class Features:
    """A region's image, encoded: levels 0 to 2, (B, C, e, e, e), and the image folded to (B, 16, E, E, E)."""

    levels: tuple[Tensor, Tensor, Tensor]
    image: Tensor

    def taken(self, places: Tensor) -> Features:
        """The samples of these indices."""
        return Features(tuple(level[places] for level in self.levels), self.image[places])

    def replaced(self, places: Tensor, others: Features) -> Features:
        """The samples of these indices replaced by those of `others`, in order."""
        levels = (level.index_copy(0, places, other) for level, other in zip(self.levels, others.levels))
        return Features(tuple(levels), self.image.index_copy(0, places, others.image))


@dataclass(frozen=True)
class Answer:
    """logits (B, 1, region^3); coarse (B, 1, E^3) for deep supervision; quality (B,) logit of the expected Dice; sparse
    (B, P, D) and dense (B, D, t, t, t), what memory keeps; attention (B, N), how much each memory was looked at."""

    logits: Tensor
    coarse: Tensor
    quality: Tensor
    sparse: Tensor
    dense: Tensor
    attention: Tensor | None


class Encoder(nn.Module):
    """Image (B, 2, region^3) and condition (B, 4) -> Features."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        before = (8 * IMAGE_CHANNELS, *config.widths[:2])
        self.enter = nn.ModuleList(
            [
                Convolved(channels, width, config.groups, stride=1 if level == 0 else 2)
                for level, (channels, width) in enumerate(zip(before, config.widths))
            ]
        )
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(*[ResidualBlock(width, config.groups) for _ in range(count)])
                for width, count in zip(config.widths, config.blocks)
            ]
        )
        self.condition = nn.ModuleList([_to_nothing(nn.Linear(CONDITIONS, 2 * width)) for width in config.widths])
        self.position = PositionEncoding(config.width, config.frequencies)
        self.attention = nn.ModuleList(
            [SelfAttention(config.width, config.heads) for _ in range(config.encoder_attention)]
        )

    def forward(self, image: Tensor, condition: Tensor) -> Features:
        inner = entered = folded(image)
        levels = []
        for enter, blocks, conditioning in zip(self.enter, self.blocks, self.condition):
            scale, shift = conditioning(condition)[..., None, None, None].chunk(2, dim=1)
            inner = blocks(enter(inner) * (1 + scale) + shift)
            levels.append(inner)
        edge = inner.shape[-1]
        tokens, positions = tokens_of(inner), self.position(cell_centres(edge, image.device))
        for block in self.attention:
            tokens = block(tokens, positions)
        return Features((levels[0], levels[1], maps_of(tokens, edge)), entered)


class PromptEncoder(nn.Module):
    """A prompt as maps at every level, as tokens, and as the dense embedding that memory keeps."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        self.edge, self.spread, width = config.region // 2, config.spread, config.width
        # clicks, remembered points, areas, folded mask, whether there is a mask, geodesic evidence
        channels = 2 + 2 + 4 + 8 + 1 + CELL_CHANNELS
        before = (channels, *config.widths[:2])
        self.enter = nn.ModuleList(
            [
                Convolved(channels, each, config.groups, stride=1 if level == 0 else 2)
                for level, (channels, each) in enumerate(zip(before, config.widths))
            ]
        )
        self.kind, self.side = nn.Embedding(len(KINDS), width), nn.Embedding(2, width)
        self.appearance = nn.Linear(sum(config.widths), width)
        cells = config.region // 8 // config.memory.dense_edge
        self.pool = nn.Sequential(
            nn.Conv3d(width, width, cells, stride=cells, groups=width), nn.Conv3d(width, width, 1)
        )

    def maps(self, prompt: PromptBatch, remembered: Tensor, geodesic: Tensor) -> list[Tensor]:
        """remembered (B, 2, E^3), geodesic (B, 9, E^3) -> maps to add to the image's levels 0, 1, 2."""
        clicks = prompt.valid & (prompt.kinds == KINDS.index("click"))
        drawn = drawn_points(prompt.points, prompt.polarity * clicks, self.edge, self.spread)
        has_mask = prompt.has_mask[:, None, None, None, None]
        known = has_mask.expand(-1, 1, *drawn.shape[2:])
        inner = torch.cat([drawn, remembered, prompt.maps, folded(prompt.mask), known, geodesic], dim=1)
        levels = []
        for enter in self.enter:
            inner = enter(inner)
            levels.append(inner)
        return levels

    def tokens(self, prompt: PromptBatch, features: Features) -> Tensor:
        """(B, P, D): kind, polarity and what the image looks like there; the place is added when they are used."""
        looks = torch.cat([sampled(level, prompt.points) for level in features.levels], dim=-1)
        side = self.side((prompt.polarity > 0).long())
        return (self.kind(prompt.kinds) + side + self.appearance(looks)) * prompt.valid[..., None]

    def dense(self, fused: Tensor) -> Tensor:
        """(B, D, e, e, e) at level 2 -> (B, D, t, t, t)."""
        return self.pool(fused)


class TwoWayLayer(nn.Module):
    """Tokens (B, T, D) look at each other and at the image (B, V, D), then the image looks at the tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.among, self.to_image, self.to_tokens = (Attention(width, heads) for _ in range(3))
        self.forward_part = FeedForward(width)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(4)])

    def forward(
        self, tokens: Tensor, image: Tensor, at_tokens: Tensor, at_image: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        placed = tokens + at_tokens
        tokens = self.norms[0](tokens + self.among(placed, placed, tokens, valid))
        tokens = self.norms[1](tokens + self.to_image(tokens + at_tokens, image + at_image, image))
        tokens = self.norms[2](tokens + self.forward_part(tokens))
        image = self.norms[3](image + self.to_tokens(image + at_image, tokens + at_tokens, tokens, valid))
        return tokens, image


class Quality(nn.Module):
    """The logit of the Dice an answer can expect, from what lies inside it, what lies round it, its size, how much of
    it the region's faces cut off, and how sure it is."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.judge = nn.Sequential(nn.Linear(width + 2 * channels + 3, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, token: Tensor, maps: Tensor, logits: Tensor) -> Tensor:
        """token (B, D), maps (B, C, E^3), logits (B, 1, (2E)^3), which are judged and not changed -> (B,)."""
        inside = functional.avg_pool3d(logits.detach().float().sigmoid(), 2)
        around = functional.max_pool3d(inside, 5, stride=1, padding=2) - inside
        maps = maps.float()
        pooled = [
            (maps * where).flatten(2).sum(dim=2) / (where.flatten(2).sum(dim=2) + 1) for where in (inside, around)
        ]
        size = inside.flatten(1).sum(dim=1) + 1
        faces = sum(inside.select(axis, end).flatten(1).sum(dim=1) for axis in (2, 3, 4) for end in (0, -1))
        unsure = (inside * (1 - inside)).flatten(1).sum(dim=1)
        plain = [size.log() / 4 - 1, (faces + 1).log() / 3, unsure / size * 4]
        return self.judge(torch.cat([token.float(), *pooled, torch.stack(plain, dim=1)], dim=1))[:, 0].float()


class Decoder(nn.Module):
    """Conditioned image tokens and prompt tokens -> logits and expected quality."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        width, (fine, middle, _) = config.width, config.widths
        self.own = nn.Parameter(torch.randn(2, width) * 0.1)  # the mask token and the quality token
        self.layers = nn.ModuleList([TwoWayLayer(width, config.heads) for _ in range(config.decoder_depth)])
        self.up = nn.ModuleList([nn.Conv3d(width, middle, 1), nn.Conv3d(middle, fine, 1)])
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(*[ResidualBlock(each, config.groups) for _ in range(count)])
                for each, count in zip((middle, fine), reversed(config.decoder_blocks))
            ]
        )
        self.weigh = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, fine))
        self.quality = Quality(width, fine + CELL_CHANNELS)
        self.head = Convolved(fine + 8 * (IMAGE_CHANNELS + 1 + SAMPLE_CHANNELS), fine, config.groups)
        self.detail = nn.Conv3d(fine, 8, 1)  # one logit for each of the 2^3 samples of a cell

    def forward(
        self,
        features: Features,
        maps: list[Tensor],
        image: Tensor,
        tokens: Tensor,
        positions: tuple[Tensor, Tensor],
        valid: Tensor,
        detail: Tensor,
        geodesic: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """image (B, V, D), tokens (B, P, D), their positions, valid (B, P), detail (B, 16, E^3), folded mask and
        unlikeness, geodesic (B, 9, E^3) -> logits, coarse, quality as Answer has them."""
        batch, edge = len(image), features.levels[2].shape[-1]
        at_tokens, at_image = positions
        own = self.own.to(tokens.dtype).expand(batch, -1, -1)
        tokens, at_tokens = torch.cat([own, tokens], dim=1), functional.pad(at_tokens, (0, 0, 2, 0))
        valid = functional.pad(valid, (2, 0), value=True)
        for layer in self.layers:
            tokens, image = layer(tokens, image, at_tokens, at_image, valid)
        inner = maps_of(image, edge)
        for up, blocks, level in zip(self.up, self.blocks, (1, 0)):
            risen = functional.interpolate(up(inner), scale_factor=2, mode="nearest")
            inner = blocks(risen + features.levels[level] + maps[level])
        coarse = torch.einsum("bckji,bc->bkji", inner, self.weigh(tokens[:, 0]))[:, None]
        fine = unfolded(self.detail(self.head(torch.cat([inner, features.image, detail], dim=1))))
        risen = functional.interpolate(coarse.float(), scale_factor=2, mode="trilinear", align_corners=False)
        logits = risen + fine.float()
        return logits, coarse.float(), self.quality(tokens[:, 1], torch.cat([inner, geodesic], dim=1), logits)


class Nano(nn.Module):
    """See the module."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.prompts = PromptEncoder(config)
        self.memory = MemoryAttention(config.memory, config.width, config.frequencies)
        self.decoder = Decoder(config)
        self.position = PositionEncoding(config.width, config.frequencies)

    def encode(self, image: Tensor, condition: Tensor) -> Features:
        """image (B, 2, region^3), condition (B, 4)."""
        return self.encoder(image, condition)

    def answer(
        self, features: Features, prompt: PromptBatch, memory: MemoryBatch | None = None, reads: str = "both"
    ) -> Answer:
        """Without memory, or with one of no entries, exactly what the network without memory attention answers. reads:
        the kinds of memory to read, of those the variant reads."""
        drawn = memory if self._redraws(memory, reads) else None
        cells, samples = evidence(features.image, prompt.mask, self._seeds(prompt, drawn))
        maps = self.prompts.maps(prompt, self._redrawn(prompt, drawn), cells)
        fused = features.levels[2] + maps[2]
        edge = fused.shape[-1]
        at_image = self.position(cell_centres(edge, fused.device))
        image, attention = self.memory(tokens_of(fused), at_image, memory, reads)
        sparse = self.prompts.tokens(prompt, features)
        positions = (self.position(prompt.points), at_image)
        detail = torch.cat([folded(prompt.mask), samples], dim=1)
        logits, coarse, quality = self.decoder(features, maps, image, sparse, positions, prompt.valid, detail, cells)
        return Answer(logits, coarse, quality, sparse.float(), self.prompts.dense(fused).float(), attention)

    def _redrawn(self, prompt: PromptBatch, memory: MemoryBatch | None) -> Tensor:
        """(B, 2, E^3): remembered points, positive and negative, fading with age; zero without memory."""
        edge = self.config.region // 2
        if memory is None:
            return prompt.maps.new_zeros((len(prompt.maps), 2, edge, edge, edge))
        strength = (memory.valid & memory.present[..., None]) * self.config.memory.fade ** memory.age[..., None]
        weights = (memory.polarity * strength).flatten(1, 2)
        return drawn_points(memory.points.flatten(1, 2), weights, edge, self.config.spread)

    def _redraws(self, memory: MemoryBatch | None, reads: str) -> bool:
        settings = self.config.memory.narrowed(reads)
        return memory is not None and memory.count > 0 and settings.redraw and settings.reads_sparse

    def _seeds(self, prompt: PromptBatch, memory: MemoryBatch | None) -> Seeds:
        """The newest prompt's points, a box's middle for its corners, and those remembered."""
        boxed = (prompt.kinds[:, 0] == KINDS.index("box_low"))[:, None]
        middle = (prompt.points[:, 0] + prompt.points[:, 1]) / 2
        points = torch.cat([torch.where(boxed, middle, prompt.points[:, 0])[:, None], prompt.points[:, 1:]], dim=1)
        first = torch.arange(points.shape[1], device=points.device) == 0
        side = prompt.polarity * (prompt.valid & (first | ~boxed))
        newest = torch.ones_like(prompt.valid)
        if memory is not None:
            points = torch.cat([points, memory.points.flatten(1, 2)], dim=1)
            earlier = (memory.polarity * (memory.valid & memory.present[..., None])).flatten(1, 2)
            side = torch.cat([side, earlier], dim=1)
            newest = torch.cat([newest, torch.zeros_like(earlier, dtype=torch.bool)], dim=1)
        return Seeds(points, side, newest, prompt.maps[:, :2])


def drawn_points(points: Tensor, weights: Tensor, edge: int, spread: float) -> Tensor:
    """(B, 2, edge^3): a bump of height |weight| at each point (B, P, 3), positive weights (B, P) first, then negative.

    Points outside draw nothing; overlapping bumps take the larger. A bump ends at three deviations (1 %): tails of
    denormal numbers slow a CPU's convolutions five-fold.
    """
    reach = math.ceil(3 * spread)
    steps = torch.arange(-reach, reach + 1, device=points.device)
    offsets = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1).reshape(-1, 3)
    place = (points.float() + 1) * (edge / 2) - 0.5  # in cells, whose centres are at whole numbers
    cells = torch.floor(place + 0.5).long()[:, :, None] + offsets  # (B, P, window, 3)
    distance = (cells - place[:, :, None]).square().sum(dim=-1) / spread**2
    drawn = (points.abs() <= 1).all(dim=-1)[..., None] & (distance <= 9) & ((cells >= 0) & (cells < edge)).all(dim=-1)
    bump = torch.where(drawn, (-0.5 * distance).exp(), 0.0)
    clipped = cells.clamp(0, edge - 1)
    flat = ((clipped[..., 0] * edge + clipped[..., 1]) * edge + clipped[..., 2]).flatten(1)  # (B, P * window)
    maps = []
    for side in (weights, -weights):
        height = (bump * side.float().clamp(min=0)[..., None]).flatten(1)
        maps.append(height.new_zeros((len(points), edge**3)).scatter_reduce(1, flat, height, "amax"))
    return torch.stack(maps, dim=1).unflatten(2, (edge, edge, edge))


def _to_nothing(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def with_variant(config: NanoConfig, variant: str) -> NanoConfig:
    """The same network with another kind of memory."""
    return replace(config, memory=replace(config.memory, variant=variant))


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
