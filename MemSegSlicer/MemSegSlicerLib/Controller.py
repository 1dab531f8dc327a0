"""One session per (volume, segment): prompt in, job to the worker, change out.

Actions run one at a time and in order. Before each, on the main thread, the controller looks whether volume and segment
are still what the session knows (a manual edit enters the session as a mask prompt, a changed volume is taken over);
the worker does the rest; its result is written into the segment on the main thread, unless the segment has gone since.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import slicer
import vtk

from memseg import catalog
from memseg.errors import MemSegError
from memseg.prompts import Prompt, Text
from memseg.session import Session
from memseg.volume import Volume

from . import Modality, Texting
from .ActionQueue import ActionQueue, Pace
from .AutoWork import AUTO_CLOSED, AUTO_SAVED, AutoWork, Site, Surroundings
from .Images import Images
from .Listeners import Listeners
from .Pauses import Pauses
from .Preparations import prepare
from .Propagation import SCENE_CLOSED
from .Recall import Recall
from .Record import Action, Record, SessionState
from .Region import guardOf
from .SceneState import SceneState, SegmentKey, decodedSession
from .SessionJob import Act, SessionJob, SessionView
from .SliceActions import SliceActions
from .Target import Target
from .Worker import Worker
from .Writers import SceneWriter, Writer


class Controller(SliceActions):
    """Call it on the main thread only. journalFolder: where each session keeps a crash-safe journal; None for none.
    pace: when a propagation shows its next slice, see ActionQueue; the default is at once. recall: None: the user's."""

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        worker: Worker,
        model: str | None = None,
        device: str = "auto",
        journalFolder: Path | None = None,
        pace: Pace = lambda show: show(),
        recall: Recall | None = None,
    ) -> None:
        self._scene = scene
        self._worker = worker
        self.device = device
        self._journalFolder = journalFolder
        self._sceneState = SceneState(scene)
        self._model = catalog.card(model or catalog.default()).name
        self._records: dict[SegmentKey, Record] = {}
        self._images = Images()
        self._volumeId: str | None = None
        self._segmentationId: str | None = None
        self._segmentId: str | None = None
        self._pauses = Pauses(worker, self._sceneState, self._records, lambda: self._queue.isWorking)
        self._queue = ActionQueue(worker, self._jobFor, self._isThere, self._tell, self._pauses.plan, pace)
        self.recall = recall or Recall()
        around = (scene, worker, self._queue, self._images, self._records, self.recall, self._sceneState)
        self.auto = AutoWork(Surroundings(*around, self._pauses.plan, self._site, self.setSegment))
        self._isInterrupted = False  # by the closing of the scene, a propagation
        self._listeners = Listeners[SessionState]()
        self._observers = [
            scene.AddObserver(slicer.vtkMRMLScene.NodeRemovedEvent, self._onNodeRemoved),
            scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, self._onSceneClosing),
            scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, self._onSceneClosed),
            scene.AddObserver(slicer.vtkMRMLScene.EndImportEvent, lambda *_: self.restore()),
        ]
        self.restore()

    # -- what is being worked on -----------------------------------------------------------------------------------

    def setVolume(self, volumeNode: slicer.vtkMRMLVolumeNode | None) -> None:
        """Returns at once; the image is checked by the worker, and what is wrong with it becomes `state.error`."""
        volumeId = volumeNode.GetID() if volumeNode is not None else None
        if volumeId == self._volumeId:
            return
        self._queue.endRun()
        self._volumeId, self._queue.error = volumeId, ""
        self.auto.beginAnew()
        self._sceneState.volumeNode = volumeNode
        if volumeNode is not None:
            failed = partial(self._volumeFailed, volumeId)
            prepare(self._worker, self._images, volumeNode, failed, self._model, self.device)
        self._resume()
        self._tell()

    def setSegment(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None, segmentId: str | None) -> None:
        """Returns at once. A session that the segment had before, now or in the scene's file, goes on."""
        segmentationId = segmentationNode.GetID() if segmentationNode is not None else None
        if (segmentationId, segmentId) == (self._segmentationId, self._segmentId):
            return
        self._queue.endRun()
        self._segmentationId, self._segmentId, self._queue.error = segmentationId, segmentId or None, ""
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

    def _site(self) -> Site:
        return Site(self.volumeNode, self.segmentationNode, self._model, self.device, self._journalFolder)

    # -- what the user does ----------------------------------------------------------------------------------------

    def add(self, prompt: Prompt) -> None:
        if not isinstance(prompt, Text):
            self._do("add", lambda session: session.add(prompt), isPrompt=True)
        elif (record := self._recordToWorkOn()) is not None:
            self._queue.add(Texting.typed(record, prompt, self._records, self.recall))

    def choose(self, number: int) -> None:
        """Make another one of `state.understood.alternatives` the mask."""
        self._do("choose", lambda session: session.choose(number))

    def tellModality(self, modality: str) -> None:
        """Which kind of image the volume is, one of memseg.modality.MODALITIES; it is kept with the volume in the
        scene. Words that waited for it are tried again."""
        record = self._recordToWorkOn()
        if record is None:
            return
        Modality.keep(record.target.volumeNode, modality)
        if record.unanswered is not None:
            self.add(record.unanswered)

    def stop(self) -> None:
        """End what takes long: a propagation, which keeps what it has done, or else the answer that is being worked
        out, which then changes nothing."""
        if self._queue.run is not None:
            self.cancelPropagation()
        else:
            self._queue.stop()

    def remember(self, name: str, licence: str = "", note: str = "") -> None:
        """Put the segment into the recall memory, so that its name finds the like in other images."""
        record = self._recordToWorkOn()
        if record is not None:
            self._queue.add(Texting.remembered(record, self.recall, name, licence, note))

    def rememberIfNew(self) -> None:
        """The same under the segment's own name, where it has one and changed since it was last remembered. For shells,
        when the user goes on to something else."""
        record = self._records.get(self._key())
        if record is not None and Texting.isWorthRemembering(record):
            self.remember(record.target.segment.GetName())

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

    # -- the model -------------------------------------------------------------------------------------------------

    def setModel(self, name: str) -> None:
        """For the current session from its next prompt on, and for sessions yet to be made."""
        try:
            self._model = catalog.card(name).name
        except MemSegError as error:
            self._queue.fail(str(error))
            return
        self._sceneState.model = self._model
        self._changeModel(name)

    def setDevice(self, device: str) -> None:
        """Where to compute, as `memseg.build` names devices; from the next prompt on."""
        self.device = self._sceneState.device = device
        self._changeModel(self.state.model)

    def _changeModel(self, name: str) -> None:
        record, device = self._currentRecord(), self.device
        if record is not None and (record.session is not None or self._queue.isPending(record)):
            self._do("change model", lambda session: session.change_model(name, device))
        self._tell()

    # -- working with an editor ------------------------------------------------------------------------------------

    def writeWith(self, writer: Writer) -> Callable[[], None]:
        """Who puts changes into segments, until what this returns is called or another one takes over."""
        self._queue.writer = writer

        def stop() -> None:
            if self._queue.writer is writer:
                self._queue.writer = SceneWriter()

        return stop

    def abandon(self) -> None:
        """Drop what was asked for and is not done yet; the session goes back to where it was. A propagation ends, and
        what it has written stays."""
        self._queue.abandon()
        self._tell()

    def lookAgain(self) -> None:
        """What was undone or edited elsewhere enters the session now, and not only before the next prompt. For shells
        that hear of changes of the segmentation."""
        record = self._records.get(self._key())
        if record is None or record.session is None or self._queue.isPending(record) or not self._isThere(record):
            return
        try:
            isChanged = record.target.stamp() != record.stamp
        except MemSegError:  # the next prompt says what is wrong with the segment
            return
        if isChanged:
            self._do("look", None)

    # -- what a panel shows ----------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        record = self._records.get(self._key())
        view = record.view if record is not None and record.view is not None else SessionView(self._model)
        return SessionState(
            **vars(view),
            milliseconds=record.milliseconds if record is not None else None,
            busy=self._queue.isBusy,
            progress=self._queue.run.progress if self._queue.run is not None else None,
            working=self._queue.working,
            stopped=record is not None and record.stopped,
            asksModality=record is not None and record.unanswered is not None,
            report=record.report if record is not None else "",
            error=self._queue.error,
        )

    def addListener(self, listener: Callable[[SessionState], None]) -> Callable[[], None]:
        """Call the listener with the state after every change, on the main thread; returns what removes it."""
        return self._listeners.add(listener)

    def _tell(self) -> None:
        self._listeners.tell(self.state)

    # -- scenes ----------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Go on where the scene says: its volume, segment and model, and the sessions that it holds."""
        state = self._sceneState
        if state.model in {card.name for card in catalog.installed()}:
            self._model = state.model
        self.device = state.device or self.device
        if state.volumeNode is not None:
            self.setVolume(state.volumeNode)
        segmentationNode, segmentId = state.segmentationNode, state.segmentId
        if segmentationNode is not None and segmentationNode.GetSegmentation().GetSegment(segmentId or ""):
            self.setSegment(segmentationNode, segmentId)

    def saveToScene(self) -> None:
        """Wait for what is still being done, end a propagation and an answer that takes long, and put all sessions into
        the scene. For shells, before they save it.

        The controller does so by itself too, in the next pause between clicks.
        """
        self._queue.endRun()
        self.auto.cancel(AUTO_SAVED)
        with self._queue.inHaste():
            self._worker.settle()
        self._pauses.storeNow()

    def cleanup(self) -> None:
        """Stop observing the scene and forget everything; the worker is its owner's to close."""
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        self._observers.clear()
        self._listeners.clear()
        self.auto.cleanup()
        self._forgetAll()

    # -- jobs ------------------------------------------------------------------------------------------------------

    def _do(self, what: str, act: Act | None, isPrompt: bool = False) -> None:
        record = self._recordToWorkOn()
        if record is not None:
            self._queue.add(Action(record, what, act, isPrompt))

    def _jobFor(self, action: Action, stamp: tuple) -> SessionJob:
        record = action.record
        isNew = record.session is None and record.restorable
        isClipped = record.clipped and action.run is None
        text = self._sceneState.sessionText(record.target.key) if isNew else None
        return SessionJob(
            image=self._images.of(record.target.volumeNode),
            session=record.session,
            stored=partial(decodedSession, text) if text is not None else None,
            edited=record.target.read() if record.stamp != stamp or isClipped else None,
            act=action.ready(),
            model=self._model,
            device=self.device,
            journalFolder=self._journalFolder,
            guard=guardOf(self._sceneState, record.target.volumeNode),
            modality=Modality.of(record.target.volumeNode),
            step=record.target.step,
            isClipped=isClipped,
        )

    def _volumeFailed(self, volumeId: str, error: Exception) -> None:
        if volumeId == self._volumeId:
            self._queue.failWith(error, "the volume could not be checked")

    # -- records ---------------------------------------------------------------------------------------------------

    def _key(self) -> SegmentKey | None:
        if self._volumeId is None or self._segmentationId is None or self._segmentId is None:
            return None
        return SegmentKey(self._volumeId, self._segmentationId, self._segmentId)

    def _recordToWorkOn(self) -> Record | None:
        """The current one; where there is none, the user is told to choose what is missing."""
        record = self._currentRecord()
        if record is None:
            missing = "a volume" if self.volumeNode is None else "a segment"
            self._queue.fail(f"There is nothing to work on yet; choose {missing} first.")
        return record

    def _currentRecord(self) -> Record | None:
        key = self._key()
        return self._records.setdefault(key, Record(Target(self._scene, key))) if key is not None else None

    def _resume(self) -> None:
        """Bring back the session the scene holds for the current segment, so that its prompts are listed at once."""
        record = self._currentRecord()
        if record is None or record.session is not None or not record.restorable or self._queue.isPending(record):
            return
        if self._sceneState.sessionText(record.target.key) is not None:
            self._do("restore", None)

    def _isThere(self, record: Record) -> bool:
        if not record.gone and not record.target.isThere:
            self._forget(record)
        return not record.gone

    def _forget(self, record: Record) -> None:
        """Drop a session of the list; what its running job finds out will be dropped too."""
        self._queue.drop(record)
        del self._records[record.target.key]

    def _forgetAll(self) -> None:
        for record in list(self._records.values()):
            self._forget(record)
        self._queue.clear()
        self._images.clear()
        self._volumeId = self._segmentationId = self._segmentId = None

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

    def _onSceneClosing(self, *_: object) -> None:
        self.auto.cancel(AUTO_CLOSED)
        self._isInterrupted = self._queue.run is not None
        self._queue.endRun()

    def _onSceneClosed(self, *_: object) -> None:
        self._forgetAll()
        if self._isInterrupted:
            self._queue.error, self._isInterrupted = SCENE_CLOSED, False
        self._tell()
