"""The 3D image encoder of SAM-Med3D (Wang et al., arXiv 2310.15161): a plain vision transformer on cubes of voxels.

Written to load the published weights and to give the published answers, so with the two habits they were trained with:
each axis's relative position term lands on other axes than its name says, and blocks with a window see the grid padded
to that window, the padding not masked. Shapes: B batch, C width, H heads, c = C / H, g grid edge in tokens, s edge of a
block's window (s = g without one). Tokens are (B, g, g, g, C).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

EPSILON = 1e-6  # of every norm of image and prompt encoder


@dataclass(frozen=True)
class EncoderConfig:
    """edge: samples along the image. patch: samples along a token. window: edge in tokens that blocks not in
    `global_blocks` pad the grid to. out: channels of the embedding."""

    edge: int = 128
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    window: int = 14
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    out: int = 384

    def __post_init__(self) -> None:
        if self.edge % self.patch or self.width % self.heads:
            raise ValueError("The edge is a multiple of the patch, the width of the heads.")
        if self.window < self.grid:
            raise ValueError("The grid has to fit into one window.")

    @property
    def grid(self) -> int:
        """Tokens along an edge (g)."""
        return self.edge // self.patch


class Norm3d(nn.Module):
    """LayerNorm over the channels of (B, C, k, j, i)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        last = maps.movedim(1, -1)
        return functional.layer_norm(last, self.weight.shape, self.weight, self.bias, EPSILON).movedim(-1, 1)


