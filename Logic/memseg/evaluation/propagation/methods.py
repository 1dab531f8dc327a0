"""What is compared: propagation by a slice segmenter with one or another memory, and what else a user could do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from ... import catalog
from ...build import build, build_random, build_slices
from ...errors import ModelError
from ...memory.slice_policies import POLICIES
from ...memory.slices import CAPACITY, RECENT_CAPACITY, SliceMemory
from ...prompts import Click
from ...segmenters.base import ModelCard, Segmenter
from ...segmenters.slice_base import SliceSegmenter
from ...session import Session
from ..methods import RANDOM, check_each_once, installed_peer, note_on_weights, weights_digest
from ..simulation import deepest_voxel
from .cases import Case
from .conversation import Conversation
from .scores import Answer

PEER_GROUP = "memseg.slice_peers"
COPY, SINGLE, CONSISTENT = "copy", "single", "consistent"
PEERS = ("slice-geodesic", COPY, "fill", "nano")


class Method(Protocol):
    """fewest: how many true slices it starts from at least. note: what a reader has to know of its weights, or ""."""

    name: str
    note: str
    fewest: ClassVar[int]

    def record(self) -> dict[str, Any]:
        """What says whether two methods measured at different times are the same."""
        ...

    def answer(self, case: Case, given: Sequence[int]) -> Answer:
        """The object from the true slices `given`."""
        ...


class Filler(Protocol):
    """A peer that fills between slices, such as MemSegSlicerLib.FillBetweenSlicesPeer."""

    name: str

    def filled(self, mask_kji: np.ndarray, axis: str) -> np.ndarray:
        """uint8 0/1 like the mask, with the slices between those that were drawn."""
        ...


@dataclass(frozen=True)
class Propagation:
    """Propagation in a session. memory: the empty one it begins with. random: with weights drawn by chance. consistent:
    slices are evened out each time some were followed."""

    name: str
    segmenter: SliceSegmenter
    memory: SliceMemory = field(default_factory=SliceMemory)
    random: bool = False
    consistent: bool = False
    fewest: ClassVar[int] = 1

    @property
    def note(self) -> str:
        return note_on_weights(self.name, self.segmenter.card, self.random)

    def record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "policy": self.memory.policy,
            "capacity": self.memory.capacity,
            "recent_capacity": self.memory.recent_capacity,
            "tau_mm": self.memory.tau_mm,
            "consistent": self.consistent,
            "weights_sha256": RANDOM if self.random else weights_digest(self.segmenter.card),
        }

    def begun(self, case: Case, given: Sequence[int]) -> Conversation:
        """The conversation in which the slices `given` have been followed."""
        return Conversation(case, self.segmenter, self.memory, given, self.consistent)

    def answer(self, case: Case, given: Sequence[int]) -> Answer:
        return self.begun(case, given).answer


@dataclass(frozen=True)
class Copy:
    """The slice drawn, on all slices between the object's first and last, which a user would have to know."""

    name: str = COPY
    note: ClassVar[str] = ""
    fewest: ClassVar[int] = 1

    def record(self) -> dict[str, Any]:
        return {"name": self.name}

    def answer(self, case: Case, given: Sequence[int]) -> Answer:
        start, box = time.perf_counter(), case.labelled.box
        plane = case.truth_at(case.slab(given[0]).intersection(box)).astype(np.uint8)
        return Answer(box, np.broadcast_to(plane, box.shape_kji), 0, time.perf_counter() - start)


@dataclass(frozen=True)
class Filling:
    """Slices drawn at both ends and perhaps between them, filled by a peer that never looks at the image."""

    filler: Filler
    note: ClassVar[str] = ""
    fewest: ClassVar[int] = 2

    @property
    def name(self) -> str:
        return self.filler.name

    def record(self) -> dict[str, Any]:
        return {"name": self.name}

    def answer(self, case: Case, given: Sequence[int]) -> Answer:
        drawn = case.drawn(given)
        start = time.perf_counter()
        mask = self.filler.filled(drawn.values, case.axis)
        return Answer(drawn.box, mask, 0, time.perf_counter() - start)


