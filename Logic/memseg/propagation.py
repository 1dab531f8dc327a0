"""An object followed from slice to slice: where to go, when to stop, what to keep. Nothing here changes anything.

`fronts` says which slices are filled from which agreed ones; `propagate` walks them, the fronts taking turns, and
yields what each slice should become. Whoever applies that (the session) may stop between any two slices.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .geometry import AXES, Box
from .guard import Guard
from .memory.slices import Recalled, SliceEntry, SliceFeatures, SliceMemory
from .segmenters.slice_base import Plane, SliceSegmenter, place_of, plane_of
from .volume import MaskChange, Volume

PATIENCE = 2
AGREED_PROMINENCE = 2.0
_STRAYING = 2.0  # see `carried`
_LOST = 0.05  # an expected Dice below which an open side is followed no further
DIRECTIONS = ("both", "up", "down")
Key = tuple[str, int]  # axis, index


@dataclass(frozen=True)
class SliceMark:
    """What is known of one slice.

    confidence: 0 to 1, in its mask or, where the object is not present, in that. agreed: the user's, never overwritten.
    by: number of the prompt that made it so, 0 where the user agreed outright.
    """

    confidence: float
    agreed: bool = False
    present: bool = True
    by: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1 or self.by < 0:
            raise ValueError("A slice's confidence is 0 to 1, and prompts are numbered from 1.")
        for name, kind in (("confidence", float), ("agreed", bool), ("present", bool), ("by", int)):
            object.__setattr__(self, name, kind(getattr(self, name)))


@dataclass(frozen=True)
class Course:
    """What a propagation was asked for: from the reference slices, within first to last, both included.

    direction: "up" towards higher indices, "down" or "both". patience: successive slices without the object after which
    an open side ends.
    """

    axis: str
    references: tuple[int, ...]
    first: int
    last: int
    direction: str = "both"
    patience: int = PATIENCE

    def __post_init__(self) -> None:
        if self.axis not in AXES or self.direction not in DIRECTIONS or self.patience < 1:
            raise ValueError("A course has an axis, a direction and a patience of at least one slice.")
        if not self.references or not all(self.first <= index <= self.last for index in self.references):
            raise ValueError("A course starts from slices within its range.")


@dataclass(frozen=True)
class Front:
    """One side of an agreed slice, `start`.

    slices: in the order in which they are filled. beyond: the agreed slice at the far end, or None. closed: that one
    holds the object too, so that it must be in between.
    """

    start: int
    slices: range
    beyond: int | None = None
    closed: bool = False


@dataclass(frozen=True, eq=False)
class SliceStep:
    """One slice of a propagation: what changed in the mask there, and how sure that is. present: whether the object is
    in the slice. stopped: why its side of the propagation ended here, a sentence, or "". note: what the segmenter had
    to say beside."""

    axis: str
    index: int
    change: MaskChange
    confidence: float
    present: bool = True
    stopped: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Followed:
    """A step, the mark its slice gets, and slice memory after it; None where nothing is remembered."""

    step: SliceStep
    mark: SliceMark
    memory: SliceMemory | None


# -- where to go -----------------------------------------------------------------------------------------------------


def fronts(course: Course, agreed: Mapping[int, bool]) -> tuple[Front, ...]:
    """Where a course leads. agreed: the index of every agreed slice on the axis, and whether it holds the object.

    A gap between two that hold it is filled from both ends to the middle, unless one lies outside the range or one
    direction alone was asked for.
    """
    holding = {**agreed, **dict.fromkeys(course.references, True)}
    known = sorted(holding)
    found: dict[tuple[int, int], Front] = {}  # by start and sign, because neighbouring references share a gap
    for reference in sorted(set(course.references)):
        after, before = bisect_right(known, reference), bisect_left(known, reference) - 1
        ahead, behind = known[after] if after < len(known) else None, known[before] if before >= 0 else None
        for far, sign in ((ahead, 1), (behind, -1)):
            if course.direction == ("down" if sign > 0 else "up"):
                continue
            closed = far is not None and holding[far]
            if closed and course.direction == "both" and course.first <= far <= course.last:
                low, high = min(reference, far), max(reference, far)
                middle = (low + high) // 2
                found.setdefault((low, 1), Front(low, range(low + 1, middle + 1), high, True))
                found.setdefault((high, -1), Front(high, range(high - 1, middle, -1), low, True))
            else:
                found.setdefault((reference, sign), Front(reference, _side(course, reference, far, sign), far, closed))
    return tuple(front for front in found.values() if len(front.slices))


def _side(course: Course, start: int, far: int | None, sign: int) -> range:
    """From beside the start to the range's end, or to before the agreed slice at the far end."""
    if sign > 0:
        return range(start + 1, min(course.last + 1, course.last + 1 if far is None else far))
    return range(start - 1, max(course.first - 1, course.first - 1 if far is None else far), -1)


