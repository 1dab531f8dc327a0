"""From the files that the authors of SAM 2, SAM 2.1 and MedSAM2 publish to the network: names are theirs, every one has
to be there once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..networks.sam2 import SIZES, Sam2, Sam2Config
from ..networks.sam2_names import published_names
from . import published_weights
from .base import ModelCard

_TIMES, _ABSENCE = "obj_ptr_tpos_proj.weight", "no_obj_embed_spatial"  # only files of SAM 2.1 have them
CONFIGS = {
    "sam2-tiny": SIZES["tiny"],
    "sam2-small": SIZES["small"],
    "sam2-base-plus": SIZES["base-plus"],
    "sam2-large": SIZES["large"],
    "medsam2": replace(SIZES["tiny"], edge=512),
}


def load(path: Path, card: ModelCard, config: Sam2Config | None = None) -> Sam2:
    """In evaluation mode, float32, on the CPU. config: None for the card's; of SAM 2 where the file is, not SAM 2.1.
    Raises ModelError for a file that is not the model's."""
    tensors = published_weights.read(path, card)
    config = replace(config or CONFIGS[card.name], times_pointers=_TIMES in tensors, marks_absence=_ABSENCE in tensors)
    network = Sam2(config)
    held = network.model.state_dict()
    copied = published_weights.copies(published_shapes(held), tensors, path, card)
    network.model.load_state_dict(as_transformers_has_it(held, copied), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def published_shapes(held: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the authors' file, from transformers' names and tensors."""
    shapes = {}
    for name, value in held.items():
        names = published_names(name)
        each = tuple(value.shape) if len(names) == 1 else (1, *value.shape[1:])
        shapes |= dict.fromkeys(names, each)
    return shapes


def as_transformers_has_it(held: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors' tensors under transformers' names. A table that the authors keep by rows is put together; what
    transformers holds twice becomes two tensors."""
    return {name: torch.cat([tensors[source] for source in published_names(name)]) for name in held}
