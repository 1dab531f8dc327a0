"""A noun phrase while it is read: what has been said so far, checked for contradictions, and the query's form of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..errors import PromptError
from .query import (
    Asked,
    Beside,
    Brightness,
    Direction,
    Everything,
    Extreme,
    Inside,
    Limit,
    Look,
    Near,
    Part,
    Place,
    Rank,
    Shape,
    Thing,
    Threshold,
    Union,
)
from .terminology import Named, Side, Term, term
from .tokens import Reader

# Where a side is a part of the thing itself: "left liver" is half of it, "left nodule" one on that side.
_HALVED_KINDS = frozenset(("organ", "bone", "cavity", "region", "body", "muscle"))
_COUNTED_KINDS = frozenset(("lesion", "device", "tissue"))  # of these there may be several anywhere
_OPPOSITE = {
    Direction.LEFT: Direction.RIGHT,
    Direction.RIGHT: Direction.LEFT,
    Direction.SUPERIOR: Direction.INFERIOR,
    Direction.INFERIOR: Direction.SUPERIOR,
    Direction.ANTERIOR: Direction.POSTERIOR,
    Direction.POSTERIOR: Direction.ANTERIOR,
}
_PLACE_ORDER = (Part, Extreme, Inside, Beside, Near)
_LOOK_ORDER = (Brightness, Shape, Threshold)
SMALL_MM = 10.0  # "small nodules": what radiologists follow up rather than treat


def ordered_looks(looks: Iterable[Look]) -> tuple[Look, ...]:
    """Without doubles, in the order in which they are said."""
    kept = dict.fromkeys(looks)
    return tuple(sorted(kept, key=lambda look: (_LOOK_ORDER.index(type(look)), getattr(look, "above", True) is False)))


def ordered_places(places: Iterable[Place]) -> tuple[Place, ...]:
    """Without doubles, in the order in which they are said; those of a kind stay in theirs."""
    return tuple(sorted(dict.fromkeys(places), key=lambda place: _PLACE_ORDER.index(type(place))))


def ordered_limits(limits: Iterable[Limit]) -> tuple[Limit, ...]:
    return tuple(sorted(dict.fromkeys(limits), key=lambda limit: limit.below))


def is_compound(whole: Term) -> bool:
    """It is said as where it lies and what it is: "kidney cyst", which is asked for as a cyst inside the kidney."""
    return bool(whole.within) and whole.name.startswith(term(whole.within).name)


def is_countable(term: Term | None) -> bool:
    """There may be several, anywhere: "the upper lesion" is one of them, "the upper liver" a part of the one."""
    return term is None or term.kind in _COUNTED_KINDS


def direction_of(side: Side) -> Direction:
    return Direction(side.value)


@dataclass
class Draft:
    """reader: for notes. lean: a direction said before the noun ("upper"). large: "large" or "small" was said. nearest:
    "nearest" was said, and what it is nearest to comes later. headless: there is no noun ("the largest")."""

    reader: Reader
    term: Term | None = None
    side: Side | None = None
    both: bool = False
    every: bool = False
    plural: bool = False
    everything: bool = False
    headless: bool = True
    looks: list[Look] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    ranks: tuple[Rank, ...] = ()
    lean: Direction | None = None
    large: bool | None = None
    nearest: bool = False
    outside: list[Thing] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Nothing has been said but perhaps a side."""
        said = (self.looks, self.places, self.limits, self.ranks, self.outside)
        return (
            self.headless and not any(said) and not (self.every or self.lean or self.nearest or self.large is not None)
        )

    def take_side(self, side: Side) -> None:
        if self.side not in (None, side):
            raise PromptError("Left and right contradict each other here; say one side, or both.")
        self.side = side

    def take_lean(self, direction: Direction) -> None:
        if self.lean is not None and _OPPOSITE[direction] == self.lean:
            raise PromptError(f"{self.lean.capitalize()} and {direction} contradict each other here; say one of them.")
        self.lean = direction

    def take_ranks(self, ranks: tuple[Rank, ...]) -> None:
        if self.ranks and self.ranks != ranks:
            raise PromptError("Largest and smallest contradict each other here; say one of them.")
        self.ranks = ranks

    def take_bounds(self, bounds: Iterable[Limit | Threshold]) -> None:
        for bound in bounds:
            if isinstance(bound, Limit):
                self.limits.append(bound)
            else:
                self.looks.append(bound)

    def take_extreme(self, direction: Direction) -> None:
        if Extreme(_OPPOSITE[direction]) in self.places:
            raise PromptError(f"Nothing lies farthest {direction} and {_OPPOSITE[direction]} at once; say one of them.")
        self.places.append(Extreme(direction))

    def take_part(self, part: Part) -> None:
        if any(isinstance(each, Part) and each.direction == _OPPOSITE[part.direction] for each in self.places):
            raise PromptError(
                f"{part.direction.capitalize()} and {_OPPOSITE[part.direction]} contradict each other here; say one."
            )
        self.places.append(part)

    def take_named(self, named: Named) -> None:
        """The noun. What was the noun before is where the new one lies: "kidney" in "kidney cyst"."""
        if not self.headless and self.term is not None:
            inner = Thing(self.term, *self._inner_side(named), every=self.plural, places=self._inner_lean(self.term))
            self.places.append(Inside(inner))
        self.headless = False
        self.plural = named.plural
        if is_compound(named.term):
            where = term(named.term.within)
            side = named.side or (self.side if where.paired else None)
            self.side = None if where.paired else self.side
            self.places.append(Inside(Thing(where, side, places=self._inner_lean(where))))
            self.term = term(named.term.broader)
            return
        self.term = named.term
        if named.side is not None:
            self.take_side(named.side)

    def _inner_side(self, named: Named) -> tuple[Side | None]:
        """The side that was said belongs to the first noun where that is paired."""
        if self.term is None or not self.term.paired or self.side is None:
            return (None,)
        side, self.side = self.side, None
        return (side,)

    def _inner_lean(self, where: Term) -> tuple[Place, ...]:
        """As `_inner_side`: "upper lung nodule" is one in the upper half of the lung."""
        if self.lean is None or is_countable(where):
            return ()
        lean, self.lean = self.lean, None
        return (Part(lean),)

    def asked(self) -> Asked:
        """What was said, as the query has it."""
        self._settle()
        if self.everything and self._is_bare:
            return Everything()
        if self.both and self.term is not None and self.term.paired:
            return Union(tuple(replace(self._thing(None), side=side, every=False) for side in Side))
        if len(self.ranks) > 1:
            return Union(tuple(self._thing(rank) for rank in self.ranks))
        return self._thing(self.ranks[0] if self.ranks else None)

    def thing(self) -> Thing:
        """As something to refer to: both of a pair are all of it."""
        self._settle()
        self.every = self.every or self.both
        return self._thing(self.ranks[0] if self.ranks else None)

    @property
    def _is_bare(self) -> bool:
        return not (self.looks or self.places or self.limits or self.ranks or self.side or self.term)

    def _thing(self, rank: Rank | None) -> Thing:
        single = rank is not None or any(isinstance(each, Extreme) for each in self.places)
        every = (self.every or self.plural) and not single
        places, limits = ordered_places(self.places), ordered_limits(self.limits)
        return Thing(self.term, self.side, every, ordered_looks(self.looks), places, limits, rank)

    def _settle(self) -> None:
        """Turn what was said loosely into the query's terms, and refuse contradictions."""
        if self.both and self.side is not None:
            raise PromptError("Both sides and one side contradict each other; say both, or left, or right.")
        if self.both and (self.term is None or not self.term.paired):
            if self.term is not None and not self.plural:
                raise PromptError(f"There is one {self.term.name} only; leave out 'both'.")
            self.both, self.every = False, True
        if self.side is not None and self.term is not None and not self.term.paired and self._is_halved(self.term):
            self._halve(self.term, self.side)
        self._settle_lean()
        self._settle_size()
        _check_bounds(self.looks, self.limits)

    @staticmethod
    def _is_halved(term: Term) -> bool:
        return term.kind in _HALVED_KINDS

    def _halve(self, term: Term, side: Side) -> None:
        self.take_part(Part(direction_of(side)))
        self.reader.note(f"The {side} {term.name} was read as the {side} half of the {term.name}.")
        self.side = None

    def _settle_lean(self) -> None:
        if self.lean is None:
            return
        if is_countable(self.term):
            self.take_extreme(self.lean)
        else:
            self.take_part(Part(self.lean))
        self.lean = None

    def _settle_size(self) -> None:
        if self.large is None:
            return
        if not is_countable(self.term) or self.ranks or self.limits:
            pass
        elif self.plural or self.every:
            self.limits.append(Limit(not self.large, SMALL_MM))
            word, relation = ("large", "over") if self.large else ("small", "under")
            self.reader.note(f"'{word}' was taken as {relation} {SMALL_MM:g} mm.")
        else:
            self.ranks = (Rank(1, self.large),)
        self.large = None


def _check_bounds(looks: list[Look], limits: list[Limit]) -> None:
    if Brightness.BRIGHT in looks and Brightness.DARK in looks:
        raise PromptError("Bright and dark contradict each other; say one of them.")
    values = [look for look in looks if isinstance(look, Threshold)]
    for low in values:
        for high in values:
            if low.above and not high.above and low.value >= high.value:
                raise PromptError(
                    f"No value is above {low.value:g} and below {high.value:g}; say the lower number first."
                )
    for low_mm in limits:
        for high_mm in limits:
            if not low_mm.below and high_mm.below and low_mm.mm >= high_mm.mm:
                raise PromptError(
                    f"No size is above {low_mm.mm:g} mm and below {high_mm.mm:g} mm; say the lower first."
                )
