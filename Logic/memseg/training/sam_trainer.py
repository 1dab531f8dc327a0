"""Training of SAM-Med3D, of any size, and of MAIS on it: a step plays one episode of clicks in each crop of a batch.

SAM-Med3D (arXiv 2310.15161 and its code): AdamW with 8e-4 for the image encoder and a tenth of that for the rest,
weight decay 0.1, 11 interactions, Dice and cross-entropy, the rate falling to a tenth after 120 and 180 of 200 epochs.
MAIS (arXiv 2505.07511): the image encoder frozen, 8e-5 for prompt encoder and decoder, 8e-4 for the memory, Dice alone,
the rate falling after 129 and 180 of 200. Not in the papers: a warm-up for networks that begin from nothing, clipping.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor

from ..networks.mais import Mais, MaisConfig, MemoryConfig
from ..networks.sam_med3d import SamConfig, SamMed3D
from ..segmenters import sam_files
from .chance import generator
from .crops import Crops
from .interactions import Habits
from .loop import WATCHING, Loop, Schedule, decayed
from .sam_episodes import LOSSES, SamCourse, play


@dataclass(frozen=True)
class SamPlan(Schedule):
    """rounds: interactions of an episode. share: of the rate, what prompt encoder and decoder learn at. loss: one
    of sam_episodes.LOSSES. mask_rounds: whether the mask speaks alone in some rounds. aside: how far, of a crop's edge,
    its centre may lie from the object's voxel. watched_clicks: in the episodes to watch by. Raises ValueError."""

    network: SamConfig = field(default_factory=SamConfig)
    rounds: int = 11
    share: float = 0.1
    loss: str = "dice-ce"
    mask_rounds: bool = True
    aside: float = 0.0
    autocast: bool = False
    watched_clicks: int = 10
    warm_up: int = 100
    batch: int = 12
    rate: float = 8e-4
    decay: float = 0.1
    average: float = 0.99

    falls: ClassVar[tuple[float, ...]] = (120 / 200, 180 / 200)  # of the steps, when the rate falls to a tenth

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"A loss is one of {', '.join(LOSSES)}.")

    def rate_at(self, step: int) -> float:
        warm_up = min(self.warm_up, self.steps // 10)
        if step < warm_up:
            return self.rate * (step + 1) / warm_up
        return self.rate * 0.1 ** sum(step >= part * self.steps for part in self.falls)


@dataclass(frozen=True)
class MaisPlan(SamPlan):
    """average 0: the network itself is what is kept, as in the paper."""

    network: MaisConfig = field(default_factory=MaisConfig)
    loss: str = "dice"
    warm_up: int = 0
    average: float = 0.0

    falls: ClassVar[tuple[float, ...]] = (129 / 200, 180 / 200)


class SamTrainer(Loop):
    """See the module."""

    plan: SamPlan
    betas = (0.9, 0.999)
    _plan: ClassVar[type[SamPlan]] = SamPlan

    def _built(self) -> SamMed3D:
        return SamMed3D(self.plan.network)

    def _course(self) -> SamCourse:
        plan = self.plan
        return SamCourse(plan.rounds, mask_rounds=plan.mask_rounds, loss=plan.loss, autocast=plan.autocast)

    def _episode(self, supply: Crops, source: Generator) -> tuple[Tensor, Tensor]:
        outcome = play(self.network, supply.scenes(source, self.plan.batch), source, self._course())
        return outcome.loss, outcome.dice[-1].mean()

    def _groups(self) -> list[dict[str, Any]]:
        network, plan = self.network, self.plan
        rest = [*network.prompt_encoder.parameters(), *network.mask_decoder.parameters()]
        return decayed(network.image_encoder.parameters(), plan.decay) + decayed(rest, plan.decay, plan.share)

    @classmethod
    def beginning_with(cls, network: SamMed3D, device: torch.device, **changes: Any) -> Self:
        """A new run from a trained network's weights. changes: other values for fields of the plan."""
        trainer = cls(cls._plan(network=network.config, **changes), device)
        trainer.begin_with(network)
        return trainer

    def supply(self, shards: tuple[Any, ...]) -> Crops:
        """What to train from."""
        plan, network = self.plan, self.network.config
        cell_mm = network.spacing_mm * network.edge / network.cells
        return Crops(self.device, network.edge, network.spacing_mm, cell_mm, shards, plan.synthetic, plan.aside)

    @torch.no_grad()
    def watch(self, supply: Crops) -> dict[str, list[float]]:
        """Mean Dice after each click of the averaged network on the same objects every time, by what it reads of its
        memory."""
        plan, results = self.plan, {}
        for name, reads in self._watchings():
            course = SamCourse(plan.watched_clicks, Habits.steady(), False, reads=reads, autocast=plan.autocast)
            found: list[Tensor] = []
            for start in range(0, plan.watched, plan.batch):
                source = generator(self.device, plan.seed, WATCHING, start)
                scenes = supply.scenes(source, min(plan.batch, plan.watched - start))
                found.append(play(self.average, scenes, source, course).dice)
            results[name] = torch.cat(found, dim=1).mean(dim=1).tolist()
        return results

    def _watchings(self) -> tuple[tuple[str, str], ...]:
        return (("clicks", "none"),)

    def plan_to_record(self, plan: SamPlan) -> dict[str, Any]:
        return {**asdict(plan), "network": sam_files.config_to_words(plan.network)}

    @classmethod
    def plan_from_record(cls, record: dict[str, Any]) -> SamPlan:
        return cls._plan(**{**record, "network": sam_files.config_from_words(record["network"])})


class MaisTrainer(SamTrainer):
    """See the module. With the memory variant "none" it is the paper's Ft-SAM3D: the same fine-tuning without
    memory."""

    plan: MaisPlan
    _plan = MaisPlan

    def _built(self) -> Mais:
        return Mais(self.plan.network)

    def _course(self) -> SamCourse:
        return replace(super()._course(), frozen=True)

    def _groups(self) -> list[dict[str, Any]]:
        network, plan = self.network, self.plan
        network.image_encoder.requires_grad_(False)
        rest = [*network.prompt_encoder.parameters(), *network.mask_decoder.parameters()]
        memory = decayed(network.memory_attention.parameters(), plan.decay)
        return decayed(rest, plan.decay, plan.share) + [group for group in memory if group["params"]]

    @classmethod
    def beginning_with(
        cls, network: SamMed3D, device: torch.device, memory: MemoryConfig | None = None, **changes: Any
    ) -> Self:
        """A new run from a trained SAM-Med3D, with a memory that has yet to learn; or from a trained MAIS."""
        if isinstance(network, Mais):
            trainer = cls(MaisPlan(network=MaisConfig(network.config, network.memory_config), **changes), device)
            trainer.begin_with(network)
            return trainer
        trainer = cls(MaisPlan(network=MaisConfig(network.config, memory or MemoryConfig()), **changes), device)
        for part in (trainer.network, trainer.average):
            part.load_state_dict({**part.state_dict(), **network.state_dict()})
        return trainer

    def _watchings(self) -> tuple[tuple[str, str], ...]:
        with_memory = (("memory", "both"),) if self.plan.network.memory.variant != "none" else ()
        return (*with_memory, ("no_memory", "none"))


def export(trainer: SamTrainer, path: Path) -> None:
    """The averaged weights as a file the segmenter loads."""
    plan = trainer.plan
    note = f"step {trainer.step}, seed {plan.seed}, synthetic share {plan.synthetic}, {plan.rounds} interactions"
    sam_files.save(path, trainer.average, note)
