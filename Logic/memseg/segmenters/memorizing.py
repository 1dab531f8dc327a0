"""Memorizing SAM as a segmenter: FastSAM3D that leans on what lay round structures of the user's earlier volumes.

The bank is fixed when the segmenter is made, so that equal arguments give equal predictions: what is remembered later
counts from the next start. What a structure's surroundings make of the memory layer is kept beside them, and made again
where the weights are others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .. import registry
from ..geometry import Grid
from ..memory.bank import Bank, Remembered, Surroundings
from ..memory.interaction import Interaction
from ..memory.recall_files import default_folder
from ..networks.memorizing_sam import LAYER, LOCAL_SHARE, LayerTokens, MemorizingEncoder, MemorizingSam
from ..networks.sam_med3d import SamMed3D
from ..volume import Volume
from .base import Numbered, Prediction
from .canonical import Canonical
from .sam_med3d import Extending, SamMed3DSegmenter
from .sam_weights import load_fastsam3d
from .sam_window import Window, image_of, normalised

MOST = 200  # the bank of the published figures has no stated size; each takes 1.6 MB
log = logging.getLogger(__name__)


class MemorizingSegmenter(SamMed3DSegmenter):
    """See the module."""

    name = "memorizing-sam"

    def __init__(self, network: MemorizingSam, device: str = "auto", extending: Extending | None = None) -> None:
        super().__init__(network, device, extending)
        self._untold = "" if network.remembered else (
            "Memorizing SAM has nothing to lean on yet, so it answers as FastSAM3D does. To give it something: "
            "memseg recall add IMAGE MASK NAME --keep-image"
        )  # fmt: skip

    @classmethod
    def from_file(cls, path: Path, device: str = "auto", reads: str = "both") -> MemorizingSegmenter:
        """FastSAM3D's file, and the bank in the recall memory's folder."""
        network = memorizing(load_fastsam3d(path, registry.path_of(SamMed3DSegmenter.name)))
        bank = Bank(default_folder())
        network.remembered = tuple(tokens_of(each) for each in prepared(network, bank, digits_of(path)))
        log.info("Memorizing SAM leans on %d structures", len(network.remembered))
        return cls(network, device)

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        prediction = super().predict(volume, prompts, mask_kji, memory)
        if self._untold:
            prediction = replace(prediction, note=" ".join(filter(None, (self._untold, prediction.note))))
            self._untold = ""
        return prediction


def memorizing(network: SamMed3D, layer: int = LAYER, local_share: float = LOCAL_SHARE) -> MemorizingSam:
    """FastSAM3D with a memory layer and nothing in its bank; shares the weights."""
    with torch.device("meta"):
        made = MemorizingSam(network.config, MemorizingEncoder(network.image_encoder.config, layer, local_share))
    made.load_state_dict(network.state_dict(), strict=True, assign=True)
    return made.eval().requires_grad_(False)


def prepared(network: MemorizingSam, bank: Bank, digits: str) -> Iterator[Remembered]:
    """What the network's memory layer makes of the surroundings in the bank, of the MOST kept last; long where
    it was not made before. digits: see `digits_of`. Raises FileError."""
    bank.tidy(digits)
    for identity in bank.identities()[-MOST:]:
        found = bank.prepared(identity, digits)
        if found is None or not _fits(found, network):
            surroundings = bank.surroundings(identity)
            if surroundings is None:
                log.warning("the surroundings of a remembered structure are damaged and left out")
                continue
            found = left_behind(network, surroundings)
            bank.prepare(found, digits)
        yield found


def left_behind(network: MemorizingSam, surroundings: Surroundings) -> Remembered:
    """What the memory layer makes of surroundings, shown to it as any window of a volume."""
    config = network.config
    grid = Grid(surroundings.image.shape, surroundings.image_to_mm)
    centre = tuple(float(value) for value in grid.kji_from_ras(np.zeros(3)))
    window = Window(grid, centre, config.edge, config.cells)
    turned = Canonical.of(grid).turned(normalised(image_of(window.image, surroundings.image)))
    shown = torch.from_numpy(np.ascontiguousarray(turned))[None, None]
    with torch.inference_mode():
        tokens = network.image_encoder.left_behind(shown)
    parts = (value.float().numpy() for value in (tokens.keys, tokens.values, tokens.found_by))
    return Remembered(surroundings.identity, *parts)


def tokens_of(remembered: Remembered) -> LayerTokens:
    parts = (remembered.keys, remembered.values, remembered.found_by)
    return LayerTokens(*(torch.from_numpy(np.array(part)) for part in parts))


def digits_of(path: Path) -> str:
    """What the bank knows a file of weights by."""
    entry = next((each for each in registry.registered().values() if Path(each.path) == path), None)
    return (entry.sha256 if entry else registry.digest(path))[:16]


def _fits(remembered: Remembered, network: MemorizingSam) -> bool:
    encoder = network.image_encoder.config
    keys = (encoder.heads, encoder.grid**3, encoder.width // encoder.heads)
    return remembered.keys.shape == keys and remembered.found_by.shape == (encoder.width,)
