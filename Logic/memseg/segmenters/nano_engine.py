"""Runs a nano network: features of recent views kept, images normalised, one device with the CPU to fall back on."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..memory.interaction import Interaction
from ..networks.image import channels, condition
from ..networks.memory_attention import MemoryBatch
from ..networks.nano import Answer, Features, Nano, PromptBatch
from ..prompts import Prompt
from ..volume import Volume
from .nano_tensors import fits, memory_batch, prompt_batch
from .nano_view import View
from .placed import Placed, robust_range

_KEPT_FEATURES = 6  # of a volume; a view's features take 8 MB
Batch = TypeVar("Batch", PromptBatch, MemoryBatch)


@dataclass(frozen=True, eq=False)
class Seen:
    """An answer for one of several views: logits (edge, edge, edge) float32 and the expected Dice, 0 to 1. read: which
    of the memory's entries, by place, the network could read."""

    view: View
    logits: np.ndarray
    quality: float
    answer: Answer
    place: int
    read: list[int]


class _OfVolume:
    """What is kept of one volume."""

    def __init__(self, volume: Volume) -> None:
        self.low, self.high = robust_range(volume)
        self.features: OrderedDict[tuple[float, ...], Features] = OrderedDict()


class Engine:
    """Not for several threads at once; what it keeps never changes an answer. reads: the kinds of memory to read."""

    def __init__(self, network: Nano, device: str = "auto", reads: str = "both") -> None:
        self.network, self.reads = network, reads
        self._kept: WeakKeyDictionary[Volume, _OfVolume] = WeakKeyDictionary()
        self._placed = Placed(network, "nano", device, self._kept.clear)

    @property
    def device(self) -> torch.device:
        return self._placed.device

    def answers(
        self,
        volume: Volume,
        prompt: Prompt,
        views: list[View],
        masks: list[np.ndarray],
        memory: tuple[Interaction, ...] | None,
    ) -> list[Seen]:
        """The network's answer in each view, all in one batch."""
        config = self.network.config
        prompts = prompt_batch(prompt, volume, views, masks, config)
        read = [place for place, entry in enumerate(memory or ()) if fits(entry, config)]
        remembered = memory_batch([memory[place] for place in read], views, config) if read else None
        return self._placed.run(lambda: self._answered(volume, views, prompts, remembered, read))

    def _answered(
        self, volume: Volume, views: list[View], prompts: PromptBatch, memory: MemoryBatch | None, read: list[int]
    ) -> list[Seen]:
        features = self._features(volume, views)
        moved = None if memory is None else _moved(memory, self.device)
        answer = self.network.answer(features, _moved(prompts, self.device), moved, self.reads)
        logits = answer.logits[:, 0].float().cpu().numpy()
        quality = answer.quality.sigmoid().cpu().numpy()
        return [
            Seen(view, logits[place], float(quality[place]), answer, place, read) for place, view in enumerate(views)
        ]

    def _features(self, volume: Volume, views: list[View]) -> Features:
        if volume not in self._kept:
            self._kept[volume] = _OfVolume(volume)
        kept = self._kept[volume]
        missing = [view for view in views if view.key not in kept.features]
        if missing:
            made = self.network.encode(*self._image(volume, missing, kept))
            for place, view in enumerate(missing):
                kept.features[view.key] = made.taken(torch.tensor([place], device=self.device))
        found = [kept.features[view.key] for view in views]
        for view in views:
            kept.features.move_to_end(view.key)
        while len(kept.features) > _KEPT_FEATURES:
            kept.features.popitem(last=False)
        if len(found) == 1:
            return found[0]
        levels = zip(*(each.levels for each in found))
        return Features(tuple(torch.cat(level) for level in levels), torch.cat([each.image for each in found]))

    def _image(self, volume: Volume, views: list[View], kept: _OfVolume) -> tuple[Tensor, Tensor]:
        values = torch.from_numpy(np.stack([view.sample(volume.array_kji) for view in views])[:, None])
        inside = torch.from_numpy(np.stack([view.inside for view in views])[:, None])
        low, high = (torch.full((len(views),), end) for end in (kept.low, kept.high))
        spacing = torch.tensor([view.spacing_mm for view in views], dtype=torch.float32)
        native = torch.tensor(volume.grid.spacing_kji_mm, dtype=torch.float32).expand(len(views), 3)
        image = channels(values.to(self.device), inside.to(self.device), low.to(self.device), high.to(self.device))
        return image, condition(spacing, native).to(self.device)

    def take_note(self) -> str:
        """The note, once; "" where there is none."""
        return self._placed.take_note()


def _moved(batch: Batch, device: torch.device) -> Batch:
    return type(batch)(**{each.name: getattr(batch, each.name).to(device) for each in fields(batch)})
