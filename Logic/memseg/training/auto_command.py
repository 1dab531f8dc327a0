"""`memseg train auto`: somebody's finished segmentations become a model that guesses first. Light to import: torch
comes with the training itself."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import FileError, ModelError
from ..replacing import replacing
from .running import console, ready, run

if TYPE_CHECKING:
    from typing import Any

    from .auto_patches import PatchSupply
    from .auto_subjects import Subject
    from .auto_trainer import AutoTrainer

_PLAN = "plan.json"


class Network(StrEnum):
    SEGMAMBA = "segmamba"
    BISEGMAMBA = "bisegmamba"
    MULTISEGMAMBA = "multisegmamba"
    SEGMAMBASKIP = "segmambaskip"
    UNET = "unet"


def auto(
    dataset: Annotated[
        Path, typer.Argument(help="Folder with a manifest.json, or with images and their .seg.nrrd beside them.")
    ],
    out: Annotated[Path, typer.Option(help="Where model, plan, log and checkpoint go; again to go on from there.")],
    network: Annotated[Network, typer.Option(help="Which one to train.")] = Network.SEGMAMBA,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    new: Annotated[bool, typer.Option("--new", help="Begin anew where there is a run already.")] = False,
    minutes: Annotated[float | None, typer.Option(help="Stop cleanly after so long, saving included.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Length of the schedule, 2000 without.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="End after so many looks that were no better, 10 without; 0 for never.")
    ] = None,
    watch_every: Annotated[int, typer.Option(min=1, help="Steps between two looks at the held-out subjects.")] = 100,
    batch: Annotated[int | None, typer.Option(min=1, help="Patches a step, 2 without.")] = None,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate, 0.001 without.")] = None,
    spacing: Annotated[
        str | None, typer.Option(help="S,A,R mm between samples, such as 1.5,1.5,1.5; without: planned.")
    ] = None,
    patch: Annotated[
        str | None, typer.Option(help="S,A,R samples seen at a time, such as 64,64,64; without: planned.")
    ] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Of the first stage; without: planned.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides everything, also who is held out.")] = None,
) -> None:
    """Train until the schedule's end, no more progress, the time limit or Ctrl-C; each leaves a model and a checkpoint,
    and the same command goes on from there."""
    from .auto_planning import Told
    from .auto_subjects import find, held_out

    place = ready(device, None, None, {}, "")
    subjects = find(dataset)
    told = Told(_numbers(spacing, float, "--spacing"), _numbers(patch, int, "--patch"), channels)
    options = {"steps": steps, "batch": batch, "rate": rate, "patience": patience}
    changes = {name: value for name, value in options.items() if value is not None}
    if (out / "checkpoint").is_dir() and not new:
        if told != Told() or seed is not None:
            raise FileError(
                f"The run in {out.name} has its plan; leave out --spacing, --patch, --channels and --seed, or begin "
                "anew with --new."
            )
        trainer = _resumed(out, network, place, changes)
    else:
        trainer = _begun(subjects, network, place, told, {**changes, "seed": seed or 0})
    trainer.tell = console.print
    watched = held_out(subjects, trainer.plan.seed)
    supplies = _supplies(trainer, subjects, watched, out)
    _begin(out, trainer, new)
    from ..automatic.model import FILE
    from .auto_trainer import export

    run(
        trainer,
        supplies,
        out,
        float("inf") if minutes is None else minutes,
        watch_every,
        compact=False,
        export=lambda: export(trainer, out / FILE),
    )
    _write_plan(out, trainer)
    _say_end(trainer, out)


def _begun(
    subjects: tuple[Subject, ...], network: Network, place: Any, told: Any, changes: dict[str, Any]
) -> AutoTrainer:
    from . import auto_subjects
    from .auto_planning import Machine, Survey, planned
    from .auto_trainer import AutoSchedule, AutoTrainer

    surveys = []
    with console.status("Reading the data set") as status:
        for number, subject in enumerate(subjects, start=1):
            surveys.append(Survey.of(subject, auto_subjects.read(subject)))
            status.update(f"Reading the data set: {number} of {len(subjects)}")
    watched = auto_subjects.held_out(subjects, changes["seed"])
    plan, notes = planned(surveys, network.value, Machine.of(place), told, watched)
    for note in notes:
        console.print(note, markup=False, highlight=False)
    try:
        schedule = AutoSchedule(auto=plan, **changes)
    except ValueError as error:
        raise ModelError(f"There is no such training: {error}") from error
    return AutoTrainer(schedule, place)


def _resumed(out: Path, network: Network, place: Any, changes: dict[str, Any]) -> AutoTrainer:
    from . import checkpoint
    from .auto_trainer import AutoTrainer

    trainer = AutoTrainer.resumed(checkpoint.load(out / "checkpoint"), place, **changes)
    if trainer.plan.auto.network.variant != network.value:
        raise FileError(
            f"The run in {out.name} trains {trainer.plan.auto.network.variant}; ask for that with --network, or begin "
            "anew with --new."
        )
    return trainer


def _supplies(
    trainer: AutoTrainer, subjects: tuple[Subject, ...], watched: frozenset[str], out: Path
) -> tuple[PatchSupply, PatchSupply]:
    """To learn from, and to watch by."""
    from . import auto_prepared
    from .auto_patches import PatchSupply

    plan = trainer.plan.auto
    key = auto_prepared.identity(subjects, plan)
    if trainer.plan.data and trainer.plan.data != key:
        raise FileError(
            f"The data set has changed since the run in {out.name} began; begin anew with --new, or give the folder as "
            "it was."
        )
    trainer.plan = replace(trainer.plan, data=key)
    with console.status("Preparing the images") as status:
        for done, of in auto_prepared.prepare(out / "prepared", subjects, plan, key):
            status.update(f"Preparing the images: {done} of {of}")
    prepared = auto_prepared.read(out / "prepared", len(subjects))
    pairs = list(zip(subjects, prepared))
    training = tuple(each for subject, each in pairs if subject.identity not in watched)
    held = tuple(each for subject, each in pairs if subject.identity in watched)
    return PatchSupply(training, trainer.device, plan.mirror), PatchSupply(held, trainer.device)


def _begin(out: Path, trainer: AutoTrainer, new: bool) -> None:
    """Say what will be done; a run that begins anew leaves nothing of the old one."""
    import shutil

    if new:
        shutil.rmtree(out / "checkpoint", ignore_errors=True)
        for name in ("auto.safetensors", "log.csv"):
            (out / name).unlink(missing_ok=True)
    _write_plan(out, trainer)
    plan = trainer.plan.auto
    weights = sum(parameter.numel() for parameter in trainer.network.parameters())
    lines = (
        f"{plan.network.variant}: {weights / 1e6:.1f} million weights, channels {plan.network.channels}",
        f"structures: {', '.join(plan.names)}",
        f"samples of {plan.spacing_sar_mm} mm (S, A, R), patches of {plan.patch_sar}, {trainer.plan.batch} a step",
        f"strides {plan.network.strides}; intensities: {plan.intensities.kind}",
    )
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _write_plan(out: Path, trainer: AutoTrainer) -> None:
    words = json.dumps(trainer.plan_to_record(trainer.plan), indent=1)
    with replacing(out / _PLAN) as temporary:
        temporary.write_text(words, encoding="utf-8")


def _say_end(trainer: AutoTrainer, out: Path) -> None:
    plan = trainer.plan
    if trainer.is_stale:
        console.print(f"Ended early: {plan.patience} looks at the held-out subjects were no better.")
    elif trainer.step < plan.steps:
        console.print("Stopped; the same command goes on from here.")
    console.print(
        f"Best mean Dice of held-out subjects: {max(trainer.best, 0):.3f}, at step {max(trainer.best_step, 0)}. "
        f"Use it: memseg auto IMAGE --model {out} -o OUT.seg.nrrd",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _numbers(words: str | None, kind: type, option: str) -> Any:
    if words is None:
        return None
    try:
        values = tuple(kind(word) for word in words.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 < value < 10_000 for value in values):
        raise ModelError(f"'{words}' is nothing for {option}; give three numbers above 0 for S,A,R, such as 2,1,1.")
    return values
