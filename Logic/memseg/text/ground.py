"""From a query to masks: ask what can find such a thing, leave out what does not fit the words, put the rest in order.

The chain, each link told in one sentence: (1) a model that takes text, (2) the recall memory, (3) physics and shape,
(4) clicks given to the segmenter, (5) other segments, the click and the mask. What nothing fits is a PromptError that
says what would help: nothing is ever made up.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import PromptError
from . import commands
from .candidates import Candidate
from .finding import Finder
from .grounding import LINKS, Found, Grounding, Surroundings
from .orientation import trust
from .pieces import Piece, united
from .query import (
    Add,
    Asked,
    Beside,
    Command,
    Direction,
    Everything,
    Extreme,
    Inside,
    Mark,
    Near,
    Part,
    Query,
    SplitSides,
    Take,
    Thing,
    Union,
    Without,
)  # fmt: skip
from .sentence import say
from .titles import name_and_term

log = logging.getLogger(__name__)
MOST_FOUND = 5
_ALIKE = 0.85  # overlap (IoU) from which on an alternative is none


@dataclass(frozen=True, eq=False)
class Answer:
    """One mask that the words may mean, on the volume's grid."""

    piece: Piece
    title: str
    confidence: float
    why: str
    link: str

    @classmethod
    def of(cls, candidate: Candidate) -> Answer:
        return cls(candidate.native, candidate.title, candidate.confidence, candidate.why, candidate.link)


def ground(query: Query, surroundings: Surroundings) -> Grounding:
    """Raises PromptError where nothing fits, or what the words refer to is not there."""
    finder = Finder(surroundings)
    asked, other = query.asked, None
    if isinstance(asked, Thing | Union | Without | Everything):
        answers = _asked(asked, finder)
    else:
        answers, other = _done(asked, finder)
    answers = _distinct(answers)
    name, term, side = name_and_term(asked)
    links = tuple(" ".join(finder.links[link]) for link in LINKS if link in finder.links)
    sentence = _sentence(query, answers, finder)
    log.info("grounded: %d found, the first by %s", len(answers), answers[0].link)
    return Grounding(query, sentence, tuple(map(_found, answers)), name, term, side, links, other and _found(other))


def _asked(asked: Asked, finder: Finder, place: Piece | None = None) -> list[Answer]:
    """What is asked for, best first. place: where to look, on the volume's grid."""
    match asked:
        case Thing():
            return [Answer.of(each) for each in finder.find(asked, place)[:MOST_FOUND]]
        case Union(parts):
            return _together(parts, finder, place)
        case Without(of, what):
            return _without(of, what, finder, place)
        case Everything(excepted):
            return _everything(excepted, finder)


def _together(parts: Sequence[Asked], finder: Finder, place: Piece | None) -> list[Answer]:
    """All parts; where some are not found, they are not made up, but none is left out in silence either."""
    found = [_nested(part, finder, place)[0] for part in parts]
    title = " and ".join(each.title for each in found)
    why = " ".join(dict.fromkeys(each.why for each in found))
    sure = min(each.confidence for each in found)
    return [Answer(united(each.piece for each in found), title, sure, why, found[0].link)]


def _nested(asked: Asked, finder: Finder, place: Piece | None) -> list[Answer]:
    """The same of a part of what is asked for: segments of this volume that have the name go first."""
    if isinstance(asked, Thing):
        return [Answer.of(each) for each in finder.find(asked, place, nested=True)[:MOST_FOUND]]
    return _asked(asked, finder, place)


def _without(of: Asked, what: Asked, finder: Finder, place: Piece | None) -> list[Answer]:
    whole = _nested(of, finder, place)[0]
    lesion = isinstance(what, Thing) and (what.term is None or what.term.kind == "lesion")
    found = _nested(what, finder, whole.piece if lesion else place)
    less = next((each for each in found if 0 < whole.piece.share_in(each.piece) < 1), found[0])
    rest = whole.piece.without(less.piece)
    if rest.voxels == whole.piece.voxels:
        raise PromptError(f"The {less.title} lies outside the {whole.title}, so there is nothing to leave out.")
    if rest.is_empty:
        raise PromptError(f"The {less.title} covers the whole of the {whole.title}, so nothing would be left.")
    sure = min(whole.confidence, less.confidence)
    title = f"{whole.title} without {less.title}"
    return [Answer(rest, title, sure, f"{whole.why} {less.why}", whole.link)]


