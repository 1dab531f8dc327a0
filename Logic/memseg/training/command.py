"""`memseg train prepare`, `memseg train nano` and `memseg train slices`. Light to import: torch comes with the training
itself."""

from __future__ import annotations

import csv
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..errors import FileError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..networks.nano import NanoConfig
    from ..networks.slices import SliceConfig
    from .loop import Loop, Progress
    from .shards import Shard
    from .slice_trainer import SliceTrainer
    from .trainer import Trainer

app = typer.Typer(help="Train the shipped networks, on a GPU in slices of some minutes.", no_args_is_help=True)
console = Console()
_LOG = "log.csv"


@app.command()
def prepare(
    datasets: Annotated[list[Path], typer.Argument(help="Folders of labelled data sets or label maps.")],
    out: Annotated[Path, typer.Option(help="Where to put the shards, one folder for each data set.")],
) -> None:
    """Write training subjects and label maps as small files that training reads with numpy alone."""
    from .shards import prepare as write_shards

    for folder in datasets:
        with console.status(f"Preparing {folder.name}") as status:
            done = 0
            for done, total in write_shards(folder, out / folder.name):
                status.update(f"Preparing {folder.name}: {done} of {total}")
        console.print(f"{folder.name}: {done} shards")


@app.command()
def nano(
    out: Annotated[Path, typer.Option(help="Where checkpoint, log and weights go.")],
    shards: Annotated[
        list[Path] | None, typer.Option(help="Folder of shards; may be repeated. Without: synthetic scenes alone.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on from this checkpoint, keeping its plan.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Begin with the weights of this file, such as the shipped ones.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Stop cleanly after so long, saving included.")] = 9.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    steps: Annotated[int | None, typer.Option(help="Length of the schedule.")] = None,
    batch: Annotated[int | None, typer.Option(help="Scenes a step.")] = None,
    edge: Annotated[int | None, typer.Option(help="Samples along a scene.")] = None,
    region: Annotated[int | None, typer.Option(help="Samples along the network's region.")] = None,
    widths: Annotated[str | None, typer.Option(help="Channels of the three levels, such as 32,64,128.")] = None,
    memory: Annotated[str | None, typer.Option(help="sparse, dense, both or none.")] = None,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Most prompts in an episode.")] = None,
    synthetic: Annotated[float | None, typer.Option(help="Share of synthetic scenes, 0 to 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides everything.")] = None,
    watched_objects: Annotated[int | None, typer.Option(help="Held-out objects to watch training by.")] = None,
    watch_every: Annotated[int, typer.Option(help="Steps between two looks at the held-out objects.")] = 500,
    compact: Annotated[bool, typer.Option(help="Smaller checkpoints, no longer exact to the bit.")] = False,
) -> None:
    """Train until the schedule's end, the time limit or Ctrl-C; each leaves a checkpoint to go on from."""
    told = {
        "steps": steps,
        "batch": batch,
        "edge": edge,
        "rate": rate,
        "rounds": rounds,
        "synthetic": synthetic,
        "seed": seed,
        "watched": watched_objects,
    }
    changes = {name: value for name, value in told.items() if value is not None}
    shape = {"region": region, "widths": widths, "memory": memory}
    shape = {name: value for name, value in shape.items() if value is not None}
    trainer = _trainer(resume, weights, device, changes, shape)

    from .supply import Supply
    from .trainer import export

    plan = trainer.plan

    def supplied(shards: tuple[Shard, ...]) -> Supply:
        return Supply(trainer.device, plan.edge, shards, plan.synthetic)

    supplies = _supplies(tuple(shards or ()), supplied)
    _run(trainer, supplies, out, minutes, watch_every, compact, lambda: export(trainer, out / "nano.safetensors"))


