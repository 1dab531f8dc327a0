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
from ..networks.biomedparse.memory import BankAttention, MemoryConfig, Remembered, known, remembered
from ..networks.biomedparse.model import BiomedParse, BiomedParseConfig, SliceMaps, with_neighbours
from ..networks.biomedparse.pixel_decoder import PixelConfig
from ..networks.biomedparse.text_encoder import TextConfig
from ..segmenters import biomedparse_memory
from .chance import generator, happens, normal, number, whole
from .loop import WATCHING, Loop, Schedule, decayed
from .losses import dice, soft_dice_loss
from .named_stacks import LOOKS, NamedStack, Vocabulary, WordList, scene
from .named_structures import NamedVolume

_LARGEST_SEED = 2**31 - 1
_WELL = 0.1  # what a slice counts to a memory that the network answers perfectly; one that it misses, 1 more
_HARD_TRIES = 4
_GATES = 20.0  # by how much faster gates learn than the rest of a memory


def reduced(words: int = len(WordList())) -> BiomedParseConfig:
    """Small enough for two CPU cores: 0.9 million parameters. words: of the vocabulary."""
    return BiomedParseConfig(
        FocalConfig(16, (1, 1, 2, 1)),
        PixelConfig(64, 4, 128, 1),
        TextConfig(64, 2, 4, 8, words),
        DecoderConfig(64, 4, 128, 3, queries=8, edge_queries=2, drawn=1.0, apart=False),
        edge=64,
    )


@dataclass(frozen=True)
class NamingPlan(Schedule):
    """names: of structures that are asked for beside synthetic objects. slices: of a stack. batch: stacks of a step,
    each of which is shown in `shown` slices and asked `questions` about: the same slices under other words leave only
    the words to tell the answers apart by."""

    network: BiomedParseConfig = field(default_factory=reduced)
    names: tuple[str, ...] = ()
    slices: int = 12
    batch: int = 12
    shown: int = 2
    questions: int = 2
    steps: int = 3_000
    rate: float = 1e-3
    watched: int = 24


@dataclass(frozen=True)
class MemoryPlan(Schedule):
    """network: the memory. edge: of the slices. told: slices that each is told of, at most. gap_mm: between slices, at
    most. given: share of slices whose true mask is remembered, as it is of those a user has corrected."""

    network: MemoryConfig = field(default_factory=lambda: MemoryConfig(64, 32, 2, 4, 3))
    edge: int = 64
    slices: int = 12
    told: int = 4
    gap_mm: float = 6.0
    given: float = 0.3
    batch: int = 4
    steps: int = 800
    rate: float = 4e-3
    watched: int = 24


class NamedSupply:
    """Stacks without end; each follows from the generator it is asked with. volumes: labelled ones, that a share of the
    stacks is of. hard: rather stacks in which the object is in some slices hard to tell."""

    def __init__(
        self,
        slices: int,
        edge: int,
        vocabulary: Vocabulary | None = None,
        words: tuple[str, ...] = LOOKS,
        volumes: tuple[NamedVolume, ...] = (),
        share: float = 0.35,
        hard: bool = False,
    ) -> None:
        self.slices, self.edge, self.vocabulary, self.words = slices, edge, vocabulary or WordList(), words
        self.volumes, self.share, self.hard = volumes, share if volumes else 0.0, hard

    def stack(self, source: Generator) -> NamedStack:
        for _ in range(_HARD_TRIES if self.hard else 1):
            stack = self.asked(source, 1)[0]
            if bool(stack.hard.any()):
                break
        return stack

    def asked(self, source: Generator, most: int) -> list[NamedStack]:
        """One to so many questions about the same slices."""
        if self.share and bool(happens(source, 1, self.share)):
            volume = self.volumes[int(whole(source, (1,), len(self.volumes)))]
            return volume.asked(source, self.slices, self.vocabulary, most)
        while True:
            if asked := scene(source, self.slices, self.edge).asked(source, self.words, self.vocabulary, most):
                return asked


