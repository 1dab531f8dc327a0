"""Stacks of slices played through BiomedParse's memory, for biomedparse_memory.py: what is found, what it is worth, and
how many slices a user would have to correct."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from memseg.geometry import Grid
from memseg.networks.biomedparse.boltzmann_decoder import Decoded, Sampling
from memseg.networks.biomedparse.model import BiomedParse, SliceMaps
from memseg.segmenters.biomedparse_bank import NOTHING, BankUse
from memseg.segmenters.biomedparse_engine import Engine
from memseg.segmenters.biomedparse_slices import Stack, Window
from memseg.segmenters.biomedparse_walk import PRESENT, Walk
from memseg.segmenters.biomedparse_words import Question
from memseg.training.biomedparse_trainer import logits_of, reduced
from memseg.training.named_stacks import NamedStack
from memseg.volume import Volume

GAP_MM, CAPACITY = 3.0, 4
WRONG = 0.7  # Dice below which a slice has to be corrected
ENOUGH, MOST_PROMPTS = 0.85, 10  # 3D Dice that corrections go on to, and how many there are at most
_PLAIN = {"capacity": CAPACITY, "decay": False, "prominence": False, "attention": False}
_DECAY = {**_PLAIN, "decay": True}
_OURS = {**_DECAY, "prominence": True}
_LOOK = {**_OURS, "attention": True}
ROWS = {
    "no memory": NOTHING,
    "recent": BankUse("recent", **_PLAIN),
    "self-sorting": BankUse("self-sorting", **_PLAIN),
    "... by value, with decay": BankUse("ours", **_DECAY),
    "... and prominence": BankUse("ours", **_OURS),
    "... and the decoder's trained look": BankUse("ours", **_LOOK),
    "the decoder's trained look alone": BankUse("ours", **{**_LOOK, "masks": 0.0, "existence": False}),
}


@dataclass(frozen=True)
class Score:
    """Of one stack. hard: mean Dice of the slices in which the object was made hard to tell, None where it was in none.
    prompts: slices corrected until it is good enough, and done: whether it then was; None where nobody corrected."""

    dice: float
    uneven: float
    to_correct: int
    hard: float | None
    told_right: float
    prompts: int | None
    done: bool | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Player:
    """One stack with the network that answers it."""

    engine: Engine
    stack: NamedStack
    volume: Volume

    @classmethod
    def of(cls, engine: Engine, stack: NamedStack) -> Player:
        """Slices to the head, rows to the back, columns to the left, so that the network sees the stack as it is."""
        grid = Grid(tuple(stack.image.shape), np.diag([-1.0, -1.0, GAP_MM, 1.0]))
        player = cls(engine, stack, Volume(stack.image.numpy(), grid))
        player.found(NOTHING)  # so that every row finds the slices encoded
        return player

    @property
    def truth(self) -> np.ndarray:
        return self.stack.target.numpy() > 0

    def found(self, use: BankUse, given: Mapping[int, np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The mask (S, rows, columns) bool, and in which slices (S,) the object is said to be. given: see Walk."""
        cut = Stack.of(self.volume.grid, self.engine.network.config.edge)
        asked = Question(self.stack.sentence, Window(0, 255), "CT")
        walk = Walk(self.engine, self.volume, cut, asked, "biomedparse", use, given=given or {})
        mask, there = np.zeros(cut.shape, bool), np.zeros(cut.count, bool)
        for look in walk.looks():
            there[look.number] = look.existence > PRESENT
            mask[look.number] = there[look.number] & (cut.read(look.logits) > 0.5)
        return mask, there

    def score(self, use: BankUse, correcting: bool) -> Score:
        start = time.perf_counter()
        mask, there = self.found(use)
        seconds = (time.perf_counter() - start) / len(mask)
        truth = self.truth
        held, count = truth.any(axis=(1, 2)), len(mask)
        by_slice = np.array([dice(mask[number], truth[number]) for number in range(count)])
        pairs = [number for number in range(count - 1) if held[number : number + 2].any()]
        uneven = [dice(*mask[number : number + 2]) - dice(*truth[number : number + 2]) for number in pairs]
        hard = self.stack.hard.numpy()
        prompts, done = self.corrections(use, mask) if correcting else (None, None)
        return Score(
            dice(mask, truth),
            float(np.abs(uneven).mean()) if pairs else 0.0,
            int((by_slice < WRONG).sum()),
            float(by_slice[hard].mean()) if hard.any() else None,
            float((there == held).mean()),
            prompts,
            done,
            seconds,
        )

    def corrections(self, use: BankUse, mask: np.ndarray) -> tuple[int, bool]:
        """How many slices a user corrects, the one with the most wrong voxels first, each of which memory is told of,
        until the volume is good enough; and whether it then is."""
        cells = functional.avg_pool2d(self.stack.target[:, None], 4)[:, 0]
        truth, given, mask = self.truth, {}, mask.copy()
        for count in range(MOST_PROMPTS + 1):
            mask[list(given)] = truth[list(given)]
            if dice(mask, truth) >= ENOUGH:
                return count, True
            if count == MOST_PROMPTS:
                break
            worst = int((mask != truth).sum(axis=(1, 2)).argmax())
            given[worst] = logits_of(cells[worst]).numpy()
            if use.is_on:
                mask, _ = self.found(use, given)
        return MOST_PROMPTS, False


def dice(one: np.ndarray, other: np.ndarray) -> float:
    total = int(one.sum()) + int(other.sum())
    return 1.0 if total == 0 else 2 * int((one & other).sum()) / total


class Brightness(BiomedParse):
    """Finds what is brighter than the background by a good part of the least contrast there is."""

    def __init__(self) -> None:
        with torch.device("meta"):
            super().__init__(reduced())
        self.to_empty(device="cpu")

    def words(self, ids: Tensor) -> Tensor:
        return torch.zeros(1, ids.shape[1], self.config.text.width)

    def encode(self, slices: Tensor) -> SliceMaps:
        grey = (functional.avg_pool2d(slices[:, :1], 4) - 110) / 10
        features = grey.expand(-1, self.config.pixels.width, -1, -1)
        return SliceMaps(features, tuple(functional.avg_pool2d(features, 8 // 2**level) for level in range(3)))

    def answer(self, maps: SliceMaps, words: Tensor, sampling: Sampling, informing=None) -> Decoded:
        logits = 2 * (maps.mask_features[:, 0] - 2.5)
        existence = logits.flatten(1).amax(dim=1) * 1.5
        nothing = torch.zeros(len(logits), self.config.decoder.width)
        return Decoded(logits, existence, nothing[:, None], nothing)
