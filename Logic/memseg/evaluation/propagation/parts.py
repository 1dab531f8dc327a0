"""What has been measured of a long run, kept object by object in a folder, so that it can go on where it stopped."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zlib import crc32

from ..records import read, write
from .cases import Case
from .scores import CaseScores


class Parts:
    """One file for each object, axis and gap. options: whatever decides its scores; a file with others counts for
    nothing and is written anew."""

    def __init__(self, folder: Path, options: dict[str, Any], machine: dict[str, Any]) -> None:
        self._folder = folder
        self._options = options
        self._machine = machine

    def of(self, case: Case) -> CaseScores | None:
        """Raises FileError for a file that holds anything else."""
        path = self._path(case.labelled.entry.identity, case.labelled.name, case.axis, case.gap)
        if not path.exists():
            return None
        options, _, results = read(path, CaseScores.from_record)
        return results[0] if options == self._options and len(results) == 1 else None

    def keep(self, scores: CaseScores) -> None:
        path = self._path(scores.entry, scores.name, scores.axis, scores.gap)
        write(path, self._options, self._machine, {}, [asdict(scores)])

    def _path(self, *identity: str | int) -> Path:
        """Names may hold anything: what no file name may is replaced, and a checksum tells the names apart."""
        words = "-".join(map(str, identity))
        return self._folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', words)[:80]}-{crc32(repr(identity).encode()):08x}.json"