@app.command()
def slices(
    out: Annotated[Path, typer.Option(help="Where checkpoint, log and weights go.")],
    shards: Annotated[
        list[Path] | None, typer.Option(help="Folder of shards; may be repeated. Without: synthetic stacks alone.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on from this checkpoint, keeping its plan.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Begin with the weights of this file, such as the shipped ones.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Stop cleanly after so long, saving included.")] = 9.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    steps: Annotated[int | None, typer.Option(help="Length of the schedule.")] = None,
    batch: Annotated[int | None, typer.Option(help="Stacks a step.")] = None,
    edge: Annotated[int | None, typer.Option(help="Samples along a slice of a stack.")] = None,
    window: Annotated[int | None, typer.Option(help="Samples along the network's window.")] = None,
    widths: Annotated[str | None, typer.Option(help="Channels of the three levels, such as 32,64,128.")] = None,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    followed: Annotated[int | None, typer.Option(help="Most slices followed in an episode.")] = None,
    synthetic: Annotated[
        float | None, typer.Option(help="Share of stacks from synthetic anatomy and label maps, 0 to 1.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides everything.")] = None,
    watched_objects: Annotated[int | None, typer.Option(help="Held-out objects to watch training by.")] = None,
    watch_every: Annotated[int, typer.Option(help="Steps between two looks at the held-out objects.")] = 500,
    compact: Annotated[bool, typer.Option(help="Smaller checkpoints, no longer exact to the bit.")] = False,
) -> None:
    """Train the network that follows an object from slice to slice; stops and goes on as `nano` does."""
    told = {
        "steps": steps,
        "batch": batch,
        "edge": edge,
        "rate": rate,
        "followed": followed,
        "synthetic": synthetic,
        "seed": seed,
        "watched": watched_objects,
    }
    changes = {name: value for name, value in told.items() if value is not None}
    shape = {name: value for name, value in {"window": window, "widths": widths}.items() if value is not None}
    trainer = _slice_trainer(resume, weights, device, changes, shape)

    from .slice_trainer import export
    from .stacks import StackSupply

    plan = trainer.plan

    def supplied(shards: tuple[Shard, ...]) -> StackSupply:
        return StackSupply(trainer.device, plan.edge, shards, plan.synthetic, plan.seed)

    supplies = _supplies(tuple(shards or ()), supplied)
    _run(trainer, supplies, out, minutes, watch_every, compact, lambda: export(trainer, out / "slices.safetensors"))


def _run(
    trainer: Loop,
    supplies: tuple[Any, Any],
    out: Path,
    minutes: float,
    watch_every: int,
    compact: bool,
    export: Callable[[], None],
) -> None:
    until = time.monotonic() + 60 * minutes * 0.97 - 5  # watching and saving at the end take some seconds
    console.print(f"Training on {trainer.device} from step {trainer.step} of {trainer.plan.steps}.")
    out.mkdir(parents=True, exist_ok=True)
    training, watched = supplies

    def keep() -> None:
        _watch(rows, trainer, watched)
        _save(trainer, out, compact)
        export()

    with _stoppable() as asked, _log(out / _LOG) as rows:
        for progress in trainer.run(training, until, lambda: bool(asked)):
            last = progress.step == trainer.plan.steps
            if progress.step % 20 == 0 or last or progress.step == 1:
                _tell(rows, progress)
            if progress.step % watch_every == 0:
                keep()
        keep()


def _ready(device: str, resume: Path | None, weights: Path | None, shape: dict[str, object], options: str) -> Any:
    """The device to train on. options: those that make up a network, which one that is given has already."""
    import torch

    from ..segmenters.placed import chosen_device

    place = chosen_device(device)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True  # the convolutions of a run all have the same shapes
    if (resume is not None or weights is not None) and shape:
        raise FileError(f"The network is the one given; leave out {options}.")
    if resume is not None and weights is not None:
        raise FileError("A resumed run has its weights; leave out --weights.")
    return place


