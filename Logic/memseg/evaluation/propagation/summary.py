"""From scores to averages and tables: objects averaged within their source, then sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..report import over_sources
from ..sheets import Sheet
from .scores import CaseScores, Scores, Way

SHOWN_CORRECTIONS = (0, 1, 2, 3, 5, 10, 20, 50)


@dataclass(frozen=True)
class Summary:
    """One way over the objects that it was tried on.

    over, missed: slices too many and too few at an end, the mean of both ends; the others lie between the ends.
    slices_per_second: median over the objects of what each ran at; None where nothing was followed. seconds: the median
    for an object. by_source, by_axis: Dice.
    """

    way: Way
    objects: int
    dice: float
    surface_dice: float
    over: float
    over_inside: float
    missed: float
    missed_inside: float
    slices_per_second: float | None
    seconds: float
    by_source: dict[str, float]
    by_axis: dict[str, float]


def summarize(results: Sequence[CaseScores]) -> tuple[Summary, ...]:
    """One summary for each way, in the order in which the ways come up."""
    ways = dict.fromkeys(scores.way for result in results for scores in result.scores)
    return tuple(_summary(way, [result for result in results if result.of(way) is not None]) for way in ways)


def _summary(way: Way, results: Sequence[CaseScores]) -> Summary:
    def mean(value: Callable[[Scores], float]) -> float:
        return float(over_sources(results, lambda result: value(result.of(way)))[0])

    found = [result.of(way) for result in results]
    rates = [scores.steps / scores.seconds for scores in found if scores.steps and scores.seconds]
    by_source = over_sources(results, lambda result: result.of(way).dice)[1]
    axes = dict.fromkeys(result.axis for result in results)
    by_axis = {
        axis: over_sources([each for each in results if each.axis == axis], lambda result: result.of(way).dice)[0]
        for axis in axes
    }
    return Summary(
        way=way,
        objects=len(results),
        dice=mean(lambda scores: scores.dice),
        surface_dice=mean(lambda scores: scores.surface_dice),
        over=mean(lambda scores: scores.over.per_end),
        over_inside=mean(lambda scores: scores.over.inside),
        missed=mean(lambda scores: scores.missed.per_end),
        missed_inside=mean(lambda scores: scores.missed.inside),
        slices_per_second=float(np.median(rates)) if rates else None,
        seconds=float(np.median([scores.seconds for scores in found])),
        by_source={source: float(value) for source, value in by_source.items()},
        by_axis={axis: float(value) for axis, value in by_axis.items()},
    )


def sheets_of(summaries: Sequence[Summary]) -> tuple[Sheet, ...]:
    """From one slice; Dice and NSD after corrections and from several slices where that was measured; Dice by axis
    where there is more than one; Dice by source."""
    single = [each for each in summaries if each.way == Way(each.way.method)]
    sheets = [_from_one(single), *_after_corrections(summaries), *_from_several(summaries)]
    if len(single[0].by_axis) > 1:
        axes = tuple(single[0].by_axis)
        rows = tuple((each.way.method, *(f"{each.by_axis[axis]:.3f}" for axis in axes)) for each in single)
        sheets.append(Sheet("Dice from one slice by axis", ("method", *axes), rows))
    by_source = tuple(
        (source.removeprefix("github:"), each.way.method, f"{each.by_source[source]:.2f}")
        for source in single[0].by_source
        for each in single
    )
    return (*sheets, Sheet("Dice from one slice by source", ("source", "method", "Dice"), by_source, words=2))


def _from_one(single: Sequence[Summary]) -> Sheet:
    rows = []
    for each in single:
        overlap = f"{each.dice:.3f}", f"{each.surface_dice:.3f}"
        ends = f"{each.over:.2f}", f"{each.missed:.2f}", f"{each.missed_inside:.2f}"
        rate = "-" if each.slices_per_second is None else f"{each.slices_per_second:.1f}"
        rows.append((each.way.method, *overlap, *ends, rate, f"{each.seconds:.2f}"))
    heads = ("method", "Dice", "NSD", "over", "missed", "inside", "slices/s", "s")
    return Sheet("From one slice", heads, tuple(rows))


def _after_corrections(summaries: Sequence[Summary]) -> tuple[Sheet, ...]:
    most = max(each.way.corrected for each in summaries)
    if most == 0:
        return ()
    counts = [count for count in SHOWN_CORRECTIONS if count <= most]
    by_way = {each.way: each for each in summaries}
    rows = []
    for method, chosen in dict.fromkeys((each.way.method, each.way.chosen) for each in summaries if each.way.chosen):
        ways = [Way(method, 1, chosen if count else "", count) for count in counts]
        for measure, name in (("dice", "Dice"), ("surface_dice", "NSD")):
            rows.append((f"{method}, {chosen}", name, *(f"{getattr(by_way[way], measure):.3f}" for way in ways)))
    return (Sheet("After corrected slices", ("method", "", *map(str, counts)), tuple(rows), words=2),)


def _from_several(summaries: Sequence[Summary]) -> tuple[Sheet, ...]:
    several = {each.way: each for each in summaries if each.way.slices > 1}
    if not several:
        return ()
    counts = tuple(sorted({way.slices for way in several}))
    methods = tuple(dict.fromkeys(way.method for way in several))
    rows = []
    for measure, name in (("dice", "Dice"), ("surface_dice", "NSD")):
        for method in methods:
            values = [getattr(several[Way(method, count)], measure) for count in counts]
            rows.append((method, name, *(f"{value:.3f}" for value in values)))
    objects = [str(several[Way(methods[0], count)].objects) for count in counts]
    rows.append(("objects of more slices", "", *objects))
    return (Sheet("From several true slices", ("method", "", *map(str, counts)), tuple(rows), words=2),)
