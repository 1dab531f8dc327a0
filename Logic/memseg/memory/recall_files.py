"""The recall memory on the disk: a folder with two files for each entry, its arrays as safetensors and its words as
JSON.

Files may come from anywhere: sizes, types and shapes are bounded and checked, nothing is unpickled, and names inside
an archive are never used as paths. Whatever is wrong with one entry is a sentence, and the others are read. Every write
goes to a name beside the file's first, so that a full disk or Ctrl-C leaves what was there before.
"""

from __future__ import annotations

import json
import logging
import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import FileError, MemSegError
from ..places import resources, user_folder
from ..replacing import replacing
from .bank import Bank
from .recall import VERSION, RecallEntry, RecallMemory
from .tensors import TensorError, pack, unpack

log = logging.getLogger(__name__)
VARIABLE = "MEMSEG_RECALL"  # names another folder than the usual one
STARTER = resources() / "Recall"
LARGEST_ENTRY = 16 * 2**20  # bytes; one without an image takes some 40 kB
LARGEST_WORDS = 64 * 2**10
MOST_ENTRIES = 20_000
LARGEST_ARCHIVE = 2**30  # bytes that are unpacked from one file
_ARRAYS = ("keys", "values", "near_index", "near_keys", "mask", "cut", "histograms", "embedding", "thumbnail", "image",
           "image_to_mm")  # fmt: skip
_WORDS = tuple(each.name for each in fields(RecallEntry) if each.name not in _ARRAYS)


def default_folder() -> Path:
    """The user's own folder: what MEMSEG_RECALL names, else where this system keeps a program's files."""
    named = os.environ.get(VARIABLE, "").strip()
    return Path(named) if named else user_folder() / "recall"


@cache
def starter() -> RecallMemory:
    """The memory that ships with the project; empty where it is not there."""
    memory = RecallMemory()
    for archive in sorted(STARTER.glob("*.zip")):
        found, problems = read_archive(archive)
        for sentence in problems:
            log.warning("%s", sentence)
        memory = memory.with_(*found.entries)
    return memory


def everything() -> RecallMemory:
    """The starter memory and the user's own; of an identity that both hold, the user's."""
    own, problems = RecallFolder(default_folder()).read()
    for sentence in problems:
        log.warning("%s", sentence)
    return starter().with_(*own.entries)


# -- one entry -------------------------------------------------------------------------------------------------------


def to_words(entry: RecallEntry) -> str:
    """The JSON of an entry."""
    return json.dumps({name: getattr(entry, name) for name in _WORDS}, ensure_ascii=False, indent=1)


def to_tensors(entry: RecallEntry) -> bytes:
    """The safetensors of an entry."""
    return pack(entry.arrays(), {"program": "memseg", "kind": "recall"})


