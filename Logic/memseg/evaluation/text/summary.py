"""Averages of queries as tables: by family, by what found them, source by source, and by the subjects remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ..sheets import Sheet
from .cases import FAMILIES
from .play import Score

ANATOMY_GOAL, OTHER_GOAL, PARSE_GOAL, SECONDS_GOAL = 0.80, 0.85, 0.95, 3.0
PLACED = ("position", "size", "appearance")
HEADS = ("queries", "understood", "found", "among 5", "Dice", "after a click", "s", "s, 95 %", "s, worst")


def row_of(scores: Sequence[Score]) -> tuple[str, ...]:
    """Cells in the order of HEADS; dashes where there is nothing to tell."""
    understood = _share(score.understood for score in scores) if scores else "-"
    count, scores = len(scores), [score for score in scores if score.entry]
    if not scores:
        return (str(count), understood, *["-"] * (len(HEADS) - 2))
    seconds = [score.seconds for score in scores]
    return (
        f"{count}" if count == len(scores) else f"{count} ({len(scores)})",
        understood,
        _share(score.is_found for score in scores),
        _share(score.best > 0.3 for score in scores),
        f"{np.mean([score.dice for score in scores]):.3f}",
        f"{np.mean([score.dice_after for score in scores]):.3f}",
        f"{np.median(seconds):.2f}",
        f"{np.percentile(seconds, 95):.2f}",
        f"{max(seconds):.2f}",
    )


def _share(values: Iterable[bool]) -> str:
    return f"{np.mean([float(value) for value in values]):.0%}"


def sheets_of(scores: Sequence[Score]) -> tuple[Sheet, ...]:
    """By family, with those of the goals; by link; by source."""
    by_family = [(family, *row_of([each for each in scores if each.family == family])) for family in FAMILIES]
    by_family = [row for row in by_family if row[1] != "0"]
    by_family += [("all", *row_of(scores))]
    placed = [score for score in scores if score.entry]
    links = _grouped(placed, lambda score: score.link or "nothing found")
    sources = _grouped(placed, lambda score: score.source.removeprefix("github:"))
    return (
        Sheet("Queries by family", ("family", *HEADS), tuple(by_family)),
        Sheet("Goals", ("goal", "asked for", "measured", "queries"), goals_of(scores), words=2),
        Sheet("Queries by what found the answer", ("link", *HEADS), links),
        Sheet("Queries by source", ("source", *HEADS), sources),
    )


def _grouped(scores: Sequence[Score], key: Callable[[Score], str]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(key(score), []).append(score)
    return tuple((name, *row_of(groups[name])) for name in sorted(groups))


def goals_of(scores: Sequence[Score]) -> tuple[tuple[str, ...], ...]:
    """Name, what is asked for, what was measured, and of how many queries."""
    told = [each for each in scores if each.family != "refused"]
    anatomy = [each for each in scores if each.family == "anatomy" and each.subjects > 0]
    placed = [each for each in scores if each.family in PLACED and each.entry]
    refused = [each for each in scores if each.family == "refused"]
    own = [each.is_found for each in placed if not each.aided]
    given = [each.is_found for each in placed if each.aided]
    rows = [
        ("understood as meant", f"{PARSE_GOAL:.0%}", [each.understood for each in told]),
        ("anatomy found, a subject remembered", f"{ANATOMY_GOAL:.0%}", [each.is_found for each in anatomy]),
        ("position, size, appearance found", f"{OTHER_GOAL:.0%}", [each.is_found for each in placed]),
        ("of these, in the image and what is remembered", f"{OTHER_GOAL:.0%}", own),
        ("of these, with named segments of the volume", f"{OTHER_GOAL:.0%}", given),
        ("refused in a sentence", "100%", [each.is_found for each in refused]),
        (
            f"answered within {SECONDS_GOAL:g} s",
            "100%",
            [each.seconds <= SECONDS_GOAL for each in scores if each.entry],
        ),
    ]
    return tuple((name, goal, _share(values), str(len(values))) for name, goal, values in rows if values)


def curve_sheet(curve: Sequence[tuple[str, Sequence[Score]]]) -> Sheet:
    """curve: pairs of what was remembered, in words, and the scores of the same queries."""
    rows = tuple((name, *row_of(scores)) for name, scores in curve)
    return Sheet("Anatomy by the number of remembered subjects", ("remembered", *HEADS), rows)


def confidence_sheet(scores: Sequence[Score]) -> Sheet:
    """How often what was found with so much confidence was right."""
    edges = (0.0, 0.2, 0.4, 0.6, 0.8, 1.01)
    rows = []
    for low, high in zip(edges, edges[1:]):
        held = [each for each in scores if each.link and low <= each.confidence < high]
        if held:
            sure = f"{np.mean([each.confidence for each in held]):.0%}"
            rows.append((f"{low:.0%} to {min(high, 1):.0%}", str(len(held)), sure, _share(e.is_found for e in held)))
    return Sheet("Confidence and truth", ("confidence", "queries", "mean confidence", "found"), tuple(rows))
