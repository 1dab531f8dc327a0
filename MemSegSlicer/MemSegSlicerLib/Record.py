"""What the controller keeps of each session, and what it shows of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memseg import watching
from memseg.prompts import Text
from memseg.session import Session

from .SessionJob import Act, Outcome, SessionView
from .Target import Target

if TYPE_CHECKING:
    from .Propagation import Propagation


@dataclass(frozen=True)
class Progress:
    """How far a propagation is. done: slices answered. index: the one answered last, None before the first."""

    axis: str
    done: int
    index: int | None


@dataclass(frozen=True)
class SessionState(SessionView):
    """What a panel shows: the session, and what is being done. milliseconds: from the last prompt to its mask, None
    before the first. progress: of the propagation that runs, None without one. working: how far an answer is that takes
    long, None where there is none. stopped: the user ended the last answer before it was there. asksModality: words
    wait for the user to say which kind of image this is. report: what the last action did that does not show by itself,
    such as why a propagation stopped; error: the last thing that went wrong; a sentence each, or ""."""

    milliseconds: float | None = None
    busy: bool = False
    progress: Progress | None = None
    working: watching.Progress | None = None
    stopped: bool = False
    asksModality: bool = False
    report: str = ""
    error: str = ""

    @property
    def propagating(self) -> bool:
        return self.progress is not None


@dataclass(eq=False)
class Record:
    """All that is known of one (volume, segment).

    stamp: the target's when its voxels were last the session's mask; None: look again. report, stopped: see
    SessionState, until the next action; so unanswered: words that cannot be answered before the user has said which
    kind of image this is. restorable: a session stored in the scene may be tried. storingSeconds: what turning the
    session into bytes took last. clipped: the segment did not take all of the session's last step, and the session does
    not know yet. gone: the target was deleted; what its running job finds out is dropped.

    namedByWords: the name that the segment got from a text prompt, "" where from none. remembered: identities in the
    recall memory of what was remembered of the segment, by title. rememberedPrompts: numbers of those it had then.
    """

    target: Target
    session: Session | None = None
    view: SessionView | None = None
    stamp: tuple | None = None
    milliseconds: float | None = None
    report: str = ""
    stopped: bool = False
    unanswered: Text | None = None
    restorable: bool = True
    unsaved: bool = False
    storing: bool = False
    storingSeconds: float = 0.0
    surfaceIsOld: bool = False
    clipped: bool = False
    gone: bool = False
    namedByWords: str = ""
    remembered: dict[str, str] = field(default_factory=dict)
    rememberedPrompts: tuple[int, ...] = ()

    def beginAnew(self) -> None:
        """The user has asked for something: what was said of the last action is over."""
        self.report, self.stopped, self.unanswered = "", False, None

    def toBytes(self) -> bytes | None:
        """For the worker. None while a propagation goes on, which storing would end."""
        if self.session.is_propagating:
            return None
        start = time.perf_counter()
        data = self.session.to_bytes()
        self.storingSeconds = time.perf_counter() - start
        return data


@dataclass(frozen=True, eq=False)
class Action:
    """what: one word for the log. act: None only brings the session up to date. isPrompt: its time is shown. run: the
    propagation it is a slice of. text: the words that it answers.

    prepare, then: for the main thread. prepare: what makes the act from the scene, when the action's turn has come.
    then: called when the outcome, without an error, is in the scene; returns what to report, or "". Both may raise
    MemSegError.
    """

    record: Record
    what: str
    act: Act | None
    isPrompt: bool = False
    run: Propagation | None = None
    text: Text | None = None
    prepare: Callable[[], Act] | None = None
    then: Callable[[Outcome], str] | None = None
    asked: float = field(default_factory=time.perf_counter)

    @property
    def isAsked(self) -> bool:
        """Whether a user asked for it."""
        return self.act is not None or self.prepare is not None

    def ready(self) -> Act | None:
        """What to do, now that its turn has come."""
        return self.prepare() if self.prepare is not None else self.act
