"""Memory attention after MAIS (arXiv 2505.07511): what earlier interactions left behind conditions the image features.

The paper leaves heads, depth, positions and time open. Here: every remembered token gets its position relative to the
present region (so a memory made in another region or zoom still points to its place) and its age in interactions, as a
smooth function, so that ages never met in training are extrapolated. Dense memories are a few tokens each, pooled when
they are written; self-attention runs over all dense tokens, self-attention over all point tokens, cross-attention
between them, and the image tokens look at the result. Without memory nothing is computed at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .parts import Attention, FeedForward, PositionEncoding, SelfAttention, cell_centres, tokens_of

VARIANTS = ("sparse", "dense", "both", "none")
_STACKED = ("tokens", "placed", "valid")


@dataclass(frozen=True)
class MemoryConfig:
    """variant: which memories are read. depths: transformer blocks of each kind. dense_edge: a dense memory is kept as
    dense_edge^3 tokens. redraw: remembered points are drawn into the prompt maps again, fading by `fade` an interaction
    (nnInteractive's decay), whenever the variant reads point memories."""

    variant: str = "both"
    heads: int = 4
    dense_depth: int = 1
    sparse_depth: int = 1
    cross_depth: int = 1
    dense_edge: int = 2
    redraw: bool = True
    fade: float = 0.98

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(f"A memory variant is one of {', '.join(VARIANTS)}.")

    @property
    def reads_sparse(self) -> bool:
        return self.variant in ("sparse", "both")

    @property
    def reads_dense(self) -> bool:
        return self.variant in ("dense", "both")

    def narrowed(self, reads: str) -> MemoryConfig:
        """Reading no other kind than these of what the variant reads: one of VARIANTS."""
        if reads not in VARIANTS:
            raise ValueError(f"What is read of a memory is one of {', '.join(VARIANTS)}.")
        both = (self.reads_sparse and reads in ("sparse", "both"), self.reads_dense and reads in ("dense", "both"))
        return replace(
            self, variant={(True, True): "both", (True, False): "sparse", (False, True): "dense"}.get(both, "none")
        )


@dataclass(frozen=True)
class MemoryBatch:
    """N remembered interactions of P points each, oldest first, for B samples; positions relative to the present
    region.

    sparse (B, N, P, D) and points (B, N, P, 3); polarity (B, N, P): 1 or -1 where a point is drawn again, 0 where not
    (a box's corner); valid (B, N, P) bool. dense (B, N, D, t, t, t) with the centre (B, N, 3) of the region it was
    made in, and scale (B, N), that region's extent over the present one's. age (B, N): 1 for the newest. present (B,
    N) bool.
    """

    sparse: Tensor
    points: Tensor
    polarity: Tensor
    valid: Tensor
    dense: Tensor
    centre: Tensor
    scale: Tensor
    age: Tensor
    present: Tensor

    @property
    def count(self) -> int:
        return self.present.shape[1]


@dataclass(frozen=True)
class Stack:
    """Remembered tokens (B, T, D), their encoded positions and ages (B, T, D), and which are real (B, T) bool."""

    tokens: Tensor
    placed: Tensor
    valid: Tensor

    @property
    def usable(self) -> Tensor | None:
        """valid, but all true where nothing is: a softmax over nothing is NaN, and those samples are not read. None in
        use (not in training, where looking would make a GPU wait) when all is valid: no mask is the quicker one.
        """
        if not torch.is_grad_enabled() and bool(self.valid.all()):
            return None
        return self.valid | ~self.valid.any(dim=1, keepdim=True)


class CrossMemory(nn.Module):
    """Both kinds of memory look at each other once."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_sparse, self.norm_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.sparse_to_dense, self.dense_to_sparse = Attention(width, heads), Attention(width, heads)

    def forward(self, sparse: Stack, dense: Stack) -> list[Stack]:
        points, masks = self.norm_sparse(sparse.tokens), self.norm_dense(dense.tokens)
        at_points, at_masks = points + sparse.placed, masks + dense.placed
        informed = sparse.tokens + self.sparse_to_dense(at_points, at_masks, masks, dense.usable)
        placed = dense.tokens + self.dense_to_sparse(at_masks, at_points, points, sparse.usable)
        return [replace(sparse, tokens=informed), replace(dense, tokens=placed)]


class MemoryAttention(nn.Module):
    """See the module."""

    def __init__(self, config: MemoryConfig, width: int, frequencies: int) -> None:
        super().__init__()
        self.config = config
        self.position = PositionEncoding(width, frequencies)
        self.age = nn.Linear(2, width)
        depths = (config.sparse_depth * config.reads_sparse, config.dense_depth * config.reads_dense)
        self.sparse, self.dense = (
            nn.ModuleList([SelfAttention(width, config.heads) for _ in range(depth)]) for depth in depths
        )
        crossings = config.cross_depth if config.variant == "both" else 0
        self.cross = nn.ModuleList([CrossMemory(width, config.heads) for _ in range(crossings)])
        self.norm_image, self.norm_memory = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read = Attention(width, config.heads)
        self.norm_forward, self.forward_part = nn.LayerNorm(width), FeedForward(width)
        for last in (self.read.out, self.forward_part[-1]):
            nn.init.zeros_(last.weight)  # an untrained memory changes nothing
            nn.init.zeros_(last.bias)

    def forward(
        self, image: Tensor, positions: Tensor, memory: MemoryBatch | None, reads: str = "both"
    ) -> tuple[Tensor, Tensor | None]:
        """image tokens (B, T, D) and their encoded positions (T, D) -> conditioned tokens, and (B, N) how much each
        memory was looked at (sum 1 where there is one, 0 elsewhere). Without memory: the very same tokens, None.

        reads: the kinds of memory to read, of those the variant reads.
        """
        config = self.config.narrowed(reads)
        if memory is None or memory.count == 0 or config.variant == "none":
            return image, None
        stacks = self._processed(self._stacks(memory, config), config)
        all_of = Stack(*(torch.cat([getattr(stack, name) for stack in stacks], dim=1) for name in _STACKED))
        some = all_of.valid.any(dim=1)
        normed, queries = self.norm_memory(all_of.tokens), self.norm_image(image) + positions
        looked, weights = self.read.with_weights(queries, normed + all_of.placed, normed, all_of.usable)
        conditioned = image + looked
        conditioned = conditioned + self.forward_part(self.norm_forward(conditioned))
        conditioned = torch.where(some[:, None, None], conditioned, image)
        return conditioned, _by_entry(weights, memory, config) * some[:, None]

    def _stacks(self, memory: MemoryBatch, config: MemoryConfig) -> list[Stack]:
        """Point tokens (S = N * P) first, then dense ones (M = N * t^3), as far as they are read."""
        age = self.age(torch.stack([memory.age.log1p() / 4, (-memory.age / 4).exp()], dim=-1))
        age = age[:, :, None]  # (B, N, 1, D)
        stacks = []
        if config.reads_sparse:
            placed = (self.position(memory.points) + age).flatten(1, 2)
            valid = (memory.valid & memory.present[..., None]).flatten(1, 2)
            stacks.append(Stack(memory.sparse.flatten(1, 2), placed, valid))
        if config.reads_dense:
            cells = cell_centres(memory.dense.shape[-1], memory.dense.device)
            places = memory.centre[:, :, None] + memory.scale[:, :, None, None] * cells  # (B, N, t^3, 3)
            placed = (self.position(places) + age).flatten(1, 2)
            tokens = tokens_of(memory.dense.flatten(0, 1)).unflatten(0, memory.present.shape).flatten(1, 2)
            valid = memory.present[..., None].expand(-1, -1, len(cells)).flatten(1, 2)
            stacks.append(Stack(tokens, placed, valid))
        return stacks

    def _processed(self, stacks: list[Stack], config: MemoryConfig) -> list[Stack]:
        """After self-attention within each kind and cross-attention between the two."""
        kinds = [self.sparse] * config.reads_sparse + [self.dense] * config.reads_dense
        done = []
        for blocks, stack in zip(kinds, stacks):
            tokens = stack.tokens
            for block in blocks:
                tokens = block(tokens, stack.placed, stack.usable)
            done.append(replace(stack, tokens=tokens))
        for crossing in self.cross if len(done) == 2 else ():
            done = crossing(*done)
        return done


def _by_entry(weights: Tensor, memory: MemoryBatch, config: MemoryConfig) -> Tensor:
    """(B, S + M) weights of tokens -> (B, N) of entries."""
    entries, total = memory.count, 0
    points = memory.points.shape[2] * entries if config.reads_sparse else 0
    if points:
        total = total + weights[:, :points].unflatten(1, (entries, -1)).sum(dim=2)
    if config.reads_dense:
        total = total + weights[:, points:].unflatten(1, (entries, -1)).sum(dim=2)
    return total
