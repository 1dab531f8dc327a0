"""What waits for a pause between clicks: sessions into the scene, surfaces after their masks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from .Record import Record
from .SceneState import SceneState, SegmentKey
from .Worker import Worker

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5  # without a click
_PAUSE_PER_WORK = 20  # a session that takes long to store, as after many large steps, waits for a longer pause


def _logged(error: Exception) -> None:
    log.error("the surfaces could not be made again", exc_info=error)


class Pauses:
    """For the main thread. records: all there are, followed as they change. isWorking: whether an action runs now."""

    def __init__(
        self,
        worker: Worker,
        sceneState: SceneState,
        records: Mapping[SegmentKey, Record],
        isWorking: Callable[[], bool],
    ) -> None:
        self._worker = worker
        self._sceneState = sceneState
        self._records = records
        self._isWorking = isWorking

    def plan(self) -> None:
        """What there is to do now, when no click has come for a while, so that none waits for it."""
        for record in self._records.values():
            if record.unsaved and not record.storing:
                record.storing = True
                store, failed = partial(self._store, record), partial(self._storeFailed, record)
                pause = max(_PAUSE_SECONDS, _PAUSE_PER_WORK * record.storingSeconds)
                self._worker.whenIdle(pause, record.toBytes, store, failed)
        if any(record.surfaceIsOld and record.target.hasSurface() for record in self._records.values()):
            self._worker.whenIdle(_PAUSE_SECONDS, lambda: None, lambda _: self._refreshSurfaces(), _logged)

    def storeNow(self) -> None:
        for record in self._records.values():
            if record.unsaved and record.session is not None:
                self._store(record, record.toBytes())
        self._sceneState.dropOrphans()

    def _store(self, record: Record, data: bytes | None) -> None:
        record.storing = False
        if data is None:
            return  # there will be another pause after the propagation
        record.unsaved = False
        if not record.gone and record.target.isThere:
            self._sceneState.storeSession(record.target.key, data)

    def _storeFailed(self, record: Record, error: Exception) -> None:
        record.storing = False
        log.error("a session could not be put into the scene", exc_info=error)

    def _refreshSurfaces(self) -> None:
        """Unless a click is being answered: it comes first, and there will be another pause after it."""
        if self._isWorking():
            return
        for record in self._records.values():
            if record.surfaceIsOld and record.target.hasSurface():
                record.target.refreshSurface()
            record.surfaceIsOld = False
