"""What has been measured of a long run, kept query by query in a folder, so that it can go on where it stopped."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zlib import crc32

from ..records import read, write
from .play import Score


class Parts:
    """One file for each query and number of remembered subjects. options: whatever decides a score; a file with others
    counts for nothing and is written anew. machine: where it is measured."""

    def __init__(self, folder: Path, options: dict[str, Any], machine: dict[str, Any]) -> None:
        self._folder, self._options, self._machine = folder, options, machine

    def of(self, identity: str, kept: str) -> Score | None:
        """kept: which subjects were remembered, in words. Raises FileError for a file that holds anything else."""
        path = self._path(identity, kept)
        if not path.exists():
            return None
        options, _, results = read(path, Score.from_record)
        return results[0] if options == self._options and len(results) == 1 else None

    def keep(self, score: Score, kept: str) -> None:
        write(self._path(score.identity, kept), self._options, self._machine, {}, [asdict(score)])

    def _path(self, identity: str, kept: str) -> Path:
        words = f"{identity}-{kept}"
        return self._folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', words)[:80]}-{crc32(words.encode()):08x}.json"
