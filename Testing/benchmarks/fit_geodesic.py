"""Fits the constants of the geodesic segmenter (Logic/memseg/segmenters/geodesic.json) on training subjects only.

    python Testing/benchmarks/fit_geodesic.py DATASET [--labelmaps FOLDER] [--rounds 3] -o FILE

1. Fronts grow from first clicks on training objects; a quadratic form of their measures is fitted to their Dice by
   weighted ridge regression, every source weighing the same.
2. Simulated sessions on training objects are played in rounds. Each correction's working voxels are sampled with their
   measures, and two quadratic forms (after a positive and a negative click) are fitted by logistic regression to all
   rounds so far; the next round is played with them. First answers come from scores fitted without the subject's
   fold, so that corrections are learned on masks as poor as those of unseen subjects. The first round has no forms yet:
   there a click puts right a ball round it.

The constants in the repository were fitted in two runs of this script: "grow" and "cut" in three rounds, "front" once
more after the fronts were made to stop where they are held up (fronts.py). A run from scratch gives others close by.

Label maps without images (a folder with manifest.json) add objects under random contrast as one more source.
Everything is seeded; the fit takes about a quarter of an hour on 2 CPU cores.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage, optimize

from memseg.evaluation import dataset as datasets
from memseg.evaluation.dataset import Entry, LabelledObject
from memseg.evaluation.simulation import next_click
from memseg.geometry import Box, Grid
from memseg.memory.interaction import Interaction
from memseg.prompts import Click
from memseg.segmenters import evidence, first, geodesic, scores
from memseg.segmenters.appearance import COSTS, Picture
from memseg.segmenters.base import Numbered
from memseg.segmenters.evidence import Seeds
from memseg.segmenters.region import Region
from memseg.segmenters.scores import Constants, FrontScore, QuadraticForm
from memseg.volume import Volume

log = logging.getLogger("fit")
FOLDS = 4
OBJECTS_PER_VOLUME = 3  # in sessions; the fronts are fitted to all, which costs little
CLICKS = 8
SAMPLES = 1600  # voxels an answer
RIDGE_FRONTS = 3e-4
WIDEST_FRONTS = 2.0  # at 3 the fronts of slabs of 3 slices were misjudged
RIDGE_VOXELS = 1e-3
_LESION = 100_000
_PAINTED = 0.3  # weight of a painted source in the fit of the fronts, against 1 of a real one
_SHIFTS = tuple(float(value) for value in np.arange(0, 2.01, 0.2))


@dataclass(frozen=True, eq=False)
class FrontRow:
    """The candidates of one arrival map and their Dice with the truth."""

    source: str
    fold: int
    scale: int
    family: int
    measures: np.ndarray
    dice: np.ndarray


@dataclass(frozen=True, eq=False)
class VoxelRow:
    """Sampled voxels of one answer. weight: for a sum over all voxels in units of the object's volume."""

    source: str
    positive: bool
    measures: np.ndarray
    truth: np.ndarray
    weight: np.ndarray


def fold_of(subject: str) -> int:
    return sum(subject.encode()) % FOLDS


# -- objects ---------------------------------------------------------------------------------------------------------


def training_objects(
    dataset: datasets.Dataset, labelmaps: Path | None, most: int, rng: np.random.Generator
) -> Iterator[LabelledObject]:
    yield from dataset.of_subjects("training").objects(most)
    if labelmaps is not None:
        for number, record in enumerate(json.loads((labelmaps / "manifest.json").read_text(encoding="utf-8"))):
            yield from painted_objects(labelmaps / record["label"], record, number, rng)


