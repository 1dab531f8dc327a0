"""A first guess of every structure in a volume, by a network that `memseg train auto` trained on somebody's own
segmentations. Light to import: torch comes with the first guess."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ..volume import Volume


def auto(volume: Volume, model: str | Path, device: str = "auto") -> dict[str, np.ndarray]:
    """The structures found, by name: (K, J, I) uint8 0/1 masks on the volume's grid, none of them empty.

    model: the folder that the training wrote, or the .safetensors file in it. Each mask can begin a session, as
    MaskPrompt.from_mask(mask). For progress and to stop halfway, see `automatic.model.AutoModel.propose`. Raises
    ModelError.
    """
    from .model import AutoModel

    *_, last = AutoModel.load(Path(model), device).propose(volume)
    return last.masks
