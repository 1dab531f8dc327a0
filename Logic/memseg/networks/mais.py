"""MAIS (Orbes-Arteaga et al., arXiv 2505.07511): SAM-Med3D with a memory of the interactions before.

After each interaction the prompt encoder's output is remembered as it is: the tokens of the click (sparse) and the map
of the mask that was told along with it (dense). Before the decoder is asked again, the image embedding is conditioned
on what is remembered: the masks, convolved and attending to themselves, are added to it; then its cells look at the
points, which have looked at each other. There is no code of the authors'. What the paper leaves open is decided here:

- one layer of each kind with 8 heads, and an MLP of three widths in the block of the masks. With these the module has
  the 2.84 million parameters of the paper's table;
- masks go through a convolution of 1^3 one by one and are averaged, so that any number of them is as good as another.
  The convolution is linear: it is done on their average, which is the same;
- the "convolutional transformer" is CvT's (Wu et al., arXiv 2103.15808): queries, keys and values come from depth-wise
  convolutions of 3^3;
- points carry their places already; the image's cells are told theirs. The token with which SAM-Med3D closes a list of
  points closes the remembered ones too, and is where a cell looks that none of them concerns;
- what is remembered carries no gradient;
- what is added begins at zero, so that an untrained memory changes nothing.

Shapes: B batch, N entries, P points, T tokens of all points, D width, g grid edge, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .sam_decoder import Attention
from .sam_encoder import EPSILON, GridMLP
from .sam_med3d import SamAnswer, SamConfig, SamMed3D

CAPACITY = 60  # entries, what the paper settles on
VARIANTS = ("both", "sparse", "dense", "none")


@dataclass(frozen=True)
class MemoryConfig:
    """variant: which kinds of memories there are modules for, one of VARIANTS. mlp: inner width of the dense block's
    MLP over D. capacity: how many interactions an episode of training remembers."""

    variant: str = "both"
    heads: int = 8
    mlp: int = 3
    capacity: int = CAPACITY

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f"A memory variant is one of {', '.join(VARIANTS)}.")

    @property
    def has_sparse(self) -> bool:
        return self.variant in ("both", "sparse")

    @property
    def has_dense(self) -> bool:
        return self.variant in ("both", "dense")


@dataclass(frozen=True)
class MaisConfig:
    sam: SamConfig = field(default_factory=SamConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)


@dataclass(frozen=True)
class Entry:
    """What one interaction left behind. sparse (B, P, D). dense (B, D, g, g, g), or None where the mask was told in
    another window, whose cells are not those of the present one."""

    sparse: Tensor
    dense: Tensor | None


@dataclass(frozen=True)
class MaisAnswer(SamAnswer):
    """leaned (B, N): how much the cells looked at the points of each entry, sum 1; None where no point was read."""

    leaned: Tensor | None = None


class ConvolutionalAttention(nn.Module):
    """Self-attention among the cells of (B, D, g, g, g), in and out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attend = Attention(width, heads)
        self.queries, self.keys, self.values = (nn.Conv3d(width, width, 3, padding=1, groups=width) for _ in range(3))

    def forward(self, maps: Tensor) -> Tensor:
        seen = [tokens_of(part(maps)) for part in (self.queries, self.keys, self.values)]
        return self.attend(*seen).transpose(1, 2).unflatten(2, maps.shape[2:])


class DenseMemory(nn.Module):
    """The average of the remembered masks' maps -> what is added to the image, both (B, D, g, g, g)."""

    def __init__(self, width: int, config: MemoryConfig) -> None:
        super().__init__()
        self.convolve = nn.Conv3d(width, width, 1)
        self.norm_attend, self.norm_forward, self.norm_out = (nn.LayerNorm(width, eps=EPSILON) for _ in range(3))
        self.attend, self.forward_part = ConvolutionalAttention(width, config.heads), GridMLP(width, config.mlp)
        nn.init.zeros_(self.norm_out.weight)

    def forward(self, average: Tensor) -> Tensor:
        maps = self.convolve(average)
        maps = maps + self.attend(self.norm_attend(maps.movedim(1, -1)).movedim(-1, 1))
        cells = maps.movedim(1, -1)
        cells = cells + self.forward_part(self.norm_forward(cells))
        return self.norm_out(cells).movedim(-1, 1)


