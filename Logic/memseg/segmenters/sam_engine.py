"""Runs a network of SAM-Med3D's kind: encoded windows kept, axes turned as it was trained, one device with the CPU to
fall back on."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..networks.sam_med3d import SamMed3D
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
    """logits (cells^3) float32 along the volume's axes; tokens (P, D) what the prompt encoder made of the points."""

    logits: np.ndarray
    tokens: np.ndarray


class Engine:
    """See the module. Not for several threads at once; what it keeps never changes an answer."""

    def __init__(self, network: SamMed3D, title: str, device: str) -> None:
        self._kept: WeakKeyDictionary[Volume, OrderedDict[tuple[float, ...], Tensor]] = WeakKeyDictionary()
        self._placed = Placed(network, title, device, self._kept.clear)

    @property
    def network(self) -> SamMed3D:
        return self._placed.network

    def answer(self, volume: Volume, window: Window, said: Said, before: np.ndarray) -> Answered:
        """before: (cells^3) logits along the volume's axes, zeros for an object that is not there yet."""
        return self._placed.run(lambda: self._answered(volume, window, said, before))

    def take_note(self) -> str:
        """The note, once; "" where there is none."""
        return self._placed.take_note()

    def _answered(self, volume: Volume, window: Window, said: Said, before: np.ndarray) -> Answered:
        canonical, device = Canonical.of(volume.grid), self._placed.device
        view, edge = window.image, window.samples
        samples = (np.asarray(said.points_kji, float) - view.first_kji) / view.step_kji
        points = np.clip(canonical.points(samples, edge), 0, edge - 1)
        if LOW_CORNER in said.kinds:  # a box's corners, which turning may have swapped
            points = np.sort(points, axis=0)
        mask = np.ascontiguousarray(canonical.turned(before), np.float32)
        # The weights were trained in float32, and their answers are held to the published ones.
        with torch.autocast(device.type, enabled=False):
            found = self.network.answer(
                self._encoded(volume, window, canonical),
                torch.from_numpy(points.astype(np.float32))[None].to(device),
                torch.tensor([said.kinds], device=device),
                torch.from_numpy(mask)[None, None].to(device),
            )
        logits = canonical.returned(found.logits[0, 0].float().cpu().numpy())
        return Answered(np.ascontiguousarray(logits), found.sparse[0].float().cpu().numpy())

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
