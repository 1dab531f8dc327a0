"""Fits how far an answer of the recall memory can be trusted: the numbers in Logic/memseg/text/evidence.py.

    python Testing/benchmarks/fit_recall.py data/labelled --keep answers.jsonl

Only training subjects take part, as images and as what is remembered. Each structure is asked for where it is (the
whole scan, or one cut short 25 to 65 mm beyond it), answered from one, three or all other subjects of its source, and
where it is not (the part of the scan that begins 12 mm beyond it, and scans of other sources). Lesions, which lie
anywhere, take part where they are not. Answers are kept in a file, so that a run goes on where it stopped; half an
hour in all on one core.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from memseg.evaluation import dataset
from memseg.evaluation.text.memories import remembered, without
from memseg.geometry import Grid
from memseg.memory.recall import RecallMemory
from memseg.text.evidence import WEIGHTS, Evidence
from memseg.text.naming import key_of
from memseg.text.pieces import Piece
from memseg.text.recalling import recall
from memseg.text.terminology import of_name
from memseg.volume import Volume

FOUND_IOU = 0.3
COUNTS = (1, 3, None)  # remembered subjects; None: all others
BEYOND_MM, SHORTEST_MM, AROUND_MM = 12.0, 60.0, (25.0, 45.0, 65.0)
HOW_MUCH = {"whole": 1.0, "around": 0.7, "beyond": 0.7, "elsewhere": 0.7}
HELD = 1.0  # on the squares of the weights of measures with spread 1
THRESHOLDS = (0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class Asked:
    """One structure asked for in a volume. case: one of HOW_MUCH. count: remembered subjects. truth: None where it is
    not there."""

    volume: Volume
    name: str
    case: str
    count: int | None
    truth: Piece | None


@dataclass(frozen=True)
class Answer:
    """A row of the fit; right: 1.0 or 0.0."""

    entry: str
    subject: str
    source: str
    name: str
    case: str
    count: int | None
    right: float
    scan: float
    near: float
    size: float
    looks: float

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.scan, self.near, self.size, self.looks)

    @property
    def is_lesion(self) -> bool:
        known = of_name(self.name)
        return known is not None and known[0].kind == "lesion"


# -- what is asked ---------------------------------------------------------------------------------------------------


def asked_in(entry: dataset.Entry, number: int, names: list[str]) -> Iterator[Asked]:
    """number: of the entry, by which cases take turns. names: of structures that it does not have."""
    objects = list(dataset.objects_of(entry, most=1000))
    for place, labelled in enumerate(objects):
        volume, truth = labelled.volume, Piece(labelled.volume.grid, labelled.box, labelled.truth)
        turn = number + place
        for count in COUNTS if len(objects) < 4 else (COUNTS[turn % 3],):
            yield Asked(volume, labelled.name, "whole", count, truth)
        axis = long_axis(volume.grid)
        step = volume.grid.spacing_kji_mm[axis]
        low, high, size = labelled.box.start_kji[axis], labelled.box.stop_kji[axis], volume.shape_kji[axis]
        beyond, around = int(BEYOND_MM / step), int(AROUND_MM[turn % 3] / step)
        ends = [(0, low - beyond), (high + beyond, size)]
        ends = [end for end in ends if (end[1] - end[0]) * step >= SHORTEST_MM]
        count = COUNTS[2 * (turn % 2)]
        if ends:
            yield Asked(part_of(volume, axis, *ends[turn % len(ends)]), labelled.name, "beyond", count, None)
        start, stop = max(0, low - around), min(size, high + around)
        if (stop - start) * step < size * step - 20:
            part = part_of(volume, axis, start, stop)
            box = labelled.box.shifted([-start if each == axis else 0 for each in range(3)])
            yield Asked(part, labelled.name, "around", count, Piece(part.grid, box, labelled.truth))
    for place, name in enumerate(names):
        if (number + place) % 2 or len(names) < 4:
            yield Asked(objects[0].volume, name, "elsewhere", COUNTS[2 * ((number + place) // 2 % 2)], None)


def long_axis(grid: Grid) -> int:
    """0, 1 or 2, for k, j or i: the one nearest to the patient's length."""
    return 2 - int(np.abs(grid.ijk_to_ras[2, :3]).argmax())


def part_of(volume: Volume, axis: int, start: int, stop: int) -> Volume:
    """Slices of a volume, where they lie in the world."""
    first = [start if each == axis else 0 for each in range(3)]
    array = volume.array_kji[tuple(slice(start, stop) if each == axis else slice(None) for each in range(3))]
    matrix = volume.grid.ijk_to_ras.copy()
    matrix[:3, 3] = volume.grid.ras_from_kji(np.array(first, float))
    return Volume(np.ascontiguousarray(array), Grid(array.shape, matrix))


def answered(asked: Asked, entry: dataset.Entry, memory: RecallMemory, data: dataset.Dataset) -> Answer | None:
    """None where nothing comparable is remembered, or nothing was found."""
    kept = without(memory, data, entry.subject, asked.count)
    found = recall(asked.volume, *key_of(asked.name), kept)
    if found is None or found.evidence is None:
        return None
    piece = Piece(asked.volume.grid, found.box, found.mask > 0)
    right = asked.truth is not None and piece.overlap(asked.truth) > FOUND_IOU
    row = (entry.identity, entry.subject, entry.source, asked.name, asked.case, asked.count, float(right))
    return Answer(*row, **asdict(found.evidence))


