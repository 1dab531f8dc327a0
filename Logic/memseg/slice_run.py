"""A propagation on its way: what was asked for is checked, steps are taken one by one, and all of it is one change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .errors import SessionError
from .geometry import AXES, Box
from .guard import Guard
from .history import State
from .memory.slice_policies import POLICIES
from .memory.slices import CAPACITY, RECENT_CAPACITY, SliceEntry, SliceMemory
from .prompts import MaskPrompt, from_record, to_record
from .propagation import (
    DIRECTIONS,
    Course,
    Followed,
    SliceMark,
    SliceStep,
    Stack,
    entry_of,
    fronts,
    propagate,
    propagate_in_time,
    slice_change,
)
from .segmenters.slice_base import SliceSegmenter, plane_of
from .slice_work import check_axis, check_slice
from .volume import MaskChange, Volume


@dataclass(frozen=True, eq=False)
class Start:
    """What a propagation finds. mask_kji: a view that follows the session. extent: a box outside which the mask is
    empty. number: of the prompt that it will be. remembers: whether slice memory is used. guard: outside it the mask
    stays as it is."""

    volume: Volume
    mask_kji: np.ndarray
    extent: Box
    state: State
    segmenter: SliceSegmenter
    number: int
    remembers: bool
    guard: Guard | None = None

    def memory(self, policy: str | None) -> SliceMemory | None:
        """Slice memory under a policy; None: under its own, which at first is the segmenter's. It is as large as the
        segmenter has it, unless it was made of another size. None where it is not used."""
        if policy is not None and policy not in POLICIES:
            raise SessionError(f"There is no memory policy '{policy}'; choose one of: {', '.join(POLICIES)}.")
        if not self.remembers:
            return None
        slices, card = self.state.slices, self.segmenter.card
        if policy is None and card.banks and not any(_left_by(entry, card.name) for entry in slices):
            policy = card.banks[0].policy
        slices = replace(slices, policy=policy or slices.policy)
        bank = next((bank for bank in card.banks if bank.policy == slices.policy), None)
        if bank is None or (slices.capacity, slices.recent_capacity) != (CAPACITY, RECENT_CAPACITY):
            return slices
        return slices.sized(bank.capacity, bank.recent_capacity)


def _left_by(entry: SliceEntry, model: str) -> bool:
    """Whether a propagation by that model has left the entry, and not the user's word alone."""
    return entry.model == model and (entry.reference or not entry.stays)


