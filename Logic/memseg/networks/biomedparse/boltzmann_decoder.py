"""The mask decoder of BiomedParse v2 (BoltzFormer): queries that look at places drawn by a Boltzmann distribution.

Masked attention lets a query look only at where its own mask of the layer before is. Here those places are drawn: of N
places, one is drawn 0.1 N times with probabilities proportional to exp(m / t), m in 0 to 1 being the mask and t = 1 /
(2 + layer) a falling temperature, and the query looks at all that were drawn at least once. The published code draws in
use, too, from no seed, so that two answers to one question differ; here the draws follow from the seed of each slice.

Deterministic mode (`Sampling(None)`) is our own: every place is looked at, its weight multiplied by the probability of
having been drawn, which is what the draws amount to on the average before the softmax. It is not what the weights were
trained with; how far it is from the mean of many draws is worked out in Testing/models/test_biomedparse_decoder.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .existence import ExistenceHead
from .layers import CrossAttentionLayer, FeedForwardLayer, Perceptron, SelfAttentionLayer, sine_places, tokens_of
from .text_encoder import TextConfig, TextEncoder

LEVELS = 3


@dataclass(frozen=True)
class DecoderConfig:
    """queries: of which the last `edge_queries` draw outlines in training and are left out of the answer. drawn: how
    many places are drawn, as a share of all. apart: existence, while it learns, teaches the queries nothing, as the
    published code has it; a network that learns from nothing finds its presence sooner without."""

    width: int = 512
    heads: int = 8
    mlp: int = 2048
    depth: int = 9
    queries: int = 16
    edge_queries: int = 4
    drawn: float = 0.1
    apart: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.edge_queries < self.queries or self.width % self.heads or not 0 < self.drawn <= 1:
            raise ValueError("Some queries answer, the width is a multiple of the heads, and a share is 0 to 1.")


class Informing(Protocol):
    """What a memory makes of a slice while it is answered."""

    def features(self, mask_features: Tensor) -> Tensor:
        """(B, D, h, w), before anything is answered."""
        ...

    def __call__(self, layer: int, queries: Tensor) -> Tensor:
        """(B, Q, D), after each layer has looked at the image."""
        ...


@dataclass(frozen=True)
class Sampling:
    """seeds: one for each slice of the batch, from which its draws follow; None: deterministic mode."""

    seeds: tuple[int, ...] | None

    def draws(self) -> Draws | None:
        return None if self.seeds is None else Draws(self.seeds)


class Draws:
    """Random numbers of one answer. Each slice has its own, drawn on the CPU, so that they depend neither on the batch
    it is in nor on the device."""

    def __init__(self, seeds: tuple[int, ...]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def uniform(self, shape: torch.Size, device: torch.device) -> Tensor:
        """shape (B, ...)."""
        if shape[0] != len(self._generators):
            raise ValueError("There is one seed for each slice of a batch.")
        drawn = [torch.rand(shape[1:], generator=each) for each in self._generators]
        return torch.stack(drawn).to(device)


@dataclass(frozen=True)
class Decoded:
    """logits (B, h, w), the mask at stride 4; existence (B,) logits; queries (B, Q, D) at the end, and mask_embedding
    (B, D), whose product with the mask features is the mask."""

    logits: Tensor
    existence: Tensor
    queries: Tensor
    mask_embedding: Tensor


class BoltzmannDecoder(ExistenceHead):
    """See the module. class_embed: for comparing queries with words, which v1 did; kept, as the file has it."""

    def __init__(self, config: DecoderConfig, text: TextConfig) -> None:
        width, heads, mlp = config.width, config.heads, config.mlp
        super().__init__(width, heads, mlp, config.depth)
        self.config = config
        self.language_encoder = TextEncoder(text)
        self.initial_self_attention_layer = SelfAttentionLayer(width, heads)
        self.initial_ffn_layer = FeedForwardLayer(width, mlp)
        layers = range(config.depth)
        self.transformer_self_attention_layers = nn.ModuleList(SelfAttentionLayer(width, heads) for _ in layers)
        self.transformer_cross_attention_layers = nn.ModuleList(CrossAttentionLayer(width, heads) for _ in layers)
        self.transformer_ffn_layers = nn.ModuleList(FeedForwardLayer(width, mlp) for _ in layers)
        self.decoder_norm = nn.LayerNorm(width)
        self.query_feat_, self.query_embed_ = (nn.Embedding(config.queries, width) for _ in range(2))
        self.level_embed = nn.Embedding(LEVELS, width)
        self.mask_embed = Perceptron(width, width)
        self.class_embed = nn.Parameter(torch.zeros(width, width))

    def forward(
        self,
        mask_features: Tensor,
        levels: tuple[Tensor, ...],
        words: Tensor,
        sampling: Sampling,
        informing: Informing | None = None,
    ) -> Decoded:
        """mask_features (B, D, h, w), levels three maps (B, D, ...), words (B, T, D) of the text encoder.

        informing: a memory's part in it; None: it has none.
        """
        if informing is not None:
            mask_features = informing.features(mask_features)
        batch, count, draws = len(mask_features), self.config.queries, sampling.draws()
        sizes = [level.shape[2:] for level in levels]
        images = [tokens_of(level) + self.level_embed.weight[place] for place, level in enumerate(levels)]
        placed = [sine_places(*size, self.config.width, words.device) for size in sizes]
        queries = self.query_feat_.weight.expand(batch, -1, -1)
        named = torch.cat([self.query_embed_.weight.expand(batch, -1, -1), words], dim=1)
        token = self.asking(batch)

        together = self.initial_self_attention_layer(torch.cat([queries, words], dim=1), named)
        queries, words = self.initial_ffn_layer(together[:, :count]), together[:, count:]
        for layer, looking in enumerate(self.transformer_cross_attention_layers):
            level = layer % LEVELS
            hidden = self._hidden(queries, mask_features, sizes[level], layer, draws)
            queries = looking(queries, images[level], named[:, :count], placed[level], hidden)
            if informing is not None:
                queries = informing(layer, queries)
            together = self.transformer_self_attention_layers[layer](torch.cat([queries, words], dim=1), named)
            queries, words = self.transformer_ffn_layers[layer](together[:, :count]), together[:, count:]
            # Existence teaches the masks nothing, but it does teach a memory, which the answer is the better for.
            apart = self.config.apart and informing is None
            seen = (together.detach(), named.detach()) if apart else (together, named)
            token = self.read(layer, token, *seen)
        # The answer is the mean of the masks of the queries that count, which is the mask of their mean embedding.
        answering = self.config.queries - self.config.edge_queries
        embedding = self.mask_embed(self.decoder_norm(queries))[:, :answering].mean(dim=1)
        logits = torch.einsum("bc,bchw->bhw", embedding, mask_features)
        return Decoded(logits, self.exists(token), queries, embedding)

    def _hidden(
        self, queries: Tensor, mask_features: Tensor, size: torch.Size, layer: int, draws: Draws | None
    ) -> Tensor:
        """(B * heads, Q, N): what queries do not see of the N places of a level, or by how much they see it less."""
        heads = self.config.heads
        embeddings = self.mask_embed(self.decoder_norm(queries))
        masks = torch.einsum("bqc,bchw->bqhw", embeddings, mask_features).detach().float()
        masks = functional.interpolate(masks, size=size, mode="bilinear", align_corners=False).sigmoid().flatten(2)
        never = never_drawn(masks, 1 / (1 + layer), self.config.drawn)  # (B, Q, N)
        if draws is None:
            seen = torch.log1p(-never).clamp(min=-30.0)
            return seen.to(queries.dtype).repeat_interleave(heads, dim=0)
        uniform = draws.uniform(torch.Size((len(masks), heads, *masks.shape[1:])), masks.device)
        hidden = uniform < never[:, None]  # (B, heads, Q, N)
        hidden = hidden & ~hidden.all(dim=-1, keepdim=True)  # who would see nothing sees all
        return hidden.flatten(0, 1)


def never_drawn(masks: Tensor, temperature: float, share: float) -> Tensor:
    """(..., N) probability that a place is not among int(share * N) draws, by masks (..., N) of 0 to 1."""
    probability = (masks / temperature).softmax(dim=-1)
    return (1 - probability) ** int(masks.shape[-1] * share)
