"""Training of the networks that guess first: patches of a batch, deep supervision, whole held-out subjects to watch by,
an early end when these get no better."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ..automatic import sliding
from ..automatic.model import logits_of, save
from ..automatic.plan import AutoPlan, from_record, to_record
from ..errors import ModelError
from ..networks.segmamba import AutoNetwork
from . import auto_losses
from .auto_patches import PatchSupply
from .auto_planning import halved
from .auto_prepared import Prepared
from .checkpoint import Checkpoint
from .loop import Loop, Progress, Schedule

log = logging.getLogger(__name__)
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class AutoSchedule(Schedule):
    """auto: the plan; its patch is halved once where memory runs out. patience: looks at the held-out subjects without
    a better mean Dice, by more than `better`, before the end; 0 for no early end. watched: subjects looked at. data:
    what the prepared images were made of."""

    auto: AutoPlan | None = None
    steps: int = 2_000
    warm_up: int = 50
    batch: int = 2
    rate: float = 1e-3
    last_rate: float = 1e-5
    clip: float = 12.0
    average: float = 0.99
    watched: int = 4
    patience: int = 10
    better: float = 1e-3
    has_halved: bool = False
    data: str = ""

    def __post_init__(self) -> None:
        if self.auto is None:
            raise ValueError("A schedule has a plan.")
        if min(self.steps, self.batch, self.watched) < 1 or self.patience < 0 or not self.rate > 0:
            raise ValueError("Steps, batch and watched subjects are at least 1, patience is not negative, the rate is.")


class AutoTrainer(Loop):
    """tell: what a sentence for the user goes to."""

    plan: AutoSchedule

    def __init__(self, plan: AutoSchedule, device: torch.device) -> None:
        super().__init__(plan, device)
        self.best, self.best_step, self.watched_step, self.waited = -1.0, -1, -1, 0
        self.tell: Callable[[str], None] = log.warning

    @property
    def is_stale(self) -> bool:
        """Whether it has not got better for too long."""
        return 0 < self.plan.patience <= self.waited

    def _built(self) -> AutoNetwork:
        return AutoNetwork(self.plan.auto.network)

    def run(
        self, supply: Any, until: float | None = None, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Progress]:
        yield from super().run(supply, until, lambda: stop() or self.is_stale)

    def advance(self, supply: PatchSupply) -> tuple[float, float, float]:
        try:
            return super().advance(supply)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            self._halve(error)
        gc.collect()  # what the failed step held
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.advance(supply)

    def _halve(self, error: BaseException) -> None:
        smaller = halved(self.plan.auto)
        if self.plan.has_halved or smaller is None:
            raise ModelError(
                "Memory ran out; begin again with a smaller --patch, fewer --channels or a --batch of 1, or close "
                "other programs."
            ) from error
        sides = " x ".join(map(str, smaller))
        self.tell(f"Memory ran out, so the patch is halved to {sides} samples; training goes on.")
        self.plan = replace(self.plan, auto=replace(self.plan.auto, patch_sar=smaller), has_halved=True)
        self.optimiser.zero_grad(set_to_none=True)

    def _episode(self, supply: PatchSupply, source: Generator) -> tuple[Tensor, Tensor]:
        plan = self.plan
        drawn = supply.patches(source, plan.batch, plan.auto.patch_sar)
        with self._precision():
            answers = self.network(drawn.image)
        loss = auto_losses.supervised(answers, drawn.target, drawn.known)
        with torch.no_grad():
            dice = auto_losses.reached(answers[0], drawn.target, drawn.known)
        return loss, dice

    def _precision(self) -> torch.autocast:
        """bfloat16 where the device is quicker with it; the layers of MultiSegMamba have no guard of their own."""
        kind = self.device.type
        quicker = kind == "cuda" or (kind == "cpu" and torch.cpu._is_avx512_bf16_supported())
        enabled = self.plan.autocast and quicker and self.plan.auto.network.variant != "multisegmamba"
        return torch.autocast(kind, torch.bfloat16, enabled=enabled)

    @torch.no_grad()
    def watch(self, supply: PatchSupply) -> dict[str, list[float]]:
        """Dice of the averaged network on whole held-out subjects, by structure, and the mean of all."""
        scores: dict[str, list[float]] = {}
        for subject in supply.subjects[: self.plan.watched]:
            for name, dice in self._scores(subject).items():
                scores.setdefault(name, []).append(dice)
        every = [dice for values in scores.values() for dice in values]
        mean = float(np.mean(every)) if every else 0.0
        self._judge(mean)
        return {"mean": [mean], **{name: [float(np.mean(values))] for name, values in scores.items()}}

    def _judge(self, mean: float) -> None:
        if self.step == self.watched_step:
            return  # looked at already
        self.watched_step = self.step
        if mean > self.best + self.plan.better:
            self.best, self.best_step, self.waited = mean, self.step, 0
        else:
            self.waited += 1

    def _scores(self, subject: Prepared) -> dict[str, float]:
        plan = self.plan.auto

        def look(window: Tensor) -> Tensor:
            with self._precision():
                return logits_of(self.average, window.to(self.device))

        image = np.asarray(subject.image, np.float32)
        *_, last = sliding.slide(image, look, plan.network.classes, plan.patch_sar, overlap=0.25)
        scores = {}
        for number, name in enumerate(plan.names, start=1):
            truth, found = subject.classes == number, last.classes == number
            total = int(np.count_nonzero(truth)) + int(np.count_nonzero(found))
            if subject.known[number] and total:
                scores[name] = 2 * int(np.count_nonzero(truth & found)) / total
        return scores

    def checkpoint(self) -> Checkpoint:
        saved = super().checkpoint()
        watched = {
            "best": self.best,
            "best_step": self.best_step,
            "watched_step": self.watched_step,
            "waited": self.waited,
        }
        return Checkpoint(saved.tensors, {**saved.state, "watched": watched})

    def _take(self, saved: Checkpoint) -> None:
        super()._take(saved)
        watched = saved.state["watched"]
        self.best, self.best_step = float(watched["best"]), int(watched["best_step"])
        self.watched_step, self.waited = int(watched["watched_step"]), int(watched["waited"])

    def plan_to_record(self, plan: AutoSchedule) -> dict[str, Any]:
        return {**asdict(plan), "auto": to_record(plan.auto)}

    @classmethod
    def plan_from_record(cls, record: dict[str, Any]) -> AutoSchedule:
        return AutoSchedule(**{**record, "auto": from_record(record["auto"])})


def export(trainer: AutoTrainer, path: Path) -> None:
    """The averaged weights, if no earlier ones were better on the held-out subjects."""
    if trainer.best_step != trainer.step and path.is_file():
        return
    plan = trainer.plan
    note = f"step {trainer.step}, seed {plan.seed}, mean Dice of held-out subjects {trainer.best:.3f}"
    network: nn.Module = trainer.average
    save(path, network, plan.auto, note)


def _is_out_of_memory(error: BaseException) -> bool:
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(each in words for each in _NO_MEMORY)
