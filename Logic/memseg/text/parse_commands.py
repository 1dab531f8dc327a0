"""Commands on the mask that is there: "grow by 2 mm", "keep the largest piece", "remove the lesion"."""

from __future__ import annotations

from ..errors import PromptError
from .command_words import (
    ADD,
    CLEAN,
    CRUMBS,
    ELSEWHERE,
    EVENLY,
    FILL,
    GROW,
    HOLES,
    INTO_SIDES,
    KEEP,
    PARTS,
    PIECES,
    REMOVE,
    SMOOTH,
    SPLIT,
    TO_MASK,
    TOO,
)
from .parse_amounts import check_mm, number_at, take_amount, take_bounds
from .parse_things import ThingReader
from .query import (
    Add,
    Asked,
    Command,
    Everything,
    FillHoles,
    Grow,
    KeepLargest,
    Limit,
    RemoveSmall,
    Smooth,
    SplitSides,
    Take,
)
from .terminology import Side
from .tokens import Phrases
from .wording import ALL, ARTICLES, LARGEST, MASKS, PART_NOUNS, SIDES, SIZES

_GROW_MM, _LARGEST_GROW_MM, _LARGEST_SMOOTH_MM, _MOST_PIECES = 2.0, 100.0, 50.0, 100


class CommandReader:
    """Reads a command, where the text is one."""

    def __init__(self, things: ThingReader) -> None:
        self._things = things
        self._reader = things.reader

    def command(self) -> Command | None:
        """None where the text is no command. PromptError where it is one that cannot be done."""
        reader, start = self._reader, self._reader.position
        self._check_elsewhere()
        steps = (self._grow, self._smooth, self._fill, self._keep, self._split, self._clean, self._remove, self._add)
        for step in steps:
            reader.position = start
            found = step()
            if found is not None:
                return found
        reader.position = start
        return None

    def too(self, asked: Asked) -> Asked | Add | Take:
        """ "the spleen as well", "take the tumor away"."""
        if self._reader.take_phrase(TOO):
            self._skip(TO_MASK)
            return Add(asked)
        verbs = [token.word for token in self._reader.tokens[:3]]
        if any(verb in verbs for verb in ("take", "throw", "cut", "clear")) and self._reader.take("away", "out", "off"):
            self._skip(TO_MASK)
            return Take(asked)
        return asked

    def _check_elsewhere(self) -> None:
        found = ELSEWHERE.at(self._reader)
        if found and self._reader.word(found[1]) == "":
            raise PromptError(f"'{self._reader.shown(0, found[1])}' is not typed here; use the button {found[0]}.")

    # -- each command ----------------------------------------------------------------------------------------------

    def _grow(self) -> Grow | None:
        reader = self._reader
        before = self._make_it_larger()
        if before is not None:
            return before
        margin = reader.take("add") or reader.take("with")
        if margin:
            self._articles()
            amount = take_amount(reader)
            if not reader.take("margin", "rim", "border") and (amount is None or not self._ends()):
                return None
            reader.take("of")
            return self._grown(1.0, amount or take_amount(reader))
        sign = reader.take_phrase(GROW)
        if sign is None or LARGEST.at(reader, -1) and not reader.take("by"):
            return None
        start = reader.position
        self._object()
        reader.take("by", "with", "about", "to", "of")
        amount = take_amount(reader)
        self._skip(EVENLY)
        self._skip(TO_MASK)
        if amount is None and not self._ends():
            return self._on_something_else(start, "grow" if sign > 0 else "shrink")
        return self._grown(sign, amount)

    def _make_it_larger(self) -> Grow | None:
        """ "make it 2 mm larger"."""
        reader, start = self._reader, self._reader.position
        made = reader.take("make")
        if made:
            self._object()
        amount = take_amount(reader)
        sign = reader.take_phrase(GROW) if made or amount else None
        if sign is None or not (made or amount) or (amount is not None and amount.unit not in ("mm", "")):
            reader.position = start
            return None
        reader.take("by")
        amount = amount or take_amount(reader)
        self._skip(EVENLY)
        if not self._ends():
            reader.position = start
            return None
        return self._grown(sign, amount)

    def _grown(self, sign: float, amount: object) -> Grow:
        mm = self._mm(amount, _GROW_MM)
        if mm > _LARGEST_GROW_MM:
            raise PromptError(
                f"A mask grows or shrinks by at most {_LARGEST_GROW_MM:g} mm at once; say a smaller number."
            )
        self._finish()
        return Grow(sign * mm)

    def _smooth(self) -> Smooth | None:
        reader = self._reader
        if reader.take("make"):
            self._object()
        if reader.take_phrase(SMOOTH) is None:
            return None
        start = reader.position
        self._object()
        self._skip(EVENLY)
        reader.take("by", "with", "over", "at")
        amount = take_amount(reader)
        self._skip(EVENLY)
        if amount is None and not self._ends():
            return self._on_something_else(start, "smooth")
        mm = self._mm(amount, Smooth().mm, noted=False)
        if mm > _LARGEST_SMOOTH_MM:
            raise PromptError(f"A mask is smoothed by at most {_LARGEST_SMOOTH_MM:g} mm; say a smaller number.")
        self._finish()
        return Smooth(mm)

    def _fill(self) -> FillHoles | None:
        reader = self._reader
        if reader.take_phrase(FILL) is None and not reader.take("no", "without"):
            return None
        verb = reader.word(-1)
        self._articles()
        if reader.take_phrase(HOLES) is None:
            if verb not in ("fill", "in") or not (self._object() and self._ends()):
                return None
        self._skip(TO_MASK)
        self._skip(EVENLY)
        self._finish()
        return FillHoles()

    def _keep(self) -> KeepLargest | SplitSides | None:
        reader = self._reader
        kept = bool(reader.take_phrase(KEEP)) or bool(reader.take("only", "just"))
        self._articles()
        side = SIDES.at(reader)
        if kept and side:
            reader.skip(side[1])
            reader.take_phrase(PART_NOUNS)
            reader.take("one", "piece", "hand side")
            self._skip(TO_MASK)
            return SplitSides(side[0]) if self._ends() else None
        count = number_at(reader)
        if count is not None:
            reader.skip()
        if (large := reader.take_phrase(LARGEST)) is None or (not large and count is None and not kept):
            return None
        if count is None and (count := number_at(reader)) is not None:
            reader.skip()
        pieces = reader.take_phrase(PIECES) or (kept and (reader.take_phrase(PARTS) or self._ends()))
        if not pieces:
            return None
        reader.take("only")
        self._skip(TO_MASK)
        if not self._ends():
            return None
        if not large:
            raise PromptError("The largest pieces can be kept, not the smallest; say keep the largest piece.")
        if count is not None and (count != int(count) or not 1 <= count <= _MOST_PIECES):
            raise PromptError(
                f"Between 1 and {_MOST_PIECES} pieces can be kept; say, for example, keep the 2 largest pieces."
            )
        return KeepLargest(int(count or 1))

    def _split(self) -> SplitSides | None:
        reader = self._reader
        if reader.take_phrase(SPLIT) is None:
            return None
        self._object()
        reader.take("into", "in", "by", "to", "at", "along", "up into")
        self._articles()
        sides = reader.take_phrase(INTO_SIDES)
        reader.take("side", "sides", "parts", "pieces", "half", "halves")
        if not sides and not self._ends() and reader.word() not in ("and", ","):
            return None
        if not sides and reader.word(-1) in ("cut", "separate", "break"):
            return None
        keep = Side.LEFT
        while reader.word() in (",", "and", ";", "then"):
            reader.skip()
        if reader.take("keep", "keep only", "retain", "leave") or reader.take("keeping"):
            self._articles()
            side = reader.take_phrase(SIDES)
            if side is None:
                raise PromptError("Say which side to keep: split into left and right and keep the left side.")
            keep = side
            reader.take_phrase(PART_NOUNS)
            reader.take("one")
        self._skip(EVENLY)
        self._finish()
        return SplitSides(keep)

    def _clean(self) -> RemoveSmall | None:
        if self._reader.take_phrase(CLEAN) is None:
            return None
        self._object()
        return RemoveSmall() if self._ends() else None

    def _remove(self) -> Command | None:
        reader = self._reader
        if reader.take_phrase(REMOVE) is None:
            return None
        start = reader.position
        self._articles()
        if self._object() and self._ends():
            raise PromptError("The mask as a whole is removed with the button Reset.")
        reader.position = start
        small = self._small_pieces()
        if small is not None:
            return small
        reader.position = start
        self._articles()
        if (side := SIDES.at(reader)) and PART_NOUNS.at(reader, side[1]):
            reader.skip(side[1])
            reader.take_phrase(PART_NOUNS)
            self._skip(TO_MASK)
            if self._ends():
                return SplitSides(Side.RIGHT if side[0] is Side.LEFT else Side.LEFT)
        reader.position = start
        asked = self._asked()
        if isinstance(asked, Everything):
            raise PromptError("The mask as a whole is removed with the button Reset.")
        return Take(asked)

    def _small_pieces(self) -> RemoveSmall | None:
        """ "small pieces", "islands under 5 mm", "specks"."""
        reader = self._reader
        self._articles()
        small = reader.take_phrase(SIZES)
        bounds = take_bounds(reader)
        crumbs = reader.take_phrase(CRUMBS)
        if not (crumbs or reader.take_phrase(PIECES) or (small is False and reader.take_phrase(PARTS))):
            return None
        while reader.take("that", "which", "are", "is", "with"):
            pass
        bounds = bounds or take_bounds(reader, of_lesion=True)
        self._skip(TO_MASK)
        if not self._ends() or small:
            return None
        if not bounds:
            return RemoveSmall()
        (bound,) = bounds if len(bounds) == 1 else (None,)
        if not isinstance(bound, Limit) or not bound.below:
            raise PromptError(
                "Small pieces are removed by their size; say, for example, remove pieces smaller than 5 mm."
            )
        return RemoveSmall(bound.mm)

    def _add(self) -> Add | None:
        reader = self._reader
        if reader.take_phrase(ADD) is None:
            return None
        while reader.take("to mask", "to it", "to the mask", "also", "the segment"):
            pass
        if self._ends():
            raise PromptError("Say what to add; for example, add the spleen.")
        return Add(self._asked())

    # -- what they share -------------------------------------------------------------------------------------------

    def _asked(self) -> Asked:
        asked = self._things.asked()
        self._skip(TO_MASK)
        self._reader.take_phrase(TOO)
        return asked

    def _object(self) -> bool:
        """Pass over "the mask", "it"."""
        reader, start = self._reader, self._reader.position
        while reader.word() in ARTICLES and not MASKS.at(reader):
            reader.skip()
        if reader.take_phrase(MASKS):
            return True
        reader.position = start
        return False

    def _articles(self) -> None:
        while self._reader.word() in ARTICLES or ALL.at(self._reader):
            if self._reader.word() in ARTICLES:
                self._reader.skip()
            else:
                self._reader.take_phrase(ALL)

    def _skip(self, phrases: Phrases) -> None:
        while self._reader.take_phrase(phrases):
            pass

    def _ends(self) -> bool:
        start = self._reader.position
        self._skip(EVENLY)
        if self._reader.at_end:
            return True
        self._reader.position = start
        return False

    def _mm(self, amount: object, otherwise: float, noted: bool = True) -> float:
        if amount is None:
            if noted:
                self._reader.note(f"{otherwise:g} mm was taken, as no number was said.")
            return otherwise
        if amount.unit not in ("mm", ""):
            raise PromptError("The number is needed in mm; type, for example, grow by 2 mm.")
        if amount.unit == "":
            self._reader.note(f"{amount.value:g} was taken as mm.")
        return check_mm(amount.value)

    def _on_something_else(self, start: int, verb: str) -> None:
        """ "grow the liver by 2 mm": a command changes the mask that is there."""
        if self._reader.word() in ("and", ",", "then", ";"):
            raise PromptError("One command at a time is understood; type the first, then the next.")
        self._reader.position = start
        self._things.asked()
        raise PromptError(
            f"Commands change the mask that is there; ask for the structure first, then type {verb} by 2 mm."
        )

    def _finish(self) -> None:
        self._skip(EVENLY)
        if not self._reader.at_end:
            raise PromptError("One command at a time is understood; type the first, then the next.")
