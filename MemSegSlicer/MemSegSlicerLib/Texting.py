"""What the controller does with words: the other segments go to the session with them, a segment that nobody named
takes the name of what was found, and what a split gives away becomes a segment of its own. And what it does for the
recall memory.

`prepare` and `then` of the actions made here are called on the main thread, `act` in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from memseg.prompts import Text
from memseg.session import Session
from memseg.text import terminology
from memseg.text.grounding import Found
from memseg.text.query import Side
from memseg.volume import MaskChange

from . import Modality, SceneBridge, SegmentNames, Terminology
from .Neighbours import Neighbours
from .Recall import Recall
from .Record import Action, Record
from .SceneState import SegmentKey
from .SessionJob import Act, Outcome, SessionView

Records = Mapping[SegmentKey, Record]


def typed(record: Record, text: Text, records: Records, recall: Recall) -> Action:
    """records: all sessions there are."""
    words = _Typed(record, text, records, recall)
    return Action(record, "text", None, isPrompt=True, text=text, prepare=words.prepare, then=words.then)


def remembered(record: Record, recall: Recall, name: str, licence: str, note: str) -> Action:
    """Put the segment into the recall memory, in place of what was put there of it under that name."""
    keeping = _Remembered(record, recall, name, licence, note)
    return Action(record, "remember", keeping.act, then=keeping.then)


def isWorthRemembering(record: Record) -> bool:
    """Whether the segment was segmented here, has a name, and changed since it was last remembered."""
    if record.session is None or record.view is None or not record.view.voxels or not record.target.isThere:
        return False
    return not SegmentNames.isAutomatic(record.target.segment) and _numbers(record.view) != record.rememberedPrompts


def _numbers(view: SessionView) -> tuple[int, ...]:
    """Of its prompts: another mask has others."""
    return tuple(entry.number for entry in view.prompts)


class _Typed:
    """Words on their way through the session."""

    def __init__(self, record: Record, text: Text, records: Records, recall: Recall) -> None:
        self._record = record
        self._text = text
        self._records = records
        self._recall = recall
        self._neighbours: Neighbours | None = None
        self._split: tuple[Found, Side] | None = None  # what is given away, and the side that stays

    def prepare(self) -> Act:
        self._neighbours = Neighbours.of(self._record, self._records)
        return self._act

    def _act(self, session: Session) -> MaskChange:
        session.recall = self._recall.memory()
        session.segments = self._neighbours
        try:
            change = session.add(self._text)
        finally:
            session.segments = {}
        understood = session.understood
        if understood is not None and understood.other is not None:
            self._split = understood.other, understood.query.asked.keep
        return change

    def then(self, outcome: Outcome) -> str:
        understood = outcome.view.understood
        if outcome.view.modality:  # as words may say in passing
            Modality.keep(self._record.target.volumeNode, outcome.view.modality)
        if understood is not None and understood.name:
            self._name(understood.name)
        return self._giveAway(*self._split) if self._split is not None else ""

    def _name(self, name: str) -> None:
        """Where the name is one that nobody chose, or that earlier words gave."""
        record, segment = self._record, self._record.target.segment
        if not SegmentNames.isAutomatic(segment) and segment.GetName() != record.namedByWords:
            return
        SegmentNames.give(segment, name)
        SegmentNames.giveColor(record.target.segmentationNode.GetSegmentation(), record.target.key.segmentId)
        record.namedByWords = name

    def _giveAway(self, found: Found, kept: Side) -> str:
        """Make it a segment beside the present one, and call both after their sides where their name allows it."""
        record, target, name = self._record, self._record.target, found.title
        segment, segmentation = target.segment, target.segmentationNode.GetSegmentation()
        known = terminology.find(segment.GetName())
        if known is not None and known[0].paired and known[1] is None:
            other = Side.LEFT if kept is Side.RIGHT else Side.RIGHT
            name = terminology.name_of(known[0], other)
            if segment.GetName() == record.namedByWords:
                record.namedByWords = terminology.name_of(known[0], kept)
            SegmentNames.give(segment, terminology.name_of(known[0], kept))
        elif not SegmentNames.isAutomatic(segment):
            name = f"{found.title} of {segment.GetName()}"
        color = Terminology.spareColor(segmentation.GetNumberOfSegments())
        segmentId = SceneBridge.addSegment(target.segmentationNode, name, color)
        SegmentNames.giveColor(segmentation, segmentId)
        nothing = np.zeros_like(found.values)
        change = MaskChange(found.box, nothing, found.values)
        SceneBridge.writeChange(target.segmentationNode, segmentId, target.volumeNode, change)
        return f"The other side is a segment of its own now: {name}."


class _Remembered:
    """A segment on its way into the recall memory."""

    def __init__(self, record: Record, recall: Recall, name: str, licence: str, note: str) -> None:
        self._record = record
        self._recall = recall
        self._words = (name, licence, note)
        self._title = ""

    def act(self, session: Session) -> None:
        session.recall = self._recall.memory()
        entry = session.remember(*self._words)
        self._recall.took(entry)
        former = self._record.remembered.pop(entry.title, None)
        if former is not None and self._recall.isOwn(former):
            self._recall.remove(former)
        self._record.remembered[entry.title] = entry.identity
        self._title = entry.title

    def then(self, outcome: Outcome) -> str:
        self._record.rememberedPrompts = _numbers(outcome.view)
        return f"Remembered as “{self._title}”; type that in another image to find it there."
