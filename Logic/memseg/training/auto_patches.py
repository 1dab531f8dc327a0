"""Patches of prepared subjects, each decided by a generator: where, how large, mirrored, brighter, noisier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ..networks.segmamba import Triple
from .auto_losses import OUTSIDE
from .auto_prepared import Prepared
from .chance import normal, number, whole

_BESIDE = 255  # class of what is beside the volume, until it is OUTSIDE


@dataclass(frozen=True)
class Changes:
    """How often, and how much. foreground: the share of patches that have a structure in the middle. Along R an image
    is mirrored only where the plan has a mirror."""

    foreground: float = 0.75
    mirrored: float = 0.5
    zoomed: float = 0.3
    zoom: tuple[float, float] = (0.8, 1.25)
    noisy: float = 0.2
    noise: float = 0.15
    brighter: float = 0.3
    brightness: tuple[float, float] = (0.75, 1.25)
    bent: float = 0.3
    gamma: tuple[float, float] = (0.7, 1.5)


@dataclass(frozen=True, eq=False)
class Patches:
    """image: (B, 1, K, J, I). target: (B, K, J, I) classes, -1 beside the volume. known: (B, C)."""

    image: Tensor
    target: Tensor
    known: Tensor


@dataclass(frozen=True, eq=False)
class PatchSupply:
    """subjects: to take patches from."""

    subjects: tuple[Prepared, ...]
    device: torch.device
    mirror: tuple[int, ...] | None = None
    changes: Changes = Changes()

    def patches(self, source: Generator, count: int, patch: Triple) -> Patches:
        drawn = [self._patch(source, patch) for _ in range(count)]
        image, target, known = (torch.stack(parts) for parts in zip(*drawn))
        return Patches(image, target, known)

    def _patch(self, source: Generator, patch: Triple) -> tuple[Tensor, Tensor, Tensor]:
        changes = self.changes
        subject = self.subjects[_one(source, len(self.subjects))]
        middle = self._middle(source, subject)
        zoom = number(source, *changes.zoom) if _happens(source, changes.zoomed) else 1.0
        size = tuple(max(1, round(side / zoom)) for side in patch)
        image, target = self._crop(subject, middle, size)
        known = torch.tensor(subject.known, device=self.device)
        if size != patch:
            image = functional.interpolate(image[None], patch, mode="trilinear", align_corners=False)[0]
            target = functional.interpolate(target[None, None].float(), patch, mode="nearest")[0, 0].long()
        image, target, known = self._turned(source, image, target, known)
        return self._recoloured(source, image), target, known

    def _middle(self, source: Generator, subject: Prepared) -> np.ndarray:
        classes = sorted(subject.places)
        if classes and _happens(source, self.changes.foreground):
            places = subject.places[classes[_one(source, len(classes))]]
            return places[_one(source, len(places))]
        return np.array([_one(source, side) for side in subject.image.shape])

    def _crop(self, subject: Prepared, middle: np.ndarray, size: Triple) -> tuple[Tensor, Tensor]:
        """(1, *size) and (*size); inside the volume where it is large enough, in its middle where it is not."""
        sides = np.array(subject.image.shape)
        start = np.clip(middle - np.array(size) // 2, 0, np.maximum(0, sides - size))
        start = np.where(sides < size, -((np.array(size) - sides) // 2), start)
        inside = tuple(slice(max(0, low), min(low + edge, side)) for low, edge, side in zip(start, size, sides))
        around = [(part.start - low, low + edge - part.stop) for part, low, edge in zip(inside, start, size)]
        image = np.pad(subject.image[inside].astype(np.float32), around, constant_values=subject.low)
        classes = np.pad(subject.classes[inside], around, constant_values=_BESIDE).astype(np.int64)
        classes[classes == _BESIDE] = OUTSIDE
        return torch.from_numpy(image)[None].to(self.device), torch.from_numpy(classes).to(self.device)

    def _turned(self, source: Generator, image: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        for axis in range(3):
            if not _happens(source, self.changes.mirrored) or (axis == 2 and self.mirror is None):
                continue
            image, target = image.flip(axis + 1), target.flip(axis)
            if axis == 2:
                mirror = torch.tensor(self.mirror, device=self.device)  # its own inverse
                target = torch.where(target > 0, mirror[target.clamp(min=0)], target)
                known = known[mirror]
        return image, target, known

    def _recoloured(self, source: Generator, image: Tensor) -> Tensor:
        changes = self.changes
        if _happens(source, changes.bent):
            gamma, low, high = number(source, *changes.gamma), image.min(), image.max()
            width = (high - low).clamp(min=1e-6)
            image = ((image - low) / width).pow(gamma) * width + low
        if _happens(source, changes.brighter):
            image = image * number(source, *changes.brightness)
        if _happens(source, changes.noisy):
            image = image + normal(source, tuple(image.shape)) * number(source, 0, changes.noise)
        return image


def _one(source: Generator, count: int) -> int:
    return int(whole(source, (1,), count))


def _happens(source: Generator, chance: float) -> bool:
    return number(source, 0.0, 1.0) < chance
