"""The simulated user of propagation: draws true slices, has them followed, and corrects one slice after another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...build import build
from ...geometry import Box
from ...memory.slices import SliceMemory
from ...segmenters.slice_base import SliceSegmenter
from ...session import Session
from .cases import Case
from .scores import Answer, view_of


class Conversation:
    """A session on one case that has followed the object from the slices `given` (at least one).

    memory: the empty one it begins with. Of several slices the outermost bound what is followed, as they bound what
    Fill between slices fills. A gap is waited for: the patience is its length and one more. consistent: slices are
    evened out each time some were followed.
    """

    def __init__(
        self,
        case: Case,
        segmenter: SliceSegmenter,
        memory: SliceMemory,
        given: Sequence[int],
        consistent: bool = False,
    ) -> None:
        self._case, self._policy, self._consistent = case, memory.policy, consistent
        # A volume of its own, so that no method is quicker by what an earlier one has cached of it.
        self._session = Session(replace(case.volume), build("geodesic"), slices=segmenter)
        history = self._session.history
        beginning = replace(history, state=replace(history.state, slices=memory))
        self._session.restore(beginning, Box.empty(), np.zeros((0, 0, 0), np.uint8))
        self._session.add(case.drawn(given))
        ends = {"first": min(given), "last": max(given)} if len(given) > 1 else {}
        self._follow(given, **ends)

    @property
    def answer(self) -> Answer:
        """The mask as it is, and the slices followed for it since the last correction."""
        box = self._session.extent
        return Answer(box, self._session.mask_kji[box.slices].copy(), self._steps, self._seconds)

    def suggested(self) -> int | None:
        """The slice that the session would have corrected next."""
        suggestion = self._session.suggest_slice(self._case.axis)
        return None if suggestion is None else suggestion.index

    def worst(self) -> int | None:
        """The slice with most wrong voxels, the first such; None where nothing is wrong."""
        box = view_of(self._case, self.answer)
        wrong = self._case.truth_at(box) != (self._session.mask_kji[box.slices] > 0)
        others = tuple(number for number in range(3) if number != self._case.axis_number)
        counts = np.count_nonzero(wrong, axis=others)
        return int(np.argmax(counts)) + box.start_kji[self._case.axis_number] if counts.any() else None

    def correct(self, index: int) -> None:
        """Replace a slice by the truth and have the object followed again from there.

        From a slice that the object is not in nothing can be followed: then it is the nearest agreed slice with a mask.
        Between two agreed slices nothing is left to follow.
        """
        case, session = self._case, self._session
        drawn = case.corrected(session.extent, session.mask_kji[session.extent.slices], index)
        if np.array_equal(drawn.values, session.mask_kji[drawn.box.slices]):
            session.agree(case.axis, index)
        else:
            session.add(drawn)
        agreed = [other for other, mark in session.marks(case.axis).items() if mark.agreed]
        filled = [other for other in agreed if session.mask_kji[case.slab(other).slices].any()]
        start = index if index in filled else min(filled, key=lambda other: abs(other - index))
        self._steps, self._seconds = 0, 0.0
        if set(self._beside(start)).difference(agreed):
            self._follow([start])

    def _beside(self, index: int) -> list[int]:
        count = self._case.volume.shape_kji[self._case.axis_number]
        return [other for other in (index - 1, index + 1) if 0 <= other < count]

    def _follow(self, references: Sequence[int], **bounds: int) -> None:
        """All steps, timed one by one, so that nothing but propagation counts."""
        patience = {"patience": self._case.gap + 1} if self._case.gap else {}
        self._steps, self._seconds = 0, 0.0
        start = time.perf_counter()
        asked = {**bounds, **patience, "policy": self._policy}
        for _ in self._session.propagate(self._case.axis, reference=list(references), **asked):
            self._seconds += time.perf_counter() - start
            self._steps += 1
            start = time.perf_counter()
        if self._consistent:
            self._session.make_consistent(self._case.axis)
            self._seconds += time.perf_counter() - start
