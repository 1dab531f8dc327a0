"""The strip: every slice of an axis as a bar, by what is known of it and how sure that is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import groupby

from memseg.propagation import SliceMark

AGREED, CLEAR, PROPAGATED, ABSENT, HELD, UNTOUCHED = "agreed", "clear", "propagated", "absent", "held", "untouched"
LEVELS_PERCENT = (50, 70, 80, 90)
"""Where the colours of a propagated slice change, least confident first."""


@dataclass
class Bar:
    """Slices of the strip that look the same: `count` from `start` on. level: of the colour, 0 the least confident."""

    start: int = 0
    count: int = 0
    kind: str = "untouched"
    level: int = 0
    percent: int = 0
    words: str = ""


def bars(marks: Mapping[int, SliceMark], held: Collection[int], size: int) -> list[Bar]:
    """The slices of an axis, first to last, those that look the same in one. held: slices that the mask is in."""
    looks = [_look(marks.get(index), index in held) for index in range(size)]
    found, start = [], 0
    for (kind, percent), same in groupby(looks):
        count = len(list(same))
        level = sum(percent >= limit for limit in LEVELS_PERCENT) if kind == PROPAGATED else 0
        found.append(Bar(start, count, kind, level, percent, _words(kind, percent)))
        start += count
    return found


def _look(mark: SliceMark | None, isHeld: bool) -> tuple[str, int]:
    """Kind and confidence in percent."""
    if mark is None:
        return (HELD if isHeld else UNTOUCHED), 0
    if mark.agreed:
        return (AGREED if mark.present else CLEAR), 100
    return (PROPAGATED if mark.present else ABSENT), round(100 * mark.confidence)


def _words(kind: str, percent: int) -> str:
    return {
        AGREED: "agreed",
        CLEAR: "agreed not to hold the object",
        PROPAGATED: f"propagated, confidence {percent} %",
        ABSENT: f"the object is not in it, confidence {percent} %",
        HELD: "untouched, the mask is in it",
        UNTOUCHED: "untouched",
    }[kind]