def _trainer(
    resume: Path | None, weights: Path | None, device: str, changes: dict[str, object], shape: dict[str, object]
) -> Trainer:
    from ..segmenters import nano_weights
    from . import checkpoint
    from .trainer import Plan, Trainer

    place = _ready(device, resume, weights, shape, "--region, --widths and --memory")
    if weights is not None:
        return Trainer.beginning_with(nano_weights.load(weights), place, **changes)
    if resume is not None:
        return Trainer.resumed(checkpoint.load(resume), place, **changes)
    return Trainer(Plan(network=_network(shape), **changes), place)


def _slice_trainer(
    resume: Path | None, weights: Path | None, device: str, changes: dict[str, object], shape: dict[str, object]
) -> SliceTrainer:
    from ..segmenters import slice_weights
    from . import checkpoint
    from .slice_trainer import SlicePlan, SliceTrainer

    place = _ready(device, resume, weights, shape, "--window and --widths")
    if weights is not None:
        return SliceTrainer.beginning_with(slice_weights.load(weights), place, **changes)
    if resume is not None:
        return SliceTrainer.resumed(checkpoint.load(resume), place, **changes)
    return SliceTrainer(SlicePlan(network=_slice_network(shape), **changes), place)


def _slice_network(shape: dict[str, object]) -> SliceConfig:
    from ..networks.slices import SliceConfig

    try:
        fields = {"edge": shape["window"]} if "window" in shape else {}
        if "widths" in shape:
            fields["widths"] = tuple(int(word) for word in str(shape["widths"]).split(","))
        return SliceConfig(**fields)
    except (ValueError, IndexError) as error:
        raise ModelError(f"There is no such network: {error}") from error


def _network(shape: dict[str, object]) -> NanoConfig:
    from ..networks.memory_attention import MemoryConfig
    from ..networks.nano import NanoConfig

    try:
        fields = {"region": shape["region"]} if "region" in shape else {}
        if "widths" in shape:
            fields["widths"] = tuple(int(word) for word in str(shape["widths"]).split(","))
        return NanoConfig(**fields, memory=MemoryConfig(variant=str(shape.get("memory", "both"))))
    except (ValueError, IndexError) as error:
        raise ModelError(f"There is no such network: {error}") from error


def _supplies(folders: tuple[Path, ...], supplied: Callable[[tuple[Shard, ...]], Any]) -> tuple[Any, Any]:
    """To train from, and to watch training by: of the shards, those held out for it."""
    from .shards import read

    found = [shard for folder in folders for shard in read(folder)]
    training, watched = (tuple(shard for shard in found if shard.watch == watch) for watch in (False, True))
    return supplied(training), supplied(watched)


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """The first Ctrl-C (or a polite kill) fills the list and lets the step finish; the old ways return afterwards."""
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if not asked:
            console.print("Stopping after this step.")
        asked.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _log(path: Path) -> Iterator[csv.DictWriter]:
    """Appends to the log of the run: step, what (training or a kind of watching), loss, Dice after each click."""
    names = ("step", "what", "loss", "gradient", "seconds", "dice")
    new = not path.exists()
    with open(path, "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        if new:
            writer.writeheader()
        yield writer


def _tell(rows: csv.DictWriter, progress: Progress) -> None:
    values = (f"{progress.loss:.4f}", f"{progress.gradient:.3f}", f"{progress.seconds:.1f}", f"{progress.dice:.4f}")
    rows.writerow(dict(zip(rows.fieldnames, (progress.step, "training", *values))))
    console.print(f"step {progress.step}: loss {values[0]}, Dice {values[3]}, {values[2]} s")


def _watch(rows: csv.DictWriter, trainer: Loop, watched: Any) -> None:
    for name, values in trainer.watch(watched).items():
        scores = " ".join(f"{value:.4f}" for value in values)
        rows.writerow(dict(zip(rows.fieldnames, (trainer.step, name, "", "", "", scores))))
        console.print(f"step {trainer.step}, {name}: {scores}")


def _save(trainer: Loop, out: Path, compact: bool) -> None:
    from . import checkpoint

    checkpoint.save(out / "checkpoint", trainer.checkpoint(), compact)
    console.print(f"Saved step {trainer.step}.")
