"""Crops for networks that see the world at one scale: cubes of a fixed spacing, centred on a voxel of the object."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from .chance import number, whole
from .scenes import Scenes
from .shards import Shard
from .supply import Held, Supply, antialiased, normalised_places, recoloured
from .synthesis import imaged, targets

SMALLEST_CELLS = 4  # of the network's answer along the longest side of an object; smaller ones are left out


class Crops(Supply):
    """Scenes of edge^3 samples of about spacing_mm, intensities as the volume has them. cell_mm: of the network's
    answers. aside: how far, of its edge, a scene's centre may lie from the object's voxel."""

    def __init__(
        self,
        device: torch.device,
        edge: int,
        spacing_mm: float,
        cell_mm: float,
        shards: tuple[Shard, ...] = (),
        synthetic_share: float = 0.4,
        aside: float = 0.0,
    ) -> None:
        super().__init__(device, edge, shards, synthetic_share)
        self.spacing_mm, self.aside = spacing_mm, aside
        self.labelled, self.labelmaps = (
            [each for each in (self._prepared(held, SMALLEST_CELLS * cell_mm) for held in found) if each.boxes]
            for found in (self.labelled, self.labelmaps)
        )

    def from_volume(self, source: Generator) -> Scenes:
        """One object of one labelled volume, round one of its voxels, turned, stretched, its intensities changed."""
        held = self.labelled[int(whole(source, (1,), len(self.labelled)))]
        label, low, high = held.boxes[int(whole(source, (1,), len(held.boxes)))]
        spacing = self._spacing(source, held, low, high)
        places, native = self._places(source, held, self._voxel(source, held, label, low, high), spacing, self.aside)
        labels, inside = self._labels(held, places)
        grid = normalised_places(places, held.labels.shape).reshape(1, self.edge, self.edge, self.edge, 3)
        picture = functional.grid_sample(held.image, grid, padding_mode="border", align_corners=False)
        span = max(held.high - held.low, 1e-6)
        picture = held.low + span * recoloured(source, (picture - held.low) / span)
        ends = [picture.new_full((1,), value) for value in (held.low, held.high)]
        size = torch.tensor([spacing], device=self.device)
        return Scenes(picture, (labels == label) & inside, inside, *ends, size, native)

    def from_labelmap(self, source: Generator) -> Scenes:
        """One target of one label map, painted in random contrasts."""
        held = self.labelmaps[int(whole(source, (1,), len(self.labelmaps)))]
        label, low, high = held.boxes[int(whole(source, (1,), len(held.boxes)))]
        spacing = self._spacing(source, held, low, high)
        places, _ = self._places(source, held, self._voxel(source, held, label, low, high), spacing, self.aside)
        labels, inside = self._labels(held, places)
        target = targets(source, torch.where(inside, labels, 0))
        return imaged(source, labels, target, torch.tensor([spacing], device=self.device), inside)

    def _prepared(self, held: Held, least_mm: float) -> Held:
        """Without small objects, and with the image already averaged as the scenes' spacing asks for."""
        boxes = tuple(
            (label, low, high)
            for label, low, high in held.boxes
            if max((stop - start) * size for start, stop, size in zip(low, high, held.spacing)) >= least_mm
        )
        image = None if held.image is None else antialiased(held, self.spacing_mm)
        return replace(held, boxes=boxes, image=image)

    def _labels(self, held: Held, places: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 1, S^3) the nearest labels, int64, and whether there are any: the place lies in the volume."""
        nearest = (places + 0.5).floor().long()
        size = torch.tensor(held.labels.shape, device=self.device)
        inside = ((nearest >= 0) & (nearest < size)).all(dim=1)
        k, j, i = torch.minimum(nearest.clamp(min=0), size - 1).unbind(dim=1)
        shape = (1, 1, self.edge, self.edge, self.edge)
        return held.labels[k, j, i].long().reshape(shape), inside.reshape(shape)

    def _spacing(self, source: Generator, held: Held, low: tuple[int, ...], high: tuple[int, ...]) -> float:
        """About the same for all, as bodies differ in size."""
        return self.spacing_mm * 2 ** number(source, -0.25, 0.25)

    def _voxel(self, source: Generator, held: Held, label: int, low: tuple[int, ...], high: tuple[int, ...]) -> Tensor:
        """(3,) one of the object's."""
        box = held.labels[tuple(slice(*ends) for ends in zip(low, high))]
        voxels = torch.nonzero(box == label)
        chosen = voxels[int(whole(source, (1,), len(voxels)))]
        return (chosen + torch.tensor(low, device=self.device)).float()
