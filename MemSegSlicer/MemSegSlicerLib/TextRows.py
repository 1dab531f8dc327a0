"""What words could be completed to, and what else they may mean, as a panel shows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from memseg.text import terminology

from .Sizes import mlWords
from .Understanding import Understanding

_COMPLETIONS = 7
_ALTERNATIVES = 6


@dataclass
class AlternativeRow:
    """One of the things that words may mean. number: among all of them, the best 0."""

    number: int = 0
    title: str = ""
    percent: int = 0
    why: str = ""


@dataclass(frozen=True, eq=False)
class AnswerRow:
    """One of two answers side by side. number: as of an AlternativeRow. facts: title and how sure it is. picture:
    (h, w, 3) uint8."""

    number: int
    who: str
    facts: str
    why: str
    picture: np.ndarray


def answerRows(understood: Understanding | None) -> list[AnswerRow]:
    """The two that are compared; none where there is nothing to compare."""
    if understood is None or understood.comparison is None:
        return []
    titles = {row.number: row.title for row in alternativeRows(understood)}
    return [
        AnswerRow(
            each.number,
            each.who,
            f"{titles.get(each.number, each.title)}, {round(100 * each.confidence)} % sure",
            each.why,
            each.picture,
        )
        for each in understood.comparison.sides
    ]


def comparisonWords(understood: Understanding | None) -> str:
    """What the two pictures show; "" where there are none."""
    if understood is None or understood.comparison is None:
        return ""
    return f"Two answers, on slice {understood.comparison.index}, where they differ most. Take the better one:"


def completions(words: str, remembered: tuple[str, ...]) -> list[str]:
    """Whole texts that the words may become; remembered: names that may be meant besides the terms."""
    offered = terminology.complete(words, _COMPLETIONS + 1, remembered)
    return [each for each in offered if each != words.strip().lower()][:_COMPLETIONS]


def alternativeRows(understood: Understanding) -> list[AlternativeRow]:
    """The best ones, and always the one that is the mask. Those with the same title are told apart by their size."""
    titles = Counter(each.title for each in understood.alternatives)
    rows, seen = [], Counter()
    for number, each in enumerate(understood.alternatives):
        title, size = each.title, mlWords(each.size_ml)
        if titles[title] > 1:
            title = size if len(titles) == 1 else f"{title}, {size}"
        seen[title] += 1
        title = title if seen[title] == 1 else f"{title} ({seen[title]})"
        rows.append(AlternativeRow(number, title, round(100 * each.confidence), each.why))
    return [row for row in rows if row.number < _ALTERNATIVES or row.number == understood.chosen]


def insteadWords(understood: Understanding) -> str:
    """What is said of an alternative that was chosen in place of the best one; "" of that one."""
    if not 0 < understood.chosen < len(understood.alternatives):
        return ""
    chosen = understood.alternatives[understood.chosen]
    return f"Chosen instead: {chosen.title}, {mlWords(chosen.size_ml)}. {chosen.why}".strip()
