"""The slice network as a slice segmenter: windows, cached image features, memory entries as tensors, masks as
voxels."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from .. import catalog
from ..geometry import AXES
from ..memory.slices import Recalled, SliceEntry
from ..networks.slice_evidence import FAR, Known, evidence, picture, signed_distance
from ..networks.slices import SliceBatch, SliceImage, SliceNetwork, condition
from ..volume import Volume
from . import slice_weights
from .placed import Placed, robust_range
from .slice_base import Plane, SliceAnswer, SliceFeatures, place_of, plane_of, plane_spacing_mm
from .slice_blend import blended
from .slice_geodesic import SliceGeodesic
from .slice_view import PlaneWindow

_KEPT_IMAGES = 64  # encoded slices of a volume; one takes 0.5 MB


class _OfVolume:
    """What is kept of one volume: its robust range, and slices encoded through windows, for all objects in it."""

    def __init__(self, volume: Volume) -> None:
        self.low, self.high = robust_range(volume)
        self.images: OrderedDict[tuple[str, int, int, PlaneWindow], SliceImage] = OrderedDict()


class SliceNet:
    """See the module. Not for several threads at once; what it keeps never changes an answer."""

    def __init__(self, network: SliceNetwork, device: str = "auto") -> None:
        self.card = catalog.slice_card("slices")
        self._network = network
        self._plain = SliceGeodesic()
        self._kept: WeakKeyDictionary[Volume, _OfVolume] = WeakKeyDictionary()
        self._placed = Placed(network, "slice", device, self._kept.clear)

    @classmethod
    def from_file(cls, path: Path, device: str = "auto") -> SliceNet:
        """Raises ModelError for weights that are missing, damaged, or of another model."""
        return cls(slice_weights.load(path), device)

    def features(self, volume: Volume, axis: str, plane: Plane) -> SliceFeatures:
        """What memory keeps of a slice, through a window round its object."""
        window = self._window(plane.mask, volume, axis)
        return self._placed.run(lambda: self._features(volume, axis, plane, 1, window))

    def follow(
        self,
        volume: Volume,
        axis: str,
        index: int,
        previous: Plane,
        anchors: tuple[Plane, ...],
        recalled: Recalled,
    ) -> SliceAnswer:
        """See slice_base.SliceSegmenter."""
        window, way = self._window(previous.mask, volume, axis), -1 if index < previous.index else 1
        answer = self._placed.run(lambda: self._follow(volume, axis, index, previous, anchors, recalled, window, way))
        # The entries hold the network's own features, which say nothing to arithmetic.
        answer = blended(answer, self._plain.follow(volume, axis, index, previous, anchors, Recalled()))
        features = None
        if answer.present >= 0.5 and answer.mask.any():
            # Remembered through the window it was found in, which spares encoding it again; as in training.
            found = Plane(
                index, plane_of(volume.array_kji, axis, index), answer.mask, place_of(volume.grid, axis, index)
            )
            features = self._placed.run(lambda: self._features(volume, axis, found, way, window))
        return replace(answer, note=self._placed.take_note(), features=features)

    # -- a slice -------------------------------------------------------------------------------------------------

    def _features(self, volume: Volume, axis: str, plane: Plane, way: int, window: PlaneWindow) -> SliceFeatures:
        image = self._image(volume, axis, plane.index, way, window)
        seen = (self._read(window, plane.mask, volume, axis) > 0.5).float()
        distance = (signed_distance(seen) / FAR).clamp(-1, 1)
        values = self._network.remember(image, seen[None], distance[None])
        both = (each[0].float().cpu().numpy().astype(np.float16) for each in (image.keys, values))
        return SliceFeatures(*both, (*window.middle_mm, window.edge_mm))

    def _follow(
        self,
        volume: Volume,
        axis: str,
        index: int,
        previous: Plane,
        anchors: tuple[Plane, ...],
        recalled: Recalled,
        window: PlaneWindow,
        way: int,
    ) -> SliceAnswer:
        kept = self._of(volume)
        plane = plane_of(volume.array_kji, axis, index)
        spacing = plane_spacing_mm(volume.grid, axis)
        own = self._read(window, plane, volume, axis)
        inside = window.inside(plane.shape, spacing)[None].to(self._placed.device)
        gap = volume.grid.spacing_kji_mm[AXES.index(axis)]
        known = [
            self._known(each, index, way, window, volume, axis) for each in (previous, *_sides(anchors, index, way))
        ]
        told = evidence(own, inside, *known)
        low, high = (torch.full((1,), end, device=own.device) for end in (kept.low, kept.high))
        pair = picture(torch.stack([own, known[0].image], dim=1), inside, low, high)
        place = place_of(volume.grid, axis, index)
        answer = self._network.follow(
            self._image(volume, axis, index, way, window),
            self._condition(window, gap),
            pair[:, 0],
            pair[:, 1],
            told,
            self._batch(recalled.recent, window, place, way),
            self._batch(recalled.long, window, place, way),
        )
        logits, (row, column) = window.write(answer.logits[0, 0].float().cpu(), plane.shape, spacing)
        probability = np.zeros(plane.shape, np.float32)
        rows, columns = logits.shape
        probability[row : row + rows, column : column + columns] = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        return SliceAnswer(probability, float(answer.present.sigmoid()), float(answer.quality.sigmoid()))

    def _image(self, volume: Volume, axis: str, index: int, way: int, window: PlaneWindow) -> SliceImage:
        """The slice between its neighbours, encoded; the one it is met from (way) comes first."""
        kept, key = self._of(volume), (axis, index, way, window)
        if key not in kept.images:
            number = AXES.index(axis)
            around = [min(max(index + way * step, 0), volume.shape_kji[number] - 1) for step in (-1, 0, 1)]
            planes = np.stack([plane_of(volume.array_kji, axis, place) for place in around])
            spacing = plane_spacing_mm(volume.grid, axis)
            values = window.read(planes, spacing)[None].to(self._placed.device)
            inside = window.inside(planes.shape[1:], spacing)[None].to(self._placed.device)
            low, high = (torch.full((1,), end, device=values.device) for end in (kept.low, kept.high))
            seen = picture(values, inside, low, high).flatten(1, 2)
            gap = volume.grid.spacing_kji_mm[number]
            kept.images[key] = self._network.encode(seen, self._condition(window, gap))
        kept.images.move_to_end(key)
        while len(kept.images) > _KEPT_IMAGES:
            kept.images.popitem(last=False)
        return kept.images[key]

    def _of(self, volume: Volume) -> _OfVolume:
        if volume not in self._kept:
            self._kept[volume] = _OfVolume(volume)
        return self._kept[volume]

    def _window(self, mask: np.ndarray, volume: Volume, axis: str) -> PlaneWindow:
        return PlaneWindow.around(mask, plane_spacing_mm(volume.grid, axis), self._network.config.edge)

    def _read(self, window: PlaneWindow, plane: np.ndarray, volume: Volume, axis: str) -> Tensor:
        """(1, edge, edge) on the device."""
        return window.read(plane[None], plane_spacing_mm(volume.grid, axis)).to(self._placed.device)

    def _condition(self, window: PlaneWindow, gap_mm: float) -> Tensor:
        sizes = (torch.tensor([size], dtype=torch.float32) for size in (window.sample_mm, gap_mm))
        return condition(*sizes).to(self._placed.device)

    def _known(
        self, plane: Plane | None, index: int, way: int, window: PlaneWindow, volume: Volume, axis: str
    ) -> Known:
        device, edge = self._placed.device, window.samples
        if plane is None:
            nothing = torch.zeros((1, edge, edge), device=device)
            return Known(
                nothing, nothing, torch.zeros(1, device=device), torch.zeros(1, dtype=torch.bool, device=device)
            )
        away = abs(index - plane.index) * volume.grid.spacing_kji_mm[AXES.index(axis)]
        return Known(
            self._read(window, plane.image, volume, axis),
            (self._read(window, plane.mask, volume, axis) > 0.5).float(),
            torch.tensor([away], device=device, dtype=torch.float32),
            torch.ones(1, dtype=torch.bool, device=device),
        )

    def _batch(self, entries: tuple[SliceEntry, ...], window: PlaneWindow, place_mm: float, way: int) -> SliceBatch:
        config = self._network.config
        edge, device = config.edge // 8, self._placed.device
        entries = tuple(entry for entry in entries if entry.model == self.card.name)
        keys = np.zeros((len(entries), config.key_width, edge, edge), np.float32)
        values = np.zeros((len(entries), config.value_width, edge, edge), np.float32)
        places, scales = np.zeros((len(entries), 3), np.float32), np.ones(len(entries), np.float32)
        for number, entry in enumerate(entries):
            row, column, size = entry.features.window_mm
            keys[number], values[number] = entry.features.keys, entry.features.values
            away = ((entry.place_mm - place_mm) * way, row - window.middle_mm[0], column - window.middle_mm[1])
            places[number], scales[number] = np.array(away) * 2 / window.edge_mm, size / window.edge_mm
        arrays = (torch.from_numpy(each)[None].to(device) for each in (keys, values, places, scales))
        return SliceBatch(*arrays, torch.ones((1, len(entries)), dtype=torch.bool, device=device))


def _sides(anchors: tuple[Plane, ...], index: int, way: int) -> tuple[Plane | None, Plane | None]:
    """The agreed plane behind and the one ahead, as one travels."""
    behind = [plane for plane in anchors if (plane.index - index) * way < 0]
    ahead = [plane for plane in anchors if (plane.index - index) * way > 0]
    return (behind[0] if behind else None, ahead[0] if ahead else None)
