"""A network moved over a volume: overlapping windows, each counting most in its middle (nnU-Net's way).

Logits are kept for one layer of windows at a time and turned into classes when no further window touches them, so that
memory grows with a slice of the volume, not with the volume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Shape = tuple[int, int, int]
OVERLAP = 0.5
_DEVIATION = 1 / 8  # of the window


@dataclass(frozen=True)
class Step:
    """done windows, of so many. classes: (K, J, I) uint8 after the last one, None before."""

    done: int
    of: int
    classes: np.ndarray | None = None


def starts(side: int, window: int, overlap: float = OVERLAP) -> list[int]:
    """Where windows begin along a side that is at least as long: evenly, overlapping by at least so much."""
    count = math.ceil((side - window) / (window * (1 - overlap))) + 1
    return [round(number * (side - window) / max(1, count - 1)) for number in range(count)]


def windows(shape: Shape, window: Shape, overlap: float = OVERLAP) -> int:
    """How many it takes."""
    return math.prod(len(starts(max(side, edge), edge, overlap)) for side, edge in zip(shape, window))


def blending(window: Shape) -> Tensor:
    """What each voxel of a window counts; 1 in the middle, above 0 everywhere."""
    lines = []
    for edge in window:
        steps = torch.arange(edge, dtype=torch.float32) - (edge - 1) / 2
        lines.append(torch.exp(-0.5 * (steps / (edge * _DEVIATION)).square()))
    return torch.einsum("k,j,i->kji", *lines)  # exp(-24) at least, as a corner is less than 4 deviations away


def slide(
    image: np.ndarray,
    look: Callable[[Tensor], Tensor],
    classes: int,
    window: Shape,
    overlap: float = OVERLAP,
) -> Iterator[Step]:
    """image: (K, J, I) float32; one that is smaller than the window is surrounded by its smallest value. look: a window
    (1, 1, *window) -> logits (1, classes, *window). Ties go to the lower class."""
    missing = [max(0, edge - side) for side, edge in zip(image.shape, window)]
    before = [lack // 2 for lack in missing]
    if any(missing):
        around = [(low, lack - low) for low, lack in zip(before, missing)]
        padded = np.pad(image, around, constant_values=image.min())
    else:
        padded = image
    along = [starts(side, edge, overlap) for side, edge in zip(padded.shape, window)]
    weight, of, done = blending(window), math.prod(map(len, along)), 0
    found = np.empty(padded.shape, np.uint8)
    layer = torch.zeros(classes, window[0], *padded.shape[1:])
    for number, k in enumerate(along[0]):
        for j in along[1]:
            for i in along[2]:
                crop = np.ascontiguousarray(padded[k : k + window[0], j : j + window[1], i : i + window[2]])
                logits = look(torch.from_numpy(crop)[None, None])[0].float().cpu()
                layer[:, :, j : j + window[1], i : i + window[2]] += logits * weight
                done += 1
                if done < of:
                    yield Step(done, of)
        last = number == len(along[0]) - 1
        settled = window[0] if last else along[0][number + 1] - k
        found[k : k + settled] = layer[:, :settled].argmax(dim=0).to(torch.uint8).numpy()
        if not last:
            layer = torch.cat([layer[:, settled:], torch.zeros_like(layer[:, :settled])], dim=1)
    inside = tuple(slice(low, low + side) for low, side in zip(before, image.shape))
    yield Step(done, of, np.ascontiguousarray(found[inside]))


def needed_bytes(shape: Shape, classes: int, window: Shape) -> int:
    """What `slide` itself holds at most beside the image, the network's own needs apart."""
    padded = [max(side, edge) for side, edge in zip(shape, window)]
    layer = classes * window[0] * padded[1] * padded[2] * 4
    surrounded = 4 * math.prod(padded) if tuple(padded) != tuple(shape) else 0
    return 2 * layer + math.prod(padded) + surrounded  # a layer is copied when it moves on
