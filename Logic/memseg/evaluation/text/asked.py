"""What words ask for, as plain JSON: how test queries write down what is to be understood.

A thing is {"term", "side", "every", "looks", "places", "limits", "rank"}, each left out where it says nothing; "left
kidney" is short for {"term": "kidney", "side": "left"}, and "*" for anything at all. looks: "bright", "dark",
"round", "tubular", "ring-shaped", "flat", {"above": 300} or {"below": 300} in HU, with "own": true in the image's
units. places: {"extreme": "left"}, {"part": "superior", "share": 0.5}, {"beside": "posterior", "of": thing}, {"near":
thing} and {"inside": thing}, with "the click" and "the mask" for things too. limits: {"above": 5} or {"below": 5},
mm. rank: 2 for the second largest, -1 for the smallest. Combinations: {"union": [...]}, {"of": ..., "without": ...},
{"everything": null} or with what is excepted. Commands: {"grow": mm}, {"smooth": mm}, {"fill": true}, {"keep":
count}, {"remove below": mm}, {"split": side kept}, {"add": ...}, {"take": ...}.
"""

from __future__ import annotations

from typing import Any

from ...text import terminology
from ...text.query import (
    Add,
    Asked,
    Beside,
    Brightness,
    Command,
    Direction,
    Everything,
    Extreme,
    FillHoles,
    Grow,
    Inside,
    KeepLargest,
    Limit,
    Look,
    Mark,
    Near,
    Part,
    Place,
    Rank,
    Reference,
    RemoveSmall,
    Shape,
    Smooth,
    SplitSides,
    Take,
    Thing,
    Threshold,
    Union,
    Without,
)
from ...text.terminology import Side

Plain = Any  # what json.loads returns


def asked_of(plain: Plain) -> Asked | Command:
    """From plain JSON. KeyError, TypeError or ValueError where it is nothing of the kind."""
    if isinstance(plain, str) or not (commands := _COMMANDS.keys() & plain.keys()):
        return _combination(plain)
    (name,) = commands
    return _COMMANDS[name](plain[name])


_COMMANDS = {
    "grow": lambda mm: Grow(float(mm)),
    "smooth": lambda mm: Smooth(float(mm)),
    "fill": lambda _: FillHoles(),
    "keep": lambda count: KeepLargest(int(count)),
    "remove below": lambda mm: RemoveSmall(float(mm)),
    "split": lambda side: SplitSides(Side(side)),
    "add": lambda what: Add(_combination(what)),
    "take": lambda what: Take(_combination(what)),
}


def _combination(plain: Plain) -> Asked:
    if isinstance(plain, str):
        return _thing(plain)
    if "union" in plain:
        return Union(tuple(_combination(part) for part in plain["union"]))
    if "without" in plain:
        return Without(_combination(plain["of"]), _combination(plain["without"]))
    if "everything" in plain:
        return Everything(None if plain["everything"] is None else _combination(plain["everything"]))
    return _thing(plain)


def _thing(plain: Plain) -> Thing:
    if isinstance(plain, str):
        side, _, rest = plain.partition(" ")
        return _thing({"term": rest, "side": side} if side in ("left", "right") else {"term": plain})
    unknown = plain.keys() - {"term", "side", "every", "looks", "places", "limits", "rank"}
    if unknown:
        raise ValueError(f"a thing has no {sorted(unknown)}")
    term, rank = plain.get("term", "*"), plain.get("rank")
    return Thing(
        None if term == "*" else terminology.term(term),
        Side(plain["side"]) if "side" in plain else None,
        bool(plain.get("every", False)),
        tuple(_look(look) for look in plain.get("looks", ())),
        tuple(_place(place) for place in plain.get("places", ())),
        tuple(Limit("below" in limit, float(next(iter(limit.values())))) for limit in plain.get("limits", ())),
        None if rank is None else Rank(abs(rank), rank > 0),
    )


def _look(plain: Plain) -> Look:
    if isinstance(plain, str):
        return Brightness(plain) if plain in ("bright", "dark") else Shape(plain)
    above = "above" in plain
    return Threshold(above, float(plain["above" if above else "below"]), not plain.get("own", False))


def _place(plain: Plain) -> Place:
    if "extreme" in plain:
        return Extreme(Direction(plain["extreme"]))
    if "part" in plain:
        return Part(Direction(plain["part"]), float(plain.get("share", 0.5)))
    if "beside" in plain:
        return Beside(Direction(plain["beside"]), _reference(plain["of"]))
    if "near" in plain:
        return Near(_reference(plain["near"]))
    return Inside(_reference(plain["inside"]))


def _reference(plain: Plain) -> Reference:
    return Mark(plain) if plain in [mark.value for mark in Mark] else _thing(plain)


def plain(asked: Asked | Command) -> Plain:
    """The opposite of `asked_of`, in full: nothing is shortened."""
    match asked:
        case Thing():
            return _plain_thing(asked)
        case Union(parts):
            return {"union": [plain(part) for part in parts]}
        case Without(of, what):
            return {"of": plain(of), "without": plain(what)}
        case Everything(excepted):
            return {"everything": None if excepted is None else plain(excepted)}
        case Add(what):
            return {"add": plain(what)}
        case Take(what):
            return {"take": plain(what)}
        case Grow(mm):
            return {"grow": mm}
        case Smooth(mm):
            return {"smooth": mm}
        case FillHoles():
            return {"fill": True}
        case KeepLargest(count):
            return {"keep": count}
        case RemoveSmall(mm):
            return {"remove below": mm}
        case SplitSides(keep):
            return {"split": keep.value}
    raise ValueError(f"{asked!r} is not a query")


def _plain_thing(thing: Thing) -> Plain:
    record: dict[str, Plain] = {"term": "*" if thing.term is None else thing.term.key}
    if thing.side is not None:
        record["side"] = thing.side.value
    if thing.every:
        record["every"] = True
    if thing.looks:
        record["looks"] = [_plain_look(look) for look in thing.looks]
    if thing.places:
        record["places"] = [_plain_place(place) for place in thing.places]
    if thing.limits:
        record["limits"] = [{"below" if limit.below else "above": limit.mm} for limit in thing.limits]
    if thing.rank is not None:
        record["rank"] = thing.rank.number if thing.rank.largest else -thing.rank.number
    return record


def _plain_look(look: Look) -> Plain:
    if not isinstance(look, Threshold):
        return look.value
    own = {} if look.hounsfield else {"own": True}
    return {"above" if look.above else "below": look.value, **own}


def _plain_place(place: Place) -> Plain:
    match place:
        case Extreme(direction):
            return {"extreme": direction.value}
        case Part(direction, share):
            return {"part": direction.value, "share": share}
        case Beside(direction, of):
            return {"beside": direction.value, "of": _plain_reference(of)}
        case Near(of):
            return {"near": _plain_reference(of)}
        case Inside(of):
            return {"inside": _plain_reference(of)}
    raise ValueError(f"{place!r} is not a place")


def _plain_reference(reference: Reference) -> Plain:
    return reference.value if isinstance(reference, Mark) else _plain_thing(reference)
