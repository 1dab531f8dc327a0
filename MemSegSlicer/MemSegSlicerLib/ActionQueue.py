"""What the user does, one action at a time and in order: each a job for the worker, whose outcome goes to the segment.

A propagation is one action after the other, a slice each. It ends where anything else is to be done.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from memseg.errors import MemSegError

from .Propagation import GONE, IMAGE_CHANGED, SEGMENT_EDITED, Propagation
from .Record import Action, Record
from .SessionJob import Outcome, SessionJob, SessionView
from .Worker import Worker

log = logging.getLogger(__name__)

Pace = Callable[[Callable[[], None]], None]
_UNEXPECTED = "Something unexpected went wrong and the mask was left as it is; the log says more."


class ActionQueue:
    """For the main thread. error: the last thing that went wrong, a sentence, or "".

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
        self._run: Propagation | None = None
        self._held: Callable[[], None] | None = None
        self.error = ""

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

    def isPending(self, record: Record) -> bool:
        running = [self._running] if self._running is not None else []
        return any(action.record is record for action in (*running, *self._waiting))

    # -- adding and dropping ---------------------------------------------------------------------------------------

    def add(self, action: Action) -> None:
        """Do it when its turn comes; a propagation ends first."""
        self.endRun()
        if action.isAsked:
            self.error, action.record.report = "", ""
        self._waiting.append(action)
        self._next()
        self._changed()

    def begin(self, run: Propagation) -> None:
        """Propagate, slice by slice; nothing else may be propagating."""
        self._run = run
        self.error, run.record.report = "", ""
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
        self._worker.submit(run.end, partial(self._runEnded, run, report), partial(self._runEndedBadly, run))

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
        if self._run is not None and self._run.record is record:
            self.endRun()
            self.error = GONE

    def clear(self) -> None:
        self.endRun()
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
        self._running = None
        record = action.record
        if self._isThere(record):
            record.restorable = False
            if outcome.session is not None:
                record.session, record.view, record.unsaved = outcome.session, outcome.view, True
            try:
                self._show(action, stamp, outcome)
            except MemSegError as error:
                self.error, record.stamp = str(error), None
                self._endRunOf(action)
            self._goOn(action, outcome)
        self._afterAction()

    def _show(self, action: Action, stamp: tuple, outcome: Outcome) -> None:
        """Write the outcome into the segment. Raises what went wrong in the job, or where the scene forbids it."""
        if outcome.error is not None:
            raise outcome.error
        record = action.record
        editedMeanwhile = record.target.stamp() != stamp
        isOutdated = action.run is not None and not action.run.mayWrite(outcome.change, editedMeanwhile)
        if outcome.change is not None and not outcome.change.is_empty and not isOutdated:
            record.target.write(outcome.change)
            record.surfaceIsOld = True
        record.stamp = None if editedMeanwhile or isOutdated else record.target.stamp()
        if action.isPrompt:
            record.milliseconds = 1000 * (time.perf_counter() - action.asked)
        if action.then is not None:
            record.report = action.then(outcome)
            record.stamp = None if editedMeanwhile else record.target.stamp()
        if action.run is None:
            log.info("%s: %d prompts", action.what, len(record.view.prompts))

    def _finishBadly(self, action: Action, error: Exception) -> None:
        self._running = None
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
            log.info("propagate: %d slices", run.progress.done)
            run.record.report = SEGMENT_EDITED if outcome.wasEdited else run.sentence
        elif not run.isOnItsImage:
            self.endRun(IMAGE_CHANGED)
        else:
            self._waiting.append(run.nextAction())

    def _endRunOf(self, action: Action) -> None:
        if action.run is not None and action.run is self._run:
            self.endRun()

    def _runEnded(self, run: Propagation, report: str, view: SessionView | None) -> None:
        record = run.record
        log.info("propagate, ended: %d slices", run.progress.done)
        if view is not None and self._isThere(record):
            record.view, record.unsaved = view, True
            record.report = f"{report} {run.sentence}" if report else ""
        if not self.isBusy:
            self._quiet()
        self._changed()

    def _runEndedBadly(self, run: Propagation, error: Exception) -> None:
        run.record.stamp = None
        self.failWith(error, "a propagation could not be ended")
