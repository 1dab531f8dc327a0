"""Evaluation by simulated clicks: the protocol of DESIGN section 4, through a real session, click by click.

"own" clicks, the default: every method is corrected where it errs, under the same rule (simulation.py), as each would
be by its user. "shared" clicks: the corrections of the first method's errors are given to all, click for click.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry import Box
from ..prompts import Click
from ..segmenters.base import Segmenter
from ..session import Session
from .dataset import MOST_OBJECTS, Dataset, LabelledObject
from .metrics import dice, surface_dice
from .simulation import next_click

TOLERANCE_MM = 2.0
PROTOCOLS = ("own", "shared")


@dataclass(frozen=True)
class Scores:
    """One method on one object: after each click, and the seconds of each click given (none once nothing is wrong)."""

    method: str
    dice: tuple[float, ...]
    surface_dice: tuple[float, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class ObjectScores:
    """All methods on one object, in the order they were given."""

    entry: str
    name: str
    source: str
    subject: str
    voxels: int
    methods: tuple[Scores, ...]


def evaluate_clicks(
    dataset: Dataset,
    segmenters: Sequence[Segmenter],
    clicks: int = 10,
    memory: bool = True,
    protocol: str = "own",
    most_objects: int = MOST_OBJECTS,
    limit: int | None = None,
) -> Iterator[ObjectScores]:
    """Objects one by one, each with all segmenters; close the generator to cancel. Raises what those raise.

    limit: how many objects at most, spread evenly over the data set's volumes; None for all.
    """
    if clicks < 1 or protocol not in PROTOCOLS:
        raise ValueError("At least one click, own or shared.")
    chosen = spread(dataset, most_objects, limit)
    for number, labelled in enumerate(dataset.objects(most_objects)):
        if number in chosen:
            yield score_object(labelled, segmenters, clicks, memory, protocol)


def spread(dataset: Dataset, most_objects: int, limit: int | None) -> frozenset[int]:
    """The numbers of the objects to take: all, or `limit` at even distances."""
    count = dataset.count(most_objects)
    if limit is None or limit >= count:
        return frozenset(range(count))
    return frozenset(int(number) for number in np.linspace(0, count - 1, max(limit, 1)).round())


def score_object(
    labelled: LabelledObject, segmenters: Sequence[Segmenter], clicks: int, memory: bool, protocol: str
) -> ObjectScores:
    given: list[Click | None] | None = None
    methods = []
    for segmenter in segmenters:
        scores, made = _play(labelled, segmenter, clicks, memory, given)
        methods.append(scores)
        if protocol == "shared" and given is None:
            given = made
    entry = labelled.entry
    voxels = int(np.count_nonzero(labelled.truth))
    return ObjectScores(entry.identity, labelled.name, entry.source, entry.subject, voxels, tuple(methods))


def _play(
    labelled: LabelledObject, segmenter: Segmenter, clicks: int, memory: bool, given: list[Click | None] | None
) -> tuple[Scores, list[Click | None]]:
    """One method's session on one object. given: the clicks to make; None to make those its own errors call for."""
    session = Session(labelled.volume, segmenter, memory=memory)
    spacing = labelled.volume.grid.spacing_kji_mm
    overlaps: list[float] = []
    surfaces: list[float] = []
    seconds: list[float] = []
    made: list[Click | None] = []
    box, truth, mask = _view(labelled, session)
    for number in range(clicks):
        click = _moved(next_click(truth, mask, spacing), box) if given is None else given[number]
        made.append(click)
        if click is not None:
            start = time.perf_counter()
            session.add(click)
            seconds.append(time.perf_counter() - start)
            box, truth, mask = _view(labelled, session)
        overlaps.append(dice(truth, mask))
        surfaces.append(surface_dice(truth, mask, spacing, TOLERANCE_MM))
    return Scores(segmenter.card.name, tuple(overlaps), tuple(surfaces), tuple(seconds)), made


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
