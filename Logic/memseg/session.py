"""One object being segmented in one volume: prompt -> memory -> segmenter -> mask, and back again.

The path of a prompt is `Session.add`: check, recall, segment, commit. Nothing before the commit changes anything, so a
raised error leaves the session as it was. What can be undone is a list of steps, each the crop of the mask that changed
and the two immutable states between which it leads.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import catalog
from .build import build
from .errors import SessionError
from .geometry import Box
from .journal import Journal
from .memory.interaction import CAPACITY, Interaction, InteractionMemory
from .prompts import MaskPrompt, Prompt, check_fits, to_record
from .segmenters.base import Numbered, Segmenter, check_takes
from .volume import MaskChange, Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class State:
    """What a session knows beside its mask: the prompts in force, oldest first, and what is remembered of them.

    leaned: (number, share) of those remembered interactions that the mask leaned on, oldest first. Shares are 0 to 1,
    together 1 unless the memory has lost some since; empty where the segmenter could not tell, or was not asked.
    """

    prompts: tuple[Numbered, ...] = ()
    memory: InteractionMemory = InteractionMemory()
    leaned: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        numbers = [number for number, _ in self.leaned]
        if len(set(numbers)) < len(numbers) or not self.memory.numbers.issuperset(numbers):
            raise ValueError("A mask leans on interactions that the memory holds, and on each once.")
        if not all(0 <= share <= 1 for _, share in self.leaned):
            raise ValueError("A share is 0 to 1.")

    def remembering(self, memory: InteractionMemory) -> State:
        """The same with another memory, and of what was leaned on only what that holds."""
        held = memory.numbers
        return replace(self, memory=memory, leaned=tuple(pair for pair in self.leaned if pair[0] in held))


@dataclass(frozen=True, eq=False)
class Step:
    """One thing the user did: the crop it changed, and the state before and after.

    The crops are kept as bits, so that sixty steps on an organ of 300 x 250 x 150 voxels take 340 MB and not 1.3 GB.
    """

    box: Box
    before_bits: np.ndarray
    after_bits: np.ndarray
    before: State
    after: State

    @classmethod
    def of(cls, change: MaskChange, before: State, after: State) -> Step:
        return cls(change.box, np.packbits(change.before), np.packbits(change.after), before, after)

    @property
    def change(self) -> MaskChange:
        crops = (np.unpackbits(bits, count=self.box.size) for bits in (self.before_bits, self.after_bits))
        return MaskChange(self.box, *(crop.reshape(self.box.shape_kji) for crop in crops))


@dataclass(frozen=True, eq=False)
class History:
    """All of a session but its mask: the present state, the steps that led to it and those undone, the next number."""

    state: State
    done: tuple[Step, ...]
    undone: tuple[Step, ...]
    next_number: int


class Session:
    """See the module. Not thread-safe: one thread at a time calls it. capacity: interactions the memory holds."""

    def __init__(
        self,
        volume: Volume,
        segmenter: Segmenter,
        device: str = "auto",
        memory: bool = True,
        journal: Journal | None = None,
        capacity: int = CAPACITY,
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
        self._apply(self._change_to(box, values))
        self._extent = box
        self._state, self._next_number = history.state, history.next_number
        self._done, self._undone = list(history.done), list(history.undone)

    # -- what a user does --------------------------------------------------------------------------------------------

    def add(self, prompt: Prompt) -> MaskChange:
        """Answer a prompt; returns what changed in the mask. Raises PromptError, or what the segmenter raises."""
        self._check(prompt)
        entry = Numbered(self._next_number, prompt)
        after, change = self._answer(self._state, entry)
        return self._commit(change, after, {"do": "add", "prompt": to_record(prompt)})

    def remove(self, index: int) -> MaskChange:
        """Take the prompt at `index` of `prompts` out as if it had never been given, answering the later ones again."""
        if not 0 <= index < len(self.prompts):
            raise SessionError(f"There is no prompt {index + 1} to delete; the session holds {len(self.prompts)}.")
        kept = self.prompts[:index] + self.prompts[index + 1 :]
        after, change = self._replayed(kept)
        return self._commit(change, after, {"do": "remove", "index": index})

    def reset(self) -> MaskChange:
        """Empty mask, prompts and memory; can be undone."""
        return self._commit(self._emptying(), State((), self.memory.cleared()), {"do": "reset"})

    def forget(self, number: int) -> None:
        """Drop one interaction from the memory, keeping its prompt and the mask; can be undone."""
        memory = self.memory.without(number)
        if memory is self.memory:
            raise SessionError(f"The memory holds no interaction {number}; choose one that it lists.")
        self._commit(MaskChange.nothing(), self._state.remembering(memory), {"do": "forget", "number": number})

    def clear_memory(self) -> None:
        """Drop all interactions from the memory, keeping prompts and mask; can be undone."""
        self._commit(MaskChange.nothing(), self._state.remembering(self.memory.cleared()), {"do": "clear_memory"})

    def change_model(self, name: str) -> None:
        """Answer further prompts with another model. Mask, prompts, history stay; each model reads its own memories."""
        segmenter = build(name, self._device)
        self._write({"do": "change_model", "name": name})
        self._segmenter = segmenter

    def undo(self) -> MaskChange:
        """Mask, prompts and memory back to before the last step; returns what changed in the mask."""
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
        if not self._undone:
            raise SessionError("There is nothing to redo.")
        self._write({"do": "redo"})
        step, self._note = self._undone.pop(), ""
        self._done.append(step)
        change = step.change
        self._apply(change)
        self._state = step.after
        return change

    def save(self, path: str | Path) -> None:
        """Write mask, prompts, memory and history to one file, which `memseg.load_session` reads."""
        from .session_file import save_session

        save_session(self, path)

    def to_bytes(self) -> bytes:
        """What `save` writes."""
        from .session_file import to_bytes

        return to_bytes(self)

    @classmethod
    def from_bytes(
        cls, data: bytes, volume: Volume, segmenter: Segmenter | None = None, device: str = "auto"
    ) -> Session:
        """The session that `to_bytes` gave, on the same image. Raises SessionError for another image, FileError for
        damaged data. segmenter: None builds the model that the data name."""
        from .session_file import from_bytes

        return from_bytes(data, volume, segmenter, device)

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
            return State(prompts, state.memory), self._change_to(entry.prompt.box, entry.prompt.values)
        recalled = self._recall(state.memory)
        prediction = self._segmenter.predict(self.volume, prompts, self.mask_kji, recalled)
        self._note = prediction.note
        change = MaskChange.between(self._mask, prediction.box, prediction.mask)
        after = State(prompts, state.memory, _shares(recalled or (), prediction.attention))
        if self.uses_memory:
            new = Interaction(entry.number, self.model, prediction.sparse, prediction.dense)
            after = after.remembering(state.memory.remember(new))
        return after, change

    def _change_to(self, box: Box, values: np.ndarray) -> MaskChange:
        """The change after which the mask is `values` at `box` and empty elsewhere."""
        whole = self._extent.union(box)
        after = np.zeros(whole.shape_kji, np.uint8)
        if not box.is_empty:
            after[box.relative_to(whole).slices] = values
        return MaskChange.between(self._mask, whole, after)

    def _emptying(self) -> MaskChange:
        return self._change_to(Box.empty(), np.zeros((0, 0, 0), np.uint8))

    # -- replay --------------------------------------------------------------------------------------------------

    def _replayed(self, prompts: tuple[Numbered, ...]) -> tuple[State, MaskChange]:
        """The state and the total change of answering just these prompts; the mask is put back before returning.

        Starts from the latest moment in the history at which the session held a beginning of this list.
        """
        state, backwards = self._latest_beginning(prompts)
        walked: list[MaskChange] = []
        try:
            for change in backwards:
                self._apply(change)
                walked.append(change)
            for entry in prompts[len(state.prompts) :]:
                self._check(entry.prompt)
                state, change = self._answer(state, entry)
                self._apply(change)
                walked.append(change)
            touched = _union(change.box for change in walked)
            after = self._mask[touched.slices].copy()
        finally:
            for change in reversed(walked):
                self._apply(change.inverse)
        return state, MaskChange.between(self._mask, touched, after)

    def _latest_beginning(self, prompts: tuple[Numbered, ...]) -> tuple[State, list[MaskChange]]:
        """The latest past state whose prompts begin the list, and the changes that lead the mask back to it."""
        backwards: list[MaskChange] = []
        for step in reversed(self._done):
            backwards.append(step.change.inverse)
            held = step.before.prompts
            if held == prompts[: len(held)]:
                return step.before, backwards
        return State((), self.memory.cleared()), [self._emptying()]

    # -- the only two places where anything changes ----------------------------------------------------------------

    def _commit(self, change: MaskChange, after: State, record: dict[str, Any]) -> MaskChange:
        self._write(record)
        self._done.append(Step.of(change, self._state, after))
        self._undone.clear()
        self._apply(change)
        self._state = after
        self._next_number += record["do"] == "add"
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


def _shares(recalled: tuple[Interaction, ...], attention: np.ndarray | None) -> tuple[tuple[int, float], ...]:
    """(number, share) of each recalled entry; none where the segmenter cannot tell or tells nonsense, as a mask is not
    worse for that."""
    if attention is None:
        return ()
    if attention.shape != (len(recalled),) or not np.isfinite(attention).all():
        log.warning("attention of shape %s to %d memories is left out", attention.shape, len(recalled))
        return ()
    shares = np.clip(attention, 0, 1)  # a sum of float32 can end at 1.0000001
    return tuple((entry.number, float(share)) for entry, share in zip(recalled, shares))


def _union(boxes: Iterable[Box]) -> Box:
    total = Box.empty()
    for box in boxes:
        total = total.union(box)
    return total


def new_session(
    volume: Volume,
    model: str | None = None,
    device: str = "auto",
    memory: bool = True,
    journal: str | Path | None = None,
) -> Session:
    """A session with an empty mask. model: a card's name, None for the default. journal: a new file that records every
    step as it happens, from which `memseg.resume_session` rebuilds the session after a crash."""
    segmenter = build(model, device)
    keeper = Journal.begin(journal, volume, segmenter.card.name, memory) if journal is not None else None
    return Session(volume, segmenter, device, memory, keeper)
