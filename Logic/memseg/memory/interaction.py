"""The interaction memory: a first-in first-out bank of the last N interactions (MAIS, arXiv 2505.07511).

Each interaction is remembered by what the segmenter made of it: a sparse embedding of the prompt's points and a dense
embedding of the mask it met. The bank is a value: every method returns a new one, so undo puts the old one back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CAPACITY = 60  # the number of memories the MAIS paper settles on


@dataclass(frozen=True, eq=False)
class Interaction:
    """One remembered interaction.

    number: the prompt's number in its session, from 1, never reused. sparse: (P, D) float32, one row per point token.
    dense: (C, k, j, i) float32 or None for a segmenter that keeps no dense embedding. What the axes mean is the
    segmenter's own affair; `model` names the one that wrote the entry, and only that one reads it.
    """

    number: int
    model: str
    sparse: np.ndarray
    dense: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, axes in (("sparse", 2), ("dense", 4)):
            value = getattr(self, name)
            if value is None and name == "dense":
                continue
            array = np.array(value, dtype=np.float32)
            if array.ndim != axes or not np.isfinite(array).all():
                raise ValueError(f"A {name} embedding is a finite array with {axes} axes.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def size_bytes(self) -> int:
        return self.sparse.nbytes + (0 if self.dense is None else self.dense.nbytes)


@dataclass(frozen=True, eq=False)
class InteractionMemory:
    """At most `capacity` interactions, oldest first."""

    entries: tuple[Interaction, ...] = ()
    capacity: int = CAPACITY

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError("An interaction memory holds at least one entry.")
        if len(self.entries) > self.capacity:
            raise ValueError(f"{len(self.entries)} entries do not fit a memory of {self.capacity}.")

    def remember(self, entry: Interaction) -> InteractionMemory:
        """The memory with the entry added last; the oldest leaves when it is full."""
        return InteractionMemory((*self.entries, entry)[-self.capacity :], self.capacity)

    def without(self, number: int) -> InteractionMemory:
        """The memory without the interaction of that number; the same memory where it holds none."""
        kept = tuple(entry for entry in self.entries if entry.number != number)
        return self if len(kept) == len(self.entries) else InteractionMemory(kept, self.capacity)

    def cleared(self) -> InteractionMemory:
        return InteractionMemory((), self.capacity)

    def of_model(self, model: str) -> tuple[Interaction, ...]:
        """The entries written by one segmenter, oldest first."""
        return tuple(entry for entry in self.entries if entry.model == model)

    @property
    def numbers(self) -> frozenset[int]:
        return frozenset(entry.number for entry in self.entries)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Interaction]:
        return iter(self.entries)
