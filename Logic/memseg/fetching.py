"""A file from its https address to the disk: resumed where it broke off, and checked before it counts.

What has arrived lies beside the file's name as `.part`, with a note of what it is part of, until all of it is there and
its size and SHA-256 are right; then it takes the name. Only https is asked, http on this computer alone, and a
redirection has to stay with the host or one that belongs to it. Nothing of what arrives is read here.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from . import __version__
from .errors import FileError, ModelError

TIMEOUT_S = 30.0  # without a single byte
PAUSES_S = (1.0, 3.0, 10.0)  # before a broken connection is tried again; forgotten with every byte that is new
LARGEST_BYTES = 4 * 2**30
_CHUNK_BYTES = 2**20
_SPARE_BYTES = 64 * 2**20  # to be left on the disk
_TOLERANCE = 0.01  # of a size in rounded megabytes
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BELONGING = {"huggingface.co": (".huggingface.co", ".hf.co")}  # where that host keeps its large files
_SHA256, _SPAN = re.compile(r"[0-9a-f]{64}"), re.compile(r"bytes (\d+)-\d+/(\d+)", re.ASCII)
_BROKEN = (OSError, http.client.HTTPException)  # what a connection raises; what the disk does is a FileError by then


@dataclass(frozen=True)
class Wanted:
    """size_mb: millions of bytes, rounded; 0 where it is not known. sha256: hexadecimal, or ""."""

    url: str
    size_mb: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Progress:
    """Bytes that are there, and that there will be; None where the server does not say."""

    done: int
    total: int | None


@dataclass(frozen=True)
class Arrived:
    """sha256: of the file as it lies there. checked: whether it is the one that was asked for or that the server
    announced; otherwise only the size was looked at."""

    sha256: str
    checked: bool


class UnavailableError(ModelError):
    """This computer cannot have the file from there: it has no network, or the file is not for everybody."""


def fetch(wanted: Wanted, target: Path) -> Generator[Progress, None, Arrived]:
    """Put the file at `target`, whose folder exists; long, and told as it goes on. Raises ModelError, and FileError
    where the disk refuses. Whatever ends it, what has arrived stays and is gone on with the next time, unless it turns
    out not to be what was wanted."""
    check_address(wanted.url)
    part = _Part(target)
    best, failed = part.size, 0
    total = part.note.total if part.belongs_to(wanted) and part.note.total == part.size else None
    while total is None or part.size < total:
        try:
            with closing(_Stream(wanted, part)) as stream:
                total = stream.total
                yield Progress(stream.offset, total)
                for _ in stream.copied():
                    yield Progress(part.size, total)
            total = part.size if total is None else total
            broken: Exception | None = None if part.size >= total else ConnectionError("the answer was cut short")
        except _BROKEN as error:
            broken = error
        if broken is not None:
            if not part.answered:
                raise UnavailableError(f"{_host(wanted.url)} cannot be reached from here ({_reason(broken)}).")
            failed = 0 if part.size > best else failed + 1
            best = max(best, part.size)
            if failed > len(PAUSES_S):
                raise ModelError(
                    f"The connection to {_host(wanted.url)} broke again and again ({_reason(broken)}); "
                    f"{_megabytes(part.size)} are kept, and the same command goes on from there."
                )
            time.sleep(PAUSES_S[max(0, failed - 1)])
    return part.finished(wanted)


def check_address(url: str) -> None:
    """Raise ModelError unless it is https, or http on this computer."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or parts.username is not None or not (parts.scheme == "https" or plain):
        raise ModelError(f"{parts.hostname or url} was to be asked without encryption, so it was not; use https.")


# -- what is on the disk -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Note:
    """What a part is part of. validator: what the server calls this version of the file; linked: its SHA-256, where it
    announces that."""

    url: str
    validator: str = ""
    linked: str = ""
    total: int | None = None


