"""The file a nano network ships in: see weights.py."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..networks.memory_attention import MemoryConfig
from ..networks.nano import Nano, NanoConfig
from . import weights

MODEL = "memseg-nano"


def save(path: Path, network: Nano, note: str = "") -> None:
    """note: where the weights come from, kept in the header. Raises FileError where the disk refuses."""
    weights.save(path, MODEL, network, config_to_words(network.config), note)


def load(path: Path) -> Nano:
    """The network in evaluation mode, float32, on the CPU. Raises ModelError with what to do about the file."""
    return weights.load(path, MODEL, lambda words: Nano(config_from_words(words)))


def config_to_words(config: NanoConfig) -> str:
    return json.dumps(asdict(config), sort_keys=True)


def config_from_words(words: str) -> NanoConfig:
    """Raises ValueError, TypeError or KeyError where the words describe no network."""
    fields = json.loads(words)
    memory = MemoryConfig(**fields.pop("memory"))
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return NanoConfig(**{**fields, **lists}, memory=memory)
