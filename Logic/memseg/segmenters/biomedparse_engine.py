"""Runs BiomedParse on a volume's slices: each is encoded once and kept, so that a second question costs the decoder
only (of 5 s a slice on two CPU cores, a quarter of a second)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..networks.biomedparse.boltzmann_decoder import Sampling
from ..networks.biomedparse.memory import BankAttention, Remembered, known, remembered
from ..networks.biomedparse.model import BiomedParse, SliceMaps, neighbours
from ..volume import Volume
from .biomedparse_slices import Stack, Window
from .byte_pairs import BytePairs
from .kept_slices import KeptSlices
from .placed import Placed

_KEPT_SENTENCES, _KEPT_PIXELS = 64, 3
_SEEDS_APART = 100_003


@dataclass(frozen=True, eq=False)
class Look:
    """What was found in one slice. number: in the network's order. logits (h, w) float32 at a quarter of its pixels.
    existence: 0 to 1, that the object is there. keys, values (D, g, g) float16: what memory keeps of it."""

    number: int
    logits: np.ndarray
    existence: float
    keys: np.ndarray
    values: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """(h, w) float32."""
        return 1 / (1 + np.exp(-np.clip(self.logits, -30, 30)))


class Engine:
    """See the module. Not for several threads at once; what it keeps never changes an answer.

    seed: of the draws in the decoder; None: deterministic mode. bank_attention: trained to read remembered slices; None
    where there is none.
    """

    def __init__(
        self,
        network: BiomedParse,
        vocabulary: BytePairs,
        title: str,
        device: str,
        seed: int | None = 0,
        bank_attention: BankAttention | None = None,
    ) -> None:
        if len(vocabulary) != network.config.text.vocabulary:
            raise ValueError("The network and its vocabulary know as many word pieces.")
        self._vocabulary, self._seed = vocabulary, seed
        self._kept: WeakKeyDictionary[Volume, KeptSlices] = WeakKeyDictionary()
        self._pixels: WeakKeyDictionary[Volume, OrderedDict[tuple[int, Window], Tensor]] = WeakKeyDictionary()
        self._sentences: OrderedDict[str, Tensor] = OrderedDict()
        self.bank_attention = None if bank_attention is None else bank_attention.eval().requires_grad_(False)
        self._placed = Placed(network, title, device, self._sentences.clear)

    @property
    def network(self) -> BiomedParse:
        return self._placed.network

    @property
    def runs_on_cpu(self) -> bool:
        return self._placed.device.type == "cpu"

    def take_note(self) -> str:
        """The note on the device, once; "" where there is none."""
        return self._placed.take_note()

    def meaning(self, sentence: str) -> np.ndarray:
        """(D,) float32 of length 1."""
        encoder = self.network.sem_seg_head.predictor.language_encoder
        return self._placed.run(lambda: encoder.sentence(self._ids(sentence)).float().cpu().numpy())

    def look(
        self,
        volume: Volume,
        stack: Stack,
        window: Window,
        number: int,
        sentence: str,
        bank: Remembered | None = None,
        given: np.ndarray | None = None,
    ) -> Look:
        """bank: remembered slices that the trained memory reads; None: the network alone. given: logits (h, w) that the
        user's mask of the slice amounts to, which then count instead of the network's."""
        return self._placed.run(lambda: self._looked(volume, stack, window, number, sentence, bank, given))

    def _looked(
        self,
        volume: Volume,
        stack: Stack,
        window: Window,
        number: int,
        sentence: str,
        bank: Remembered | None,
        given: np.ndarray | None,
    ) -> Look:
        device = self._placed.device
        seeds = None if self._seed is None else (self._seed * _SEEDS_APART + number,)
        # The weights were trained in float32, and their answers are held to the published ones.
        with torch.autocast(device.type, enabled=False):
            maps, words = self._maps(volume, stack, window, number), self._words(sentence)
            informing = None
            if bank is not None and self.bank_attention is not None:
                self.bank_attention.to(device)
                on_device = Remembered(*(part.to(device) for part in (bank.keys, bank.values, bank.away_mm)))
                informing = self.bank_attention.reading(on_device)
            answer = self.network.answer(maps, words, Sampling(seeds), informing)
            if given is not None:
                answer = known(answer, torch.from_numpy(given)[None].to(device, torch.float32))
            keys, values = remembered(maps, answer)
        return Look(
            number,
            answer.logits[0].float().cpu().numpy(),
            float(answer.existence[0].sigmoid()),
            keys[0].half().cpu().numpy(),
            values[0].half().cpu().numpy(),
        )

    def _maps(self, volume: Volume, stack: Stack, window: Window, number: int) -> SliceMaps:
        if volume not in self._kept:
            self._kept[volume] = KeptSlices()
        kept, key = self._kept[volume], (number, window)
        found = kept.get(key)
        if found is None:
            shown = self._shown(volume, stack, window, number).to(self._placed.device)
            encoded = self.network.encode(shown)
            kept.put(key, encoded.parts)
            found = tuple(part.half().contiguous() for part in encoded.parts)  # as kept ones are: equal answers
        return SliceMaps.of(tuple(part.to(self._placed.device, torch.float32) for part in found))

    def _shown(self, volume: Volume, stack: Stack, window: Window, number: int) -> Tensor:
        """(1, 3, edge, edge): the slice, the one before and the one after."""
        kept, pixels = self._pixels.setdefault(volume, OrderedDict()), []
        for each in neighbours(number, stack.count):
            key = (each, window)
            if key not in kept:
                kept[key] = stack.shown(volume, each, window)
            kept.move_to_end(key)
            pixels.append(kept[key])
        while len(kept) > _KEPT_PIXELS:
            kept.popitem(last=False)
        return torch.stack(pixels)[None]

    def _ids(self, sentence: str) -> Tensor:
        longest = self.network.config.text.length
        return torch.tensor([self._vocabulary.encode(sentence, longest)], device=self._placed.device)

    def _words(self, sentence: str) -> Tensor:
        if sentence not in self._sentences:
            self._sentences[sentence] = self.network.words(self._ids(sentence))
        self._sentences.move_to_end(sentence)
        while len(self._sentences) > _KEPT_SENTENCES:
            self._sentences.popitem(last=False)
        return self._sentences[sentence]