@dataclass(frozen=True)
class InVolume:
    """A model of volumes: a click where the slice is deepest, and then the slice itself as it was drawn.

    Drawn first it would be the mask to start from, which nano hardly leaves: on 14 training objects Dice was 0.14
    instead of 0.66.
    """

    name: str
    segmenter: Segmenter
    random: bool = False
    fewest: ClassVar[int] = 1

    @property
    def note(self) -> str:
        return note_on_weights(self.name, self.segmenter.card, self.random)

    def record(self) -> dict[str, Any]:
        weights = RANDOM if self.random else weights_digest(self.segmenter.card)
        return {"name": self.name, "weights_sha256": weights}

    def answer(self, case: Case, given: Sequence[int]) -> Answer:
        session = Session(replace(case.volume), self.segmenter)
        around = case.slab(given[0]).intersection(case.labelled.box.grown(1))
        spacing_kji_mm = case.volume.grid.spacing_kji_mm
        deepest = deepest_voxel(case.truth_at(around), spacing_kji_mm)
        click = Click(tuple(index + first for index, first in zip(deepest, around.start_kji)))
        start = time.perf_counter()
        session.add(click)
        seconds = time.perf_counter() - start
        mask = case.corrected(session.extent, session.mask_kji[session.extent.slices], given[0])
        return Answer(mask.box, mask.values, 0, seconds)


def method_of(spelling: str, device: str = "auto") -> Method:
    """The method so spelled: NAME, NAME:POLICY, NAME:single or NAME:consistent for a slice segmenter, or a peer;
    NAME:random for a published model without its weights. Raises ModelError."""
    name, *words = spelling.split(":")
    random, consistent = RANDOM in words, CONSISTENT in words
    words = [word for word in words if word not in (RANDOM, CONSISTENT)]
    if name in {card.name for card in catalog.slice_cards()}:
        card = catalog.slice_card(name)
        memory = SliceMemory(policy=_own_policy(card))
        for word in words:
            memory = replace(memory, **_setting(word, spelling))
        made = build_random(name, device) if random else build_slices(name, device)
        return Propagation(spelling, made, memory, random, consistent)
    if words or consistent:
        raise ModelError(
            f"'{name}' does not go from slice to slice, as '{spelling}' would have it; write {name} alone."
        )
    if name == COPY:
        return Copy()
    if random:
        return InVolume(spelling, build_random(name, device), random)
    peer = installed_peer(name, PEER_GROUP)
    return InVolume(name, build(name, device)) if peer is None else Filling(peer)


def methods_of(spellings: tuple[str, ...], device: str = "auto") -> tuple[Method, ...]:
    """One method for each, in their order. Raises ModelError, also where two are spelled alike."""
    check_each_once(spellings)
    return tuple(method_of(spelling, device) for spelling in spellings)


def peers_of(model: str) -> tuple[str, ...]:
    """What a slice segmenter is compared with unless something else is asked for."""
    cards = {card.name: card for card in catalog.slice_cards()}
    own = _own_policy(cards[model]) if model in cards else SliceMemory().policy
    words = (*(policy for policy in POLICIES if policy != own), SINGLE, CONSISTENT)
    variants = tuple(f"{model}:{word}" for word in words) if ":" not in model else ()
    return tuple(dict.fromkeys(each for each in (*variants, *PEERS) if each != model))


def _own_policy(card: ModelCard) -> str:
    """What a model goes with unless something else is said."""
    return card.banks[0].policy if card.banks else SliceMemory().policy


def _setting(word: str, spelling: str) -> dict[str, Any]:
    """What one word after the name changes: a single bank is as large as both together."""
    if word == SINGLE:
        return {"capacity": CAPACITY + RECENT_CAPACITY, "recent_capacity": 0}
    if word in POLICIES:
        return {"policy": word}
    raise ModelError(
        f"'{spelling}' is no way to write a method; write NAME:{', NAME:'.join((*POLICIES, SINGLE, CONSISTENT))}."
    )
