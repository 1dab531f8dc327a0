"""Which slices of a volume BiomedParse looks at for one question, in which order, and what each is told of the others.

Long work is a generator: each slice that was looked at comes out at once, and closing the generator ends the work; what
was encoded until then stays kept, so that asking again goes on from there. Whoever watches is told of each slice before
it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..geometry import AXES
from ..memory.slices import SliceEntry
from ..networks.biomedparse.memory import Remembered
from ..volume import Volume
from ..watching import tell
from .biomedparse_bank import BankUse, Seat, entry_of, evened, key_slice, outward, with_masks
from .biomedparse_engine import Engine, Look
from .biomedparse_slices import Stack
from .biomedparse_words import Question

PRESENT = 0.5  # existence above which the object is in a slice, as in the authors' code
_FIRST = 0.9  # of the time goes into encoding slices, where they are looked at again: 5 s a slice, then 0.25 s
_FEW = 64  # a stack of so many slices is looked at in full


@dataclass(frozen=True)
class Pace:
    """every_mm: the slices looked at first lie so far apart, and those between only where the object is in one of
    the two beside them; 0: all are looked at."""

    every_mm: float = 0.0

    def step(self, stack: Stack, spacing_mm: float) -> int:
        return 1 if stack.count <= _FEW else max(1, int(self.every_mm / spacing_mm))


@dataclass(frozen=True, eq=False)
class Walk:
    """One question about one volume. prompted: the slice the user spoke of, in the network's order; None: none. given:
    logits (h, w) of slices whose mask the user has made or corrected; those stay, and memory tells the others of them
    from the beginning."""

    engine: Engine
    volume: Volume
    stack: Stack
    asked: Question
    model: str
    use: BankUse
    pace: Pace = Pace()
    prompted: int | None = None
    given: Mapping[int, np.ndarray] = field(default_factory=dict)

    def looks(self) -> Iterator[Look]:
        """Slices as they are looked at, some of them twice: the later one counts."""
        first: dict[int, Look] = {}
        for look in self._first():
            first[look.number] = look
            yield look
        if self.use.is_on and len(first) > 1 and any(look.existence > PRESENT for look in first.values()):
            yield from self._remembering(first)
        tell("putting the slices together", 1.0)

    def _look(self, number: int, bank: Remembered | None = None) -> Look:
        given = self.given.get(number)
        return self.engine.look(self.volume, self.stack, self.asked.window, number, self.asked.sentence, bank, given)

    def _first(self) -> Iterator[Look]:
        """Each slice by itself."""
        step = self.step
        seen: dict[int, float] = {}
        coarse = sorted({*range(0, self.stack.count, step), self.stack.count - 1, *self._spoken_of})
        share = _FIRST if self.use.is_on or step > 1 else 1.0
        for place, number in enumerate(coarse):
            tell(f"slice {place + 1} of {len(coarse)}", share * place / len(coarse))
            look = self._look(number)
            seen[number] = look.existence
            yield look
        for number in coarse:
            for side in (-1, 1):  # on from each slice that has the object, to where it ends
                beside, last = number + side, seen[number]
                while last > PRESENT and 0 <= beside < self.stack.count and beside not in seen:
                    tell(f"slice {len(seen) + 1}, next to where it is", share)
                    look = self._look(beside)
                    seen[beside] = last = look.existence
                    yield look
                    beside += side

    def _remembering(self, first: dict[int, Look]) -> Iterator[Look]:
        """The slices again, from the key slice outward, each told of those before it."""
        existence = evened({number: look.existence for number, look in first.items()}, self.use)
        key = key_slice(existence, self.prompted)
        bank, logits = self.use.bank(), {}
        order = [number for number in outward(key, list(first)) if number not in self.given]
        for place, number in enumerate([*self.given, *order]):
            tell(f"slice {place + 1} of {len(first)}, with memory", _FIRST + (1 - _FIRST) * place / len(first))
            seat, own = self._seat(number), first[number]
            told = bank.recall(own.keys, seat.place_mm, seat.index).long
            if number in self.given:
                told, existence[number] = (), own.existence
            if told and self.use.attention and self.engine.bank_attention is not None:
                own = self._look(number, _of_bank(told, seat.place_mm))
                existence[number] = own.existence  # by a look that knew more than the neighbours' first ones
            recalled = [(entry, logits[entry.index]) for entry in told]
            mixed = with_masks(own.logits, own.keys, seat.place_mm, recalled, self.use)
            look = replace(own, logits=mixed, existence=existence[number])
            if look.existence > PRESENT and (look.logits > 0).any():
                stays = number == key or number in self.given
                bank = bank.remember(entry_of(look, seat, self.model, self.use, reference=stays))
                logits[seat.index] = look.logits
            yield look

    @property
    def step(self) -> int:
        """Of the slices that are looked at first, one in so many."""
        return self.pace.step(self.stack, self._spacing_mm)

    @property
    def _spoken_of(self) -> tuple[int, ...]:
        return (*(() if self.prompted is None else (self.prompted,)), *self.given)

    @property
    def _spacing_mm(self) -> float:
        return self.volume.grid.spacing_kji_mm[AXES.index(self.stack.axis)]

    def _seat(self, number: int) -> Seat:
        axis, index, sizes = self.stack.axis, self.stack.index_of(number), self.stack.shape[1:]
        across = [mm for other, mm in zip(AXES, self.volume.grid.spacing_kji_mm) if other != axis]
        mm = sum(across) / 2
        return Seat(axis, index, index * self._spacing_mm, (sizes[0] * mm / 2, sizes[1] * mm / 2, max(sizes) * mm))


def _of_bank(told: Sequence[SliceEntry], place_mm: float) -> Remembered:
    keys, values = (
        torch.from_numpy(np.stack([getattr(entry.features, part) for entry in told]).astype(np.float32))[None]
        for part in ("keys", "values")
    )
    return Remembered(keys, values, torch.tensor([[entry.place_mm - place_mm for entry in told]]))
