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
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import slicer
import vtk

from memseg import catalog
from memseg.errors import MemSegError, SessionError
from memseg.prompts import Prompt
from memseg.segmenters.base import Numbered
from memseg.session import Session
from memseg.volume import Volume

from . import SceneBridge
from .SceneState import SceneState, SegmentKey, decodedSession
from .SessionJob import Act, Image, Outcome, SessionJob, SessionView
from .Worker import Worker

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5  # without a click; then sessions are stored and surfaces made again
_UNEXPECTED = "Something unexpected went wrong and the mask was left as it is; the log says more."


@dataclass(frozen=True)
class SessionState:
    """What a panel shows. prompts: oldest first. milliseconds: from the last prompt to its mask, None before the first.
    voxels: size of the mask. error: the last sentence for the user, or ""."""

    model: str
    prompts: tuple[Numbered, ...] = ()
    memoryCount: int = 0
    memoryCapacity: int = 0
    canUndo: bool = False
    canRedo: bool = False
    milliseconds: float | None = None
    busy: bool = False
    voxels: int = 0
    error: str = ""


@dataclass(eq=False)
class _Record:
    """All that is known of one (volume, segment)."""

    key: SegmentKey
    session: Session | None = None
    view: SessionView | None = None
    stamp: tuple | None = None  # of the segment when its voxels were last the session's mask; None: look again
    milliseconds: float | None = None
    restorable: bool = True  # a stored session may be tried
    unsaved: bool = False
    storing: bool = False
    gone: bool = False


def _bytesOf(record: _Record) -> bytes:
    return record.session.to_bytes()


