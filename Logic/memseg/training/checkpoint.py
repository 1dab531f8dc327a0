"""A training run on the disk: files of at most 16 MiB, so that they travel, and each of one kind.

`weights`, `average`, `first`, `second` (.safetensors, numbered when one file would be too large) are the network, its
running average and AdamW's two moments (of what is trained); `state.json` holds the step, the configuration and what
the run was told. A folder is written beside its place first and then put there, so that an interrupted save leaves the
last one. Compact checkpoints keep all but the weights in bfloat16: a third smaller, and no longer exact to the bit.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import FileError

LARGEST_BYTES = 16 * 2**20 - 2**16  # the header needs some
KINDS = ("weights", "average", "first", "second")


@dataclass(frozen=True)
class Checkpoint:
    """tensors: by kind, then by parameter name. state: plain JSON values."""

    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint, compact: bool = False) -> None:
    """Raises FileError where the disk refuses; what was there before is then still there."""
    beside = folder.with_name(folder.name + ".writing")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        for kind in KINDS:
            _save_parts(beside, kind, checkpoint.tensors[kind], compact and kind != "weights")
        (beside / "state.json").write_text(json.dumps(checkpoint.state, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    except (OSError, SafetensorError) as error:
        raise FileError(
            f"The checkpoint {folder.name} cannot be written; choose another place or free some space."
        ) from error


def load(folder: Path) -> Checkpoint:
    """On the CPU, float32. Raises FileError where there is none or it is damaged."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        tensors: dict[str, dict[str, Tensor]] = {}
        for kind in KINDS:
            paths = sorted(folder.glob(f"{kind}-*.safetensors"))
            tensors[kind] = {name: value.float() for path in paths for name, value in load_file(path).items()}
        weights, average, first, second = (tensors[kind].keys() for kind in KINDS)
        whole = weights and weights == average and first == second and first <= weights
        if not whole or not set(state["updates"]) <= first:
            raise ValueError("files are missing")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise FileError(
            f"There is no whole checkpoint in {folder.name}; give the folder that a training run wrote."
        ) from error
    return Checkpoint(tensors, state)


def _save_parts(folder: Path, kind: str, tensors: dict[str, Tensor], rounded: bool) -> None:
    parts: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().to(torch.bfloat16 if rounded else torch.float32).contiguous()
        size = value.numel() * value.element_size()
        if filled and filled + size > LARGEST_BYTES:
            parts.append({})
            filled = 0
        parts[-1][name] = value
        filled += size
    for number, part in enumerate(parts, start=1):
        save_file(part, str(folder / f"{kind}-{number}.safetensors"))
