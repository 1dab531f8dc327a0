"""Finding one thing: its candidates from every source that can have some, tested and put in order by the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import ModalityUnknownError, PromptError
from ..volume import Volume
from . import choosing
from .candidates import Candidate
from .choosing import Test
from .grounding import Surroundings
from .physics import skin_deep
from .pieces import Piece, united
from .query import Beside, Brightness, Extreme, Inside, Mark, Near, Part, Reference, Thing, Threshold
from .sources import Sources, ball, window
from .terminology import name_of, plural_name_of, term

_AS_SURE = 0.6  # of the surest one's confidence: what comes as near as that counts where size or place decides
_AS_SURE_LESION = 0.8  # the same of the largest or left-most lesion: a less sure one is more often something else
_AROUND_CLICK_MM = 60.0
_SMALLEST_MM, _SMALLEST_IN_PLACE_MM = 8.0, 3.0
_AGREE = 0.5  # overlap (IoU) from which on two sources mean the same


class Finder:
    """For one query. notes: sentences on what was taken for granted. links: see Sources."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._given = surroundings
        self._sources = Sources(surroundings)
        self.notes: list[str] = []

    @property
    def links(self) -> dict[str, list[str]]:
        return self._sources.links

    def tell(self, link: str, sentence: str) -> None:
        self._sources.tell(link, sentence)

    @property
    def volume(self) -> Volume:
        return self._given.volume

    @property
    def middle_ras(self) -> np.ndarray:
        return self._sources.scene.middle_ras

    def body(self) -> Piece:
        """On the volume's grid."""
        scene = self._sources.scene
        body = skin_deep(scene.sight, scene.body)
        if body.is_empty:
            raise PromptError("No body was found in this image, so there is nothing to take it from.")
        return body

    def mask(self, or_empty: bool = False) -> Piece:
        """The mask as it is."""
        piece = Piece(self.volume.grid, *self._given.mask())
        if piece.is_empty and not or_empty:
            raise PromptError("The mask is empty, so there is nothing to change; segment the object first.")
        return piece

    # -- one thing -----------------------------------------------------------------------------------------------

    def find(self, thing: Thing, place: Piece | None = None, nested: bool = False) -> list[Candidate]:
        """At least one, the best first. place: where to look, on the volume's grid. nested: as a part of what is asked
        for, so that segments of this volume that have the name go first. Raises PromptError where nothing fits."""
        place, tests = self._place_of(thing, place)
        candidates = self._candidates(thing, place, nested)
        if not candidates:
            raise self._nothing(thing)
        tests += [choosing.looks(look) for look in thing.looks if not isinstance(look, Threshold)]
        tests += [choosing.limit(each) for each in thing.limits]
        left, failed = choosing.passed(candidates, tests)
        if not left:
            raise PromptError(_none_passed(thing, candidates, failed))
        ordered = self._ordered(left, thing)
        if len(ordered) > 1 and thing.every:
            ordered = [_all_of(ordered, thing)]
        elif self._wants_outline(ordered[0], thing):
            ordered = self._sources.clicked(ordered)
        for part in (each for each in thing.places if isinstance(each, Part)):
            ordered = [_end(each, part) for each in ordered]
        return ordered

    def _place_of(self, thing: Thing, place: Piece | None) -> tuple[Piece | None, list[Test]]:
        """Where to look, from all that it is to be inside of; and the tests of where it is to lie."""
        tests: list[Test] = []
        for each in thing.places:
            match each:
                case Inside(of):
                    piece, name = self._reference(of)
                    place = piece if place is None else place.within(piece)
                    if place.is_empty:
                        raise PromptError("The places named have nothing in common; name one of them.")
                    tests.append(choosing.inside(place, name))
                case Near(of):
                    piece, name = self._reference(of)
                    tests.append(choosing.near(piece.points_ras, name))
                    if of is Mark.CLICK and thing.term is None:
                        around = ball(self.volume.grid, piece.centre_ras, _AROUND_CLICK_MM)
                        place = around if place is None else place.within(around)
                case Beside(direction, of):
                    piece, name = self._reference(of)
                    tests.append(choosing.beside(direction, piece, name))
        if place is None and thing.term is not None and thing.term.within:
            place = self._within(thing)
        return place, tests

    def _within(self, thing: Thing) -> Piece | None:
        """Where a thing of that kind always lies, if that can be found."""
        try:
            return self._reference(Thing(term(thing.term.within), thing.side))[0]
        except (PromptError, KeyError):
            self.notes.append(
                f"The {thing.term.within.replace('_', ' ')} was not found, so it was looked for anywhere."
            )
            return None

    def _reference(self, of: Reference) -> tuple[Piece, str]:
        """What the words refer to, on the volume's grid, and its name."""
        if of is Mark.CLICK:
            if self._given.click_kji is None:
                raise PromptError("There is no click to be near to; click on the image first.")
            point = self._given.click_kji
            self.tell("mask", "Mask: your last click says where.")
            return ball(self.volume.grid, self.volume.grid.ras_from_kji(np.asarray(point)), 1e-3), "your click"
        if of is Mark.MASK:
            self.tell("mask", "Mask: what is segmented already says where.")
            return self.mask(), "the mask"
        best = self.find(of, nested=True)[0]
        return best.native, best.title

    # -- candidates ----------------------------------------------------------------------------------------------

    def _candidates(self, thing: Thing, place: Piece | None, nested: bool) -> list[Candidate]:
        thresholds = [look for look in thing.looks if isinstance(look, Threshold)]
        lesion = thing.term is not None and thing.term.kind == "lesion"
        if thresholds and (thing.term is None or lesion):
            return self._sources.cut(thresholds, place, apart=not _is_a_window(thing))
        brightness = next((look for look in thing.looks if isinstance(look, Brightness)), None)
        smallest = _smallest(thing, place)
        if thing.term is None:
            found = self._sources.standing_out(None, brightness, place, smallest)
            if _is_at_click(thing) and self._given.click_kji is not None:
                found = [*self._sources.at_click(self._given.click_kji), *found]
            return found
        found = self._by_name(thing, nested or _refines(thing))
        if lesion and brightness is None:
            found += self._sources.bulky(thing.term)
        if lesion:
            found += self._sources.standing_out(thing.term, brightness, place, smallest)
            found.sort(key=lambda each: -each.confidence)
        if thresholds:
            found = [cut for each in found if (cut := self._cut_down(each, thresholds)) is not None]
        if place is not None and _is_substance(thing):
            found = [part for each in found if (part := _only_within(each, place)) is not None]
        return _apart(found) if _one_by_one(thing) else found

    def _by_name(self, thing: Thing, nested: bool) -> list[Candidate]:
        """From the sources that know names; those that agree count as one, the surer."""
        wanted, side, sources = thing.term, thing.side, self._sources
        own = sources.segments(wanted, side)
        if len(own) > 1 and not (_chooses(thing) or thing.every or wanted.paired or wanted.kind == "lesion"):
            own = [_all_of(own, thing)]  # a spine of its vertebrae
        if own and nested:
            return own
        told = sources.model(wanted, side)
        found = sorted(
            [*sources.recalled(wanted, side), *sources.physics(wanted, side)], key=lambda each: -each.confidence
        )
        if told:  # a model that was taught names goes first, and what differs from its answer is offered beside it
            surest = 0.95 * told[0].confidence
            found = [*told, *(each.with_confidence(min(each.confidence, surest)) for each in found)]
        kept: list[Candidate] = []
        for each in found:
            if all(each.piece.overlap(other.piece) < _AGREE for other in kept):
                kept.append(each)
        return kept or own

    def _cut_down(self, candidate: Candidate, thresholds: Sequence[Threshold]) -> Candidate | None:
        """Only what of it lies between thresholds."""
        low, high = window(thresholds)
        if any(each.hounsfield for each in thresholds) and not self._sources.is_ct:
            self._sources.cut(thresholds, None)  # says what is wrong
        piece = candidate.native
        values = self.volume.array_kji[piece.box.slices]
        kept = piece.kept((values >= low) & (values <= high))
        if kept.is_empty:
            return None
        more = {"side": candidate.side, "outline": candidate.outline}
        return Candidate.known(
            candidate.sight, kept, candidate.title, candidate.confidence, candidate.why, candidate.link, **more
        )

    # -- order ---------------------------------------------------------------------------------------------------

    def _ordered(self, left: list[Candidate], thing: Thing) -> list[Candidate]:
        surest = max(each.confidence for each in left)
        lesion = thing.term is not None and thing.term.kind == "lesion"
        extreme = next((each for each in thing.places if isinstance(each, Extreme)), None)
        first = extreme is not None or (thing.rank is not None and thing.rank.number == 1)
        share = _AS_SURE_LESION if lesion and first and not thing.every else _AS_SURE
        likely = [each for each in left if each.confidence >= share * surest]
        if extreme is not None:
            return choosing.farthest(likely, extreme)
        if thing.rank is not None:
            ranked = choosing.ranked(likely, thing.rank)
            if not ranked:
                count = len(likely)
                raise PromptError(
                    f"Only {count} {'was' if count == 1 else 'were'} found, so there is no number {thing.rank.number}."
                )
            return ranked
        if thing.every:
            return sorted(likely, key=lambda each: -each.confidence)
        return sorted(left, key=lambda each: -each.confidence)

    def _wants_outline(self, best: Candidate, thing: Thing) -> bool:
        """Whether the segmenter is asked to draw it: what only stands out, and was not cut at a value."""
        vague = thing.term is None or thing.term.kind == "lesion"
        return vague and best.exact is None and not any(isinstance(look, Threshold) for look in thing.looks)

    def _nothing(self, thing: Thing) -> PromptError:
        """With what kept a model from reading the words; that alone where the user only has to say something."""
        unread, words = self._sources.unread, self._not_found(thing)
        if isinstance(unread, ModalityUnknownError):
            return unread
        return PromptError(words if unread is None else f"{words} {unread}")

    def _not_found(self, thing: Thing) -> str:
        name = "structure" if thing.term is None else name_of(thing.term, thing.side)
        if thing.term is None or thing.term.kind == "lesion":
            return f"No {name} was found: nothing of that kind stands out there. Click on it, or say where it lies."
        return (
            f"The {name} was not found: no scan like this one in which it was segmented is remembered, and its values "
            "and shape alone do not tell it. Click on it; once it is right, remember it, and its name will find it "
            "next time."
        )


