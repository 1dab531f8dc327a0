"""Everything that is measured on one object, by all methods in turn.

    methods = (method_of("slices"), method_of("slices:recent"))
    for labelled in select(folder, "training", limit=8).objects():
        for case in cases_of(labelled, ("k",)):
            for scores in evaluate_object(case, methods, Rules(corrections=0, several=())).scores:
                print(case.labelled.name, scores.way, scores.dice)

A method with a segmenter of one's own is Propagation("name", segmenter).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import FileError
from .cases import Case
from .methods import Method, Propagation
from .scores import CaseScores, Scores, Way, measured

SEVERAL = (2, 3, 5)
MOST_CORRECTIONS = 50
CHOSEN = ("suggested", "worst")


@dataclass(frozen=True)
class Rules:
    """How every object is played. corrections: slices replaced by the truth, one by one. several: numbers of true
    slices to start from beside one. Raises FileError for numbers that cannot be played."""

    corrections: int = 5
    several: tuple[int, ...] = SEVERAL

    def __post_init__(self) -> None:
        if not 0 <= self.corrections <= MOST_CORRECTIONS:
            raise FileError(f"{self.corrections} slices cannot be corrected; give 0 to {MOST_CORRECTIONS}.")
        if any(count < 2 for count in self.several):
            raise ValueError("Several slices are two or more.")


def evaluate_object(case: Case, methods: Sequence[Method], rules: Rules) -> CaseScores:
    """All methods that can start from one slice; then the first of them, the model, corrected slice by slice, and given
    several slices, as are those that need several. Raises what the methods raise."""
    model = methods[0]
    rows: list[Scores] = []
    for method in methods:
        if method is model and isinstance(method, Propagation):
            rows += _corrected(case, method, "suggested", rules.corrections)
        elif method.fewest == 1:
            rows.append(measured(case, Way(method.name), method.answer(case, (case.reference,))))
    if isinstance(model, Propagation) and rules.corrections:
        rows += _corrected(case, model, "worst", rules.corrections)[1:]
    for count in rules.several:
        if count < len(case.slices):  # else there is nothing to fill
            able = [method for method in methods if method is model or method.fewest > 1]
            rows += [measured(case, Way(each.name, count), each.answer(case, case.spread(count))) for each in able]
    labelled = case.labelled
    return CaseScores(
        entry=labelled.entry.identity,
        name=labelled.name,
        source=labelled.entry.source,
        subject=labelled.entry.subject,
        axis=case.axis,
        gap=case.gap,
        voxels=int(np.count_nonzero(labelled.truth)),
        slices=len(case.slices),
        reference=case.reference,
        scores=tuple(rows),
    )


def _corrected(case: Case, method: Propagation, chosen: str, corrections: int) -> list[Scores]:
    """After no correction, one, two and so on. Where there is nothing more to correct the mask stays as it is."""
    conversation = method.begun(case, (case.reference,))
    choose = {"suggested": conversation.suggested, "worst": conversation.worst}[chosen]
    rows = [measured(case, Way(method.name), conversation.answer)]
    for count in range(1, corrections + 1):
        if (index := choose()) is not None:
            conversation.correct(index)
        rows.append(measured(case, Way(method.name, 1, chosen, count), conversation.answer))
    return rows
