"""The five networks of the first guess on the same subjects, at equal time and at equal steps, on one thread.

    python Testing/benchmarks/auto_networks.py DATASET --out FOLDER [--task NAME] [--network NAME] [--seed 0]

DATASET: a labelled data set with CTs of the head and neck from OpenKBP and short-axis MRs of the heart from SegNetCMR.
Training subjects teach, validation subjects (memseg's split.json) are scored, each whole, in its own voxels. Every
network is trained once, at a constant rate, for the same seconds of the processor; a run ends at the first step that is
kept after its time. Its averaged weights are kept every few steps, so that equal time and equal steps (those that the
slowest network reached) are taken from one run; beside each network stands the plain one after as many steps. Training,
scoring and peak memory are processes of their own. What is done stays in FOLDER and is not done again;
FOLDER/networks.md is written anew after each.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memseg.automatic import model
from memseg.automatic.frame import Frame
from memseg.automatic.model import AutoModel
from memseg.automatic.plan import AutoPlan
from memseg.evaluation.dataset import is_validation
from memseg.evaluation.records import machine
from memseg.training import auto_prepared, auto_subjects
from memseg.training.auto_patches import PatchSupply
from memseg.training.auto_planning import Machine, Survey, Told, planned
from memseg.training.auto_subjects import Subject
from memseg.training.auto_trainer import AutoSchedule, AutoTrainer

PLAIN = "unet"
NETWORKS = (PLAIN, "segmamba", "segmambaskip", "bisegmamba", "multisegmamba")
EVERY = 5  # steps between two sets of weights that are kept
MOST = 300  # steps after which only the last ones are
RATE, CHANNELS = 3e-3, 8
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Task:
    """person: what names of its persons begin with. seconds: of the processor, to train a network for. scored: so many
    of the validation subjects."""

    person: str
    structures: tuple[str, ...]
    spacing_sar_mm: tuple[float, float, float]
    patch_sar: tuple[int, int, int]
    batch: int
    seconds: float
    scored: int


TASKS = {
    "heart": Task("scd-", ("left_ventricle_cavity",), (8.0, 4.0, 4.0), (8, 32, 32), 1, 60, 4),
    "head-and-neck": Task(
        "kbp-", ("brainstem", "mandible", "parotid_left", "parotid_right"), (6.0, 6.0, 6.0), (32, 24, 32), 2, 72, 6
    ),
}


def subjects_of(task: Task, dataset: Path) -> tuple[Subject, ...]:
    """Those of the task, with its structures only."""
    return tuple(
        replace(each, labels=tuple(pair for pair in each.labels if pair[0] in task.structures))
        for each in auto_subjects.find(dataset)
        if each.person.startswith(task.person)
    )


def validation(subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
    return tuple(each for each in subjects if is_validation(each.person))


def scored(task: Task, dataset: Path) -> tuple[Subject, ...]:
    """All images of the first validation subjects."""
    held = validation(subjects_of(task, dataset))
    persons = list(dict.fromkeys(each.person for each in held))[: task.scored]
    return tuple(each for each in held if each.person in persons)


# ------------------------------------------------------------------------------------------------- one network, trained


def train(task: Task, network: str, dataset: Path, folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Weights in `folder`, as step5.safetensors, step10.safetensors, ..."""
    subjects = subjects_of(task, dataset)
    plan = _plan(task, network, subjects)
    key = auto_prepared.identity(subjects, plan)
    prepared = folder.parent / "prepared"
    for _ in auto_prepared.prepare(prepared, subjects, plan, key):
        pass
    pairs = zip(subjects, auto_prepared.read(prepared, len(subjects)))
    taught = tuple(each for subject, each in pairs if not is_validation(subject.person))
    before = peak_megabytes()
    trainer = AutoTrainer(
        AutoSchedule(auto=plan, seed=seed, steps=1_000_000, warm_up=10, batch=task.batch, rate=RATE, last_rate=RATE),
        CPU,
    )
    spent, last = 0.0, time.process_time()
    for progress in trainer.run(PatchSupply(taught, CPU, plan.mirror)):
        spent += time.process_time() - last
        if progress.step % EVERY == 0:
            ends = spent >= seconds
            if progress.step <= MOST or ends:
                model.save(folder / f"step{progress.step}.safetensors", trainer.average, plan)
            if ends:
                break
        if progress.step % 25 == 0:
            words = (
                f"{network}, step {progress.step}: loss {progress.loss:.3f}, Dice {progress.dice:.3f}, {spent:.0f} s"
            )
            print(words, flush=True)
        last = time.process_time()
    weights = sum(each.numel() for each in trainer.network.parameters())
    return {
        "weights": weights,
        "steps": trainer.step,
        "seconds": spent,
        "megabytes": peak_megabytes() - before,
        "images": len(taught),
        "channels": plan.network.channels,
        "strides": plan.network.strides,
    }


