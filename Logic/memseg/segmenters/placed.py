"""A network on one device, with the CPU to fall back on; and what every network is told of a volume's intensities."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from ..errors import ModelError
from ..networks.image import HIGH, LOW
from ..volume import Volume

log = logging.getLogger(__name__)
_SAMPLED_VOXELS = 200_000  # from which a volume's robust range is estimated
Result = TypeVar("Result")


class Placed:
    """title: what a user calls the model. forget: drops what is kept on a device that is left. note: a sentence for the
    user about what happened to the device, until it is taken."""

    def __init__(self, network: nn.Module, title: str, device: str, forget: Callable[[], None]) -> None:
        self.network = network.eval().requires_grad_(False)
        self.device, self.note = chosen_device(device), ""
        self._title, self._forget = title, forget
        self._to(self.device)

    def run(self, work: Callable[[], Result]) -> Result:
        """The work's result; where the device runs out of memory, on the CPU, from now on."""
        try:
            return self._worked(work)
        except RuntimeError as error:
            if self.device.type == "cpu" or not _is_out_of_memory(error):
                raise
            self.note = f"The device ran out of memory, so the {self._title} model goes on with the CPU."
        log.warning(self.note)
        self._to(torch.device("cpu"))
        return self._worked(work)

    def take_note(self) -> str:
        """The note, once; "" where there is none."""
        note, self.note = self.note, ""
        return note

    def _worked(self, work: Callable[[], Result]) -> Result:
        torch.set_flush_denormal(True)  # denormal numbers slow convolutions five-fold
        try:
            with torch.inference_mode(), self._precision():
                return work()
        finally:
            torch.set_flush_denormal(False)  # the thread is not ours alone

    def _to(self, device: torch.device) -> None:
        self._forget()
        self.device = device
        self.network.to(device)
        half = device.type == "cuda" or (device.type == "cpu" and torch.cpu._is_avx512_bf16_supported())
        self._precision = lambda: torch.autocast(device.type, torch.bfloat16, enabled=half)


def chosen_device(name: str) -> torch.device:
    """ "auto": a GPU where there is one. Raises ModelError for a device that cannot be used here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"The device '{name}' cannot be used here; choose cpu or auto.") from error
    return torch.device(name)


def robust_range(volume: Volume) -> tuple[float, float]:
    """Quantiles of a volume's intensities, its whole range where those are the same."""
    array = volume.array_kji
    step = max(1, int(np.ceil((array.size / _SAMPLED_VOXELS) ** (1 / 3))))
    low, high = np.quantile(array[::step, ::step, ::step].astype(np.float32), (LOW, HIGH))
    return volume.intensity_range if low == high else (float(low), float(high))


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()