class SparseMemory(nn.Module):
    """Points look at each other, then the image's cells at the points."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_points, self.norm_image = (nn.LayerNorm(width, eps=EPSILON) for _ in range(2))
        self.among, self.across = Attention(width, heads), Attention(width, heads)
        with torch.no_grad():  # a cell looks first at the points near it: their places and its own are alike
            self.across.k_proj.weight.copy_(self.across.q_proj.weight)
        nn.init.zeros_(self.across.out_proj.weight)
        nn.init.zeros_(self.across.out_proj.bias)

    def forward(self, image: Tensor, places: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """image (B, g^3, D), places (1, g^3, D), points (B, T, D) -> what is added to the image, and (B, T) how much
        its cells looked at each point."""
        normed = self.norm_points(points)
        points = points + self.among(normed, normed, normed)
        return looked_up(self.across, self.norm_image(image) + places, points)


class MemoryAttention(nn.Module):
    """See the module."""

    def __init__(self, width: int, config: MemoryConfig) -> None:
        super().__init__()
        self.config = config
        self.dense = DenseMemory(width, config) if config.has_dense else None
        self.sparse = SparseMemory(width, config.heads) if config.has_sparse else None

    def forward(
        self, image: Tensor, places: Tensor, entries: tuple[Entry, ...], closing: Tensor, reads: str
    ) -> tuple[Tensor, Tensor | None]:
        """image (B, D, g, g, g) and places (1, D, g, g, g), the encoded place of each cell; closing (B, 1, D) the token
        that ends a list of points; reads: one of VARIANTS, of what there are modules for. The conditioned image, and
        `leaned` of MaisAnswer."""
        masks = [entry.dense for entry in entries if entry.dense is not None]
        if self.dense is not None and masks and reads in ("both", "dense"):
            total = masks[0].clone()
            for mask in masks[1:]:
                total.add_(mask)  # in place, as 60 of them are 47 MB
            image = image + self.dense(total / len(masks))
        if self.sparse is None or reads not in ("both", "sparse"):
            return image, None
        points = torch.cat([*(entry.sparse for entry in entries), closing], dim=1)
        added, looked = self.sparse(tokens_of(image), tokens_of(places), points)
        image = image + added.transpose(1, 2).unflatten(2, image.shape[2:])
        shares = [part.sum(dim=1) for part in looked[:, :-1].split([entry.sparse.shape[1] for entry in entries], dim=1)]
        leaned = torch.stack(shares, dim=1)
        return image, leaned / leaned.sum(dim=1, keepdim=True).clamp(min=1e-12)


class Mais(SamMed3D):
    """SAM-Med3D whose answers may lean on a memory. Parameters of SAM-Med3D keep their published names."""

    def __init__(self, config: MaisConfig) -> None:
        super().__init__(config.sam)
        self.memory_config = config.memory
        self.memory_attention = MemoryAttention(config.sam.encoder.out, config.memory)

    def answer(
        self,
        embedding: Tensor,
        points: Tensor | None,
        kinds: Tensor | None,
        mask: Tensor,
        entries: tuple[Entry, ...] = (),
        reads: str = "both",
    ) -> SamAnswer:
        """As SamMed3D answers, given what is remembered, oldest first; without that the very same answer."""
        if not entries or reads == "none" or self.memory_config.variant == "none":
            return super().answer(embedding, points, kinds, mask)
        prompts = self.prompt_encoder
        closing = prompts.closed(prompts.none(len(embedding)))
        embedding, leaned = self.memory_attention(embedding, prompts.places(), entries, closing, reads)
        found = super().answer(embedding, points, kinds, mask)
        return MaisAnswer(found.logits, found.sparse, found.dense, found.iou, leaned)


def tokens_of(maps: Tensor) -> Tensor:
    """(B, D, g, g, g) -> (B, g^3, D)."""
    return maps.flatten(2).transpose(1, 2)


def looked_up(attention: Attention, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """(B, Q, D) and (B, T, D) -> (B, Q, D), and (B, T) the mean weight of each key over heads and queries."""
    heads = attention.heads
    query, key, value = (
        project(part).unflatten(2, (heads, -1)).transpose(1, 2)  # (B, H, Q or T, c)
        for project, part in ((attention.q_proj, queries), (attention.k_proj, keys), (attention.v_proj, keys))
    )
    weights = (query @ key.transpose(2, 3) / query.shape[-1] ** 0.5).softmax(dim=-1)  # (B, H, Q, T)
    return attention.out_proj((weights @ value).transpose(1, 2).flatten(2)), weights.mean(dim=(1, 2))