def _plan(task: Task, network: str, subjects: tuple[Subject, ...]) -> AutoPlan:
    """As `memseg train auto --spacing --patch --channels` makes it."""
    surveys = [Survey.of(subject, auto_subjects.read(subject)) for subject in subjects]
    told = Told(task.spacing_sar_mm, task.patch_sar, CHANNELS)
    watched = frozenset(subject.identity for subject in validation(subjects))
    return planned(surveys, network, Machine.of(CPU), told, watched)[0]


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# -------------------------------------------------------------------------------------------------- one network, scored


def score(task: Task, dataset: Path, file: Path) -> dict[str, Any]:
    """Dice of each structure, mean of the validation images that hold it, and seconds of the processor an image."""
    auto, dice, seconds = AutoModel.load(file, "cpu"), {name: [] for name in task.structures}, []
    for subject in scored(task, dataset):
        drawn = auto_subjects.read(subject)
        start = time.process_time()
        *_, last = auto.propose(drawn.volume)
        seconds.append(time.process_time() - start)
        for name, truth in drawn.masks.items():
            if truth.any():
                found = last.masks.get(name)
                dice[name].append(0.0 if found is None else overlap(truth, found > 0))
    return {"dice": {name: float(np.mean(each)) for name, each in dice.items()}, "seconds": float(np.median(seconds))}


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * int(np.count_nonzero(one & other)) / (int(np.count_nonzero(one)) + int(np.count_nonzero(other)))


def ceiling(task: Task, dataset: Path) -> dict[str, float]:
    """Dice of the truth itself after it was brought to the samples and back: no network can get far above it."""
    dice: dict[str, list[float]] = {name: [] for name in task.structures}
    for subject in scored(task, dataset):
        drawn = auto_subjects.read(subject)
        frame = Frame.of(drawn.volume.grid, task.spacing_sar_mm)
        back = frame.returned(frame.labels(auto_subjects.classes_of(drawn, task.structures)))
        for number, name in enumerate(task.structures, start=1):
            if drawn.masks[name].any():
                dice[name].append(overlap(drawn.masks[name], back == number))
    return {name: float(np.mean(each)) for name, each in dice.items()}


def memory(task: Task, dataset: Path, file: Path) -> dict[str, Any]:
    """MB at the peak above what was there before, and what is announced; of the largest validation image."""
    auto = AutoModel.load(file, "cpu")
    volumes = [auto_subjects.read(subject).volume for subject in scored(task, dataset)]
    volume = max(volumes, key=lambda each: each.array_kji.size)
    need, before = auto.need(volume), peak_megabytes()
    for _ in auto.propose(volume):
        pass
    return {
        "megabytes": peak_megabytes() - before,
        "announced": need.bytes / 2**20,
        "windows": need.windows,
        "shape": volume.shape_kji,
    }


# ------------------------------------------------------------------------------------------------------- all of them


def compare(name: str, networks: tuple[str, ...], told: argparse.Namespace) -> None:
    folder = told.out / f"{name}-seed{told.seed}"
    _done(folder / "ceiling.json", "ceiling", name, told, folder)
    for network in networks:
        _done(folder / network / "trained.json", "train", name, told, network)
        weights = folder / network / f"step{_read(folder / network / 'trained.json')['steps']}.safetensors"
        _done(weights.with_suffix(".json"), "score", name, told, weights)
        _done(folder / network / "memory.json", "memory", name, told, weights)
        as_many = folder / PLAIN / f"{weights.stem}.safetensors"
        if as_many.is_file():
            _done(as_many.with_suffix(".json"), "score", name, told, as_many)
        write_report(told)
    trained = trained_in(folder)
    for network in trained:
        weights = folder / network / f"step{equal_steps(trained)}.safetensors"
        _done(weights.with_suffix(".json"), "score", name, told, weights)
        write_report(told)


def trained_in(folder: Path) -> dict[str, dict[str, Any]]:
    found = {each: _read(folder / each / "trained.json") for each in NETWORKS}
    return {each: record for each, record in found.items() if record}


