"""Networks of published models at their full size, with weights drawn by chance: to measure how long they take, and to
see that everything round them runs. What they answer means nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ..networks.fastsam3d import StudentConfig, StudentEncoder
from ..networks.mais import Mais, MaisConfig
from ..networks.sam2 import Sam2
from ..networks.sam_encoder import EncoderConfig
from ..networks.sam_med3d import SamConfig, SamMed3D
from . import sam2_weights
from .memorizing import memorizing

_SEED = 0


def _sam_med3d() -> SamMed3D:
    return SamMed3D(SamConfig(EncoderConfig()))


def _fastsam3d() -> SamMed3D:
    return SamMed3D(SamConfig(EncoderConfig()), StudentEncoder(StudentConfig()))


def _sam2(name: str) -> Callable[[], nn.Module]:
    return lambda: Sam2(sam2_weights.CONFIGS[name])


_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "sam-med3d": _sam_med3d,
    "mais": lambda: Mais(MaisConfig(SamConfig(EncoderConfig()))),
    "fastsam3d": _fastsam3d,
    "memorizing-sam": lambda: memorizing(_fastsam3d()),
    **{name: _sam2(name) for name in sam2_weights.CONFIGS},
}


def names() -> tuple[str, ...]:
    """The models there are such networks of."""
    return tuple(_NETWORKS)


def network(name: str) -> nn.Module:
    """The same every time, float32, on the CPU, in evaluation mode."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(_SEED)
        made = _NETWORKS[name]()
    return made.eval().requires_grad_(False)