def from_parts(words: bytes, tensors: bytes) -> RecallEntry:
    """An entry from its two files' bytes. Raises FileError with the reason, to be put after a colon."""
    if len(words) > LARGEST_WORDS or len(tensors) > LARGEST_ENTRY:
        raise FileError("it is too large to be one")
    try:
        record = json.loads(words.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileError("its words are no JSON") from error
    if not isinstance(record, dict):
        raise FileError("its words are no record")
    version = record.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        newer = type(version) is int and version > VERSION
        raise FileError(f"it was written by {'a newer' if newer else 'an unknown'} version of the program")
    try:
        arrays = unpack(tensors, frozenset(_ARRAYS))
        return RecallEntry(**{name: _plain(record[name]) for name in _WORDS if name in record}, **arrays)
    except TensorError as error:
        raise FileError(str(error)) from error
    except (MemSegError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise FileError("its contents do not make sense") from error


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# -- a folder --------------------------------------------------------------------------------------------------------


class RecallFolder:
    """The entries in a folder, which is made when the first is added. Nothing is kept in mind between calls."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def read(self) -> tuple[RecallMemory, tuple[str, ...]]:
        """What can be read, oldest first, and a sentence on each entry that cannot. Raises FileError where the folder
        itself cannot be read."""
        if not self.path.exists():
            return RecallMemory(), ()
        try:
            names = sorted(path for path in self.path.iterdir() if path.suffix == ".json" and not path.is_symlink())
        except OSError as error:
            raise FileError("The recall memory's folder cannot be read; check its permissions.") from error
        problems = []
        if len(names) > MOST_ENTRIES:
            problems.append(f"The recall memory holds more than {MOST_ENTRIES} entries; only so many were read.")
        entries = []
        for words in names[:MOST_ENTRIES]:
            try:
                entries.append(self._entry(words))
            except FileError as error:
                problems.append(
                    f"The remembered structure {words.stem[:40]} was left out: {error}; remove or replace it."
                )
        return RecallMemory(tuple(sorted(entries, key=lambda entry: (entry.made, entry.identity)))), tuple(problems)

    def _entry(self, words: Path) -> RecallEntry:
        tensors = words.with_suffix(".safetensors")
        try:
            if not (words.is_file() and tensors.is_file()):
                raise FileError("one of its two files is missing")
            if words.stat().st_size > LARGEST_WORDS or tensors.stat().st_size > LARGEST_ENTRY:
                raise FileError("it is too large to be one")
            entry = from_parts(words.read_bytes(), tensors.read_bytes())
        except OSError as error:
            raise FileError("one of its two files cannot be read") from error
        if entry.identity != words.stem:
            raise FileError("its file has another entry's name")
        return entry

    def add(self, entry: RecallEntry) -> None:
        """Write the entry, in place of an earlier one of its identity. Raises FileError; then nothing has changed."""
        tensors, words = to_tensors(entry), to_words(entry).encode("utf-8")
        if len(tensors) > LARGEST_ENTRY:
            raise FileError("The structure is too large to be remembered with its image; remember it without.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError("The recall memory's folder cannot be made; choose another by MEMSEG_RECALL.") from error
        target = self.path / f"{entry.identity}.safetensors"
        fresh = not target.exists()
        _write(target, tensors)
        try:
            _write(self.path / f"{entry.identity}.json", words)
        except FileError:
            if fresh:
                target.unlink(missing_ok=True)
            raise

    def remove(self, identity: str) -> None:
        """Raises FileError where there is no such entry."""
        words = self._words_of(identity)
        try:
            words.unlink()
            words.with_suffix(".safetensors").unlink(missing_ok=True)
            Bank(self.path).forget(identity)
        except OSError as error:
            raise FileError("The remembered structure cannot be removed; check the folder's permissions.") from error

    def rename(self, identity: str, name: str, key: str, side: str = "") -> RecallEntry:
        """Give an entry another name (key, side: see text.naming.key_of). Raises FileError or PromptError."""
        entry = self._entry_of(identity)
        renamed = RecallMemory((entry,)).renamed(identity, name, key, side).entries[0]
        _write(self._words_of(identity), to_words(renamed).encode("utf-8"))
        return renamed

    def export(self, identities: Iterable[str], target: str | Path) -> int:
        """Write entries to a .zip file, or to a folder where the name has no such ending. Returns how many."""
        entries = [self._entry_of(identity) for identity in identities]
        if not entries:
            raise FileError("There is nothing to export; name at least one remembered structure.")
        return export(entries, target)

    def import_(self, source: str | Path) -> tuple[RecallMemory, tuple[str, ...]]:
        """Add what a .zip file or a folder holds; entries that are here already stay as they are. Returns what was
        added, and a sentence on each entry that was left out. Raises FileError where nothing can be read."""
        source = Path(source)
        found, problems = RecallFolder(source).read() if source.is_dir() else read_archive(source)
        if not len(found) and not problems:
            raise FileError(f"{source.name} holds no remembered structures; choose an export of a recall memory.")
        added, left = [], list(problems)
        try:
            for entry in found:
                if (self.path / f"{entry.identity}.json").exists():
                    left.append(f"'{entry.name}' is here already and stays as it is.")
                    continue
                self.add(entry)
                added.append(entry)
        except FileError:
            for entry in added:
                self.remove(entry.identity)
            raise
        return RecallMemory(tuple(added)), tuple(left)

    def _words_of(self, identity: str) -> Path:
        path = self.path / f"{identity}.json"
        if not str(identity).isalnum() or not path.is_file():
            raise FileError(f"There is no remembered structure {str(identity)[:40]}; list them to see which there are.")
        return path

    def _entry_of(self, identity: str) -> RecallEntry:
        words = self._words_of(identity)
        try:
            return self._entry(words)
        except FileError as error:
            raise FileError(f"The remembered structure {identity[:40]} cannot be read: {error}; remove it.") from error


def export(entries: Iterable[RecallEntry], target: str | Path) -> int:
    """Write entries to a .zip file, or to a folder where the name has no such ending. Returns how many."""
    entries, target = list(entries), Path(target)
    if target.suffix.lower() != ".zip":
        folder = RecallFolder(target)
        for entry in entries:
            folder.add(entry)
        return len(entries)
    with (
        replacing(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file,
    ):
        for entry in entries:
            for ending, content in ((".json", to_words(entry).encode("utf-8")), (".safetensors", to_tensors(entry))):
                file.writestr(zipfile.ZipInfo(entry.identity + ending), content, zipfile.ZIP_DEFLATED, 9)
    return len(entries)


def read_archive(path: str | Path) -> tuple[RecallMemory, tuple[str, ...]]:
    """The entries of a .zip file, and a sentence on each that cannot be read. Raises FileError for no such file."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as file:
            return _from_archive(file, path.name)
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError) as error:
        raise FileError(f"{path.name} cannot be read as a .zip file of remembered structures.") from error


def _from_archive(file: zipfile.ZipFile, title: str) -> tuple[RecallMemory, tuple[str, ...]]:
    members = {info.filename: info for info in file.infolist()}
    names = [name for name in members if name.endswith(".json")]
    entries, problems, unpacked = {}, [], 0
    if len(names) > MOST_ENTRIES:
        problems.append(f"{title} holds more than {MOST_ENTRIES} entries; only so many were read.")
    for name in names[:MOST_ENTRIES]:
        if unpacked > LARGEST_ARCHIVE:
            problems.append(f"{title} unpacks to more than {LARGEST_ARCHIVE // 2**20} MB; the rest was left out.")
            break
        stem = name.removesuffix(".json")
        try:
            words = _member(file, members.get(name), LARGEST_WORDS)
            tensors = _member(file, members.get(f"{stem}.safetensors"), LARGEST_ENTRY)
            unpacked += len(words) + len(tensors)
            if len(words) > LARGEST_WORDS or len(tensors) > LARGEST_ENTRY:
                raise FileError("it is too large to be one")
            entry = from_parts(words, tensors)
            entries[entry.identity] = entry
        except FileError as error:
            problems.append(f"An entry of {title} was left out: {error}.")
    return RecallMemory(tuple(entries.values())), tuple(problems)


def _member(file: zipfile.ZipFile, info: zipfile.ZipInfo | None, largest: int) -> bytes:
    """The first bytes of a member, one more than may be at most: what an archive says of its sizes is not believed."""
    if info is None:
        raise FileError("one of its two files is missing")
    try:
        with file.open(info) as stream:
            return stream.read(largest + 1)
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, NotImplementedError) as error:
        raise FileError("it is damaged") from error


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
