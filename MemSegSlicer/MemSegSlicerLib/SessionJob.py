"""What the worker does for one user action: no MRML in here, only what was read from the scene before the job began."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import memseg
from memseg.errors import MemSegError
from memseg.geometry import AXES, Box
from memseg.guard import Guard
from memseg.history import Step
from memseg.journal import Journal
from memseg.memory.slices import SliceEntry
from memseg.propagation import SliceMark
from memseg.segmenters.base import Numbered
from memseg.session import Session
from memseg.slice_review import Suggestion
from memseg.volume import MaskChange, Volume

from .Edits import catchUp, stepsDone
from .Images import Image
from .Lattice import SegmentVoxels
from .Understanding import Understanding

Act = Callable[[Session], MaskChange | None]


@dataclass(frozen=True)
class SessionView:
    """What a panel shows of a session, taken when the worker was done with it.

    prompts: oldest first. remembered: numbers of the prompts in the interaction memory, oldest first. leaned, note,
    marks, slices, modality: see memseg.session.Session; marks by axis and index. voxels: size of the mask. filled: by
    axis, the indices of the slices that hold a part of it. suggestion: the slice whose correction would help most; None
    during a propagation, and where none is marked. understood: what was made of the words, where those were the last
    that was done. last: the step that would be undone.
    """

    model: str
    prompts: tuple[Numbered, ...] = ()
    remembered: tuple[int, ...] = ()
    memoryCapacity: int = 0
    leaned: tuple[tuple[int, float], ...] = ()
    canUndo: bool = False
    canRedo: bool = False
    voxels: int = 0
    note: str = ""
    marks: Mapping[tuple[str, int], SliceMark] = field(default_factory=dict)
    filled: Mapping[str, frozenset[int]] = field(default_factory=dict)
    slices: tuple[SliceEntry, ...] = ()
    sliceCapacity: int = 0
    suggestion: Suggestion | None = None
    understood: Understanding | None = None
    modality: str = ""
    last: Step | None = None

    @property
    def memoryCount(self) -> int:
        return len(self.remembered)

    def marksAlong(self, axis: str) -> dict[int, SliceMark]:
        """By index."""
        return {index: mark for (other, index), mark in self.marks.items() if other == axis}

    @classmethod
    def of(cls, session: Session) -> SessionView:
        crop = session.mask_kji[session.extent.slices]
        marks = {(axis, index): mark for axis in AXES for index, mark in session.marks(axis).items()}
        return cls(
            model=session.model,
            prompts=session.prompts,
            remembered=tuple(entry.number for entry in session.memory),
            memoryCapacity=session.memory.capacity,
            leaned=session.leaned,
            canUndo=session.can_undo,
            canRedo=session.can_redo,
            voxels=int(np.count_nonzero(crop)),
            note=session.note,
            marks=marks,
            filled=_filled(crop, session.extent),
            slices=tuple(session.slices),
            sliceCapacity=session.slices.capacity,
            suggestion=session.suggest_slice() if marks and not session.is_propagating else None,
            understood=Understanding.of(session),
            modality=session.modality,
            last=session.history.done[-1] if session.can_undo else None,
        )


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of an action. wasEdited: the segment held another mask, which entered the session first. steps: how
    many the session had done before the action, and after it. error: why it failed, if it did; the session may have
    been made all the same."""

    session: Session | None
    view: SessionView | None
    change: MaskChange | None = None
    wasEdited: bool = False
    steps: tuple[int, int] = (0, 0)
    error: MemSegError | None = None


@dataclass(frozen=True, eq=False)
class SessionJob:
    """One user action on one session.

    session: the one there is, or None. stored: a session saved with the scene, to be used where there is none. edited:
    the segment's voxels where they may differ from the session's mask, None where they cannot. step, isClipped: how
    they came to be, see Edits.catchUp. act: what the user asked for, None to only bring the session up to date. guard:
    outside it the act changes no voxel. modality: what the user said of the image, "" where nothing.
    """

    image: Image
    session: Session | None
    stored: Callable[[], bytes] | None
    edited: SegmentVoxels | None
    act: Act | None
    model: str | None
    device: str
    journalFolder: Path | None = None
    guard: Guard | None = None
    modality: str = ""
    step: int | None = None
    isClipped: bool = False

    def __call__(self) -> Outcome:
        session, change, wasEdited, before, failure = self.session, None, False, None, None
        try:
            session = self._sessionOn(self.image.volume())
            session.keep_within(self.guard)
            if self.modality:
                session.tell_modality(self.modality)
            if self.edited is not None:
                wasEdited = catchUp(session, *self.edited.crop(), self.step, self.isClipped)
            before = stepsDone(session)
            change = self.act(session) if self.act is not None else None
        except MemSegError as error:
            failure = error
        view = SessionView.of(session) if session is not None else None
        after = stepsDone(session) if session is not None else 0
        steps = (after if before is None else before, after)
        return Outcome(session, view, change, wasEdited, steps, failure)

    def _sessionOn(self, volume: Volume) -> Session:
        if self.session is not None and self.session.volume is volume:
            return self.session
        session = self._madeOn(volume)
        if self.journalFolder is not None:
            path = self.journalFolder / f"{volume.fingerprint[:12]}-{uuid.uuid4().hex[:8]}.journal"
            session.keep_journal(Journal.begin(path, volume, session.model, session.uses_memory))
        return session

    def _madeOn(self, volume: Volume) -> Session:
        """From the session there was, if it fits, or the one stored with the scene; else a new one."""
        known = self.session
        if known is None and self.stored is not None:
            return Session.from_bytes(self.stored(), volume, device=self.device)
        session = memseg.new_session(volume, known.model if known is not None else self.model, self.device)
        if known is not None and known.volume.shape_kji == volume.shape_kji:
            session.restore(known.history, known.extent, known.mask_kji[known.extent.slices].copy())
        return session


def _filled(crop: np.ndarray, extent: Box) -> dict[str, frozenset[int]]:
    """By axis, the indices of the volume's slices that hold a voxel of the crop at the extent."""
    columns = crop.any(axis=0)
    held = (crop.any(axis=(1, 2)), columns.any(axis=1), columns.any(axis=0))
    return {
        axis: frozenset((np.flatnonzero(found) + start).tolist())
        for axis, found, start in zip(AXES, held, extent.start_kji)
    }
