"""FastSAM3D (Shen et al., arXiv 2403.09827): a student of SAM-Med3D's image encoder, with the teacher's prompt encoder
and decoder. Attention is dense, which is what the published weights fit and a CPU can do.

The names of the parameters are those of the published file (81, without prefix). Shapes as in sam_encoder.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .sam_encoder import EPSILON, GridAttention, GridMLP, Neck, PatchEmbed


@dataclass(frozen=True)
class StudentConfig:
    """without_attention: the first so many blocks are MLPs alone. The rest as in sam_encoder.EncoderConfig."""

    edge: int = 128
    patch: int = 16
    width: int = 768
    depth: int = 6
    heads: int = 6
    without_attention: int = 2
    out: int = 384

    def __post_init__(self) -> None:
        if self.edge % self.patch or self.width % self.heads:
            raise ValueError("The edge is a multiple of the patch, the width of the heads.")

    @property
    def grid(self) -> int:
        """Tokens along an edge (g)."""
        return self.edge // self.patch


class MLPBlock(nn.Module):
    """norm, then MLP added to what was normed (not to what came in)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm2, self.mlp = nn.LayerNorm(width, eps=EPSILON), GridMLP(width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fed(tokens)

    def fed(self, tokens: Tensor) -> Tensor:
        normed = self.norm2(tokens)
        return normed + self.mlp(normed)


class StudentBlock(MLPBlock):
    """Pre-norm attention, then the same."""

    def __init__(self, width: int, heads: int, grid: int) -> None:
        super().__init__(width)
        self.norm1, self.attn = nn.LayerNorm(width, eps=EPSILON), GridAttention(width, heads, grid)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fed(tokens + self.attn(self.norm1(tokens)))


class StudentEncoder(nn.Module):
    """(B, 1, edge^3) -> (B, out, g, g, g)."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        width, grid = config.width, config.grid
        self.patch_embed = PatchEmbed(config.patch, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, grid, width))
        self.blocks = nn.ModuleList(
            MLPBlock(width) if place < config.without_attention else StudentBlock(width, config.heads, grid)
            for place in range(config.depth)
        )
        self.neck = Neck(width, config.out)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.patch_embed(image) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.neck(tokens.movedim(-1, 1))
