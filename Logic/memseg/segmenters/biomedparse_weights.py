"""From the published file to the network of BiomedParse v2.

The file is a training checkpoint: what belongs to the network stands under `model.`, and what else it holds, such as a
loss, is left alone. Files of v1 have other names for the same parts (lang_encoder.lang_encoder is now
language_encoder.encoder_transformer, query_feat is query_feat_) and, what names cannot mend, 101 queries that are told
apart by comparing them with words, no existence head, and were trained on single pictures: they are refused.
"""

from __future__ import annotations

import logging
from pathlib import Path

from torch import Tensor

from .. import catalog
from ..errors import ModelError
from ..networks.biomedparse.model import BiomedParse, BiomedParseConfig, constants
from . import published_weights

log = logging.getLogger(__name__)
NAME = "biomedparse"
_PREFIX, _PARTS = "model.", ("backbone.", "sem_seg_head.")
_OLD = ("lang_encoder.", "query_feat.weight", "biomed_encoder.")


def load(path: Path, config: BiomedParseConfig | None = None) -> BiomedParse:
    """config: its size, for tests. Raises ModelError, naming what is missing."""
    card = catalog.card(NAME)
    config = config or BiomedParseConfig()
    tensors = _of_the_network(published_weights.read(path, card))
    if any(old in name for name in tensors for old in _OLD):
        raise ModelError(
            f"The weights {path.name} are those of BiomedParse v1, which reads single pictures; "
            f"use {card.weights}, which reads volumes."
        )
    tensors = {**constants(), **tensors}  # a file of only what was learned lacks these two
    return published_weights.fitted(lambda: BiomedParse(config), tensors, path, card)


def _of_the_network(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    if any(name.startswith(_PREFIX + part) for name in tensors for part in _PARTS):
        own = {name.removeprefix(_PREFIX): value for name, value in tensors.items() if name.startswith(_PREFIX)}
        if len(own) < len(tensors):
            log.info("%d tensors of a checkpoint are none of the network's", len(tensors) - len(own))
        return own
    return tensors
