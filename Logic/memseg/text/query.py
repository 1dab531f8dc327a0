"""What a sentence asks for, as frozen values: `parse` makes them from words, `sentence` says them back, `ground` finds
them in a volume.

Sides and directions are the patient's. The three families of FLanS (arXiv 2410.12831) are a Thing with a term, with
places, and with limits or a rank; all of it can be combined.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .terminology import Side, Term


class Direction(StrEnum):
    LEFT = "left"
    RIGHT = "right"
    ANTERIOR = "anterior"
    POSTERIOR = "posterior"
    SUPERIOR = "superior"
    INFERIOR = "inferior"


class Mark(StrEnum):
    """What the user has pointed at already."""

    CLICK = "the click"
    MASK = "the mask"


# -- how it looks ------------------------------------------------------------------------------------------------


class Brightness(StrEnum):
    BRIGHT = "bright"
    DARK = "dark"


class Shape(StrEnum):
    ROUND = "round"
    TUBULAR = "tubular"
    RING = "ring-shaped"
    FLAT = "flat"


@dataclass(frozen=True)
class Threshold:
    """Brighter (above) or darker than a value: in HU where `hounsfield` is true, else in the image's own units."""

    above: bool
    value: float
    hounsfield: bool = True


Look = Brightness | Shape | Threshold


# -- where it is -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extreme:
    """The candidate farthest that way: "left-most", "uppermost", "the lowest"."""

    direction: Direction


@dataclass(frozen=True)
class Part:
    """Only that end of what is found: "upper part of", "the posterior third of". share: of its extent, 0 to 1."""

    direction: Direction
    share: float = 0.5


@dataclass(frozen=True)
class Beside:
    """On that side of something: "posterior to the aorta", "above the liver"."""

    direction: Direction
    of: Reference


@dataclass(frozen=True)
class Near:
    """Close to something: "near the click", "next to the spleen"."""

    of: Reference


@dataclass(frozen=True)
class Inside:
    """Within something: "in the right lung"."""

    of: Reference


Place = Extreme | Part | Beside | Near | Inside


# -- how large it is -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """Its largest extent is below or above so many mm."""

    below: bool
    mm: float


@dataclass(frozen=True)
class Rank:
    """The number-th (from 1) largest, or smallest, of the candidates."""

    number: int = 1
    largest: bool = True


# -- what is asked for ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thing:
    """Something to find. term: None for anything at all ("structure", "object", "region"). every: all that fit, not the
    best alone ("all nodules", "the ribs")."""

    term: Term | None = None
    side: Side | None = None
    every: bool = False
    looks: tuple[Look, ...] = ()
    places: tuple[Place, ...] = ()
    limits: tuple[Limit, ...] = ()
    rank: Rank | None = None


@dataclass(frozen=True)
class Union:
    """All of them together: "both kidneys", "liver and spleen"."""

    parts: tuple[Asked, ...]


@dataclass(frozen=True)
class Without:
    """The first less the second: "liver without the lesion"."""

    of: Asked
    what: Asked


@dataclass(frozen=True)
class Everything:
    """The whole body, less what is excepted: "everything except bone"."""

    excepted: Asked | None = None


Asked = Thing | Union | Without | Everything
Reference = Thing | Mark


# -- what is done with the mask there is -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Grow:
    """By so many mm; negative shrinks."""

    mm: float


@dataclass(frozen=True)
class Smooth:
    mm: float = 3.0


@dataclass(frozen=True)
class FillHoles:
    pass


@dataclass(frozen=True)
class KeepLargest:
    """The largest so many pieces."""

    count: int = 1


@dataclass(frozen=True)
class RemoveSmall:
    """Pieces whose largest extent is below so many mm."""

    mm: float = 3.0


@dataclass(frozen=True)
class SplitSides:
    """Into what lies on the patient's left and right; `keep` stays, the other is offered as a segment of its own."""

    keep: Side = Side.LEFT


@dataclass(frozen=True)
class Add:
    """What is asked for joins the mask: "also the spleen"."""

    what: Asked


@dataclass(frozen=True)
class Take:
    """What is asked for leaves the mask: "remove the lesion"."""

    what: Asked


Command = Grow | Smooth | FillHoles | KeepLargest | RemoveSmall | SplitSides | Add | Take


@dataclass(frozen=True)
class Query:
    """words: as typed. notes: sentences on what was corrected or taken for granted ("'kidny' was read as kidney")."""

    words: str
    asked: Asked | Command
    notes: tuple[str, ...] = ()