def cut_off(course: Course, agreed: Mapping[int, bool]) -> tuple[int, ...]:
    """Slices that an agreed slice without the object parts from the references, as far as the next agreed one.

    agreed: as for `fronts`. Where that next one holds the object, they may be its own, and are left out.
    """
    known, found = sorted(agreed), []
    for reference in sorted(set(course.references)):
        for sign in (1, -1):
            side = sorted((index for index in known if (index - reference) * sign > 0), key=lambda index: index * sign)
            if course.direction == ("down" if sign > 0 else "up") or not side or agreed[side[0]]:
                continue
            if len(side) > 1 and agreed[side[1]]:
                continue
            end = (course.last if sign > 0 else course.first) if len(side) < 2 else side[1] - sign
            found += range(side[0] + sign, end + sign, sign)
    return tuple(dict.fromkeys(found))


# -- one slice after the other ----------------------------------------------------------------------------------------


def propagate(
    volume: Volume,
    mask_kji: np.ndarray,
    course: Course,
    marks: Mapping[Key, SliceMark],
    memory: SliceMemory | None,
    segmenter: SliceSegmenter,
    number: int = 0,
    guard: Guard | None = None,
) -> Iterator[Followed]:
    """Follow the object along a course. memory: None where nothing is remembered or recalled.

    mask_kji: (K, J, I) uint8 0/1, only read; each change is to be written there before the next slice is asked for.
    number: of the prompt that this will be, for the marks.
    """
    stack = Stack(volume, mask_kji, course.axis, marks, course.references, guard)
    walks = [
        _Walk(front, stack.plane(front.start), list(reversed(front.slices))) for front in fronts(course, stack.agreed)
    ]
    tracker = _Tracker(stack, segmenter, number, memory)
    tracker.begin(walks, course.references)
    yield from tracker.emptied(cut_off(course, stack.agreed), SliceMark(1.0, False, False, number))
    while walks:
        for walk in tuple(walks):
            index = walk.left.pop()
            followed = tracker.follow(walk, index)
            stopped = _why_stopped(walk, course, index, stack.count)
            yield replace(followed, step=replace(followed.step, stopped=stopped))
            if stopped:
                walks.remove(walk)
                yield from tracker.emptied(walk.left[::-1], followed.mark)


@dataclass(eq=False)
class _Walk:
    """A front on its way. left: the slices to come, the next one last. recent: the entries it left behind, oldest
    first. absent: slices in a row without the object. sure: 0 to 1, of the mask of `previous`."""

    front: Front
    previous: Plane
    left: list[int]
    recent: tuple[SliceEntry, ...] = ()
    absent: int = 0
    sure: float = 1.0


class Stack:
    """The slices of a volume along one axis. agreed: index of every agreed one, and whether it holds the object."""

    def __init__(
        self,
        volume: Volume,
        mask_kji: np.ndarray,
        axis: str,
        marks: Mapping[Key, SliceMark],
        references: Sequence[int] = (),
        guard: Guard | None = None,
    ) -> None:
        self.volume, self.mask_kji, self.axis, self.marks, self.guard = volume, mask_kji, axis, marks, guard
        self.count = volume.shape_kji[AXES.index(axis)]
        indices = {index for (other, index), mark in marks.items() if mark.agreed and other == axis} | set(references)
        self.agreed = {index: bool(plane_of(mask_kji, axis, index).any()) for index in sorted(indices)}
        self._indices = list(self.agreed)
        self._crossing = [key for key, mark in marks.items() if mark.agreed and key[0] != axis]
        self._planes: dict[int, Plane] = {}

    def plane(self, index: int) -> Plane:
        """An agreed slice as it is."""
        if index not in self._planes:
            self._planes[index] = self.with_mask(index, plane_of(self.mask_kji, self.axis, index).copy())
        return self._planes[index]

    def with_mask(self, index: int, mask: np.ndarray) -> Plane:
        image = plane_of(self.volume.array_kji, self.axis, index)
        return Plane(index, image, mask, place_of(self.volume.grid, self.axis, index))

    def anchors(self, index: int) -> tuple[Plane, ...]:
        """The nearest agreed slice on either side of one that is not agreed."""
        place = bisect_left(self._indices, index)
        return tuple(self.plane(near) for near in self._indices[max(0, place - 1) : place + 1])

    def changed_to(self, index: int, mask: np.ndarray) -> tuple[MaskChange, np.ndarray]:
        """The change after which a slice is `mask`, and what it is then: agreed slices that cross it, and
        all outside the guard, stay as they are."""
        along = AXES.index(self.axis)
        box = slice_box(self.mask_kji.shape, self.axis, index)
        after = spared(self.mask_kji, box, np.expand_dims(mask, along), self._crossing)
        if self.guard is not None:
            after = self.guard.kept(self.mask_kji, box, after)
        after = np.squeeze(after, along)
        return slice_change(self.mask_kji, self.axis, index, after), after


