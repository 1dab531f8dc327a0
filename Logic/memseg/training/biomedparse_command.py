"""`memseg train biomedparse-memory`: the memory of BiomedParse learns, for the published weights or for a reduced
network that is trained first. Light to import."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import FileError, PromptError
from .running import console, ready, run, supplies_of

if TYPE_CHECKING:
    from ..networks.biomedparse.model import BiomedParse
    from .biomedparse_trainer import NamedSupply
    from .named_stacks import Vocabulary, WordList
    from .shards import Shard


def biomedparse_memory(
    out: Annotated[Path, typer.Option(help="Where checkpoint, log and the memory go; what is there goes on.")],
    shards: Annotated[
        list[Path] | None, typer.Option(help="Folder of shards with names of structures; may be repeated.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="BiomedParse's published weights. Without: a reduced network is trained first.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Stop cleanly after so long, saving included.")] = 9.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    steps: Annotated[int | None, typer.Option(help="Length of the memory's schedule.")] = None,
    network_steps: Annotated[int | None, typer.Option(help="Length of the reduced network's schedule.")] = None,
    batch: Annotated[int | None, typer.Option(help="Stacks a step, of the memory.")] = None,
    network_batch: Annotated[int | None, typer.Option(help="Stacks a step, of the reduced network.")] = None,
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
    told = {"slices": slices, "seed": seed, "watched": watched_objects}
    said, structures = _said(words), _structures(tuple(shards or ()))

    def left() -> float:
        return minutes - (time.monotonic() - started) / 60

    if weights is None:
        changes = _given(told, steps=network_steps, batch=network_batch)
        base, vocabulary = _reduced(out / "network", place, said, structures, changes, left(), watch_every)
        if base is None:
            console.print("The reduced network is not done yet; run the command again to go on.")
            return
    else:
        base, vocabulary = _published(weights)
    asked = _Asked(vocabulary, said, structures)
    _memory(base.to(place), asked, out, place, _given(told, steps=steps, batch=batch), left(), watch_every)


@dataclass(frozen=True)
class _Asked:
    """What may be asked, in whose numbers. structures: shards to train from, and shards to watch training by."""

    vocabulary: Vocabulary
    words: tuple[str, ...]
    structures: tuple[tuple[Shard, ...], tuple[Shard, ...]]

    def supplies(
        self, slices: int, edge: int, names: tuple[str, ...] | None = None, hard: bool = False
    ) -> tuple[NamedSupply, NamedSupply]:
        """names: of structures that are asked for; None: those of the shards to train from. hard: see NamedSupply."""
        from .biomedparse_trainer import NamedSupply
        from .named_structures import names_in, volumes_of

        known = names_in(self.structures[0]) if names is None else names
        made = [volumes_of(shards, edge, known) for shards in self.structures]
        return tuple(NamedSupply(slices, edge, self.vocabulary, self.words, volumes, hard=hard) for volumes in made)


def _structures(folders: tuple[Path, ...]) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    training, watched = supplies_of(folders, lambda shards: tuple(shard for shard in shards if shard.names))
    if folders and not training:
        raise FileError(
            "None of these shards keeps names of structures; make them again with: memseg train prepare DATASET "
            "--out DIR."
        )
    return training, watched


def _said(words: str | None) -> tuple[str, ...]:
    from .named_stacks import LOOKS

    said = LOOKS if words is None else tuple(words.split(","))
    if unknown := [word for word in said if word not in LOOKS]:
        raise PromptError(f"Objects are named by {', '.join(LOOKS)}; '{unknown[0]}' is none of these.")
    return said


def _word_list(names: tuple[str, ...]) -> WordList:
    from .named_stacks import WordList
    from .named_structures import sentence_of

    return WordList(tuple(word for name in names for word in sentence_of(name).split()))


def _given(told: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {name: value for name, value in {**told, **more}.items() if value is not None}


def _published(weights: Path) -> tuple[BiomedParse, Vocabulary]:
    from ..segmenters import biomedparse_weights
    from ..segmenters.byte_pairs import vocabulary_for

    return biomedparse_weights.load(weights), vocabulary_for(weights)


def _reduced(
    folder: Path,
    place: Any,
    words: tuple[str, ...],
    structures: tuple[tuple[Shard, ...], tuple[Shard, ...]],
    changes: dict[str, Any],
    minutes: float,
    watch_every: int,
) -> tuple[BiomedParse | None, Vocabulary]:
    """The network once its schedule is done, None before."""
    from . import checkpoint
    from .biomedparse_trainer import NamingPlan, NamingTrainer, reduced
    from .named_structures import names_in

    saved = folder / "checkpoint"
    if saved.is_dir():
        trainer = NamingTrainer.resumed(checkpoint.load(saved), place)
    else:
        names = names_in(structures[0])
        trainer = NamingTrainer(NamingPlan(network=reduced(len(_word_list(names))), names=names, **changes), place)
    plan = trainer.plan
    vocabulary = _word_list(plan.names)
    if trainer.step < plan.steps:
        asked = _Asked(vocabulary, words, structures)
        supplies = asked.supplies(plan.slices, plan.network.edge, plan.names)
        run(trainer, supplies, folder, minutes, watch_every, False, lambda: None)
    return (trainer.average if trainer.step >= plan.steps else None), vocabulary


def _memory(
    base: BiomedParse,
    asked: _Asked,
    out: Path,
    place: Any,
    changes: dict[str, Any],
    minutes: float,
    watch_every: int,
) -> None:
    from ..networks.biomedparse.memory import MemoryConfig, grid_of
    from ..segmenters.biomedparse_memory import FILE
    from . import checkpoint
    from .biomedparse_trainer import MemoryPlan, MemoryTrainer, export

    config = base.config
    saved = out / "checkpoint"
    if saved.is_dir():
        trainer = MemoryTrainer.resumed(checkpoint.load(saved), place)
    else:
        bank = 64 if config.decoder.width > 64 else 32
        network = MemoryConfig(config.decoder.width, bank, min(8, grid_of(config.edge)), 4, config.decoder.depth)
        trainer = MemoryTrainer(MemoryPlan(network=network, edge=config.edge, **changes), place)
    trainer.base = base.eval().requires_grad_(False)
    supplies = asked.supplies(trainer.plan.slices, config.edge, hard=True)
    run(trainer, supplies, out, minutes, watch_every, False, lambda: export(trainer, out / FILE))
    console.print(f"Put {FILE} beside the weights, and BiomedParse reads it.", highlight=False)
