"""One object being segmented in one volume: prompt -> memory -> segmenter -> mask, and back again.

The path of a prompt is `Session.add`: check, recall, segment, commit. Nothing before the commit changes anything, so a
raised error leaves the session as it was. What can be undone is a list of steps, each the crop of the mask that changed
and the two immutable states between which it leads. What is done slice by slice is in slicing.py, what is said in words
in talking.py.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from . import catalog, slice_work
from .build import build, build_slices
from .errors import SessionError
from .geometry import Box
from .guard import Guard
from .history import History, State, Step, shares
from .journal import Journal
from .memory.interaction import CAPACITY, Interaction, InteractionMemory
from .memory.recall import RecallMemory
from .memory.slices import SliceMemory
from .prompts import MaskPrompt, Prompt, Text, check_fits, to_record
from .propagation import PATIENCE, SliceMark, spared
from .replay import replayed
from .segmenters.base import Numbered, Prediction, Segmenter, check_takes
from .segmenters.slice_base import SliceSegmenter
from .slice_review import Suggestion
from .slice_run import Steps
from .slicing import Slicing
from .talking import Spoken, Talking
from .volume import MaskChange, Volume

__all__ = ["History", "Session", "State", "Step", "new_session"]
log = logging.getLogger(__name__)


class Session(Spoken):
    """See the module. Not thread-safe: one thread at a time calls it.

    capacity: interactions the memory holds. slices: what follows the object from slice to slice; None builds the
    default when it is first needed. recall: structures kept from earlier volumes; None reads them when they are first
    needed. Whatever is done while a propagation runs ends that first, keeping what it has done.
    """

    def __init__(
        self,
        volume: Volume,
        segmenter: Segmenter,
        device: str = "auto",
        memory: bool = True,
        journal: Journal | None = None,
        capacity: int = CAPACITY,
        slices: SliceSegmenter | None = None,
        recall: RecallMemory | None = None,
    ) -> None:
        self.volume = volume
        self.uses_memory = memory
        self._segmenter = segmenter
        self._device = device
        self._journal = journal
        self._mask = np.zeros(volume.shape_kji, np.uint8)
        self._extent = Box.empty()  # holds every voxel that is set, perhaps more
        self._state = State(memory=InteractionMemory(capacity=capacity))
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._next_number = 1
        self._note = ""
        self._guard: Guard | None = None
        self.slicing = Slicing(self, slices, device)
        self.talking = Talking(self, recall)

    # -- what a shell shows ------------------------------------------------------------------------------------------

    @property
    def mask_kji(self) -> np.ndarray:
        """(K, J, I) uint8 0/1, a read-only view that follows the session."""
        view = self._mask.view()
        view.flags.writeable = False
        return view

    @property
    def prompts(self) -> tuple[Numbered, ...]:
        return self._state.prompts

    @property
    def memory(self) -> InteractionMemory:
        return self._state.memory

    @property
    def leaned(self) -> tuple[tuple[int, float], ...]:
        """(prompt number, share) of the remembered interactions that the present mask leaned on: see State."""
        return self._state.leaned

    @property
    def note(self) -> str:
        """What the segmenter had to say beside its last answer: a sentence, or ""."""
        return self._note

    @property
    def model(self) -> str:
        return self._segmenter.card.name

    @property
    def slice_model(self) -> str:
        """The name of what follows the object from slice to slice."""
        return self.slicing.segmenter.card.name

    @property
    def slices(self) -> SliceMemory:
        return self._state.slices

    def marks(self, axis: str) -> dict[int, SliceMark]:
        """What is known of the slices along an axis that were agreed or propagated, by index."""
        return {index: mark for (other, index), mark in sorted(self._state.marks.items()) if other == axis}

    @property
    def is_propagating(self) -> bool:
        return self.slicing.is_running

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    @property
    def extent(self) -> Box:
        """A box outside which the mask is empty."""
        return self._extent

    @property
    def history(self) -> History:
        return History(self._state, tuple(self._done), tuple(self._undone), self._next_number)

    def restore(self, history: History, box: Box, values: np.ndarray) -> None:
        """Take over a saved history and mask (uint8 crop at `box`, empty elsewhere) in place of all there is."""
        self.end_propagation()
        self._apply(self._change_to(box, values))
        self._extent = box
        self._state, self._next_number = history.state, history.next_number
        self._done, self._undone = list(history.done), list(history.undone)

    # -- what a user does --------------------------------------------------------------------------------------------

    def add(self, prompt: Prompt) -> MaskChange:
        """Answer a prompt; returns what changed in the mask. Raises PromptError, or what the segmenter raises. Words
        that the segmenter does not take are understood and grounded (talking.py)."""
        if isinstance(prompt, Text) and (
            prompt.kind not in self._segmenter.card.prompts or self.talking.is_command(prompt)
        ):
            return self.talking.add(prompt)
        self._check(prompt)
        self.end_propagation()
        entry = Numbered(self._next_number, prompt)
        after, change = self._answer(self._state, entry)
        if after.axis:
            after = slice_work.answered(after, self.volume, self._mask, change, entry, self.slicing.remembering)
        return self._commit(change, after, {"do": "add", "prompt": to_record(prompt)})

    def remove(self, index: int) -> MaskChange:
        """Take the prompt at `index` of `prompts` out as if it had never been given, answering the later ones again.

        Agreed slices stay as they are, but for those that only this prompt made agreed.
        """
        self.end_propagation()
        if not 0 <= index < len(self.prompts):
            raise SessionError(f"There is no prompt {index + 1} to delete; the session holds {len(self.prompts)}.")
        kept = self.prompts[:index] + self.prompts[index + 1 :]
        after, change = replayed(kept, self._state, self._done, self._mask, self._apply, self._answer)
        return self._commit(change, after, {"do": "remove", "index": index})

    def reset(self) -> MaskChange:
        """Empty mask, prompts and memories, agreed slices too; can be undone."""
        self.end_propagation()
        after = State((), self.memory.cleared(), slices=self.slices.cleared())
        return self._commit(self._emptying(), after, {"do": "reset"})

    def forget(self, number: int) -> None:
        """Drop one interaction from the memory, keeping its prompt and the mask; can be undone."""
        self.end_propagation()
        memory = self.memory.without(number)
        if memory is self.memory:
            raise SessionError(f"The memory holds no interaction {number}; choose one that it lists.")
        self._commit(MaskChange.nothing(), self._state.remembering(memory), {"do": "forget", "number": number})

    def clear_memory(self) -> None:
        """Drop all interactions from the memory, keeping prompts and mask; can be undone."""
        self.end_propagation()
        self._commit(MaskChange.nothing(), self._state.remembering(self.memory.cleared()), {"do": "clear_memory"})

    def change_model(self, name: str, device: str | None = None) -> None:
        """Answer further prompts with another model. Mask, prompts, history stay; each model reads its own memories.
        device: None: the one there was."""
        segmenter = build(name, device or self._device)
        self.end_propagation()
        self._write({"do": "change_model", "name": name})
        self._segmenter = segmenter
        if segmenter.card.banks:
            self.slicing.prefer(None)
        if device is not None and device != self._device:
            self._device = device
            self.slicing.change_device(device)

    @property
    def guard(self) -> Guard | None:
        return self._guard

    def keep_within(self, guard: Guard | None) -> None:
        """Change no voxel outside the guard from now on; None: anywhere. Masks from elsewhere, undo, redo and reset are
        not held back; nor is what a removed prompt did."""
        if guard != self._guard:
            self.end_propagation()
            self._write({"do": "keep_within", "guard": guard.unit_from_kji if guard is not None else None})
            self._guard = guard

    def undo(self) -> MaskChange:
        """Mask, prompts and memory back to before the last step; returns what changed in the mask."""
        self.end_propagation()
        if not self._done:
            raise SessionError("There is nothing to undo.")
        self._write({"do": "undo"})
        step, self._note = self._done.pop(), ""
        self._undone.append(step)
        change = step.change.inverse
        self._apply(change)
        self._state = step.before
        return change

    def redo(self) -> MaskChange:
        """The step undone last, done again."""
        self.end_propagation()
        if not self._undone:
            raise SessionError("There is nothing to redo.")
        self._write({"do": "redo"})
        step, self._note = self._undone.pop(), ""
        self._done.append(step)
        change = step.change
        self._apply(change)
        self._state = step.after
        return change

    def amend(self, box: Box, values: np.ndarray) -> None:
        """The last step left `values` (uint8 0/1) at `box` and nothing elsewhere: whatever shows the mask, such as an
        editor with rules of its own, took no more of it. Prompts and memories stay."""
        self.end_propagation()
        if not self._done:
            raise SessionError("There is no step to amend.")
        self._write({"do": "amend", "prompt": to_record(MaskPrompt.within(self.volume.shape_kji, box, values))})
        last, change = self._done[-1], self._change_to(box, values)
        self._apply(change)
        self._done[-1] = Step.of(MaskChange.of_all((last.change, change), self._mask), last.before, last.after)

    def save(self, path: str | Path) -> None:
        """Write mask, prompts, memory and history to one file, which `memseg.load_session` reads."""
        from .session_file import save_session

        self.end_propagation()
        save_session(self, path)

    def to_bytes(self) -> bytes:
        """What `save` writes."""
        from .session_file import to_bytes

        self.end_propagation()
        return to_bytes(self)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        volume: Volume,
        segmenter: Segmenter | None = None,
        device: str = "auto",
        slices: SliceSegmenter | None = None,
    ) -> Session:
        """The session that `to_bytes` gave, on the same image. Raises SessionError for another image, FileError for
        damaged data. segmenter, slices: None builds the models that the data name."""
        from .session_file import from_bytes

        return from_bytes(data, volume, segmenter, device, slices)

    # -- slice by slice ------------------------------------------------------------------------------------------

    def propagate(
        self,
        axis: str = "k",
        reference: int | Sequence[int] | None = None,
        first: int | None = None,
        last: int | None = None,
        direction: str = "both",
        policy: str | None = None,
        patience: int = PATIENCE,
        into: Session | None = None,
    ) -> Steps:
        """Follow the object from slice to slice; the mask grows with every step (SliceStep) that is taken.

        reference: slices whose mask is right, which makes them agreed; None: the agreed ones of the range, or else the
        one with most voxels. first, last: the range, both included. direction: "up" towards higher indices, "down",
        "both". policy: a rule of slice memory, kept from then on; None: as before, at first the model's own. patience:
        slices in a row without the object that end it. Agreed slices stay as they are. Ending, by whatever means, keeps
        what was done, as one step to undo and one prompt.

        axis "t": every slice along k is followed into the session `into`, on the next time point, which is what
        changes. Raises SessionError, at once, for what cannot be done.
        """
        return self.slicing.propagate(axis, reference, first, last, direction, policy, patience, into)

    def end_propagation(self) -> None:
        """End the one that is running, if any, keeping what it has done."""
        self.slicing.end()

    def agree(self, axis: str, index: int) -> None:
        """Keep a slice as it is, with the object or without; can be undone. Propagation starts from such slices."""
        self.slicing.agree(axis, index)

    def release(self, axis: str, index: int) -> None:
        """Let propagation change an agreed slice again; can be undone."""
        self.slicing.release(axis, index)

    def pin_slice(self, axis: str, index: int, on: bool = True) -> None:
        """Keep a remembered slice for good, or no longer; can be undone."""
        self.slicing.pin(axis, index, on)

    def drop_slice(self, axis: str, index: int) -> None:
        """Take a slice out of slice memory, keeping mask and marks; can be undone."""
        self.slicing.drop(axis, index)

    def clear_slices(self) -> None:
        """Empty slice memory, keeping mask and marks; can be undone."""
        self.slicing.clear()

    def suggest_slice(self, axis: str | None = None) -> Suggestion | None:
        """The propagated slice whose correction would help most; None where there is none. axis: None for the one last
        worked along."""
        return self.slicing.suggest(axis or self._state.axis)

    def make_consistent(self, axis: str | None = None) -> MaskChange:
        """Even the propagated slices out from one to the next, and take off what hangs on no agreed one; can be
        undone."""
        return self.slicing.make_consistent(axis or self._state.axis or "k")

    def change_slice_model(self, name: str | None) -> None:
        """Follow the object with another slice segmenter from now on; None: the session's model where it follows
        slices, or the default. Each reads its own memories."""
        self.slicing.change_model(name)

    # -- one prompt ----------------------------------------------------------------------------------------------

    def _check(self, prompt: Prompt) -> None:
        check_takes(self._segmenter.card, prompt, catalog.installed())
        check_fits(prompt, self.volume.grid)

    def _recall(self, memory: InteractionMemory) -> tuple[Interaction, ...] | None:
        return memory.of_model(self.model) if self.uses_memory else None

    def _answer(self, state: State, entry: Numbered) -> tuple[State, MaskChange]:
        """The state after one more prompt, and what it changes in the present mask. Changes nothing."""
        prompts = (*state.prompts, entry)
        if isinstance(entry.prompt, MaskPrompt):
            after = replace(state, prompts=prompts, leaned=())
            return after, self._change_to(entry.prompt.box, entry.prompt.values)
        recalled = self._recall(state.memory)
        prediction = self._segmenter.predict(self.volume, prompts, self.mask_kji, recalled)
        self._note = prediction.note
        change = MaskChange.between(self._mask, prediction.box, self._spared(state, entry.prompt, prediction))
        after = replace(state, prompts=prompts, leaned=shares(recalled or (), prediction.attention))
        if self.uses_memory:
            new = Interaction(entry.number, self.model, prediction.sparse, prediction.dense)
            after = after.remembering(state.memory.remember(new))
        return after, change

    def _spared(self, state: State, prompt: Prompt, prediction: Prediction) -> np.ndarray:
        """The predicted crop, with agreed slices that the prompt does not speak of, and all outside the guard, as they
        are."""
        after = prediction.mask
        if self._guard is not None:
            after = self._guard.kept(self._mask, prediction.box, after)
        if not state.agreed:
            return after
        keys = set(state.agreed) - slice_work.covered(prompt, self.volume.grid)
        return spared(self._mask, prediction.box, after, keys)

    def _change_to(self, box: Box, values: np.ndarray) -> MaskChange:
        """The change after which the mask is `values` at `box` and empty elsewhere."""
        whole = self._extent.union(box)
        after = np.zeros(whole.shape_kji, np.uint8)
        if not box.is_empty:
            after[box.relative_to(whole).slices] = values
        return MaskChange.between(self._mask, whole, after)

    def _emptying(self) -> MaskChange:
        return self._change_to(Box.empty(), np.zeros((0, 0, 0), np.uint8))

    # -- the only two places where anything changes ----------------------------------------------------------------

    def _commit(self, change: MaskChange, after: State, record: dict[str, Any]) -> MaskChange:
        self._write(record)
        self._done.append(Step.of(change, self._state, after))
        self._undone.clear()
        self._apply(change)
        self._state = after
        self._next_number += self._done[-1].number > 0
        log.info("%s: %d voxels changed, %d prompts", record["do"], change.voxels_changed, len(after.prompts))
        return change

    def _apply(self, change: MaskChange) -> None:
        self._mask[change.box.slices] = change.after
        self._extent = self._extent.union(change.box)

    def go_on_in(self, journal: Journal) -> None:
        """Record every further step in a journal that holds all there is so far."""
        self._journal = journal

    def keep_journal(self, journal: Journal) -> None:
        """Record every further step there, after all there is so far. Raises FileError where that cannot be written."""
        if self._done or self._undone or self._extent.size:
            journal.append({"do": "restore", "session": b64encode(self.to_bytes()).decode()})
        self.go_on_in(journal)

    def _write(self, record: dict[str, Any]) -> None:
        if self._journal is not None:
            self._journal.append(record)


def new_session(
    volume: Volume,
    model: str | None = None,
    device: str = "auto",
    memory: bool = True,
    journal: str | Path | None = None,
    slice_model: str | None = None,
    recall: RecallMemory | None = None,
) -> Session:
    """A session with an empty mask. model: a card's name, None for the default; slice_model: the same of what follows
    the object from slice to slice. journal: a new file that records every step as it happens, from which
    `memseg.resume_session` rebuilds the session after a crash. recall: None for the starter memory and the user's
    own."""
    segmenter = build(model, device)
    slices = None if slice_model is None else build_slices(slice_model, device)
    keeper = Journal.begin(journal, volume, segmenter.card.name, memory) if journal is not None else None
    return Session(volume, segmenter, device, memory, keeper, slices=slices, recall=recall)
