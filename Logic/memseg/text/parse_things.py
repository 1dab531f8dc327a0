"""Noun phrases: "the largest bright lesion under 2 cm in the upper half of the right lung"."""

from __future__ import annotations

import difflib

from ..errors import PromptError
from . import terminology
from .draft import Draft, is_compound, is_countable
from .parse_additions import AdditionReader
from .query import Asked, Everything, Inside, Reference, Thing, Union, Without
from .terminology import Term
from .tokens import Token
from .wording import BELONGING_NOUNS, GENERIC_NOUNS, INSIDE, JOIN, JOIN_SIGNS, SCAN_PLACES, SHAPE_NOUNS, WITHOUT

_LEVELS = (("c", 7), ("t", 12), ("l", 5))
_NUMBERED = [f"vertebra_{part}{number + 1}" for part, count in _LEVELS for number in range(count)] + [
    f"rib_{number + 1}" for number in range(12)
]
_DEEPEST = 6
_ADJUNCT_KINDS = frozenset(("lesion", "tissue", "device", "vessel", "cavity", "muscle"))


class ThingReader(AdditionReader):
    """Reads what is asked for."""

    # -- combinations ------------------------------------------------------------------------------------------------

    def asked(self, depth: int = 0) -> Asked:
        """The longest combination of things that comes next. PromptError where none does."""
        so_far = self._union(depth)
        while self.reader.take_phrase(WITHOUT) or self.reader.take("-"):
            self._closing_relative()
            what = self._union(depth)
            so_far = Everything(what) if so_far == Everything() else Without(so_far, what)
        return so_far

    def _union(self, depth: int) -> Asked:
        parts = [self._operand(depth)]
        parts = self._to_last(parts[0]) or parts
        while not WITHOUT.at(self.reader) and self._take_join():
            if self.reader.at_end:
                raise PromptError("The text ends in the middle; say what comes after 'and'.")
            parts.append(self._operand(depth, parts[-1]))
        return union(parts)

    def _to_last(self, first: Asked) -> list[Asked]:
        """ "L1 to L5": what lies between and the last of them; nothing where no such range follows."""
        reader, start = self.reader, self.reader.position
        if isinstance(first, Thing) and first.term and first == Thing(first.term, first.side):
            if first.term.key in _NUMBERED and reader.take("through", "to", "till", "until", "up to", "down to", "-"):
                named = self._take_term()
                if named is not None and named.term.key in _NUMBERED and named.side in (None, first.side):
                    ends = sorted((_NUMBERED.index(first.term.key), _NUMBERED.index(named.term.key)))
                    keys = _NUMBERED[ends[0] : ends[1] + 1]
                    if len({key[:3] for key in keys}) == 1:
                        return [Thing(terminology.term(key), first.side) for key in keys]
        reader.position = start
        return []

    def _take_join(self) -> bool:
        start = self.reader.position
        while self.reader.word() in JOIN_SIGNS:
            self.reader.skip()
        if not WITHOUT.at(self.reader):
            self.reader.take_phrase(JOIN)
        return self.reader.position > start and not WITHOUT.at(self.reader)

    def _operand(self, depth: int, before: Asked | None = None) -> Asked:
        if depth > _DEEPEST:
            raise PromptError("The text is nested too deeply; ask for one thing at a time.")
        self._skip_articles()
        if self.reader.take("("):
            inside = self.asked(depth + 1)
            self._close()
            return inside
        if (mark := self._mark()) is not None:
            raise PromptError(f"Say what to segment; {mark} can be named after words such as near or inside.")
        return self._noun_phrase(depth, before)

    def _close(self) -> None:
        if not self.reader.take(")"):
            raise PromptError("A bracket is not closed; leave the brackets out, or close each of them.")

    # -- one noun phrase ---------------------------------------------------------------------------------------------

    def _noun_phrase(self, depth: int, before: Asked | None = None) -> Asked:
        draft = Draft(self.reader)
        self._before_noun(draft, depth)
        if draft.headless:
            self._noun(draft, before)
        self._after_noun(draft, depth)
        if draft.is_empty:
            self._missing(draft)
        asked = draft.asked()
        for outer in draft.outside:
            asked = Without(asked, outer)
        return asked

    def reference(self, depth: int) -> Reference:
        """Something that is only referred to: "the right lung", "this click", "(the lesion above the liver)"."""
        if depth > _DEEPEST:
            raise PromptError("The text is nested too deeply; ask for one thing at a time.")
        self._skip_articles()
        if (mark := self._mark()) is not None:
            return mark
        if self.reader.take("("):
            inside = self.reference_in_brackets(depth + 1)
            self._close()
            return inside
        draft = Draft(self.reader)
        self._before_noun(draft, depth)
        if draft.headless:
            self._noun(draft, None)
        if (side := self._free_side()) is not None and draft.term is not None and draft.term.paired:
            draft.take_side(side)
        while is_countable(draft.term) and INSIDE.at(self.reader) and not SCAN_PLACES.at(self.reader):
            self.reader.take_phrase(INSIDE)
            draft.places.append(Inside(self.reference(depth + 1)))
        if draft.is_empty:
            self._missing(draft)
        return draft.thing()

    def reference_in_brackets(self, depth: int) -> Thing:
        asked = self._noun_phrase(depth)
        if not isinstance(asked, Thing):
            raise PromptError("One thing only can be referred to in brackets; name a single structure.")
        return asked

    # -- the noun ----------------------------------------------------------------------------------------------------

    def _noun(self, draft: Draft, before: Asked | None) -> None:
        reader = self.reader
        if named := self._take_term():
            draft.take_named(named)
            self._further_nouns(draft)
        elif (shape := reader.take_phrase(SHAPE_NOUNS)) is not None:
            draft.plural = reader.word(-1).endswith("s") and reader.word(-1) != "annulus"
            draft.looks.append(shape)
            draft.headless = False
        elif found := GENERIC_NOUNS.at(reader):
            word = reader.word()
            reader.skip(found[1])
            draft.plural = not found[0]
            draft.headless = word == "one" and reader.word() == "of"
            if (
                word in ("one", "ones")
                and isinstance(before, Thing)
                and draft.side
                and before.term
                and before.term.paired
            ):
                draft.term = before.term
            if named := self._take_term_after_noun():
                draft.take_named(named)
        elif isinstance(before, Thing) and before.term and before.term.paired and draft.side and self._at_border():
            draft.term, draft.headless = before.term, False  # "left kidney and right"

    def _further_nouns(self, draft: Draft) -> None:
        reader = self.reader
        while True:
            named = self._term_at()
            if named and draft.term and self._is_within(draft.term, named[0].term):  # "heart ventricle"
                reader.skip(named[1])
                draft.term, draft.plural = named[0].term, named[0].plural
            elif named and draft.term and named[0].term.key in terminology.above(draft.term):  # "femur bone"
                reader.skip(named[1])
                draft.plural = draft.plural or named[0].plural
            elif reader.word() in BELONGING_NOUNS and named is None:
                draft.plural = draft.plural or reader.word() in ("structures", "organs", "areas", "regions", "parts")
                reader.skip()
            elif named and named[0].term.kind in _ADJUNCT_KINDS:
                reader.skip(named[1])
                draft.take_named(named[0])
            else:
                return

    @staticmethod
    def _is_within(whole: Term, part: Term) -> bool:
        return whole.key in terminology.above(part) and not is_compound(part)

    def _missing(self, draft: Draft) -> None:
        word = self.reader.token()
        if word is not None:
            raise not_understood(word)
        if draft.side is not None:
            raise PromptError(f"Say what is meant on the {draft.side}; for example, {draft.side} kidney.")
        raise PromptError("The text ends before it says what to segment; type a structure, such as left kidney.")


def union(parts: list[Asked]) -> Asked:
    """All of them as one, without brackets inside; the one itself where there is one only."""
    flat: list[Asked] = []
    for part in parts:
        flat += part.parts if isinstance(part, Union) else (part,)
    flat = list(dict.fromkeys(flat))
    return flat[0] if len(flat) == 1 else Union(tuple(flat))


def not_understood(token: Token) -> PromptError:
    """With what may have been meant, where a name is like it."""
    if token.number is not None:
        return PromptError(
            f"The number {token.shown} needs a unit; say, for example, under 8 mm or brighter than 300 HU."
        )
    if like := _like(token.word[:40]):
        return PromptError(f"'{token.shown[:40]}' is not understood here; did you mean {like}?")
    return PromptError(
        f"'{token.shown[:40]}' is not understood here; "
        "type a structure, its side, look, size or place, such as largest bright lesion in the right lung."
    )


def _like(word: str) -> str | None:
    """The name nearest to it of those that begin with the same letter."""
    if len(word) < 3 or word in terminology.phrases():
        return None
    names = [phrase for phrase in terminology.phrases() if phrase[0] == word[0]]
    return next(iter(difflib.get_close_matches(word, names, 1, 0.7)), None)
