"""How BiomedParse's memory learns: the network stays as it is, and only the look at remembered slices is trained.

Where there are no published weights to stay with, a reduced network first learns to answer to words, slice by slice.
Both learn from stacks of slices in which words name an object (named_stacks.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ..networks.biomedparse.boltzmann_decoder import Decoded, DecoderConfig, Sampling
from ..networks.biomedparse.focalnet import FocalConfig
from ..networks.biomedparse.memory import BankAttention, MemoryConfig, Remembered, remembered
from ..networks.biomedparse.model import BiomedParse, BiomedParseConfig, SliceMaps, with_neighbours
from ..networks.biomedparse.pixel_decoder import PixelConfig
from ..networks.biomedparse.text_encoder import TextConfig
from ..segmenters import biomedparse_memory
from .chance import generator, normal, number, whole
from .loop import WATCHING, Loop, Schedule
from .losses import dice, soft_dice_loss
from .named_stacks import LOOKS, NamedStack, Vocabulary, WordList, named_stack

_LARGEST_SEED = 2**31 - 1


def reduced() -> BiomedParseConfig:
    """Small enough for two CPU cores: 0.9 million parameters."""
    return BiomedParseConfig(
        FocalConfig(16, (1, 1, 2, 1)),
        PixelConfig(64, 4, 128, 1),
        TextConfig(64, 2, 4, 8, len(WordList())),
        DecoderConfig(64, 4, 128, 3, queries=8, edge_queries=2, drawn=0.3),
        edge=64,
    )


@dataclass(frozen=True)
class NamingPlan(Schedule):
    """slices: of a stack. batch: stacks of a step. rate: at 2e-3 a run of 900 steps ended with answers that no query
    changed any more."""

    network: BiomedParseConfig = field(default_factory=reduced)
    slices: int = 12
    batch: int = 2
    steps: int = 6_000
    rate: float = 4e-4
    watched: int = 24


@dataclass(frozen=True)
class MemoryPlan(Schedule):
    """network: the memory. edge: of the slices. told: slices that each is told of. gap_mm: between slices, at most."""

    network: MemoryConfig = field(default_factory=lambda: MemoryConfig(64, 32, 2, 4, 3))
    edge: int = 64
    slices: int = 12
    told: int = 4
    gap_mm: float = 6.0
    batch: int = 2
    steps: int = 800
    rate: float = 2e-3
    watched: int = 24


class NamedSupply:
    """Stacks without end; each follows from the generator it is asked with."""

    def __init__(
        self, slices: int, edge: int, vocabulary: Vocabulary | None = None, words: tuple[str, ...] = LOOKS
    ) -> None:
        self.slices, self.edge, self.vocabulary, self.words = slices, edge, vocabulary or WordList(), words

    def stack(self, source: Generator) -> NamedStack:
        return named_stack(source, self.slices, self.edge, self.vocabulary, self.words)


class NamingTrainer(Loop):
    """A reduced network learns to answer to words."""

    plan: NamingPlan

    def _built(self) -> BiomedParse:
        network = BiomedParse(self.plan.network)
        for block in (block for layer in network.backbone.layers for block in layer.blocks):
            for scale in (block.gamma_1, block.gamma_2):  # 1e-4, as published, takes longer to grow than this run is
                torch.nn.init.constant_(scale, 0.5)
        return network

    def _episode(self, supply: NamedSupply, source: Generator) -> tuple[Tensor, Tensor]:
        losses, reached = [], []
        for _ in range(self.plan.batch):
            stack = supply.stack(source)
            maps = self.network.encode(with_neighbours(stack.image))
            answer = self.network.answer(maps, self.network.words(stack.ids), _drawn(source, self.plan.slices))
            losses.append(loss_of(answer, stack))
            reached.append(dice_of(answer, stack))
        return torch.stack(losses).mean(), torch.stack(reached).mean()

    @torch.no_grad()
    def watch(self, supply: NamedSupply) -> dict[str, list[float]]:
        """Mean Dice of volumes, and share of slices whose presence is told right."""
        found = []
        for place in range(self.plan.watched):
            source = generator(self.device, self.plan.seed, WATCHING, place)
            stack = supply.stack(source)
            maps = self.average.encode(with_neighbours(stack.image))
            answer = self.average.answer(maps, self.average.words(stack.ids), _drawn(source, self.plan.slices))
            right = ((answer.existence > 0).float() == stack.present).float().mean()
            found.append((float(dice_of(answer, stack)), float(right)))
        scores = torch.tensor(found).mean(dim=0).tolist()
        return {"words": scores[:1], "present": scores[1:]}

    def plan_to_record(self, plan: NamingPlan) -> dict[str, Any]:
        return {**asdict(plan), "network": json.dumps(asdict(plan.network))}

    @classmethod
    def plan_from_record(cls, record: dict[str, Any]) -> NamingPlan:
        return NamingPlan(**{**record, "network": network_of(json.loads(record["network"]))})


class MemoryTrainer(Loop):
    """Only the memory's own parameters learn. `base` is the network that it belongs to, and has to be set first."""

    plan: MemoryPlan
    base: BiomedParse

    def _built(self) -> BankAttention:
        return BankAttention(self.plan.network)

    def _episode(self, supply: NamedSupply, source: Generator) -> tuple[Tensor, Tensor]:
        losses, reached = [], []
        for _ in range(self.plan.batch):
            stack = supply.stack(source)
            answer = self._answered(self.network, stack, source)
            losses.append(loss_of(answer, stack))
            reached.append(dice_of(answer, stack))
        return torch.stack(losses).mean(), torch.stack(reached).mean()

    def _answered(self, memory: BankAttention, stack: NamedStack, source: Generator) -> Decoded:
        """Every slice of a stack, told of some others as the network answered them by itself."""
        seeds = _drawn(source, len(stack.image))
        with torch.no_grad():
            maps = self.base.encode(with_neighbours(stack.image))
            words = self.base.words(stack.ids)
            alone = self.base.answer(maps, words, seeds)
            bank = self._bank(maps, alone, number(source, 1.0, self.plan.gap_mm), source)
        return self.base.answer(maps, words, seeds, memory.reading(bank))

    def _bank(self, maps: SliceMaps, alone: Decoded, gap_mm: float, source: Generator) -> Remembered:
        """For each slice `told` others, drawn from those in which the object is most surely and those near by."""
        keys, values = remembered(maps, alone)
        count = len(keys)
        numbers = torch.arange(count, device=keys.device)
        apart = (numbers[:, None] - numbers[None]).abs().float()  # (asks, is told of)
        liking = 2 * alone.existence.float()[None] - 0.3 * apart + normal(source, (count, count))
        liking = liking.masked_fill(apart == 0, -torch.inf)
        told = liking.topk(min(self.plan.told, count - 1), dim=1).indices  # (S, N)
        away = (told - numbers[:, None]) * gap_mm
        return Remembered(keys[told], values[told], away)

    @torch.no_grad()
    def watch(self, supply: NamedSupply) -> dict[str, list[float]]:
        """Mean Dice of volumes and of presence, with the memory and without it, on the same stacks and draws."""
        scores: dict[str, list[float]] = {}
        for name, memory in (("memory", self.average), ("no_memory", None)):
            found = []
            for place in range(self.plan.watched):
                source = generator(self.device, self.plan.seed, WATCHING, place)
                stack = supply.stack(source)
                answer = self._answered(memory or _Silent(), stack, source)
                right = ((answer.existence > 0).float() == stack.present).float().mean()
                found.append((float(dice_of(answer, stack)), float(right)))
            scores[name] = torch.tensor(found).mean(dim=0).tolist()
        return scores

    def plan_to_record(self, plan: MemoryPlan) -> dict[str, Any]:
        return asdict(plan)

    @classmethod
    def plan_from_record(cls, record: dict[str, Any]) -> MemoryPlan:
        return MemoryPlan(**{**record, "network": MemoryConfig(**record["network"])})


