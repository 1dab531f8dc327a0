"""What a segment's name means: SNOMED codes and colour, as Slicer writes them to a segment.

The names, codes and colours are the engine's table's (memseg.text.terminology); a test compares it with the terminology
files that Slicer ships.
"""

from __future__ import annotations

from dataclasses import dataclass

from memseg.text import terminology
from memseg.text.terminology import Side, Term

_LISTS = {
    "general": "Segmentation category and type - 3D Slicer General Anatomy list",
    "master": "Segmentation category and type - DICOM master list",
}
_REGIONS = "Anatomic codes - DICOM master list"
_SIDES = {Side.RIGHT: ("SCT", "24028007", "Right"), Side.LEFT: ("SCT", "7771000", "Left")}
_NOTHING = "^^"
# For names the table does not know: told apart also by people who confuse red and green (Okabe and Ito, 2008).
_SPARE_COLORS = (
    *((0, 158, 115), (230, 159, 0), (86, 180, 233), (213, 94, 0)),
    *((204, 121, 167), (240, 228, 66), (0, 114, 178)),
)


@dataclass(frozen=True)
class Entry:
    """name: in words. tag: as Slicer writes it to a segment's TerminologyEntry. color: RGB, 0 to 1."""

    name: str
    tag: str
    color: tuple[float, float, float]


def entryForName(name: str) -> Entry | None:
    """What a segment of this name is; None where the table does not know. "Right kidney", "kidney_right" are alike."""
    known = terminology.of_name(name)
    return None if known is None else entryForTerm(*known, name=name)


def entryForTerm(term: Term, side: Side | None = None, name: str = "") -> Entry | None:
    """Of a term and its side; None where Slicer's lists have neither it nor what it is a kind of."""
    coded = _listedTerm(term)
    if coded is None:
        return None
    sided = side is not None and bool(coded.listed_sided)
    modifier = _coded(_SIDES[side]) if sided else _NOTHING
    region = _coded(term.region) if term.region else _NOTHING
    codes = (_coded(coded.category), _coded(coded.type), modifier)
    context = _LISTS[coded.listed_sided if sided else coded.listed]
    tag = "~".join((context, *codes, _REGIONS, region, _regionSide(term, side)))
    return Entry(name or terminology.name_of(term, side), tag, _fractions(term.rgb))


def spareColor(number: int) -> tuple[float, float, float]:
    """RGB, 0 to 1, for the segment of that number, from 0."""
    return _fractions(_SPARE_COLORS[number % len(_SPARE_COLORS)])


def _listedTerm(term: Term) -> Term | None:
    """The term itself where a list has it, else the tissue or bone it is a kind of: "muscle" for "gluteus maximus"."""
    if term.listed:
        return term
    above = (terminology.term(key) for key in terminology.above(term))
    return next((each for each in above if each.listed and _isKind(each)), None)


def _isKind(term: Term) -> bool:
    """More general, not a whole that the other is a part of."""
    return term.kind in ("tissue", "lesion", "device") or term.key in ("vertebra", "rib")


def _regionSide(term: Term, side: Side | None) -> str:
    """The side of what a lesion lies in: "left kidney cyst"."""
    if side is None or not term.within or not terminology.term(term.within).paired:
        return _NOTHING
    return _coded(_SIDES[side])


def _coded(code: tuple[str, str, str]) -> str:
    return "^".join(code)


def _fractions(color: tuple[int, int, int]) -> tuple[float, float, float]:
    return tuple(value / 255 for value in color)
