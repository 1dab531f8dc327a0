"""What grounding gives and what it is given, as frozen values: `ground` (ground.py) leads from the one to the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ..geometry import Box
from ..segmenters.base import Segmenter
from ..volume import Volume
from .query import Query, Side
from .terminology import Term

if TYPE_CHECKING:
    from ..memory.recall import RecallMemory

LINKS = ("model", "recall", "physics", "clicks", "mask")
Segments = Mapping[str, tuple[Box, np.ndarray]]  # by name: a box of the volume, and a 0/1 crop of its shape


@dataclass(frozen=True, eq=False)
class Found:
    """One mask that the words may mean.

    title: what it is, in a few words. box: half-open, tight. values: uint8 0/1 crop of the box's shape, read-only;
    outside it the mask is empty. confidence: 0 to 1. why: a sentence. link: what found it, one of LINKS.
    """

    title: str
    box: Box
    values: np.ndarray
    confidence: float
    why: str
    link: str

    def __post_init__(self) -> None:
        values = np.array(np.asarray(self.values) != 0, dtype=np.uint8)
        if values.shape != self.box.shape_kji:
            raise ValueError(f"The values have shape {values.shape}, their box {self.box.shape_kji}.")
        if not 0 <= self.confidence <= 1:
            raise ValueError("A confidence is 0 to 1.")
        if self.link not in LINKS:
            raise ValueError(f"There is no link '{self.link}' in the chain.")
        tight = Box.of_mask(values)
        values = np.ascontiguousarray(values[tight.slices])
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "box", tight.shifted(self.box.start_kji))

    @property
    def voxels(self) -> int:
        return int(np.count_nonzero(self.values))


@dataclass(frozen=True, eq=False)
class Grounding:
    """What became of a query. sentence: how the words were understood, and what was found. found: best first, at least
    one; each is the whole mask as it would be. name, term, side: for the segment; term None: no code. links: one
    sentence for each link of the chain on what it contributed. other: what SplitSides gives away, or None."""

    query: Query
    sentence: str
    found: tuple[Found, ...]
    name: str
    term: Term | None = None
    side: Side | None = None
    links: tuple[str, ...] = ()
    other: Found | None = None

    def __post_init__(self) -> None:
        if not self.found:
            raise ValueError("A grounding has found something; where nothing was, PromptError says so.")


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Where words are to be grounded.

    mask_kji: (K, J, I) uint8 0/1, the mask as it is, empty outside `extent`. click_kji: the last positive click, or
    None. segments: other segments of this volume by name. recall: None is an empty one. reader: a model that takes
    text, where the segmenter takes none; None where there is none here.
    """

    volume: Volume
    segmenter: Segmenter
    mask_kji: np.ndarray
    extent: Box
    click_kji: tuple[int, int, int] | None = None
    segments: Segments = field(default_factory=lambda: MappingProxyType({}))
    recall: RecallMemory | None = None
    reader: Segmenter | None = None

    def mask(self) -> tuple[Box, np.ndarray]:
        """The mask as it is: its tight box and a bool crop; an empty box where there is none."""
        crop = self.mask_kji[self.extent.slices] != 0
        tight = Box.of_mask(crop)
        return tight.shifted(self.extent.start_kji), crop[tight.slices]
