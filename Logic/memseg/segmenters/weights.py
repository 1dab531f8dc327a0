"""The file a network ships in: safetensors, with its configuration and a SHA-256 of its tensors in the header.

Tensors are kept in half precision, or in full where that is asked for. A file that is cut short, of another model,
changed since it was written, or pickled (which could run code) is refused with a sentence; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import FileError, ModelError

FORMAT = "1"
Network = TypeVar("Network", bound=nn.Module)
_LARGEST_BYTES = 64 * 2**20
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def save(path: Path, model: str, network: nn.Module, config_words: str, note: str = "", full: bool = False) -> None:
    """model: name of the kind of network, checked on reading. note: where the weights come from, kept in the header.
    full: in full precision. Raises FileError where the disk refuses."""
    kept = torch.float32 if full else torch.float16
    tensors = {name: value.detach().to(kept).cpu().contiguous() for name, value in network.state_dict().items()}
    metadata = {
        "model": model,
        "format": FORMAT,
        "config": config_words,
        "sha256": digest(tensors),
        "note": note,
    }
    try:
        save_file(tensors, str(path), metadata)
    except (OSError, SafetensorError) as error:
        raise FileError(f"{path.name} cannot be written; choose another place or free some space.") from error


def load(path: Path, model: str, built: Callable[[str], Network], largest_bytes: int = _LARGEST_BYTES) -> Network:
    """The network in evaluation mode, float32, on the CPU. built: makes it from the words of its configuration; may
    raise KeyError, TypeError or ValueError. Raises ModelError with what to do about the file."""
    title = model.removeprefix("memseg-")
    _refuse_what_is_no_safetensors(path, title, largest_bytes)
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"The weights {path.name} are cut short or damaged; install them again.") from error
    if metadata.get("model") != model or metadata.get("format") != FORMAT:
        raise ModelError(
            f"The weights {path.name} are of another model; put the file of the {title} model in their place."
        )
    if metadata.get("sha256") != digest(tensors):
        raise ModelError(f"The weights {path.name} have been changed since they were written; install them again.")
    try:
        network = built(metadata["config"])
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"The weights {path.name} do not fit the network they describe; install them again."
        ) from error
    return network.eval().requires_grad_(False)


def model_of(path: Path) -> str:
    """The kind of network that a file says it holds; "" for a file of another kind, or none."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return (file.metadata() or {}).get("model", "")
    except (SafetensorError, OSError, ValueError):
        return ""


def _refuse_what_is_no_safetensors(path: Path, title: str, largest_bytes: int) -> None:
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ModelError(f"The weights {path.name} are missing or cannot be read; install them again.") from error
    if start.startswith(_PICKLES):
        raise ModelError(
            f"The weights {path.name} are a pickle, which could run code, so they are not opened; "
            "use the .safetensors file."
        )
    if size > largest_bytes:
        raise ModelError(f"The weights {path.name} are too large to be of the {title} model; install them again.")


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
