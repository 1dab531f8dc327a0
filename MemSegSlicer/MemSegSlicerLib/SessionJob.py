"""What the worker does for one user action: no MRML in here, only what was read from the scene before the job began."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import memseg
from memseg.errors import MemSegError
from memseg.geometry import Box
from memseg.journal import Journal
from memseg.prompts import MaskPrompt
from memseg.segmenters.base import Numbered
from memseg.session import Session
from memseg.volume import MaskChange, Volume

from .Images import Image
from .Lattice import SegmentVoxels

Act = Callable[[Session], MaskChange | None]


@dataclass(frozen=True)
class SessionView:
    """What a panel shows of a session, taken when the worker was done with it. leaned, note: see
    memseg.session.Session."""

    model: str
    prompts: tuple[Numbered, ...] = ()
    memoryCount: int = 0
    memoryCapacity: int = 0
    leaned: tuple[tuple[int, float], ...] = ()
    canUndo: bool = False
    canRedo: bool = False
    voxels: int = 0
    note: str = ""

    @classmethod
    def of(cls, session: Session) -> SessionView:
        return cls(
            model=session.model,
            prompts=session.prompts,
            memoryCount=len(session.memory),
            memoryCapacity=session.memory.capacity,
            leaned=session.leaned,
            canUndo=session.can_undo,
            canRedo=session.can_redo,
            voxels=int(np.count_nonzero(session.mask_kji[session.extent.slices])),
            note=session.note,
        )


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of an action. error: why it failed, if it did; the session may have been made all the same."""

    session: Session | None
    view: SessionView | None
    change: MaskChange | None = None
    error: MemSegError | None = None


@dataclass(frozen=True, eq=False)
class SessionJob:
    """One user action on one session.

    session: the one there is, or None. stored: a session saved with the scene, to be used where there is none. edited:
    the segment's voxels where they may differ from the session's mask, None where they cannot. act: what the user asked
    for, None to only bring the session up to date.
    """

    image: Image
    session: Session | None
    stored: Callable[[], bytes] | None
    edited: SegmentVoxels | None
    act: Act | None
    model: str | None
    device: str
    journalFolder: Path | None = None

    def __call__(self) -> Outcome:
        session, change, failure = self.session, None, None
        try:
            session = self._sessionOn(self.image.volume())
            if self.edited is not None:
                takeEdit(session, *self.edited.crop())
            change = self.act(session) if self.act is not None else None
        except MemSegError as error:
            failure = error
        return Outcome(session, SessionView.of(session) if session is not None else None, change, failure)

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


def takeEdit(session: Session, box: Box, values: np.ndarray) -> None:
    """Let a mask that was edited elsewhere enter the session as a prompt, which can be undone; nothing if it is equal.

    values: uint8 0/1 at the box; outside it the mask is empty.
    """
    tight = Box.of_mask(values)
    inside = tight.shifted(box.start_kji)
    same = np.array_equal(values[tight.slices], session.mask_kji[inside.slices])
    if not same or np.count_nonzero(session.mask_kji[session.extent.slices]) != np.count_nonzero(values):
        session.add(MaskPrompt(session.volume.shape_kji, inside, values[tight.slices]))