@dataclass(frozen=True, eq=False)
class _Action:
    """what: one word for the log. isPrompt: its time is shown."""

    record: _Record
    what: str
    act: Act | None
    isPrompt: bool = False
    asked: float = field(default_factory=time.perf_counter)


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
        self._model = catalog.card(model or catalog.DEFAULT).name
        self._records: dict[SegmentKey, _Record] = {}
        self._images: dict[str, Image] = {}  # by volume node ID, those already checked
        self._volumeId: str | None = None
        self._segmentationId: str | None = None
        self._segmentId: str | None = None
        self._waiting: deque[_Action] = deque()
        self._running: _Action | None = None
        self._stale: set[tuple[str, str]] = set()  # segments whose surface lies behind their mask
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
        return self._nodeOf(self._volumeId)

    @property
    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._nodeOf(self._segmentationId)

    @property
    def segmentId(self) -> str | None:
        return self._segmentId

    @property
    def volume(self) -> Volume | None:
        """The current volume node's image, for PromptTools; None without one. Raises MemSegError where it cannot be used."""
        node = self.volumeNode
        if node is None:
            return None
        image = self._imageOf(node)
        volume = image.volume()
        self._images[node.GetID()] = replace(image, known=volume)
        return volume

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
        record = self._records.get(self._key()) if self._key() is not None else None
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

        The controller does so on its own too, whenever it has nothing else to do.
        """
        self._worker.settle()
        for record in self._records.values():
            if record.unsaved and record.session is not None:
                self._store(record, record.session.to_bytes())

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
        self._waiting.append(_Action(record, what, act, isPrompt))
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
            self._worker.submit(job, partial(self._finish, action, job, stamp), partial(self._finishBadly, action))

    def _jobFor(self, action: _Action) -> tuple[SessionJob, tuple]:
        """The job, and the stamp of the segment that it starts from. Raises MemSegError where the scene does not allow it."""
        record = action.record
        volumeNode, segmentationNode = self._nodesOf(record)
        stamp = self._stampOf(record)
        edited = None
        if record.stamp != stamp:
            edited = SceneBridge.readSegment(segmentationNode, record.key.segmentId, volumeNode)
        text = self._sceneState.sessionText(record.key) if record.session is None and record.restorable else None
        job = SessionJob(
            image=self._imageOf(volumeNode),
            session=record.session,
            stored=partial(decodedSession, text) if text is not None else None,
            edited=edited,
            act=action.act,
            model=self._model,
            device=self._device,
            journalFolder=self._journalFolder,
        )
        return job, stamp

    def _finish(self, action: _Action, job: SessionJob, stamp: tuple, outcome: Outcome) -> None:
        self._running = None
        record = action.record
        if self._isThere(record):
            record.restorable = False
            if outcome.volume is not None:
                self._images[record.key.volumeId] = replace(job.image, known=outcome.volume)
            if outcome.session is not None:
                record.session, record.view, record.unsaved = outcome.session, outcome.view, True
            try:
                self._show(action, stamp, outcome)
            except MemSegError as error:
                self._error, record.stamp = str(error), None
        self._afterAction()

    def _show(self, action: _Action, stamp: tuple, outcome: Outcome) -> None:
        """Write the outcome into the segment. Raises what went wrong in the job, or where the scene no longer allows it."""
        if outcome.error is not None:
            raise outcome.error
        record = action.record
        volumeNode, segmentationNode = self._nodesOf(record)
        editedMeanwhile = self._stampOf(record) != stamp
        if outcome.change is not None and not outcome.change.is_empty:
            SceneBridge.writeChange(segmentationNode, record.key.segmentId, volumeNode, outcome.change)
            self._stale.add((record.key.segmentationId, record.key.segmentId))
        record.stamp = None if editedMeanwhile else self._stampOf(record)
        if action.isPrompt:
            record.milliseconds = 1000 * (time.perf_counter() - action.asked)
        log.info("%s: %d prompts", action.what, len(record.view.prompts))

    def _finishBadly(self, action: _Action, error: Exception) -> None:
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

    def _tidy(self) -> None:
        """With nothing else to do: sessions into the scene, surfaces after their masks. Both wait for a pause, so that
        the next click need not wait for them."""
        for record in self._records.values():
            if record.unsaved and not record.storing:
                record.storing = True
                store, failed = partial(self._store, record), partial(self._storeFailed, record)
                self._worker.whenIdle(_PAUSE_SECONDS, partial(_bytesOf, record), store, failed)
        if any(SceneBridge.hasSurface(self._nodeOf(node), segment) for node, segment in self._stale):
            self._worker.whenIdle(_PAUSE_SECONDS, lambda: None, lambda _: self._refreshSurfaces(), log.error)

    def _store(self, record: _Record, data: bytes) -> None:
        record.storing = record.unsaved = False
        if self._isThere(record):
            self._sceneState.storeSession(record.key, data)

    def _storeFailed(self, record: _Record, error: Exception) -> None:
        record.storing = False
        log.error("a session could not be put into the scene", exc_info=error)

    def _refreshSurfaces(self) -> None:
        """Make the surfaces again that lie behind their masks, unless a click is being answered: it comes first."""
        if self._running is not None:
            return
        for segmentationId, segmentId in self._stale:
            SceneBridge.refreshSurface(self._nodeOf(segmentationId), segmentId)
        self._stale.clear()

    # -- what is known of the scene --------------------------------------------------------------------------------

    def _key(self) -> SegmentKey | None:
        if self._volumeId is None or self._segmentationId is None or self._segmentId is None:
            return None
        return SegmentKey(self._volumeId, self._segmentationId, self._segmentId)

    def _currentRecord(self) -> _Record | None:
        key = self._key()
        return self._records.setdefault(key, _Record(key)) if key is not None else None

    def _resume(self) -> None:
        """Bring back the session that the scene holds for the current segment, so that its prompts are listed at once."""
        record = self._currentRecord()
        if record is None or record.session is not None or not record.restorable or self._isPending(record):
            return
        if self._sceneState.sessionText(record.key) is not None:
            self._do("restore", None)

    def _isPending(self, record: _Record) -> bool:
        actions = [*self._waiting, self._running] if self._running is not None else self._waiting
        return any(action.record is record for action in actions)

    def _nodeOf(self, nodeId: str | None) -> slicer.vtkMRMLNode | None:
        return self._scene.GetNodeByID(nodeId) if nodeId is not None else None

    def _isThere(self, record: _Record) -> bool:
        segmentationNode = self._nodeOf(record.key.segmentationId)
        if not record.gone and self._nodeOf(record.key.volumeId) is not None and segmentationNode is not None:
            if segmentationNode.GetSegmentation().GetSegment(record.key.segmentId) is not None:
                return True
        self._forget(record)
        return False

    def _nodesOf(self, record: _Record) -> tuple[slicer.vtkMRMLVolumeNode, slicer.vtkMRMLSegmentationNode]:
        if not self._isThere(record):
            raise SessionError("The segment no longer exists; choose or add another one.")
        return self._nodeOf(record.key.volumeId), self._nodeOf(record.key.segmentationId)

    def _stampOf(self, record: _Record) -> tuple:
        """Differs from an earlier one where the segment may cover other voxels of the volume than before."""
        volumeNode, segmentationNode = self._nodesOf(record)
        grid = SceneBridge.gridOf(volumeNode)
        stamp = SceneBridge.segmentStamp(segmentationNode, record.key.segmentId)
        return (*stamp, grid.shape_kji, grid.ijk_to_ras.tobytes())

    def _imageOf(self, volumeNode: slicer.vtkMRMLVolumeNode) -> Image:
        grid, stamp = SceneBridge.gridOf(volumeNode), SceneBridge.voxelStamp(volumeNode)
        seen = self._images.get(volumeNode.GetID())
        if seen is not None and seen.stamp == stamp and seen.grid.same_as(grid):
            return seen
        return Image(SceneBridge.arrayOf(volumeNode), grid, volumeNode.GetName() or "", stamp)

    def _prepareVolume(self, volumeNode: slicer.vtkMRMLVolumeNode) -> None:
        """Check the image in the worker, so that the first click need not wait for it."""
        volumeId = volumeNode.GetID()
        try:
            image = self._imageOf(volumeNode)
        except MemSegError as error:
            self._error = str(error)
            return
        if image.known is None:
            keep = partial(self._keepImage, volumeId, image)
            self._worker.submit(image.volume, keep, partial(self._volumeFailed, volumeId))

    def _keepImage(self, volumeId: str, image: Image, volume: Volume) -> None:
        if self._nodeOf(volumeId) is not None:
            self._images.setdefault(volumeId, replace(image, known=volume))

    def _volumeFailed(self, volumeId: str, error: Exception) -> None:
        if not isinstance(error, MemSegError):
            log.error("the volume could not be checked", exc_info=error)
        if volumeId == self._volumeId:
            self._fail(str(error) if isinstance(error, MemSegError) else _UNEXPECTED)

    # -- what happens to the scene ---------------------------------------------------------------------------------

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, scene: slicer.vtkMRMLScene, event: str, node: slicer.vtkMRMLNode) -> None:
        nodeId = node.GetID()
        self._images.pop(nodeId, None)
        for record in list(self._records.values()):
            if nodeId in (record.key.volumeId, record.key.segmentationId):
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

    def _forget(self, record: _Record) -> None:
        """Drop a session; what its running job finds out will be dropped too."""
        record.gone = True
        self._records.pop(record.key, None)
        self._stale.discard((record.key.segmentationId, record.key.segmentId))

    def _forgetAll(self) -> None:
        for record in list(self._records.values()):
            self._forget(record)
        self._waiting.clear()
        self._images.clear()
        self._volumeId = self._segmentationId = self._segmentId = None
        self._error = ""

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
