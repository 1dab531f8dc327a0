"""What every training command does: a device, supplies, then step after step with progress, log and checkpoints, until
the schedule's end, the time limit or Ctrl-C."""

from __future__ import annotations

import csv
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from ..errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .loop import Loop, Progress
    from .shards import Shard

console = Console()
_LOG = "log.csv"


def run(
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


def ready(device: str, resume: Path | None, weights: Path | None, shape: dict[str, object], options: str) -> Any:
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


def supplies_of(
    folders: tuple[Path, ...], supplied: Callable[[tuple[Shard, ...]], Any], volumes: int | None = None
) -> tuple[Any, Any]:
    """To train from, and to watch training by: of the shards, those held out for it. volumes: to train from so many of
    each folder only; None for all."""
    from .shards import read

    training: list[Shard] = []
    watched: list[Shard] = []
    for folder in folders:
        found = read(folder)
        training += [shard for shard in found if not shard.watch][:volumes]
        watched += [shard for shard in found if shard.watch]
    return supplied(tuple(training)), supplied(tuple(watched))


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