def _refines(thing: Thing) -> bool:
    """Whether the words say more of a structure than its name: which one, or which part of it."""
    return bool(thing.places or thing.rank is not None or thing.limits or thing.looks)


def _chooses(thing: Thing) -> bool:
    """Whether the words say which of several is meant."""
    return thing.rank is not None or any(isinstance(place, Extreme | Near | Beside) for place in thing.places)


def _is_at_click(thing: Thing) -> bool:
    """ "the structure here": the click alone says what is meant."""
    return thing.places == (Near(Mark.CLICK),) and not (thing.looks or thing.limits or thing.rank or thing.every)


def _is_substance(thing: Thing) -> bool:
    """Whether it may be all over the body, so that a place cuts it instead of choosing it: "air in the larynx"."""
    inside = any(isinstance(place, Inside) for place in thing.places)
    return inside and (thing.term.kind in ("tissue", "vessel", "cavity", "device") or thing.term.key == "bone")


def _only_within(candidate: Candidate, place: Piece) -> Candidate | None:
    """place: on the volume's grid."""
    kept = candidate.native.within(place)
    if kept.is_empty or candidate.link != "physics":
        return None if kept.is_empty else candidate
    return replace(candidate, piece=candidate.sight.seen(kept), exact=kept)


def _smallest(thing: Thing, place: Piece | None) -> float:
    below = [each.mm for each in thing.limits if each.below]
    usual = _SMALLEST_MM if place is None else _SMALLEST_IN_PLACE_MM
    return min([usual, *(max(mm / 3, 1.0) for mm in below)])


