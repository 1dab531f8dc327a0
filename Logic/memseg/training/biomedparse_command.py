"""`memseg train biomedparse-memory`: the memory of BiomedParse learns, for the published weights or for a reduced
network that is trained first. Light to import."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import PromptError
from .running import console, ready, run

if TYPE_CHECKING:
    from ..networks.biomedparse.model import BiomedParse
    from .named_stacks import Vocabulary


def biomedparse_memory(
    out: Annotated[Path, typer.Option(help="Where checkpoint, log and the memory go; what is there goes on.")],
    weights: Annotated[
        Path | None, typer.Option(help="BiomedParse's published weights. Without: a reduced network is trained first.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Stop cleanly after so long, saving included.")] = 9.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    steps: Annotated[int | None, typer.Option(help="Length of the memory's schedule.")] = None,
    network_steps: Annotated[int | None, typer.Option(help="Length of the reduced network's schedule.")] = None,
    batch: Annotated[int | None, typer.Option(help="Stacks a step.")] = None,
    slices: Annotated[int | None, typer.Option(help="Slices of a stack.")] = None,
    words: Annotated[
        str | None, typer.Option(help="Words to name objects by, such as bright,left; all there are.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides everything.")] = None,
    watched_objects: Annotated[int | None, typer.Option(help="Stacks to watch training by.")] = None,
    watch_every: Annotated[int, typer.Option(help="Steps between two looks at them.")] = 500,
) -> None:
    """Train BiomedParse's memory of slices, everything else frozen; stops and goes on as `nano` does."""
    place, started = ready(device, None, weights, {}, ""), time.monotonic()
    told = {"batch": batch, "slices": slices, "seed": seed, "watched": watched_objects}
    changes = {name: value for name, value in told.items() if value is not None}

    said = _said(words)

    def left() -> float:
        return minutes - (time.monotonic() - started) / 60

    if weights is None:
        base = _reduced(out / "network", place, said, _with(changes, network_steps), left(), watch_every)
        vocabulary = None
        if base is None:
            console.print("The reduced network is not done yet; run the command again to go on.")
            return
    else:
        base, vocabulary = _published(weights)
    _memory(base.to(place), vocabulary, said, out, place, _with(changes, steps), left(), watch_every)


def _said(words: str | None) -> tuple[str, ...]:
    from .named_stacks import LOOKS

    said = LOOKS if words is None else tuple(words.split(","))
    if unknown := [word for word in said if word not in LOOKS]:
        raise PromptError(f"Objects are named by {', '.join(LOOKS)}; '{unknown[0]}' is none of these.")
    return said


def _with(changes: dict[str, Any], steps: int | None) -> dict[str, Any]:
    return changes if steps is None else {**changes, "steps": steps}


def _published(weights: Path) -> tuple[BiomedParse, Vocabulary]:
    from ..segmenters import biomedparse_weights
    from ..segmenters.byte_pairs import vocabulary_for

    return biomedparse_weights.load(weights), vocabulary_for(weights)


def _reduced(
    folder: Path, place: Any, words: tuple[str, ...], changes: dict[str, Any], minutes: float, watch_every: int
) -> BiomedParse | None:
    """The network once its schedule is done, None before."""
    from . import checkpoint
    from .biomedparse_trainer import NamedSupply, NamingPlan, NamingTrainer

    saved = folder / "checkpoint"
    if saved.is_dir():
        trainer = NamingTrainer.resumed(checkpoint.load(saved), place)
    else:
        trainer = NamingTrainer(NamingPlan(**changes), place)
    if trainer.step < trainer.plan.steps:
        supply = NamedSupply(trainer.plan.slices, trainer.plan.network.edge, words=words)
        run(trainer, (supply, supply), folder, minutes, watch_every, False, lambda: None)
    return trainer.average if trainer.step >= trainer.plan.steps else None


def _memory(
    base: BiomedParse,
    vocabulary: Vocabulary | None,
    words: tuple[str, ...],
    out: Path,
    place: Any,
    changes: dict[str, Any],
    minutes: float,
    watch_every: int,
) -> None:
    from ..networks.biomedparse.memory import MemoryConfig
    from ..segmenters.biomedparse_memory import FILE
    from . import checkpoint
    from .biomedparse_trainer import MemoryPlan, MemoryTrainer, NamedSupply, export

    config = base.config
    saved = out / "checkpoint"
    if saved.is_dir():
        trainer = MemoryTrainer.resumed(checkpoint.load(saved), place)
    else:
        cells = config.edge // 32
        bank = 64 if config.decoder.width > 64 else 32
        network = MemoryConfig(config.decoder.width, bank, min(8, cells), 4, config.decoder.depth)
        trainer = MemoryTrainer(MemoryPlan(network=network, edge=config.edge, **changes), place)
    trainer.base = base.eval().requires_grad_(False)
    supply = NamedSupply(trainer.plan.slices, config.edge, vocabulary, words)
    run(trainer, (supply, supply), out, minutes, watch_every, False, lambda: export(trainer, out / FILE))
    console.print(f"Put {FILE} beside the weights, and BiomedParse reads it.", highlight=False)