def slice_box(shape_kji: tuple[int, int, int], axis: str, index: int) -> Box:
    along = AXES.index(axis)
    start, stop = [0, 0, 0], list(shape_kji)
    start[along], stop[along] = index, index + 1
    return Box(tuple(start), tuple(stop))


def slice_change(mask_kji: np.ndarray, axis: str, index: int, mask: np.ndarray) -> MaskChange:
    """What making a slice the plane `mask` would change."""
    box = slice_box(mask_kji.shape, axis, index)
    return MaskChange.between(mask_kji, box, np.expand_dims(mask, AXES.index(axis)))


def spared(mask_kji: np.ndarray, box: Box, after: np.ndarray, keys: Iterable[Key]) -> np.ndarray:
    """The crop `after` at `box` with the slices of `keys` as they are in the mask."""
    keys = [(axis, index) for axis, index in keys if 0 <= index - box.start_kji[AXES.index(axis)] < _extent(box, axis)]
    if not keys:
        return after
    after, now = after.copy(), mask_kji[box.slices]
    for axis, index in keys:
        place = index - box.start_kji[AXES.index(axis)]
        plane_of(after, axis, place)[:] = plane_of(now, axis, place)
    return after


def _extent(box: Box, axis: str) -> int:
    return box.shape_kji[AXES.index(axis)]


class _Tracker:
    """Asks the segmenter for slices, and remembers them."""

    def __init__(self, stack: Stack, segmenter: SliceSegmenter, number: int, memory: SliceMemory | None) -> None:
        self._stack, self._segmenter, self._number = stack, segmenter, number
        self.memory = memory

    def begin(self, walks: Sequence[_Walk], references: Sequence[int]) -> None:
        """Remember where the walks start, and forget the slices that they will fill anew."""
        if self.memory is None:
            return
        axis, model = self._stack.axis, self._segmenter.card.name
        self.memory = self.memory.without_followed({(axis, index) for walk in walks for index in walk.left})
        for index in dict.fromkeys([*references, *(walk.front.start for walk in walks)]):
            held, is_reference = self.memory.get(axis, index), index in references
            if held is None or held.model != model or not held.agreed or held.reference < is_reference:
                plane = self._stack.plane(index)
                entry = agreed_entry(self._stack.volume, axis, plane, self._segmenter, is_reference)
                self.memory = self.memory.remember(entry)

    def follow(self, walk: _Walk, index: int) -> Followed:
        """The next slice of a walk, which takes note of it."""
        followed, plane, entry = self.answered(walk.previous, index, self._recalled(walk, index), walk.sure)
        walk.sure = followed.mark.confidence if followed.mark.present else walk.sure
        walk.absent = 0 if followed.mark.present else walk.absent + 1
        walk.previous = plane or walk.previous
        if entry is not None:
            walk.recent = (*walk.recent, entry)[max(0, len(walk.recent) + 1 - self.memory.recent_capacity) :]
        return followed

    def answered(
        self, previous: Plane, index: int, recalled: Recalled, sure: float = 1.0
    ) -> tuple[Followed, Plane | None, SliceEntry | None]:
        """A slice followed from a plane; its own plane, unless it is empty; what is remembered of that. sure: 0 to 1,
        of the plane it is followed from."""
        stack, segmenter = self._stack, self._segmenter
        answer = segmenter.follow(stack.volume, stack.axis, index, previous, stack.anchors(index), recalled)
        found = answer.mask if answer.present >= 0.5 else np.zeros_like(answer.mask)
        confidence = carried(sure, answer.confidence) if found.any() else float(1 - answer.present)
        change, after = stack.changed_to(index, found)
        present, entry = bool(after.any()), None  # an agreed slice that crosses this one may say that it is there
        shown, own = stack.with_mask(index, after), answer.features if np.array_equal(after, answer.mask) else None
        if self.memory is not None and (present or own is not None):
            entry = entry_of(stack.volume, stack.axis, shown, segmenter, confidence, own)
            self.memory = self.memory.remember(entry) if present else self.memory
        step = SliceStep(stack.axis, index, change, confidence, present, note=answer.note)
        mark, plane = SliceMark(confidence, False, present, self._number), shown if present else None
        return Followed(step, mark, self.memory), plane, entry

    def _recalled(self, walk: _Walk, index: int) -> Recalled:
        if self.memory is None:
            return Recalled()
        stack, known = self._stack, self.memory.of(self._stack.axis, self._segmenter.card.name)
        query = None
        if known.asks:
            seen = stack.with_mask(index, walk.previous.mask)
            query = self._segmenter.features(stack.volume, stack.axis, seen).keys
        recalled = known.recall(query, place_of(stack.volume.grid, stack.axis, index), index)
        return replace(recalled, recent=walk.recent)

    def emptied(self, indices: Iterable[int], last: SliceMark) -> Iterator[Followed]:
        """What an earlier propagation left in slices beyond the object's end goes. last: the mark of the end."""
        stack = self._stack
        for index in () if last.present else indices:
            mark, now = stack.marks.get((stack.axis, index)), plane_of(stack.mask_kji, stack.axis, index)
            if mark is None or mark.agreed or not now.any():
                continue
            change, _ = stack.changed_to(index, np.zeros_like(now))
            yield Followed(SliceStep(stack.axis, index, change, last.confidence, False), last, self.memory)


