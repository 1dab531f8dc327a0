"""BiomedParse's memory of slices while it answers one question: plain functions, each of which can be left out.

The network answers every slice by itself. With memory, the slices are answered again from the key slice outward, and
each is told of those before it. Without training (`masks`, `existence`) memory re-weights: remembered masks are mixed
in, the more the nearer and the more alike their slices are, and existence is evened out along the axis. With a trained
BankAttention (`attention`) the decoder itself looks at what is remembered. What is remembered, and which of it is
recalled, are the rules of memory/slice_policies.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..memory.slice_policies import TAU_MM, likeness
from ..memory.slices import CAPACITY, SliceEntry, SliceFeatures, SliceMemory
from .biomedparse_engine import Look

_FOREVER_MM = 1e9
_EVENING = (0.25, 0.5, 0.25)
_LOGIT = 12.0
Answered = tuple[SliceEntry, np.ndarray]


@dataclass(frozen=True)
class BankUse:
    """What of the memory is used.

    policy: of slice memory, one of slice_policies.POLICIES; "" switches all of it off. decay: entries count less the
    farther they are. prominence: they count more where the object is large and clear. masks: share that remembered
    masks have in an answer at most, 0 to 1; masks_mm: distance over which that falls to 37 %. existence: whether it is
    evened out. attention: whether a trained memory is read.
    """

    policy: str = "ours"
    capacity: int = CAPACITY
    decay: bool = True
    prominence: bool = True
    masks: float = 0.3
    masks_mm: float = 6.0
    existence: bool = True
    attention: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.masks <= 1 or not self.masks_mm > 0:
            raise ValueError("Remembered masks have a share of 0 to 1, over a distance above 0 mm.")

    @property
    def is_on(self) -> bool:
        return bool(self.policy)

    def bank(self, seed: int = 0) -> SliceMemory:
        """An empty one."""
        tau_mm = TAU_MM if self.decay else _FOREVER_MM
        return SliceMemory(capacity=self.capacity, policy=self.policy, tau_mm=tau_mm, seed=seed)


NOTHING = BankUse(policy="")


def key_slice(existence: Mapping[int, float], prompted: int | None = None) -> int:
    """The slice to begin with: the one the user spoke of, or the one in which the object is most surely."""
    if prompted is not None and prompted in existence:
        return prompted
    return max(existence, key=lambda number: (existence[number], -number))


def outward(key: int, numbers: Sequence[int]) -> Iterator[int]:
    """The slices in the order in which they are answered: the key slice, then the nearest on either side by turns."""
    yield from sorted(numbers, key=lambda number: (abs(number - key), number < key))


def prominence_of(probability: np.ndarray) -> float:
    """0 to 1: how clearly an object is seen: its mean probability, times the root of its size over a twentieth of the
    slice."""
    inside = probability > 0.5
    if not inside.any():
        return 1e-3
    return float(probability[inside].mean()) * min(1.0, float(np.sqrt(inside.mean() / 0.05)))


@dataclass(frozen=True)
class Seat:
    """Where a slice lies: axis and index in the volume, place along it in mm; window_mm: see SliceFeatures."""

    axis: str
    index: int
    place_mm: float
    window_mm: tuple[float, float, float]


def entry_of(look: Look, seat: Seat, model: str, use: BankUse, reference: bool = False) -> SliceEntry:
    """What memory keeps of a slice that was answered. reference: the key slice, which never leaves."""
    features = SliceFeatures(look.keys, look.values, seat.window_mm)
    prominence = prominence_of(look.probability) if use.prominence else 1.0
    return SliceEntry(
        seat.axis, seat.index, seat.place_mm, model, features, look.existence, prominence, reference=reference
    )


def with_masks(
    logits: np.ndarray,
    keys: np.ndarray,
    place_mm: float,
    recalled: Sequence[Answered],
    use: BankUse,
) -> np.ndarray:
    """The logits (h, w) of a slice with those of remembered slices mixed in; the very same without any.

    recalled: entries with the logits they were answered with. Each weighs max(0, cosine of keys) * exp(-distance /
    masks_mm); the mixture has the share `masks` times the greatest weight.
    """
    if not recalled or not use.masks:
        return logits
    flat = keys.astype(np.float32).ravel()
    direction = flat / max(float(np.linalg.norm(flat)), 1e-12)
    alike = np.maximum(likeness(direction, [entry.features.key_direction for entry, _ in recalled]), 0)
    away = np.array([abs(entry.place_mm - place_mm) for entry, _ in recalled])
    weights = alike * np.exp(-away / use.masks_mm)
    if not weights.sum() > 0:
        return logits
    mixture = sum(weight * mask for weight, (_, mask) in zip(weights, recalled)) / weights.sum()
    share = use.masks * float(weights.max())
    return ((1 - share) * logits + share * mixture).astype(np.float32)


def evened(existence: Mapping[int, float], use: BankUse) -> dict[int, float]:
    """Existence by slice, each a weighted mean (1 : 2 : 1, of logits) with its neighbours where they were looked at, so
    that one slice that is missed between two sure ones is not lost; the same where that is off."""
    if not use.existence:
        return dict(existence)
    odds = {number: _logit(chance) for number, chance in existence.items()}
    after = {}
    for number in existence:
        near = {step: odds[number + step] for step in (-1, 0, 1) if number + step in odds}
        weights = {step: _EVENING[step + 1] for step in near}
        mean = sum(weights[step] * near[step] for step in near) / sum(weights.values())
        after[number] = float(1 / (1 + np.exp(-mean)))
    return after


def _logit(chance: float) -> float:
    chance = min(max(chance, 1e-12), 1 - 1e-12)
    return float(np.clip(np.log(chance / (1 - chance)), -_LOGIT, _LOGIT))
