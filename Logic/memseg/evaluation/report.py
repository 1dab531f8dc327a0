"""From scores to averages, a table and a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Column, Table

from .. import __version__
from ..files import replacing
from .clicks import ObjectScores, Scores
from .metrics import area_under_clicks, clicks_until

TARGET = 0.85
_SHOWN_CLICKS = (1, 3, 5, 10)


@dataclass(frozen=True)
class Summary:
    """One method over many objects: objects averaged within their source, then sources.

    dice, surface_dice: after each click. seconds: median and 95th percentile over all clicks of all objects.
    reached: part of the objects that reached 85 % Dice; clicks_to_target: the median number of clicks those needed,
    None where none did. by_source: Dice after each click.
    """

    method: str
    objects: int
    dice: tuple[float, ...]
    surface_dice: tuple[float, ...]
    area_dice: float
    area_surface_dice: float
    reached: float
    clicks_to_target: float | None
    seconds_median: float
    seconds_95: float
    by_source: dict[str, tuple[float, ...]]


def summarize(results: Sequence[ObjectScores]) -> tuple[Summary, ...]:
    """One summary for each method, in the order of the results; empty for no results."""
    if not results:
        return ()
    return tuple(_summary(results, place) for place in range(len(results[0].methods)))


def over_sources(results: Sequence[ObjectScores], value: Callable[[ObjectScores], Any]) -> tuple[Any, dict[str, Any]]:
    """Mean of a value over each source's objects, and the mean of those means; values may be arrays."""
    sources: dict[str, list[Any]] = {}
    for result in results:
        sources.setdefault(result.source, []).append(np.asarray(value(result), dtype=float))
    means = {source: np.mean(values, axis=0) for source, values in sources.items()}
    return np.mean(list(means.values()), axis=0), means


def _summary(results: Sequence[ObjectScores], place: int) -> Summary:
    def of(result: ObjectScores) -> Scores:
        return result.methods[place]

    overlap, by_source = over_sources(results, lambda result: of(result).dice)
    surface, _ = over_sources(results, lambda result: of(result).surface_dice)
    area, _ = over_sources(results, lambda result: area_under_clicks(np.asarray(of(result).dice)))
    area_surface, _ = over_sources(results, lambda result: area_under_clicks(np.asarray(of(result).surface_dice)))
    needed = [clicks_until(np.asarray(of(result).dice), TARGET) for result in results]
    reached, _ = over_sources(results, lambda result: clicks_until(np.asarray(of(result).dice), TARGET) is not None)
    seconds = np.concatenate([of(result).seconds for result in results])
    counts = [count for count in needed if count is not None]
    return Summary(
        method=of(results[0]).method,
        objects=len(results),
        dice=_plain(overlap),
        surface_dice=_plain(surface),
        area_dice=float(area),
        area_surface_dice=float(area_surface),
        reached=float(reached),
        clicks_to_target=float(np.median(counts)) if counts else None,
        seconds_median=float(np.median(seconds)) if len(seconds) else 0.0,
        seconds_95=float(np.percentile(seconds, 95)) if len(seconds) else 0.0,
        by_source={source: _plain(values) for source, values in by_source.items()},
    )


def _plain(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.atleast_1d(values))


def tables_of(summaries: Sequence[Summary], title: str) -> tuple[Table, Table]:
    """Averages over sources, a column for each method; and Dice source by source. Both fit 80 columns."""
    clicks = [count for count in _SHOWN_CLICKS if count <= len(summaries[0].dice)]
    overall = Table(title=title)
    overall.add_column("averaged over sources")
    for summary in summaries:
        overall.add_column(summary.method, justify="right")
    for count in clicks:
        overall.add_row(_after("Dice", count), *[f"{each.dice[count - 1]:.3f}" for each in summaries])
    for count in clicks:
        overall.add_row(_after("NSD (2 mm)", count), *[f"{each.surface_dice[count - 1]:.3f}" for each in summaries])
    overall.add_row("area under Dice", *[f"{each.area_dice:.3f}" for each in summaries])
    overall.add_row("area under NSD", *[f"{each.area_surface_dice:.3f}" for each in summaries])
    overall.add_row("objects that reach 85 % Dice", *[f"{each.reached:.0%}" for each in summaries])
    overall.add_row(
        "clicks those need, median",
        *["-" if each.clicks_to_target is None else f"{each.clicks_to_target:g}" for each in summaries],
    )
    overall.add_row("seconds a click, median", *[f"{each.seconds_median:.3f}" for each in summaries])
    overall.add_row("seconds a click, 95 %", *[f"{each.seconds_95:.3f}" for each in summaries])
    by_source = Table(
        "source", "method", *[Column(f"{count}", justify="right") for count in clicks], title="Dice after clicks"
    )
    for source in summaries[0].by_source:
        for summary in summaries:
            cells = [f"{summary.by_source[source][count - 1]:.2f}" for count in clicks]
            by_source.add_row(source.removeprefix("github:"), summary.method, *cells)
    return overall, by_source


def _after(measure: str, count: int) -> str:
    return f"{measure} after {count} click{'s' if count > 1 else ''}"


def write_json(path: Path, options: dict[str, Any], results: Sequence[ObjectScores]) -> None:
    """Options, averages and every object's scores; the file appears whole or not at all. Raises FileError."""
    record = {
        "memseg": __version__,
        "options": options,
        "summary": [asdict(summary) for summary in summarize(results)],
        "objects": [asdict(result) for result in results],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
