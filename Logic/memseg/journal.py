"""A crash-safe diary of a session: one JSON line a step, on the disk before the step takes effect.

The first line names the image (fingerprint), the model and whether memory is on; every further line is one step. A line
counts once its line break is on the disk, so whatever stops the program costs at most the step in flight.
"""

from __future__ import annotations

import binascii
import json
import logging
import os
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import FileError, MemSegError, SessionError
from .guard import Guard
from .prompts import from_record
from .volume import Volume

if TYPE_CHECKING:
    from .session import Session

log = logging.getLogger(__name__)
_FORMAT = "memseg-journal-1"


class Journal:
    """An open journal; `append` puts a whole line on the disk, or raises FileError and leaves the file as it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._size = path.stat().st_size
        except OSError as error:
            raise FileError(
                f"The journal {path.name} cannot be opened ({error.strerror}); choose another place."
            ) from error

    @classmethod
    def begin(cls, path: str | Path, volume: Volume, model: str, memory: bool) -> Journal:
        """A new journal. Raises FileError where the file exists, so that no earlier session is lost."""
        path = Path(path)
        try:
            path.touch(exist_ok=False)
        except FileExistsError as error:
            raise FileError(
                f"The journal {path.name} holds an earlier session; resume it or choose another name."
            ) from error
        except OSError as error:
            raise FileError(
                f"The journal {path.name} cannot be made ({error.strerror}); choose another place."
            ) from error
        journal = cls(path)
        try:
            journal.append({"format": _FORMAT, "image": volume.fingerprint, "model": model, "memory": memory})
        except FileError:
            path.unlink()
            raise
        return journal

    def append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        try:
            with open(self.path, "r+b", buffering=0) as file:
                try:
                    file.seek(self._size)
                    written = 0
                    while written < len(line):
                        written += file.write(line[written:])
                    file.truncate()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(self._size)
                    raise
        except OSError as error:
            raise FileError(
                f"The journal {self.path.name} cannot be written ({error.strerror}), so the step was not taken; "
                "free some space, or go on without a journal."
            ) from error
        self._size += len(line)


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of a journal and their size in bytes; a last line without its line break is left out."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"The journal {path.name} cannot be read ({error.strerror}); check its name.") from error
    size = data.rfind(b"\n") + 1
    try:
        lines = [json.loads(line) for line in data[:size].splitlines()]
        if not lines or lines[0]["format"] != _FORMAT or not all(isinstance(line, dict) for line in lines):
            raise ValueError(path.name)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileError(f"{path.name} is not a journal of this program, or it is damaged.") from error
    return lines, size


def resume_session(path: str | Path, volume: Volume, device: str = "auto") -> Session:
    """The session that a journal records, rebuilt by taking its steps again; it goes on in the same journal.

    Raises FileError for a file that is not a journal, SessionError for a journal of another image.
    """
    from .build import build
    from .session import Session

    path = Path(path)
    (header, *steps), size = read_lines(path)
    if header.get("image") != volume.fingerprint:
        raise SessionError("The journal belongs to another image; open the image it was made on, then resume it.")
    session = Session(volume, build(str(header.get("model")), device), device, bool(header.get("memory", True)))
    for step in steps:
        _take(session, step, path)
    os.truncate(path, size)
    session.go_on_in(Journal(path))
    log.info("journal resumed: %d steps", len(steps))
    return session


def _take(session: Session, step: dict[str, Any], path: Path) -> None:
    try:
        match step:
            case {"do": "add", "prompt": dict(record)}:
                session.add(from_record(record))
            case {"do": "say", "prompt": {"kind": "mask"} as record}:
                session.talking.repeat(from_record(record))
            case {"do": "amend", "prompt": {"kind": "mask"} as record}:
                taken = from_record(record)
                session.amend(taken.box, taken.values)
            case {"do": "remove", "index": int(index)}:
                session.remove(index)
            case {"do": "forget", "number": int(number)}:
                session.forget(number)
            case {"do": "propagate" | "follow"}:
                session.slicing.repeat(step)
            case {"do": "agree", "axis": str(axis), "index": int(index), "model": str() | None as model}:
                session.slicing.use(model)
                session.agree(axis, index)
            case {"do": "release" | "drop_slice" as name, "axis": str(axis), "index": int(index)}:
                getattr(session, name)(axis, index)
            case {"do": "pin_slice", "axis": str(axis), "index": int(index), "on": bool(on)}:
                session.pin_slice(axis, index, on)
            case {"do": "make_consistent", "axis": str(axis)}:
                session.make_consistent(axis)
            case {"do": "change_slice_model", "name": str() | None as name}:
                session.change_slice_model(name)
            case {"do": "restore", "session": str(packed)}:
                saved = session.from_bytes(b64decode(packed), session.volume)
                session.slicing.prefer(saved.slicing.model)
                session.restore(saved.history, saved.extent, saved.mask_kji[saved.extent.slices].copy())
            case {"do": "keep_within", "guard": list() | None as rows}:
                session.keep_within(Guard(rows) if rows is not None else None)
            case {"do": "tell_modality", "name": str(name)}:
                session.tell_modality(name)
            case {"do": "change_model", "name": str(name)}:
                session.change_model(name)
            case {"do": "undo" | "redo" | "reset" | "clear_memory" | "clear_slices" as name}:
                getattr(session, name)()
            case _:
                raise FileError("it holds a step of an unknown kind")
    except (MemSegError, binascii.Error, KeyError, TypeError, ValueError) as error:
        raise FileError(f"The journal {path.name} cannot be replayed to its end: {error}") from error
