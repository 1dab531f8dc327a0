"""The file the slice network ships in: see weights.py."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..networks.slices import SliceConfig, SliceNetwork
from . import weights

MODEL = "memseg-slices"


def save(path: Path, network: SliceNetwork, note: str = "") -> None:
    """note: where the weights come from, kept in the header. Raises FileError where the disk refuses."""
    weights.save(path, MODEL, network, config_to_words(network.config), note)


def load(path: Path) -> SliceNetwork:
    """The network in evaluation mode, float32, on the CPU. Raises ModelError with what to do about the file."""
    return weights.load(path, MODEL, lambda words: SliceNetwork(config_from_words(words)))


def config_to_words(config: SliceConfig) -> str:
    return json.dumps(asdict(config), sort_keys=True)


def config_from_words(words: str) -> SliceConfig:
    """Raises ValueError, TypeError or KeyError where the words describe no network."""
    fields = json.loads(words)
    if not isinstance(fields, dict):
        raise ValueError("a configuration has names")
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return SliceConfig(**{**fields, **lists})