@dataclass(eq=False)
class Run:
    """The slices to come, the state before them and now, and what has changed so far.

    begun: marks of the slices it starts from, which it makes agreed. origin: what its prompt says. record: its line in
    the journal, but for what only the end tells.
    """

    slices: Iterator[Followed]
    before: State
    begun: Mapping[int, SliceMark]
    axis: str
    origin: str
    record: dict[str, Any]
    changes: list[MaskChange] = field(default_factory=list)
    taken: list[tuple[int, SliceMark]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.before

    def take(self, followed: Followed) -> None:
        """One more slice was applied."""
        begun = {} if self.taken else {(self.axis, index): mark for index, mark in self.begun.items()}
        marks = {**self.state.marks, **begun, (self.axis, followed.step.index): followed.mark}
        slices, own = self.state.slices, self.before.slices
        if followed.memory is not None:  # what a model's memory holds is kept; how large it may be is its own affair
            slices = followed.memory.sized(own.capacity, own.recent_capacity)
        self.state = replace(self.state, marks=marks, slices=slices, axis=self.axis, leaned=())
        self.changes.append(followed.step.change)
        self.taken.append((followed.step.index, followed.mark))

    def total(self, mask_kji: np.ndarray) -> MaskChange:
        """All it has changed in the mask, which is as it left it."""
        return MaskChange.of_all(self.changes, mask_kji)

    def line(self, prompt: MaskPrompt) -> dict[str, Any]:
        """For the journal. A propagation in time cannot be taken again without the other session, so that its result is
        written down."""
        if self.record["do"] == "propagate":
            return {**self.record, "steps": len(self.taken)}
        marks = [(index, mark.confidence, mark.present) for index, mark in self.taken]
        return {**self.record, "prompt": to_record(prompt), "marks": marks}


class Steps:
    """The steps of one propagation. `close` ends it and keeps what was done; so does letting go of this.

    take: the next step, or None when there is no more. end: ends the propagation if it is still running.
    """

    def __init__(self, take: Callable[[], SliceStep | None], end: Callable[[], None]) -> None:
        self._take, self._end = take, end

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> SliceStep:
        step = self._take()
        if step is None:
            raise StopIteration
        return step

    def close(self) -> None:
        self._end()

    def __del__(self) -> None:
        self._end()


# -- what was asked for -----------------------------------------------------------------------------------------------


def along(
    start: Start,
    axis: str = "k",
    reference: int | Sequence[int] | None = None,
    first: int | None = None,
    last: int | None = None,
    direction: str = "both",
    policy: str | None = None,
    patience: int = 2,
) -> Run:
    """See Session.propagate. Raises SessionError."""
    course = _course(start, axis, reference, first, last, direction, patience)
    memory, marks = start.memory(policy), start.state.marks
    stack = Stack(start.volume, start.mask_kji, axis, marks, course.references)
    if not fronts(course, stack.agreed):
        raise SessionError("There is no slice to fill there; release an agreed slice, or widen the range.")
    begun = {index: marks.get((axis, index)) for index in course.references}
    begun = {
        index: mark if mark is not None and mark.agreed else SliceMark(1.0, True, True, start.number)
        for index, mark in begun.items()
    }
    slices = propagate(start.volume, start.mask_kji, course, marks, memory, start.segmenter, start.number, start.guard)
    plural = "s" if len(course.references) > 1 else ""
    origin = f"propagated along {axis} from slice{plural} {', '.join(map(str, course.references[:5]))}"
    record = {
        "do": "propagate",
        "axis": axis,
        "reference": list(course.references),
        "first": course.first,
        "last": course.last,
        "direction": direction,
        "policy": policy,
        "patience": course.patience,
        "model": start.segmenter.card.name,
    }
    return Run(slices, start.state, begun, axis, origin, record)


def _course(
    start: Start,
    axis: str,
    reference: int | Sequence[int] | None,
    first: int | None,
    last: int | None,
    direction: str,
    patience: int,
) -> Course:
    check_axis(axis)
    grid, mask = start.volume.grid, start.mask_kji
    count = grid.shape_kji[AXES.index(axis)]
    if count == 1:
        raise SessionError(f"The volume has one slice along {axis}; propagate along another axis.")
    if direction not in DIRECTIONS:
        raise SessionError(f"There is no direction '{direction}'; choose both, up or down.")
    if int(patience) != patience or patience < 1:
        raise SessionError("The patience is a number of slices, at least 1.")
    low = 0 if first is None else check_slice(axis, first, grid)
    high = count - 1 if last is None else check_slice(axis, last, grid)
    if low > high:
        raise SessionError(f"The first slice, {low}, lies behind the last, {high}; exchange them.")
    if not mask[start.extent.slices].any():
        raise SessionError("There is no mask yet; draw or click the object in one slice, then propagate.")
    if reference is None:
        references = _references(start, axis, low, high)
        if not references:
            raise SessionError(f"The mask is empty in slices {low} to {high}; draw the object in one of them first.")
    else:
        asked = [reference] if np.ndim(reference) == 0 else list(reference)
        references = tuple(sorted({check_slice(axis, index, grid) for index in asked}))
        if not references:
            raise SessionError("No reference slice is given; name one, or leave it out.")
    for index in references:
        if not low <= index <= high:
            raise SessionError(f"The reference slice {index} lies outside the range {low} to {high}; widen the range.")
        if not plane_of(mask, axis, index).any():
            raise SessionError(f"The mask is empty in slice {index}, so there is nothing to follow; draw it first.")
    return Course(axis, references, low, high, direction, int(patience))


def _references(start: Start, axis: str, low: int, high: int) -> tuple[int, ...]:
    """The agreed slices of the range that hold the object; where there is none, the slice with most voxels."""
    agreed = sorted(index for other, index in start.state.agreed if other == axis and low <= index <= high)
    agreed = [index for index in agreed if plane_of(start.mask_kji, axis, index).any()]
    areas = areas_of(start.mask_kji, start.extent, axis)
    inside = {index: area for index, area in areas.items() if low <= index <= high}
    return tuple(agreed) or ((max(inside, key=inside.__getitem__),) if inside else ())


def areas_of(mask_kji: np.ndarray, extent: Box, axis: str) -> dict[int, int]:
    """Voxels in each slice that has any, by ascending index. extent: a box outside which the mask is empty."""
    along = AXES.index(axis)
    counts = np.count_nonzero(mask_kji[extent.slices], axis=tuple(other for other in range(3) if other != along))
    return {int(place) + extent.start_kji[along]: int(counts[place]) for place in np.flatnonzero(counts)}


def in_time(earlier: Start, later: Start, policy: str | None = None) -> Run:
    """Every slice along k of the earlier time point's mask, followed into the later one. Raises SessionError."""
    if not earlier.volume.grid.same_as(later.volume.grid):
        raise SessionError("The two time points do not lie on the same grid; resample one of them first.")
    indices = tuple(areas_of(earlier.mask_kji, earlier.extent, "k"))
    if not indices:
        raise SessionError("There is no mask yet; draw or click the object at this time point, then propagate.")
    memory = later.memory(policy)
    then = Stack(earlier.volume, earlier.mask_kji, "k", {})
    now = Stack(later.volume, later.mask_kji, "k", later.state.marks)
    slices = propagate_in_time(then, now, indices, earlier.state.slices, memory, later.segmenter, later.number)
    record = {"do": "follow", "policy": policy, "model": later.segmenter.card.name}
    return Run(slices, later.state, {}, "k", "followed from the time point before", record)


def again(start: Start, record: Mapping[str, Any]) -> Run:
    """The propagation of a line in the journal. Raises SessionError, PromptError, KeyError, TypeError or ValueError for
    a line that is none."""
    if record["do"] == "propagate":
        names = ("axis", "reference", "first", "last", "direction", "policy", "patience")
        return along(start, **{name: record[name] for name in names})
    prompt = from_record(record["prompt"])
    if not isinstance(prompt, MaskPrompt) or prompt.shape_kji != start.volume.shape_kji:
        raise ValueError("a propagation in time ends in a mask of the volume")
    marks = [
        (check_slice("k", index, start.volume.grid), SliceMark(float(confidence), False, bool(present), start.number))
        for index, confidence, present in record["marks"]
    ]
    slices = _written_down(start, prompt, marks, start.memory(record["policy"]))
    kept = {"do": "follow", "policy": record["policy"], "model": record["model"]}
    return Run(slices, start.state, {}, "k", prompt.origin, kept)


def _written_down(
    start: Start, prompt: MaskPrompt, marks: Sequence[tuple[int, SliceMark]], memory: SliceMemory | None
) -> Iterator[Followed]:
    whole = np.zeros(start.volume.shape_kji, np.uint8)
    whole[prompt.box.slices] = prompt.values
    stack, bank = Stack(start.volume, start.mask_kji, "k", {}), memory
    for index, mark in marks:
        change = slice_change(start.mask_kji, "k", index, whole[index])
        if whole[index].any() and bank is not None:
            plane = stack.with_mask(index, whole[index])
            bank = bank.remember(entry_of(start.volume, "k", plane, start.segmenter, mark.confidence))
        yield Followed(SliceStep("k", index, change, mark.confidence, mark.present), mark, bank)