def equal_steps(trained: dict[str, dict[str, Any]]) -> int:
    """Those that all have weights of."""
    return min(MOST, *(each["steps"] for each in trained.values()))


def _done(answer: Path, what: str, task: str, told: argparse.Namespace, given: object) -> None:
    """Unless the answer is there: in a process of its own, so that its memory is its own."""
    if answer.is_file():
        return
    answer.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(told.dataset), "--out", str(told.out), "--one", what, task, str(given)]
    command += ["--scale", str(told.scale), "--seed", str(told.seed), "--answer", str(answer)]
    subprocess.run(command, check=True)


def one(told: argparse.Namespace) -> None:
    what, name, given = told.one
    torch.set_num_threads(1)
    task = TASKS[name]
    if what == "train":
        found = train(task, given, told.dataset, told.answer.parent, task.seconds * told.scale, told.seed)
    elif what == "ceiling":
        found = ceiling(task, told.dataset)
    else:
        found = {"score": score, "memory": memory}[what](task, told.dataset, Path(given))
    told.answer.write_text(json.dumps(found, indent=1), encoding="utf-8")


# ------------------------------------------------------------------------------------------------------- in Markdown


def write_report(told: argparse.Namespace) -> None:
    found = machine()
    lines = [f"{found['processor']}, torch {found['torch']}; one thread, seconds of the processor; seed {told.seed}."]
    for name, task in TASKS.items():
        lines += report(name, task, told.out / f"{name}-seed{told.seed}")
    (told.out / "networks.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def report(name: str, task: Task, folder: Path) -> list[str]:
    trained = trained_in(folder)
    if not trained:
        return []
    steps, seconds = equal_steps(trained), max(record["seconds"] for record in trained.values())
    lasts = {each: record["steps"] for each, record in trained.items()}
    lines = ["", *costs(name, folder, trained)]
    lines += ["", *dice_table(f"{name}: Dice after {seconds:.0f} s", task, folder, lasts)]
    lines += ["", *dice_table(f"{name}: Dice after {steps} steps", task, folder, dict.fromkeys(trained, steps))]
    return lines


def costs(name: str, folder: Path, trained: dict[str, dict[str, Any]]) -> list[str]:
    lines = [f"| {name} | weights | steps | s | steps a minute | training: MB | an image: s | MB | announced: MB |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for each, record in trained.items():
        scored = _read(folder / each / f"step{record['steps']}.json")
        held = _read(folder / each / "memory.json")
        cells = [f"{record['weights']:,}", record["steps"], f"{record['seconds']:.0f}"]
        cells += [f"{60 * record['steps'] / record['seconds']:.0f}", f"{record['megabytes']:.0f}"]
        cells += [f"{scored['seconds']:.1f}" if scored else ""]
        cells += [f"{held['megabytes']:.0f}", f"{held['announced']:.0f}"] if held else ["", ""]
        lines.append(f"| {each} | {' | '.join(map(str, cells))} |")
    return lines


def dice_table(title: str, task: Task, folder: Path, steps: dict[str, int]) -> list[str]:
    lines = [f"| {title} | mean | {PLAIN} after as many steps | {' | '.join(task.structures)} |"]
    lines.append("|---|---|---|" + "---|" * len(task.structures))
    rows = {each: _read(folder / each / f"step{count}.json").get("dice") for each, count in steps.items()}
    rows["the truth at this spacing"] = _read(folder / "ceiling.json")
    for each, dice in rows.items():
        if dice:
            plain = _read(folder / PLAIN / f"step{steps.get(each)}.json").get("dice")
            cells = [_mean(dice), _mean(plain) if plain else "", *(f"{dice[name]:.2f}" for name in task.structures)]
            lines.append(f"| {each} | {' | '.join(cells)} |")
    return lines


def _mean(dice: dict[str, float]) -> str:
    return f"{float(np.mean(list(dice.values()))):.2f}"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", choices=TASKS, action="append", help="Without: all.")
    parser.add_argument("--network", choices=NETWORKS, action="append", help="Without: all.")
    parser.add_argument("--scale", type=float, default=1.0, help="Of the seconds that each network is trained for.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "TASK", "GIVEN"), help="One part, as JSON to --answer.")
    parser.add_argument("--answer", type=Path)
    told = parser.parse_args()
    if told.one:
        one(told)
        return
    for name in told.task or TASKS:
        compare(name, tuple(told.network or NETWORKS), told)


if __name__ == "__main__":
    main()
