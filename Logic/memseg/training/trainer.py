"""The training loop: one optimiser step an episode batch, everything decided by (seed, step), stopped and resumed at
will."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import FileError
from ..networks.nano import Nano, NanoConfig
from ..segmenters import nano_weights
from .chance import generator, whole
from .checkpoint import Checkpoint
from .episodes import Course, play
from .interactions import Habits
from .losses import all_finite
from .supply import Supply

log = logging.getLogger(__name__)
_TRAINING, _WATCHING, _NETWORK = 1, 2, 3  # streams of random numbers


@dataclass(frozen=True)
class Plan:
    """What a run is told; a resumed run keeps it. steps: length of the cosine schedule. edge: samples along a scene.
    rounds: most prompts in an episode. average: decay of the running average of the weights. watched: objects (and
    clicks) to watch training by, always the same."""

    network: NanoConfig = field(default_factory=NanoConfig)
    seed: int = 0
    steps: int = 4_000
    warm_up: int = 200
    batch: int = 32
    edge: int = 96
    rounds: int = 6
    rate: float = 1e-3
    last_rate: float = 1e-5
    decay: float = 1e-2
    clip: float = 1.0
    average: float = 0.999
    synthetic: float = 0.4
    autocast: bool = True
    watched: int = 16
    watched_clicks: int = 5

    def rate_at(self, step: int) -> float:
        """Linear warm-up (a tenth of a short schedule), then a cosine down to the last rate."""
        warm_up = min(self.warm_up, self.steps // 10)
        if step < warm_up:
            return self.rate * (step + 1) / warm_up
        done = min(1.0, (step - warm_up) / max(1, self.steps - warm_up))
        return self.last_rate + (self.rate - self.last_rate) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Progress:
    """After one step: its number (from 1), loss, mean Dice after the last prompt, norm of the gradient, seconds so
    far."""

    step: int
    loss: float
    dice: float
    gradient: float
    seconds: float


class Trainer:
    """A network, its running average and its optimiser at one step."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.plan, self.device, self.step = plan, device, 0
        torch.set_flush_denormal(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed * 10 + _NETWORK)
            self.network = Nano(plan.network).to(device)
            self.average = Nano(plan.network).to(device).requires_grad_(False).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(_groups(self.network, plan.decay), lr=plan.rate, betas=(0.9, 0.99))

    def advance(self, supply: Supply) -> tuple[float, float, float]:
        """One step; returns loss, mean Dice after the last prompt, and the gradient's norm. A loss that is not finite
        changes nothing but the step's number."""
        plan = self.plan
        source = generator(self.device, plan.seed, _TRAINING, self.step)
        scenes = supply.scenes(source, plan.batch)
        rounds = 1 + int(whole(source, (1,), plan.rounds))
        self.network.train()
        outcome = play(self.network, scenes, source, Course(rounds, autocast=plan.autocast))
        for group in self.optimiser.param_groups:
            group["lr"] = plan.rate_at(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        outcome.loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), plan.clip)
        if all_finite(outcome.loss) and all_finite(norm):
            self.optimiser.step()
            self._follow()
        else:
            log.warning("Step %d gave a loss that is not a number; it was left out.", self.step + 1)
        self.step += 1
        return float(outcome.loss.detach()), float(outcome.dice[-1].mean()), float(norm)

    def _follow(self) -> None:
        """The running average takes up the new weights; young runs are followed faster."""
        keep = min(self.plan.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters())
            for average, value in pairs:
                average.lerp_(value, 1 - keep)

    def run(
        self, supply: Supply, until: float | None = None, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Progress]:
        """Step after step until the plan's last one, the time (time.monotonic) or `stop`; never in the middle of
        one."""
        started = time.monotonic()
        while self.step < self.plan.steps and not stop() and (until is None or time.monotonic() < until):
            loss, reached, norm = self.advance(supply)
            yield Progress(self.step, loss, reached, norm, time.monotonic() - started)

    @torch.no_grad()
    def watch(self, supply: Supply) -> dict[str, list[float]]:
        """Mean Dice after each click of the averaged network on the same objects every time, memory on and off."""
        results = {}
        for name, forgets in (("memory", 0.0), ("no_memory", 1.0)):
            course = Course(self.plan.watched_clicks, Habits.steady(), 0.0, forgets, 0.0, self.plan.autocast)
            found: list[Tensor] = []
            for start in range(0, self.plan.watched, self.plan.batch):
                source = generator(self.device, self.plan.seed, _WATCHING, start)
                scenes = supply.scenes(source, min(self.plan.batch, self.plan.watched - start))
                found.append(play(self.average, scenes, source, course).dice)
            results[name] = torch.cat(found, dim=1).mean(dim=1).tolist()
        return results

    # -- on the disk ---------------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """Everything that decides how training goes on."""
        names = {parameter: name for name, parameter in self.network.named_parameters()}
        empty = {name: torch.zeros_like(parameter) for parameter, name in names.items()}
        moments = {"first": dict(empty), "second": dict(empty)}
        for parameter, held in self.optimiser.state.items():
            moments["first"][names[parameter]] = held["exp_avg"]
            moments["second"][names[parameter]] = held["exp_avg_sq"]
        tensors = {
            "weights": dict(self.network.named_parameters()),
            "average": dict(self.average.named_parameters()),
            **moments,
        }
        # A parameter without a gradient, such as the memory's in an episode of one round, is not updated in that step.
        updates = {names[parameter]: int(held["step"]) for parameter, held in self.optimiser.state.items()}
        return Checkpoint(tensors, {"step": self.step, "updates": updates, "plan": plan_to_record(self.plan)})

    @classmethod
    def beginning_with(cls, network: Nano, device: torch.device, **changes: Any) -> Trainer:
        """A new run from a trained network's weights. changes: other values for fields of the plan."""
        trainer = cls(Plan(network=network.config, **changes), device)
        trainer.network.load_state_dict(network.state_dict())
        trainer.average.load_state_dict(network.state_dict())
        return trainer

    @classmethod
    def resumed(cls, saved: Checkpoint, device: torch.device, **changes: Any) -> Trainer:
        """Goes on where the checkpoint was made; changes: other values for fields of the plan. Raises FileError where
        the checkpoint does not fit its own plan."""
        try:
            trainer = cls(replace(plan_from_record(saved.state["plan"]), **changes), device)
            trainer._take(saved)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FileError("The checkpoint does not fit the plan it holds; start a new run.") from error
        return trainer

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


def _groups(network: Nano, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only."""
    parameters = [parameter for parameter in network.parameters()]
    return [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]


def plan_to_record(plan: Plan) -> dict[str, Any]:
    return {**asdict(plan), "network": nano_weights.config_to_words(plan.network)}


def plan_from_record(record: dict[str, Any]) -> Plan:
    """Raises KeyError, TypeError or ValueError for what is no plan."""
    return Plan(**{**record, "network": nano_weights.config_from_words(record["network"])})


def export(trainer: Trainer, path: Path) -> None:
    """The averaged weights as a file the segmenter loads."""
    plan = trainer.plan
    note = f"step {trainer.step}, seed {plan.seed}, scenes of {plan.edge}, synthetic share {plan.synthetic}"
    nano_weights.save(path, trainer.average, note)
