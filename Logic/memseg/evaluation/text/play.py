"""One query played as a user would: words are typed in a new session, and one click corrects what is wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ...build import build
from ...errors import MemSegError, PromptError
from ...files import read_volume
from ...geometry import Box
from ...memory.recall import RecallMemory
from ...prompts import Click, MaskPrompt, Text
from ...session import Session
from ...text.parse import parse
from ...text.pieces import Piece
from ...volume import Volume
from ..dataset import Entry, read_labels
from ..metrics import dice
from ..simulation import deepest_voxel, next_click
from .cases import Case
from .truths import Expression, piece_of

FOUND_IOU = 0.3


@dataclass(frozen=True)
class Score:
    """What became of one query.

    understood: the words were, and as they should be where the query says how. overlap: IoU of what was found first
    with the truth, best: of the best of all that was offered; 0 where nothing was found. dice, dice_after: before and
    after one corrective click. seconds: for the words. confidence, link: of what was found first. trouble: the sentence
    where nothing was found. A query that is to be refused has an overlap of 1 where it was, else 0. subjects:
    remembered ones, other than its own, that have the structure asked for. aided: named segments of the volume were
    there. A query without a volume has the entry "",
    and only `understood` counts.
    """

    identity: str
    family: str
    entry: str
    source: str
    subject: str
    words: str
    understood: bool
    overlap: float
    best: float
    dice: float
    dice_after: float
    seconds: float
    confidence: float
    link: str
    trouble: str
    subjects: int
    aided: bool = False

    @property
    def is_found(self) -> bool:
        return self.overlap > FOUND_IOU

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Score:
        """TypeError for anything else."""
        return cls(**record)


class Player:
    """Plays queries with one model; keeps the last volume."""

    def __init__(self, model: str | None, device: str) -> None:
        self._segmenter = build(model, device)

    @property
    def model(self) -> str:
        return self._segmenter.card.name

    def play(self, case: Case, memory: RecallMemory, subjects: int, corrected: bool = True) -> Score:
        """memory: what the query is answered with. corrected: with the corrective click."""
        understood, trouble = _understood(case, memory), ""
        if case.entry is None:
            plain = (case.identity, case.family, "", "", "", case.words, understood)
            return Score(*plain, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "", "", 0)
        volume, labels_kji = _read(case.entry)
        values = dict(case.entry.labels)

        def piece(expression: Expression) -> Piece:
            return piece_of(expression, volume, labels_kji, values)

        session = self._session(case, volume, memory, piece)
        before_words = len(session.prompts)
        start = time.perf_counter()
        try:
            session.add(Text(case.words))
        except PromptError as error:
            trouble = str(error)
        seconds = time.perf_counter() - start
        plain = (case.identity, case.family, case.entry.identity, case.entry.source, case.entry.subject, case.words)
        aided = bool(case.segments)
        if case.refused:
            unchanged = len(session.prompts) == before_words
            told = float(bool(trouble) and case.refused.lower() in trouble.lower() and unchanged)
            understood = understood if case.asked is not None else bool(told)
            return Score(*plain, understood, told, told, told, told, seconds, 0.0, "", trouble, subjects, aided)
        truth = piece(case.truth)
        if trouble:
            after = self._after_a_click(session, truth) if corrected else 0.0
            return Score(*plain, understood, 0.0, 0.0, 0.0, after, seconds, 0.0, "", trouble, subjects, aided)
        found = session.understood.found
        overlaps = [Piece(volume.grid, each.box, each.values > 0).overlap(truth) for each in found]
        before = _dice(session, truth)
        after = self._after_a_click(session, truth) if corrected else before
        first = found[0]
        scores = (overlaps[0], max(overlaps), before, after, seconds, first.confidence, first.link, "", subjects, aided)
        return Score(*plain, understood, *scores)

    def _session(self, case: Case, volume: Volume, memory: RecallMemory, piece: Any) -> Session:
        # A volume of its own, so that no query is quicker by what an earlier one has cached of it.
        session = Session(replace(volume), self._segmenter, recall=memory)
        session.segments = {name: _crop(piece(each)) for name, each in case.segments.items()}
        if case.mask:
            mask = piece(case.mask)
            session.add(MaskPrompt.within(volume.shape_kji, mask.box, mask.values.astype(np.uint8)))
        if case.click:
            at = piece(case.click)
            place = deepest_voxel(at.values, volume.grid.spacing_kji_mm)
            session.add(Click(tuple(int(index + start) for index, start in zip(place, at.box.start_kji))))
        return session

    def _after_a_click(self, session: Session, truth: Piece) -> float:
        """Dice after the click that the evaluation of clicks would give next."""
        box = _view(session, truth)
        click = next_click(truth.at(box), session.mask_kji[box.slices] > 0, session.volume.grid.spacing_kji_mm)
        if click is None:
            return 1.0
        try:
            session.add(Click(tuple(np.add(click.point_kji, box.start_kji)), click.positive))
        except MemSegError:
            pass
        return _dice(session, truth)


def _understood(case: Case, memory: RecallMemory) -> bool:
    try:
        query = parse(case.words, memory.names())
    except PromptError:
        return False
    return case.asked is None or query.asked == case.asked


def _crop(piece: Piece) -> tuple[Box, np.ndarray]:
    return piece.box, piece.values.astype(np.uint8)


def _view(session: Session, truth: Piece) -> Box:
    """A box that holds truth and mask with a voxel round them."""
    return session.extent.union(truth.box).grown(1).clipped(session.volume.shape_kji)


def _dice(session: Session, truth: Piece) -> float:
    box = _view(session, truth)
    return dice(truth.at(box), session.mask_kji[box.slices] > 0)


@lru_cache(maxsize=2)
def _read(entry: Entry) -> tuple[Volume, np.ndarray]:
    volume = read_volume(entry.image)
    return volume, read_labels(entry, volume)


def by_volume(cases: Sequence[Case]) -> list[Case]:
    """In an order in which each volume is read once."""
    names = [case.entry.identity if case.entry else "" for case in cases]
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return sorted(cases, key=lambda case: order[case.entry.identity if case.entry else ""])
