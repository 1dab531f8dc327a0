"""The text encoder of BiomedParse: CLIP's text transformer (Radford et al., arXiv 2103.00020), each token looking at
itself and earlier ones, and a projection of what comes out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

EPSILON = 1e-12  # of its norms


@dataclass(frozen=True)
class TextConfig:
    """length: tokens, at most. vocabulary: of the byte-pair encoding; the last two are the marks of start and end."""

    width: int = 512
    depth: int = 12
    heads: int = 8
    length: int = 77
    vocabulary: int = 49_408


class TextMLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        inner = self.c_fc(tokens)
        return self.c_proj(inner * torch.sigmoid(1.702 * inner))  # the quick GELU that CLIP was trained with


class TextBlock(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.ln_1, self.ln_2 = (nn.LayerNorm(config.width, eps=EPSILON) for _ in range(2))
        self.mlp = TextMLP(config.width)

    def forward(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        normed = self.ln_1(tokens)
        found, _ = self.attn(normed, normed, normed, attn_mask=hidden, need_weights=False)
        tokens = tokens + found
        return tokens + self.mlp(self.ln_2(tokens))


class TextTransformer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.positional_embedding = nn.Parameter(torch.zeros(config.length, config.width))
        self.resblocks = nn.ModuleList(TextBlock(config) for _ in range(config.depth))
        self.ln_final = nn.LayerNorm(config.width, eps=EPSILON)

    def forward(self, ids: Tensor) -> Tensor:
        count = ids.shape[1]
        hidden = torch.ones(count, count, dtype=torch.bool, device=ids.device).triu(1)
        tokens = self.token_embedding(ids) + self.positional_embedding[:count]
        for block in self.resblocks:
            tokens = block(tokens, hidden)
        return self.ln_final(tokens)


class TextEncoder(nn.Module):
    """logit_scale: for comparing words with images, which v1 did; kept, as the file has it."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.encoder_transformer = TextTransformer(config)
        self.lang_proj = nn.Parameter(torch.eye(config.width))
        self.logit_scale = nn.Parameter(torch.ones(()))

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) with the marks of start and end, no padding: later tokens change nothing of earlier ones, so leaving
        padding away is exact -> (B, T, D)."""
        return self.encoder_transformer(ids) @ self.lang_proj

    def sentence(self, ids: Tensor) -> Tensor:
        """(1, T) -> (D,) of length 1, what the whole of the words means: the place of the end mark."""
        return functional.normalize(self(ids)[0, -1], dim=0)
