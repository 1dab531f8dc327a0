"""Names of structures and marks in a sentence, and where a noun phrase ends."""

from __future__ import annotations

from collections.abc import Mapping

from . import terminology
from .parse_amounts import take_bounds
from .query import Mark
from .terminology import Named
from .tokens import Phrases, Reader
from .wording import (
    ARTICLES,
    BESIDE,
    CLICKS,
    INSIDE,
    JOIN,
    MASKS,
    NEAR,
    OUTSIDE,
    RELATIVE,
    SCAN_PLACES,
    SIDES,
    SIDEWAYS,
    WITHOUT,
)

_AFTER_SIDE = frozenset("of to most side half part third quarter from hand".split())

Remembered = Mapping[str, Named]  # plain lower-case names, and what they mean


class NameReader:
    """Reads names and marks. remembered: names known besides the table's."""

    def __init__(self, reader: Reader, remembered: Remembered) -> None:
        self.reader = reader
        self._remembered = remembered
        self._longest = max([terminology.longest_phrase() + 3, *(name.count(" ") + 1 for name in remembered)])

    # -- names -------------------------------------------------------------------------------------------------------

    def _take_term(self) -> Named | None:
        found = self._term_at()
        if found is None:
            return None
        self.reader.skip(found[1])
        return found[0]

    def _take_term_after_noun(self) -> Named | None:
        """ "structure liver", "organ spleen"."""
        named = self._term_at()
        if named is None or named[0].plural:
            return None
        self.reader.skip(named[1])
        return named[0]

    def _is_long_term(self) -> bool:
        return self._term_at(least=2) is not None

    def _term_at(self, skip: int = 0, least: int = 1) -> tuple[Named, int] | None:
        """The longest name of a structure that starts there, and how many words it has."""
        reader = self.reader
        words = []
        while len(words) < self._longest and (word := reader.word(skip + len(words))) and (word[0].isalnum()):
            words.append(word)
        for length in range(len(words), least - 1, -1):
            span = words[:length]
            if own := self._remembered.get(" ".join(span)):
                return own, length
            if span[-1] in ARTICLES or span[0] in ARTICLES or span[-1] == "of":
                continue
            if any(word in ARTICLES and before != "of" for before, word in zip(span, span[1:])):
                continue
            if length > 1 and span[-1] in ("left", "right") and reader.word(skip + length) in _AFTER_SIDE:
                continue
            named = terminology.lookup(" ".join(span))
            if named is not None and not self._reaches_farther(span, skip, length):
                return named, length
        return None

    def _reaches_farther(self, span: list[str], skip: int, length: int) -> bool:
        """Without the side that it starts with, a longer name is there: "right lung" of "right lung vessels"."""
        if length == 1 or span[0] not in ("left", "right", "l", "r"):
            return False
        other = self._term_at(skip + 1)
        return other is not None and other[1] + 1 > length

    # -- marks -------------------------------------------------------------------------------------------------------

    def _mark(self) -> Mark | None:
        """The click or the mask, where that is what comes next and no noun goes on from it."""
        reader = self.reader
        start = reader.position
        while reader.word() in ARTICLES and not (MASKS.at(reader) and self._ends_after(MASKS.at(reader)[1])):
            reader.skip()
        for marks in (CLICKS, MASKS):
            found = marks.at(reader)
            if found and self._term_at() is None and self._ends_after(found[1]):
                reader.skip(found[1])
                return found[0]
        reader.position = start
        return None

    def _is_mark_ahead(self) -> bool:
        found = MASKS.at(self.reader)
        return found is not None and self._ends_after(found[1])

    def _is_mask_after(self) -> bool:
        start = self.reader.position
        self.reader.skip()
        is_mask = self._mark() is Mark.MASK
        self.reader.position = start
        return is_mask

    # -- looking ahead -----------------------------------------------------------------------------------------------

    def _ends_after(self, length: int) -> bool:
        """Nothing follows that many words, or something that starts anew: no noun that they could belong to."""
        reader = self.reader
        word = reader.word(length)
        if word in ("", ",", ")", ";", "&", "+", "-", "(", "<", ">", "<=", ">=") or word in ("too", "also", "then"):
            return True
        if word in ("and", "or") and SIDES.at(reader, length + 1) and SIDES.at(reader, length - 1):
            return False
        tables: tuple[Phrases, ...] = (JOIN, WITHOUT, BESIDE, NEAR, INSIDE, OUTSIDE, RELATIVE, SCAN_PLACES, SIDEWAYS)
        if any(table.at(reader, length) for table in tables):
            return True
        start = reader.position
        reader.skip(length)
        bounded = bool(take_bounds(reader))
        reader.position = start
        return bounded

    def _goes_on_after(self, length: int) -> bool:
        return bool(self.reader.word(length)) and not self._ends_after(length)

    def _at_border(self) -> bool:
        return self._ends_after(0)

    def _skip_articles(self) -> None:
        while self.reader.word() in ARTICLES and not self._is_long_term() and not self._is_mark_ahead():
            self.reader.skip()

    def _closing_relative(self) -> None:
        while self.reader.take_phrase(RELATIVE):
            pass
