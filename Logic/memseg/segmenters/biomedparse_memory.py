"""The file that a trained memory of BiomedParse is kept in: see weights.py. It is looked for beside the network's own
weights, under the name FILE."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..errors import ModelError
from ..networks.biomedparse.memory import BankAttention, MemoryConfig, grid_of
from ..networks.biomedparse.model import BiomedParseConfig
from . import weights

MODEL, FILE = "memseg-biomedparse-memory", "biomedparse-memory.safetensors"


def save(path: Path, memory: BankAttention, note: str = "") -> None:
    """note: where the weights come from, kept in the header. Raises FileError where the disk refuses."""
    weights.save(path, MODEL, memory, json.dumps(asdict(memory.config), sort_keys=True), note)


def load(path: Path) -> BankAttention:
    """In evaluation mode, float32, on the CPU. Raises ModelError with what to do about the file."""
    return weights.load(path, MODEL, lambda words: BankAttention(MemoryConfig(**json.loads(words))))


def beside(path: Path, network: BiomedParseConfig) -> BankAttention | None:
    """The trained memory beside a network's weights; None where there is none. Raises ModelError for one that belongs
    to another network."""
    file = path.with_name(FILE)
    if not file.is_file():
        return None
    memory = load(file)
    fits = (memory.config.width, memory.config.depth) == (network.decoder.width, network.decoder.depth)
    if not fits or memory.config.grid > grid_of(network.edge):
        raise ModelError(
            f"The memory {FILE} was trained for another network than {path.name}; train it again, or move it away."
        )
    return memory
