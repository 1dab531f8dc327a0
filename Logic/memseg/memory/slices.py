"""Slice memory: features of the slices that were segmented, which entries leave when it is full, which are recalled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .slice_entry import SliceEntry, SliceFeatures
from .slice_policies import POLICIES, TAU_MM

__all__ = ["CAPACITY", "RECENT_CAPACITY", "Bank", "Recalled", "SliceEntry", "SliceFeatures", "SliceMemory"]
CAPACITY = 8
RECENT_CAPACITY = 3


@dataclass(frozen=True)
class Bank:
    """The capacities of slice memory that a published model goes with, under a policy."""

    policy: str
    capacity: int
    recent_capacity: int


@dataclass(frozen=True, eq=False)
class Recalled:
    """What slice memory offers for one slice: the slices followed last, oldest first, and the long-lived ones, chosen
    by a policy."""

    recent: tuple[SliceEntry, ...] = ()
    long: tuple[SliceEntry, ...] = ()
    policy: str = ""


@dataclass(frozen=True, eq=False)
class SliceMemory:
    """Long-lived entries, oldest first, and the last slices that were followed, oldest first.

    Of each axis and model at most `capacity` entries are long-lived, more only where all are agreed, pinned or
    reference slices; `recent_capacity` in all are recent. policy: a name of slice_policies.POLICIES. tau_mm: distance
    over which an entry's value falls to 37 %. seed: of what the policy draws by chance.
    """

    entries: tuple[SliceEntry, ...] = ()
    recent: tuple[SliceEntry, ...] = ()
    capacity: int = CAPACITY
    recent_capacity: int = RECENT_CAPACITY
    policy: str = "ours"
    tau_mm: float = TAU_MM
    seed: int = 0

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.recent_capacity < 0 or not self.tau_mm > 0 or self.seed < 0:
            raise ValueError("A slice memory holds at least one entry, and its values fade over a distance above 0 mm.")
        if self.policy not in POLICIES:
            raise ValueError(f"There is no policy '{self.policy}'; choose one of: {', '.join(POLICIES)}.")
        if len({entry.key for entry in self.entries}) < len(self.entries):
            raise ValueError("A slice memory holds every slice once.")
        if len(self.recent) > self.recent_capacity or any(entry.stays for entry in self.recent):
            raise ValueError("A slice memory keeps a few recent slices, none of which is the user's.")

    @property
    def asks(self) -> bool:
        """Whether `recall` looks at the query's keys."""
        return POLICIES[self.policy].asks

    def remember(self, entry: SliceEntry, at_mm: float | None = None) -> SliceMemory:
        """The memory with the entry added last, in place of an earlier one of its slice; when it is full, one leaves.

        A pinned slice stays pinned. A slice that was followed is among the recent ones too. at_mm: from where values
        are seen; None: from the entry.
        """
        if any(held.key == entry.key and held.pinned for held in self.entries):
            entry = replace(entry, pinned=True)
        others = tuple(held for held in self.entries if held.key != entry.key)
        group = [held for held in others if (held.axis, held.model) == (entry.axis, entry.model)]
        leaving = self._leaving([*group, entry], entry.place_mm if at_mm is None else at_mm)
        entries = tuple(held for held in (*others, entry) if held not in leaving)
        recent = tuple(held for held in self.recent if held.key != entry.key)
        if not entry.stays:
            recent = (*recent, entry)[max(0, len(recent) + 1 - self.recent_capacity) :]
        return replace(self, entries=entries, recent=recent)

    def _leaving(self, group: list[SliceEntry], at_mm: float) -> list[SliceEntry]:
        """Those of a group, newcomer last, that leave for the others to fit."""
        staying, free = [held for held in group if held.stays], [held for held in group if not held.stays]
        leaving: list[SliceEntry] = []
        while free and len(staying) + len(free) > self.capacity:
            policy = POLICIES[self.policy]
            rule = policy.leaves if free[-1] is group[-1] else policy.makes_room
            leaving.append(free.pop(rule(free, staying, at_mm, self.tau_mm)))
        return leaving

    def recall(self, query_keys: np.ndarray | None, at_mm: float, index: int) -> Recalled:
        """What is offered for slice `index` at a place along the axis: at most `capacity` of the long-lived entries.

        query_keys: keys of that slice's image, for a policy that `asks`. Of several axes or models: see `of`.
        """
        recall = POLICIES[self.policy].recalls
        long = recall(self.entries, self.capacity, at_mm, query_keys, (self.seed, index), self.tau_mm)
        return Recalled(self.recent, long, self.policy)

    def of(self, axis: str, model: str) -> SliceMemory:
        """What it holds of one axis, written by one segmenter."""
        return self._only(lambda entry: (entry.axis, entry.model) == (axis, model))

    def get(self, axis: str, index: int) -> SliceEntry | None:
        """The long-lived entry of a slice, or None."""
        return next((entry for entry in self.entries if entry.key == (axis, index)), None)

    def without(self, axis: str, index: int) -> SliceMemory:
        """The memory without that slice; the same memory where it does not hold it."""
        return self._only(lambda entry: entry.key != (axis, index))

    def without_followed(self, keys: set[tuple[str, int]]) -> SliceMemory:
        """The memory without those of the slices (axis, index) that may leave."""
        return self._only(lambda entry: entry.stays or entry.key not in keys)

    def pinned(self, axis: str, index: int, on: bool = True) -> SliceMemory:
        """With that slice pinned or not; the same memory where it does not hold it."""
        if self.get(axis, index) is None:
            return self
        entries = tuple(replace(entry, pinned=on) if entry.key == (axis, index) else entry for entry in self.entries)
        recent = tuple(entry for entry in self.recent if entry.key != (axis, index))
        return replace(self, entries=entries, recent=recent)

    def sized(self, capacity: int, recent_capacity: int) -> SliceMemory:
        """The same with other capacities. Recent slices beyond them leave, long-lived ones not before a newcomer."""
        recent = self.recent[max(0, len(self.recent) - recent_capacity) :]
        return replace(self, recent=recent, capacity=capacity, recent_capacity=recent_capacity)

    def cleared(self) -> SliceMemory:
        return replace(self, entries=(), recent=())

    def _only(self, kept: Callable[[SliceEntry], bool]) -> SliceMemory:
        entries, recent = (tuple(filter(kept, held)) for held in (self.entries, self.recent))
        if len(entries) == len(self.entries) and len(recent) == len(self.recent):
            return self
        return replace(self, entries=entries, recent=recent)

    @property
    def size_bytes(self) -> int:
        features = {id(entry.features): entry.features.size_bytes for entry in (*self.entries, *self.recent)}
        return sum(features.values())

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[SliceEntry]:
        return iter(self.entries)
