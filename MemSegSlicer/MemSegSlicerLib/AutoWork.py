"""What the user does with a trained model: have it guess first, and give finished segments back as training data.

A first guess is a job of the worker per window, so that it can be cancelled between two, and clicks are answered
meanwhile. Nothing is in the scene before all of it is there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import slicer

from memseg.automatic import collecting, folder
from memseg.automatic.collecting import Collected, Crop, listed
from memseg.automatic.folder import AutoFolders
from memseg.errors import MemSegError, SessionError
from memseg.geometry import Box

from . import Modality, SceneBridge, SegmentNames, Terminology, Texting
from .ActionQueue import ActionQueue
from .FirstGuess import Advanced, FirstGuess, sentence
from .Images import Image, Images
from .Lattice import SegmentVoxels
from .Listeners import Listeners
from .Recall import Recall
from .Record import Record
from .Region import guardOf
from .SceneState import SceneState, SegmentKey
from .SessionJob import Act, Outcome, SessionJob
from .Target import Target
from .Worker import Worker

log = logging.getLogger(__name__)

NO_IMAGE = "There is no image to segment; open one first."
NO_SEGMENT = "There is no segment yet; segment something and give it a name first."
IMAGE_CHANGED = "Auto stopped, as the image was changed or another one chosen; nothing was changed."
AUTO_CLOSED = "Auto stopped, as the scene was closed."
AUTO_SAVED = "Auto stopped, as the scene was saved; nothing was changed, so press it again."
CANCELLED = "Cancelled; nothing was changed."
RUNNING = "The trained model is at work already; cancel it or wait for its end."
BUSY = "Something is being done still; wait until it is there, then add the segments."
_UNEXPECTED = "Something unexpected went wrong and nothing was changed; the log says more."


@dataclass(frozen=True)
class AutoState:
    """What a panel shows. problem: why there can be no first guess, or "". done windows, of so many, while running.
    report: what was done last, or is being done; error: what went wrong; a sentence each, or ""."""

    folders: AutoFolders
    problem: str = ""
    running: bool = False
    collecting: bool = False
    done: int = 0
    of: int = 0
    report: str = ""
    error: str = ""


@dataclass(frozen=True)
class Site:
    """What is being worked on, and with what."""

    volumeNode: slicer.vtkMRMLVolumeNode | None
    segmentationNode: slicer.vtkMRMLSegmentationNode | None
    model: str
    device: str
    journalFolder: Path | None


@dataclass(frozen=True)
class Surroundings:
    """What all sessions of a controller share. quiet: called when sessions wait to be put into the scene. choose: makes
    a segment the current one."""

    scene: slicer.vtkMRMLScene
    worker: Worker
    queue: ActionQueue
    images: Images
    records: MutableMapping[SegmentKey, Record]
    recall: Recall
    sceneState: SceneState
    quiet: Callable[[], None]
    site: Callable[[], Site]
    choose: Callable[[slicer.vtkMRMLSegmentationNode, str], None]


class AutoWork:
    """For the main thread."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._listeners = Listeners[AutoState]()
        self._guess: FirstGuess | None = None
        self._volumeNode: slicer.vtkMRMLVolumeNode | None = None
        chosen = folder.folders()
        self._state = AutoState(chosen, chosen.problem)

    @property
    def state(self) -> AutoState:
        return self._state

    def addListener(self, listener: Callable[[AutoState], None]) -> Callable[[], None]:
        """As Controller.addListener."""
        return self._listeners.add(listener)

    def choose(self, model: str = "", data: str = "") -> None:
        """Other folders, now and the next time; "" for the one that there is. Raises FileError."""
        chosen = self._state.folders
        chosen = AutoFolders(
            Path(model.strip()).expanduser() if model.strip() else chosen.model,
            Path(data.strip()).expanduser() if data.strip() else chosen.data,
        )
        if chosen != self._state.folders:
            folder.choose(chosen)
            self._tell(folders=chosen, problem=chosen.problem, report="", error="")
        self.look()

    def look(self) -> None:
        """Whether there is a model by now: the user may have trained one meanwhile."""
        problem = self._state.folders.problem
        if problem != self._state.problem:
            self._tell(problem=problem)

    def beginAnew(self) -> None:
        """Another image: what was said of the last one is over."""
        if self._guess is None and not self._state.collecting and (self._state.report or self._state.error):
            self._tell(report="", error="")

    def cleanup(self) -> None:
        """Nobody is told of anything any more."""
        self._listeners.clear()
        self.cancel()

    # -- a first guess ---------------------------------------------------------------------------------------------

    def guess(self) -> None:
        """Have the trained model propose what it knows; each structure becomes a segment of its own."""
        self.look()
        site = self._around.site()
        problem = RUNNING if self._guess is not None else NO_IMAGE if site.volumeNode is None else self._state.problem
        if problem:
            self._tell(error=problem)
            return
        try:
            image = self._around.images.of(site.volumeNode)
            guard = guardOf(self._around.sceneState, site.volumeNode)
        except MemSegError as error:
            self._tell(error=str(error))
            return

        kind = Modality.of(site.volumeNode)

        def jobFor(act: Act) -> SessionJob:
            return SessionJob(
                image=image,
                session=None,
                stored=None,
                edited=None,
                act=act,
                model=site.model,
                device=site.device,
                journalFolder=site.journalFolder,
                guard=guard,
                modality=kind,
            )

        self._guess, self._volumeNode = (
            FirstGuess(image, self._state.folders.model, site.device, jobFor),
            site.volumeNode,
        )
        self._goOn(self._guess, done=0, of=0, report="Reading the trained model.", error="")

    def cancel(self, why: str = CANCELLED) -> None:
        """Takes effect after the window that is being looked at; nothing where none is."""
        if self._guess is not None:
            self._end(self._guess)
            self._tell(running=False, report=why, error="")

    def _goOn(self, guess: FirstGuess, **changes: object) -> None:
        self._tell(running=True, **changes)
        if guess is not self._guess:
            return  # whoever was told has cancelled it
        self._around.worker.submit(guess.step, partial(self._advanced, guess), partial(self._failed, guess))

    def _advanced(self, guess: FirstGuess, advanced: Advanced | None) -> None:
        if guess is not self._guess:
            return
        if not self._isOnItsImage(guess.image):
            self._stop(guess, IMAGE_CHANGED)
        elif advanced is not None:
            self._goOn(guess, done=advanced.done, of=advanced.of, report=advanced.need or self._state.report)
        else:
            try:
                self._commit(guess)
            except MemSegError as error:
                self._stop(guess, str(error))

    def _failed(self, guess: FirstGuess, error: Exception) -> None:
        if guess is self._guess:
            if not isinstance(error, MemSegError):
                log.error("a first guess failed", exc_info=error)
            self._stop(guess, sentence(error, _UNEXPECTED))

    def _stop(self, guess: FirstGuess, why: str) -> None:
        self._end(guess)
        self._tell(running=False, report="", error=why)

    def _end(self, guess: FirstGuess) -> None:
        self._guess = None
        self._around.worker.submit(guess.end, lambda _: None, lambda error: log.error("not ended", exc_info=error))

    def _isOnItsImage(self, image: Image) -> bool:
        """Whether the volume that is worked on is the one that the guess began with, as it was then."""
        node = self._around.site().volumeNode
        try:
            return node is not None and node is self._volumeNode and self._around.images.of(node) is image
        except MemSegError:
            return False

    def _commit(self, guess: FirstGuess) -> None:
        """All segments, or none. Raises MemSegError."""
        around, site = self._around, self._around.site()
        node, isNew = site.segmentationNode, site.segmentationNode is None
        if isNew:
            name = f"{site.volumeNode.GetName()} segmentation"
            node = SceneBridge.newSegmentation(around.scene, site.volumeNode, name)
        before = list(node.GetSegmentation().GetSegmentIDs())
        made: list[tuple[Record, Outcome]] = []
        try:
            for name, outcome in guess.found.items():
                key = SegmentKey(site.volumeNode.GetID(), node.GetID(), _newSegment(node, name))
                record = Record(Target(around.scene, key))
                made.append((record, outcome))
                record.target.write(outcome.change)
        except MemSegError:
            for record, _ in made:
                node.GetSegmentation().RemoveSegment(record.target.key.segmentId)
            if isNew:
                around.scene.RemoveNode(node)
            raise
        for record, outcome in made:
            record.session, record.view, record.stamp = outcome.session, outcome.view, record.target.stamp()
            record.restorable, record.unsaved, record.surfaceIsOld = False, True, True
            around.records[record.target.key] = record
        self._guess = None
        around.choose(node, made[0][0].target.key.segmentId)
        self._makeRoom(node, before)
        around.quiet()
        log.info("first guess: %d structures", len(made))
        self._tell(running=False, error="", report=_report(guess, [record for record, _ in made]))

    def _makeRoom(self, node: slicer.vtkMRMLSegmentationNode, before: list[str]) -> None:
        """A segment that a shell began with goes, if nobody touched it."""
        segmentation = node.GetSegmentation()
        if len(before) != 1 or not SegmentNames.isAutomatic(segmentation.GetSegment(before[0])):
            return
        record = self._around.records.get(SegmentKey(self._volumeNode.GetID(), node.GetID(), before[0]))
        isUsed = record is not None and (record.session is not None or self._around.queue.isPending(record))
        if not isUsed and not SceneBridge.holdsVoxels(node, before[0]):
            segmentation.RemoveSegment(before[0])

    # -- training data ---------------------------------------------------------------------------------------------

    def collect(self, remembers: bool = False) -> None:
        """Write the image and its named segments into the data set. remembers: the recall memory learns them too."""
        site = self._around.site()
        if site.volumeNode is None or site.segmentationNode is None:
            self._tell(error=NO_IMAGE if site.volumeNode is None else NO_SEGMENT)
            return
        if self._state.collecting or self._guess is not None or self._around.queue.isBusy:
            self._tell(error=BUSY)
            return
        try:
            image = self._around.images.of(site.volumeNode)
            read = _Named.of(site.segmentationNode, site.volumeNode)
        except MemSegError as error:
            self._tell(error=str(error))
            return
        folders = self._state.folders
        done = partial(self._collected, folders, site, read, remembers)
        self._tell(collecting=True, report="Writing image and segments.", error="")
        self._around.worker.submit(partial(read.write, folders.data, image), done, self._notCollected)

    def _collected(self, folders: AutoFolders, site: Site, read: _Named, remembers: bool, done: Collected) -> None:
        words = [done.sentence(folders)]
        if read.unnamed:
            words.append(f"Left out, as nobody named it: {listed(read.unnamed)}.")
        if remembers and (count := self._remember(site, [read.ids[name] for name in done.names])):
            words.append(f"{count} of them {'is' if count == 1 else 'are'} remembered, too.")
        log.info("collect: %d structures", len(done.names))
        self._tell(collecting=False, report=" ".join(words), error="")

    def _notCollected(self, error: Exception) -> None:
        if not isinstance(error, MemSegError):
            log.error("segments could not be collected", exc_info=error)
        self._tell(collecting=False, report="", error=sentence(error, _UNEXPECTED))

    def _remember(self, site: Site, segmentIds: list[str]) -> int:
        """Of those that changed since they were last remembered; returns how many these are."""
        around, count = self._around, 0
        for segmentId in segmentIds:
            key = SegmentKey(site.volumeNode.GetID(), site.segmentationNode.GetID(), segmentId)
            if not around.sceneState.holds(key):
                continue
            record = around.records.setdefault(key, Record(Target(around.scene, key)))
            if record.session is None or Texting.isWorthRemembering(record):
                name = record.target.segment.GetName()
                around.queue.add(Texting.remembered(record, around.recall, name, "", ""))
                count += 1
        return count

    # -- telling ---------------------------------------------------------------------------------------------------

    def _tell(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)
        self._listeners.tell(self._state)


