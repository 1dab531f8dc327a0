"""MAIS as a segmenter: SAM-Med3D whose answers lean on the last 60 interactions (networks/mais.py).

What is remembered is an entry of the session's interaction memory, so it is undone, saved, forgotten and cleared with
it: the prompt encoder's tokens of the click, its map of the mask told along with it, and, as for SAM-Med3D, where that
was and what was answered. In the paper all of an object's clicks lie in one crop. Here windows may follow the object:
a point clicked in another window is encoded anew where it lies in the present one, if it lies there, and the map of a
mask told in another window, whose cells are other ones, is not read.
"""

from __future__ import annotations

from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..memory.interaction import Interaction
from ..networks.mais import Entry, Mais, MaisAnswer
from ..networks.sam_med3d import SamAnswer, SamMed3D
from ..networks.sam_prompts import HIGH_CORNER, LOW_CORNER, NEGATIVE, POSITIVE
from ..prompts import BoxPrompt, Click
from .canonical import Canonical
from .sam_before import FOLD, PLACE, kept
from .sam_engine import Answered, Engine
from .sam_files import load_mais
from .sam_med3d import Extending, SamMed3DSegmenter
from .sam_window import Window

_SAME_MM = 1e-2  # centres nearer than this are of the same window; they are kept as float32


class MaisEngine(Engine):
    """reads: the kinds of memories to read, one of networks.mais.VARIANTS. What is remembered is kept on the device as
    long as it is remembered: 60 entries of the published size take 47 MB."""

    network: Mais

    def __init__(self, network: Mais, title: str, device: str, reads: str) -> None:
        self._entries: WeakKeyDictionary[Interaction, Entry] = WeakKeyDictionary()
        super().__init__(network, title, device)
        self._reads = reads

    def _forget(self) -> None:
        super()._forget()
        self._entries.clear()

    def _found(
        self,
        embedding: Tensor,
        points: Tensor,
        kinds: Tensor,
        mask: Tensor,
        read: tuple[tuple[int, Entry], ...],
    ) -> tuple[SamAnswer, np.ndarray | None]:
        found = self.network.answer(embedding, points, kinds, mask, tuple(entry for _, entry in read), self._reads)
        if not isinstance(found, MaisAnswer) or found.leaned is None:
            return found, None
        leaned = np.zeros(1 + read[-1][0], np.float32)
        leaned[[place for place, _ in read]] = found.leaned[0].float().cpu().numpy()
        return found, leaned

    def _read(
        self, window: Window, canonical: Canonical, remembered: tuple[Interaction, ...]
    ) -> tuple[tuple[int, Entry], ...]:
        """The entries that can be read in a window, each with its place among all."""
        found = ((place, self._entry(window, canonical, each)) for place, each in enumerate(remembered))
        return tuple((place, entry) for place, entry in found if entry is not None)

    def _entry(self, window: Window, canonical: Canonical, remembered: Interaction) -> Entry | None:
        width, grid = self.network.config.encoder.out, self.network.config.encoder.grid
        rows, maps = remembered.sparse, remembered.dense
        if maps is None or rows.shape[1] != width + PLACE or maps.shape != (width + FOLD**3, *[grid] * 3):
            return None  # nothing was asked of the network, or it was one of another size
        spacing_mm = np.asarray(window.grid.spacing_kji_mm)
        away_mm = np.abs(rows[0, -3:] - np.asarray(window.image.centre_kji) * spacing_mm).max()
        device = self._placed.device
        if away_mm < _SAME_MM:
            if remembered not in self._entries:
                parts = (torch.tensor(part[None], device=device) for part in (rows[:, :width], maps[:width]))
                self._entries[remembered] = Entry(*parts)
            return self._entries[remembered]
        points = self._samples(window, rows[:, width : width + 3] / spacing_mm, canonical)
        kinds = _kinds(rows[:, width + 3])
        if LOW_CORNER in kinds:
            points = np.sort(points, axis=0)
        if (points < -0.5).any() or (points > window.samples - 0.5).any():
            return None
        told = (torch.from_numpy(points.astype(np.float32))[None].to(device), torch.tensor([kinds], device=device))
        return Entry(self.network.prompt_encoder.sparse(*told), None)


class MaisSegmenter(SamMed3DSegmenter):
    """See the module. reads: the kinds of memories to read, one of networks.mais.VARIANTS."""

    name = "mais"

    def __init__(
        self, network: Mais, device: str = "auto", extending: Extending | None = None, reads: str = "both"
    ) -> None:
        self._reads = reads
        super().__init__(network, device, extending)

    @classmethod
    def from_file(cls, path: Path, device: str = "auto", reads: str = "both") -> MaisSegmenter:
        """A file of `memseg train mais`. Raises ModelError for another one."""
        return cls(load_mais(path), device, reads=reads)

    def _built(self, network: SamMed3D, title: str, device: str) -> Engine:
        return MaisEngine(network, title, device, self._reads)

    def _kept(
        self, first: Answered, newest: Click | BoxPrompt, window: Window, logits: np.ndarray
    ) -> dict[str, np.ndarray]:
        return kept(first.tokens, newest, window, logits, first.told)

    def _leaned(self, first: Answered, remembered: tuple[Interaction, ...]) -> np.ndarray | None:
        if first.leaned is None:
            return None
        return np.pad(first.leaned, (0, len(remembered) - len(first.leaned)))


def _kinds(sides: np.ndarray) -> tuple[int, ...]:
    """As sam_prompts numbers them, of the sides that sam_before keeps."""
    if not sides.any():
        return (LOW_CORNER, HIGH_CORNER)
    return tuple(POSITIVE if side > 0 else NEGATIVE for side in sides)
