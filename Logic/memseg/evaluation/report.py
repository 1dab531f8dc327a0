"""From scores to averages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from .clicks import ObjectScores, Scores
from .metrics import area_under_clicks, clicks_until

TARGET = 0.85
AGES = 5  # of memory entries, counted one by one; older ones are one group


class OfSource(Protocol):
    source: str


Result = TypeVar("Result", bound=OfSource)


@dataclass(frozen=True)
class Share:
    """What answers leaned on memory entries of one age: the mean share, and that of an even spread over all entries.

    age: 1 for the entry of the click before, 2, 3 and so on; AGES + 1 for all older ones together. clicks: how many
    answers had such an entry, beside at least one other.
    """

    age: int
    mean: float
    uniform: float
    clicks: int


@dataclass(frozen=True)
class Summary:
    """One method over many objects: objects averaged within their source, then sources.

    dice, surface_dice: after each click. seconds: median and 95th percentile over all clicks of all objects.
    reached: part of the objects that reached 85 % Dice; clicks_to_target: the median number of clicks those needed,
    None where none did. by_source: Dice after each click. attention: over all clicks, empty where nothing is known.
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
    attention: tuple[Share, ...]


def summarize(results: Sequence[ObjectScores]) -> tuple[Summary, ...]:
    """One summary for each method, in the order of the results; empty for no results."""
    if not results:
        return ()
    return tuple(_summary(results, place) for place in range(len(results[0].methods)))


def over_sources(results: Sequence[Result], value: Callable[[Result], Any]) -> tuple[Any, dict[str, Any]]:
    """Mean of a value over each source's objects, and the mean of those means; values may be arrays."""
    sources: dict[str, list[Any]] = {}
    for result in results:
        sources.setdefault(result.source, []).append(np.asarray(value(result), dtype=float))
    means = {source: np.mean(values, axis=0) for source, values in sources.items()}
    return np.mean(list(means.values()), axis=0), means


def attention_by_age(answers: Sequence[Sequence[float]]) -> tuple[Share, ...]:
    """From the shares of each answer's entries, newest first. Answers with a single entry tell nothing.

    An age's mean is over the answers that had such an entry, so that the means need not sum to 1.
    """
    telling = [np.asarray(shares) for shares in answers if len(shares) > 1]
    found = []
    for age in range(1, AGES + 2):
        places = slice(age - 1, age if age <= AGES else None)
        pairs = [(shares[places].sum(), len(shares[places]) / len(shares)) for shares in telling if len(shares) >= age]
        if pairs:
            mean, uniform = np.mean(pairs, axis=0)
            found.append(Share(age, float(mean), float(uniform), len(pairs)))
    return tuple(found)


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
        attention=attention_by_age([shares for result in results for shares in of(result).attention]),
    )


def _plain(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.atleast_1d(values))
