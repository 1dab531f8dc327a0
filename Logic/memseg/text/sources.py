"""Where candidates come from, link by link: segments of the volume, a model that takes text, the recall memory,
physics, what stands out, and clicks given to the segmenter. Each says in one sentence what it contributed."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import MemSegError, PromptError, StoppedError
from ..geometry import Box, Grid
from ..memory.recall import RecallEntry, RecallMemory
from ..prompts import Click, Text
from ..segmenters.base import Numbered
from . import lesions
from .candidates import Candidate, at_edge, between
from .evidence import FARTHEST_SCAN
from .grounding import Surroundings
from .physics import Scene
from .pieces import Piece
from .places import landscape
from .query import Brightness, Side, Threshold
from .recalling import recall
from .rules import rule_of
from .terminology import Term, above, name_of, of_name, term

log = logging.getLogger(__name__)
LEAST = 0.2  # a candidate less sure than that is not offered
_MOST_CLICKED, _CLICK_SECONDS = 3, 1.2
_AGREEING = 0.7  # overlap (IoU) from which on the segmenter's outline is taken for the candidate's
_MOST_KEYS, _MOST_PIECES = 3, 200
_BULKY = frozenset(("tumor", "mass", "sarcoma", "lesion"))
_BULK = 0.5  # the thickest soft tissue of a limb is the tumour as often as not
# On training subjects (Testing/benchmarks/fit_recall.py) 94 % of the right answers have at least this chance, 12 % of
# those where the scan ends before the structure, and 4 % of those in other parts of the body.
_LEAST_RECALLED = 0.3
# Where lesions were in other patients led to one on 13 of 18 PETs, but on 4 of 39 CTs and T1 images (mean chance 41 %).
_LESION_ELSEWHERE = {"PET": 1.0, "CT": 0.25, "MR": 0.25, "": 0.25}
_OF_KINDS = ("bone", "lesion")  # of these, one of a kind is one of them: a third lumbar vertebra is a vertebra
_AT_CLICK = 0.7
_NATIVE_VOXELS = 8_000_000  # up to so many are cut by a threshold in full; more on the working grid first


class Sources:
    """For one query. links: by link of the chain, sentences on what it contributed."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._given = surroundings
        self.scene = Scene.of(surroundings.volume)
        self.links: dict[str, list[str]] = {}
        self.unread: PromptError | None = None  # why a model that takes text gave no answer

    def tell(self, link: str, sentence: str) -> None:
        """Each sentence counts once."""
        told = self.links.setdefault(link, [])
        if sentence not in told:
            told.append(sentence)

    @property
    def is_ct(self) -> bool:
        return self.scene.sight.is_ct

    # -- by name -------------------------------------------------------------------------------------------------

    def segments(self, wanted: Term, side: Side | None) -> list[Candidate]:
        """Segments of this volume that have the name, or a name that means the same; where none has, those of what is
        a kind or a part of it: "vertebrae_L3" of the spine."""
        found, narrower = [], []
        for name, (box, values) in self._given.segments.items():
            known, one_side = of_name(name), None
            same = name.strip().lower() == name_of(wanted, side).lower()
            within = False
            if known is not None:
                one_side = known[1]
                fits = side is None or one_side in (side, None)
                same = same or (fits and known[0].key == wanted.key)
                within = fits and wanted.kind in _OF_KINDS and wanted.key in above(known[0])
            if not (same or within):
                continue
            piece = Piece(self._given.volume.grid, box, np.asarray(values) != 0)
            if not piece.is_empty:
                why = f"It is the segment {name} of this volume."
                own = Candidate.known(self.scene.sight, piece, name, 0.95, why, "mask", side=one_side)
                (found if same else narrower).append(own)
        found = found or narrower
        if found:
            self.tell("mask", f"Segments: {' and '.join(each.title for each in found)} of this volume.")
        return found

    def model(self, wanted: Term, side: Side | None) -> list[Candidate]:
        """The answer of a segmenter that takes text."""
        segmenter, name = self._given.segmenter, name_of(wanted, side)
        if "text" not in segmenter.card.prompts and self._given.reader is not None:
            segmenter = self._given.reader
        if "text" not in segmenter.card.prompts:
            self.tell("model", f"Model: {segmenter.card.title or segmenter.card.name} takes no text.")
            return []
        empty = np.zeros(self._given.volume.shape_kji, np.uint8)
        try:
            answer = segmenter.predict(self._given.volume, (Numbered(1, Text(name)),), empty, None)
        except PromptError as error:
            self.tell("model", f"Model: {error}")
            self.unread = error
            return []
        piece = Piece(self._given.volume.grid, answer.box, answer.probability > 0.5)
        if piece.is_empty:
            self.tell("model", f"Model: {segmenter.card.title} finds no {name}.")
            return []
        sure = float(answer.probability[answer.probability > 0.5].mean())
        why = f"The model {segmenter.card.title} answered to its name."
        self.tell("model", f"Model: {segmenter.card.title} finds the {name}.")
        return [Candidate.known(self.scene.sight, piece, name, sure, why, "model", side=side)]

    def recalled(self, wanted: Term, side: Side | None) -> list[Candidate]:
        """What was remembered under the name, or for lesions under a name that is more or less general."""
        memory = self._given.recall or RecallMemory()
        sides = [side] if side is not None else [Side.LEFT, Side.RIGHT, None] if wanted.paired else [None]
        asked = [(key, each) for key in _keys(wanted, memory) for each in sides if memory.named(key, each or "")]
        found, unsure = [], False
        for key, each in asked:
            (_, scan), *_ = memory.nearest(landscape(self._given.volume).embedding, 1, memory.named(key, each or ""))
            answer = recall(self._given.volume, key, each or "", memory) if scan <= FARTHEST_SCAN else None
            if answer is None:
                continue
            piece = Piece(self._given.volume.grid, answer.box, answer.probability > 0.5)
            sure = answer.confidence
            if wanted.kind == "lesion":
                sure *= _LESION_ELSEWHERE[self.scene.sight.modality]
            if piece.is_empty or answer.confidence < _LEAST_RECALLED or sure < LEAST:
                unsure = True
                continue
            count = len(answer.used)
            there = f"{count} that are remembered lie" if count > 1 else "the one that is remembered lies"
            why = f"By its surroundings, {there} there."
            title = _called(answer.used[0][0])
            found.append(Candidate.known(self.scene.sight, piece, title, sure, why, "recall", side=each))
        self.tell("recall", _recall_sentence(name_of(wanted, side), asked, found, unsure))
        return found

    def physics(self, wanted: Term, side: Side | None) -> list[Candidate]:
        rule = rule_of(wanted.key, self.is_ct)
        if rule is None:
            if wanted.kind != "lesion":  # those are told of by what stands out
                self.tell("physics", f"Physics: it has no rule for {wanted.name} on this kind of image.")
            return []
        found = [each if each.side or not wanted.paired else _sided(each, self.scene) for each in rule(self.scene)]
        if wanted.paired and side is not None:
            found = [each for each in found if each.side is side]
        nothing = f"nothing here has the values and shape of {name_of(wanted, side)}."
        self.tell("physics", f"Physics: {found[0].why[0].lower() + found[0].why[1:] if found else nothing}")
        return found

    # -- by looks ------------------------------------------------------------------------------------------------

    def cut(self, thresholds: Sequence[Threshold], place: Piece | None, apart: bool = True) -> list[Candidate]:
        """What lies between thresholds, in the body or a place on the volume's grid. apart: its connected pieces, the
        largest 200."""
        if any(each.hounsfield for each in thresholds) and not self.is_ct:
            kind = self.scene.sight.modality or "image of another kind than CT"
            raise PromptError(
                f"This image is no CT but {'a ' if kind in ('MR', 'PET') else 'an '}{kind}, so its values are not HU; "
                "give the value as the image has it, such as 'brighter than 300'."
            )
        low, high = window(thresholds)
        words = " and ".join(f"{'above' if each.above else 'below'} {each.value:g}" for each in thresholds)
        unit = " HU" if self.is_ct else ""
        why = f"It lies {words}{unit}."
        sight = self.scene.sight
        if place is not None and place.box.size <= _NATIVE_VOXELS:
            values = self._given.volume.array_kji[place.box.slices]
            whole = place.kept((values >= low) & (values <= high))
            parts = _parts(whole, apart)
            found = [Candidate.known(sight, part, words + unit, 0.8, why, "physics") for part in parts]
        else:
            inside = self.scene.body if place is None else sight.seen(place)
            image = sight.image[inside.box.slices]
            parts = _parts(inside.kept((image >= low) & (image <= high)), apart)
            outline = between(low, high)
            found = [Candidate(sight, part, words + unit, 0.8, why, "physics", outline=outline) for part in parts]
        count = len(found)
        pieces = "piece lies" if count == 1 else "pieces lie"
        self.tell("physics", f"Physics: {count} connected {pieces} {words}{unit}.")
        return found

    def standing_out(
        self, wanted: Term | None, brightness: Brightness | None, place: Piece | None, smallest_mm: float
    ) -> list[Candidate]:
        """What differs from its surroundings; of a lesion, what looks like one. place: on the volume's grid."""
        bright = None if brightness is None else brightness is Brightness.BRIGHT
        if wanted is not None and bright is None:
            bright = lesions.brightness_of(wanted.key, self.scene.sight.modality)
        sight, found = self.scene.standing_out(place, bright, smallest_mm)
        weigh = lesions.weigher(wanted, self.scene) if wanted is not None else lesions.plain
        candidates = []
        for blob in found:
            sure = weigh(sight, blob)
            if sure >= LEAST:
                title = f"{'bright' if blob.bright else 'dark'} {wanted.name if wanted else 'region'}"
                why = (
                    f"It is {'brighter' if blob.bright else 'darker'} than what is round it by "
                    f"{blob.difference:.1f} times their spreads, {blob.diameter_mm:.0f} mm across."
                )
                candidates.append(Candidate(sight, blob.piece, title, sure, why, "physics", outline=at_edge))
        candidates.sort(key=lambda each: -each.confidence)
        count = len(candidates)
        regions = "region stands" if count == 1 else "regions stand"
        self.tell("physics", f"Physics: {count or 'no'} {regions} out from the surroundings.")
        return candidates

    def bulky(self, wanted: Term) -> list[Candidate]:
        """Thick soft tissue of a limb, which may be a tumour there. None of smaller lesions, or where it is seen better
        by its uptake."""
        if wanted.key not in _BULKY:
            return []
        sight, found = self.scene.bulks
        candidates = []
        for bulk in found:
            sure = _BULK * bulk.weight / found[0].weight
            darker = ", and darker" if sight.is_ct and bulk.weight > bulk.radius_mm else ""
            why = f"It is thick, even soft tissue, {2 * bulk.radius_mm:.0f} mm across{darker}."
            if sure >= LEAST:
                candidates.append(Candidate(sight, bulk.piece, wanted.name, sure, why, "physics"))
        if found:
            thick = 2 * max(bulk.radius_mm for bulk in found)
            self.tell("physics", f"Physics: the thickest soft tissue of this limb is {thick:.0f} mm across.")
        return candidates

    # -- clicks --------------------------------------------------------------------------------------------------

    def clicked(self, candidates: list[Candidate]) -> list[Candidate]:
        """The first few with the segmenter's outline, where a click into them gives about the same."""
        start, taken, asked, outlined = time.perf_counter(), 0, 0, []
        for place, candidate in enumerate(candidates):
            spent = time.perf_counter() - start
            late = asked and spent * (asked + 1) / asked > _CLICK_SECONDS  # at the pace so far
            if place >= _MOST_CLICKED or late or candidate.exact is not None:
                outlined.append(candidate)
                continue
            answer, asked = self.answer_to(Click(candidate.native.deepest_kji)), asked + 1
            agrees = answer is not None and answer.overlap(candidate.native) >= _AGREEING
            taken += agrees
            outlined.append(_with_outline(candidate, answer) if agrees else candidate)
        name = self._given.segmenter.card.title or self._given.segmenter.card.name
        self.tell("clicks", f"Clicks: {name} {'drew the outline' if taken else 'was asked and did not agree'}.")
        return outlined

    def at_click(self, click_kji: tuple[int, int, int]) -> list[Candidate]:
        """What the segmenter takes for the thing at a click."""
        answer = self.answer_to(Click(click_kji))
        if answer is None:
            return []
        name = self._given.segmenter.card.title or self._given.segmenter.card.name
        self.tell("clicks", f"Clicks: {name} outlined what your click is on.")
        why = f"It is what {name} outlines at your click."
        return [Candidate.known(self.scene.sight, answer, "structure at your click", _AT_CLICK, why, "clicks")]

    def answer_to(self, click: Click) -> Piece | None:
        """The segmenter's answer to one click in an empty mask; None where it cannot answer."""
        volume = self._given.volume
        empty = np.zeros(volume.shape_kji, np.uint8)
        try:
            answer = self._given.segmenter.predict(volume, (Numbered(1, click),), empty, None)
        except StoppedError:
            raise
        except MemSegError as error:
            log.info("the segmenter gave no outline: %s", error)
            return None
        piece = Piece(volume.grid, answer.box, answer.probability > 0.5)
        return None if piece.is_empty else piece


