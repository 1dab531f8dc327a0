"""How a region's raw intensities become the two channels a network sees, the same in training and in use.

Channel 0 places a value within the volume's robust range, channel 1 is its rank within the region: soft tissue of a CT
spans one fiftieth of the range of air to bone, but a good part of the ranks. Outside the volume both are zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

_KNOTS = 65
_SAMPLES = 4096
LOW, HIGH = 0.005, 0.995  # the robust range of a volume, as quantiles of its voxels


def channels(values: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """values (B, 1, k, j, i) raw, inside (B, 1, k, j, i) bool, the volume's robust range low and high (B,) -> (B, 2,
    k, j, i) float32, finite whatever the values are, about -1 to 1."""
    shape = (-1, 1, 1, 1, 1)
    width = (high - low).clamp(min=1e-12).reshape(shape)
    absolute = ((values - low.reshape(shape)) / width * 2 - 1).clamp(-1.5, 1.5)
    return torch.cat([absolute, _ranks(values, inside)], dim=1) * inside


def _ranks(values: Tensor, inside: Tensor) -> Tensor:
    """-1 to 1: where each value stands among those inside, linear between 65 quantiles; 0 where all are the same."""
    batch = len(values)
    flat, kept = values.reshape(batch, -1), inside.reshape(batch, -1)
    step = max(1, flat.shape[1] // _SAMPLES) | 1  # odd, so that it does not run along a plane of a cube
    ordered = torch.where(kept, flat, torch.inf)[:, ::step].sort(dim=1).values
    count = torch.isfinite(ordered).sum(dim=1, keepdim=True).clamp(min=1)
    fractions = torch.linspace(0, 1, _KNOTS, device=values.device)
    knots = ordered.gather(1, (fractions * (count - 1)).round().long())
    knots = torch.where(torch.isfinite(knots), knots, 0.0)
    span = knots[:, -1:] - knots[:, :1]
    scaled = ((knots - knots[:, :1]) / span.clamp(min=1e-12)) + fractions * 1e-4  # rising, even where values repeat
    place = ((flat - knots[:, :1]) / span.clamp(min=1e-12)).clamp(0, 1 + 1e-4).contiguous()
    upper = torch.searchsorted(scaled.contiguous(), place).clamp(1, _KNOTS - 1)
    below, above = scaled.gather(1, upper - 1), scaled.gather(1, upper)
    rank = (upper - 1 + ((place - below) / (above - below)).clamp(0, 1)) * (2 / (_KNOTS - 1)) - 1
    return (rank * (span > 0)).reshape(values.shape)


def condition(spacing_mm: Tensor, native_mm: Tensor) -> Tensor:
    """Working spacing (B,) and the volume's own spacing (B, 3), k, j, i -> (B, 4), each about -1 to 1."""
    working = (spacing_mm / 1.5).log2()[:, None] / 2
    ratio = (native_mm / spacing_mm[:, None]).log2() / 2
    return torch.cat([working, ratio], dim=1).clamp(-2, 2)
