"""A network of BiomedParse's kind whose answers can be worked out by hand, and the segmenter with it."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from small_biomedparse import WIDTH, small_config
from torch import Tensor

from memseg.networks.biomedparse.boltzmann_decoder import Decoded
from memseg.networks.biomedparse.model import BiomedParse, SliceMaps
from memseg.segmenters.biomedparse import BiomedParseSegmenter
from memseg.segmenters.byte_pairs import SHIPPED, read

EDGE, SURE = 64, 9.0
VOCABULARY = read(SHIPPED)


class BrightBiomedParse(BiomedParse):
    """The object is where a slice is brighter than the middle of its window, and exists where any of that is; but in no
    slice for words that `knows` leaves out, if it names any.

    shown: what it was given to encode. asked: the words of every sentence. answers: how many there were. missed: how
    surely the object exists, by which answer, where that is to be otherwise.
    """

    def __init__(self) -> None:
        with torch.device("meta"):
            super().__init__(small_config(EDGE, len(VOCABULARY)))
        self.to_empty(device="cpu")
        self.shown: list[Tensor] = []
        self.asked: list[Tensor] = []
        self.answers = 0
        self.missed: dict[int, float] = {}
        self.knows: tuple[str, ...] = ()

    def words(self, ids: Tensor) -> Tensor:
        self.asked.append(ids[0])
        known = not self.knows or any(set(VOCABULARY.encode(word)[1:-1]) <= set(ids[0].tolist()) for word in self.knows)
        return torch.full((1, ids.shape[1], WIDTH), float(known))

    def encode(self, slices: Tensor) -> SliceMaps:
        self.shown.append(slices)
        grey = functional.avg_pool2d(slices[:, :1], 4)
        features = grey.expand(-1, WIDTH, -1, -1)
        return SliceMaps(features, tuple(functional.avg_pool2d(features, 4 // 2**step) for step in (0, 1, 2)))

    def answer(self, maps, words, sampling, informing=None) -> Decoded:
        logits = SURE * (maps.mask_features[:, 0] - 127.5) / 127.5
        if not bool(words.any()):
            logits = torch.full_like(logits, -SURE)
        there = bool((logits > 0).any())
        existence = self.missed.get(self.answers, SURE if there else -SURE)
        self.answers += 1
        nothing = torch.zeros(len(logits), WIDTH)
        return Decoded(logits, torch.full((len(logits),), existence), nothing[:, None], nothing)


def bright_segmenter(**options) -> BiomedParseSegmenter:
    network = BrightBiomedParse()
    encoder = network.sem_seg_head.predictor.language_encoder
    encoder.sentence = lambda ids: torch.nn.functional.normalize(torch.ones(WIDTH), dim=0)
    return BiomedParseSegmenter(network, VOCABULARY, "cpu", **options)


def network_of(segmenter: BiomedParseSegmenter) -> BrightBiomedParse:
    return segmenter._engine.network
