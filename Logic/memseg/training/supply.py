"""Scenes for each training step: synthetic ones, cubes cut out of labelled volumes, label maps in random contrasts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ..networks.parts import cell_centres
from .chance import happens, normal, number, smooth, uniform, whole
from .scenes import Scenes
from .shards import Shard
from .synthesis import imaged, robust_range, synthetic, targets


@dataclass(frozen=True, eq=False)
class Held:
    """A shard on the device. boxes: (label, low corner, high corner) in voxels of every label of at least 50 voxels."""

    labels: Tensor
    spacing: tuple[float, float, float]
    boxes: tuple[tuple[int, tuple[int, ...], tuple[int, ...]], ...]
    image: Tensor | None
    low: float
    high: float


class Supply:
    """Deterministic: the generator given decides everything."""

    def __init__(
        self, device: torch.device, edge: int, shards: tuple[Shard, ...] = (), synthetic_share: float = 0.4
    ) -> None:
        self.device, self.edge, self.synthetic_share = device, edge, synthetic_share
        held = [_held(shard, device) for shard in shards]
        self.labelled = [each for each in held if each.image is not None and each.boxes]
        self.labelmaps = [each for each in held if each.image is None and each.boxes]

    def scenes(self, source: Generator, batch: int) -> Scenes:
        """B scenes, of each kind about its share; a kind there is none of leaves its share to the synthetic ones."""
        dice = uniform(source, (batch,)).tolist()
        real = self.synthetic_share + (1 - self.synthetic_share) * 0.75
        labelled = sum(self.synthetic_share <= value < real for value in dice) if self.labelled else 0
        mapped = sum(value >= real for value in dice) if self.labelmaps else 0
        parts = [synthetic(source, batch - labelled - mapped, self.edge)] if batch > labelled + mapped else []
        parts += [self.from_volume(source) for _ in range(labelled)]
        parts += [self.from_labelmap(source) for _ in range(mapped)]
        return Scenes.joined(parts)

    def synthesised(self, source: Generator) -> Scenes:
        """One object of anatomy that never was."""
        return synthetic(source, 1, self.edge)

    def from_volume(self, source: Generator) -> Scenes:
        """One object of one labelled volume, turned, stretched, its intensities changed."""
        held = self.labelled[int(whole(source, (1,), len(self.labelled)))]
        label, low, high = held.boxes[int(whole(source, (1,), len(held.boxes)))]
        spacing = self._spacing(source, held, low, high)
        places, native = self._places(source, held, self._middle(low, high), spacing)
        grid = normalised_places(places, held.labels.shape).reshape(1, self.edge, self.edge, self.edge, 3)
        inside = (grid.abs() <= 1).all(dim=-1)[:, None]
        target = functional.grid_sample(
            (held.labels == label)[None, None].float(), grid, mode="nearest", align_corners=False
        )
        image = antialiased(held, spacing)
        picture = functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
        picture = recoloured(source, (picture - held.low) / max(held.high - held.low, 1e-6))
        low_value, high_value = picture.new_zeros(1), picture.new_ones(1)
        size = torch.tensor([spacing], device=self.device)
        return Scenes(picture, (target > 0.5) & inside, inside, low_value, high_value, size, native)

    def from_labelmap(self, source: Generator) -> Scenes:
        """One target of one label map, painted in random contrasts."""
        held = self.labelmaps[int(whole(source, (1,), len(self.labelmaps)))]
        _, low, high = held.boxes[int(whole(source, (1,), len(held.boxes)))]
        spacing = self._spacing(source, held, low, high)
        places, _ = self._places(source, held, self._middle(low, high), spacing)
        grid = normalised_places(places, held.labels.shape).reshape(1, self.edge, self.edge, self.edge, 3)
        labels = functional.grid_sample(held.labels[None, None].float(), grid, mode="nearest", align_corners=False)
        inside = (grid.abs() <= 1).all(dim=-1)[:, None]
        labels = labels.round().long()
        if not bool(labels.any()):
            return synthetic(source, 1, self.edge)
        return imaged(source, labels, targets(source, labels), torch.tensor([spacing], device=self.device), inside)

    def _spacing(self, source: Generator, held: Held, low: tuple[int, ...], high: tuple[int, ...]) -> float:
        """Between scene samples, mm: the object fills an eighth to nine tenths of the scene, never twice finer than
        the volume."""
        extent_mm = max((stop - start) * size for start, stop, size in zip(low, high, held.spacing))
        fill = 0.125 * 7.2 ** number(source, 0, 1)
        return max(extent_mm / fill / self.edge, 0.5 * min(held.spacing))

    def _middle(self, low: tuple[int, ...], high: tuple[int, ...]) -> Tensor:
        """(3,) voxel coordinates of a box's centre."""
        return (torch.tensor(low, device=self.device) + torch.tensor(high, device=self.device) - 1).float() / 2

    def _places(
        self, source: Generator, held: Held, middle: Tensor, spacing: float, aside: float = 0.25
    ) -> tuple[Tensor, Tensor]:
        """(S^3, 3) voxel coordinates of the scene's samples, and (1, 3) the volume's spacing along the scene's axes.
        middle (3,): voxel coordinates of the scene's centre, but for `aside` of its edge to either side."""
        device, edge = self.device, self.edge
        turn = _turn(source, device)
        stretch = 1 + 0.1 * normal(source, (3,)).clamp(-2, 2)
        aside_mm = uniform(source, (3,), -aside, aside) * edge * spacing
        size = torch.tensor(held.spacing, device=device)
        offset_mm = (cell_centres(edge, device) * (edge / 2 * spacing) * stretch + aside_mm) @ turn.T
        native = (turn.square().T @ size.square()).sqrt()[None]
        return middle + offset_mm / size, native


