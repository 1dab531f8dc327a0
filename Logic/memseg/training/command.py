"""`memseg train`: prepare, nano and slices here, sam-med3d and mais in sam_command.py, biomedparse-memory in
biomedparse_command.py, auto in auto_command.py. Light to import: torch comes with the training itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ModelError
from .auto_command import auto
from .biomedparse_command import biomedparse_memory
from .running import console, ready, run, supplies_of
from .sam_command import mais, sam_med3d

if TYPE_CHECKING:
    from ..networks.nano import NanoConfig
    from ..networks.slices import SliceConfig
    from .shards import Shard
    from .slice_trainer import SliceTrainer
    from .trainer import Trainer

app = typer.Typer(help="Train the networks, on a GPU in slices of some minutes.", no_args_is_help=True)
app.command("sam-med3d")(sam_med3d)
app.command("mais")(mais)
app.command("biomedparse-memory")(biomedparse_memory)
app.command()(auto)


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

    supplies = supplies_of(tuple(shards or ()), supplied)
    run(trainer, supplies, out, minutes, watch_every, compact, lambda: export(trainer, out / "nano.safetensors"))


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

    supplies = supplies_of(tuple(shards or ()), supplied)
    run(trainer, supplies, out, minutes, watch_every, compact, lambda: export(trainer, out / "slices.safetensors"))


def _trainer(
    resume: Path | None, weights: Path | None, device: str, changes: dict[str, object], shape: dict[str, object]
) -> Trainer:
    from ..segmenters import nano_weights
    from . import checkpoint
    from .trainer import Plan, Trainer

    place = ready(device, resume, weights, shape, "--region, --widths and --memory")
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

    place = ready(device, resume, weights, shape, "--window and --widths")
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
