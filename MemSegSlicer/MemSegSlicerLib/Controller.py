"""One session per (volume, segment): prompt in, job to the worker, change out.

Actions run one at a time and in order. Before each, on the main thread, the controller looks whether volume and segment
are still what the session knows (a manual edit enters the session as a mask prompt, a changed volume is taken over);
the worker does the rest; its result is written into the segment on the main thread, unless the segment has gone since.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import slicer
import vtk

from memseg import build, catalog
from memseg.errors import MemSegError
from memseg.prompts import Prompt
from memseg.session import Session
from memseg.volume import Volume

from .Images import Images
from .Record import Action, Record, SessionState
from .SceneState import SceneState, SegmentKey, decodedSession
from .SessionJob import Act, Outcome, SessionJob, SessionView
from .Target import Target
from .Worker import Worker

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5  # without a click; then sessions are stored and surfaces made again
_PAUSE_PER_WORK = 20  # a session that takes long to store, as after many large steps, waits for a longer pause
_UNEXPECTED = "Something unexpected went wrong and the mask was left as it is; the log says more."


def _logged(error: Exception) -> None:
    log.error("the surfaces could not be made again", exc_info=error)


class Controller:
    """Call it on the main thread only. journalFolder: where each session keeps a crash-safe journal; None for none."""

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        worker: Worker,
        model: str | None = None,
        device: str = "auto",
        journalFolder: Path | None = None,
    ) -> None:
        self._scene = scene
        self._worker = worker
        self._device = device
        self._journalFolder = journalFolder
        self._sceneState = SceneState(scene)
        self._model = catalog.card(model or catalog.default()).name
        self._records: dict[SegmentKey, Record] = {}
        self._images = Images()
        self._volumeId: str | None = None
        self._segmentationId: str | None = None
        self._segmentId: str | None = None
        self._waiting: deque[Action] = deque()
        self._running: Action | None = None
        self._error = ""
        self._listeners: list[Callable[[SessionState], None]] = []
        self._observers = [
            scene.AddObserver(slicer.vtkMRMLScene.NodeRemovedEvent, self._onNodeRemoved),
            scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, self._onSceneClosed),
            scene.AddObserver(slicer.vtkMRMLScene.EndImportEvent, self._onSceneImported),
        ]
        self.restore()

    # -- what is being worked on -----------------------------------------------------------------------------------

    def setVolume(self, volumeNode: slicer.vtkMRMLVolumeNode | None) -> None:
        """Returns at once; the image is checked by the worker, and what is wrong with it becomes `state.error`."""
        volumeId = volumeNode.GetID() if volumeNode is not None else None
        if volumeId == self._volumeId:
            return
        self._volumeId, self._error = volumeId, ""
        self._sceneState.volumeNode = volumeNode
        if volumeNode is not None:
            self._prepareVolume(volumeNode)
        self._resume()
        self._tell()

    def setSegment(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str | None) -> None:
        """Returns at once. A session that the segment had before, now or in the scene's file, goes on."""
        segmentationId = segmentationNode.GetID() if segmentationNode is not None else None
        if (segmentationId, segmentId) == (self._segmentationId, self._segmentId):
            return
        self._segmentationId, self._segmentId, self._error = segmentationId, segmentId or None, ""
        self._sceneState.segmentationNode = segmentationNode
        self._sceneState.segmentId = segmentId
        self._resume()
        self._tell()

    @property
    def volumeNode(self) -> slicer.vtkMRMLVolumeNode | None:
        return self._scene.GetNodeByID(self._volumeId) if self._volumeId is not None else None

    @property
    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._scene.GetNodeByID(self._segmentationId) if self._segmentationId is not None else None

    @property
    def segmentId(self) -> str | None:
        return self._segmentId

    @property
    def volume(self) -> Volume | None:
        """The current node's image, for PromptTools; None without one. Raises MemSegError where it cannot be used."""
        node = self.volumeNode
        return self._images.of(node).volume() if node is not None else None

    # -- what the user does ----------------------------------------------------------------------------------------

    def add(self, prompt: Prompt) -> None:
        self._do("add", lambda session: session.add(prompt), isPrompt=True)

    def remove(self, index: int) -> None:
        """Take the prompt at `index` of `state.prompts` out, as if it had never been given."""
        self._do("remove", lambda session: session.remove(index))

    def undo(self) -> None:
        self._do("undo", Session.undo)

    def redo(self) -> None:
        self._do("redo", Session.redo)

    def reset(self) -> None:
        self._do("reset", Session.reset)

    def forget(self, number: int) -> None:
        """Drop what the interaction memory keeps of the prompt of that number; the prompt and the mask stay."""
        self._do("forget", lambda session: session.forget(number))

    def clearMemory(self) -> None:
        """Drop all that the interaction memory keeps; prompts and mask stay."""
        self._do("clear memory", Session.clear_memory)

    def setModel(self, name: str) -> None:
        """For the current session from its next prompt on, and for sessions yet to be made."""
        try:
            self._model = catalog.card(name).name
        except MemSegError as error:
            self._fail(str(error))
            return
        self._sceneState.model = self._model
        record = self._currentRecord()
        if record is not None and (record.session is not None or self._isPending(record)):
            self._do("change model", lambda session: session.change_model(name))
        self._tell()

    # -- what a panel shows ----------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        record = self._records.get(self._key())
        view = record.view if record is not None and record.view is not None else SessionView(self._model)
        return SessionState(
            **vars(view),
            milliseconds=record.milliseconds if record is not None else None,
            busy=self._running is not None or bool(self._waiting),
            error=self._error,
        )

    def addListener(self, listener: Callable[[SessionState], None]) -> Callable[[], None]:
        """Call the listener with the state after every change, on the main thread; returns what removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # -- scenes ----------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Go on where the scene says: its volume, segment and model, and the sessions that it holds."""
        state = self._sceneState
        if state.model in {card.name for card in catalog.installed()}:
            self._model = state.model
        if state.volumeNode is not None:
            self.setVolume(state.volumeNode)
        segmentationNode, segmentId = state.segmentationNode, state.segmentId
        if segmentationNode is not None and segmentationNode.GetSegmentation().GetSegment(segmentId or ""):
            self.setSegment(segmentationNode, segmentId)

    def saveToScene(self) -> None:
        """Wait for what is still being done and put all sessions into the scene. For shells, before they save it.

        The controller does so by itself too, in the next pause between clicks.
        """
        self._worker.settle()
        for record in list(self._records.values()):
            if record.unsaved and record.session is not None:
                self._store(record, record.toBytes())
        self._sceneState.dropOrphans()

    def cleanup(self) -> None:
        """Stop observing the scene and forget everything; the worker is its owner's to close."""
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        self._observers.clear()
        self._listeners.clear()
        self._forgetAll()

    # -- one action ------------------------------------------------------------------------------------------------

    def _do(self, what: str, act: Act | None, isPrompt: bool = False) -> None:
        record = self._currentRecord()
        if record is None:
            missing = "a volume" if self.volumeNode is None else "a segment"
            self._fail(f"There is nothing to work on yet; choose {missing} first.")
            return
        if act is not None:
            self._error = ""
        self._waiting.append(Action(record, what, act, isPrompt))
        self._next()
        self._tell()

    def _next(self) -> None:
        """Start the action that is due, if none runs."""
        while self._running is None and self._waiting:
            action = self._waiting.popleft()
            if action.record.gone:
                continue
            try:
                job, stamp = self._jobFor(action)
            except MemSegError as error:
                self._fail(str(error))
                continue
            self._running = action
            self._worker.submit(job, partial(self._finish, action, stamp), partial(self._finishBadly, action))

    def _jobFor(self, action: Action) -> tuple[SessionJob, tuple]:
        """The job, and the stamp of the segment it starts from. Raises MemSegError where the scene forbids it."""
        record = action.record
        stamp = record.target.stamp()
        isNew = record.session is None and record.restorable
        text = self._sceneState.sessionText(record.target.key) if isNew else None
        job = SessionJob(
            image=self._images.of(record.target.volumeNode),
            session=record.session,
            stored=partial(decodedSession, text) if text is not None else None,
            edited=record.target.read() if record.stamp != stamp else None,
            act=action.act,
            model=self._model,
            device=self._device,
            journalFolder=self._journalFolder,
        )
        return job, stamp

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
                self._error, record.stamp = str(error), None
        self._afterAction()

    def _show(self, action: Action, stamp: tuple, outcome: Outcome) -> None:
        """Write the outcome into the segment. Raises what went wrong in the job, or where the scene forbids it."""
        if outcome.error is not None:
            raise outcome.error
        record = action.record
        editedMeanwhile = record.target.stamp() != stamp
        if outcome.change is not None and not outcome.change.is_empty:
            record.target.write(outcome.change)
            record.surfaceIsOld = True
        record.stamp = None if editedMeanwhile else record.target.stamp()
        if action.isPrompt:
            record.milliseconds = 1000 * (time.perf_counter() - action.asked)
        log.info("%s: %d prompts", action.what, len(record.view.prompts))

    def _finishBadly(self, action: Action, error: Exception) -> None:
        self._running = None
        log.error("%s failed", action.what, exc_info=error)
        action.record.stamp = None
        self._error = _UNEXPECTED
        self._afterAction()

    def _afterAction(self) -> None:
        self._next()
        if self._running is None:
            self._tidy()
        self._tell()

    # -- in the pauses ---------------------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """Sessions into the scene, surfaces after their masks: when no click has come for a while, so none waits."""
        for record in self._records.values():
            if record.unsaved and not record.storing:
                record.storing = True
                store, failed = partial(self._store, record), partial(self._storeFailed, record)
                pause = max(_PAUSE_SECONDS, _PAUSE_PER_WORK * record.storingSeconds)
                self._worker.whenIdle(pause, record.toBytes, store, failed)
        if any(record.surfaceIsOld and record.target.hasSurface() for record in self._records.values()):
            self._worker.whenIdle(_PAUSE_SECONDS, lambda: None, lambda _: self._refreshSurfaces(), _logged)

    def _store(self, record: Record, data: bytes) -> None:
        record.storing = record.unsaved = False
        if self._isThere(record):
            self._sceneState.storeSession(record.target.key, data)

    def _storeFailed(self, record: Record, error: Exception) -> None:
        record.storing = False
        log.error("a session could not be put into the scene", exc_info=error)

    def _refreshSurfaces(self) -> None:
        """Unless a click is being answered: it comes first, and there will be another pause after it."""
        if self._running is not None:
            return
        for record in self._records.values():
            if record.surfaceIsOld and record.target.hasSurface():
                record.target.refreshSurface()
            record.surfaceIsOld = False

    def _prepareVolume(self, volumeNode: slicer.vtkMRMLVolumeNode) -> None:
        """Check the image in the worker, so that the first click need not wait for it."""
        volumeId = volumeNode.GetID()
        try:
            image = self._images.of(volumeNode)
        except MemSegError as error:
            self._error = str(error)
            return
        if not image.isKnown:
            self._worker.submit(image.volume, lambda _: None, partial(self._volumeFailed, volumeId))
        self._prepareModel()

    def _prepareModel(self) -> None:
        """Load the model in the worker's first pause, so that the first click need not wait for torch (2 s). One that
        cannot be loaded says so when it is used."""
        load = partial(build.build, self._model, self._device)
        self._worker.whenIdle(0.0, load, lambda _: None, lambda error: log.info("the model is not ready: %s", error))

    def _volumeFailed(self, volumeId: str, error: Exception) -> None:
        if not isinstance(error, MemSegError):
            log.error("the volume could not be checked", exc_info=error)
        if volumeId == self._volumeId:
            self._fail(str(error) if isinstance(error, MemSegError) else _UNEXPECTED)

    # -- records ---------------------------------------------------------------------------------------------------

    def _key(self) -> SegmentKey | None:
        if self._volumeId is None or self._segmentationId is None or self._segmentId is None:
            return None
        return SegmentKey(self._volumeId, self._segmentationId, self._segmentId)

    def _currentRecord(self) -> Record | None:
        key = self._key()
        return self._records.setdefault(key, Record(Target(self._scene, key))) if key is not None else None

    def _resume(self) -> None:
        """Bring back the session the scene holds for the current segment, so that its prompts are listed at once."""
        record = self._currentRecord()
        if record is None or record.session is not None or not record.restorable or self._isPending(record):
            return
        if self._sceneState.sessionText(record.target.key) is not None:
            self._do("restore", None)

    def _isPending(self, record: Record) -> bool:
        running = [self._running] if self._running is not None else []
        return any(action.record is record for action in (*running, *self._waiting))

    def _isThere(self, record: Record) -> bool:
        if not record.gone and not record.target.isThere:
            self._forget(record)
        return not record.gone

    def _forget(self, record: Record) -> None:
        """Drop a session of the list; what its running job finds out will be dropped too."""
        record.gone = True
        del self._records[record.target.key]

    def _forgetAll(self) -> None:
        for record in list(self._records.values()):
            self._forget(record)
        self._waiting.clear()
        self._images.clear()
        self._volumeId = self._segmentationId = self._segmentId = None
        self._error = ""

    # -- what happens to the scene ---------------------------------------------------------------------------------

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, scene: slicer.vtkMRMLScene, event: str, node: slicer.vtkMRMLNode) -> None:
        nodeId = node.GetID()
        self._images.forget(nodeId)
        for record in list(self._records.values()):
            if nodeId in (record.target.key.volumeId, record.target.key.segmentationId):
                self._forget(record)
        if nodeId == self._volumeId:
            self._volumeId = None
        elif nodeId == self._segmentationId:
            self._segmentationId = self._segmentId = None
        else:
            return
        self._tell()

    def _onSceneClosed(self, *_: object) -> None:
        self._forgetAll()
        self._tell()

    def _onSceneImported(self, *_: object) -> None:
        self.restore()

    # -- listeners -------------------------------------------------------------------------------------------------

    def _fail(self, sentence: str) -> None:
        self._error = sentence
        self._tell()

    def _tell(self) -> None:
        state = self.state
        for listener in tuple(self._listeners):
            try:
                listener(state)
            except Exception:
                log.exception("a listener failed; the others are told all the same")