# -- the fit ---------------------------------------------------------------------------------------------------------


def fitted(rows: list[Answer]) -> np.ndarray:
    """(5,) weights of Evidence.measures, by Newton's method."""
    measures = np.array([row.evidence.measures() for row in rows])[:, 1:]
    right, much = np.array([row.right for row in rows]), np.array([HOW_MUCH[row.case] for row in rows])
    middle, spread = np.average(measures, axis=0, weights=much), measures.std(axis=0)
    table = np.column_stack([np.ones(len(rows)), (measures - middle) / spread])
    weights, held = np.zeros(table.shape[1]), HELD * np.diag([0.0, *np.ones(measures.shape[1])])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-table @ weights))
        slope = table.T @ (much * (right - chance)) - held @ weights
        bend = (table * (much * chance * (1 - chance))[:, None]).T @ table + held
        weights = weights + np.linalg.solve(bend, slope)
    return np.array([weights[0] - (weights[1:] * middle / spread).sum(), *(weights[1:] / spread)])


def left_out(rows: list[Answer]) -> np.ndarray:
    """The chance of each row by what was fitted without its subject."""
    chances = np.zeros(len(rows))
    for subject in {row.subject for row in rows}:
        weights = fitted([row for row in rows if row.subject != subject])
        for place, row in enumerate(rows):
            if row.subject == subject:
                chances[place] = 1 / (1 + np.exp(-weights @ row.evidence.measures()))
    return chances


def tell(rows: list[Answer]) -> None:
    used = [row for row in rows if not row.is_lesion or row.case == "elsewhere"]
    chances, right = left_out(used), np.array([row.right for row in used])
    print(f"{len(used)} answers of {len({row.subject for row in used})} subjects")
    print("WEIGHTS =", np.round(fitted(used), 2).tolist(), " in the code:", WEIGHTS.tolist())
    print("\nEach subject by what was fitted without it:\n\nchance       answers  mean  right")
    edges = (0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 1.01)
    for low, high in zip(edges, edges[1:]):
        held = (chances >= low) & (chances < high)
        if held.any():
            share = f"{chances[held].mean():5.0%} {right[held].mean():6.0%}"
            print(f"{low:4.0%} to {min(high, 1):4.0%} {held.sum():8d} {share}")
    print("\nsource, case                                answers  right  mean chance  of the wrong ones above 30%")
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, row in enumerate(used):
        groups[row.source, row.case].append(place)
    for (source, case), held in sorted(groups.items()):
        wrong = [place for place in held if not right[place]]
        above = f"{(chances[wrong] > 0.3).mean():.0%}" if wrong else "-"
        name = f"{source.split('/')[-1]} {case}"
        print(f"{name:44s} {len(held):6d} {right[held].mean():6.0%} {chances[held].mean():12.0%}  {above}")
    print("\nthreshold   of the right kept   of the wrong refused: where it is, beyond, elsewhere")
    for threshold in THRESHOLDS:
        refused = [
            np.mean([chances[at] < threshold for at, row in enumerate(used) if row.case in cases and not row.right])
            for cases in (("whole", "around"), ("beyond",), ("elsewhere",))
        ]
        print(f"{threshold:9.0%} {(chances[right > 0] >= threshold).mean():18.0%}   ", *map("{:8.0%}".format, refused))
    print("\nlesions where they are: answers, mean chance, right")
    for kind in ("CT", "MR", "PET"):
        lesions = [
            row for row in rows if row.is_lesion and row.case in ("whole", "around") and row.source.endswith(kind)
        ]
        for least in (0.0, 0.3):
            held = [row for row in lesions if row.evidence.chance >= least]
            if held:
                chance, right = (
                    np.mean(values) for values in zip(*((each.evidence.chance, each.right) for each in held))
                )
                print(f"{kind} of a chance above {least:.0%}: {len(held)} answers, {chance:.0%}, {right:.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--keep", type=Path, required=True, help="file of answers, which may be there already")
    arguments = parser.parse_args()
    data = dataset.read(arguments.dataset).of_subjects("training")
    lines = arguments.keep.read_text().splitlines() if arguments.keep.exists() else []
    done = {json.loads(line)["entry"] for line in lines}
    if len(done) < len(data.entries):
        memory = RecallMemory(tuple(made for entry in data.entries for made in remembered(entry)))
        names = sorted({(each.title, each.key) for each in memory})
        for number, entry in enumerate(data.entries):
            if entry.identity in done:
                continue
            own = {key_of(name)[0] for name, _ in entry.labels}
            others = [title for title, key in names if key not in own]
            rows = [answered(asked, entry, memory, data) for asked in asked_in(entry, number, others)]
            with arguments.keep.open("a") as file:
                file.writelines(json.dumps(asdict(row)) + "\n" for row in rows if row is not None)
            print(f"{entry.identity}: {sum(row is not None for row in rows)} answers", flush=True)
    tell([Answer(**json.loads(line)) for line in arguments.keep.read_text().splitlines()])


if __name__ == "__main__":
    main()
