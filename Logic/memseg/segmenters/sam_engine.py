"""Runs a network of SAM-Med3D's kind: encoded windows kept, axes turned as it was trained, one device with the CPU to
fall back on."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..memory.interaction import Interaction
from ..networks.sam_med3d import SamAnswer, SamMed3D
from ..networks.sam_prompts import LOW_CORNER
from ..volume import Volume
from .canonical import Canonical
from .placed import Placed
from .sam_window import Window, image_of, normalised

_KEPT_WINDOWS = 16  # of a volume; one takes 0.8 MB


@dataclass(frozen=True, eq=False)
class Said:
    """What is said in a window: points_kji (P, 3) voxel coordinates, and what each is, of networks.sam_prompts."""

    points_kji: np.ndarray
    kinds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Answered:
    """logits (cells^3) float32 along the volume's axes; tokens (P, D) what the prompt encoder made of the points; told
    (D, g, g, g) what it made of the mask, along the network's axes. leaned (N,): of the remembered interactions that
    were read, how much each was looked at, sum 1; None where none was."""

    logits: np.ndarray
    tokens: np.ndarray
    told: np.ndarray
    leaned: np.ndarray | None = None


class Engine:
    """See the module. Not for several threads at once; what it keeps never changes an answer."""

    def __init__(self, network: SamMed3D, title: str, device: str) -> None:
        self._kept: WeakKeyDictionary[Volume, OrderedDict[tuple[float, ...], Tensor]] = WeakKeyDictionary()
        self._placed = Placed(network, title, device, self._forget)

    @property
    def network(self) -> SamMed3D:
        return self._placed.network

    def answer(
        self, volume: Volume, window: Window, said: Said, before: np.ndarray, remembered: tuple[Interaction, ...] = ()
    ) -> Answered:
        """before: (cells^3) logits along the volume's axes, zeros for an object that is not there yet. remembered: for
        a network that reads them."""
        return self._placed.run(lambda: self._answered(volume, window, said, before, remembered))

    def take_note(self) -> str:
        """The note, once; "" where there is none."""
        return self._placed.take_note()

    def _answered(
        self, volume: Volume, window: Window, said: Said, before: np.ndarray, remembered: tuple[Interaction, ...]
    ) -> Answered:
        canonical, device = Canonical.of(volume.grid), self._placed.device
        points = np.clip(self._samples(window, said.points_kji, canonical), 0, window.samples - 1)
        if LOW_CORNER in said.kinds:  # a box's corners, which turning may have swapped
            points = np.sort(points, axis=0)
        mask = np.ascontiguousarray(canonical.turned(before), np.float32)
        # The weights were trained in float32, and their answers are held to the published ones.
        with torch.autocast(device.type, enabled=False):
            found, leaned = self._found(
                self._encoded(volume, window, canonical),
                torch.from_numpy(points.astype(np.float32))[None].to(device),
                torch.tensor([said.kinds], device=device),
                torch.from_numpy(mask)[None, None].to(device),
                self._read(window, canonical, remembered),
            )
        logits = canonical.returned(found.logits[0, 0].float().cpu().numpy())
        parts = (found.sparse[0].float().cpu().numpy(), found.dense[0].float().cpu().numpy())
        return Answered(np.ascontiguousarray(logits), *parts, leaned)

    def _found(
        self, embedding: Tensor, points: Tensor, kinds: Tensor, mask: Tensor, read: tuple[Any, ...]
    ) -> tuple[SamAnswer, np.ndarray | None]:
        """The network's answer, and `leaned` of Answered. read: what `_read` gave."""
        return self.network.answer(embedding, points, kinds, mask), None

    def _read(self, window: Window, canonical: Canonical, remembered: tuple[Interaction, ...]) -> tuple[Any, ...]:
        """The remembered interactions as the network takes them; none for SAM-Med3D, which has no such memory."""
        return ()

    def _samples(self, window: Window, points_kji: np.ndarray, canonical: Canonical) -> np.ndarray:
        """(P, 3) voxel coordinates in samples of the window's image, along the network's axes."""
        view = window.image
        return canonical.points((np.asarray(points_kji, float) - view.first_kji) / view.step_kji, window.samples)

    def _forget(self) -> None:
        """Drop what is kept on the device."""
        self._kept.clear()

    def _encoded(self, volume: Volume, window: Window, canonical: Canonical) -> Tensor:
        kept = self._kept.setdefault(volume, OrderedDict())
        if window.key not in kept:
            image = normalised(image_of(window.image, volume.array_kji))
            turned = torch.from_numpy(np.ascontiguousarray(canonical.turned(image)))
            kept[window.key] = self.network.encode(turned[None, None].to(self._placed.device))
        kept.move_to_end(window.key)
        while len(kept) > _KEPT_WINDOWS:
            kept.popitem(last=False)
        return kept[window.key]
