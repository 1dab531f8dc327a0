"""What a user does slice by slice. axis: "k", "j" or "i"; index: of a slice along it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memseg.errors import MemSegError
from memseg.session import Session

from .ActionQueue import ActionQueue
from .Images import Images
from .Propagation import RUNNING, Propagation
from .Record import Record
from .SessionJob import Act


class SliceActions:
    """The doors of a Controller that lead to slices."""

    _queue: ActionQueue
    _images: Images
    _recordToWorkOn: Callable[[], Record | None]
    _do: Callable[[str, Act | None], None]
    _tell: Callable[[], None]

    def propagate(
        self,
        axis: str,
        reference: int | Sequence[int] | None = None,
        first: int | None = None,
        last: int | None = None,
        direction: str = "both",
        patience: int = 2,
    ) -> None:
        """Follow the object from the reference slices on, live. Anything else that the user does ends that; what was
        done is one step to undo. Arguments: see memseg.session.Session.propagate."""
        if self._queue.run is not None:
            self._queue.fail(RUNNING)
            return
        record = self._recordToWorkOn()
        if record is None:
            return
        course = {"first": first, "last": last, "direction": direction, "patience": patience}
        try:
            run = Propagation(record, self._images, axis, lambda session: session.propagate(axis, reference, **course))
        except MemSegError as error:
            self._queue.fail(str(error))
            return
        self._queue.begin(run)

    def cancelPropagation(self) -> None:
        """Takes effect after the slice that is being answered; what was done stays. Nothing where none runs."""
        self._queue.endRun("Cancelled.")
        self._tell()

    def agree(self, axis: str, index: int) -> None:
        """The slice is right as it is: no propagation changes it."""
        self._do("agree", lambda session: session.agree(axis, index))

    def release(self, axis: str, index: int) -> None:
        """The slice is no longer agreed; propagation may change it."""
        self._do("release", lambda session: session.release(axis, index))

    def makeConsistent(self, axis: str) -> None:
        """Smooth the propagated slices along the axis and drop what hangs together with no agreed one."""
        self._do("make consistent", lambda session: session.make_consistent(axis))

    def pinSlice(self, axis: str, index: int, on: bool = True) -> None:
        """Keep the slice in the slice memory, or let it leave when its time comes."""
        self._do("pin slice", lambda session: session.pin_slice(axis, index, on))

    def dropSlice(self, axis: str, index: int) -> None:
        """Drop the slice from the slice memory; its mask stays."""
        self._do("drop slice", lambda session: session.drop_slice(axis, index))

    def clearSlices(self) -> None:
        """Drop all slices from the slice memory; the mask stays."""
        self._do("clear slices", Session.clear_slices)
