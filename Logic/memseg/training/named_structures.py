"""Stacks of slices of labelled volumes, of which the name of a structure names one: shown as BiomedParse is shown an
image, windowed by what is named, turned to the head, the back and the left, made square and resized."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ..geometry import Grid
from ..modality import guess
from ..segmenters.biomedparse_slices import Stack, Window
from ..segmenters.biomedparse_words import question
from ..volume import Volume
from .chance import normal, number, whole
from .named_stacks import NamedStack, Vocabulary
from .shards import Shard

_FEWEST_VOLUMES = 4  # that a name has to be met in to be learned
_FEWEST_SAMPLES = 8.0  # that a structure covers at the network's size in a slice it is in, to be asked for
_NOISE = 5.0


def names_in(shards: tuple[Shard, ...]) -> tuple[str, ...]:
    """What structures are called in at least four volumes, in alphabetical order."""
    met = Counter(name for shard in shards for name in set(shard.names))
    return tuple(sorted(name for name, count in met.items() if count >= _FEWEST_VOLUMES))


def sentence_of(name: str) -> str:
    """What is said to ask for a structure of that name: "kidney_left" is "kidney left"."""
    return name.replace("_", " ")


class NamedVolume:
    """A shard with names, as it is shown. names: those that may be asked for."""

    def __init__(self, shard: Shard, edge: int, names: tuple[str, ...]) -> None:
        if not shard.names or shard.codes is None or shard.values is None or shard.ijk_to_ras is None:
            raise ValueError("Structures are named only in shards that keep their names.")
        grid = Grid(shard.labels.shape, shard.ijk_to_ras)
        self.volume = Volume(shard.values[shard.codes], grid)
        self.stack = Stack.of(grid, edge)
        self._labels = self.stack.planes(shard.labels)
        self._kind = guess(self.volume) or "MR"
        self._windows = {name: self._asked_in(name) for name in shard.names if name in names}
        self._shown: dict[Window, Tensor] = {}
        self._masks: dict[str, Tensor] = {}
        self._numbers = {name: place for place, name in enumerate(shard.names, start=1) if name in names}
        self.names = tuple(name for name in self._numbers if self._samples(name) >= _FEWEST_SAMPLES)

    def window(self, name: str) -> Window:
        return self._windows[name]

    def mask(self, name: str) -> Tensor:
        """(S, e, e) bool."""
        if name not in self._masks:
            self._masks[name] = self._resized(self._labels == self._numbers[name])
        return self._masks[name]

    def image(self, window: Window) -> Tensor:
        """(S, e, e) float 0 to 255."""
        if window not in self._shown:
            planes = [self.stack.shown(self.volume, number_of, window) for number_of in range(self.stack.count)]
            self._shown[window] = torch.stack(planes)
        return self._shown[window]

    def asked(
        self, source: Generator, slices: int, vocabulary: Vocabulary, most: int, vary: bool = True
    ) -> list[NamedStack]:
        """At most so many structures of the same slices in a row, the first of which is in one of them. vary: with
        other contrast and noise. A volume of fewer slices is asked about in all it has."""
        first = self.names[int(whole(source, (1,), len(self.names)))]
        held = self.mask(first).flatten(1).any(dim=1).nonzero()[:, 0].tolist()
        middle = held[int(whole(source, (1,), len(held)))]
        start = middle - int(whole(source, (1,), slices))
        start = max(0, min(start, self.stack.count - slices))
        run, window = slice(start, start + slices), self.window(first)
        image = self.image(window)[run].to(source.device)
        if vary:
            image = (image - 110) * number(source, 0.85, 1.15) + 110 + number(source, -12, 12)
            image = (image + _NOISE * normal(source, tuple(image.shape))).clamp(0, 255)
        others = [name for name in self.names if name != first and self.window(name) == window]
        order = torch.randperm(len(others), generator=source, device=source.device).tolist()
        found = []
        for name in (first, *(others[place] for place in order))[:most]:
            sentence = sentence_of(name)
            ids = torch.tensor([vocabulary.encode(sentence)], device=source.device)
            target = self.mask(name)[run].float().to(source.device)
            never_hard = torch.zeros(len(target), dtype=torch.bool, device=source.device)
            found.append(NamedStack(image, target, sentence, ids, never_hard))
        return found

    def _asked_in(self, name: str) -> Window:
        return question(sentence_of(name), self.volume, self._kind).window

    def _samples(self, name: str) -> float:
        """Covered by a structure, on the average of the slices it is in; 0 of none."""
        sizes = self.mask(name).flatten(1).sum(dim=1)
        return float(sizes.sum() / (sizes > 0).sum().clamp(min=1))

    def _resized(self, planes: np.ndarray) -> Tensor:
        """(S, rows, columns) bool -> (S, e, e) bool, padded to a square as images are; at least half of a sample."""
        edge, masks = self.stack.edge, []
        rows, columns = planes.shape[1:]
        lacking = (max(columns - rows, 0), max(rows - columns, 0))
        padding = tuple((size // 2, size - size // 2) for size in lacking)
        for plane in planes:
            if not plane.any():
                masks.append(torch.zeros(edge, edge, dtype=torch.bool))
                continue
            square = torch.from_numpy(np.pad(plane, padding).astype(np.float32))[None, None]
            resized = functional.interpolate(square, size=(edge, edge), mode="bilinear", antialias=True)
            masks.append(resized[0, 0] >= 0.5)
        return torch.stack(masks)


def volumes_of(shards: tuple[Shard, ...], edge: int, names: tuple[str, ...]) -> tuple[NamedVolume, ...]:
    """Those in which there is something of one of the names."""
    made = (NamedVolume(shard, edge, names) for shard in shards if set(shard.names) & set(names))
    return tuple(volume for volume in made if volume.names)
