"""A session's prompts answered again, as if some had never been given.

What was agreed meanwhile stays as it is, but for the slices that only a prompt that goes made agreed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from .geometry import Box
from .history import State, Step
from .propagation import Key, SliceMark, slice_change
from .segmenters.base import Numbered
from .segmenters.slice_base import plane_of
from .slice_work import changed_slices, unsettled
from .volume import MaskChange


def replayed(
    prompts: tuple[Numbered, ...],
    present: State,
    done: Sequence[Step],
    mask_kji: np.ndarray,
    apply: Callable[[MaskChange], None],
    answer: Callable[[State, Numbered], tuple[State, MaskChange]],
) -> tuple[State, MaskChange]:
    """The state and the total change of answering just these prompts; the mask is put back before returning.

    Starts from the latest moment in the history at which the session held a beginning of this list. mask_kji: the
    session's, changed by `apply`. answer: the state after one more prompt, and what that changes in the present mask.
    """
    kept = Kept(present, frozenset(entry.number for entry in prompts), done, mask_kji)
    backwards = _steps_back(prompts, done)
    state, walked = backwards[-1].before, []

    def walk(change: MaskChange) -> None:
        apply(change)
        walked.append(change)

    try:
        for step in backwards:
            walk(step.change.inverse)
            kept.walked_back(step)
        for entry in prompts[len(state.prompts) :]:
            state = replace(state, marks=kept.before(entry.number))
            for change in kept.changes(state.marks):
                walk(change)
            state, change = answer(state, entry)
            walk(change)
        for change in kept.changes(kept.marks):
            walk(change)
        touched = Box.empty()
        for change in walked:
            touched = touched.union(change.box)
        after = mask_kji[touched.slices].copy()
    finally:
        for change in reversed(walked):
            apply(change.inverse)
    total = MaskChange.between(mask_kji, touched, after)
    state = replace(state, marks=kept.marks, slices=kept.slices, axis=present.axis)
    if state.marks or len(state.slices):
        state = unsettled(state, changed_slices(total), mask_kji, total)
    return state, total


def _steps_back(prompts: tuple[Numbered, ...], done: Sequence[Step]) -> list[Step]:
    """The steps back to the latest past state whose prompts begin the list, the last step first."""
    backwards: list[Step] = []
    for step in reversed(done):
        backwards.append(step)
        held = step.before.prompts
        if held == prompts[: len(held)]:
            break
    return backwards


class Kept:
    """The slices of a session while prompts are taken out of it: what is known of them afterwards, and how the agreed
    ones stay as they are. What a prompt that goes made of a slice goes with it, back to what it found there.

    numbers: of the prompts that stay. done: the session's steps. mask_kji: the session's, before anything is walked
    back.
    """

    def __init__(self, state: State, numbers: frozenset[int], done: Iterable[Step], mask_kji: np.ndarray) -> None:
        self._numbers = numbers
        self._steps = {step.number: step for step in done if step.number}
        self._mask_kji = mask_kji
        self._planes: dict[Key, np.ndarray] = {}
        self._awaited: dict[int, list[Key]] = {}  # by the number of the step before which a slice was as it will be
        self.marks, self.slices = self._standing(state.marks), state.slices
        for key, mark in state.marks.items():
            if self.marks.get(key) is not mark:
                self._back(key, mark)
            elif mark.agreed:
                self._planes[key] = plane_of(mask_kji, *key).copy()

    def _standing(self, marks: Mapping[Key, SliceMark]) -> dict[Key, SliceMark]:
        """The marks without what the prompts that go made of them."""
        found = {key: self._found(key, mark)[0] for key, mark in marks.items()}
        return {key: mark for key, mark in found.items() if mark is not None}

    def _found(self, key: Key, mark: SliceMark | None) -> tuple[SliceMark | None, Step | None]:
        """The mark a slice goes back to, and the step before which it had that."""
        step = None
        while mark is not None and mark.by in self._steps and mark.by not in self._numbers:
            step = self._steps[mark.by]
            mark = step.before.marks.get(key)
        return mark, step

    def _back(self, key: Key, mark: SliceMark) -> None:
        """Memory holds of a slice what it held when its mark was the one it goes back to."""
        found, step = self._found(key, mark)
        earlier = step.before.slices.get(*key)
        self.slices = self.slices.without(*key)
        if found is not None and found.agreed:
            self._awaited.setdefault(step.number, []).append(key)
            self.slices = self.slices if earlier is None else self.slices.remember(earlier)

    def walked_back(self, step: Step) -> None:
        """The session's mask is as before the step: from there come the agreed slices that go back to what they
        were."""
        for key in self._awaited.get(step.number, ()):
            self._planes[key] = plane_of(self._mask_kji, *key).copy()

    def before(self, number: int) -> dict[Key, SliceMark]:
        """The marks that count when the prompt of that number is answered again."""
        return self._standing(self._steps[number].before.marks)

    def changes(self, marks: Mapping[Key, SliceMark]) -> Iterator[MaskChange]:
        """What makes the slices agreed by these marks as they are to be. Each is to be applied before the next."""
        for key, plane in self._planes.items():
            if marks.get(key) == self.marks[key]:
                yield slice_change(self._mask_kji, *key, plane)