def _parts(whole: Piece, apart: bool) -> tuple[Piece, ...]:
    if apart:
        return whole.components()[:_MOST_PIECES]
    return () if whole.is_empty else (whole,)


def window(thresholds: Sequence[Threshold]) -> tuple[float, float]:
    """The lowest and highest value that all of them let through. PromptError where none is."""
    low = max((each.value for each in thresholds if each.above), default=-np.inf)
    high = min((each.value for each in thresholds if not each.above), default=np.inf)
    if low >= high:
        raise PromptError(f"Nothing is above {low:g} and below {high:g} at once; give the lower limit first.")
    return float(low), float(high)


def _keys(wanted: Term, memory: RecallMemory) -> list[str]:
    """The keys under which it may be remembered; for lesions also those of more and less general names."""
    held = {entry.key for entry in memory}
    keys = [wanted.key] if wanted.key in held else []
    if wanted.kind == "lesion":
        keys += [key for key in sorted(held) if key != wanted.key and _related(wanted, key)]
    return keys[:_MOST_KEYS]


def _related(wanted: Term, key: str) -> bool:
    try:
        other = term(key)
    except KeyError:
        return False
    return other.kind == "lesion" and (wanted.key in above(other) or other.key in above(wanted))


def _called(entry: RecallEntry) -> str:
    """What the terminology calls an entry, or its own name."""
    known = of_name(entry.title)
    return name_of(*known) if known is not None else entry.title


