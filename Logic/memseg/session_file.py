"""A session as one file: NumPy's .npz with a JSON description and the arrays it points to. Nothing in it is executed.

Prompts, memory entries and states are shared between the steps of a history, so each is stored once and pointed to by
its position. Masks and changes are stored as bits. Files may come from anywhere: every size is checked before use.
"""

from __future__ import annotations

import io
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from .errors import FileError, PromptError, SessionError
from .files import replacing
from .geometry import AXES, Box
from .memory.interaction import Interaction, InteractionMemory
from .memory.slices import SliceEntry, SliceFeatures, SliceMemory
from .prompts import from_record, to_record
from .propagation import SliceMark
from .segmenters.base import Numbered, Segmenter
from .segmenters.slice_base import SliceSegmenter
from .session import Session, State, Step
from .volume import MaskChange, Volume

_FORMAT = "memseg-session-1"
_LARGEST_FILE_BYTES = 2**31  # unpacked; far above 60 memories and thousands of steps, far below a laptop's memory
_DAMAGED = "The saved session is damaged or was not written by this program; start a new one."
_UNREADABLE = (
    *(PromptError, KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError),  # content
    *(MemoryError, RecursionError),  # its size
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError),  # container
)


class _Table:
    """Objects in order of first use; each keeps one position however often it is used."""

    def __init__(self, describe: Callable[[Any], dict[str, Any]]) -> None:
        self._describe = describe
        self._position: dict[int, int] = {}
        self.rows: list[dict[str, Any]] = []
        self._alive: list[Any] = []

    def position(self, value: Any) -> int:
        if id(value) not in self._position:
            self._position[id(value)] = len(self._alive)
            self._alive.append(value)
            self.rows.append(self._describe(value))
        return self._position[id(value)]


