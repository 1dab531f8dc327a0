"""A scene: a cube of image with one object in it, larger than the region the network looks at, and windows into it.

Positions are (k, j, i), -1 to 1 from face to face of the scene. A window is the cube centre +- scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from ..networks.image import channels, condition
from ..networks.parts import cell_centres


@dataclass(frozen=True)
class Scenes:
    """B cubes of S^3 samples. image (B, 1, S^3) raw; target, inside (B, 1, S^3) bool; low, high (B,) the volume's
    robust range; spacing (B,) mm between samples; native (B, 3) mm, the spacing of the volume the scene was cut
    from."""

    image: Tensor
    target: Tensor
    inside: Tensor
    low: Tensor
    high: Tensor
    spacing: Tensor
    native: Tensor

    @property
    def edge(self) -> int:
        return self.image.shape[-1]

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def joined(cls, parts: list[Scenes]) -> Scenes:
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class Window:
    """centre (B, 3), scale (B,): the part of each scene that a region covers."""

    centre: Tensor
    scale: Tensor

    def relative(self, points: Tensor) -> Tensor:
        """Scene positions (B, ..., 3) -> positions in the region."""
        shape = (-1, *(1,) * (points.ndim - 2))
        return (points - self.centre.reshape(*shape, 3)) / self.scale.reshape(*shape, 1)

    def places(self, edge: int) -> Tensor:
        """(B, edge^3, 3): scene positions of the centres of the region's cells."""
        cells = cell_centres(edge, self.centre.device)
        return self.centre[:, None] + self.scale[:, None, None] * cells


def read(maps: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """maps (B, C, S^3) at positions (B, e^3, 3) -> (B, C, e, e, e); zero outside."""
    edge = round(places.shape[1] ** (1 / 3))
    grid = places.flip(-1).unflatten(1, (edge, edge, edge))
    return functional.grid_sample(maps, grid, mode=mode, padding_mode="zeros", align_corners=False)


def looked_at(scenes: Scenes, window: Window, region: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a region of region^3 samples sees: network image (B, 2, ...), condition (B, 4), target and inside (B, 1,
    ...) float 0 or 1."""
    places = window.places(region)
    inside = read(scenes.inside.float(), places, "nearest") > 0.5
    image = channels(read(scenes.image, places), inside, scenes.low, scenes.high)
    target = (read(scenes.target.float(), places) > 0.5) & inside
    spacing = scenes.spacing * scenes.edge * window.scale / region
    return image, condition(spacing, scenes.native), target.float(), inside.float()


def written(probability: Tensor, window: Window, before: Tensor, inside: Tensor) -> Tensor:
    """Scene masks (B, 1, S^3) float 0 or 1 after a region's probability (B, 1, r^3): outside the window as before."""
    cells = cell_centres(before.shape[-1], before.device).expand(len(before), -1, -1)
    places = window.relative(cells)
    covered = (places.abs() <= 1).all(dim=-1).reshape(before.shape)
    found = functional.grid_sample(
        probability.float(),
        places.flip(-1).reshape(len(before), *before.shape[2:], 3),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return torch.where(covered, (found > 0.5).float(), before) * inside


def extent(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Low and high corners (B, 3) of masks (B, 1, S^3) in scene positions; the scene's middle where a mask is empty."""
    edge = mask.shape[-1]
    lows, highs = [], []
    for axis in range(3):
        others = tuple(2 + other for other in range(3) if other != axis)
        occupied = (mask[:, 0:1] > 0.5).flatten(0, 1).any(dim=others[1] - 1).any(dim=others[0] - 1)  # (B, S)
        some = occupied.any(dim=1)
        first = occupied.float().argmax(dim=1)
        last = edge - 1 - occupied.flip(1).float().argmax(dim=1)
        lows.append(torch.where(some, first, edge // 2) * (2 / edge) - 1)
        highs.append((torch.where(some, last, edge // 2) + 1) * (2 / edge) - 1)
    return torch.stack(lows, dim=1), torch.stack(highs, dim=1)
