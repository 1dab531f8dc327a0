"""The weights a user has brought: which file belongs to which model, and that its licence was accepted.

Nothing is copied: a list in the user's own data folder (or in the folder MEMSEG_MODELS names) keeps path, size and
SHA-256. A list that is damaged counts as empty, with a warning, until something is to be written to it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from pathlib import Path

from .errors import FileError, ModelError
from .places import user_folder

VARIABLE = "MEMSEG_MODELS"
_FILE, _FORMAT = "models.json", 1
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """A file that a user has brought for a model. path: absolute. licence: what was accepted, and on which day."""

    path: str
    sha256: str
    size_bytes: int
    modified_ns: int
    licence: str
    accepted: str


def location() -> Path:
    """Of the list, which need not exist."""
    if folder := os.environ.get(VARIABLE):
        return Path(folder) / _FILE
    return user_folder() / _FILE


def registered() -> dict[str, Registered]:
    """By the model's name; empty where nothing is, or nothing can be read."""
    try:
        return _read()
    except FileError:
        _warn_once()
        return {}


def path_of(model: str) -> Path | None:
    """Where the model's file lies, or lay when it was added; None where none was."""
    entry = registered().get(model)
    return None if entry is None else Path(entry.path)


def add(model: str, path: Path, licence: str) -> Registered:
    """Remember the file as the model's, in place of an earlier one. licence: what the user has accepted. Raises
    FileError where the list cannot be read or written, ModelError where the file cannot."""
    known, path = _read(), path.absolute()
    try:
        state, sha256 = path.stat(), digest(path)
    except OSError as error:
        raise ModelError(f"{path.name} is missing or cannot be read; give the path of the weights file.") from error
    today = date.today().isoformat()
    entry = Registered(str(path), sha256, state.st_size, state.st_mtime_ns, licence, today)
    _write({**known, model: entry})
    return entry


def remove(model: str) -> None:
    """Forget the model's file, which stays where it is. Raises ModelError where none was added."""
    known = _read()
    if model not in known:
        raise ModelError(f"No file was added for the model '{model}'; see what there is with: memseg models.")
    _write({name: entry for name, entry in known.items() if name != model})


def check_unchanged(model: str) -> None:
    """Raise ModelError where the file is not what was added. The digest is only looked at where the date has changed,
    as it takes a second."""
    entry = registered().get(model)
    if entry is None:
        return
    path = Path(entry.path)
    advice = f"add it again: memseg models add {model} FILE"
    try:
        state = path.stat()
        same = state.st_size == entry.size_bytes and (
            state.st_mtime_ns == entry.modified_ns or digest(path) == entry.sha256
        )
    except OSError as error:
        raise ModelError(f"The weights {path.name} are not where they were any more; {advice}.") from error
    if not same:
        raise ModelError(f"The weights {path.name} have changed since they were added; {advice}.")


@cache
def _warn_once() -> None:
    log.warning("the list of added models is damaged and counts as empty")


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read() -> dict[str, Registered]:
    path = location()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError("another format")
        return {str(model): _entry(fields) for model, fields in content["models"].items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(
            f"The list of added models, {path}, is damaged or cannot be read; delete it and add the models again."
        ) from error


def _entry(fields: dict[str, object]) -> Registered:
    entry = Registered(**fields)  # TypeError for other fields
    texts = (entry.path, entry.sha256, entry.licence, entry.accepted)
    if not all(isinstance(value, str) for value in texts) or not isinstance(entry.size_bytes + entry.modified_ns, int):
        raise TypeError("a field of another type")
    return entry


def _write(models: dict[str, Registered]) -> None:
    from .files import replacing

    path = location()
    content = {"format": _FORMAT, "models": {model: asdict(entry) for model, entry in sorted(models.items())}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"The folder {path.parent} cannot be made; set {VARIABLE} to one that can.") from error
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