def propagate_in_time(
    earlier: Stack,
    later: Stack,
    indices: Sequence[int],
    known: SliceMemory,
    memory: SliceMemory | None,
    segmenter: SliceSegmenter,
    number: int = 0,
) -> Iterator[Followed]:
    """Follow slices that hold the object at one time point, ascending, into the next: from the middle one outward.

    earlier, later: stacks along one axis of the two volumes, on one grid. known: slice memory of the earlier time
    point; memory: of the later one, None where nothing is remembered or recalled.
    """
    tracker = _Tracker(later, segmenter, number, memory)
    grid, model, recent = later.volume.grid, segmenter.card.name, ()
    middle = indices[len(indices) // 2]
    for index in sorted(indices, key=lambda index: (abs(index - middle), index < middle)):
        if index in later.agreed:
            continue
        previous = earlier.plane(index)
        recalled = Recalled()
        if memory is not None:
            entry = entry_of(earlier.volume, earlier.axis, previous, segmenter, 1.0)
            recent = (*recent, entry)[-max(1, memory.recent_capacity) :]
            bank = known.of(earlier.axis, model)
            query = entry.features.keys if bank.asks else None
            recalled = replace(bank.recall(query, place_of(grid, later.axis, index), index), recent=recent)
        followed, _, _ = tracker.answered(previous, index, recalled)
        yield followed


def carried(before: float, confidence: float) -> float:
    """The Dice to expect of a mask that is followed with a confidence from one of which so much is to be expected: what
    goes astray in one slice goes on in the next. On followed training objects a step of confidence 0.9 kept 0.98 of
    what was right, one of 0.75 about 0.87."""
    return before * max(0.0, 1 - _STRAYING * (1 - confidence) ** 2)


def _why_stopped(walk: _Walk, course: Course, index: int, count: int) -> str:
    """Why a walk ends after a slice: a sentence, or "" where it goes on."""
    front = walk.front
    if walk.absent >= course.patience and not front.closed:
        beside = index - (walk.absent - 1) * front.slices.step
        where = f"slice {index}" if walk.absent == 1 else f"slices {min(index, beside)} to {max(index, beside)}"
        return f"The object ends at slice {walk.previous.index}: it is not in {where}."
    if walk.sure < _LOST and not front.closed:
        return f"The object is lost at slice {index}: correct a slice before it, and propagate again from there."
    if walk.left:
        return ""
    if front.closed and course.first <= front.beyond <= course.last:
        return f"The gap between slices {front.start} and {front.beyond} is filled."
    if front.beyond == index + front.slices.step:
        return f"Slice {front.beyond} is agreed{'' if front.closed else ' not to hold the object'}."
    return "The volume ends here." if index in (0, count - 1) else f"The range ends at slice {index}."


def entry_of(
    volume: Volume,
    axis: str,
    plane: Plane,
    segmenter: SliceSegmenter,
    confidence: float,
    features: SliceFeatures | None = None,
    **more: float | bool,
) -> SliceEntry:
    """What is remembered of a plane: its features, or else, where its mask is not empty, what the segmenter makes of
    it."""
    features = features or segmenter.features(volume, axis, plane)
    return SliceEntry(axis, plane.index, plane.place_mm, segmenter.card.name, features, confidence, **more)


def agreed_entry(
    volume: Volume, axis: str, plane: Plane, segmenter: SliceSegmenter, reference: bool = False
) -> SliceEntry:
    return entry_of(volume, axis, plane, segmenter, 1.0, prominence=AGREED_PROMINENCE, agreed=True, reference=reference)
