"""The queries to measure: what is typed in which volume, and what it is to find.

The file is a list of records: id, words, family, volume (an id of the manifest) and truth (an expression, see
truths.py) or refused (words of the sentence that says why nothing is found). Optional: asked, as what the words are to
be understood (see asked.py); click, mask: an expression, what was clicked or segmented before; segments: {name:
expression}. Where volume and truth are null, only whether the words are understood is measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import FileError
from ...text.query import Asked, Command
from ..dataset import Dataset, Entry, is_validation
from .asked import asked_of
from .truths import Expression, check

FAMILIES = ("anatomy", "position", "size", "appearance", "combination", "command", "refused")
_KEYS = {"id", "words", "family", "volume", "truth", "refused", "asked", "click", "mask", "segments"}


@dataclass(frozen=True)
class Case:
    """One query in one volume. See the module."""

    identity: str
    words: str
    family: str
    entry: Entry | None
    truth: Expression = ""
    refused: str = ""
    asked: Asked | Command | None = None
    click: Expression = ""
    mask: Expression = ""
    segments: Mapping[str, Expression] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The queries of a file on the volumes of a data set. subjects: of whom: "validation", "training" or "all". limit:
    at most so many, at even distances, or None. Raises FileError where none is left."""

    dataset: Dataset
    cases: tuple[Case, ...]
    subjects: str = "all"
    limit: int | None = None

    @classmethod
    def read(cls, dataset: Dataset, queries: Path, subjects: str, limit: int | None) -> Selection:
        cases = read(queries, dataset)
        if subjects != "all":
            wanted = subjects == "validation"
            cases = tuple(case for case in cases if case.entry and is_validation(case.entry.subject) == wanted)
        if limit is not None and limit < len(cases):
            step = len(cases) / limit
            cases = tuple(cases[int(number * step)] for number in range(limit))
        if not cases:
            raise FileError(f"There are no queries for {subjects} subjects; ask for --subjects all.")
        return cls(dataset, cases, subjects, limit)


def read(path: Path, dataset: Dataset) -> tuple[Case, ...]:
    """In the file's order. Raises FileError for anything that is no list of queries for the data set."""
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"The queries {path.name} cannot be read as JSON; check the file.") from error
    if not isinstance(records, list) or not records:
        raise FileError(f"{path.name} holds no list of queries; check the file.")
    entries = {entry.identity: entry for entry in dataset.entries}
    cases = tuple(_case(record, number, entries) for number, record in enumerate(records, 1))
    if len({case.identity for case in cases}) < len(cases):
        raise FileError("Two queries have the same id; give each its own.")
    return cases


def _case(record: Any, number: int, entries: Mapping[str, Entry]) -> Case:
    where = f"Query {number}"
    if not isinstance(record, dict):
        raise FileError(f"{where} is not a record; check the file.")
    if unknown := sorted(set(record) - _KEYS):
        raise FileError(f"{where} has the key '{unknown[0]}', which means nothing; correct it.")
    if record.get("volume") is None and record.get("truth") is None and "refused" not in record:
        record = {key: value for key, value in record.items() if key != "truth"}  # only to be understood
    for key in ("id", "words", "family"):
        if not isinstance(record.get(key), str) or not record[key]:
            raise FileError(f"{where} has no usable '{key}'; add it.")
    where = f"The query '{record['id']}'"
    if record["family"] not in FAMILIES:
        raise FileError(f"{where} is of the family '{record['family']}'; choose one of: {', '.join(FAMILIES)}.")
    volume = record.get("volume")
    if volume is not None and volume not in entries:
        raise FileError(f"{where} is for the volume '{volume}', which the data set lacks; correct it.")
    if volume is None and "asked" not in record:
        raise FileError(f"{where} has neither a volume nor what it asks for; add one of them.")
    if volume is not None and ("truth" in record) == ("refused" in record):
        raise FileError(f"{where} is to have either a truth or the words with which it is refused.")
    entry = entries[volume] if volume is not None else None
    labels = {name for name, _ in entry.labels} if entry is not None else set()
    segments = record.get("segments", {})
    if not isinstance(segments, dict) or not isinstance(record.get("refused", ""), str):
        raise FileError(f"{where} has segments, or words, of another kind than expected; correct it.")
    for expression in (*(record[key] for key in ("truth", "click", "mask") if key in record), *segments.values()):
        check(expression, labels, where)
    optional = {key: record[key] for key in ("truth", "refused", "click", "mask", "segments") if key in record}
    if "asked" in record:
        try:
            optional["asked"] = asked_of(record["asked"])
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise FileError(f"{where} has an 'asked' that is no query; correct it.") from error
    return Case(record["id"], record["words"], record["family"], entry, **optional)
