"""A trained network and its plan as one file, and what it makes of a volume."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..errors import ModelError
from ..geometry import Box
from ..networks.segmamba import AutoNetwork, Triple
from ..segmenters import weights
from ..segmenters.placed import Placed
from ..volume import Volume
from . import sliding
from .collecting import Crop
from .folder import FILE
from .frame import Frame
from .plan import AutoPlan, from_record, to_record

MODEL = "memseg-auto"
_LARGEST_BYTES = 2**30  # MultiSegMamba of the published size has 160 MB in half precision
# As measured at the peak, rounded up: maps of first-stage channels that are alive together, in the decoder's last stage
# or in the first Mamba layer; copies of the weights that convolutions make for themselves; and what torch loads once.
_MAPS = {"unet": 9, "segmamba": 26, "segmambaskip": 32, "bisegmamba": 32, "multisegmamba": 80}
_COPIES, _ONCE_BYTES = 2, 28 * 2**20


@dataclass(frozen=True)
class Need:
    """What a volume will take: windows to look at, and about so many bytes beside the image."""

    windows: int
    bytes: int


@dataclass(frozen=True, eq=False)
class Advance:
    """done windows, of so many. crops: after the last one, by name the structures found, each as its tight box and
    uint8 0/1 of that shape; None before. Whole masks of dozens of structures would take gigabytes."""

    done: int
    of: int
    crops: dict[str, Crop] | None = None
    shape_kji: Triple = (0, 0, 0)

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """(K, J, I) uint8 0/1 masks of the volume, by name."""
        masks = {}
        for name, (box, values) in (self.crops or {}).items():
            masks[name] = np.zeros(self.shape_kji, np.uint8)
            masks[name][box.slices] = values
        return masks


class AutoModel:
    """note: a sentence for the user about what happened to the device, "" where there is none."""

    def __init__(self, network: AutoNetwork, plan: AutoPlan, device: str = "auto") -> None:
        self.plan = plan
        self._weights_bytes = 4 * sum(each.numel() for each in network.parameters())
        self._placed = Placed(network, "auto", device, lambda: None)

    @classmethod
    def load(cls, path: Path, device: str = "auto") -> AutoModel:
        """path: the folder that the training wrote, or the file in it. Raises ModelError."""
        network, plan = load(path)
        return cls(network, plan, device)

    def need(self, volume: Volume) -> Need:
        """Known before anything starts."""
        frame, plan = Frame.of(volume.grid, self.plan.spacing_sar_mm), self.plan
        slid = sliding.needed_bytes(frame.coarse_sar, plan.network.classes, plan.patch_sar)
        inside = 4 * _MAPS[plan.network.variant] * plan.network.channels[0] * math.prod(plan.patch_sar)
        inside += _COPIES * self._weights_bytes + _ONCE_BYTES
        looking = 4 * math.prod(frame.coarse_sar) + slid + inside
        returning = 10 * math.prod(frame.fine_sar)  # classes, two shares in float32, and the crops
        return Need(sliding.windows(frame.coarse_sar, plan.patch_sar), max(looking, returning))

    def propose(self, volume: Volume) -> Iterator[Advance]:
        """Window after window; may be left at any time."""
        plan, frame = self.plan, Frame.of(volume.grid, self.plan.spacing_sar_mm)
        image = plan.intensities.normalised(frame.image(volume.array_kji))
        for step in sliding.slide(image, self._look, plan.network.classes, plan.patch_sar):
            if step.classes is None:
                yield Advance(step.done, step.of)
                continue
            classes = frame.returned(step.classes)
            places = ndimage.find_objects(classes, len(plan.names))
            found = [(number, at) for number, at in enumerate(places, start=1) if at is not None]
            crops = {plan.names[number - 1]: _crop(classes, at, number) for number, at in found}
            yield Advance(step.done, step.of, crops, volume.shape_kji)

    def take_note(self) -> str:
        """The note, once."""
        return self._placed.take_note()

    def _look(self, window: Tensor) -> Tensor:
        network = self._placed.network
        return self._placed.run(lambda: logits_of(network, window.to(self._placed.device)))


def _crop(classes: np.ndarray, at: tuple[slice, ...], number: int) -> Crop:
    box = Box(tuple(each.start for each in at), tuple(each.stop for each in at))
    return box, (classes[at] == number).astype(np.uint8)


def logits_of(network: AutoNetwork, window: Tensor) -> Tensor:
    """Of the finest stage. In full precision where it has to be: the layers of MultiSegMamba do not see to that
    themselves, and a state carried through thousands of tokens in bfloat16 is lost."""
    whole = network.config.variant == "multisegmamba"
    with torch.autocast(window.device.type, enabled=False) if whole else nullcontext():
        return network(window)[0]


def save(path: Path, network: AutoNetwork, plan: AutoPlan, note: str = "") -> None:
    """Raises FileError where the disk refuses."""
    weights.save(path, MODEL, network, json.dumps(to_record(plan), sort_keys=True), note)


def load(path: Path) -> tuple[AutoNetwork, AutoPlan]:
    """The network on the CPU, in evaluation mode. Raises ModelError."""
    if path.is_dir():
        if not (path / FILE).is_file():
            raise ModelError(
                f"There is no trained model ({FILE}) in the folder {path.name}; give the folder that "
                "memseg train auto wrote with --out, after its first look at the held-out subjects."
            )
        path = path / FILE
    elif not path.is_file():
        raise ModelError(f"There is no model at {path}; give the folder that memseg train auto wrote with --out.")
    plans: list[AutoPlan] = []

    def built(words: str) -> AutoNetwork:
        plans.append(from_record(json.loads(words)))
        return AutoNetwork(plans[-1].network)

    network = weights.load(path, MODEL, built, _LARGEST_BYTES)
    return network, plans[-1]
