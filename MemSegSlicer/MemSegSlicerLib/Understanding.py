"""How words were understood and what they could mean besides, as a panel shows it: no voxels in here but pictures."""

from __future__ import annotations

from dataclasses import dataclass

from memseg.session import Session
from memseg.text.comparing import Comparison
from memseg.text.grounding import Found
from memseg.text.query import Command
from memseg.volume import Volume

_CUBIC_MM_PER_ML = 1000.0


@dataclass(frozen=True)
class Alternative:
    """One of the things that were found. confidence: 0 to 1. why: a sentence. link: of the chain that found it.
    size_ml: of the whole mask as it would be."""

    title: str
    confidence: float
    why: str = ""
    link: str = ""
    size_ml: float = 0.0


@dataclass(frozen=True)
class Understanding:
    """sentence: how the words were understood, and what was found. alternatives: best first. chosen: which of them is
    the mask, from 0. links: what each link of the chain contributed, a sentence each. name: of what was found, "" where
    the words only changed the mask there was. comparison: of two answers that were found in different ways; None where
    all were found in one."""

    words: str
    sentence: str
    alternatives: tuple[Alternative, ...] = ()
    chosen: int = 0
    links: tuple[str, ...] = ()
    name: str = ""
    comparison: Comparison | None = None

    @classmethod
    def of(cls, session: Session) -> Understanding | None:
        """Of the words that the session was last given; None where something else was done since."""
        grounding = session.understood
        if grounding is None:
            return None
        return cls(
            grounding.query.words,
            grounding.sentence,
            tuple(_alternative(found, session.volume) for found in grounding.found),
            session.chosen,
            grounding.links,
            "" if isinstance(grounding.query.asked, Command) else grounding.name,
            session.compared,
        )

    @property
    def confidence(self) -> float:
        """Of what is the mask."""
        return self.alternatives[self.chosen].confidence if self.chosen < len(self.alternatives) else 0.0


def _alternative(found: Found, volume: Volume) -> Alternative:
    size_ml = found.voxels * volume.grid.voxel_volume_mm3 / _CUBIC_MM_PER_ML
    return Alternative(found.title, found.confidence, found.why, found.link, size_ml)
