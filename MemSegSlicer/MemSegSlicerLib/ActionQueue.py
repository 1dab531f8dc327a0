"""What the user does, one action at a time and in order: each a job for the worker, whose outcome goes to the segment.

A propagation is one action after the other, a slice each. It ends where anything else is to be done.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from memseg.errors import MemSegError, ModalityUnknownError, StoppedError
from memseg.watching import Progress

from .Answering import Answering
from .Edits import goBackTo
from .Propagation import GONE, IMAGE_CHANGED, SEGMENT_CHANGED, SEGMENT_EDITED, Propagation
from .Record import Action, Record
from .SessionJob import Outcome, SessionJob, SessionView
from .Worker import Worker
from .Writers import SceneWriter, Writer

log = logging.getLogger(__name__)

Pace = Callable[[Callable[[], None]], None]
DROPPED = "What you asked for last was dropped, as something else was done before it was there."
_UNEXPECTED = "Something unexpected went wrong and the mask was left as it is; the log says more."


class ActionQueue:
    """For the main thread. error: the last thing that went wrong, a sentence, or "". writer: who writes into segments.

    jobFor: makes the job of an action from the stamp of its segment; raises MemSegError where the scene forbids it.
    isThere: whether a record's nodes are still in the scene. changed: called after everything that a panel shows.
    quiet: called when there is nothing more to do. pace: is given what shows one more slice of a propagation, to call
    it on the main thread, at once or when the slices before have been drawn.
    """

    def __init__(
        self,
        worker: Worker,
        jobFor: Callable[[Action, tuple], SessionJob],
        isThere: Callable[[Record], bool],
        changed: Callable[[], None],
        quiet: Callable[[], None],
        pace: Pace,
    ) -> None:
        self._worker = worker
        self._jobFor = jobFor
        self._isThere = isThere
        self._changed = changed
        self._quiet = quiet
        self._pace = pace
        self._waiting: deque[Action] = deque()
        self._running: Action | None = None
        self._abandoned: Action | None = None
        self._answering: Answering | None = None
        self._isInHaste = False
        self._run: Propagation | None = None
        self._held: Callable[[], None] | None = None
        self.error = ""
        self.writer: Writer = SceneWriter()

    @property
    def isWorking(self) -> bool:
        return self._running is not None

    @property
    def isBusy(self) -> bool:
        return self.isWorking or bool(self._waiting)

    @property
    def run(self) -> Propagation | None:
        """The propagation that goes on."""
        return self._run

    @property
    def working(self) -> Progress | None:
        """How far the answer is that is being worked out; None where there is none that takes long."""
        return self._answering.progress if self._answering is not None else None

    def isPending(self, record: Record) -> bool:
        running = [self._running] if self._running is not None else []
        return any(action.record is record for action in (*running, *self._waiting))

    # -- adding and dropping ---------------------------------------------------------------------------------------

    def add(self, action: Action) -> None:
        """Do it when its turn comes; a propagation ends first."""
        self.endRun()
        if action.isAsked:
            self.error = ""
            action.record.beginAnew()
        self._waiting.append(action)
        self._next()
        self._changed()

    def begin(self, run: Propagation) -> None:
        """Propagate, slice by slice; nothing else may be propagating."""
        self._run = run
        self.error = ""
        run.record.beginAnew()
        self._waiting.append(run.nextAction())
        self._next()
        self._changed()

    def endRun(self, report: str = "") -> None:
        """End the propagation, if one goes on, after the slice that is being answered. report: what to say of that."""
        run, self._run = self._run, None
        if run is None:
            return
        if self._held is not None:
            self._letGo(self._held)
        self._waiting = deque(action for action in self._waiting if action.run is not run)
        self._settle(run.record)
        self._worker.submit(run.end, partial(self._runEnded, run, report), partial(self._runEndedBadly, run))

    def abandon(self) -> None:
        """What the user asked for and has not got yet is never written, and the session goes back to where it was. A
        propagation ends and keeps what was written."""
        self.endRun()
        self._waiting = deque(action for action in self._waiting if not action.isAsked)
        self._abandoned = self._running if self._running is not None and self._running.isAsked else None
        if self._abandoned is not None:
            self.stop()

    def stop(self) -> None:
        """End the answer that is being worked out, at the next thing it tells; the session stays as it was. What waits
        for its turn is done all the same."""
        if self._answering is not None:
            self._answering.stop()

    @contextmanager
    def inHaste(self) -> Iterator[None]:
        """Inside, an answer that takes long ends where it is, so that nobody has to wait for it."""
        self._isInHaste = True
        self.stop()
        try:
            yield
        finally:
            self._isInHaste = False

    def fail(self, sentence: str) -> None:
        self.error = sentence
        self._changed()

    def failWith(self, error: Exception, what: str) -> None:
        """what: went wrong, for the log, where no user can have caused it."""
        if not isinstance(error, MemSegError):
            log.error(what, exc_info=error)
        self.fail(str(error) if isinstance(error, MemSegError) else _UNEXPECTED)

    def drop(self, record: Record) -> None:
        """Its nodes are gone: what its running job finds out is dropped, and what waits for it will be."""
        record.gone = True
        if self._running is not None and self._running.record is record:
            self.stop()
        if self._run is not None and self._run.record is record:
            self.endRun()
            self.error = GONE

    def clear(self) -> None:
        self.endRun()
        self.stop()
        self._waiting.clear()
        self.error = ""

    # -- one action ------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Start the action that is due, if none runs."""
        while self._running is None and self._waiting:
            action = self._waiting.popleft()
            if action.record.gone:
                continue
            try:
                stamp = action.record.target.stamp()
                job = self._jobFor(action, stamp)
            except MemSegError as error:
                self._endRunOf(action)
                self.fail(str(error))
                continue
            self._running = action
            self._answering = Answering(self._worker.post, self._changed)
            if self._isInHaste:
                self._answering.stop()
            job = partial(self._answering.run, job)
            self._worker.submit(job, partial(self._arrive, action, stamp), partial(self._finishBadly, action))

    def _arrive(self, action: Action, stamp: tuple, outcome: Outcome) -> None:
        """At once, but for a slice of the propagation that goes on: that one waits for its turn to be drawn."""
        finish = partial(self._finish, action, stamp, outcome)
        if self._run is None or action.run is not self._run:
            finish()
            return
        self._held = finish
        self._pace(partial(self._letGo, finish))

    def _letGo(self, finish: Callable[[], None]) -> None:
        if finish is self._held:
            self._held = None
            finish()

    def _finish(self, action: Action, stamp: tuple, outcome: Outcome) -> None:
        isAbandoned = action is self._abandoned
        self._running = self._abandoned = self._answering = None
        record = action.record
        shown = record.view
        if self._isThere(record):
            record.restorable = False
            record.clipped &= action.run is not None  # else the job has seen to that
            if outcome.session is not None:
                record.session, record.view, record.unsaved = outcome.session, outcome.view, True
            try:
                if isAbandoned or self._isOvertaken(action, stamp):
                    record.view = shown
                    self._drop(action, outcome)
                else:
                    self._show(action, stamp, outcome)
            except StoppedError as error:
                record.report, record.stopped, record.stamp = str(error), True, None
            except MemSegError as error:
                self.error, record.stamp = str(error), None
                record.unanswered = action.text if isinstance(error, ModalityUnknownError) else None
                self._endRunOf(action)
            self._goOn(action, outcome)
        self._afterAction()

    def _isOvertaken(self, action: Action, stamp: tuple) -> bool:
        return self.writer.editsWin and action.isAsked and action.record.target.stamp() != stamp

    def _drop(self, action: Action, outcome: Outcome) -> None:
        """Write nothing, and let the session be what the segment is."""
        record = action.record
        if action.run is None:
            record.report = DROPPED
            self._takeBack(action, outcome)
            return
        record.stamp, record.clipped = None, True
        self._settle(record)
        self._endRunOf(action, SEGMENT_CHANGED)

    def _takeBack(self, action: Action, outcome: Outcome) -> None:
        """The session goes back to where it was before the action, which the segment does not show."""
        action.record.stamp = None
        if outcome.session is not None:
            goBack = partial(goBackTo, outcome.session, outcome.steps[0])
            self._worker.submit(goBack, lambda _: None, partial(self.failWith, what="a step could not be taken back"))
        self._waiting.appendleft(Action(action.record, "settle", None))

    def _settle(self, record: Record) -> None:
        """Tell the session, before anything else, what its segment took of its last step."""
        if record.clipped:
            self._waiting.appendleft(Action(record, "settle", None))

    def _show(self, action: Action, stamp: tuple, outcome: Outcome) -> None:
        """Write the outcome into the segment. Raises what went wrong in the job, or where the scene forbids it."""
        if outcome.error is not None:
            raise outcome.error
        record = action.record
        editedMeanwhile = record.target.stamp() != stamp
        isOutdated = action.run is not None and not action.run.mayWrite(outcome.change, editedMeanwhile)
        if outcome.change is not None and not isOutdated:
            self._write(action, outcome)
        if action.run is None or action.run is not self._run:
            self._settle(record)
        record.stamp = None if editedMeanwhile or isOutdated else record.target.stamp()
        if action.isPrompt:
            record.milliseconds = 1000 * (time.perf_counter() - action.asked)
        if action.then is not None:
            record.report = action.then(outcome)
            record.stamp = None if editedMeanwhile else record.target.stamp()
        if action.run is None:
            log.info("%s: %d prompts", action.what, len(record.view.prompts))

    def _write(self, action: Action, outcome: Outcome) -> None:
        try:
            isWhole = self.writer.write(action, outcome)
        except MemSegError:
            if action.run is None:
                self._takeBack(action, outcome)
            raise
        action.record.clipped |= not isWhole

    def _finishBadly(self, action: Action, error: Exception) -> None:
        self._running = self._abandoned = self._answering = None
        action.record.stamp = None
        self._endRunOf(action)
        self.failWith(error, f"{action.what} failed")
        self._afterAction()

    def _afterAction(self) -> None:
        self._next()
        if self._running is None:
            self._quiet()
        self._changed()

    # -- a propagation ---------------------------------------------------------------------------------------------

    def _goOn(self, action: Action, outcome: Outcome) -> None:
        """After a slice of the propagation that goes on: the next one, or the end."""
        run = self._run
        if run is None or action.run is not run:
            return
        if run.isOver:
            self._run = None
            self._settle(run.record)
            log.info("propagate: %d slices", run.progress.done)
            run.record.report = SEGMENT_EDITED if outcome.wasEdited else run.sentence
        elif not run.isOnItsImage:
            self.endRun(IMAGE_CHANGED)
        else:
            self._waiting.append(run.nextAction())

    def _endRunOf(self, action: Action, report: str = "") -> None:
        if action.run is not None and action.run is self._run:
            self.endRun(report)

    def _runEnded(self, run: Propagation, report: str, view: SessionView | None) -> None:
        record = run.record
        log.info("propagate, ended: %d slices", run.progress.done)
        if view is not None and self._isThere(record):
            record.view, record.unsaved = view, True
            record.report = f"{report} {run.sentence}" if report else ""
        self._next()
        if not self.isBusy:
            self._quiet()
        self._changed()

    def _runEndedBadly(self, run: Propagation, error: Exception) -> None:
        run.record.stamp = None
        self.failWith(error, "a propagation could not be ended")
