"""Runs SAM 2: slices of a volume are encoded once and kept; one device, with the CPU to fall back on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..geometry import Grid
from ..memory.slices import SliceFeatures
from ..networks.sam2 import Sam2, Sam2Answer, Sam2Image, Told
from ..volume import Volume
from .placed import Placed
from .sam2_memory import Seen, packed
from .sam2_view import Shade, Shading, picture, squared
from .slice_base import Plane, plane_of, plane_spacing_mm

Result = TypeVar("Result")
_KEPT_BYTES = 400 * 2**20  # of encoded slices; one takes 4 MB at 512 samples and 17 MB at 1024


@dataclass(eq=False)
class _OfVolume:
    """What is kept of one volume, for all objects in it."""

    shading: Shading
    images: OrderedDict[tuple[str, int, Shade], Sam2Image] = field(default_factory=OrderedDict)


@dataclass(frozen=True, eq=False)
class Points:
    """What is said on a slice: places (N, 2) columns and rows of the square, and what each is, of networks.sam2."""

    places: np.ndarray
    kinds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Answered:
    """logits (1, 1, edge / 4, edge / 4), on the CPU. quality: 0 to 1, the intersection over union that is expected.
    present: 0 to 1, how sure it is that the object is in the slice. features: what is remembered of it."""

    logits: Tensor
    quality: float
    present: float
    features: SliceFeatures


class Engine:
    """See the module. Not for several threads at once; what it keeps never changes an answer."""

    def __init__(self, network: Sam2, title: str, device: str) -> None:
        self.config = network.config
        self._kept: WeakKeyDictionary[Volume, _OfVolume] = WeakKeyDictionary()
        self._placed = Placed(network, title, device, self._kept.clear)

    @property
    def network(self) -> Sam2:
        return self._placed.network

    def take_note(self) -> str:
        """The note, once; "" where there is none."""
        return self._placed.take_note()

    def shading(self, volume: Volume) -> Shading:
        return self._of(volume).shading

    def prompted(
        self,
        volume: Volume,
        axis: str,
        index: int,
        shade: Shade,
        said: Points,
        before: Tensor | None,
        told: Told | None,
    ) -> Answered:
        """The answer to what is said on a slice. before (1, 1, edge / 4, edge / 4): the logits so far. told: None for a
        slice that stands alone."""

        def work() -> Answered:
            network, image = self.network, self._image(volume, axis, self._plane(volume, axis, index), shade)
            features = network.alone(image) if told is None else network.conditioned(image, self._placed_there(told))
            points = torch.from_numpy(said.places)[None].to(self._placed.device)
            kinds = torch.tensor([said.kinds], device=self._placed.device)
            given = None if before is None else before.to(self._placed.device)
            answer = network.answer(image, features, points, kinds, given, several=len(said.kinds) <= 1)
            mask = (answer.large > 0).float()
            return self._answered(volume.grid, axis, image, answer, mask, shade)

        return self._run(work)

    def followed(self, volume: Volume, axis: str, index: int, shade: Shade, told: Told) -> Answered:
        """The object in a slice on which nothing is said."""

        def work() -> Answered:
            network, image = self.network, self._image(volume, axis, self._plane(volume, axis, index), shade)
            answer = network.answer(image, network.conditioned(image, self._placed_there(told)))
            mask = answer.large.sigmoid()
            return self._answered(volume.grid, axis, image, answer, mask, shade)

        return self._run(work)

    def masked(self, volume: Volume, axis: str, plane: Plane, shade: Shade) -> SliceFeatures:
        """What is remembered of a slice whose mask is right."""

        def work() -> SliceFeatures:
            image = self._image(volume, axis, plane, shade)
            mask = squared(plane.mask, self.config.edge).to(self._placed.device)
            answer = self.network.of_mask(image, mask)
            return self._answered(volume.grid, axis, image, answer, mask, shade).features

        return self._run(work)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _run(self, work: Callable[[], Result]) -> Result:
        """In float32: the answers are held to those of the authors' code."""

        def plainly() -> Result:
            with torch.autocast(self._placed.device.type, enabled=False):
                return work()

        return self._placed.run(plainly)

    def _answered(
        self, grid: Grid, axis: str, image: Sam2Image, answer: Sam2Answer, mask: Tensor, shade: Shade
    ) -> Answered:
        """mask (1, 1, edge, edge), 0 to 1, as it is to be remembered."""
        maps = self.network.remember(image, mask, answer.score > 0)
        on_cpu = (each[0].float().cpu().numpy() for each in (maps, answer.pointer, image.coarse))
        seen, coarse = Seen(next(on_cpu), next(on_cpu), shade), next(on_cpu)
        present = float(torch.tensor(answer.score).sigmoid())
        features = packed(seen, coarse, whole_plane_mm(grid, axis))
        return Answered(answer.logits.cpu(), min(max(answer.quality, 0.0), 1.0), present, features)

    def _plane(self, volume: Volume, axis: str, index: int) -> Plane:
        image = plane_of(volume.array_kji, axis, index)
        return Plane(index, image, np.broadcast_to(np.uint8(0), image.shape), 0.0)

    def _image(self, volume: Volume, axis: str, plane: Plane, shade: Shade) -> Sam2Image:
        """The plane encoded; kept where it is the volume's own, and not one of an earlier time point."""
        if not np.may_share_memory(plane.image, volume.array_kji):
            return self._encoded(plane.image, shade)
        kept, key = self._of(volume).images, (axis, plane.index, shade)
        if key not in kept:
            kept[key] = self._encoded(plane.image, shade)
        kept.move_to_end(key)
        while len(kept) > 1 and len(kept) * kept[key].size_bytes > _KEPT_BYTES:
            kept.popitem(last=False)
        return kept[key]

    def _encoded(self, plane: np.ndarray, shade: Shade) -> Sam2Image:
        return self.network.encode(picture(plane, shade, self.config.edge).to(self._placed.device))

    def _placed_there(self, told: Told) -> Told:
        device = self._placed.device
        return Told(told.maps.to(device), told.times, told.pointers.to(device), told.away, told.reach)

    def _of(self, volume: Volume) -> _OfVolume:
        if volume not in self._kept:
            self._kept[volume] = _OfVolume(Shading.of(volume))
        return self._kept[volume]


def whole_plane_mm(grid: Grid, axis: str) -> tuple[float, float, float]:
    """A square round a whole plane: row and column of its centre, and its edge."""
    sizes = [size for other, size in zip("kji", grid.shape_kji) if other != axis]
    spacing = plane_spacing_mm(grid, axis)
    rows, columns = ((size - 1) / 2 * step for size, step in zip(sizes, spacing))
    return (rows, columns, max(size * step for size, step in zip(sizes, spacing)))
