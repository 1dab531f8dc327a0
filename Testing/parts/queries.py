"""The test queries of Testing/data/queries.json and what they mean.

A record is {"id", "words", "family", "asked", "volume", "truth"}, perhaps with "click": asked is what the words mean,
as memseg.evaluation.text.asked writes it; volume the labelled volume the truth is of, or null where only
understanding is tested; truth and click are expressions of the volume's labels (memseg.evaluation.text.truths).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from memseg.evaluation.text.asked import asked_of
from memseg.text.query import Asked, Command

PATH = Path(__file__).resolve().parents[1] / "data" / "queries.json"


@dataclass(frozen=True)
class Record:
    """One query of the file. volume: "" and truth: None where only understanding is tested; asked: None where the
    words make no sense."""

    identity: str
    words: str
    family: str
    asked: Asked | Command | None
    volume: str
    truth: Any


@cache
def queries() -> tuple[Record, ...]:
    records = json.loads(PATH.read_text(encoding="utf-8"))
    return tuple(
        Record(
            each["id"],
            each["words"],
            each["family"],
            asked_of(each["asked"]) if "asked" in each else None,
            each["volume"] or "",
            each.get("truth"),
        )
        for each in records
    )
