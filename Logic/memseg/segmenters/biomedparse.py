"""BiomedParse v2 as a segmenter: words name an object, and it is found in every slice; clicks then correct its mask.

What the network itself does not take (clicks, boxes, strokes) is answered as the model `geodesic` answers it, from
the mask that the words gave. Where the object is in no slice by the network's own judgement, nothing is painted, and
that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from .. import catalog, modality
from ..errors import PromptError
from ..geometry import Box
from ..memory.interaction import Interaction
from ..networks.biomedparse.memory import BankAttention
from ..networks.biomedparse.model import BiomedParse
from ..prompts import Click, MaskPrompt, Prompt, Text
from ..volume import Volume
from . import biomedparse_memory, biomedparse_weights
from .base import Numbered, Prediction
from .biomedparse_bank import NOTHING, BankUse
from .biomedparse_engine import Engine, Look
from .biomedparse_slices import Stack
from .biomedparse_walk import PRESENT, Pace, Walk
from .biomedparse_words import question
from .byte_pairs import BytePairs, vocabulary_for
from .geodesic import Geodesic

_EVERY_MM = 10.0  # on a CPU, where a slice takes 5 s


class BiomedParseSegmenter:
    """See the module. use: of the memory of slices, where a session has its memory on. pace: None looks at every slice
    on a GPU, and first at one every 10 mm on a CPU. seed: None: deterministic mode."""

    name = biomedparse_weights.NAME

    def __init__(
        self,
        network: BiomedParse,
        vocabulary: BytePairs,
        device: str = "auto",
        seed: int | None = 0,
        use: BankUse | None = None,
        pace: Pace | None = None,
        bank_attention: BankAttention | None = None,
    ) -> None:
        self.card = catalog.card(self.name)
        self._engine = Engine(network, vocabulary, self.card.title, device, seed, bank_attention)
        self._use, self._pace = use or BankUse(), pace
        self._corrector = Geodesic()

    @classmethod
    def from_file(cls, path: Path, device: str = "auto", reads: str = "both") -> BiomedParseSegmenter:
        """reads: of no effect, as words leave one kind of memory. Raises ModelError for a file that is not the
        model's, or without its vocabulary."""
        vocabulary, network = vocabulary_for(path), biomedparse_weights.load(path)
        return cls(network, vocabulary, device, bank_attention=biomedparse_memory.beside(path, network.config))

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        newest = prompts[-1].prompt
        if not isinstance(newest, Text):
            return self._corrected(volume, prompts, mask_kji)
        walk = self._walk(volume, newest.words, prompts, memory is not None)
        box, probability = self._found(walk, newest.words)
        whole = box.union(Box.of_mask(mask_kji))  # so that what was there goes
        crop = np.zeros(whole.shape_kji, np.float32)
        crop[box.relative_to(whole).slices] = probability
        notes = (self._engine.take_note(), _note_on(walk))
        meaning = self._engine.meaning(walk.asked.sentence)[None]
        return Prediction(whole, crop, meaning, note=" ".join(filter(None, notes)))

    def looks(self, volume: Volume, words: str, remembering: bool = False) -> Iterator[Look]:
        """Slice by slice as they are looked at; close it to end the work. Raises PromptError, before the first."""
        return self._walk(volume, words, (), remembering).looks()

    def _walk(self, volume: Volume, words: str, prompts: tuple[Numbered, ...], remembering: bool) -> Walk:
        if said := modality.named_in(words):
            modality.tell(volume, said)
        asked = question(words, volume, modality.told(volume) or modality.guess(volume))
        stack = Stack.of(volume.grid, self._engine.network.config.edge)
        clicks = [each.prompt for each in prompts if isinstance(each.prompt, Click) and each.prompt.positive]
        prompted = stack.slice_at(clicks[-1].point_kji) if clicks else None
        pace = self._pace or Pace(_EVERY_MM if self._engine.runs_on_cpu else 0.0)
        return Walk(
            self._engine, volume, stack, asked, self.name, self._use if remembering else NOTHING, pace, prompted
        )

    def _found(self, walk: Walk, words: str) -> tuple[Box, np.ndarray]:
        """A tight box and the probabilities in it. PromptError where the object is in no slice, StoppedError."""
        found: dict[int, Look] = {}
        with closing(walk.looks()) as looks:
            for look in looks:
                found[look.number] = look
        there = [look for look in found.values() if look.existence > PRESENT and (look.logits > 0).any()]
        if not there:
            surest = max(look.existence for look in found.values())
            raise PromptError(
                f"{self.card.title} finds no {words} here: it is {surest:.0%} sure of the likeliest slice, and more "
                "than 50% are needed. Say it in other words, or click on it."
            )
        numbers = [look.number for look in there]
        first = min(numbers)
        planes = np.zeros((max(numbers) - first + 1, *walk.stack.shape[1:]), np.float32)
        for look in there:
            planes[look.number - first] = walk.stack.read(look.logits)
        box, crop = walk.stack.box_of(numbers), walk.stack.back(planes)
        tight = Box.of_mask(crop > 0.5)
        return tight.shifted(box.start_kji), np.ascontiguousarray(crop[tight.slices])

    def _corrected(self, volume: Volume, prompts: tuple[Numbered, ...], mask_kji: np.ndarray) -> Prediction:
        """As the corrector answers, words standing for the mask they gave."""
        words = [place for place, each in enumerate(prompts) if isinstance(each.prompt, Text)]
        if words:
            box = Box.of_mask(mask_kji)
            given: Prompt = MaskPrompt(volume.shape_kji, box, mask_kji[box.slices])
            prompts = (Numbered(prompts[words[-1]].number, given), *prompts[words[-1] + 1 :])
        return self._corrector.predict(volume, prompts, mask_kji, None)


def _note_on(walk: Walk) -> str:
    notes = []
    if walk.step > 1:
        notes.append(
            f"One slice in {walk.step} was looked at first and others where it is, so that what lies between two of "
            "them may be missed."
        )
    if not walk.stack.is_axial:
        notes.append(f"The image was cut into {walk.stack.name} slices; the model knows axial ones best.")
    if walk.stack.count == 1:
        notes.append("The image has a single slice, which the model sees without neighbours.")
    return " ".join(notes)
