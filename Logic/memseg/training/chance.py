"""Random numbers on the device, all from one generator, so that a seed decides everything."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor


def generator(device: torch.device, *seeds: int) -> Generator:
    """One whose sequence depends on all the seeds."""
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 6_364_136_223_846_793_005 + seed + 1_442_695_040_888_963_407) % 2**63
    return Generator(device=device).manual_seed(mixed)


def uniform(source: Generator, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.rand(shape, generator=source, device=source.device) * (high - low) + low


def normal(source: Generator, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=source, device=source.device)


def whole(source: Generator, shape: tuple[int, ...], count: int) -> Tensor:
    """0 to count - 1."""
    return torch.randint(count, shape, generator=source, device=source.device)


def happens(source: Generator, count: int, chance: float) -> Tensor:
    """(count,) bool."""
    return uniform(source, (count,)) < chance


def number(source: Generator, low: float, high: float) -> float:
    return float(uniform(source, (1,), low, high))


def choice(source: Generator, weights: Tensor) -> Tensor:
    """(B, N) weights, not all zero in a row -> (B,) index drawn with them."""
    return (weights.log() + gumbel(source, tuple(weights.shape))).argmax(dim=1)


def gumbel(source: Generator, shape: tuple[int, ...]) -> Tensor:
    return -(-uniform(source, shape, 1e-7, 1 - 1e-7).log()).log()


def smooth(source: Generator, batch: int, fields: int, edge: int, cells: int) -> Tensor:
    """(B, fields, edge^3) random fields of about unit deviation that vary over edge / cells samples."""
    coarse = normal(source, (batch, fields, cells + 2, cells + 2, cells + 2))
    field = functional.interpolate(coarse, size=(edge + edge // 4,) * 3, mode="trilinear", align_corners=True)
    start = edge // 8
    return field[..., start : start + edge, start : start + edge, start : start + edge] * 1.6


def blurred(maps: Tensor, deviation: Tensor) -> Tensor:
    """(B, 1, k, j, i) blurred along the three axes by Gaussians of `deviation` (B, 3) samples; edges are repeated."""
    batch = len(maps)
    reach = 4
    steps = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = (-0.5 * (steps / deviation.clamp(min=1e-2)[..., None]).square()).exp()
    kernel = kernel / kernel.sum(dim=-1, keepdim=True)  # (B, 3, 9)
    result = maps.transpose(0, 1)  # the samples become the groups of one convolution
    for axis in range(3):
        shape, padding = [batch, 1, 1, 1, 1], [0] * 6
        shape[2 + axis] = 2 * reach + 1
        padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = reach
        padded = functional.pad(result, padding, mode="replicate")
        result = functional.conv3d(padded, kernel[:, axis].reshape(shape), groups=batch)
    return result.transpose(0, 1)