def to_bytes(session: Session) -> bytes:
    arrays: dict[str, np.ndarray] = {}

    def stored(array: np.ndarray) -> str:
        arrays[f"a{len(arrays)}"] = array
        return f"a{len(arrays) - 1}"

    prompts = _Table(lambda entry: {"number": entry.number, **to_record(entry.prompt)})
    interactions = _Table(
        lambda entry: {
            "number": entry.number,
            "model": entry.model,
            "sparse": stored(entry.sparse),
            "dense": None if entry.dense is None else stored(entry.dense),
        }
    )
    features = _Table(
        lambda value: {"keys": stored(value.keys), "values": stored(value.values), "window_mm": value.window_mm}
    )
    entries = _Table(lambda entry: {**vars_of(entry), "features": features.position(entry.features)})
    memories = _Table(
        lambda memory: {
            **vars_of(memory),
            "entries": [entries.position(entry) for entry in memory.entries],
            "recent": [entries.position(entry) for entry in memory.recent],
        }
    )
    marks = _Table(lambda known: {"marks": [[*key, vars_of(mark)] for key, mark in known.items()]})
    states = _Table(
        lambda state: {
            "prompts": [prompts.position(entry) for entry in state.prompts],
            "memory": [interactions.position(entry) for entry in state.memory],
            "leaned": state.leaned,
            "slices": memories.position(state.slices),
            "marks": marks.position(state.marks),
            "axis": state.axis,
        }
    )

    def crop(box: Box, values: np.ndarray) -> dict[str, Any]:
        return {"start": box.start_kji, "stop": box.stop_kji, "bits": stored(np.packbits(values))}

    def step(value: Step) -> dict[str, Any]:
        change = value.change
        return {
            "before": states.position(value.before),
            "after": states.position(value.after),
            "change": [crop(change.box, change.before), crop(change.box, change.after)],
        }

    history = session.history
    description = {
        "format": _FORMAT,
        "image": session.volume.fingerprint,
        "model": session.model,
        "slice_model": session.slicing.model,
        "modality": session.modality,
        "uses_memory": session.uses_memory,
        "capacity": session.memory.capacity,
        "next_number": history.next_number,
        "mask": crop(session.extent, session.mask_kji[session.extent.slices]),
        "state": states.position(history.state),
        "done": [step(value) for value in history.done],
        "undone": [step(value) for value in history.undone],
    }
    description |= {"prompts": prompts.rows, "interactions": interactions.rows, "states": states.rows}
    description |= {"slice_features": features.rows, "slice_entries": entries.rows}
    description |= {"slice_memories": memories.rows, "slice_marks": marks.rows}
    arrays["description"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def vars_of(value: Any) -> dict[str, Any]:
    """The fields of a value that are plain numbers, truths and words."""
    return {name: held for name, held in vars(value).items() if isinstance(held, (bool, int, float, str))}


def from_bytes(
    data: bytes,
    volume: Volume,
    segmenter: Segmenter | None = None,
    device: str = "auto",
    slices: SliceSegmenter | None = None,
) -> Session:
    """See Session.from_bytes."""
    from .build import build

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST_FILE_BYTES:
                raise FileError("The saved session is larger than any this program writes; it is damaged.")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            description = json.loads(bytes(arrays["description"]))
            if description["format"] != _FORMAT:
                raise FileError("The session was saved by another version of this program; update it, then load again.")
            if description["image"] != volume.fingerprint:
                raise SessionError("The session belongs to another image; open the image it was made on, then load it.")
            segmenter = segmenter or build(str(description["model"]), device)
            session = Session(volume, segmenter, device, bool(description["uses_memory"]), slices=slices)
            session.slicing.prefer(description.get("slice_model"))
            if description.get("modality"):  # older files: none
                session.tell_modality(description["modality"])
            _Reader(description, arrays, volume).fill(session)
    except _UNREADABLE as error:
        raise FileError(_DAMAGED) from error
    return session


class _Reader:
    """Turns a description and its arrays back into the values they came from."""

    def __init__(self, description: dict[str, Any], arrays: Any, volume: Volume) -> None:
        self._description = description
        self._arrays = arrays
        self._volume = volume
        self._prompts = [self._prompt(row) for row in description["prompts"]]
        self._interactions = [self._interaction(row) for row in description["interactions"]]
        features = [self._slice_features(row) for row in description.get("slice_features", ())]
        self._entries = [self._entry(row, features) for row in description.get("slice_entries", ())]
        self._memories = [self._memory(row) for row in description.get("slice_memories", ())]
        self._marks = [self._known(row["marks"]) for row in description.get("slice_marks", ())]
        self._states = [self._state(row) for row in description["states"]]

    def fill(self, session: Session) -> None:
        from .session import History

        description = self._description
        history = History(
            state=self._states[description["state"]],
            done=tuple(self._step(row) for row in description["done"]),
            undone=tuple(self._step(row) for row in description["undone"]),
            next_number=int(description["next_number"]),
        )
        added = {step.number for step in history.done} if history.done and not history.done[0].before.prompts else set()
        if not added.issuperset(entry.number for entry in history.state.prompts):
            raise ValueError("a prompt that no step has added")
        session.restore(history, *self._crop(description["mask"]))

    def _prompt(self, row: dict[str, Any]) -> Numbered:
        fields = dict(row)
        number = int(fields.pop("number"))
        return Numbered(number, from_record(fields))

    def _interaction(self, row: dict[str, Any]) -> Interaction:
        dense = None if row["dense"] is None else self._arrays[row["dense"]]
        return Interaction(int(row["number"]), str(row["model"]), self._arrays[row["sparse"]], dense)

    def _state(self, row: dict[str, Any]) -> State:
        entries = tuple(self._interactions[position] for position in row["memory"])
        memory = InteractionMemory(entries, int(self._description["capacity"]))
        if len(memory.numbers) < len(memory):
            raise ValueError("a memory holds an interaction twice")
        leaned = tuple((int(number), float(share)) for number, share in row.get("leaned", ()))  # older files: none
        prompts = tuple(self._prompts[position] for position in row["prompts"])
        if "slices" not in row:  # a file from before slices were remembered
            return State(prompts, memory, leaned)
        slices, marks = self._memories[row["slices"]], self._marks[row["marks"]]
        return State(prompts, memory, leaned, slices, marks, str(row["axis"]))

    def _slice_features(self, row: dict[str, Any]) -> SliceFeatures:
        return SliceFeatures(self._arrays[row["keys"]], self._arrays[row["values"]], tuple(row["window_mm"]))

    def _entry(self, row: dict[str, Any], features: list[SliceFeatures]) -> SliceEntry:
        entry = SliceEntry(**{**row, "features": features[row["features"]]})
        self._check_slice(entry.axis, entry.index)
        return entry

    def _memory(self, row: dict[str, Any]) -> SliceMemory:
        held = {name: tuple(self._entries[position] for position in row[name]) for name in ("entries", "recent")}
        return SliceMemory(**{**row, **held})

    def _known(self, rows: list[Any]) -> MappingProxyType:
        """One mapping for all states that share it, as when it was saved."""
        marks = {(str(axis), index): SliceMark(**fields) for axis, index, fields in rows}
        for axis, index in marks:
            self._check_slice(axis, index)
        return MappingProxyType(marks)

    def _check_slice(self, axis: str, index: int) -> None:
        if type(index) is not int or not 0 <= index < self._volume.shape_kji[AXES.index(axis)]:
            raise ValueError("a slice outside the volume")

    def _crop(self, row: dict[str, Any]) -> tuple[Box, np.ndarray]:
        box = Box(tuple(row["start"]), tuple(row["stop"]))
        if not self._volume.grid.box.covers(box):
            raise ValueError("a box outside the volume")
        bits = self._arrays[row["bits"]]
        if bits.dtype != np.uint8 or bits.shape != ((box.size + 7) // 8,):
            raise ValueError("bits that do not fill their box")
        return box, np.unpackbits(bits, count=box.size).reshape(box.shape_kji)

    def _step(self, row: dict[str, Any]) -> Step:
        (box, before), (_, after) = self._crop(row["change"][0]), self._crop(row["change"][1])
        return Step.of(MaskChange(box, before, after), self._states[row["before"]], self._states[row["after"]])


def save_session(session: Session, path: str | Path) -> None:
    """Write a session file, all of it or none. Raises FileError."""
    data = to_bytes(session)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


def load_session(path: str | Path, volume: Volume, device: str = "auto") -> Session:
    """The session a file holds, on the image it was made on. Raises FileError or SessionError."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"The session {path.name} cannot be read ({error.strerror}); check its name.") from error
    return from_bytes(data, volume, device=device)
