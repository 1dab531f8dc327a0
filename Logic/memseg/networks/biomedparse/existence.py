"""Whether the object that the words name is in a slice at all: one token that reads the decoder after every layer."""

from __future__ import annotations

from torch import Tensor, nn

from .layers import CrossAttentionLayer, FeedForwardLayer


class ExistenceHead(nn.Module):
    """A part of the decoder, under whose own name its parameters stand in the published file."""

    def __init__(self, width: int, heads: int, mlp: int, depth: int) -> None:
        super().__init__()
        self.classifier_query = nn.Embedding(1, width)
        self.classifier_cross_attention_layers = nn.ModuleList(CrossAttentionLayer(width, heads) for _ in range(depth))
        self.classifier_ffn_layers = nn.ModuleList(FeedForwardLayer(width, mlp) for _ in range(depth))
        self.classifier = nn.Linear(width, 1)

    def asking(self, batch: int) -> Tensor:
        """(B, 1, D), the token to begin with."""
        return self.classifier_query.weight.expand(batch, -1, -1)

    def read(self, layer: int, token: Tensor, tokens: Tensor, named: Tensor) -> Tensor:
        """The token (B, 1, D) after a layer of the decoder left `tokens` (B, T, D), named (B, T, D)."""
        token = self.classifier_cross_attention_layers[layer](token, tokens, None, named)
        return self.classifier_ffn_layers[layer](token)

    def exists(self, token: Tensor) -> Tensor:
        """(B,) logits."""
        return self.classifier(token[:, 0])[:, 0]
