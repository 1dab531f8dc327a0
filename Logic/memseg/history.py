"""The values a session is made of: what it knows, the steps that can be taken back, and all of that together."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from .geometry import AXES, Box
from .memory.interaction import Interaction, InteractionMemory
from .memory.slices import SliceMemory
from .propagation import Key, SliceMark
from .segmenters.base import Numbered
from .volume import MaskChange

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class State:
    """What a session knows beside its mask: the prompts in force, oldest first, and what is remembered of them.

    leaned: (number, share) of those remembered interactions that the mask leaned on, oldest first. Shares are 0 to 1,
    together 1 unless the memory has lost some since; empty where the segmenter could not tell, or was not asked.
    slices: the remembered slices. marks: by (axis, index), what is known of the slices that were agreed or propagated.
    axis: the one last worked along slice by slice, or "".
    """

    prompts: tuple[Numbered, ...] = ()
    memory: InteractionMemory = InteractionMemory()
    leaned: tuple[tuple[int, float], ...] = ()
    slices: SliceMemory = SliceMemory()
    marks: Mapping[Key, SliceMark] = field(default_factory=dict)
    axis: str = ""

    def __post_init__(self) -> None:
        numbers = [number for number, _ in self.leaned]
        if len(set(numbers)) < len(numbers) or not self.memory.numbers.issuperset(numbers):
            raise ValueError("A mask leans on interactions that the memory holds, and on each once.")
        if not all(0 <= share <= 1 for _, share in self.leaned):
            raise ValueError("A share is 0 to 1.")
        if not all(axis in AXES and index >= 0 for axis, index in self.marks) or self.axis not in ("", *AXES):
            raise ValueError("Slices lie on the axes k, j and i.")
        if not isinstance(self.marks, MappingProxyType):
            object.__setattr__(self, "marks", MappingProxyType(dict(self.marks)))

    def remembering(self, memory: InteractionMemory) -> State:
        """The same with another memory, and of what was leaned on only what that holds."""
        held = memory.numbers
        return replace(self, memory=memory, leaned=tuple(pair for pair in self.leaned if pair[0] in held))

    @property
    def agreed(self) -> tuple[Key, ...]:
        """The agreed slices, (axis, index)."""
        return tuple(key for key, mark in self.marks.items() if mark.agreed)


@dataclass(frozen=True, eq=False)
class Step:
    """One thing the user did: the crop it changed, and the state before and after.

    The crops are kept as bits, so that sixty steps on an organ of 300 x 250 x 150 voxels take 340 MB and not 1.3 GB.
    """

    box: Box
    before_bits: np.ndarray
    after_bits: np.ndarray
    before: State
    after: State

    @classmethod
    def of(cls, change: MaskChange, before: State, after: State) -> Step:
        return cls(change.box, np.packbits(change.before), np.packbits(change.after), before, after)

    @property
    def change(self) -> MaskChange:
        crops = (np.unpackbits(bits, count=self.box.size) for bits in (self.before_bits, self.after_bits))
        return MaskChange(self.box, *(crop.reshape(self.box.shape_kji) for crop in crops))

    @property
    def number(self) -> int:
        """Of the prompt that the step added; 0 where it added none."""
        before, after = self.before.prompts, self.after.prompts
        return after[-1].number if len(after) > len(before) else 0


@dataclass(frozen=True, eq=False)
class History:
    """All of a session but its mask: the present state, the steps that led to it and those undone, the next number."""

    state: State
    done: tuple[Step, ...]
    undone: tuple[Step, ...]
    next_number: int


def shares(recalled: tuple[Interaction, ...], attention: np.ndarray | None) -> tuple[tuple[int, float], ...]:
    """(number, share) of each recalled entry; none where the segmenter cannot tell or tells nonsense, as a mask is not
    worse for that."""
    if attention is None:
        return ()
    if attention.shape != (len(recalled),) or not np.isfinite(attention).all():
        log.warning("attention of shape %s to %d memories is left out", attention.shape, len(recalled))
        return ()
    shares = np.clip(attention, 0, 1)  # a sum of float32 can end at 1.0000001
    return tuple((entry.number, float(share)) for entry, share in zip(recalled, shares))
