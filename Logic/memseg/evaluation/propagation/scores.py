"""How well an object was followed: overlap, surfaces, and at which slices the mask runs over or falls short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...geometry import Box
from ..clicks import TOLERANCE_MM
from ..metrics import dice, surface_dice
from .cases import Case, crop_at


@dataclass(frozen=True)
class Sides:
    """Slices counted at the end with the lower indices, at the other end, and between the two."""

    low: int
    inside: int
    high: int

    @property
    def per_end(self) -> float:
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Way:
    """How a mask came to be. slices: the true slices it started from. corrected: slices replaced by the truth since,
    chosen by the session ("suggested") or as those with most wrong voxels ("worst"); "" where none was."""

    method: str
    slices: int = 1
    chosen: str = ""
    corrected: int = 0


@dataclass(frozen=True, eq=False)
class Answer:
    """A mask: uint8 0/1 crop at `box`, empty elsewhere. steps: slices followed for it, in `seconds`."""

    box: Box
    mask: np.ndarray
    steps: int
    seconds: float


@dataclass(frozen=True)
class Scores:
    """One mask against the truth. over: slices with a mask and no truth. missed: slices with truth and no mask."""

    way: Way
    dice: float
    surface_dice: float
    over: Sides
    missed: Sides
    steps: int
    seconds: float


@dataclass(frozen=True)
class CaseScores:
    """All that was measured on one object along one axis. slices: how many the object is in."""

    entry: str
    name: str
    source: str
    subject: str
    axis: str
    gap: int
    voxels: int
    slices: int
    reference: int
    scores: tuple[Scores, ...]

    def of(self, way: Way) -> Scores | None:
        return next((scores for scores in self.scores if scores.way == way), None)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> CaseScores:
        """From what dataclasses.asdict made of one. Raises TypeError or KeyError for anything else."""
        scores = tuple(
            Scores(
                **{
                    **each,
                    "way": Way(**each["way"]),
                    "over": Sides(**each["over"]),
                    "missed": Sides(**each["missed"]),
                }
            )
            for each in record["scores"]
        )
        return cls(**{**record, "scores": scores})


def measured(case: Case, way: Way, answer: Answer) -> Scores:
    box = view_of(case, answer)
    truth, mask = case.truth_at(box), crop_at(answer.box, answer.mask, box) > 0
    others = tuple(number for number in range(3) if number != case.axis_number)
    first = box.start_kji[case.axis_number]
    filled = {first + int(place) for place in np.flatnonzero(mask.any(axis=others))}
    return Scores(
        way=way,
        dice=dice(truth, mask),
        surface_dice=surface_dice(truth, mask, case.volume.grid.spacing_kji_mm, TOLERANCE_MM),
        over=run_over(case.slices, filled),
        missed=left_out(case.slices, filled, case.reference),
        steps=answer.steps,
        seconds=answer.seconds,
    )


def view_of(case: Case, answer: Answer) -> Box:
    """Holds truth and mask and, unless the volume ends there, one voxel round them."""
    return case.labelled.box.union(answer.box).grown(1).clipped(case.volume.shape_kji)


def run_over(true: Sequence[int], filled: set[int]) -> Sides:
    """Filled slices that the object is not in: before its first slice, between its slices, after its last one."""
    low, high = true[0], true[-1]
    wrong = filled.difference(true)
    before, after = sum(index < low for index in wrong), sum(index > high for index in wrong)
    return Sides(before, len(wrong) - before - after, after)


def left_out(true: Sequence[int], filled: set[int], reference: int) -> Sides:
    """Slices of the object that are not filled: those missing in a row from either end, at most to the reference slice,
    and the others."""
    missing = set(true) - filled
    ends = []
    for outward in (true, true[::-1]):
        count = 0
        while outward[count] != reference and outward[count] in missing:
            count += 1
        ends.append(count)
    return Sides(ends[0], len(missing) - sum(ends), ends[1])
