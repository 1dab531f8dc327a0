"""Memorizing SAM (Shao et al., arXiv 2412.13908): FastSAM3D whose one layer also looks at what other images left there.

Written from the idea, with the weights of the neighbours put right: the published code multiplies with the distance
where it means to divide, and applies the attention over the image itself to the remembered values. Here
out = r local + (1 - r) sum_n w_n softmax(q k_n / sqrt(c) + positions) v_n, w_n in proportion to 1 / distance and of sum
1. With r = 1 it is FastSAM3D, number for number. Shapes as in sam_encoder.py; N remembered images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from .fastsam3d import StudentBlock, StudentConfig, StudentEncoder
from .sam_encoder import attended
from .sam_med3d import SamConfig, SamMed3D

LAYER, NEIGHBOURS, LOCAL_SHARE = 4, 3, 0.3  # as published: the fifth of six layers, k and r
_LEAST_DISTANCE = 1e-6  # of an image to itself, which then outweighs all others


@dataclass(frozen=True)
class LayerTokens:
    """What an image leaves behind in the memory layer: keys and values (H, g^3, c), and what it is found by, (C,) the
    mean of its patches' embeddings."""

    keys: Tensor
    values: Tensor
    found_by: Tensor


@dataclass(frozen=True)
class Neighbours:
    """Keys and values (N, H, g^3, c) of N remembered images, and what each counts (N,), of sum 1."""

    keys: Tensor
    values: Tensor
    weights: Tensor

    @classmethod
    def nearest(cls, found_by: Tensor, remembered: Sequence[LayerTokens], most: int = NEIGHBOURS) -> Neighbours | None:
        """At most so many, by the cosine distance of what they are found by, on the device and of the type of that;
        None where nothing is remembered."""
        if not remembered:
            return None
        bank = torch.stack([each.found_by for each in remembered]).to(found_by)
        distances = 1 - functional.cosine_similarity(bank, found_by[None], dim=1)
        chosen = distances.argsort(stable=True)[:most].tolist()
        nearest = [remembered[n] for n in chosen]
        keys, values = (torch.stack(each).to(found_by) for each in zip(*((one.keys, one.values) for one in nearest)))
        return cls(keys, values, neighbour_weights(distances[chosen]))


def neighbour_weights(distances: Tensor) -> Tensor:
    """(N,) distances of 0 and more -> (N,) of sum 1, in proportion to their inverses."""
    inverse = 1 / distances.clamp(min=_LEAST_DISTANCE)
    return inverse / inverse.sum()


class MemorizingEncoder(StudentEncoder):
    """See the module. layer: the block with the memory; it has to have attention. local_share: r, 0 to 1."""

    def __init__(self, config: StudentConfig, layer: int = LAYER, local_share: float = LOCAL_SHARE) -> None:
        if not config.without_attention <= layer < config.depth or not 0 <= local_share <= 1:
            raise ValueError("The memory layer is one with attention, and the local share lies between 0 and 1.")
        super().__init__(config)
        self.layer, self.local_share = layer, local_share

    def forward(self, image: Tensor, neighbours: Neighbours | None = None) -> Tensor:
        """(B, 1, edge^3) -> (B, out, g, g, g); FastSAM3D's without neighbours."""
        return self._encoded(self.patch_embed(image), neighbours)

    def remembering(self, image: Tensor, remembered: Sequence[LayerTokens]) -> Tensor:
        """(1, 1, edge^3) -> (1, out, g, g, g), with the nearest of what is remembered."""
        embedded = self.patch_embed(image)
        return self._encoded(embedded, Neighbours.nearest(_found_by(embedded), remembered))

    def _encoded(self, embedded: Tensor, neighbours: Neighbours | None) -> Tensor:
        tokens = embedded + self.pos_embed
        for place, block in enumerate(self.blocks):
            if place == self.layer and neighbours is not None and self.local_share < 1:
                tokens = self._recalling(block, tokens, neighbours)
            else:
                tokens = block(tokens)
        return self.neck(tokens.movedim(-1, 1))

    def left_behind(self, image: Tensor) -> LayerTokens:
        """What the image (1, 1, edge^3) is to be remembered by."""
        embedded = self.patch_embed(image)
        tokens = embedded + self.pos_embed
        for block in self.blocks[: self.layer]:
            tokens = block(tokens)
        block = self.blocks[self.layer]
        _, keys, values, _ = block.attn.parts(block.norm1(tokens))
        return LayerTokens(keys[0], values[0], _found_by(embedded))

    def _recalling(self, block: StudentBlock, tokens: Tensor, neighbours: Neighbours) -> Tensor:
        """A block whose attention is mixed with that over the neighbours; positions are those of the image itself."""
        query, key, value, bias = block.attn.parts(block.norm1(tokens))
        local, share = attended(query, key, value, bias), self.local_share
        recalled = torch.zeros_like(local)
        for keys, values, weight in zip(neighbours.keys, neighbours.values, neighbours.weights):
            others = (each[None].expand(len(query), -1, -1, -1) for each in (keys, values))
            recalled = recalled + weight * attended(query, *others, bias)
        mixed = share * local + (1 - share) * recalled
        return block.fed(tokens + block.attn.joined(mixed))


def _found_by(embedded: Tensor) -> Tensor:
    """(1, g, g, g, C) -> (C,)."""
    return embedded.mean(dim=(0, 1, 2, 3))


class MemorizingSam(SamMed3D):
    """FastSAM3D with a bank: what other images left behind, fixed while it works, on the CPU until it is used."""

    def __init__(self, config: SamConfig, encoder: MemorizingEncoder, remembered: Sequence[LayerTokens] = ()) -> None:
        super().__init__(config, encoder)
        self.remembered = tuple(remembered)

    def encode(self, image: Tensor) -> Tensor:
        """(1, 1, edge^3) -> (1, D, g, g, g)."""
        return self.image_encoder.remembering(image, self.remembered)
