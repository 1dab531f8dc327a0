"""Published figures of SAM-Med3D and FastSAM3D, and the recipe for the weights they were worked out with.

Testing/data holds the names and shapes of the published files, and summaries of what the authors' code answers (shape,
mean, deviation, largest magnitude, eight values by flat index) when every weight is drawn from the CRC-32 of its name.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

DATA = Path(__file__).parents[1] / "data"
TOLERANCE = 1e-4  # of the largest magnitude


def golden(model: str) -> dict[str, dict[str, Any]]:
    return json.loads((DATA / "golden-sam-med3d.json").read_text())[model]


def published_shapes(model: str) -> dict[str, tuple[int, ...]]:
    lines = (DATA / f"keys-{model}.tsv").read_text().splitlines()
    return {name: tuple(map(int, sizes.split())) for name, sizes in (line.split("\t") for line in lines)}


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float32, the same wherever it is drawn."""
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    values = drawn(name, shape)
    if len(shape) > 1:
        values = values * np.float32(0.5) if shape[0] == 1 else values / np.float32(np.sqrt(values.size / shape[0]))
    else:
        values = values * np.float32(0.1) + np.float32(name.endswith(".weight"))
    return torch.from_numpy(np.asarray(values, np.float32))


def filled(network: nn.Module) -> nn.Module:
    """The network with the weights of the recipe, by their names."""
    weights = {name: weight(name, tuple(value.shape)) for name, value in network.state_dict().items()}
    network.load_state_dict(weights, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def differs(values: Tensor, expected: dict[str, Any]) -> float:
    """The largest difference of eight values, mean and deviation, over the largest magnitude; infinite for another
    shape."""
    if list(values.shape) != expected["shape"]:
        return float("inf")
    flat = values.flatten().double()
    apart = [abs(float(flat[place]) - value) for place, value in zip(expected["idx"], expected["val"])]
    apart.append(abs(float(flat.mean()) - expected["mean"]))
    if expected["std"] is not None:
        apart.append(abs(float(flat.std()) - expected["std"]))
    return max(apart) / expected["absmax"]
