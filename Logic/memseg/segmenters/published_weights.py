"""Weights that others publish and a user brings: read without running anything in them, and fitted name by name.

Read are safetensors, and PyTorch checkpoints by the reader that builds tensors and plain containers only. The settings
that a training checkpoint carries (an argparse.Namespace: names and values, no code) pass too. A file of another kind,
cut short, larger than what is in it, or of another model is refused in a sentence that says what to do.
"""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import ModelError
from .base import ModelCard

ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt")
LARGEST_BYTES = 6 * 2**30  # BiomedParse's 372 million weights, with what an optimizer remembers, would be 4.5 GB
_SMALLEST_BYTES = 64
_LARGEST_PICKLE_BYTES = 64 * 2**20  # names and shapes; the tensors lie beside it
_MOST_RECORDS = 100_000
_NESTED = ("model_state_dict", "state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "model.")  # what wrappers put before every name
_MOST_NAMES = 3
Network = TypeVar("Network", bound=nn.Module)


def read(path: Path, card: ModelCard) -> dict[str, Tensor]:
    """The tensors of a file by name, as they are there, on the CPU. Raises ModelError. card: the model they are for."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ModelError(f"{path.name} is no weights file that can be read; give a {_listed(ENDINGS, 'or')} file.")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"The weights {path.name} are missing or cannot be read; {_again(card)}.") from error
    if not path.is_file() or size < _SMALLEST_BYTES:
        raise ModelError(f"{path.name} is too small to hold weights; {_again(card)}.")
    if size > LARGEST_BYTES:
        raise ModelError(f"{path.name} is too large to be the weights of {card.title}; {_again(card)}.")
    content = _safetensors(path, card) if ending == ".safetensors" else _checkpoint(path, size, card)
    return without_prefix(_tensors(content, path, card))


def fitted(built: Callable[[], Network], tensors: Mapping[str, Tensor], path: Path, card: ModelCard) -> Network:
    """The network with these weights, float32, in evaluation mode, on the CPU; each name has to be there once, with its
    shape. built: makes it; is called where nothing is allocated. Raises ModelError."""
    with torch.device("meta"):
        network = built()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    network.load_state_dict(copies(shapes, tensors, path, card), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def copies(
    shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], path: Path, card: ModelCard
) -> dict[str, Tensor]:
    """Exactly these names and shapes, float32, on the CPU, apart from the file. Raises ModelError."""
    check_fits(shapes, tensors, path, card)
    copied = {name: tensors[name].detach().to("cpu", torch.float32, copy=True).contiguous() for name in shapes}
    if broken := [name for name, value in copied.items() if not bool(torch.isfinite(value).all())]:
        raise ModelError(
            f"The weights {path.name} hold values that are not numbers, in {_names(broken)}; {_again(card)}."
        )
    return copied


def check_fits(
    shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], path: Path, card: ModelCard
) -> None:
    """Raise ModelError unless the tensors have exactly these names and shapes."""
    missing = [name for name in shapes if name not in tensors]
    unknown = [name for name in tensors if name not in shapes]
    if missing or unknown:
        faults = [f"lack {_names(missing)}"] * bool(missing) + [f"hold {_names(unknown)} besides"] * bool(unknown)
        raise ModelError(
            f"The weights {path.name} are not those of {card.title}: they {' and '.join(faults)}; {_use(card)}."
        )
    if wrong := [name for name, shape in shapes.items() if tuple(tensors[name].shape) != shape]:
        first = f"{_by(tensors[wrong[0]].shape)} instead of {_by(shapes[wrong[0]])}"
        raise ModelError(
            f"The weights {path.name} are of another size of {card.title}: {_names(wrong)} ({first}); {_use(card)}."
        )


def without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same without what a wrapper put before every name."""
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            return without_prefix({name.removeprefix(prefix): value for name, value in tensors.items()})
    return tensors


# -- the two kinds of files --------------------------------------------------------------------------------------------


def _safetensors(path: Path, card: ModelCard) -> dict[str, Tensor]:
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"The weights {path.name} are cut short or damaged; {_again(card)}.") from error


def _checkpoint(path: Path, size: int, card: ModelCard) -> Any:
    _check_archive(path, size, card)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds more than weights, which could run code, so it is not opened; {_use(card)}."
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, MemoryError) as error:
        raise ModelError(f"The weights {path.name} are cut short or damaged; {_again(card)}.") from error


def _check_archive(path: Path, size: int, card: ModelCard) -> None:
    """Raise ModelError unless the file is a zip as PyTorch writes it: nothing packed, nothing larger than the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"{path.name} is no checkpoint of PyTorch 1.6 or later, or it is cut short; {_again(card)}."
        ) from error
    pickles = [record for record in records if record.filename.endswith(".pkl")]
    sound = (
        len(records) <= _MOST_RECORDS
        and all(record.compress_type == zipfile.ZIP_STORED for record in records)
        and sum(record.file_size for record in records) <= size
        and all(record.file_size <= _LARGEST_PICKLE_BYTES for record in pickles)
    )
    if not sound:
        raise ModelError(f"{path.name} was not written by PyTorch or is damaged, so it is not opened; {_again(card)}.")


def _tensors(content: Any, path: Path, card: ModelCard) -> dict[str, Tensor]:
    """The names and tensors in a file's content, which may lie in a dictionary of a training checkpoint."""
    for _ in range(len(_NESTED)):
        inner = next((content[name] for name in _NESTED if isinstance(content, dict) and _is_dict(content, name)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict) or not content or not all(isinstance(name, str) for name in content):
        raise ModelError(f"{path.name} holds no named weights; {_use(card)}.")
    if other := [name for name, value in content.items() if not _is_numbers(value)]:
        raise ModelError(f"{path.name} holds {_names(other)}, which is no tensor of plain numbers; {_use(card)}.")
    return dict(content)


def _is_dict(content: dict[Any, Any], name: str) -> bool:
    return isinstance(content.get(name), dict)


def _is_numbers(value: Any) -> bool:
    """Whether a value is a dense tensor of floating-point numbers."""
    return isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point()


# -- words -------------------------------------------------------------------------------------------------------------


def _names(names: list[str]) -> str:
    """At most three of them, and how many more."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _listed(words: tuple[str, ...], joint: str) -> str:
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def _again(card: ModelCard) -> str:
    return f"download {card.weights} again"


def _use(card: ModelCard) -> str:
    return f"use {card.weights} as its authors publish it"
