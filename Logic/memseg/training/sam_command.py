"""`memseg train sam-med3d` and `memseg train mais`. Light to import: torch comes with the training itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import FileError, ModelError
from .running import ready, run, supplies_of

if TYPE_CHECKING:
    from typing import Any

    from ..networks.mais import MemoryConfig
    from ..networks.sam_med3d import SamConfig, SamMed3D
    from .sam_trainer import MaisTrainer, SamTrainer
    from .shards import Shard

Out = Annotated[Path, typer.Option(help="Where checkpoint, log and weights go.")]
Shards = Annotated[
    list[Path] | None, typer.Option(help="Folder of shards; may be repeated. Without: synthetic crops alone.")
]
Resume = Annotated[Path | None, typer.Option(help="Go on from this checkpoint, keeping its plan.")]
Minutes = Annotated[float, typer.Option(help="Stop cleanly after so long, saving included.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")]
Steps = Annotated[int | None, typer.Option(help="Length of the schedule; the papers have 200 epochs.")]
Batch = Annotated[int | None, typer.Option(help="Crops played at a time.")]
Accumulate = Annotated[int | None, typer.Option(help="Batches of a step; SAM-Med3D has 20.")]
Rounds = Annotated[int | None, typer.Option(help="Interactions in an episode.")]
Rate = Annotated[float | None, typer.Option(help="Learning rate of what learns fastest.")]
Share = Annotated[float | None, typer.Option(help="Of it, that of prompt encoder and decoder; 0.1 in the papers.")]
Synthetic = Annotated[float | None, typer.Option(help="Share of synthetic crops, 0 to 1.")]
Volumes = Annotated[
    int | None, typer.Option(help="Learn from so many labelled volumes of each folder only, 1 for one-shot.")
]
Loss = Annotated[
    str | None, typer.Option(help="dice (MAIS), dice-ce (SAM-Med3D), or dice-focal to begin from nothing.")
]
Aside = Annotated[float | None, typer.Option(help="How far a crop's centre may lie beside the object, of its edge.")]
MaskRounds = Annotated[bool | None, typer.Option(help="Let the mask speak alone in two rounds, or not.")]
Seed = Annotated[int | None, typer.Option(help="Decides everything.")]
Watched = Annotated[int | None, typer.Option(help="Held-out objects to watch training by.")]
WatchEvery = Annotated[int, typer.Option(help="Steps between two looks at the held-out objects.")]
Compact = Annotated[bool, typer.Option(help="Smaller checkpoints, no longer exact to the bit.")]


def sam_med3d(
    out: Out,
    shards: Shards = None,
    resume: Resume = None,
    weights: Annotated[
        Path | None, typer.Option(help="Begin with the weights of this file: the published ones, or some trained here.")
    ] = None,
    minutes: Minutes = 9.0,
    device: Device = "auto",
    edge: Annotated[int | None, typer.Option(help="Samples along the image, 128 in the paper.")] = None,
    patch: Annotated[int | None, typer.Option(help="Samples along a token, 16 in the paper.")] = None,
    width: Annotated[
        int | None, typer.Option(help="Channels of encoder and embedding, 768 and 384 in the paper.")
    ] = None,
    depth: Annotated[int | None, typer.Option(help="Blocks of the encoder, 12 in the paper.")] = None,
    heads: Annotated[int | None, typer.Option(help="Of all attention; in the paper 12 and in the decoder 8.")] = None,
    spacing: Annotated[float | None, typer.Option(help="Mm between samples, 1.5 in the paper.")] = None,
    clip: Annotated[
        float | None, typer.Option(help="Largest magnitude of a normalised sample; in the paper there is none.")
    ] = None,
    steps: Steps = None,
    batch: Batch = None,
    accumulate: Accumulate = None,
    rounds: Rounds = None,
    rate: Rate = None,
    share: Share = None,
    synthetic: Synthetic = None,
    loss: Loss = None,
    mask_rounds: MaskRounds = None,
    aside: Aside = None,
    volumes: Volumes = None,
    seed: Seed = None,
    watched_objects: Watched = None,
    watch_every: WatchEvery = 500,
    compact: Compact = False,
) -> None:
    """Train SAM-Med3D, of the published size or smaller; stops and goes on as `nano` does."""
    from .sam_trainer import SamTrainer

    shape = _told(edge=edge, patch=patch, width=width, depth=depth, heads=heads, spacing=spacing, clip=clip)
    changes = _told(
        steps=steps, batch=batch, accumulate=accumulate, rounds=rounds, rate=rate, share=share, synthetic=synthetic,
        loss=_loss_of(loss), aside=aside, mask_rounds=mask_rounds, seed=seed, watched=watched_objects,
    )  # fmt: skip
    place = ready(device, resume, weights, shape, "--edge, --patch, --width, --depth, --heads, --spacing, --clip")
    trainer: SamTrainer
    if resume is not None:
        trainer = _resumed(SamTrainer, resume, place, changes)
    elif weights is not None:
        trainer = SamTrainer.beginning_with(_sam_of(weights), place, **changes)
    else:
        from .sam_trainer import SamPlan

        trainer = SamTrainer(SamPlan(network=network_of(shape), **changes), place)
    _train(trainer, shards, volumes, out, "sam-med3d.safetensors", minutes, watch_every, compact)


def mais(
    out: Out,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="SAM-Med3D to begin with: the published file, or one of `memseg train sam-med3d`; or a MAIS."
        ),
    ] = None,
    shards: Shards = None,
    resume: Resume = None,
    minutes: Minutes = 9.0,
    device: Device = "auto",
    memory: Annotated[str | None, typer.Option(help="sparse, dense, both, or none: fine-tuning alone.")] = None,
    steps: Steps = None,
    batch: Batch = None,
    accumulate: Accumulate = None,
    rounds: Rounds = None,
    rate: Rate = None,
    share: Share = None,
    synthetic: Synthetic = None,
    loss: Loss = None,
    mask_rounds: MaskRounds = None,
    aside: Aside = None,
    volumes: Volumes = None,
    seed: Seed = None,
    watched_objects: Watched = None,
    watch_every: WatchEvery = 500,
    compact: Compact = False,
) -> None:
    """Train MAIS on a SAM-Med3D whose image encoder stays as it is; stops and goes on as `nano` does."""
    from .sam_trainer import MaisTrainer

    changes = _told(
        steps=steps, batch=batch, accumulate=accumulate, rounds=rounds, rate=rate, share=share, synthetic=synthetic,
        loss=_loss_of(loss), aside=aside, mask_rounds=mask_rounds, seed=seed, watched=watched_objects,
    )  # fmt: skip
    place = ready(device, resume, weights, {}, "")
    trainer: MaisTrainer
    if resume is not None:
        if memory is not None:
            raise FileError("The network is the one given; leave out --memory.")
        trainer = _resumed(MaisTrainer, resume, place, changes)
    elif weights is not None:
        trainer = MaisTrainer.beginning_with(_begun(weights, memory), place, _memory_of(memory), **changes)
    else:
        raise FileError(
            "MAIS begins with a trained SAM-Med3D: give its file with --weights, or train one with "
            "memseg train sam-med3d."
        )
    _train(trainer, shards, volumes, out, "mais.safetensors", minutes, watch_every, compact)


def network_of(shape: dict[str, Any]) -> SamConfig:
    """What is not said of edge, patch, width, depth, heads, spacing and clip is as published; the places of cells are
    not swapped, as that only the published weights need. Raises ModelError."""
    from ..networks.sam_decoder import DecoderConfig
    from ..networks.sam_encoder import EncoderConfig
    from ..networks.sam_med3d import SamConfig

    whole = EncoderConfig()
    fields = {name: shape[name] for name in ("edge", "patch", "width", "depth", "heads") if name in shape}
    depth, width = fields.get("depth", whole.depth), fields.get("width")
    try:
        grid = fields.get("edge", whole.edge) // fields.get("patch", whole.patch)
        fields["window"] = max(whole.window if "edge" not in shape and "patch" not in shape else 0, grid + grid // 2)
        fields["global_blocks"] = tuple(block for block in range(depth) if block % 3 == 2)
        fields |= {} if width is None else {"out": width}
        encoder = EncoderConfig(**fields)
        decoder = DecoderConfig(heads=fields.get("heads", 8), mlp=2048 if width is None else 4 * width)
        spacing_mm = shape.get("spacing", SamConfig().spacing_mm)
        config = SamConfig(encoder, decoder, spacing_mm=spacing_mm, swapped=False, clip=shape.get("clip"))
        _check_divides(config)
    except (ValueError, ZeroDivisionError) as error:
        raise ModelError(f"There is no such network: {error}") from error
    return config


def _check_divides(config: SamConfig) -> None:
    out, decoder = config.encoder.out, config.decoder
    if out % 8 or out % 3 or (out // decoder.narrower) % decoder.heads:
        raise ValueError("The width is a multiple of 24 and of twice the heads.")


def _told(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _loss_of(loss: str | None) -> str | None:
    """The same. Raises ModelError for one that there is not."""
    from .sam_episodes import LOSSES

    if loss is not None and loss not in LOSSES:
        raise ModelError(f"There is no '{loss}' loss; choose one of: {', '.join(LOSSES)}.")
    return loss


def _resumed(kind: type[SamTrainer], resume: Path, place: Any, changes: dict[str, Any]) -> Any:
    from . import checkpoint

    return kind.resumed(checkpoint.load(resume), place, **changes)


def _sam_of(path: Path) -> SamMed3D:
    from ..segmenters.sam_weights import load_sam_med3d

    return load_sam_med3d(path)


def _begun(path: Path, memory: str | None) -> SamMed3D:
    """A SAM-Med3D, or a MAIS to go on training."""
    from ..segmenters import sam_files, weights

    if weights.model_of(path) != sam_files.MAIS:
        return _sam_of(path)
    if memory is not None:
        raise FileError("The network is the one given; leave out --memory.")
    return sam_files.load_mais(path)


def _memory_of(variant: str | None) -> MemoryConfig:
    from ..networks.mais import MemoryConfig

    try:
        return MemoryConfig(variant or "both")
    except ValueError as error:
        raise ModelError(f"There is no such network: {error}") from error


def _train(
    trainer: SamTrainer,
    folders: list[Path] | None,
    volumes: int | None,
    out: Path,
    name: str,
    minutes: float,
    watch_every: int,
    compact: bool,
) -> None:
    from .sam_trainer import export

    def supplied(found: tuple[Shard, ...]) -> Any:
        return trainer.supply(found)

    supplies = supplies_of(tuple(folders or ()), supplied, volumes)
    run(trainer, supplies, out, minutes, watch_every, compact, lambda: export(trainer, out / name))
