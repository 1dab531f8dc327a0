"""Training of the slice network: a step follows one object through each stack of a batch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Generator, Tensor

from ..networks.slices import SliceConfig, SliceNetwork
from ..segmenters import slice_weights
from .chance import generator, whole
from .loop import WATCHING, Loop, Schedule
from .slice_episodes import Course, play
from .stacks import StackSupply


@dataclass(frozen=True)
class SlicePlan(Schedule):
    """edge: samples along a stack. followed: most slices followed in an episode."""

    network: SliceConfig = field(default_factory=SliceConfig)
    edge: int = 128
    followed: int = 5
    batch: int = 8
    synthetic: float = 0.3
    watched: int = 32


class SliceTrainer(Loop):
    """See the module."""

    plan: SlicePlan

    def _built(self) -> SliceNetwork:
        return SliceNetwork(self.plan.network)

    def _episode(self, supply: StackSupply, source: Generator) -> tuple[Tensor, Tensor]:
        followed = 2 + int(whole(source, (1,), self.plan.followed - 1))
        stacks = supply.stacks(source, self.plan.batch, followed + 3, self.step)
        outcome = play(self.network, stacks, source, Course(autocast=self.plan.autocast))
        return outcome.loss, outcome.dice[-1][outcome.counts[-1]].mean()

    @classmethod
    def beginning_with(cls, network: SliceNetwork, device: torch.device, **changes: Any) -> Self:
        """A new run from a trained network's weights. changes: other values for fields of the plan."""
        trainer = cls(SlicePlan(network=network.config, **changes), device)
        trainer.begin_with(network)
        return trainer

    @torch.no_grad()
    def watch(self, supply: StackSupply) -> dict[str, list[float]]:
        """Mean Dice of each slice followed and share of slices whose presence is told right, of the same objects every
        time, from one agreed slice and with one ahead."""
        plan, results = self.plan, {}
        for name, ahead in (("one", 0.0), ("ahead", 1.0)):
            course = Course(ahead, rough=0.0, spoiled=0.0, blind=0.0, zoom=(2.0, 2.0), autocast=plan.autocast)
            dice, counts, right = [], [], []
            for start in range(0, plan.watched, plan.batch):
                source = generator(self.device, plan.seed, WATCHING, start)
                batch = min(plan.batch, plan.watched - start)
                stacks = supply.stacks(source, batch, 9, 0)
                outcome = play(self.average, stacks, generator(self.device, plan.seed, WATCHING, start, 1), course)
                dice.append(outcome.dice)
                counts.append(outcome.counts)
                right.append(outcome.right)
            kept = torch.cat(counts, dim=1).float()
            mean = [(torch.cat(each, dim=1) * kept).sum(dim=1) / kept.sum(dim=1) for each in (dice, right)]
            results[name], results[f"{name}_present"] = mean[0].tolist(), mean[1].tolist()
        return results

    def plan_to_record(self, plan: SlicePlan) -> dict[str, Any]:
        return {**asdict(plan), "network": slice_weights.config_to_words(plan.network)}

    @classmethod
    def plan_from_record(cls, record: dict[str, Any]) -> SlicePlan:
        return SlicePlan(**{**record, "network": slice_weights.config_from_words(record["network"])})


def export(trainer: SliceTrainer, path: Path) -> None:
    """The averaged weights as a file the segmenter loads."""
    plan = trainer.plan
    slice_weights.save(path, trainer.average, f"step {trainer.step}, seed {plan.seed}, stacks of {plan.edge}")
