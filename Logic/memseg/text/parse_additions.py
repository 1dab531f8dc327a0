"""What stands after a noun: "in the right lung", "near the click", "that is round", "under 8 mm"."""

from __future__ import annotations

from dataclasses import replace

from ..errors import PromptError
from .draft import Draft, direction_of
from .parse_amounts import take_amount, take_bounds
from .parse_modifiers import ModifierReader
from .query import Beside, Direction, Inside, Mark, Near, Part, Rank, Reference, Thing
from .terminology import Side
from .wording import (
    BESIDE,
    BRIGHTNESS,
    DIRECTIONS,
    EXTREMES,
    INSIDE,
    LARGEST,
    NEAR,
    ON_SIDE,
    OUTSIDE,
    PART_NOUNS,
    POINTERS,
    SCAN_PLACES,
    SHAPES,
    SIDES,
    SIDEWAYS,
)

_CONTAINING_KINDS = frozenset(("region", "body", "cavity"))


class AdditionReader(ModifierReader):
    """Reads what says more of the noun before."""

    def _after_noun(self, draft: Draft, depth: int) -> None:
        reader = self.reader
        if draft.headless and not draft.is_empty and reader.take("of", "among", "amongst", "out of"):
            self._one_of(draft, depth)
        while not reader.at_end:
            start = reader.position
            self._closing_relative()
            if not self._addition(draft, depth):
                if not reader.at_end:
                    reader.position = start
                return

    def _one_of(self, draft: Draft, depth: int) -> None:
        """ "the largest of the kidneys"."""
        among = self.reference(depth + 1)
        if isinstance(among, Mark):
            raise PromptError("Say which structures are meant; for example, the largest of the nodules.")
        draft.term, draft.side, draft.headless = among.term, draft.side or among.side, False
        draft.looks += among.looks
        draft.places += among.places
        draft.limits += among.limits

    def _addition(self, draft: Draft, depth: int) -> bool:
        steps = (
            self._scan,
            self._near_by,
            self._later_bounds,
            self._later_look,
            self._beside,
            self._later_side,
            self._later_part,
        )
        return any(step(draft, depth) for step in (*steps, self._outside, self._near_inside))

    def _scan(self, draft: Draft, depth: int) -> bool:
        found = SCAN_PLACES.at(self.reader)
        if found and self._ends_after(found[1]):
            self.reader.skip(found[1])
            return True
        return False

    def _near_by(self, draft: Draft, depth: int) -> bool:
        """ "within 10 mm of the click", "nearest ... to the click", "here"."""
        reader, start = self.reader, self.reader.position
        if draft.nearest and reader.take("to", "from"):
            draft.places.append(Near(self.reference(depth + 1)))
            draft.nearest = False
            return True
        if reader.word() in ("here", "there") and self._ends_after(1):
            reader.skip()
            draft.places.append(Near(Mark.CLICK))
            return True
        if reader.take("within", "less than", "at most"):
            amount = take_amount(reader)
            if amount is not None and amount.unit in ("mm", "") and reader.take("of", "from", "to", "around"):
                reader.note("The distance was taken as near.")
                draft.places.append(Near(self.reference(depth + 1)))
                return True
        reader.position = start
        return False

    def _later_bounds(self, draft: Draft, depth: int) -> bool:
        reader, start = self.reader, self.reader.position
        if draft.limits or draft.looks:
            reader.take("and")  # "above 100 and below 300 HU"
        word = reader.word()
        compares = reader.word(1) == "than" and (BRIGHTNESS.at(reader) or LARGEST.at(reader))
        bounds = take_bounds(reader, draft.term is not None and draft.term.kind == "lesion")
        draft.take_bounds(bounds)
        if not bounds:
            reader.position = start
        if compares and not bounds:
            raise PromptError(
                f"'{word} than' needs a number; type, for example, brighter than 300 HU or larger than 8 mm."
            )
        return bool(bounds)

    def _beside(self, draft: Draft, depth: int) -> bool:
        reader = self.reader
        if (outwards := reader.take_phrase(SIDEWAYS)) is not None:
            reference = self.reference(depth + 1)
            draft.places.append(Beside(self._sideways(draft, reference, outwards), reference))
            return True
        if reader.take("between"):
            raise PromptError(
                "'between' is not understood of structures; say, for example, above the one or below the other."
            )
        start = reader.position
        direction = reader.take_phrase(BESIDE)
        if direction is None:
            return False
        word = reader.word(-1)
        points = reader.word(1) in POINTERS or reader.word() in POINTERS
        reference = self.reference(depth + 1)
        if reference is Mark.CLICK and points and word in ("under", "at", "below", "over"):
            draft.places.append(Near(reference))
        else:
            draft.places.append(Beside(direction, reference))
        return reader.position > start

    @staticmethod
    def _sideways(draft: Draft, reference: Reference, outwards: bool) -> Direction:
        side = reference.side if isinstance(reference, Thing) and reference.side else draft.side
        if side is None:
            raise PromptError("Lateral and medial need a side; say left of or right of instead.")
        other = Side.RIGHT if side is Side.LEFT else Side.LEFT
        return direction_of(side if outwards else other)

    def _later_side(self, draft: Draft, depth: int) -> bool:
        reader = self.reader
        found = ON_SIDE.at(reader)
        if found and reader.word(found[1]) == "of" and reader.word(found[1] - 1) == "side" and reader.word() == "on":
            reader.skip(found[1] + 1)
            self._side_of(draft, found[0], self.reference(depth + 1))
            return True
        if (side := self._free_side()) is not None:
            draft.take_side(side)
            return True
        if (direction := reader.take_phrase(EXTREMES)) is not None:
            draft.take_extreme(direction)
            return True
        return False

    def _later_part(self, draft: Draft, depth: int) -> bool:
        """ "the liver's lower half"."""
        reader = self.reader
        found = DIRECTIONS.at(reader) or SIDES.at(reader)
        share = PART_NOUNS.at(reader, found[1]) if found else None
        if found is None or share is None or not self._ends_after(found[1] + share[1]):
            return False
        reader.skip(found[1] + share[1])
        draft.take_part(Part(Direction(found[0].value), share[0]))
        return True

    @staticmethod
    def _side_of(draft: Draft, side: Side, reference: Reference) -> None:
        """ "on the left side of the neck" is within it, "on the left side of the trachea" beside that."""
        term = reference.term if isinstance(reference, Thing) else None
        if isinstance(reference, Thing) and term is not None and term.kind in _CONTAINING_KINDS:
            draft.places.append(Inside(replace(reference, places=(Part(direction_of(side)), *reference.places))))
        else:
            draft.places.append(Beside(direction_of(side), reference))

    def _free_side(self) -> Side | None:
        """ "on the left", where no noun follows; also ", left" and "(left)"."""
        reader, start = self.reader, self.reader.position
        found = ON_SIDE.at(reader)
        if found and self._ends_after(found[1]) and reader.word(found[1]) != "of":
            reader.skip(found[1])
            return found[0]
        bracket = reader.take("(")
        if bracket or reader.take(","):
            if found := SIDES.at(reader):
                length = found[1] + (reader.word(found[1]) == "side")
                if reader.word(length) == (")" if bracket else ""):
                    reader.skip(length + bracket)
                    return found[0]
        reader.position = start
        return None

    def _outside(self, draft: Draft, depth: int) -> bool:
        if not self.reader.take_phrase(OUTSIDE):
            return False
        outer = self.reference(depth + 1)
        if isinstance(outer, Mark):
            raise PromptError(f"Outside {outer} is not understood; use the Take command, such as remove the lesion.")
        draft.outside.append(outer)
        return True

    def _near_inside(self, draft: Draft, depth: int) -> bool:
        if self.reader.word() == "from" and self._is_mask_after():
            return False  # "remove the lesion from the mask"
        for table, place in ((NEAR, Near), (INSIDE, Inside)):
            if table.at(self.reader):
                found = max((each.at(self.reader) or (0, 0))[1] for each in (NEAR, INSIDE))
                if table.at(self.reader)[1] < found:
                    continue
                self.reader.skip(found)
                draft.places.append(place(self.reference(depth + 1)))
                return True
        return False

    def _later_look(self, draft: Draft, depth: int) -> bool:
        """ "that is round", "which are bright and flat"."""
        reader = self.reader
        self._take_inner_and(draft)
        for table in (BRIGHTNESS, SHAPES):
            if (found := table.at(reader)) and self._ends_after(found[1]):
                reader.skip(found[1])
                draft.looks.append(found[0])
                return True
        if (found := LARGEST.at(reader)) and self._ends_after(found[1]):
            reader.skip(found[1])
            draft.take_ranks((Rank(1, found[0]),))
            return True
        return False

    def _take_inner_and(self, draft: Draft) -> None:
        if draft.looks and self.reader.word() == "and":
            for table in (BRIGHTNESS, SHAPES):
                if (found := table.at(self.reader, 1)) and self._ends_after(found[1] + 1):
                    self.reader.skip()
