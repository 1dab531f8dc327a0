"""Names of what people segment, with their codes, colours and synonyms: a table of our own in terms.json beside this
file, compiled by Testing/benchmarks/build_terms.py, which says where its facts are from.

A name may say a side ("left kidney", "kidney_left", "upper lobe of the left lung"); where a term is paired, the side is
told apart from it, and where it is not, the side belongs to the name ("left ventricle") or makes no sense ("left
liver").
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path

from .spelling import american, plain, plural_of


class Side(StrEnum):
    LEFT = "left"
    RIGHT = "right"


Code = tuple[str, str, str]


@dataclass(frozen=True)
class Term:
    """One structure, or kind of structure.

    key: its identity, lower case with underscores, singular, without a side ("kidney", "vertebra_l3"). name: in words.
    kind: "organ", "bone", "vessel", "muscle", "lesion", "tissue", "cavity", "device", "region" or "body". paired: there
    is a left and a right one. category, type: (scheme, value, meaning) codes or None. rgb: 0 to 255 each.
    sided: synonyms that say the side as well, as (side, words). broader: key of the more general term, or of what it is
    a part of ("vertebra" of "vertebra_l3"), or "". within: key of where it always is ("kidney" of "kidney_cyst"), or
    ""; region is that term's code. listed: which of Slicer's lists of terms has the type: "general", "master" or "";
    listed_sided: which of them has it with a left and a right.
    """

    key: str
    name: str
    kind: str
    paired: bool = False
    plural: str = ""
    synonyms: tuple[str, ...] = ()
    category: Code | None = None
    type: Code | None = None
    region: Code | None = None
    rgb: tuple[int, int, int] | None = None
    sided: tuple[tuple[Side, str], ...] = ()
    broader: str = ""
    within: str = ""
    listed: str = ""
    listed_sided: str = ""


@dataclass(frozen=True)
class Named:
    """What a phrase means. side: where the phrase says it. plural: it names several."""

    term: Term
    side: Side | None = None
    plural: bool = False


_SIDE_WORDS = {
    **dict.fromkeys(("left", "l", "lt", "sinister", "sinistra", "sin"), Side.LEFT),
    **dict.fromkeys(("right", "r", "rt", "dexter", "dextra", "dex"), Side.RIGHT),
}
_LONGEST_NAME = 200
_FILLERS = frozenset(("the", "a", "an"))
_SIDED_TAIL = re.compile(r"^(.+ of )(?:the )?(.+)$")


def __getattr__(name: str) -> tuple[Term, ...]:
    """TERMS, all of them in the table's order, read when first asked for."""
    if name == "TERMS":
        return _terms()
    raise AttributeError(name)


def term(key: str) -> Term:
    """KeyError where the table has none of that key."""
    return _by_key()[key]


def above(term: Term) -> tuple[str, ...]:
    """Keys of the more general terms, and of what it is a part of, the nearest first."""
    keys: list[str] = []
    while term.broader and term.broader not in keys:
        keys.append(term.broader)
        term = _by_key()[term.broader]
    return tuple(keys)


def find(words: str) -> tuple[Term, Side | None] | None:
    """What the whole phrase names, singular or plural; None where the table does not know."""
    named = lookup(words)
    return None if named is None else (named.term, named.side)


def of_name(name: str) -> tuple[Term, Side | None] | None:
    """What a segment or label of this name is, as data sets and people write it: "kidney_left", "Left Kidney",
    "Parotid_L", "vertebrae_L3". "Vertebrae" are a vertebra, but "kidneys" are nothing here, as a side is missing,
    unless the table has them as a name of their own ("coronary arteries")."""
    if len(name) > _LONGEST_NAME:
        return None
    for spelled in (name, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)):
        named = lookup(spelled)
        if named is None or (named.plural and named.term.paired and plain(spelled) not in named.term.synonyms):
            continue
        return named.term, named.side
    return None


def name_of(term: Term, side: Side | None) -> str:
    """In words, as `find` reads it back: "left kidney", "lower lobe of left lung"."""
    if side is None:
        return term.name
    tail = _SIDED_TAIL.match(term.name) if term.paired else None
    return f"{tail[1]}{side} {tail[2]}" if tail else f"{side} {term.name}"


def plural_name_of(term: Term, side: Side | None) -> str:
    """As `name_of`, of several: "left ribs"."""
    many = term.plural or plural_of(term.name)
    tail = _SIDED_TAIL.match(many) if term.paired else None
    return many if side is None else f"{tail[1]}{side} {tail[2]}" if tail else f"{side} {many}"


def lookup(words: str) -> Named | None:
    """What the whole phrase names. A side may stand anywhere in the name of something paired."""
    split = [american(word) for word in plain(words).split() if word not in _FILLERS]
    if not split or len(split) > longest_phrase() + 2:
        return None
    return _lookup(tuple(split))


