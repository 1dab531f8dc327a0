"""What the desktop has one of: the controller of the scene, its worker, and the queue that brings results to the main
thread. The module's panel and the Segment Editor effect share it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from memseg import catalog
from MemSegSlicerLib.Controller import Controller
from MemSegSlicerLib.Record import SessionState
from MemSegSlicerLib.Worker import MainQueue, Worker

from .Dependencies import Dependencies
from .Notices import Notices

log = logging.getLogger(__name__)

_TICK_MS = 10  # how soon a result is taken; an idle tick costs a few microseconds


class Desk:
    """Make none: ask for `Desk.shared()`. It is made when first asked for and closed when the application quits."""

    _shared: Desk | None = None

    @classmethod
    def shared(cls) -> Desk:
        """The one of the application's scene. Also after a close, which another asking undoes."""
        if cls._shared is None:
            cls._shared = cls(slicer.mrmlScene)
        return cls._shared

    @classmethod
    def closeShared(cls) -> None:
        """Wait for the job that runs and let everything go; nothing where there is none."""
        if cls._shared is not None:
            cls._shared.close()

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self.scene = scene
        self.notices = Notices()
        self.dependencies = Dependencies(self.notices)
        self.queue = MainQueue()
        self.worker = Worker(self.queue.post)
        self._slices: deque[Callable[[], None]] = deque()
        self.controller = Controller(scene, self.worker, pace=self._slices.append)
        self._isClosed = False
        self._stopListening = self.controller.addListener(self._onState)
        self.dependencies.installed.add(lambda _packages: self.controller.setModel(catalog.default()))
        self._timer = qt.QTimer()
        self._timer.setInterval(_TICK_MS)
        self._timer.connect("timeout()", self._tick)
        self._timer.start()
        slicer.app.connect("aboutToQuit()", self.close)

    @property
    def isClosed(self) -> bool:
        return self._isClosed

    def close(self) -> None:
        """Wait for the job that runs and let everything go. May be called twice."""
        if self._isClosed:
            return
        self._isClosed = True
        if type(self)._shared is self:
            type(self)._shared = None
        slicer.app.disconnect("aboutToQuit()", self.close)
        self._timer.stop()
        self._timer.disconnect("timeout()", self._tick)
        self._stopListening()
        self.dependencies.installed.clear()
        self.dependencies.close()
        self.controller.cleanup()
        self.worker.close()

    def _tick(self) -> None:
        """Take what was found out; at most one slice of a propagation, so that views are drawn between them.

        Slicer keeps Python's lock while it waits for events: without a pause here, the worker would have to wait for
        the next tick each time it gives the lock away, as it does with every operation of torch.
        """
        if self.worker.revive():
            self.notices.complain(_("The background work ended unexpectedly and was started again."))
        if self.worker.busy and not self._slices:
            self.queue.wait(_TICK_MS / 1000)
        self.queue.process()
        if self._slices and not self._isClosed:
            self._slices.popleft()()

    def _onState(self, state: SessionState) -> None:
        self.notices.showError(state.error)