def _everything(excepted: Asked | None, finder: Finder) -> list[Answer]:
    body = finder.body()
    if excepted is None:
        return [Answer(body, "whole body", 0.9, "It is all that is no air round the patient.", "physics")]
    less = _nested(excepted, finder, None)[0]
    rest = body.without(less.piece)
    if rest.is_empty:
        raise PromptError(f"The {less.title} is all there is, so nothing would be left.")
    return [Answer(rest, f"body without {less.title}", less.confidence, less.why, "physics")]


# -- commands --------------------------------------------------------------------------------------------------------


def _done(command: Command, finder: Finder) -> tuple[list[Answer], Answer | None]:
    """The mask after a command, and what splitting gives away."""
    match command:
        case Add(what):
            mask = finder.mask(or_empty=True)
            found = _asked(what, finder)
            return [_changed(each, united((mask, each.piece)), "with") for each in found], None
        case Take(what):
            return _taken(what, finder), None
        case SplitSides():
            kept, other = commands.split(finder.mask(), command, finder.middle_ras)
            why = "It was split at the middle of the body."
            keep, give = command.keep, "right" if command.keep == "left" else "left"
            finder.tell("mask", f"Mask: {why[0].lower()}{why[1:]}")
            return [Answer(kept, f"{keep} part", 0.9, why, "mask")], Answer(other, f"{give} part", 0.9, why, "mask")
        case _:
            piece, told = commands.shaped(finder.mask(), command)
            finder.tell("mask", f"Mask: {told[0].lower()}{told[1:]}")
            return [Answer(piece, "mask", 1.0, told, "mask")], None


def _taken(what: Asked, finder: Finder) -> list[Answer]:
    mask = finder.mask()
    lesion = isinstance(what, Thing) and (what.term is None or what.term.kind == "lesion")
    found = _nested(what, finder, mask if lesion else None)
    kept = [_changed(each, mask.without(each.piece), "without") for each in found]
    kept = [each for each in kept if each.piece.voxels < mask.voxels]
    if not kept:
        raise PromptError(f"The {found[0].title} lies outside the mask, so there is nothing to remove.")
    if all(each.piece.is_empty for each in kept):
        raise PromptError(f"The {found[0].title} covers the whole mask, so nothing would be left.")
    return [each for each in kept if not each.piece.is_empty]


def _changed(answer: Answer, piece: Piece, how: str) -> Answer:
    return Answer(piece, f"mask {how} {answer.title}", answer.confidence, answer.why, answer.link)


# -- what is told ----------------------------------------------------------------------------------------------------


def _distinct(answers: list[Answer]) -> list[Answer]:
    """Without those that are about the same as an earlier one."""
    kept: list[Answer] = []
    for answer in answers:
        if not answer.piece.is_empty and all(answer.piece.overlap(other.piece) < _ALIKE for other in kept):
            kept.append(answer)
    return kept[:MOST_FOUND]


def _found(answer: Answer) -> Found:
    piece = answer.piece
    sure = float(np.clip(answer.confidence, 0, 1))
    return Found(answer.title, piece.box, piece.values.astype(np.uint8), sure, answer.why, answer.link)


def _sentence(query: Query, answers: list[Answer], finder: Finder) -> str:
    """How the words were understood, what was found and how surely, and what to beware of."""
    best = answers[0]
    parts = [say(query), *query.notes, *finder.notes]
    if best.link == "mask" and best.confidence == 1.0:
        parts.append(best.why)
    else:
        others = len(answers) - 1
        more = f"; {others} other {'possibility' if others == 1 else 'possibilities'}" if others else ""
        parts.append(f"Found: {best.title}, {best.confidence:.0%} sure{more}. {best.why}")
    parts.append(trust(finder.volume).sentence(directions_in(query.asked)) if directions_in(query.asked) else "")
    return " ".join(part for part in parts if part)


def directions_in(asked: Asked | Command | Mark) -> frozenset[Direction]:
    """The directions and sides that the words speak of."""
    match asked:
        case Thing(places=places, side=side):
            own = {Direction(side.value)} if side is not None else set()
            for place in places:
                if isinstance(place, Extreme | Part | Beside):
                    own.add(place.direction)
                if isinstance(place, Beside | Near | Inside):
                    own |= directions_in(place.of)
            return frozenset(own)
        case Union(parts):
            return frozenset().union(*(directions_in(part) for part in parts))
        case Without(of, what):
            return directions_in(of) | directions_in(what)
        case Everything(excepted) if excepted is not None:
            return directions_in(excepted)
        case Add(what) | Take(what):
            return directions_in(what)
        case SplitSides():
            return frozenset({Direction.LEFT, Direction.RIGHT})
        case _:
            return frozenset()
