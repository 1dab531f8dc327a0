"""What stands before a noun: "the largest bright", "the upper half of", "both"."""

from __future__ import annotations

from abc import abstractmethod

from ..errors import PromptError
from .draft import Draft, direction_of
from .parse_amounts import number_at, take_amount, take_bounds, take_measure
from .parse_names import NameReader
from .query import Asked, Brightness, Direction, Mark, Part, Rank, Reference, Shape, Thing
from .terminology import Side
from .wording import (
    ALL,
    ARTICLES,
    BESIDE,
    BOTH,
    BRIGHTNESS,
    DIRECTIONS,
    EVERYTHING,
    EXTREMES,
    LARGEST,
    ORDINALS,
    PART_NOUNS,
    RING_ENHANCING,
    SHAPES,
    SIDES,
    SIZES,
)

_MOST_RANKS = 10


class ModifierReader(NameReader):
    """Reads what says more of the noun to come."""

    @abstractmethod
    def reference(self, depth: int) -> Reference:
        """Something that is only referred to: "the right lung", "this click", "(the lesion above the liver)"."""

    @abstractmethod
    def _noun_phrase(self, depth: int, before: Asked | None = None) -> Asked:
        """One thing with all that is said of it."""

    @abstractmethod
    def _close(self) -> None:
        """Pass over a closing bracket. PromptError where there is none."""

    def _before_noun(self, draft: Draft, depth: int) -> None:
        while not self.reader.at_end:
            start = self.reader.position
            if self._is_long_term():
                return
            if self.reader.word() in ARTICLES:
                self.reader.skip()
            elif self._modifier(draft, depth) is False:
                return
            if not draft.headless:  # the part of something, which is the noun
                return
            if self.reader.position == start:
                return

    def _modifier(self, draft: Draft, depth: int) -> bool:
        """Take one word or phrase that says more of the noun to come; False where none comes next."""
        steps = (
            self._quantity,
            self._extreme_or_part,
            self._side,
            self._rank,
            self._size,
            self._look,
            self._lean,
            self._and,
        )
        return any(step(draft, depth) for step in steps)

    def _quantity(self, draft: Draft, depth: int) -> bool:
        reader = self.reader
        if (found := EVERYTHING.at(reader)) and (reader.word() != "all" or self._ends_after(found[1])):
            reader.skip(found[1])
            draft.everything = draft.every = True
            draft.headless = False
            return True
        if reader.take_phrase(BOTH):
            draft.both = True
            return True
        if reader.take_phrase(ALL):
            draft.every = True
            return True
        if number_at(reader) and (named := self._term_at(1)) and named[0].plural:  # "the two kidneys"
            reader.skip()
            draft.every = True
            return True
        return False

    def _extreme_or_part(self, draft: Draft, depth: int) -> bool:
        reader = self.reader
        if (direction := reader.take_phrase(EXTREMES)) is not None:
            draft.take_extreme(direction)
            return True
        if reader.word() in ("lateral", "medial") and (share := PART_NOUNS.at(reader, 1)):
            return self._sideways_part(draft, share, depth)
        found = DIRECTIONS.at(reader) or SIDES.at(reader)
        share = PART_NOUNS.at(reader, found[1]) if found else None
        if found is None or share is None:
            return False
        after = found[1] + share[1]
        if reader.word(after) not in ("of", "from", "in", "("):
            return False
        reader.skip(after + 1)
        self._part_of(draft, Direction(found[0].value), share[0], depth)
        return True

    def _sideways_part(self, draft: Draft, share: tuple[float, int], depth: int) -> bool:
        """ "the lateral half of the left lung": a side has to be said."""
        reader, outwards = self.reader, self.reader.word() == "lateral"
        if reader.word(1 + share[1]) != "of":
            return False
        reader.skip(2 + share[1])
        start = reader.position
        whole = self.reference(depth + 1)
        if not isinstance(whole, Thing) or whole.side is None:
            raise PromptError("Lateral and medial need a side; say, for example, the lateral half of the left lung.")
        reader.position = start
        other = Side.RIGHT if whole.side is Side.LEFT else Side.LEFT
        self._part_of(draft, direction_of(whole.side if outwards else other), share[0], depth)
        return True

    def _part_of(self, draft: Draft, direction: Direction, share: float, depth: int) -> None:
        reader = self.reader
        reader.take("of")
        bracket = reader.take("(")
        whole = self._noun_phrase(depth + 1) if bracket else self._whole(depth + 1)
        if bracket:
            self._close()
        if not isinstance(whole, Thing):
            raise PromptError("A part is taken of one thing; say, for example, the upper half of the liver.")
        draft.term, draft.side, draft.every, draft.headless = whole.term, whole.side, draft.every or whole.every, False
        draft.looks += whole.looks
        draft.places += whole.places
        draft.limits += whole.limits
        draft.ranks = draft.ranks or ((whole.rank,) if whole.rank else ())
        draft.take_part(Part(direction, share))

    def _whole(self, depth: int) -> Asked:
        reference = self.reference(depth)
        if isinstance(reference, Mark):
            raise PromptError(
                "A part is taken of something with a name; say, for example, the upper half of the liver."
            )
        return reference

    def _side(self, draft: Draft, depth: int) -> bool:
        found = SIDES.at(self.reader)
        if found is None or BESIDE.at(self.reader):
            return False
        self.reader.skip(found[1])
        if self.reader.word() in ("and", "or", "/", "&") and SIDES.at(self.reader, 1):
            raise PromptError("Left and right contradict each other here; say one side, or both.")
        draft.take_side(found[0])
        return True

    def _rank(self, draft: Draft, depth: int) -> bool:
        reader = self.reader
        ordinal, skip = self._ordinal(), 1
        count = None if ordinal else number_at(reader)
        if ordinal is None and count is None:
            ordinal, skip = 1, 0
        while skip and reader.word(skip) in ARTICLES:
            skip += 1
        found = LARGEST.at(reader, skip)
        if found is None or reader.word(skip + found[1]) == "than" or (count and count != int(count)):
            return False
        reader.skip(skip + found[1])
        if count is None and ordinal == 1 and (number := number_at(reader)) and not self._is_size_ahead():
            reader.skip()
            count = number
        if count is not None and not 1 <= count <= _MOST_RANKS:
            raise PromptError(f"At most {_MOST_RANKS} of the largest can be asked for; say a smaller number.")
        numbers = [ordinal] if count is None else range(1, int(count) + 1)
        draft.take_ranks(tuple(Rank(int(number), found[0]) for number in numbers))
        return True

    def _ordinal(self) -> int | None:
        token = self.reader.token()
        if token is not None and token.ordinal:
            return int(token.number or 1)
        found = ORDINALS.at(self.reader)
        return found[0] if found else None

    def _is_size_ahead(self) -> bool:
        start = self.reader.position
        amount = take_amount(self.reader)
        self.reader.position = start
        return amount is not None and amount.unit != ""

    def _size(self, draft: Draft, depth: int) -> bool:
        bounds = take_bounds(self.reader) or take_measure(self.reader)
        if bounds:
            draft.take_bounds(bounds)
            return True
        if (large := self.reader.take_phrase(SIZES)) is not None:
            if draft.large not in (None, large):
                raise PromptError("Large and small contradict each other; say one of them.")
            draft.large = large
            return True
        return False

    def _look(self, draft: Draft, depth: int) -> bool:
        reader = self.reader
        if reader.take_phrase(RING_ENHANCING):
            draft.looks += [Brightness.BRIGHT, Shape.RING]
            return True
        if reader.word() in ("nearest", "closest") and reader.word(1) != "to":
            reader.skip()
            draft.nearest = True
            return True
        for table in (BRIGHTNESS, SHAPES):
            if found := table.at(reader):
                if reader.word(found[1]) == "than":
                    raise PromptError("Brightness is compared with a number; type, for example, brighter than 300 HU.")
                reader.skip(found[1])
                draft.looks.append(found[0])
                return True
        return False

    def _lean(self, draft: Draft, depth: int) -> bool:
        found = DIRECTIONS.at(self.reader)
        if found is None or BESIDE.at(self.reader):
            return False
        if self._term_at() is not None and not self._goes_on_after(found[1]):
            return False  # "back" alone is a noun
        self.reader.skip(found[1])
        draft.take_lean(found[0])
        return True

    def _and(self, draft: Draft, depth: int) -> bool:
        """Between two words that say more of the same noun: "bright and round mass"."""
        skip = 1 if self.reader.word() in ("and", ",", "but", "yet") else 0
        if not skip or not (draft.looks or draft.ranks or draft.large is not None):
            return False
        skip += self.reader.word(1) == "and"
        if any(table.at(self.reader, skip) for table in (BRIGHTNESS, SHAPES, SIZES, LARGEST, RING_ENHANCING)):
            if self._term_at(skip, least=2) is None:
                self.reader.skip(skip)
                return True
        return False