def _recall_sentence(name: str, asked: list, found: list[Candidate], unsure: bool) -> str:
    if found:
        best = max(found, key=lambda each: each.confidence)
        return f"Recall: {best.why[0].lower()}{best.why[1:]}"
    if unsure:
        return f"Recall: {name} is remembered, but nothing here looks like where it was."
    if asked:
        return f"Recall: {name} is remembered, but from another kind of image or another part of the body."
    return f"Recall: no {name} is remembered."


def _sided(candidate: Candidate, scene: Scene) -> Candidate:
    side = scene.side_of(candidate.piece)
    return replace(candidate, side=side, title=f"{side} {candidate.title}")


def _with_outline(candidate: Candidate, exact: Piece) -> Candidate:
    return replace(candidate, exact=exact, link="clicks")


def ball(grid: Grid, centre_ras: np.ndarray, radius_mm: float) -> Piece:
    """The voxels of a grid within so many mm of a point."""
    centre = grid.kji_from_ras(centre_ras)
    reach = radius_mm / np.asarray(grid.spacing_kji_mm)
    box = Box(tuple(np.floor(centre - reach).astype(int)), tuple(np.ceil(centre + reach).astype(int) + 1))
    box = box.clipped(grid.shape_kji)
    if box.is_empty:
        return Piece.nothing(grid)
    axes = np.ogrid[box.slices]
    far = sum(((axis - place) * step) ** 2 for axis, place, step in zip(axes, centre, grid.spacing_kji_mm))
    return Piece(grid, box, far <= radius_mm**2)