def painted_objects(path: Path, record: dict, number: int, rng: np.random.Generator) -> Iterator[LabelledObject]:
    """Two structures and a small lesion of a label map, each in an image of its own under random contrast and noise."""
    import SimpleITK as sitk

    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    values = [value for value in record["labels"].values() if np.count_nonzero(labels == value) > 1500]
    for turn, value in enumerate(rng.choice(values, 3, replace=False)):
        step = tuple(int(each) for each in rng.choice([1, 1, 2, 3], 3))
        crop = Box.of_mask(labels == value).grown(rng.integers(8, 40, 3)).clipped(labels.shape)
        part = labels[crop.slices][tuple(slice(None, None, each) for each in step)].astype(np.int32)
        if turn == 2:
            value = _LESION
            part[lesion_in(part == part[tuple(rng.integers(0, part.shape))], step, rng)] = value
        truth = part == value
        box = Box.of_mask(truth)
        if np.count_nonzero(truth) < (12 if value == _LESION else 60):
            continue
        source = "painted lesions" if value == _LESION else "painted"
        entry = Entry(f"painted_{number}_{value}", path, path, (), "none", source, f"painted-{number}")
        volume = Volume(painted(part, rng), Grid.from_spacing(part.shape, tuple(float(each) for each in step)))
        yield LabelledObject(entry, str(value), volume, box, truth[box.slices])


