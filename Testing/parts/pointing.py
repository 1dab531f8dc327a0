"""What tests of panel and effect have in common: a small image in three real slice views, and a mouse in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
from desktop import application, slice_views
from fakes import box_mask

from memseg.geometry import Box, Grid

SHAPE = (30, 30, 30)
GRID = Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0))
A, B, C = (8, 8, 8), (15, 15, 15), (22, 22, 22)  # far enough apart that their blocks do not touch


def block(*points: tuple[int, int, int], shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """What clicks there make: 5 x 5 x 5 voxels each."""
    mask = np.zeros(shape, np.uint8)
    for point in points:
        mask |= box_mask(shape, Box(point, np.add(point, 1)).grown(2).clipped(shape))
    return mask


class Pointing:
    """View names: Red (axial), Green (coronal), Yellow (sagittal)."""

    desk: Any
    grid: Grid

    def settle(self) -> None:
        """Wait until nothing is being done any more, and what that led to is done too."""
        for _ in range(2):
            slicer.app.processEvents()
            assert application.pump(slicer.app, lambda: not self.isBusy, timeout=30)
            self.desk.queue.process()  # what was posted last

    @property
    def state(self) -> Any:
        return self.desk.controller.state

    @property
    def prompts(self) -> list[Any]:
        return [entry.prompt for entry in self.state.prompts]

    @property
    def isBusy(self) -> bool:
        auto = self.desk.controller.auto.state
        return self.state.busy or self.state.propagating or auto.running or auto.collecting or self.desk.worker.busy

    def point_ras(self, point_kji: Sequence[float]) -> list[float]:
        return [float(value) for value in self.grid.ras_from_kji(np.asarray(point_kji, float))]

    def view(self, name: str, point_kji: Sequence[float]) -> Any:
        """The view, showing the slice through a voxel."""
        widget = slicer.app.layoutManager().sliceWidget(name)
        widget.mrmlSliceNode().JumpSliceByOffsetting(*self.point_ras(point_kji))
        return widget

    def tap(self, point_kji: Sequence[float], view: str = "Red", control: bool = False, shift: bool = False) -> None:
        """A click at a voxel, not waiting for its answer."""
        widget = self.view(view, point_kji)
        slice_views.click(widget, slice_views.place_xy(widget, self.point_ras(point_kji)), control, shift)

    def click(self, *points_kji: Sequence[float], view: str = "Red", control: bool = False) -> None:
        for point in points_kji:
            self.tap(point, view, control)
            self.settle()

    def drag(self, points_kji: Sequence[Sequence[float]], view: str = "Red", control: bool = False) -> None:
        widget = self.view(view, points_kji[0])
        path = [slice_views.place_xy(widget, self.point_ras(point)) for point in points_kji]
        slice_views.drag(widget, path, control)
        self.settle()
