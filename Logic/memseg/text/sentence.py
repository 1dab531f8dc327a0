"""A query said back in words: a sentence for the user, which `parse` understands as the same query."""

from __future__ import annotations

from .draft import is_countable
from .query import (
    Add,
    Asked,
    Beside,
    Command,
    Direction,
    Everything,
    Extreme,
    FillHoles,
    Grow,
    Inside,
    KeepLargest,
    Limit,
    Mark,
    Near,
    Part,
    Place,
    Query,
    Rank,
    Reference,
    RemoveSmall,
    Smooth,
    SplitSides,
    Take,
    Thing,
    Threshold,
    Union,
    Without,
)
from .terminology import name_of, plural_name_of

_ORDINALS = ("", "", "second ", "third ", "fourth ", "fifth ", "sixth ", "seventh ", "eighth ", "ninth ", "tenth ")
_EXTREMES = {
    Direction.LEFT: "left-most",
    Direction.RIGHT: "right-most",
    Direction.SUPERIOR: "uppermost",
    Direction.INFERIOR: "lowermost",
    Direction.ANTERIOR: "most anterior",
    Direction.POSTERIOR: "most posterior",
}
_ENDS = {Direction.SUPERIOR: "upper", Direction.INFERIOR: "lower"}
_SHARES = {1 / 2: "half", 1 / 3: "third", 1 / 4: "quarter", 2 / 3: "two thirds", 3 / 4: "three quarters"}
_BESIDE = {
    Direction.LEFT: "left of",
    Direction.RIGHT: "right of",
    Direction.SUPERIOR: "above",
    Direction.INFERIOR: "below",
    Direction.ANTERIOR: "anterior to",
    Direction.POSTERIOR: "posterior to",
}
# Said without an article: "everything except bone".
_UNCOUNTED = frozenset(
    "body_fat subcutaneous_fat visceral_fat intermuscular_fat perirenal_fat pericardial_fat soft_tissue bone "
    "cortical_bone trabecular_bone bone_marrow cartilage muscle connective_tissue air gas blood water fluid urine "
    "bile feces contrast_agent skin gray_matter white_matter cerebral_white_matter cerebrospinal_fluid edema "
    "necrosis metal ascites".split()
)


def say(query: Query) -> str:
    """ "The largest bright lesion inside the right lung." """
    words = said(query.asked)
    return f"{words[0].upper()}{words[1:]}."


def said(asked: Asked | Command) -> str:
    """As `say`, without capital and full stop."""
    match asked:
        case Thing():
            return _thing(asked)
        case Union(parts):
            inner = [_bracketed(part) if isinstance(part, Without | Everything) else said(part) for part in parts]
            return f"{', '.join(inner[:-1])} and {inner[-1]}"
        case Without(of, what):
            return f"{said(of)} without {_operand(what)}"
        case Everything(None):
            return "everything"
        case Everything(excepted):
            return f"everything except {_operand(excepted)}"
    return _command(asked)


def _operand(asked: Asked) -> str:
    """What stands after "without"."""
    return _bracketed(asked) if isinstance(asked, Without | Everything) else said(asked)


def _bracketed(asked: Asked) -> str:
    return said(asked) if asked == Everything() else f"({said(asked)})"


# -- things ------------------------------------------------------------------------------------------------------------


def _thing(thing: Thing) -> str:
    """ "all bright lesions larger than 8 mm inside the liver"; parts stand in front: "the upper half of ..."."""
    front = [_part(place) for place in reversed(thing.places) if isinstance(place, Part)]
    before = [_rank(thing.rank)] if thing.rank else []
    before += [_EXTREMES[place.direction] for place in thing.places if isinstance(place, Extreme)]
    before += [look.value for look in thing.looks if not isinstance(look, Threshold)]
    after = _between([look for look in thing.looks if isinstance(look, Threshold)])
    after += _between(list(thing.limits))
    later = [place for place in thing.places if not isinstance(place, Part | Extreme)]
    after += [_place(place, later[number + 1 :]) for number, place in enumerate(later)]
    article = (
        ["all"] if thing.every else ["the"] if thing.term is None or before or thing.term.key not in _UNCOUNTED else []
    )
    return " ".join([*front, *article, *before, _noun(thing), *after])