class _Part:
    """What has arrived. answered: whether any server has answered since this was made."""

    def __init__(self, target: Path) -> None:
        self.target, self.answered = target, False
        self.path = target.with_name(target.name + ".part")
        self._note_path = target.with_name(target.name + ".part.json")
        self.note = self._read_note()

    @property
    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def belongs_to(self, wanted: Wanted) -> bool:
        """Whether what is there can be gone on with: it is known what it is, and the server will say if that changed,
        or the SHA-256 will."""
        known = bool(self.note.validator or self.note.linked or wanted.sha256)
        return self.size > 0 and self.note.url == wanted.url and known

    def begin(self, note: _Note, offset: int) -> BinaryIO:
        """To be written to from there on. Raises FileError."""
        self.note = note
        try:
            self._note_path.write_text(json.dumps(asdict(note)), encoding="utf-8")
            file = open(self.path, "r+b" if self.path.exists() else "xb")
            file.truncate(offset)
            file.seek(offset)
        except OSError as error:
            raise self.refused(error) from error
        return file

    def check_room(self, total: int | None) -> None:
        """Raise FileError where the rest would not fit."""
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise self.refused(error) from error
        needed = (total or 0) - self.size + _SPARE_BYTES
        if free < needed:
            raise FileError(
                f"{self.target.name} needs {_megabytes(needed)} more, and {_megabytes(free)} are free in "
                f"{self.path.parent}; free some space, and run the same command again."
            )

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note_path.unlink(missing_ok=True)

    def finished(self, wanted: Wanted) -> Arrived:
        """Give it its name, if it is what was wanted; otherwise it goes. Raises ModelError, FileError."""
        announced = wanted.sha256 or self.note.linked
        if wrong := _unlike(self.size, wanted):  # where no server has said how long it is
            self.forget()
            raise ModelError(wrong)
        try:
            with open(self.path, "rb+") as file:
                os.fsync(file.fileno())
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if announced and digest != announced:
                self.forget()
                raise ModelError(
                    f"{self.target.name} arrived with another SHA-256 ({digest}) than it should have ({announced}), so "
                    "it was deleted. Try once more; if that gives the same, the file there has been changed."
                )
            os.replace(self.path, self.target)
            self._note_path.unlink(missing_ok=True)
        except OSError as error:
            raise self.refused(error) from error
        return Arrived(digest, bool(announced))

    def refused(self, error: OSError) -> FileError:
        return FileError(
            f"{self.target.name} cannot be written ({error.strerror or error}); {_megabytes(self.size)} are kept. Free "
            "some space or mend the folder, and run the same command again."
        )

    def _read_note(self) -> _Note:
        try:
            note = _Note(**json.loads(self._note_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return _Note("")
        words = (note.url, note.validator, note.linked)
        sound = all(isinstance(word, str) and word.isprintable() for word in words)
        return note if sound and (note.total is None or isinstance(note.total, int)) else _Note("")


# -- what comes from the server ----------------------------------------------------------------------------------------


class _Stream:
    """An answer of the server, from where the part ends if it can be had from there. offset: where it begins. total: of
    the whole file."""

    def __init__(self, wanted: Wanted, part: _Part) -> None:
        self._wanted, self._part = wanted, part
        offset = part.size if part.belongs_to(wanted) else 0
        self._answer, linked = self._ask(offset)
        if offset and not self._goes_on(offset, linked):
            self._answer.close()
            offset = 0
            self._answer, linked = self._ask(0)
        headers = self._answer.headers
        self.total = self._total_of(offset, linked)
        self._check_what_is_offered(linked)
        self.offset = offset
        self._note = _Note(wanted.url, _validator(headers), linked.sha256, self.total)

    def copied(self) -> Generator[None, None, None]:
        """Write what comes, a piece at a time. Raises FileError, and what a broken connection raises."""
        limit = self.total if self.total is not None else LARGEST_BYTES
        with self._part.begin(self._note, self.offset) as file:
            self._part.check_room(self.total)
            size = self.offset
            while size < limit or self.total is None:
                piece = self._answer.read1(_CHUNK_BYTES)
                if not piece:
                    return
                if size + len(piece) > limit:
                    self._part.forget()
                    raise ModelError(f"{_host(self._wanted.url)} sends more than the file should have; it was deleted.")
                try:
                    file.write(piece)
                    file.flush()
                except OSError as error:
                    raise self._part.refused(error) from error
                size += len(piece)
                yield

    def close(self) -> None:
        self._answer.close()

    def _ask(self, offset: int) -> tuple[http.client.HTTPResponse, _Linked]:
        headers = {"User-Agent": f"memseg/{__version__}", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self._part.note.validator:
                headers["If-Range"] = self._part.note.validator
        redirections = _Redirections(self._wanted.url)
        no_proxy = [urllib.request.ProxyHandler({})] if _host(self._wanted.url) in _LOOPBACK else []
        opener = urllib.request.build_opener(redirections, *no_proxy)
        try:
            answer = opener.open(urllib.request.Request(self._wanted.url, headers=headers), timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            self._part.answered = True
            with error:
                if error.code == 416 and offset:  # the part is longer than the file is by now
                    return self._ask(0)
                if error.code >= 500 or error.code == 429:
                    raise ConnectionError(f"{error.code} {error.reason}") from error
            raise UnavailableError(_of_status(error.code, self._wanted.url)) from error
        self._part.answered = True
        return answer, redirections.linked

    def _goes_on(self, offset: int, linked: _Linked) -> bool:
        """Whether the answer is the rest of the very file that the part is of."""
        if self._answer.status != 206:
            return False
        found = _SPAN.fullmatch(self._answer.headers.get("Content-Range", ""))
        note = self._part.note
        same = not (linked.sha256 and note.linked) or linked.sha256 == note.linked
        return bool(found) and int(found[1]) == offset and note.total in (None, int(found[2])) and same

    def _total_of(self, offset: int, linked: _Linked) -> int | None:
        """Of the whole file, as far as the answer tells."""
        length, span = (self._answer.headers.get(name, "") for name in ("Content-Length", "Content-Range"))
        if offset and (found := _SPAN.fullmatch(span)):
            return int(found[2])
        return int(length) if length.isascii() and length.isdigit() else linked.size

    def _check_what_is_offered(self, linked: _Linked) -> None:
        """Raise ModelError before anything is written, where the file cannot be the one that was wanted."""
        wrong = "" if self.total is None else _unlike(self.total, self._wanted)
        if self._wanted.sha256 and linked.sha256 not in ("", self._wanted.sha256):
            wrong = (
                f"The file at {_host(self._wanted.url)} has been changed: its SHA-256 is {linked.sha256} where "
                f"{self._wanted.sha256} was expected, so it was not downloaded."
            )
        if wrong:
            self._answer.close()
            raise ModelError(wrong)


@dataclass(frozen=True)
class _Linked:
    """What the host that was asked says of a file that it keeps elsewhere (huggingface_hub, constants.py, names the
    headers)."""

    sha256: str = ""
    size: int | None = None

    @classmethod
    def of(cls, headers: Message) -> _Linked:
        digest, size = headers.get("X-Linked-Etag", "").strip('"'), headers.get("X-Linked-Size", "")
        known = size.isascii() and size.isdigit()
        return cls(digest if _SHA256.fullmatch(digest) else "", int(size) if known else None)


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows those that stay with the host or one of those belonging to it, and hears what the host says of the
    file."""

    def __init__(self, url: str) -> None:
        self._first, self.linked = url, _Linked()

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if _host(req.full_url) == _host(self._first) and (linked := _Linked.of(headers)).sha256:
            self.linked = linked
        before, after = _host(self._first), _host(newurl)
        check_address(newurl)
        at_home = after == before or (before in _LOOPBACK and after in _LOOPBACK)
        if not at_home and not after.endswith(_BELONGING.get(before, ())):
            raise ModelError(f"{before} sends on to {after}, which is not known to belong to it, so it was not asked.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


# -- words -------------------------------------------------------------------------------------------------------------


def _unlike(size: int, wanted: Wanted) -> str:
    """Why a file of that size is not the one that is wanted, a sentence; "" where it may be."""
    expected = wanted.size_mb * 10**6
    if 0 < size <= LARGEST_BYTES and (not expected or abs(size - expected) <= max(10**6, _TOLERANCE * expected)):
        return ""
    return (
        f"What {_host(wanted.url)} offers has {_megabytes(size)} where "
        f"{_megabytes(expected) if expected else 'weights'} were expected, so it was not taken. A page to log in to "
        "the network may be in the way, or the file there has been changed."
    )


def _validator(headers: Message) -> str:
    """What names this version of the file for If-Range; "" where only weak names are given."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _of_status(code: int, url: str) -> str:
    host = _host(url)
    if code in (401, 403):
        return f"{host} gives the file only to those who log in there and accept its terms ({code})."
    if code in (404, 410):
        return f"The file is not at {host} any more ({code})."
    return f"{host} refuses to send the file ({code})."


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 10**7 else f"{size / 1e6:.2g} MB"