class GridAttention(nn.Module):
    """Multi-head attention among the tokens of a grid, with relative positions.

    What is added to the logit of query (d, h, w) and key (i, j, k) is
    q(d,h,w) . R_d[d,k] + q(d,h,i) . R_h[h,k] + q(d,h,j) . R_w[j,k], q the unscaled query of a place: every term ends at
    the last axis, and two of them read another query. So the published weights were trained.
    """

    def __init__(self, width: int, heads: int, grid: int, window: int | None = None) -> None:
        super().__init__()
        self.heads, self.grid, self.size = heads, grid, window or grid
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        tables = [nn.Parameter(torch.zeros(2 * self.size - 1, width // heads)) for _ in range(3)]
        self.rel_pos_d, self.rel_pos_h, self.rel_pos_w = tables

    def forward(self, tokens: Tensor) -> Tensor:
        return self.joined(attended(*self.parts(tokens)))

    def parts(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries (B, H, g^3, c), keys and values (B, H, K, c), and what is added to their logits (B, H, g^3, K).

        K is g^3, and one more where the window is larger than the grid. The s^3 - g^3 tokens of padding all have the
        key and the value that are the bias of `qkv`, so that one key stands for them all, its logit raised to what
        their exponentials add up to. That is exact, and spares a factor of five at g = 8 and s = 14.
        """
        batch, grid, heads = tokens.shape[0], self.grid, self.heads
        # (B, g, g, g, 3C) -> (3, B, H, g, g, g, c)
        query, key, value = self.qkv(tokens).unflatten(-1, (3, heads, -1)).permute(4, 0, 5, 1, 2, 3, 6)
        padding = self.qkv.bias.unflatten(0, (3, heads, -1))  # (3, H, c)
        key, value = key.flatten(2, 4), value.flatten(2, 4)
        if self.size > grid:
            key, value = (
                torch.cat([real, one[None, :, None].expand(batch, -1, -1, -1)], dim=2)
                for real, one in zip((key, value), padding[1:])
            )
        return query.flatten(2, 4), key, value, self._positions(query, padding[0])

    def joined(self, found: Tensor) -> Tensor:
        """(B, H, g^3, c) -> (B, g, g, g, C)."""
        grid = self.grid
        return self.proj(found.transpose(1, 2).flatten(2).unflatten(1, (grid, grid, grid)))

    def _positions(self, query: Tensor, padding: Tensor) -> Tensor:
        """(B, H, g^3, K): what is added for the keys of the grid, and last the logarithm of what the exponentials of
        that add up to over the padding. query (B, H, g, g, g, c); padding (H, c) the query of any token of padding."""
        grid, size = self.grid, self.size
        place = torch.arange(size, device=query.device)
        away = place[:, None] - place + size - 1  # (s, s) row of the tables for a query's and a key's coordinate
        beyond = padding[None, :, None, None, None].expand(query.shape[0], -1, grid, grid, size - grid, -1)
        row = torch.cat([query, beyond], dim=4)  # (B, H, g, g, s, c): queries go on into the padding along w
        by_d = torch.einsum("bndhwc,dkc->bndhwk", query, self.rel_pos_d[away[:grid]])  # (B, H, g, g, g, s)
        by_h = torch.einsum("bndhic,hkc->bndhik", row, self.rel_pos_h[away[:grid]])  # (B, H, g, g, s, s)
        by_w = torch.einsum("bndhjc,jkc->bndhjk", row, self.rel_pos_w[away])  # (B, H, g, g, s, s)
        bias = query.new_empty(*query.shape[:5], grid**3 + (size > grid))
        of_grid = bias[..., : grid**3].unflatten(5, (grid, grid, grid))  # (B, H, d, h, w, i, j, k), not copied
        shared = by_h[..., :grid, None, :grid] + by_w[..., None, :grid, :grid]  # (B, H, d, h, i, j, k)
        of_grid.copy_(shared[:, :, :, :, None]).add_(by_d[..., None, None, :grid])
        if size > grid:
            bias[..., -1] = (by_d + self._beyond(by_h, by_w)[:, :, :, :, None]).logsumexp(-1)
        return bias.flatten(2, 4)

    def _beyond(self, by_h: Tensor, by_w: Tensor) -> Tensor:
        """(B, H, g, g, s): for every k of a key, the logarithm of the sum over its i and j in the padding. by_h (B, H,
        d, h, i, k), by_w (B, H, d, h, j, k)."""
        grid = self.grid
        h_grid, h_beyond = by_h[..., :grid, :].logsumexp(4), by_h[..., grid:, :].logsumexp(4)
        w_grid, w_beyond = by_w[..., :grid, :].logsumexp(4), by_w[..., grid:, :].logsumexp(4)
        h_all, w_all = torch.logaddexp(h_grid, h_beyond), torch.logaddexp(w_grid, w_beyond)
        # a key is padding where k is beyond the grid, and otherwise where j is, or i is and j is not
        beside = torch.logaddexp(h_all + w_beyond, h_beyond + w_grid)
        return torch.cat([beside[..., :grid], (h_all + w_all)[..., grid:]], dim=-1)


def attended(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """(B, H, Q, c), twice (B, H, K, c) and (B, H, Q, K) -> (B, H, Q, c)."""
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)


class GridMLP(nn.Module):
    """(..., C) -> (..., C) by way of `wider` times C."""

    def __init__(self, width: int, wider: int = 4) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(width, wider * width), nn.Linear(wider * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.lin2(functional.gelu(self.lin1(tokens)))


class Block(nn.Module):
    """Pre-norm: attention, then the MLP."""

    def __init__(self, width: int, heads: int, grid: int, window: int | None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPSILON), nn.LayerNorm(width, eps=EPSILON)
        self.attn, self.mlp = GridAttention(width, heads, grid, window), GridMLP(width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class PatchEmbed(nn.Module):
    """(B, 1, edge^3) -> (B, g, g, g, C)."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(1, width, patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).movedim(1, -1)


class Neck(nn.Sequential):
    """(B, C, g, g, g) -> (B, out, g, g, g)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__(
            nn.Conv3d(width, out, 1, bias=False),
            Norm3d(out),
            nn.Conv3d(out, out, 3, padding=1, bias=False),
            Norm3d(out),
        )


class ImageEncoder(nn.Module):
    """(B, 1, edge^3) -> (B, out, g, g, g)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width, grid = config.width, config.grid
        self.patch_embed = PatchEmbed(config.patch, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, grid, width))
        self.blocks = nn.ModuleList(
            Block(width, config.heads, grid, None if place in config.global_blocks else config.window)
            for place in range(config.depth)
        )
        self.neck = Neck(width, config.out)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.patch_embed(image) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.neck(tokens.movedim(-1, 1))
