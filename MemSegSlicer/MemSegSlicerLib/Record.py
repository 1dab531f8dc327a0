"""What the controller keeps of each session, and what it shows of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from memseg.segmenters.base import Numbered
from memseg.session import Session

from .SessionJob import Act, SessionView
from .Target import Target


@dataclass(frozen=True)
class SessionState:
    """What a panel shows. prompts: oldest first. leaned: (prompt number, share) of the remembered prompts that the mask
    leaned on, shares 0 to 1. milliseconds: from the last prompt to its mask, None before the first. voxels: size of the
    mask. note: what the model had to say beside its last answer; error: the last thing that went wrong; a sentence
    each, or ""."""

    model: str
    prompts: tuple[Numbered, ...] = ()
    memoryCount: int = 0
    memoryCapacity: int = 0
    leaned: tuple[tuple[int, float], ...] = ()
    canUndo: bool = False
    canRedo: bool = False
    milliseconds: float | None = None
    busy: bool = False
    voxels: int = 0
    note: str = ""
    error: str = ""


@dataclass(eq=False)
class Record:
    """All that is known of one (volume, segment).

    stamp: the target's when its voxels were last the session's mask; None: look again. restorable: a session stored in
    the scene may be tried. storingSeconds: what turning the session into bytes took last. gone: the target was deleted;
    what its running job finds out is dropped.
    """

    target: Target
    session: Session | None = None
    view: SessionView | None = None
    stamp: tuple | None = None
    milliseconds: float | None = None
    restorable: bool = True
    unsaved: bool = False
    storing: bool = False
    storingSeconds: float = 0.0
    surfaceIsOld: bool = False
    gone: bool = False

    def toBytes(self) -> bytes:
        start = time.perf_counter()
        data = self.session.to_bytes()
        self.storingSeconds = time.perf_counter() - start
        return data


@dataclass(frozen=True, eq=False)
class Action:
    """what: one word for the log. act: None only brings the session up to date. isPrompt: its time is shown."""

    record: Record
    what: str
    act: Act | None
    isPrompt: bool = False
    asked: float = field(default_factory=time.perf_counter)
