"""Fits the constants of the slice-geodesic segmenter (Logic/memseg/segmenters/slice_geodesic.json) on training
subjects.

    python Testing/benchmarks/fit_slice_geodesic.py DATASET [--rounds 4] [--most 3] -o FILE

Training objects of 5 slices or more are followed along k, in later rounds along the three axes by turns, from their
largest slice or another large one, with what has been fitted so far, up to 12 slices past their ends. Where a mask has
gone astray (Dice below 0.5) the truth takes its place, and now and then without need. Sampled pixels give one logistic
regression; the answers as a whole give two, for whether the object is there and for the Dice. Every source weighs the
same. The first round copies the previous mask. All of it is seeded; a fit takes about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import optimize

from memseg.evaluation import dataset as datasets
from memseg.evaluation.dataset import LabelledObject
from memseg.memory.slices import SliceMemory
from memseg.propagation import agreed_entry, entry_of
from memseg.segmenters import slice_geodesic
from memseg.segmenters.scores import QuadraticForm
from memseg.segmenters.slice_base import Plane, place_of, plane_of
from memseg.segmenters.slice_geodesic import REACH, Forms, SliceGeodesic, odds_of, scene_of, summary, tidied
from memseg.segmenters.slice_measures import MEASURES, measures

log = logging.getLogger("fit")
SAMPLES = 300  # pixels an answer; of 8,000 answers they take 2 GB
PAST_THE_END = 12
RIDGE = 2e-3
SUMMARIES = 13


@dataclass(frozen=True, eq=False)
class Row:
    """One answer: sampled pixels with their truth, the summary, and whether the object was there, and its Dice."""

    source: str
    measures: np.ndarray
    truth: np.ndarray
    summary: np.ndarray
    present: bool
    dice: float


def copying() -> Forms:
    """The object is where it was."""
    linear = np.zeros(MEASURES, np.float32)
    linear[0] = 4
    pixel = QuadraticForm(
        np.zeros(MEASURES, np.float32),
        np.ones(MEASURES, np.float32),
        np.zeros((MEASURES,) * 2, np.float32),
        linear,
        0.0,
    )
    nothing = np.zeros(SUMMARIES, np.float32)
    whole = QuadraticForm(nothing, nothing + 1, np.zeros((SUMMARIES,) * 2, np.float32), nothing, 3.0)
    return Forms(pixel, whole, whole)


def rows_of(labelled: LabelledObject, axis: str, source: np.random.Generator) -> list[Row]:
    """The object followed both ways along an axis."""
    truth = np.zeros(labelled.volume.shape_kji, np.uint8)
    truth[labelled.box.slices] = labelled.truth
    number = "kji".index(axis)
    areas = np.count_nonzero(truth, axis=tuple(other for other in range(3) if other != number))
    if np.count_nonzero(areas) < 5:
        return []
    reference = int(np.argmax(areas))
    if source.random() < 0.3:
        reference = int(source.choice(np.flatnonzero(areas > 0.2 * areas.max())))
    found = []
    for way in (1, -1):
        found += _one_way(labelled, truth, axis, reference, way, areas, source)
    return found


def _one_way(labelled, truth, axis, reference, way, areas, source) -> list[Row]:
    volume, segmenter = labelled.volume, SliceGeodesic()

    def plane(index: int, mask: np.ndarray) -> Plane:
        return Plane(index, plane_of(volume.array_kji, axis, index), mask, place_of(volume.grid, axis, index))

    anchor = plane(reference, plane_of(truth, axis, reference))
    anchors = (anchor,)
    if source.random() < 0.35:  # a second agreed slice further on, perhaps beyond the object's end
        beyond = reference + way * int(source.integers(4, 20))
        if 0 <= beyond < len(areas):
            anchors = (anchor, plane(beyond, plane_of(truth, axis, beyond)))
            anchors = tuple(sorted(anchors, key=lambda each: each.index))
    stops = [each.index for each in anchors if each is not anchor]
    memory = SliceMemory().remember(agreed_entry(volume, axis, anchor, segmenter, True))
    previous, recent, rows, past, absent = anchor, (), [], 0, 0
    index = reference + way
    while 0 <= index < len(areas) and past < PAST_THE_END and absent < 3 and index not in stops:
        bank = memory.recall(None, place_of(volume.grid, axis, index), index)
        recalled = replace(bank, recent=recent)
        scene = scene_of(volume, axis, index, previous, anchors, recalled)
        measured, moved_mask = measures(scene)
        probability = tidied(odds_of(measured, slice_geodesic.forms().pixel), moved_mask)
        expected = scene.region.sample(plane_of(truth, axis, index)[None])[0]
        rows.append(_row(labelled, scene, measured, moved_mask, probability, expected, anchors, index, source))
        answer = segmenter.follow(volume, axis, index, previous, anchors, recalled)
        right = plane_of(truth, axis, index)
        found = answer.present >= 0.5 and answer.mask.any()
        mask = answer.mask if found else np.zeros_like(answer.mask)
        if right.any() and (not found or rows[-1].dice < 0.5 or source.random() < 0.08):
            mask = right
        past = past + 1 if not right.any() else 0
        absent = absent + 1 if past and not found else 0
        if mask.any():
            previous = plane(index, mask)
            entry = entry_of(volume, axis, previous, segmenter, float(answer.confidence))
            memory, recent = memory.remember(entry), (*recent, entry)[-3:]
        index += way
    return rows


def _row(labelled, scene, measured, moved_mask, probability, expected, anchors, index, source) -> Row:
    right, answer = expected > 0.5, probability > 0.5
    both = np.flatnonzero(np.abs(measured[..., 0]) < REACH)
    chosen = source.choice(both, min(SAMPLES, both.size), replace=False)
    total = np.count_nonzero(right) + np.count_nonzero(answer)
    dice = 2 * np.count_nonzero(right & answer) / total if total else 1.0
    return Row(
        labelled.entry.source,
        measured.reshape(-1, MEASURES)[chosen],
        right.ravel()[chosen],
        summary(scene, measured, moved_mask, probability, anchors, index),
        bool(right.any()),
        dice,
    )


def logistic(inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, widest: float = 3.0) -> QuadraticForm:
    """A quadratic form whose logistic fits targets of 0 to 1; weights sum to 1."""
    mean = np.average(inputs, axis=0, weights=weights)
    deviation = np.sqrt(np.average((inputs - mean) ** 2, axis=0, weights=weights)) + 1e-6
    z = np.clip((inputs - mean) / deviation, -widest, widest)
    upper = np.triu_indices(inputs.shape[1])
    columns = np.concatenate([z[:, upper[0]] * z[:, upper[1]], z, np.ones((len(z), 1))], axis=1).astype(np.float64)

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        odds = columns @ coefficients
        value = weights @ (np.logaddexp(0, odds) - targets * odds) + RIDGE * coefficients[:-1] @ coefficients[:-1]
        slope = columns.T @ (weights * (1 / (1 + np.exp(-odds)) - targets))
        slope[:-1] += 2 * RIDGE * coefficients[:-1]
        return value, slope

    best = optimize.minimize(loss, np.zeros(columns.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    pairs = np.zeros((inputs.shape[1],) * 2, np.float32)
    pairs[upper] = best.x[: len(upper[0])]
    linear = best.x[len(upper[0]) : -1].astype(np.float32)
    log.info("loss %.4f after %d iterations", best.fun, best.nit)
    mean, deviation = mean.astype(np.float32), deviation.astype(np.float32)
    return QuadraticForm(mean, deviation, pairs, linear, float(best.x[-1]), widest)


def fitted(rows: list[Row]) -> Forms:
    by_source = Counter(row.source for row in rows)
    each = np.array([1 / by_source[row.source] for row in rows])
    counts = [len(row.truth) for row in rows]
    pixel_weights = np.repeat(each / np.array(counts), counts)
    pixel = logistic(
        np.concatenate([row.measures for row in rows]),
        np.concatenate([row.truth for row in rows]).astype(float),
        pixel_weights / pixel_weights.sum(),
    )
    told, there = np.stack([row.summary for row in rows]), np.array([row.present for row in rows])
    even = np.where(there, each / each[there].sum(), each / each[~there].sum()) / 2
    present = logistic(told, there.astype(float), even)
    quality = logistic(told[there], np.array([row.dice for row in rows])[there], each[there] / each[there].sum())
    return Forms(pixel, present, quality)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--most", type=int, default=3, help="objects of one volume")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    entries = datasets.read(asked.dataset).of_subjects("training").entries
    objects = [labelled for entry in entries for labelled in datasets.objects_of(entry, asked.most)]
    found, known = copying(), []
    for round_number in range(asked.rounds):
        slice_geodesic.forms = lambda found=found: found
        rows = []
        for number, labelled in enumerate(objects):
            source = np.random.default_rng((asked.seed, round_number, number))
            axes = "kji" if min(labelled.box.shape_kji) > 8 else "k"
            axis = axes[(number + round_number) % len(axes)]
            rows += rows_of(labelled, "k" if round_number == 0 else axis, source)
        dice = [
            np.mean([row.dice for row in rows if row.source == name and row.present])
            for name in {row.source for row in rows}
        ]
        log.info("round %d: %d answers, mean Dice %.4f", round_number + 1, len(rows), np.mean(dice))
        known = (known if round_number > 1 else []) + rows
        found = fitted(known)
    record = {name: getattr(found, name).to_record() for name in ("pixel", "present", "quality")}
    asked.output.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
