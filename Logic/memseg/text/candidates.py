"""What may be meant: a piece with who found it and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .pieces import Piece
from .query import Side
from .sight import Sight

Outline = Callable[[Sight, Piece], Piece]


def as_found(sight: Sight, piece: Piece) -> Piece:
    """The outline of the working grid, interpolated."""
    return sight.native(piece)


def at_edge(sight: Sight, piece: Piece) -> Piece:
    """The outline half-way between inside and outside."""
    return sight.sharpened(piece)


def between(low: float, high: float, solid: bool = False) -> Outline:
    """The outline where values leave a range; see Sight.refined."""
    return lambda sight, piece: sight.refined(piece, low, high, solid)


@dataclass(frozen=True, eq=False)
class Candidate:
    """sight, piece: where it was found, on the sight's grid. title: what it is, in a few words. confidence: 0 to 1,
    that this is what a plain name of it means. why: a sentence. link: one of grounding.LINKS. side: the patient's,
    where it is one of two. outline: how its exact outline is found. exact: it, where it is known already, on the
    volume's grid."""

    sight: Sight
    piece: Piece
    title: str
    confidence: float
    why: str
    link: str
    side: Side | None = None
    outline: Outline = as_found
    exact: Piece | None = None

    @classmethod
    def known(cls, sight: Sight, exact: Piece, title: str, confidence: float, why: str, link: str, **more) -> Candidate:
        """Of a piece on the volume's own grid."""
        return cls(sight, sight.seen(exact), title, confidence, why, link, exact=exact, **more)

    @cached_property
    def native(self) -> Piece:
        """Its voxels in the volume."""
        return self.exact if self.exact is not None else self.outline(self.sight, self.piece)

    def with_confidence(self, confidence: float) -> Candidate:
        return replace(self, confidence=float(np.clip(confidence, 0.0, 1.0)))

    def only(self, piece: Piece) -> Candidate:
        """The same with another piece of the sight's grid that is a part of it."""
        if self.exact is None:
            return replace(self, piece=piece)
        return replace(self, piece=piece, exact=self.exact.within(self.sight.native(piece)))
