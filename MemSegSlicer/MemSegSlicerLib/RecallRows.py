"""The recall memory as a list that can be searched, in the words of a panel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from memseg.memory.recall import RecallEntry, RecallMemory

from .Sizes import extentWords, mlWords

_PROBLEMS = 3  # named at once


def matching(memory: RecallMemory, search: str) -> list[RecallEntry]:
    """The entries that hold every word of the search somewhere in their name, modality, notes or date, newest first."""
    words = search.casefold().split()

    def textOf(entry: RecallEntry) -> str:
        parts = (entry.name, entry.title, entry.modality, entry.subject, entry.licence, entry.note, entry.made)
        return " ".join(parts).casefold()

    found = [entry for entry in memory.entries if not words or all(word in textOf(entry) for word in words)]
    return found[::-1]


def toldOnce(sentences: Sequence[str]) -> list[str]:
    """The first few; what is said several times, once with its number."""
    counted = Counter(sentences)
    told = [f"{each} ({times} times)" if times > 1 else each for each, times in counted.items()]
    return told if len(told) <= _PROBLEMS else [*told[: _PROBLEMS - 1], f"And {len(told) - _PROBLEMS + 1} more."]


def sizeWords(entry: RecallEntry) -> str:
    return f"{extentWords(entry.size_mm)}, {mlWords(entry.volume_ml)}"


def originWords(entry: RecallEntry) -> str:
    return " · ".join(part for part in (entry.licence, entry.note) if part)


def countWords(entries: int) -> str:
    return f"{entries} {'entry' if entries == 1 else 'entries'}"
