"""Nano's training: a step plays one episode of prompts and corrections in each scene of a batch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Generator, Tensor

from ..networks.nano import Nano, NanoConfig
from ..segmenters import nano_weights
from .chance import generator, whole
from .episodes import Course, play
from .interactions import Habits
from .loop import WATCHING, Loop, Schedule
from .supply import Supply


@dataclass(frozen=True)
class Plan(Schedule):
    """edge: samples along a scene. rounds: most prompts in an episode. watched_clicks: in the episodes to watch by."""

    network: NanoConfig = field(default_factory=NanoConfig)
    edge: int = 96
    rounds: int = 6
    watched_clicks: int = 5


class Trainer(Loop):
    """See the module."""

    plan: Plan

    def _built(self) -> Nano:
        return Nano(self.plan.network)

    def _episode(self, supply: Supply, source: Generator) -> tuple[Tensor, Tensor]:
        scenes = supply.scenes(source, self.plan.batch)
        rounds = 1 + int(whole(source, (1,), self.plan.rounds))
        outcome = play(self.network, scenes, source, Course(rounds, autocast=self.plan.autocast))
        return outcome.loss, outcome.dice[-1].mean()

    @classmethod
    def beginning_with(cls, network: Nano, device: torch.device, **changes: Any) -> Self:
        """A new run from a trained network's weights. changes: other values for fields of the plan."""
        trainer = cls(Plan(network=network.config, **changes), device)
        trainer.begin_with(network)
        return trainer

    @torch.no_grad()
    def watch(self, supply: Supply) -> dict[str, list[float]]:
        """Mean Dice after each click of the averaged network on the same objects every time, memory on and off."""
        results = {}
        for name, forgets in (("memory", 0.0), ("no_memory", 1.0)):
            course = Course(self.plan.watched_clicks, Habits.steady(), 0.0, forgets, 0.0, self.plan.autocast)
            found: list[Tensor] = []
            for start in range(0, self.plan.watched, self.plan.batch):
                source = generator(self.device, self.plan.seed, WATCHING, start)
                scenes = supply.scenes(source, min(self.plan.batch, self.plan.watched - start))
                found.append(play(self.average, scenes, source, course).dice)
            results[name] = torch.cat(found, dim=1).mean(dim=1).tolist()
        return results

    def plan_to_record(self, plan: Plan) -> dict[str, Any]:
        return plan_to_record(plan)

    @classmethod
    def plan_from_record(cls, record: dict[str, Any]) -> Plan:
        return plan_from_record(record)


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
