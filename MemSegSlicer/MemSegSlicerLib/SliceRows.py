"""Slices, remembered and being propagated, in the words of a panel."""

from __future__ import annotations

from dataclasses import dataclass

from .Record import SessionState


@dataclass
class SliceRow:
    """A line of the slice memory. confidence: in percent. Agreed and pinned ones never leave by themselves."""

    key: str = ""
    axis: str = "k"
    index: int = 0
    title: str = ""
    confidence: int = 0
    prominence: str = ""
    agreed: bool = False
    pinned: bool = False


def sliceRows(state: SessionState, titles: dict[str, str]) -> list[SliceRow]:
    """The slice memory, by axis and index. titles: of the axes."""
    return [
        SliceRow(
            key=f"{entry.axis}{entry.index}",
            axis=entry.axis,
            index=entry.index,
            title=f"{titles.get(entry.axis, entry.axis)} {entry.index}",
            confidence=round(100 * entry.confidence),
            prominence=f"{entry.prominence:.3g}",
            agreed=entry.agreed,
            pinned=entry.pinned,
        )
        for entry in sorted(state.slices, key=lambda entry: ("kji".index(entry.axis), entry.index))
    ]


def progressWords(state: SessionState) -> str:
    if state.progress is None:
        return ""
    if state.progress.index is None:
        return "Starting"
    return f"Slice {state.progress.index} · {state.progress.done} done"


def startSlice(state: SessionState, axis: str, shown: int, first: int, last: int) -> int | None:
    """The reference of a propagation: the slice shown, where it holds the object and none is agreed yet; else None, as
    the session knows where to start."""
    if any(mark.agreed and mark.present for mark in state.marksAlong(axis).values()):
        return None
    return shown if shown in state.filled.get(axis, ()) and first <= shown <= last else None


def startWords(state: SessionState, axis: str, reference: int | None) -> str:
    """Where a propagation would start. reference: what it would be told."""
    agreed = sorted(index for index, mark in state.marksAlong(axis).items() if mark.agreed and mark.present)
    if len(agreed) > 3:
        return f"From {len(agreed)} agreed slices"
    if agreed:
        return f"From agreed slice{'s' if len(agreed) > 1 else ''} {', '.join(map(str, agreed))}"
    if reference is not None:
        return f"From slice {reference}, shown"
    return "From the largest slice" if state.filled.get(axis) else "Draw or click the object first"
