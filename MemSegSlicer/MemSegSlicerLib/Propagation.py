"""One propagation as the controller runs it: a job of the worker per slice, so that the user can act between two."""

from __future__ import annotations

from collections.abc import Callable

from memseg.errors import MemSegError
from memseg.session import Session
from memseg.slice_run import Steps
from memseg.volume import MaskChange

from .Images import Image, Images
from .Record import Action, Progress, Record
from .SessionJob import SessionView

SEGMENT_EDITED = "The propagation stopped, as the segment was edited; the edit is kept, and its slices count as agreed."
SEGMENT_CHANGED = "The propagation stopped, as the segment was changed elsewhere; the slices done so far are kept."
IMAGE_CHANGED = "The propagation stopped, as the image was changed; look at the slices done so far, then go on."
GONE = "The propagation stopped, as its image or segment was removed."
SCENE_CLOSED = "The propagation stopped, as the scene was closed."
RUNNING = "A propagation is running; cancel it or wait for its end."


class Propagation:
    """`step` and `end` run in the worker, where the session lives; the rest is for the main thread.

    ask: starts the session's own propagation. Raises MemSegError where the record's image cannot be used.
    """

    def __init__(self, record: Record, images: Images, axis: str, ask: Callable[[Session], Steps]) -> None:
        self.record = record
        self.isOver = False
        self._images = images
        self._image = images.of(record.target.volumeNode)
        self._axis = axis
        self._ask = ask
        self._session: Session | None = None
        self._steps: Steps | None = None
        self._done = 0
        self._index: int | None = None
        self._stops: list[str] = []

    @property
    def progress(self) -> Progress:
        return Progress(self._axis, self._done, self._index)

    @property
    def sentence(self) -> str:
        """What the run did and why it stopped."""
        count = f"{self._done} slice{'s' if self._done != 1 else ''} propagated."
        return " ".join((count, *self._stops))

    @property
    def isOnItsImage(self) -> bool:
        """Whether the volume still holds the image on which the run began."""
        return self._imageNow() is self._image

    def mayWrite(self, change: MaskChange | None, editedMeanwhile: bool) -> bool:
        """Not where the user edited that very slice meanwhile: the edit wins, and enters the session before the next.
        Nor into an image of another size.

        Raises as `Target.read`.
        """
        image = self._imageNow()
        if image is None or image.grid.shape_kji != self._image.grid.shape_kji:
            return False
        return not editedMeanwhile or change is None or self.record.target.was(change)

    def _imageNow(self) -> Image | None:
        """None where the volume holds none that can be used."""
        try:
            return self._images.of(self.record.target.volumeNode)
        except MemSegError:
            return None

    def nextAction(self) -> Action:
        return Action(self.record, "propagate", self.step, run=self)

    def step(self, session: Session) -> MaskChange | None:
        """Answer the next slice, the first time after asking for the run. None where there is no further one."""
        if self._steps is None:
            self._session, self._steps = session, self._ask(session)
        step = next(self._steps, None)
        if step is None:
            self.isOver = True
            return None
        self._done, self._index = self._done + 1, step.index
        if step.stopped and step.stopped not in self._stops:
            self._stops.append(step.stopped)
        return step.change

    def end(self) -> SessionView | None:
        """What was done becomes one step that can be undone. None where the run had not begun."""
        self.isOver = True
        if self._steps is None:
            return None
        self._steps.close()
        return SessionView.of(self._session)