def _held(shard: Shard, device: torch.device) -> Held:
    boxes = [(int(row[0]), tuple(map(int, row[1:4])), tuple(map(int, row[4:]))) for row in shard.boxes]
    labels = torch.from_numpy(shard.labels).to(device)
    if shard.codes is None:
        return Held(labels, shard.spacing_kji_mm, tuple(boxes), None, 0.0, 1.0)
    image = torch.from_numpy(shard.values[shard.codes]).to(device)[None, None]
    low, high = (float(end) for end in robust_range(image))
    return Held(labels, shard.spacing_kji_mm, tuple(boxes), image, low, high)


def normalised_places(voxels: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(..., 3) voxel coordinates (k, j, i) to what grid_sample wants: (i, j, k), -1 to 1 from face to face."""
    size = torch.tensor(shape, device=voxels.device, dtype=voxels.dtype)
    return ((voxels + 0.5) * 2 / size - 1).flip(-1)


def antialiased(held: Held, spacing: float) -> Tensor:
    """The image, averaged over as many voxels along each axis as a scene sample spans, on its own grid."""
    factors = [max(1, int(spacing / size)) | 1 for size in held.spacing]
    if max(factors) == 1:
        return held.image
    image = held.image
    for axis, factor in enumerate(factors):  # all at once, 9^3 voxels take 27 times as long
        window, padding = [1, 1, 1], [0, 0, 0]
        window[axis], padding[axis] = factor, factor // 2
        if factor > 1:
            image = functional.avg_pool3d(image, window, stride=1, padding=padding, count_include_pad=False)
    return image


def _turn(source: Generator, device: torch.device) -> Tensor:
    """(3, 3): axes permuted and flipped, half of the time turned by some degrees besides."""
    order = torch.randperm(3, generator=source, device=device)
    signs = 1 - 2.0 * whole(source, (3,), 2)
    matrix = torch.eye(3, device=device)[order] * signs
    if bool(happens(source, 1, 0.5)):
        angle = 0.2 * normal(source, (3,))
        a, b, c = angle.unbind()
        zero = torch.zeros_like(a)
        skew = torch.stack([zero, -c, b, c, zero, -a, -b, a, zero]).reshape(3, 3)
        matrix = matrix @ torch.linalg.matrix_exp(skew)
    return matrix


def recoloured(source: Generator, picture: Tensor) -> Tensor:
    """Gamma, bias field, noise, sometimes inverted; 0 to 1 is the volume's robust range before and after."""
    gamma = 2.0 ** number(source, -0.7, 0.7)
    picture = picture.clamp(-0.5, 1.5)
    picture = picture.sign() * picture.abs() ** gamma
    if bool(happens(source, 1, 0.3)):
        picture = picture * (smooth(source, 1, 1, picture.shape[-1], 2) * 0.2).exp()
    if bool(happens(source, 1, 0.4)):
        picture = picture + normal(source, tuple(picture.shape)) * number(source, 0, 0.06)
    return 1 - picture if bool(happens(source, 1, 0.15)) else picture
