"""The mask decoder of SAM-Med3D: tokens and image look at each other, then a token's filter finds the mask.

Shapes: B batch, T tokens, D width, g grid edge, N = g^3 cells of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .sam_encoder import Norm3d


@dataclass(frozen=True)
class DecoderConfig:
    """mlp: inner width of the transformer's MLP. masks: mask tokens; of the published weights only the first was
    trained. narrower: how many times the cross-attentions are narrower than D."""

    depth: int = 2
    heads: int = 8
    mlp: int = 2048
    masks: int = 4
    quality_width: int = 256
    narrower: int = 2


class Attention(nn.Module):
    """(B, Q, D), (B, K, D), (B, K, D) -> (B, Q, D)."""

    def __init__(self, width: int, heads: int, narrower: int = 1) -> None:
        super().__init__()
        self.heads, inner = heads, width // narrower
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, inner) for _ in range(3))
        self.out_proj = nn.Linear(inner, width)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        parts = zip((self.q_proj, self.k_proj, self.v_proj), (queries, keys, values))
        split = [project(part).unflatten(2, (self.heads, -1)).transpose(1, 2) for project, part in parts]
        return self.out_proj(functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))


class TokenMLP(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.lin2(functional.relu(self.lin1(tokens)))


class TwoWayBlock(nn.Module):
    """Tokens to themselves, tokens to the image, MLP, image to the tokens; a norm after each."""

    def __init__(self, width: int, config: DecoderConfig, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(width, config.heads)
        self.cross_attn_token_to_image = Attention(width, config.heads, config.narrower)
        self.mlp = TokenMLP(width, config.mlp)
        self.cross_attn_image_to_token = Attention(width, config.heads, config.narrower)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(width) for _ in range(4))

    def forward(self, tokens: Tensor, image: Tensor, named: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """tokens (B, T, D), image (B, N, D); named (B, T, D) and places (B or 1, N, D) are added to queries and
        keys."""
        if self.first:  # without names, and nothing is added to what was found
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            tokens = tokens + self.self_attn(tokens + named, tokens + named, tokens)
        tokens = self.norm1(tokens)
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + named, image + places, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(image + places, tokens + named, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    def __init__(self, width: int, config: DecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(width, config, first=place == 0) for place in range(config.depth))
        self.final_attn_token_to_image = Attention(width, config.heads, config.narrower)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, named: Tensor, image: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """named (B, T, D), image (B, N, D), places (1, N, D) -> tokens (B, T, D), image (B, N, D)."""
        tokens = named
        for layer in self.layers:
            tokens, image = layer(tokens, image, named, places)
        found = self.final_attn_token_to_image(tokens + named, image + places, image)
        return self.norm_final_attn(tokens + found), image


class Head(nn.Module):
    """Three linear layers, ReLU between them."""

    def __init__(self, width: int, inner: int, out: int) -> None:
        super().__init__()
        sizes = ((width, inner), (inner, inner), (inner, out))
        self.layers = nn.ModuleList(nn.Linear(*size) for size in sizes)

    def forward(self, token: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            token = functional.relu(layer(token))
        return self.layers[-1](token)


class Upscaling(nn.Sequential):
    """(B, D, g, g, g) -> (B, D / 8, 4g, 4g, 4g)."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.ConvTranspose3d(width, width // 4, 2, stride=2),
            Norm3d(width // 4),
            nn.GELU(),
            nn.ConvTranspose3d(width // 4, width // 8, 2, stride=2),
            nn.GELU(),
        )


class MaskDecoder(nn.Module):
    """See the module."""

    def __init__(self, width: int, config: DecoderConfig) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(width, config)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(config.masks, width)
        self.output_upscaling = Upscaling(width)
        self.output_hypernetworks_mlps = nn.ModuleList(Head(width, width, width // 8) for _ in range(config.masks))
        self.iou_prediction_head = Head(width, config.quality_width, config.masks)

    def forward(self, image: Tensor, places: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """image (B, D, g, g, g) with the mask's embedding added, places (1, D, g, g, g), sparse (B, P, D) -> logits
        (B, 1, 4g, 4g, 4g) and (B, 1) what the file calls the expected IoU, whose head no loss ever trained."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(len(sparse), -1, -1)
        tokens = torch.cat([own, sparse], dim=1)
        tokens, cells = self.transformer(tokens, image.flatten(2).transpose(1, 2), places.flatten(2).transpose(1, 2))
        upscaled = self.output_upscaling(cells.transpose(1, 2).unflatten(2, image.shape[2:]))
        filters = self.output_hypernetworks_mlps[0](tokens[:, 1])
        logits = torch.einsum("bc,bckji->bkji", filters, upscaled)[:, None]
        return logits, self.iou_prediction_head(tokens[:, 0])[:, :1]
