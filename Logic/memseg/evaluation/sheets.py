"""Averages as tables, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Column, Table

from .report import AGES, Summary

SHOWN_CLICKS = (1, 3, 5, 10, 20, 40, 60)


@dataclass(frozen=True)
class Sheet:
    """A table of words: a title, the heads of the columns, and rows of as many cells. The first `words` columns hold
    words, the others figures."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1

    def __post_init__(self) -> None:
        if any(len(row) != len(self.heads) for row in self.rows):
            raise ValueError("A row has another number of cells than there are columns.")

    def table(self) -> Table:
        columns = [
            Column(escape(head), justify="left" if place < self.words else "right", overflow="fold")
            for place, head in enumerate(self.heads)
        ]
        table = Table(*columns, title=escape(self.title))
        for row in self.rows:
            table.add_row(*map(escape, row))
        return table

    def markdown(self) -> str:
        lines = (self.heads, ("---",) * self.words + ("---:",) * (len(self.heads) - self.words), *self.rows)
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return f"**{self.title}**\n\n{body}\n"


def sheets_of(summaries: Sequence[Summary]) -> tuple[Sheet, ...]:
    """Dice, surface Dice with the time, Dice source by source, and what memories were read for where that is known."""
    clicks = [count for count in SHOWN_CLICKS if count <= len(summaries[0].dice)]
    heads = tuple(map(str, clicks))
    overlap = [
        (each.method, *(f"{each.dice[count - 1]:.3f}" for count in clicks), f"{each.area_dice:.3f}")
        + (f"{each.reached:.0%}", "-" if each.clicks_to_target is None else f"{each.clicks_to_target:g}")
        for each in summaries
    ]
    surface = [
        (each.method, *(f"{each.surface_dice[count - 1]:.3f}" for count in clicks), f"{each.area_surface_dice:.3f}")
        + (f"{each.seconds_median:.3f}", f"{each.seconds_95:.3f}")
        for each in summaries
    ]
    by_source = [
        (source.removeprefix("github:"), each.method, *(f"{each.by_source[source][count - 1]:.2f}" for count in clicks))
        for source in summaries[0].by_source
        for each in summaries
    ]
    found = (
        Sheet("Dice after clicks", ("method", *heads, "area", "reach 85 %", "clicks to it"), tuple(overlap)),
        Sheet("NSD (2 mm) after clicks", ("method", *heads, "area", "s a click", "s, 95 %"), tuple(surface)),
        Sheet("Dice after clicks by source", ("source", "method", *heads), tuple(by_source), words=2),
    )
    return (*found, attention_sheet(summaries)) if any(each.attention for each in summaries) else found


def attention_sheet(summaries: Sequence[Summary]) -> Sheet:
    """Two rows for each method that tells: what its answers leaned on, and what an even spread would be."""
    rows = []
    for summary in summaries:
        by_age = {share.age: share for share in summary.attention}
        shares = [by_age.get(age) for age in range(1, AGES + 2)]
        if summary.attention:
            rows.append((summary.method, *("-" if each is None else f"{each.mean:.3f}" for each in shares)))
            rows.append(("evenly spread", *("-" if each is None else f"{each.uniform:.3f}" for each in shares)))
    ages = ("1 (newest)", *map(str, range(2, AGES + 1)), "older")
    return Sheet("Share of attention by age of the memory entry", ("method", *ages), tuple(rows))