class NamingTrainer(Loop):
    """A reduced network learns to answer to words."""

    plan: NamingPlan

    def _built(self) -> BiomedParse:
        network = BiomedParse(self.plan.network)
        for block in (block for layer in network.backbone.layers for block in layer.blocks):
            for scale in (block.gamma_1, block.gamma_2):  # 1e-4, as published, takes longer to grow than this run is
                torch.nn.init.constant_(scale, 0.5)
        decoder = network.sem_seg_head.predictor
        for embedding in (decoder.query_feat_, decoder.query_embed_, decoder.level_embed, decoder.classifier_query):
            torch.nn.init.normal_(embedding.weight, std=0.2)  # so that what is asked and seen is not drowned in it
        return network

    def _episode(self, supply: NamedSupply, source: Generator) -> tuple[Tensor, Tensor]:
        """Some slices of many stacks, each asked about in several words; questions of as many words go together."""
        plan, pictures = self.plan, []
        asked: dict[int, list[tuple[int, Tensor, Tensor]]] = {}
        for _ in range(plan.batch):
            questions = supply.asked(source, plan.questions)
            places = self._shown(source, questions)
            seen = with_neighbours(questions[0].image)
            for place in places:
                for each in questions:
                    row = (len(pictures), each.target[place], each.ids)
                    asked.setdefault(each.ids.shape[1], []).append(row)
                pictures.append(seen[place])
        maps = self.network.encode(torch.stack(pictures))
        losses, reached, count = [], [], sum(map(len, asked.values()))
        for rows in asked.values():
            numbers = torch.tensor([number for number, _, _ in rows], device=self.device)
            target, ids = torch.stack([row[1] for row in rows]), torch.cat([row[2] for row in rows])
            chosen = SliceMaps.of(tuple(part[numbers] for part in maps.parts))
            answer = self.network.answer(chosen, self.network.words(ids), _drawn(source, len(rows)))
            losses.append(loss_of(answer, target) * (len(rows) / count))
            reached.append(dice_of_slices(answer, target))
        return torch.stack(losses).sum(), torch.cat(reached).mean()

    def _shown(self, source: Generator, questions: list[NamedStack]) -> list[int]:
        """Slices, without repetition, most of them with something that is asked for."""
        liking = torch.stack([each.present for each in questions]).amax(dim=0) + 0.3
        return torch.multinomial(liking, min(self.plan.shown, len(liking)), generator=source).tolist()

    @torch.no_grad()
    def watch(self, supply: NamedSupply) -> dict[str, list[float]]:
        """Mean Dice of slices in which something is, of volumes, and share of slices whose presence is told right."""
        slices, volumes, right = [], [], []
        for place in range(self.plan.watched):
            source = generator(self.device, self.plan.seed, WATCHING, place)
            stack = supply.stack(source)
            maps = self.average.encode(with_neighbours(stack.image))
            answer = self.average.answer(maps, self.average.words(stack.ids), _drawn(source, len(stack.image)))
            slices.append(dice_of_slices(answer, stack.target))
            volumes.append(dice_of(answer, stack.target))
            right.append(((answer.existence > 0).float() == stack.present).float())
        found = {"slices": torch.cat(slices), "volumes": torch.stack(volumes), "present": torch.cat(right)}
        return {name: [float(values.mean())] for name, values in found.items()}

    def plan_to_record(self, plan: NamingPlan) -> dict[str, Any]:
        return {**asdict(plan), "network": json.dumps(asdict(plan.network)), "names": list(plan.names)}

    @classmethod
    def plan_from_record(cls, record: dict[str, Any]) -> NamingPlan:
        names = tuple(record["names"])
        return NamingPlan(**{**record, "network": network_of(json.loads(record["network"])), "names": names})


