"""One persistent thread for all session work; results return on the main thread.

One thread, because torch keeps its plans per thread and a session serves one caller at a time. Jobs touch no MRML: what
they need is handed to them, and what they find out is delivered by `post`, which each shell supplies.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Post = Callable[[Callable[[], object]], None]


@dataclass(frozen=True, eq=False)
class _Task:
    job: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]


class Worker:
    """First in, first out. post: schedules a callable on the main thread; may be called from any thread."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._tasks: deque[_Task] = deque()
        self._whenIdle: list[tuple[float, _Task]] = []
        self._finished: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._running = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(
        self, job: Callable[[], Result], done: Callable[[Result], None], failed: Callable[[Exception], None]
    ) -> None:
        """Run the job in its turn, then `done` with what it returned or `failed` with what it raised, on the main
        thread.

        Raises RuntimeError after `close`.
        """
        with self._changed:
            if self._closed:
                raise RuntimeError("The worker is closed.")
            self._tasks.append(_Task(job, done, failed))
            self._start()

    def whenIdle(
        self,
        seconds: float,
        job: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """As `submit`, when no job has run or waited for so many seconds. Not counted as busy; dropped by `close`."""
        with self._changed:
            if not self._closed:
                self._whenIdle.append((seconds, _Task(job, done, failed)))
                self._start()

    def post(self, callback: Callable[[], object]) -> None:
        """Have it called on the main thread; from any thread. Nothing after `close`."""
        with self._changed:
            isClosed = self._closed
        if not isClosed:
            self._post(callback)

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits. A result is posted before its job stops counting."""
        with self._changed:
            return self._running or bool(self._tasks)

    def settle(self) -> None:
        """Block until no job runs or waits and deliver all results now; for the main thread, before a scene is saved.

        Also waits for the jobs that delivered results submit in turn.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or not (self._running or self._tasks))
            if self._deliverDue() == 0:
                return

    def close(self) -> None:
        """Wait for the running job and drop the rest; nothing is delivered afterwards. May be called twice."""
        with self._changed:
            self._closed = True
            self._tasks.clear()
            self._whenIdle.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def revive(self) -> bool:
        """Start the thread again where it ended by itself; whether it had. Jobs that waited are done then."""
        with self._changed:
            if self._closed or self._thread is None or self._thread.is_alive():
                return False
            self._running = False
            self._start()
            return True

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="MemSegWorker", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                task = self._nextTask()
                if task is None:
                    return
                self._running = True
            outcome = _outcome(task)
            with self._changed:
                self._finished.append(outcome)
            self._post(self._deliverDue)
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _nextTask(self) -> _Task | None:
        """Wait for the task that is due; None after `close`."""
        idleSince = time.monotonic()
        while not self._closed:
            if self._tasks:
                return self._tasks.popleft()
            if not self._whenIdle:
                self._changed.wait()
                continue
            first = min(self._whenIdle, key=lambda entry: entry[0])
            due = idleSince + first[0] - time.monotonic()
            if due <= 0:
                self._whenIdle.remove(first)
                return first[1]
            self._changed.wait(due)
        return None

    def _deliverDue(self) -> int:
        """Hand out finished results, oldest first; returns how many. One that fails is logged, others get theirs."""
        count = 0
        while True:
            with self._changed:
                if self._closed or not self._finished:
                    return count
                deliver = self._finished.popleft()
            count += 1
            try:
                deliver()
            except Exception:
                log.exception("a result could not be taken")


def _outcome(task: _Task) -> Callable[[], None]:
    try:
        result = task.job()
    except BaseException as error:  # whatever a job raises belongs to the one who submitted it, and ends no thread
        return partial(task.failed, error)
    return partial(task.done, result)


class MainQueue:
    """A main thread for shells that have no event loop: `post` from anywhere, `process` on the main thread."""

    def __init__(self) -> None:
        self._due: deque[Callable[[], object]] = deque()
        self._posted = threading.Condition()

    def post(self, callback: Callable[[], object]) -> None:
        with self._posted:
            self._due.append(callback)
            self._posted.notify_all()

    def process(self) -> int:
        """Run what is due, oldest first, also what that posts in turn; returns how many callables ran."""
        count = 0
        while True:
            with self._posted:
                if not self._due:
                    return count
                callback = self._due.popleft()
            callback()
            count += 1

    def wait(self, seconds: float) -> None:
        """Let other threads run until something is due, but no longer than so many seconds."""
        with self._posted:
            self._posted.wait_for(lambda: bool(self._due), timeout=seconds)

    def waitUntilIdle(self, worker: Worker, timeout: float = 60.0) -> bool:
        """Process results until the worker has nothing more to do; False where that took longer than `timeout` s."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            wasBusy = worker.busy
            if self.process() == 0 and not wasBusy:
                return True
            self.wait(0.005)
        return False
