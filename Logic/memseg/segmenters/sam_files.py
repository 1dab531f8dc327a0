"""The file a SAM-Med3D or a MAIS trained here is kept in: see weights.py. Of any size, in full precision, so that the
frozen encoder of a MAIS is the published one to the bit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..networks.mais import Mais, MaisConfig, MemoryConfig
from ..networks.sam_decoder import DecoderConfig
from ..networks.sam_encoder import EncoderConfig
from ..networks.sam_med3d import SamConfig, SamMed3D
from . import weights

SAM, MAIS = "memseg-sam-med3d", "memseg-mais"
_LARGEST_BYTES = 2**30  # of ViT-B's size they have 0.4 GB


def save(path: Path, network: SamMed3D, note: str = "") -> None:
    """note: where the weights come from, kept in the header. Raises FileError where the disk refuses."""
    model = MAIS if isinstance(network, Mais) else SAM
    weights.save(path, model, network, config_to_words(config_of(network)), note, full=True)


def load_sam(path: Path) -> SamMed3D:
    """In evaluation mode, float32, on the CPU. Raises ModelError with what to do about the file."""
    return weights.load(path, SAM, lambda words: _sam(config_from_words(words)), _LARGEST_BYTES)


def load_mais(path: Path) -> Mais:
    """The same for a MAIS."""
    return weights.load(path, MAIS, lambda words: _mais(config_from_words(words)), _LARGEST_BYTES)


def config_of(network: SamMed3D) -> SamConfig | MaisConfig:
    return MaisConfig(network.config, network.memory_config) if isinstance(network, Mais) else network.config


def config_to_words(config: SamConfig | MaisConfig) -> str:
    return json.dumps(asdict(config), sort_keys=True)


def config_from_words(words: str) -> SamConfig | MaisConfig:
    """Raises ValueError, TypeError or KeyError where the words describe no network."""
    fields = json.loads(words)
    if "memory" in fields:
        return MaisConfig(_sam_config(fields["sam"]), MemoryConfig(**fields["memory"]))
    return _sam_config(fields)


def _sam_config(fields: dict[str, Any]) -> SamConfig:
    encoder = {**fields["encoder"], "global_blocks": tuple(fields["encoder"]["global_blocks"])}
    parts = {"encoder": EncoderConfig(**encoder), "decoder": DecoderConfig(**fields["decoder"])}
    return SamConfig(**{**fields, **parts})


def _sam(config: SamConfig | MaisConfig) -> SamMed3D:
    if not isinstance(config, SamConfig):
        raise ValueError("the configuration of another network")
    return SamMed3D(config)


def _mais(config: SamConfig | MaisConfig) -> Mais:
    if not isinstance(config, MaisConfig):
        raise ValueError("the configuration of another network")
    return Mais(config)