@dataclass(frozen=True)
class _Named:
    """The segments of a segmentation that have a name, as they are now. ids: by name. modality: of the image, "" where
    nobody has said it."""

    segments: dict[str, SegmentVoxels]
    ids: dict[str, str]
    unnamed: tuple[str, ...]
    modality: str

    @classmethod
    def of(cls, node: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLVolumeNode) -> _Named:
        """Raises MemSegError for two of the same name, and for one that does not fit the volume."""
        segmentation, ids, unnamed = node.GetSegmentation(), {}, []
        for segmentId in segmentation.GetSegmentIDs():
            segment = segmentation.GetSegment(segmentId)
            name = (segment.GetName() or "").strip()
            if SegmentNames.isAutomatic(segment) or not name:
                unnamed += [name] if SceneBridge.holdsVoxels(node, segmentId) else []
            elif name in ids:
                raise SessionError(f"Two segments are called {name}; give one of them another name, or delete it.")
            else:
                ids[name] = segmentId
        if not ids:
            raise SessionError("No segment has a name that somebody chose; name those that are finished first.")
        read = SceneBridge.readSegments(node, list(ids.values()), volumeNode)
        for segmentId in ids.values():
            if segmentId not in read and SceneBridge.holdsVoxels(node, segmentId):
                SceneBridge.readSegment(node, segmentId, volumeNode)  # says what is wrong with it
        segments = {name: read[each] for name, each in ids.items() if each in read}
        return cls(segments, ids, tuple(unnamed), Modality.of(volumeNode))

    def write(self, into: Path, image: Image) -> Collected:
        """For the worker."""
        volume = image.volume()
        crops = {name: _tight(*voxels.crop()) for name, voxels in self.segments.items()}
        return collecting.collect(into, volume, crops, self.modality or "unknown")


def _tight(box: Box, values: np.ndarray) -> Crop:
    """Without the empty part of a labelmap that many segments share."""
    around = Box.of_mask(values)
    return around.shifted(box.start_kji), values[around.slices].copy()


def _newSegment(node: slicer.vtkMRMLSegmentationNode, name: str) -> str:
    """With codes and colour of its name, and a number after that where the name is taken."""
    segmentation = node.GetSegmentation()
    taken = {segmentation.GetSegment(each).GetName() for each in segmentation.GetSegmentIDs()}
    color = Terminology.spareColor(segmentation.GetNumberOfSegments())
    segmentId = SceneBridge.addSegment(node, name, color)
    SegmentNames.giveColor(segmentation, segmentId)
    segmentation.GetSegment(segmentId).SetName(SegmentNames.another(name, taken))
    return segmentId


def _report(guess: FirstGuess, records: list[Record]) -> str:
    names = [record.target.segment.GetName() for record in records]
    words = [f"Found {listed(names)}; click to correct {'them' if len(names) > 1 else 'it'}."]
    if guess.missing:
        words.append(f"Not found: {listed(guess.missing)}.")
    return " ".join([*words, guess.note] if guess.note else words)