class _Silent:
    """A memory that says nothing."""

    def reading(self, bank: Remembered) -> None:
        return None


def loss_of(answer: Decoded, stack: NamedStack) -> Tensor:
    """Overlap where the object is, every cell, and whether it is there."""
    target = functional.avg_pool2d(stack.target[:, None], 4)
    logits, everywhere = answer.logits[:, None], torch.ones_like(target)
    overlap = (soft_dice_loss(logits, target, everywhere) * stack.present).sum() / stack.present.sum().clamp(min=1)
    cells = functional.binary_cross_entropy_with_logits(logits, target)
    existence = functional.binary_cross_entropy_with_logits(answer.existence, stack.present)
    return overlap + 2 * cells + 0.5 * existence


@torch.no_grad()
def dice_of(answer: Decoded, stack: NamedStack) -> Tensor:
    """Of the whole volume, on the cells of the answer."""
    target = (functional.avg_pool2d(stack.target[:, None], 4)[:, 0] >= 0.5).float()
    mask = ((answer.logits > 0) & (answer.existence > 0)[:, None, None]).float()
    return dice(mask[None], target[None])[0]


def _drawn(source: Generator, slices: int) -> Sampling:
    return Sampling(tuple(whole(source, (slices,), _LARGEST_SEED).tolist()))


def network_of(record: dict[str, Any]) -> BiomedParseConfig:
    """From the fields of a configuration. Raises KeyError, TypeError or ValueError."""
    backbone = {name: tuple(value) if isinstance(value, list) else value for name, value in record["backbone"].items()}
    return BiomedParseConfig(
        FocalConfig(**backbone),
        PixelConfig(**record["pixels"]),
        TextConfig(**record["text"]),
        DecoderConfig(**record["decoder"]),
        record["edge"],
    )


def export(trainer: MemoryTrainer, path: Path) -> None:
    """The averaged memory as a file that BiomedParse finds beside its weights."""
    biomedparse_memory.save(path, trainer.average, f"step {trainer.step}, seed {trainer.plan.seed}")
