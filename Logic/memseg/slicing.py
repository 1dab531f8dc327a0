"""What a session does slice by slice. Session is the door: it owns mask, state and history, which change here only
through its `_commit` and `_apply`, and while a propagation runs also its `_state` and `_note`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import ref

from . import catalog, slice_run, slice_work
from .build import build_slices
from .errors import SessionError
from .history import State
from .prompts import MaskPrompt
from .propagation import SliceStep, Stack
from .segmenters.base import Numbered
from .segmenters.slice_base import SliceSegmenter
from .slice_review import Suggestion, consistent, suggest
from .slice_run import Run, Start, Steps
from .volume import MaskChange

if TYPE_CHECKING:
    from .session import Session


class Slicing:
    """See the module. segmenter: None takes one when it is first needed: that of `prefer`, or the session's own model
    where it follows slices too, or the default."""

    def __init__(self, session: Session, segmenter: SliceSegmenter | None, device: str) -> None:
        self._owner = ref(session)  # a session and its mask are let go of at once, not when the collector comes by
        self._segmenter = segmenter  # what was asked for
        self._built: SliceSegmenter | None = None  # what does where nothing was
        self._preferred: str | None = None
        self._device = device
        self._run: Run | None = None

    @property
    def _session(self) -> Session:
        return self._owner()

    @property
    def is_running(self) -> bool:
        return self._run is not None

    @property
    def segmenter(self) -> SliceSegmenter:
        chosen = self._chosen
        if chosen is None:
            known = self._preferred in [card.name for card in catalog.slice_cards() if catalog.can_be_built(card)]
            chosen = self._built = build_slices(self._preferred if known else None, self._device)
        return chosen

    @property
    def _chosen(self) -> SliceSegmenter | None:
        """What is known without building anything."""
        if self._segmenter is None and self._preferred is None and self._session._segmenter.card.banks:
            return self._session._segmenter
        return self._segmenter or self._built

    @property
    def model(self) -> str | None:
        """The segmenter's name; None where none was needed or preferred so far."""
        return self._preferred if self._chosen is None else self._chosen.card.name

    def prefer(self, name: str | None) -> None:
        """Which segmenter to build, if it can be built here, when one is needed that was not asked for. None: the
        session's model, where it follows slices."""
        self._preferred, self._built = name, None

    @property
    def remembering(self) -> Callable[[], SliceSegmenter] | None:
        """What gives the segmenter that remembers a slice; None where nothing is remembered."""
        return (lambda: self.segmenter) if self._session.uses_memory else None

    # -- propagation ---------------------------------------------------------------------------------------------

    def propagate(
        self,
        axis: str,
        reference: int | Sequence[int] | None,
        first: int | None,
        last: int | None,
        direction: str,
        policy: str | None,
        patience: int,
        into: Session | None,
    ) -> Steps:
        """See Session.propagate."""
        target = self if into is None else into.slicing
        if self.is_running or target.is_running:
            raise SessionError("A propagation is running; stop it, or let it end, before you start another.")
        if (axis == "t") != (into is not None) or into is self._session:
            raise SessionError("The axis t leads into the session of another time point; give both, or neither.")
        note = "" if target.model else catalog.note_on_slices()
        if into is not None:
            run = slice_run.in_time(self._start(), target._start(), policy)
        else:
            run = slice_run.along(self._start(), axis, reference, first, last, direction, policy, patience)
        target._session._note = note
        return target._begin(run)

    def repeat(self, record: Mapping[str, Any]) -> None:
        """Take the steps of a line in the journal again."""
        self.use(record["model"])
        steps = self._begin(slice_run.again(self._start(), record))
        for _ in range(record["steps"]) if "steps" in record else record["marks"]:
            if next(steps, None) is None:
                raise SessionError("the propagation ends earlier than it did")
        steps.close()

    def use(self, name: str | None) -> None:
        """Follow slices with the segmenter of that name from now on, as when the journal was written; None:
        whichever."""
        chosen = self._chosen
        if name is None or (chosen is not None and chosen.card.name == name):
            return
        segmenter = build_slices(name, self._device)
        if self._segmenter is None and not self._session._segmenter.card.banks:
            self._built = segmenter
        else:
            self._segmenter = segmenter

    def _start(self) -> Start:
        session = self._session
        return Start(
            session.volume,
            session.mask_kji,
            session.extent,
            session._state,
            self.segmenter,
            session._next_number,
            session.uses_memory,
            session.guard,
        )

    def _begin(self, run: Run) -> Steps:
        self._run, session = run, self._session
        return Steps(lambda: session.slicing._take(run), lambda: session.slicing._end(run))

    def _take(self, run: Run) -> SliceStep | None:
        """The next step of a propagation; None when it has ended, by itself or by whatever was done since."""
        if run is not self._run:
            return None
        try:
            followed = next(run.slices, None)
        except BaseException:
            self._end(run)
            raise
        if followed is None:
            self._end(run)
            return None
        self._session._apply(followed.step.change)
        run.take(followed)
        self._session._state = run.state
        self._session._note = followed.step.note or self._session._note
        return followed.step

    def end(self) -> None:
        """End the propagation that is running, if any, keeping what it has done."""
        if self._run is not None:
            self._end(self._run)

    def _end(self, run: Run) -> None:
        """Commit what a propagation has done; where the journal refuses that, nothing of it stays."""
        if run is not self._run:
            return
        self._run, session = None, self._owner()
        if session is None:  # let go of together with the propagation: there is nothing left to keep it in
            return
        session._state = run.before
        if not run.taken:
            return
        total, prompt = run.total(session.mask_kji), self._prompt(run.origin, MaskChange.nothing())
        crossing = {key for key in slice_work.changed_slices(total) if key[0] != run.axis}
        after = slice_work.unsettled(self._with_prompt(run.state, prompt), crossing, session.mask_kji, total)
        try:
            session._commit(total, after, run.line(prompt))
        except BaseException:
            session._apply(total.inverse)
            raise

    # -- agreed slices and slice memory --------------------------------------------------------------------------

    def agree(self, axis: str, index: int) -> None:
        index = slice_work.check_slice(axis, index, self._session.volume.grid)
        self.end()
        session = self._session
        if (axis, index) in session._state.agreed:
            return
        plane = Stack(session.volume, session.mask_kji, axis, {}).plane(index)
        after = slice_work.agreed_to(session._state, session.volume, plane, axis, self.remembering)
        self._settle(after, {"do": "agree", "axis": axis, "index": index, "model": self.model})

    def release(self, axis: str, index: int) -> None:
        index = slice_work.check_slice(axis, index, self._session.volume.grid)
        self.end()
        after = slice_work.released(self._session._state, axis, index)
        self._settle(after, {"do": "release", "axis": axis, "index": index})

    def pin(self, axis: str, index: int, on: bool) -> None:
        slices = self._holding(axis, index).slices.pinned(axis, index, bool(on))
        record = {"do": "pin_slice", "axis": axis, "index": int(index), "on": bool(on)}
        self._settle(replace(self._session._state, slices=slices), record)

    def drop(self, axis: str, index: int) -> None:
        slices = self._holding(axis, index).slices.without(axis, index)
        record = {"do": "drop_slice", "axis": axis, "index": int(index)}
        self._settle(replace(self._session._state, slices=slices), record)

    def clear(self) -> None:
        self.end()
        state = self._session._state
        self._settle(replace(state, slices=state.slices.cleared()), {"do": "clear_slices"})

    def change_model(self, name: str | None) -> None:
        segmenter = None if name is None else build_slices(name, self._device)
        self.end()
        self._session._write({"do": "change_slice_model", "name": name})
        self._segmenter = segmenter
        self.prefer(None)

    def change_device(self, device: str) -> None:
        """Compute there from now on."""
        self._preferred, self._segmenter, self._device = self.model, None, device

    def _holding(self, axis: str, index: int) -> State:
        """The state, once it is known that slice memory holds a slice."""
        self.end()
        if self._session._state.slices.get(axis, index) is None:
            raise SessionError(f"Slice memory holds no slice {index} along {axis}; choose one that it lists.")
        return self._session._state

    def _settle(self, after: State, record: dict[str, Any]) -> None:
        """Commit what changes no voxel."""
        self._session._commit(MaskChange.nothing(), after, record)

    # -- a look at the whole -------------------------------------------------------------------------------------

    def suggest(self, axis: str) -> Suggestion | None:
        if not axis:
            return None
        slice_work.check_axis(axis)
        session = self._session
        return suggest(session.marks(axis), session.mask_kji, axis, session.volume.grid, session.extent)

    def make_consistent(self, axis: str) -> MaskChange:
        slice_work.check_axis(axis)
        self.end()
        session = self._session
        state, mask = session._state, session.mask_kji
        change = consistent(session.volume.grid, mask, axis, state.marks, session.extent)
        if session.guard is not None:
            change = session.guard.limited(change)
        if change.is_empty:
            return change
        after = slice_work.unsettled(state, slice_work.changed_slices(change), mask, change)
        after = self._with_prompt(after, self._prompt(f"made consistent along {axis}", change))
        return session._commit(change, after, {"do": "make_consistent", "axis": axis})

    def _prompt(self, origin: str, change: MaskChange) -> MaskPrompt:
        """The whole mask after a change, as a prompt that says where it comes from."""
        session = self._session
        box = session.extent.union(change.box)
        after = session.mask_kji[box.slices].copy()
        after[change.box.relative_to(box).slices] = change.after
        return MaskPrompt.within(session.volume.shape_kji, box, after, origin)

    def _with_prompt(self, state: State, prompt: MaskPrompt) -> State:
        entry = Numbered(self._session._next_number, prompt)
        return replace(state, prompts=(*state.prompts, entry), leaned=())
