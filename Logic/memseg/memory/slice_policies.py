"""The rules of slice memory, each a function of plain values: which entry leaves, and which are recalled.

A rule sees only entries that may leave or be chosen, oldest first, all of one axis and one model. `POLICIES` puts the
rules together under the names by which they can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .slice_entry import SliceEntry

TAU_MM = 30.0
_MARGIN = 0.1  # MedSAM-2's: a newcomer may be expected to be so much worse than the entry it replaces

Entries = Sequence[SliceEntry]


def likeness(one: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) cosine similarity, -1 to 1, of a direction to N others; 0 where their sizes differ."""
    return np.array([float(one @ other) if one.shape == other.shape else 0.0 for other in others], np.float64)


def value_of(entry: SliceEntry, at_mm: float, tau_mm: float) -> float:
    """confidence * exp(-distance / tau) * prominence, as seen from a place along the axis."""
    return entry.confidence * float(np.exp(-abs(entry.place_mm - at_mm) / tau_mm)) * entry.prominence


def diversity_of(entry: SliceEntry, others: Entries) -> float:
    """1 - the greatest cosine similarity of its values to another entry's: 0 for a copy, 1 where it is alone."""
    similar = likeness(entry.features.value_direction, [other.features.value_direction for other in others])
    return 1.0 - float(similar.max(initial=0.0))


# -- which entry leaves: (those that may, newcomer last; those that stay; where) -> position, perhaps the newcomer's ---


def oldest_leaves(free: Entries, staying: Entries, at_mm: float, tau_mm: float) -> int:
    """SAM 2: only the most recent are kept."""
    return 0


def least_valuable_leaves(free: Entries, staying: Entries, at_mm: float, tau_mm: float) -> int:
    """Ours: the least value times diversity. Of two copies the less valuable leaves, the older where they are equal."""
    worth = [value_of(entry, at_mm, tau_mm) for entry in free]
    scores = []
    for place, entry in enumerate(free):
        rivals = [
            other
            for rank, other in enumerate(free)
            if rank != place and (worth[rank], rank) > (worth[place], place)  # it is measured against its betters
        ]
        scores.append(worth[place] * max(diversity_of(entry, [*staying, *rivals]), 1e-6))
    return int(np.argmin(scores))


def most_alike_leaves(free: Entries, staying: Entries, at_mm: float, tau_mm: float) -> int:
    """MedSAM-2's self-sorting bank, as coded (func_2d): the entry most like the one least like the newcomer gives way,
    if the newcomer differs more from that one and is not expected to be worse by more than 0.1."""
    *held, newcomer = free
    bank = [*staying, *held]
    if not held:
        return 0
    directions = [entry.features.value_direction for entry in bank]
    to_newcomer = likeness(newcomer.features.value_direction, directions)
    least = int(np.argmin(to_newcomer))
    to_least = likeness(directions[least], directions)
    to_least[least] = -np.inf
    to_least[: len(staying)] = -np.inf
    most = int(np.argmax(to_least))
    if not np.isfinite(to_least[most]):
        return len(held)  # the only entry that might give way is the one to be kept
    better = newcomer.confidence > bank[most].confidence - _MARGIN
    return most - len(staying) if to_newcomer[least] < to_least[most] and better else len(held)


# -- which are recalled: (all, how many, where, the query's keys or None, a seed) -> entries --------------------------


def nearest_and_latest(
    entries: Entries, count: int, at_mm: float, query: np.ndarray | None, seed: tuple[int, int], tau_mm: float
) -> tuple[SliceEntry, ...]:
    """SAM 2: the staying entries nearest to the slice, then the latest of the others."""
    staying = sorted((entry for entry in entries if entry.stays), key=lambda entry: abs(entry.place_mm - at_mm))[:count]
    others = [entry for entry in entries if not entry.stays]
    return (*staying, *others[len(others) - min(len(others), count - len(staying)) :])


def most_valuable(
    entries: Entries, count: int, at_mm: float, query: np.ndarray | None, seed: tuple[int, int], tau_mm: float
) -> tuple[SliceEntry, ...]:
    """Ours: the greatest values as seen from the slice, most valuable first."""
    return tuple(sorted(entries, key=lambda entry: -value_of(entry, at_mm, tau_mm))[:count])


def most_similar(
    entries: Entries, count: int, at_mm: float, query: np.ndarray | None, seed: tuple[int, int], tau_mm: float
) -> tuple[SliceEntry, ...]:
    """CRISP-SAM2: half as many as there is room for, those whose keys are most like the query's, most similar first."""
    similar = _to_query(entries, query)
    order = np.argsort(-similar, kind="stable")[: max(1, count // 2)]
    return tuple(entries[place] for place in order)


def resampled(
    entries: Entries, count: int, at_mm: float, query: np.ndarray | None, seed: tuple[int, int], tau_mm: float
) -> tuple[SliceEntry, ...]:
    """MedSAM-2: as many as there are, drawn with replacement by the softmax of the keys' similarity to the query's."""
    if not entries:
        return ()
    weights = np.exp(_to_query(entries, query))
    drawn = np.random.default_rng(seed).choice(len(entries), min(count, len(entries)), p=weights / weights.sum())
    return tuple(entries[place] for place in drawn)


def _to_query(entries: Entries, query: np.ndarray | None) -> np.ndarray:
    if query is None:
        return np.zeros(len(entries))
    flat = np.asarray(query, np.float32).ravel()
    direction = flat / max(float(np.linalg.norm(flat)), 1e-12)
    return likeness(direction, [entry.features.key_direction for entry in entries])


@dataclass(frozen=True)
class Policy:
    """leaves: names the entry that gives way to a newcomer, or the newcomer. makes_room: the same where the newcomer is
    not among them because it stays. recalls: chooses what a slice is told of. asks: whether recalling looks at the
    query's keys, which cost a look at the slice."""

    leaves: Callable[..., int]
    makes_room: Callable[..., int]
    recalls: Callable[..., tuple[SliceEntry, ...]]
    asks: bool = False


POLICIES = {
    "ours": Policy(least_valuable_leaves, least_valuable_leaves, most_valuable),
    "recent": Policy(oldest_leaves, oldest_leaves, nearest_and_latest),
    "self-sorting": Policy(most_alike_leaves, least_valuable_leaves, resampled, asks=True),
    "similar": Policy(oldest_leaves, oldest_leaves, most_similar, asks=True),
}
