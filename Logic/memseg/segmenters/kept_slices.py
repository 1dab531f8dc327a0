"""What a network made of a volume's slices, kept on disk: too much for memory (22 MB a slice for BiomedParse), and read
again in hundredths of a second where it took seconds to work out."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Hashable
from weakref import finalize

import torch
from torch import Tensor

log = logging.getLogger(__name__)
LARGEST_BYTES = 12 * 2**30  # 550 slices
_SHARE_OF_FREE = 0.25


class KeptSlices:
    """Tensors by key, rounded to float16, in a temporary file that goes when this goes. All have the shapes of the
    first ones. What does not fit, or cannot be written, is not kept."""

    def __init__(self, largest_bytes: int = LARGEST_BYTES) -> None:
        self._file = tempfile.TemporaryFile(prefix="memseg-")
        finalize(self, self._file.close)
        free = shutil.disk_usage(tempfile.gettempdir()).free
        self._room = min(largest_bytes, int(free * _SHARE_OF_FREE))
        self._places: dict[Hashable, int] = {}
        self._shapes: list[torch.Size] = []

    def __len__(self) -> int:
        return len(self._places)

    def put(self, key: Hashable, parts: tuple[Tensor, ...]) -> None:
        self._shapes = self._shapes or [part.shape for part in parts]
        if [part.shape for part in parts] != self._shapes:
            raise ValueError("What is kept of every slice has the same shapes.")
        place = self._places.get(key, len(self._places))
        if (place + 1) * self._bytes > self._room:
            return
        try:
            self._file.seek(place * self._bytes)
            for part in parts:
                self._file.write(part.detach().to("cpu", torch.float16).contiguous().numpy().data)
            self._file.flush()
        except OSError as error:
            log.warning("slices cannot be kept on disk: %s", error)
            self._room = 0
            return
        self._places[key] = place

    def get(self, key: Hashable) -> tuple[Tensor, ...] | None:
        """float16, on the CPU; None where the key is not kept."""
        if key not in self._places:
            return None
        self._file.seek(self._places[key] * self._bytes)
        data = torch.frombuffer(bytearray(self._file.read(self._bytes)), dtype=torch.float16)
        sizes = [shape.numel() for shape in self._shapes]
        return tuple(part.view(shape) for part, shape in zip(data.split(sizes), self._shapes))

    @property
    def _bytes(self) -> int:
        """Of a slice."""
        return 2 * sum(shape.numel() for shape in self._shapes)