def _part(part: Part) -> str:
    near = min(_SHARES, key=lambda share: abs(share - part.share))
    return f"the {_ENDS.get(part.direction, part.direction.value)} {_SHARES[near]} of"


def _rank(rank: Rank) -> str:
    ordinal = _ORDINALS[rank.number] if rank.number < len(_ORDINALS) else f"{rank.number}th "
    return ordinal + ("largest" if rank.largest else "smallest")


def _noun(thing: Thing) -> str:
    if thing.term is not None:
        return plural_name_of(thing.term, thing.side) if thing.every else name_of(thing.term, thing.side)
    noun = "structures" if thing.every else "structure"
    return f"{thing.side} {noun}" if thing.side else noun


def _between(bounds: list[Threshold] | list[Limit]) -> list[str]:
    """ "between 5 and 10 mm" where there is one lower and one upper bound in the same unit; else one by one."""
    if len(bounds) == 2 and _is_lower(bounds[0]) and not _is_lower(bounds[1]) and _unit(bounds[0]) == _unit(bounds[1]):
        low, high = (_number(_value(bound)) for bound in bounds)
        return [f"between {low} and {high} {_unit(bounds[0]) or 'units'}"]
    return [_bound(bound) for bound in bounds]


def _bound(bound: Threshold | Limit) -> str:
    words = ("larger", "smaller") if isinstance(bound, Limit) else ("brighter", "darker")
    return f"{words[0] if _is_lower(bound) else words[1]} than {_number(_value(bound))} {_unit(bound)}".rstrip()


def _is_lower(bound: Threshold | Limit) -> bool:
    return not bound.below if isinstance(bound, Limit) else bound.above


def _value(bound: Threshold | Limit) -> float:
    return bound.mm if isinstance(bound, Limit) else bound.value


def _unit(bound: Threshold | Limit) -> str:
    if isinstance(bound, Limit):
        return "mm"
    return "HU" if bound.hounsfield else ""


def _place(place: Place, further: list[Place]) -> str:
    of = _reference(place.of, any(isinstance(each, Inside) for each in further))
    match place:
        case Inside():
            return f"inside {of}"
        case Beside(direction):
            return f"{_BESIDE[direction]} {of}"
        case Near():
            return f"near {of}"
    raise ValueError(f"{place!r} is said before the noun")


def _reference(reference: Reference, inside_follows: bool) -> str:
    """In brackets where what is said of it, or follows, would be taken for the other."""
    if isinstance(reference, Mark):
        return reference.value
    own = any(not isinstance(place, Part | Extreme) for place in reference.places)
    own = own or bool(reference.limits) or any(isinstance(look, Threshold) for look in reference.looks)
    words = _thing(reference)
    return f"({words})" if own or (inside_follows and is_countable(reference.term)) else words


# -- commands ----------------------------------------------------------------------------------------------------------


def _command(command: Command) -> str:
    match command:
        case Grow(mm):
            return f"{'grow' if mm >= 0 else 'shrink'} the mask by {_number(abs(mm))} mm"
        case Smooth(mm):
            return f"smooth the mask by {_number(mm)} mm"
        case FillHoles():
            return "fill the holes of the mask"
        case KeepLargest(1):
            return "keep the largest piece"
        case KeepLargest(count):
            return f"keep the {count} largest pieces"
        case RemoveSmall(mm):
            return f"remove pieces smaller than {_number(mm)} mm"
        case SplitSides(keep):
            return f"split the mask into left and right and keep the {keep} side"
        case Add(what):
            return f"add {said(what)}"
        case Take(what):
            return f"remove {said(what)}"
    raise ValueError(f"{command!r} is not a query")


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