@lru_cache(maxsize=4096)
def _lookup(split: tuple[str, ...]) -> Named | None:
    known = phrases()
    if found := known.get(" ".join(split)):
        return found
    sides = [word for word in split if word in _SIDE_WORDS]
    if len(sides) != 1:
        return None
    rest = known.get(" ".join(word for word in split if word != sides[0]))
    # A name may hold a side of its own, or make no sense with one: "left right ventricle" is none, "left l3" is none.
    if rest is None or not rest.term.paired or rest.side is not None:
        return None
    return Named(rest.term, _SIDE_WORDS[sides[0]], rest.plural)


@cache
def phrases() -> dict[str, Named]:
    """Every name and synonym, singular and plural, as plain lower-case words without articles. Where two terms share a
    phrase, the name of one goes before a synonym of another, and the earlier in the table before the later."""
    known: dict[str, Named] = {}
    for each in _terms():
        known.setdefault(_phrase(each.name), Named(each))
    for each in _terms():
        known.setdefault(_phrase(each.plural or plural_of(each.name)), Named(each, plural=True))
    for each in _terms():
        for words in each.synonyms:
            known.setdefault(_phrase(words), Named(each))
        for side, words in each.sided:
            known.setdefault(_phrase(words), Named(each, side))
    for each in _terms():
        for words in each.synonyms:
            known.setdefault(_phrase(plural_of(words)), Named(each, plural=True))
    return known


@cache
def longest_phrase() -> int:
    """The number of words of the longest phrase."""
    return max(phrase.count(" ") + 1 for phrase in phrases())


def complete(prefix: str, limit: int = 8, remembered: Iterable[str] = ()) -> tuple[str, ...]:
    """What could be meant when the text so far is `prefix`: whole texts, the likeliest first. The last words are
    completed, as many as begin a name; what stands before them is kept."""
    text = prefix[-_LONGEST_NAME:].lower().replace("_", " ")
    words = text.split()
    if not words:
        return ()
    own = [(" ".join(name.lower().split()), name) for name in remembered]
    for start in range(max(0, len(words) - longest_phrase()), len(words)):
        head, tail = words[:start], " ".join(words[start:]) + (" " if text.endswith(" ") else "")
        found = [shown for lower, shown in own if lower.startswith(tail)]
        found += _completions(tail)
        kept = prefix[: len(prefix) - len(tail)] if head else ""
        if found:
            return tuple(dict.fromkeys(kept + each for each in found))[:limit]
    return ()


def _completions(tail: str) -> list[str]:
    first, _, rest = tail.partition(" ")
    side = _SIDE_WORDS.get(first) if first in ("left", "right") else None
    hits = _starting(tail)
    if side is not None:
        hits += [(rank, name_of(named.term, side)) for rank, named in _paired_starting(rest)]
    return [words for _, words in sorted(hits, key=lambda hit: hit[0])]


def _starting(tail: str) -> list[tuple[tuple[int, int, int], str]]:
    """(rank, words) of every name and synonym that starts so; names first, then in the table's order."""
    ordered = _ordered()
    first = bisect.bisect_left(ordered, (tail,))
    hits = []
    for words, number, is_name in ordered[first : bisect.bisect_left(ordered, (tail + "\uffff",))]:
        hits.append(((0 if is_name else 1, number, 0), words))
        each = _terms()[number]
        if is_name and each.paired:
            hits += [((0, number, 1), name_of(each, side)) for side in Side]
    return hits


def _paired_starting(rest: str) -> list[tuple[tuple[int, int, int], Named]]:
    return [
        ((0 if is_name else 1, number, 0), Named(_terms()[number]))
        for words, number, is_name in _ordered()
        if words.startswith(rest.lstrip()) and _terms()[number].paired
    ]


@cache
def _ordered() -> list[tuple[str, int, bool]]:
    """Every name and synonym as written, lower case, with its term's number and whether it is the name; sorted."""
    rows = []
    for number, each in enumerate(_terms()):
        rows.append((each.name.lower(), number, True))
        rows += [(words.lower(), number, False) for words in each.synonyms if len(words) > 3]
    return sorted(rows)


@cache
def _terms() -> tuple[Term, ...]:
    records = json.loads((Path(__file__).parent / "terms.json").read_text(encoding="utf-8"))
    codes = {record["key"]: record.get("type") for record in records}
    return tuple(_term(record, codes) for record in records)


def _term(record: dict[str, object], codes: dict[str, list[str] | None]) -> Term:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
    fields["sided"] = tuple((Side(side), words) for side, words in record.get("sided", ()))
    region = codes.get(record.get("within", ""))
    return Term(**fields, region=tuple(region) if region else None)


@cache
def _by_key() -> dict[str, Term]:
    return {each.key: each for each in _terms()}


def _phrase(words: str) -> str:
    return " ".join(american(word) for word in plain(words).split() if word not in _FILLERS)