class MemoryTrainer(Loop):
    """Only the memory's own parameters learn. `base` is the network that it belongs to, and has to be set first. Slices
    that the network answers badly by itself count most: of the others memory has little to learn."""

    plan: MemoryPlan
    base: BiomedParse

    def _built(self) -> BankAttention:
        return BankAttention(self.plan.network)

    def _groups(self) -> list[dict[str, Any]]:
        """Gates learn faster: they begin at zero, and while they are near it nothing else of the memory learns. At the
        common rate they had come to 0.03 after 200 steps."""
        named = list(self.network.named_parameters())
        gates = [parameter for name, parameter in named if name.endswith(".gate")]
        others = [parameter for name, parameter in named if not name.endswith(".gate")]
        return [*decayed(others, self.plan.decay), {"params": gates, "weight_decay": 0.0, "share": _GATES}]

    def _episode(self, supply: NamedSupply, source: Generator) -> tuple[Tensor, Tensor]:
        losses, reached = [], []
        for _ in range(self.plan.batch):
            stack = supply.stack(source)
            answer, alone = self._answered(self.network, stack, source)
            losses.append(loss_of(answer, stack.target, _WELL + 1 - overlap_of(alone, stack.target)))
            reached.append(dice_of(answer, stack.target))
        return torch.stack(losses).mean(), torch.stack(reached).mean()

    def _answered(
        self, memory: BankAttention | _Silent, stack: NamedStack, source: Generator
    ) -> tuple[Decoded, Decoded]:
        """Every slice of a stack, told of some others as the network answered them by itself; and those answers."""
        seeds = _drawn(source, len(stack.image))
        with torch.no_grad():
            maps = self.base.encode(with_neighbours(stack.image))
            words = self.base.words(stack.ids)
            alone = self.base.answer(maps, words, seeds)
            cells = functional.avg_pool2d(stack.target[:, None], 4)[:, 0]
            given = happens(source, len(cells), self.plan.given)[:, None, None]
            told = known(alone, torch.where(given, logits_of(cells), alone.logits))
            bank = self._bank(maps, told, number(source, 1.0, self.plan.gap_mm), source)
        return self.base.answer(maps, words, seeds, memory.reading(bank)), alone

    def _bank(self, maps: SliceMaps, alone: Decoded, gap_mm: float, source: Generator) -> Remembered:
        """For each slice `told` others, drawn from those in which the object is most surely and those near by."""
        keys, values = remembered(maps, alone)
        count = len(keys)
        numbers = torch.arange(count, device=keys.device)
        apart = (numbers[:, None] - numbers[None]).abs().float()  # (asks, is told of)
        liking = 2 * alone.existence.float()[None] - 0.3 * apart + normal(source, (count, count))
        liking = liking.masked_fill(apart == 0, -torch.inf)
        most = 1 + int(whole(source, (1,), min(self.plan.told, count - 1)))
        told = liking.topk(most, dim=1).indices  # (S, N)
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
                answer, _ = self._answered(memory or _Silent(), stack, source)
                right = ((answer.existence > 0).float() == stack.present).float().mean()
                found.append((float(dice_of(answer, stack.target)), float(right)))
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


def logits_of(share: Tensor) -> Tensor:
    """What a network would say that is sure of a mask, of which these are the shares of cells."""
    return 12 * (2 * share - 1)


def loss_of(answer: Decoded, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Overlap where the object is, every cell, and whether it is there. target (N, e, e) of as many answers. weights
    (N,): what each counts; None: all the same."""
    cells, present = functional.avg_pool2d(target[:, None], 4), target.amax(dim=(1, 2))
    logits, share = answer.logits[:, None], torch.ones_like(present) if weights is None else weights
    overlap = soft_dice_loss(logits, cells, torch.ones_like(cells))
    entropy = functional.binary_cross_entropy_with_logits(logits, cells, reduction="none").flatten(1).mean(dim=1)
    existence = functional.binary_cross_entropy_with_logits(answer.existence, present, reduction="none")
    held = (overlap * present * share).sum() / (present * share).sum().clamp(min=1e-6)
    return held + ((5 * entropy + existence) * share).sum() / share.sum()


@torch.no_grad()
def dice_of(answer: Decoded, target: Tensor) -> Tensor:
    """Of the whole volume, on the cells of the answer."""
    mask = ((answer.logits > 0) & (answer.existence > 0)[:, None, None]).float()
    return dice(mask[None], _cells(target)[None])[0]


@torch.no_grad()
def overlap_of(answer: Decoded, target: Tensor) -> Tensor:
    """(N,) Dice of each slice, on the cells of the answer, 1 where it rightly says that nothing is there."""
    mask = ((answer.logits > 0) & (answer.existence > 0)[:, None, None]).float()
    return dice(mask, _cells(target))


@torch.no_grad()
def dice_of_slices(answer: Decoded, target: Tensor) -> Tensor:
    """(M,) of the slices in which something is, on the cells of the answer, whatever existence says."""
    cells = _cells(target)
    held = cells.flatten(1).any(dim=1)
    return dice((answer.logits > 0).float()[held], cells[held])


def _cells(target: Tensor) -> Tensor:
    return (functional.avg_pool2d(target[:, None], 4)[:, 0] >= 0.5).float()


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