def lesion_in(host: np.ndarray, step: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Bool: an ellipsoid of 2 to 9 mm radius round a voxel of the host, whatever it touches."""
    places = np.argwhere(host)
    centre = places[rng.integers(len(places))]
    radii = rng.uniform(2, 9) * rng.uniform(0.7, 1.3, 3) / np.asarray(step)
    axes = np.ogrid[tuple(slice(0, size) for size in host.shape)]
    return sum(((axis - middle) / radius) ** 2 for axis, middle, radius in zip(axes, centre, radii)) <= 1


def painted(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    values, inverse = np.unique(labels, return_inverse=True)
    means = rng.uniform(0, 100, len(values)).astype(np.float32)
    image = means[inverse.reshape(labels.shape)]
    bias = ndimage.zoom(
        rng.normal(0, 6, (3, 3, 3)), np.asarray(labels.shape) / 3, order=1, grid_mode=True, mode="nearest"
    )
    image = ndimage.gaussian_filter(image + bias.astype(np.float32), rng.uniform(0.3, 1.0))
    return (image + rng.normal(0, rng.uniform(1, 9), labels.shape)).astype(np.float32)


def full_truth(labelled: LabelledObject) -> np.ndarray:
    truth = np.zeros(labelled.volume.shape_kji, np.uint8)
    truth[labelled.box.slices] = labelled.truth
    return truth


def clicks_in(truth: np.ndarray, volume: Volume, rng: np.random.Generator) -> list[Click]:
    """The protocol's first click, and one as a person would place it: anywhere in the deeper half."""
    deepest = correction_of(truth, np.zeros_like(truth), volume.grid)
    box = Box.of_mask(truth).grown(1).clipped(truth.shape)
    depth = ndimage.distance_transform_edt(truth[box.slices], sampling=volume.grid.spacing_kji_mm)
    places = np.argwhere(depth >= 0.5 * depth.max()) + box.start_kji
    return [deepest, Click(tuple(places[rng.integers(len(places))]))]


def correction_of(truth: np.ndarray, mask: np.ndarray, grid: Grid) -> Click | None:
    """The protocol's next click, found in the part of two full masks where there is anything."""
    box = Box.of_mask(truth).union(Box.of_mask(mask)).grown(1).clipped(grid.shape_kji)
    click = next_click(truth[box.slices], mask[box.slices], grid.spacing_kji_mm)
    return None if click is None else Click(tuple(np.add(click.point_kji, box.start_kji)), click.positive)


# -- fronts ----------------------------------------------------------------------------------------------------------


def front_rows(labelled: LabelledObject, rng: np.random.Generator) -> Iterator[FrontRow]:
    truth = full_truth(labelled)
    grid, total = labelled.volume.grid, int(truth.sum())
    for click in clicks_in(truth, labelled.volume, rng):
        point = np.asarray([click.point_kji])
        for scale, reach_mm in enumerate(first.REACHES_MM):
            box = Box.around(point).grown(np.ceil(reach_mm / np.asarray(grid.spacing_kji_mm)).astype(int))
            region = Region.covering(grid, box, first.MOST_VOXELS)
            part = region.sample(truth).ravel()
            look = first.grown_in(region, labelled.volume, point, np.zeros((0, 3), int))
            for family, found in enumerate(look.found):
                levels = len(found.counts)
                shared = np.cumsum(np.bincount(found.level_of.ravel(), part, levels + 1)[:levels])
                dice = 2 * shared / (found.counts + total / np.prod(region.factor_kji))
                measures = first.measures(found, look.centre, look.view)
                yield FrontRow(labelled.entry.source, fold_of(labelled.entry.subject), scale, family, measures, dice)


def fit_fronts(rows: list[FrontRow]) -> FrontScore:
    """Weighted ridge regression of the candidates' Dice."""
    measures = np.concatenate([row.measures for row in rows])
    mean, deviation = measures.mean(axis=0), measures.std(axis=0) + 1e-6
    size, kinds = len(mean), (len(first.REACHES_MM), len(COSTS))
    form = QuadraticForm(mean.astype(np.float32), deviation.astype(np.float32), np.zeros((size, size), np.float32),
                         np.zeros(size, np.float32), 0.0, WIDEST_FRONTS)  # fmt: skip
    upper = np.triu_indices(size)
    normal, right = 0.0, 0.0
    share = Counter(row.source for row in rows)
    for row in rows:
        z = form.standardised(row.measures)
        kind = np.zeros((len(z), *kinds))
        kind[:, row.scale, row.family] = 1
        kind = kind.reshape(len(z), -1)
        lifted = np.concatenate(
            [z, z[:, upper[0]] * z[:, upper[1]], kind, kind * z[:, :1], np.ones((len(z), 1))], axis=1
        )
        weight = (_PAINTED if row.source.startswith("painted") else 1) / share[row.source] / len(z)
        normal = normal + weight * lifted.T @ lifted
        right = right + weight * lifted.T @ row.dice
    normal = normal + RIDGE_FRONTS * len(share) * np.eye(len(normal))
    found = np.linalg.solve(normal, right)
    linear, pairs, offsets, slopes, constant = np.split(
        found, np.cumsum([size, len(upper[0]), int(np.prod(kinds)), int(np.prod(kinds))])
    )
    full = np.zeros((size, size), np.float32)
    full[upper] = pairs
    form = replace(form, pairs=full, linear=linear.astype(np.float32), constant=float(constant[0]))
    return FrontScore(form, offsets.reshape(kinds), slopes.reshape(kinds))


# -- corrections -----------------------------------------------------------------------------------------------------


class Recorder:
    """Plays sessions, every other one with memory, and keeps a sample of the voxels of every correction."""

    def __init__(self, rng: np.random.Generator, with_oracle: bool) -> None:
        self.rows: list[VoxelRow] = []
        self._rng = rng
        self._with_oracle = with_oracle
        self._seen: tuple[Region, np.ndarray, Seeds, np.ndarray] | None = None

    def gather(self, view: Picture, before: np.ndarray, seeds: Seeds) -> np.ndarray:
        """Takes the place of the segmenter's own, and remembers what it gave."""
        measures = evidence.gather(view, before, seeds)
        self._seen = (view.region, before, seeds, measures)
        return measures

    def play(self, labelled: LabelledObject, start: Click, with_memory: bool) -> None:
        truth = full_truth(labelled)
        mask = np.zeros_like(truth)
        prompts: tuple[Numbered, ...] = ()
        memory: tuple[Interaction, ...] = ()
        click: Click | None = start
        segmenter = geodesic.Geodesic()
        for number in range(1, CLICKS + 1):
            if click is None:
                return
            prompts = (*prompts, Numbered(number, click))
            self._seen = None
            answer = segmenter.predict(labelled.volume, prompts, mask, memory if with_memory else None)
            if self._seen is not None:
                self._record(labelled.entry.source, truth)
            if number > 1 and self._with_oracle:
                mask = self._put_right(mask, truth, click, labelled.volume)
            else:
                mask[answer.box.slices] = answer.mask
            memory = (*memory, Interaction(number, "geodesic", answer.sparse))
            click = correction_of(truth, mask, labelled.volume.grid)

    def _put_right(self, mask: np.ndarray, truth: np.ndarray, click: Click, volume: Volume) -> np.ndarray:
        """The mask with the truth put in a ball round the click, 1 to 2.5 times as deep as the error there."""
        wrong = truth != mask
        box = Box.of_mask(wrong).grown(1).clipped(mask.shape)
        inside = tuple(np.subtract(click.point_kji, box.start_kji))
        depth = ndimage.distance_transform_edt(wrong[box.slices], sampling=volume.grid.spacing_kji_mm)[inside]
        squared = np.zeros(mask.shape)
        for axis, (place, step) in enumerate(zip(click.point_kji, volume.grid.spacing_kji_mm)):
            shape = [-1 if other == axis else 1 for other in range(3)]
            squared = squared + (((np.arange(mask.shape[axis]) - place) * step) ** 2).reshape(shape)
        return np.where(squared <= (depth * self._rng.uniform(1, 2.5)) ** 2, truth, mask)

    def _record(self, source: str, truth: np.ndarray) -> None:
        region, before, seeds, measures = self._seen
        part = region.sample(truth).ravel()
        wrong = np.flatnonzero((part > 0.5) != (before.ravel() > 0.5))
        half = SAMPLES // 2
        chosen = self._rng.integers(0, part.size, SAMPLES)
        chance = np.full(part.size, 1 / part.size)
        if len(wrong):
            chosen[half:] = self._rng.choice(wrong, half)
            chance /= 2
            chance[wrong] += 0.5 / len(wrong)
        scale = float((part > 0.5).sum()) + 0.05 * part.size + 1
        weight = (1 / (chance[chosen] * SAMPLES * scale)).astype(np.float32)
        self.rows.append(VoxelRow(source, seeds.newest_is_positive, measures[chosen], part[chosen], weight))


def fit_voxels(rows: list[VoxelRow], ridge: float = RIDGE_VOXELS) -> QuadraticForm:
    """Logistic regression on standardised measures and their products; L-BFGS, every source weighing the same."""
    share = Counter(row.source for row in rows)
    measures = np.concatenate([row.measures for row in rows])
    truth = np.concatenate([row.truth for row in rows]).astype(np.float32)
    weight = np.concatenate([row.weight / share[row.source] for row in rows])
    weight = (weight / weight.sum()).astype(np.float32)
    mean, deviation = measures.mean(axis=0), measures.std(axis=0) + 1e-3
    z = np.clip((measures - mean) / deviation, -3, 3).astype(np.float32)
    size = z.shape[1]

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        pairs = values[: size * size].reshape(size, size).astype(np.float32)
        linear, constant = values[size * size : -1].astype(np.float32), np.float32(values[-1])
        odds = np.einsum("nd,nd->n", z @ ((pairs + pairs.T) / 2) + linear, z) + constant
        cost = float(np.sum(weight * (np.logaddexp(0, odds) - truth * odds), dtype=np.float64))
        residual = weight * (1 / (1 + np.exp(-np.clip(odds, -60, 60))) - truth)
        slope = np.concatenate([(z.T @ (residual[:, None] * z)).ravel(), z.T @ residual, [residual.sum()]]).astype(
            float
        )
        slope[:-1] += 2 * ridge * values[:-1]
        return cost + ridge * float(np.sum(values[:-1] ** 2)), slope

    best = optimize.minimize(
        loss, np.zeros(size * size + size + 1), jac=True, method="L-BFGS-B", options={"maxiter": 120}
    )
    log.info("fitted on %d answers: loss %.4f after %d steps", len(rows), best.fun, best.nit)
    pairs = best.x[: size * size].reshape(size, size)
    symmetric = ((pairs + pairs.T) / 2).astype(np.float32)
    form = QuadraticForm(mean.astype(np.float32), deviation.astype(np.float32), symmetric,
                         best.x[size * size : -1].astype(np.float32), float(best.x[-1]))  # fmt: skip
    return shifted(form, rows)


def shifted(form: QuadraticForm, rows: list[VoxelRow]) -> QuadraticForm:
    """The form with a constant added under which "odds above 0" gives the best mean Dice: calibrated odds do not."""
    odds = [form(row.measures) for row in rows]
    means = []
    for shift in _SHIFTS:
        sources: dict[str, list[float]] = {}
        for row, values in zip(rows, odds):
            mask, truth = values + shift > 0, row.truth > 0.5
            shared = float(row.weight[mask & truth].sum())
            total = float(row.weight[mask].sum() + row.weight[truth].sum())
            sources.setdefault(row.source, []).append(2 * shared / max(total, 1e-9))
        means.append(np.mean([np.mean(values) for values in sources.values()]))
    best = int(np.argmax(means))
    log.info("shift %.2f: Dice %.3f, unshifted %.3f", _SHIFTS[best], means[best], means[0])
    return replace(form, constant=form.constant + _SHIFTS[best])


# -- all of it -------------------------------------------------------------------------------------------------------


def fit(dataset: datasets.Dataset, labelmaps: Path | None, rounds: int, output: Path) -> None:
    rows = []
    for labelled in training_objects(dataset, labelmaps, datasets.MOST_OBJECTS, np.random.default_rng(0)):
        rows += front_rows(labelled, np.random.default_rng(1))
    front = fit_fronts(rows)
    by_fold = [fit_fronts([row for row in rows if row.fold != fold]) for fold in range(FOLDS)]
    log.info("fronts: %d maps", len(rows))
    voxels: list[VoxelRow] = []
    grow = cut = None
    for number in range(rounds):
        recorder = Recorder(np.random.default_rng(2 + number), with_oracle=number == 0)
        chosen = training_objects(dataset, labelmaps, OBJECTS_PER_VOLUME, np.random.default_rng(0))
        for place, labelled in enumerate(chosen):
            held_out = by_fold[fold_of(labelled.entry.subject)]
            clicks = clicks_in(full_truth(labelled), labelled.volume, np.random.default_rng(1000 * number + place))
            with using(Constants(held_out, grow or _NONE, cut or _NONE), recorder):
                recorder.play(labelled, clicks[number % 2], with_memory=place % 2 == number // 2 % 2)
        voxels += recorder.rows
        grow, cut = (fit_voxels([row for row in voxels if row.positive == positive]) for positive in (True, False))
        write(Constants(front, grow, cut), output)
        log.info("round %d: %d answers so far", number + 1, len(voxels))


_SIZE = len(evidence.COLUMNS)
_NONE = QuadraticForm(*(np.full(_SIZE, value, np.float32) for value in (0, 1)), np.zeros((_SIZE, _SIZE), np.float32),
                      np.zeros(_SIZE, np.float32), 0.0)  # fmt: skip


@contextmanager
def using(constants: Constants, recorder: Recorder) -> Iterator[None]:
    """Within the block the segmenter works with these constants and shows the recorder what it measures."""
    kept = (first.constants, geodesic.constants, geodesic.gather)
    first.constants = geodesic.constants = lambda: constants
    geodesic.gather = recorder.gather
    try:
        yield
    finally:
        first.constants, geodesic.constants, geodesic.gather = kept


def write(constants: Constants, output: Path) -> None:
    front = constants.front.form.to_record()
    front["offsets"] = [[round(float(value), 5) for value in row] for row in constants.front.offsets]
    front["slopes"] = [[round(float(value), 5) for value in row] for row in constants.front.slopes]
    record = {"front": front, "grow": constants.grow.to_record(), "cut": constants.cut.to_record()}
    output.write_text(json.dumps(record), encoding="utf-8")
    scores.constants.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--labelmaps", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fit(datasets.read(given.dataset), given.labelmaps, given.rounds, given.output)


if __name__ == "__main__":
    main()
