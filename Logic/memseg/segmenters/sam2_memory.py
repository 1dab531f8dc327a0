"""What slice memory keeps of a slice that SAM 2 has seen, and what of it the next slice is told, by the policy.

An entry's keys are the image's coarse features. Its values are the 64 maps of the memory encoder, and behind them the
object's pointer and the window in which the slice was seen, float32 byte by byte: each byte as so many 2^-24, which
float16 holds exactly and no likeness of maps takes notice of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..memory.slices import Recalled, SliceEntry, SliceFeatures
from ..networks.sam2 import MAPS_WIDTH, Sam2Config, Told
from .sam2_view import Shade

STOCK, SELF_SORTING = "recent", "self-sorting"  # names of memory.slice_policies
_BYTE = np.float16(2.0**-24)


@dataclass(frozen=True, eq=False)
class Seen:
    """A slice as it is remembered. maps (64, cells, cells), pointer (width,), both float32."""

    maps: np.ndarray
    pointer: np.ndarray
    shade: Shade


def packed(seen: Seen, coarse: np.ndarray, window_mm: tuple[float, float, float]) -> SliceFeatures:
    """coarse (width, cells, cells)."""
    numbers = np.concatenate([seen.pointer, [seen.shade.black, seen.shade.white]]).astype("<f4")
    each = numbers.view(np.uint8).astype(np.float16) * _BYTE
    cells = seen.maps.shape[1] * seen.maps.shape[2]
    planes = -(-each.size // cells)
    behind = np.zeros(planes * cells, np.float16)
    behind[: each.size] = each
    values = np.concatenate([seen.maps.astype(np.float16), behind.reshape(planes, *seen.maps.shape[1:])])
    return SliceFeatures(coarse, values, window_mm)


def unpacked(features: SliceFeatures, width: int) -> Seen:
    """The inverse of `packed`, but that maps are rounded to float16. width: of the pointer."""
    behind = features.values[MAPS_WIDTH:].ravel()[: 4 * (width + 2)]
    numbers = np.ascontiguousarray((behind / _BYTE).astype(np.uint8)).view("<f4").astype(np.float32)
    maps = features.values[:MAPS_WIDTH].astype(np.float32)
    return Seen(maps, numbers[:width], Shade(float(numbers[width]), float(numbers[width + 1])))


def shade_of(entries: Sequence[SliceEntry], width: int) -> Shade:
    """The window in which the first slice of the user's, or else the last one met, was seen. entries: at least one."""
    first = next((entry for entry in entries if entry.stays), entries[-1])
    return unpacked(first.features, width).shade


def told(recalled: Recalled, index: int, way: int, config: Sam2Config, count: int) -> Told:
    """What slice `index` is told. way: 1 towards higher indices, -1 to lower ones. count: slices along the axis.
    recalled: all by this model, at least one.

    SAM 2's own policy: the user's slices, the last six that were followed, each with its distance, and pointers to the
    object in the user's slices behind and in the last fifteen. MedSAM-2's self-sorting bank, as coded: maps of the
    entries drawn, without a word on where they lie, and no pointers. Otherwise (our memory): the user's slices, and of
    the others that are recalled the six nearest, ranked by distance, as where SAM 2 leaves frames out between.
    """
    if recalled.policy == SELF_SORTING and recalled.long:
        return _told([(entry, None) for entry in recalled.long], [], config)
    # A slice at the same place is that of an earlier time point: as good as the user's.
    prompted = [entry for entry in recalled.long if entry.stays]
    prompted += [entry for entry in recalled.recent if entry.index == index]
    theirs = {entry.index for entry in prompted}
    others = recalled.recent if recalled.policy == STOCK else (*recalled.long, *recalled.recent)
    free = {entry.index: entry for entry in others if not entry.stays and entry.index not in theirs}
    away = {other: (index - other) * way for other in free}
    if recalled.policy == STOCK:
        times = {other: away[other] for other in free if 1 <= away[other] < config.frames}
    else:
        nearest = sorted(free, key=lambda other: (abs(away[other]), other))[: config.frames - 1]
        times = {other: rank for rank, other in enumerate(nearest, start=1)}
    reach = max(1, min(config.pointers, count) - 1)
    pointers = [(entry, (index - entry.index) * way) for entry in prompted if (index - entry.index) * way >= 0]
    pointers += [
        (free[other], gap) for other, gap in sorted(away.items(), key=lambda pair: pair[1]) if 1 <= gap <= reach
    ]
    maps = [(entry, 0) for entry in prompted] + [
        (free[other], time) for other, time in sorted(times.items(), key=lambda pair: -pair[1])
    ]
    if not maps:  # nothing of the user's is remembered any more, and what is lies far off
        nearest = min((*recalled.long, *recalled.recent), key=lambda entry: abs(entry.index - index))
        maps, pointers = [(nearest, 0)], pointers or [(nearest, abs(index - nearest.index))]
    return _told(maps, pointers, config, reach)


def _told(
    maps: Sequence[tuple[SliceEntry, int | None]],
    pointers: Sequence[tuple[SliceEntry, int]],
    config: Sam2Config,
    reach: int = 1,
) -> Told:
    known = {id(entry): unpacked(entry.features, config.width) for entry, _ in (*maps, *pointers)}
    none = np.zeros((0, config.width), np.float32)
    return Told(
        torch.from_numpy(np.stack([known[id(entry)].maps for entry, _ in maps])),
        tuple(time for _, time in maps),
        torch.from_numpy(np.stack([known[id(entry)].pointer for entry, _ in pointers]) if pointers else none),
        tuple(float(away) for _, away in pointers),
        reach,
    )
