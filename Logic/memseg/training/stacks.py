"""Stacks for training by slices: some parallel slices of a volume, cut square round one object, with its masks.

Slices are those of a volume's own axes, in either direction, every one, every second or third; they are turned and
mirrored in their plane. The second slice is the reference, the last one may serve as an agreed slice ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from .chance import generator, happens, normal, number, smooth, uniform, whole
from .scenes import Scenes
from .shards import Shard
from .supply import Held, Supply

_POOL, _LIFE = 12, 32  # cubes of synthetic anatomy and label maps at a time, and how many steps they serve
_CUBE = 72  # samples along one
_FEWEST = 12  # voxels of the reference mask
_GAP = 0.06  # share of stacks with a slice that was lost


@dataclass(frozen=True)
class Stacks:
    """B stacks of S slices of R^2 samples. image (B, S, R, R) raw; target (B, S, R, R) float 0 or 1; inside (B, R, R)
    bool; valid (B, S) bool: slices that the volume has; low, high (B,) the volume's robust range; pixel_mm, gap_mm (B,)
    distance of samples and of slices."""

    image: Tensor
    target: Tensor
    inside: Tensor
    valid: Tensor
    low: Tensor
    high: Tensor
    pixel_mm: Tensor
    gap_mm: Tensor

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def joined(cls, parts: list[Stacks]) -> Stacks:
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


class StackSupply:
    """Deterministic: seed and step decide everything."""

    def __init__(
        self, device: torch.device, edge: int, shards: tuple[Shard, ...] = (), cube_share: float = 0.3, seed: int = 0
    ) -> None:
        self.device, self.edge, self.cube_share, self.seed = device, edge, cube_share, seed
        self._volumes = Supply(device, _CUBE, shards, synthetic_share=0.5)
        self._cubes: tuple[int, list[Held]] = (-1, [])

    def stacks(self, source: Generator, batch: int, slices: int, step: int) -> Stacks:
        """B stacks, some of cubes, the rest of labelled volumes. step: which cubes are in use."""
        dice = uniform(source, (batch,)).tolist()
        volumes = self._volumes.labelled
        parts = []
        for value in dice:
            held = self._cubes_of(step) if value < self.cube_share or not volumes else volumes
            parts.append(self.stack(source, held[int(whole(source, (1,), len(held)))], slices))
        return Stacks.joined(parts)

    def _cubes_of(self, step: int) -> list[Held]:
        number_of = step // _LIFE
        if self._cubes[0] != number_of:
            source = generator(self.device, self.seed, 7, number_of)
            mapped = _POOL // 2 if self._volumes.labelmaps else 0
            made = [self._volumes.from_labelmap(source) for _ in range(mapped)]
            made += [self._volumes.synthesised(source) for _ in range(_POOL - mapped)]
            self._cubes = (number_of, [_held(scene) for scene in made])
        return self._cubes[1]

    def stack(self, source: Generator, held: Held, slices: int) -> Stacks:
        """One object of one volume."""
        label, low, high = held.boxes[int(whole(source, (1,), len(held.boxes)))]
        axis = (0, 0, 1, 2)[int(whole(source, (1,), 4))]
        size = held.labels.shape[axis]
        thin = high[axis] - low[axis] > 12 and held.spacing[axis] <= 2 * min(held.spacing)
        step = 1 + int(happens(source, 1, 0.3)) * (1 + int(whole(source, (1,), 2))) * thin
        step *= 1 if bool(happens(source, 1, 0.5)) else -1
        reference = self._reference(source, held, label, axis, (low[axis], high[axis]), step * (slices - 2))
        places = reference + step * torch.arange(-1, slices - 1, device=self.device)
        valid = (places >= 0) & (places < size)
        places = places.clamp(0, size - 1)
        target = held.labels.index_select(axis, places).movedim(axis, 0) == label
        if len(held.boxes) > 1 and bool(happens(source, 1, 0.08)):  # two objects as one: parts that merge and split
            other = held.boxes[int(whole(source, (1,), len(held.boxes)))][0]
            target = target | (held.labels.index_select(axis, places).movedim(axis, 0) == other)
        image = held.image[0, 0].index_select(axis, places).movedim(axis, 0)
        sizes = tuple(value for number_of, value in enumerate(held.spacing) if number_of != axis)
        picture, mask, inside, pixel = self._cut(source, image, target.float(), sizes)
        picture = _recoloured(source, (picture - held.low) / max(held.high - held.low, 1e-6))
        picture, mask = _lost(source, picture, mask)
        one = picture.new_ones(1)
        gap = abs(step) * held.spacing[axis]
        return Stacks(picture[None], mask[None], inside[None], valid[None], 0 * one, one, pixel * one, gap * one)

    def _reference(
        self, source: Generator, held: Held, label: int, axis: int, ends: tuple[int, int], reach: int
    ) -> int:
        """Any slice of the object; two times in five one from which its end comes within reach."""
        first, last = ends[0], ends[1] - 1
        low, high = first, last
        if bool(happens(source, 1, 0.4)):
            low, high = (max(first, last - abs(reach)), last) if reach > 0 else (first, min(last, first + abs(reach)))
        for _ in range(6):
            place = low + int(whole(source, (1,), high - low + 1))
            if int((held.labels.select(axis, place) == label).sum()) >= _FEWEST:
                return place
        counts = (held.labels == label).sum(dim=[each for each in range(3) if each != axis])
        return int(counts.argmax())

    def _cut(
        self, source: Generator, image: Tensor, target: Tensor, spacing: tuple[float, float]
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        """Planes (S, rows, columns) and their voxels' sizes in mm -> image and mask (S, R, R), inside (R, R), mm
        between samples. The square is 1.7 to 3 times the object's extent, and never samples four times finer than the
        voxels."""
        size = torch.tensor(spacing, device=self.device)
        found = target.any(dim=0).nonzero()
        low, high = found.amin(dim=0), found.amax(dim=0) + 1
        extent_mm = float(((high - low) * size).max())
        pixel = max(extent_mm * number(source, 1.7, 3.0) / self.edge, max(spacing) / 4)
        angle = number(source, -pi, pi) if bool(happens(source, 1, 0.3)) else 0.15 * number(source, -1, 1)
        mirror = 1 - 2.0 * whole(source, (2,), 2)
        stretch = 1 + 0.12 * normal(source, (2,)).clamp(-2, 2)
        turn = (
            torch.tensor([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]], device=self.device) * mirror * stretch
        )
        if bool(happens(source, 1, 0.5)):
            turn = turn.flip(1)
        axis = (torch.arange(self.edge, device=self.device) + 0.5) - self.edge / 2
        offsets = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1) * pixel
        aside = uniform(source, (2,), -0.15, 0.15) * self.edge * pixel
        middle = (low + high - 1).float() / 2
        voxels = middle + ((offsets + aside) @ turn.T) / size
        shape = torch.tensor(image.shape[1:], device=self.device)
        grid = ((voxels + 0.5) * 2 / shape - 1).flip(-1)
        inside = (grid.abs() <= 1).all(dim=-1)
        both = torch.stack([_smoothed(image, spacing, pixel), _smoothed(target, spacing, pixel)])
        grid = grid.expand(2, -1, -1, -1)
        both = functional.grid_sample(both, grid, padding_mode="border", align_corners=False)
        return both[0], ((both[1] > 0.5) & inside).float(), inside, pixel


def _smoothed(planes: Tensor, spacing: tuple[float, float], pixel: float) -> Tensor:
    """(S, rows, columns) averaged over as many voxels as a sample spans."""
    window = [max(1, round(pixel / size)) | 1 for size in spacing]
    if max(window) == 1:
        return planes
    padding = [width // 2 for width in window]
    return functional.avg_pool2d(planes[None], window, stride=1, padding=padding, count_include_pad=False)[0]


def _recoloured(source: Generator, picture: Tensor) -> Tensor:
    """Gamma, contrast, bias, noise, sometimes inverted, slices of slightly different brightness; (S, R, R), 0 to 1 is
    the volume's robust range before and after."""
    gamma = 2.0 ** number(source, -0.7, 0.7)
    picture = picture.clamp(-0.5, 1.5)
    picture = picture.sign() * picture.abs() ** gamma
    slices, edge, _ = picture.shape
    if bool(happens(source, 1, 0.3)):
        bias = functional.interpolate(smooth(source, 1, 1, 16, 2)[:, :, 8], size=(edge, edge), mode="bilinear")
        picture = picture * (bias[0] * 0.2).exp()
    if bool(happens(source, 1, 0.4)):
        picture = picture + normal(source, tuple(picture.shape)) * number(source, 0, 0.06)
    if bool(happens(source, 1, 0.3)):
        picture = picture * (1 + 0.05 * normal(source, (slices, 1, 1)))
    return 1 - picture if bool(happens(source, 1, 0.15)) else picture


def _lost(source: Generator, picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Sometimes one slice beyond the third is lost: even grey, without the object."""
    slices = len(picture)
    if slices < 6 or not bool(happens(source, 1, _GAP)):
        return picture, mask
    kept = (torch.arange(slices, device=mask.device) != 3 + int(whole(source, (1,), slices - 5))).float()[:, None, None]
    return picture * kept + picture.mean() * (1 - kept), mask * kept


def _held(scene: Scenes) -> Held:
    """A cube of a scene as a volume of one object."""
    target = scene.target[0, 0]
    found = target.nonzero()
    box = (1, tuple(found.amin(dim=0).tolist()), tuple((found.amax(dim=0) + 1).tolist()))
    spacing = (float(scene.spacing),) * 3
    return Held(target.to(torch.uint8), spacing, (box,), scene.image, float(scene.low), float(scene.high))
