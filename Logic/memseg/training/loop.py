"""What every training run has: a network, its running average, its optimiser; steps decided by (seed, step), stopped
and resumed at will. What a step is made of is the subclass's."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn

from ..errors import FileError
from .chance import generator
from .checkpoint import Checkpoint

log = logging.getLogger(__name__)
TRAINING, WATCHING, NETWORK = 1, 2, 3  # streams of random numbers


@dataclass(frozen=True)
class Schedule:
    """What a run of any network is told; a resumed run keeps it. steps: length of the cosine schedule. average: decay
    of the running average of the weights. watched: objects to watch training by, always the same. accumulate: batches
    of a step, one after the other."""

    seed: int = 0
    steps: int = 4_000
    warm_up: int = 200
    batch: int = 32
    rate: float = 1e-3
    last_rate: float = 1e-5
    decay: float = 1e-2
    clip: float = 1.0
    average: float = 0.999
    synthetic: float = 0.4
    autocast: bool = True
    watched: int = 16
    accumulate: int = 1

    def rate_at(self, step: int) -> float:
        """Linear warm-up (a tenth of a short schedule), then a cosine down to the last rate."""
        warm_up = min(self.warm_up, self.steps // 10)
        if step < warm_up:
            return self.rate * (step + 1) / warm_up
        done = min(1.0, (step - warm_up) / max(1, self.steps - warm_up))
        return self.last_rate + (self.rate - self.last_rate) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Progress:
    """After one step: its number (from 1), loss, mean Dice at the end of the episodes, norm of the gradient, seconds so
    far."""

    step: int
    loss: float
    dice: float
    gradient: float
    seconds: float


class Loop:
    """A network, its running average and its optimiser at one step. A subclass gives `_built`, `_episode`, `watch` and
    how its plan is written down."""

    betas = (0.9, 0.99)

    def __init__(self, plan: Schedule, device: torch.device) -> None:
        self.plan, self.device, self.step = plan, device, 0
        torch.set_flush_denormal(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed * 10 + NETWORK)
            self.network = self._built().to(device)
            self.average = self._built().to(device).requires_grad_(False).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(self._groups(), lr=plan.rate, betas=self.betas)

    def _built(self) -> nn.Module:
        """A new network of the plan."""
        raise NotImplementedError

    def _episode(self, supply: Any, source: Generator) -> tuple[Tensor, Tensor]:
        """Loss of one batch, and its mean Dice."""
        raise NotImplementedError

    def watch(self, supply: Any) -> dict[str, list[float]]:
        """Scores of the averaged network on the same objects every time, by what was watched."""
        raise NotImplementedError

    def plan_to_record(self, plan: Schedule) -> dict[str, Any]:
        """Plain JSON values."""
        raise NotImplementedError

    @classmethod
    def plan_from_record(cls, record: dict[str, Any]) -> Schedule:
        """Raises KeyError, TypeError or ValueError for what is no plan."""
        raise NotImplementedError

    def advance(self, supply: Any) -> tuple[float, float, float]:
        """One step; returns loss, mean Dice, and the gradient's norm. A loss that is not finite changes nothing but the
        step's number."""
        plan = self.plan
        source = generator(self.device, plan.seed, TRAINING, self.step)
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = plan.rate_at(self.step) * group.get("share", 1.0)
        self.optimiser.zero_grad(set_to_none=True)
        loss, dice = torch.zeros((), device=self.device), 0.0
        for _ in range(plan.accumulate):
            part, reached = self._episode(supply, source)
            (part / plan.accumulate).backward()
            loss, dice = loss + part.detach() / plan.accumulate, dice + float(reached) / plan.accumulate
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), plan.clip)
        if bool(torch.isfinite(loss)) and bool(torch.isfinite(norm)):
            self.optimiser.step()
            self._follow()
        else:
            log.warning("Step %d gave a loss that is not a number; it was left out.", self.step + 1)
        self.step += 1
        return float(loss), dice, float(norm)

    def _follow(self) -> None:
        """The running average takes up the new weights; young runs are followed faster."""
        keep = min(self.plan.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, value in zip(self.average.parameters(), self.network.parameters()):
                if value.requires_grad:
                    average.lerp_(value, 1 - keep)

    def run(
        self, supply: Any, until: float | None = None, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Progress]:
        """Step after step until the plan's last one, the time (time.monotonic) or `stop`; never in the middle of
        one."""
        started = time.monotonic()
        while self.step < self.plan.steps and not stop() and (until is None or time.monotonic() < until):
            loss, reached, norm = self.advance(supply)
            yield Progress(self.step, loss, reached, norm, time.monotonic() - started)

    def checkpoint(self) -> Checkpoint:
        """All it takes to go on as if nothing had happened."""
        names = {each: name for name, each in self.network.named_parameters() if each.requires_grad}
        empty = {name: torch.zeros_like(parameter) for parameter, name in names.items()}
        moments = {"first": dict(empty), "second": dict(empty)}
        for parameter, held in self.optimiser.state.items():
            moments["first"][names[parameter]] = held["exp_avg"]
            moments["second"][names[parameter]] = held["exp_avg_sq"]
        tensors = {
            "weights": self.network.state_dict(),
            "average": self.average.state_dict(),
            **moments,
        }
        # A parameter without a gradient, such as the memory's in an episode of one round, is not updated in that step.
        updates = {names[parameter]: int(held["step"]) for parameter, held in self.optimiser.state.items()}
        return Checkpoint(tensors, {"step": self.step, "updates": updates, "plan": self.plan_to_record(self.plan)})

    @classmethod
    def resumed(cls, saved: Checkpoint, device: torch.device, **changes: Any) -> Self:
        """Goes on where the checkpoint was made; changes: other values for fields of the plan. Raises FileError where
        the checkpoint does not fit its own plan."""
        try:
            trainer = cls(replace(cls.plan_from_record(saved.state["plan"]), **changes), device)
            trainer._take(saved)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FileError("The checkpoint does not fit the plan it holds; start a new run.") from error
        return trainer

    def begin_with(self, weights: nn.Module) -> None:
        """Take over a trained network's weights."""
        self.network.load_state_dict(weights.state_dict())
        self.average.load_state_dict(weights.state_dict())

    def _groups(self) -> list[dict[str, Any]]:
        """What the optimiser changes. share: of the rate that a group learns at, 1 where it is not said."""
        return decayed(self.network.parameters(), self.plan.decay)

    def _take(self, saved: Checkpoint) -> None:
        self.network.load_state_dict(saved.tensors["weights"])
        self.average.load_state_dict(saved.tensors["average"])
        self.step, updates = int(saved.state["step"]), saved.state["updates"]
        for name, parameter in self.network.named_parameters():
            if name in updates:
                self.optimiser.state[parameter] = {
                    "step": torch.tensor(float(updates[name])),
                    "exp_avg": saved.tensors["first"][name].to(self.device),
                    "exp_avg_sq": saved.tensors["second"][name].to(self.device),
                }


def decayed(parameters: Iterable[nn.Parameter], decay: float, share: float = 1.0) -> list[dict[str, Any]]:
    """Two groups: weight decay for matrices and kernels only."""
    held = list(parameters)
    return [
        {"params": [each for each in held if each.ndim > 1], "weight_decay": decay, "share": share},
        {"params": [each for each in held if each.ndim <= 1], "weight_decay": 0.0, "share": share},
    ]