def _is_a_window(thing: Thing) -> bool:
    """Whether all between two values is meant, whatever its pieces: "brighter than 2 SUV"."""
    shaped = any(not isinstance(look, Threshold) for look in thing.looks)
    lesion = thing.term is not None and not thing.every
    return not (_chooses(thing) or shaped or lesion or thing.limits)


def _one_by_one(thing: Thing) -> bool:
    """Whether the words speak of single pieces: the largest bone, the bone near the click."""
    if thing.term.kind not in ("tissue", "vessel", "device", "bone", "cavity"):
        return False
    return bool(_chooses(thing) or thing.limits)


def _apart(candidates: list[Candidate]) -> list[Candidate]:
    """Connected pieces of what physics found, each a candidate."""
    found = []
    for each in candidates:
        if each.link != "physics":
            found.append(each)
            continue
        pieces = each.native.components() if each.exact is not None else each.piece.components(fewest=2)
        for piece in pieces[:100]:
            exact = {"exact": piece, "piece": each.sight.seen(piece)} if each.exact is not None else {"piece": piece}
            found.append(replace(each, **exact))
    return found


def _all_of(candidates: list[Candidate], thing: Thing) -> Candidate:
    """All together."""
    best = candidates[0]
    whole = united(each.native for each in candidates)
    title = "regions" if thing.term is None else plural_name_of(thing.term, thing.side)
    sure = max(each.confidence for each in candidates)
    return Candidate.known(
        best.sight, whole, f"{len(candidates)} {title}", sure, best.why.replace("It is", "The first is", 1), best.link
    )


def _end(candidate: Candidate, part: Part) -> Candidate:
    piece = choosing.end_of(candidate.native, part)
    title = f"{part.direction} part of {candidate.title}"
    return replace(candidate, piece=candidate.sight.seen(piece), exact=piece, title=title)


def _none_passed(thing: Thing, candidates: list[Candidate], failed: str) -> str:
    name = "region that stands out" if thing.term is None else thing.term.name
    count = len(candidates)
    found = f"{count} {'candidate' if count == 1 else 'candidates'} for {name} {'was' if count == 1 else 'were'} found"
    return f"{found}, but none that is {failed}; leave that out, or click on what you mean."
