"""What Memorizing SAM (arXiv 2412.13908) leans on, on the disk: what lies round structures of earlier volumes, and the
keys and values that a network made of that.

In the folder "bank" of the recall memory. A remembered structure has one file with its surroundings, which is the
user's, and for each network that has met it one with keys and values, which can be made again. Both go with the
structure. Files are read as any others of the recall memory: no code, bounded, and checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import FileError
from ..replacing import replacing
from .tensors import TensorError, pack, unpack

FOLDER = "bank"
LARGEST_BYTES = 16 * 2**20
_IDENTITY, _NETWORK = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, eq=False)
class Surroundings:
    """image: (e, e, e) of the volume's values round a structure, along the volume's axes k, j, i, 0 beside it.
    image_to_mm: (4, 4), from its (i, j, k) to mm from the structure's centre. identity: of the remembered structure."""

    identity: str
    image: np.ndarray
    image_to_mm: np.ndarray

    def __post_init__(self) -> None:
        image, form = np.array(self.image), np.array(self.image_to_mm, np.float64)
        if not _IDENTITY.fullmatch(self.identity):
            raise ValueError("An identity is 32 hexadecimal digits.")
        if image.ndim != 3 or image.size == 0 or image.dtype.kind not in "iuf" or form.shape != (4, 4):
            raise ValueError("Surroundings are a cube of numbers, and where it lies.")
        if not (np.isfinite(image).all() and np.isfinite(form).all()) or abs(np.linalg.det(form[:3, :3])) < 1e-6:
            raise ValueError("Surroundings hold what is no number, or lie nowhere.")
        for name, array in (("image", image), ("image_to_mm", form)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)


@dataclass(frozen=True, eq=False)
class Remembered:
    """keys, values: (H, T, c) float16 of H heads and T places in the memory layer. found_by: (C,) float32, the mean of
    the embedded patches."""

    identity: str
    keys: np.ndarray
    values: np.ndarray
    found_by: np.ndarray

    def __post_init__(self) -> None:
        for name, kind, axes in (("keys", np.float16, 3), ("values", np.float16, 3), ("found_by", np.float32, 1)):
            array = np.array(getattr(self, name), kind)
            if array.ndim != axes or not np.isfinite(array).all():
                raise ValueError(f"'{name}' is a finite array of {axes} axes.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.keys.shape != self.values.shape:
            raise ValueError("There is a value for every key.")

    @property
    def size_bytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes + self.found_by.nbytes


class Bank:
    """See the module. recall: the recall memory's folder. A network is named by the first 16 digits of its SHA-256."""

    def __init__(self, recall: Path) -> None:
        self.path = Path(recall) / FOLDER

    def identities(self) -> tuple[str, ...]:
        """Of the structures whose surroundings are here, those kept last at the end."""
        files = [path for path in self.path.glob("*.safetensors") if _IDENTITY.fullmatch(path.stem)]
        return tuple(path.stem for path in sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.stem)))

    def keep(self, surroundings: Surroundings) -> None:
        """Raises FileError."""
        content = {"image": surroundings.image, "image_to_mm": surroundings.image_to_mm}
        self._write(self._place(surroundings.identity), content)

    def surroundings(self, identity: str) -> Surroundings | None:
        """None where there are none, or none that can be read."""
        found = self._read(self._place(identity), frozenset(("image", "image_to_mm")))
        try:
            return None if found is None else Surroundings(identity, **found)
        except (ValueError, TypeError):
            return None

    def prepare(self, remembered: Remembered, network: str) -> None:
        """Raises FileError."""
        content = {name: getattr(remembered, name) for name in ("keys", "values", "found_by")}
        self._write(self._place(remembered.identity, network), content)

    def prepared(self, identity: str, network: str) -> Remembered | None:
        """None where that network has not met it, or what it left cannot be read."""
        found = self._read(self._place(identity, network), frozenset(("keys", "values", "found_by")))
        try:
            return None if found is None else Remembered(identity, **found)
        except (ValueError, TypeError):
            return None

    def forget(self, identity: str) -> None:
        """All of a structure; nothing where there is nothing. Raises FileError."""
        if _IDENTITY.fullmatch(identity):
            self._delete(tuple(self.path.glob(f"{identity}*.safetensors")))

    def tidy(self, network: str) -> None:
        """Delete what belongs to structures that are not remembered any more, and what other networks have made. Raises
        FileError."""
        known = {path.stem for path in self.path.parent.glob("*.json")}
        for path in tuple(self.path.glob("*.safetensors")):
            identity, _, made_by = path.stem.partition("-")
            if identity not in known or made_by not in ("", network):
                self._delete((path,))

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.path.glob("*.safetensors"))

    def _place(self, identity: str, network: str = "") -> Path:
        if not _IDENTITY.fullmatch(identity) or (network and not _NETWORK.fullmatch(network)):
            raise ValueError("An identity is 32 hexadecimal digits, and a network is named by 16.")
        return self.path / (f"{identity}-{network}.safetensors" if network else f"{identity}.safetensors")

    def _read(self, path: Path, names: frozenset[str]) -> dict[str, np.ndarray] | None:
        try:
            if path.stat().st_size > LARGEST_BYTES:
                return None
            return unpack(path.read_bytes(), names)
        except (OSError, TensorError):
            return None

    def _write(self, path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError("The recall memory's folder cannot be made; choose another by MEMSEG_RECALL.") from error
        with replacing(path) as temporary:
            temporary.write_bytes(pack(arrays, {"program": "memseg", "kind": "bank"}))

    def _delete(self, paths: Iterable[Path]) -> None:
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise FileError("What is kept of an image cannot be deleted; check the folder's permissions.") from error
