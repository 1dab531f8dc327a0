"""Evaluation by simulated clicks: the protocol of DESIGN section 4, through a real session, click by click.

"own" clicks, the default: every method is corrected where it errs, under the same rule (simulation.py), as each would
be by its user. "shared" clicks: the corrections of the first method's errors are given to all, click for click.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import FileError, ModelError
from ..geometry import Box
from ..memory.interaction import Interaction
from ..prompts import Click
from ..segmenters.base import Numbered, Prediction, Segmenter
from ..session import Session
from ..volume import Volume
from .dataset import LabelledObject, Selection
from .methods import Method
from .metrics import dice, surface_dice
from .simulation import Noise, next_click

TOLERANCE_MM = 2.0
PROTOCOLS = ("own", "shared")


@dataclass(frozen=True)
class Rules:
    """How every object is played. protocol: whose errors place the corrections. Raises MemSegError for others."""

    clicks: int = 10
    protocol: str = "own"
    noise: Noise = Noise()

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ModelError(f"There is no '{self.protocol}' protocol for clicks; choose own or shared.")
        if self.clicks < 1:
            raise FileError("Nothing would be evaluated; ask for at least one click.")


@dataclass(frozen=True)
class Scores:
    """One method on one object: after each click, and the seconds of each click given (none once nothing is wrong).

    attention: for each click given, how much its answer leaned on each entry of the memory, newest first, sum 1; empty
    for an answer without memory or from a method that cannot tell.
    """

    method: str
    dice: tuple[float, ...]
    surface_dice: tuple[float, ...]
    seconds: tuple[float, ...]
    attention: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class ObjectScores:
    """All methods on one object, in the order they were given."""

    entry: str
    name: str
    source: str
    subject: str
    voxels: int
    methods: tuple[Scores, ...]


def evaluate_clicks(selection: Selection, methods: Sequence[Method], rules: Rules) -> Iterator[ObjectScores]:
    """Objects one by one, each with all methods; close the generator to cancel. Raises what the methods raise."""
    met: Volume | None = None
    volumes: tuple[Volume, ...] = ()
    for labelled in selection.objects():
        if labelled.volume is not met:
            # One each: of two methods with one network the second would be quicker by what the first has cached of it.
            met, volumes = labelled.volume, tuple(replace(labelled.volume) for _ in methods)
        yield score_object(labelled, methods, volumes, rules)


def score_object(
    labelled: LabelledObject, methods: Sequence[Method], volumes: Sequence[Volume], rules: Rules
) -> ObjectScores:
    """volumes: the object's volume, once for each method."""
    given: list[Click | None] | None = None
    played = []
    for method, volume in zip(methods, volumes):
        scores, made = _play(replace(labelled, volume=volume), method, rules, given)
        played.append(scores)
        if rules.protocol == "shared" and given is None:
            given = made
    entry = labelled.entry
    voxels = int(np.count_nonzero(labelled.truth))
    return ObjectScores(entry.identity, labelled.name, entry.source, entry.subject, voxels, tuple(played))


def _play(
    labelled: LabelledObject, method: Method, rules: Rules, given: list[Click | None] | None
) -> tuple[Scores, list[Click | None]]:
    """One method's session on one object. given: the clicks to make; None to make those its own errors call for."""
    listening = _Listening(method.segmenter)
    session = Session(labelled.volume, listening, memory=method.memory, capacity=method.capacity)
    grid = labelled.volume.grid
    overlaps: list[float] = []
    surfaces: list[float] = []
    seconds: list[float] = []
    made: list[Click | None] = []
    box, truth, mask = _view(labelled, session)
    for number in range(rules.clicks):
        if given is not None:
            click = given[number]
        elif (meant := _moved(next_click(truth, mask, grid.spacing_kji_mm), box)) is not None:
            click = rules.noise.disturbed(meant, grid, f"{labelled.entry.identity}/{labelled.name}/{number}")
        else:
            click = None
        made.append(click)
        if click is not None:
            start = time.perf_counter()
            session.add(click)
            seconds.append(time.perf_counter() - start)
            box, truth, mask = _view(labelled, session)
        overlaps.append(dice(truth, mask))
        surfaces.append(surface_dice(truth, mask, grid.spacing_kji_mm, TOLERANCE_MM))
    told = tuple(listening.told) if any(listening.told) else ()
    return Scores(method.name, tuple(overlaps), tuple(surfaces), tuple(seconds), told), made


class _Listening:
    """A segmenter that keeps, answer by answer, how much it leaned on each entry of the memory, newest first."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.card = segmenter.card
        self.told: list[tuple[float, ...]] = []
        self._segmenter = segmenter

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        prediction = self._segmenter.predict(volume, prompts, mask_kji, memory)
        shares = () if prediction.attention is None else prediction.attention[::-1]
        self.told.append(tuple(float(share) for share in shares))
        return prediction


def _view(labelled: LabelledObject, session: Session) -> tuple[Box, np.ndarray, np.ndarray]:
    """A box holding truth and mask with a margin of one voxel inside the volume, and both cropped to it."""
    box = labelled.box.union(session.extent).grown(1).clipped(labelled.volume.shape_kji)
    truth = np.zeros(box.shape_kji, bool)
    truth[labelled.box.relative_to(box).slices] = labelled.truth
    return box, truth, session.mask_kji[box.slices] > 0


def _moved(click: Click | None, box: Box) -> Click | None:
    if click is None:
        return None
    return Click(tuple(index + start for index, start in zip(click.point_kji, box.start_kji)), click.positive)
