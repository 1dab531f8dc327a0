"""What is drawn over a view while the user drags: a stroke, a box, or a lasso with the line that will close it."""

from __future__ import annotations

from slicer import vtkMRMLInteractionEventData  # noqa: F401  (loads the rendering factories the actors below need)
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkRenderingCore import vtkActor2D, vtkPolyDataMapper2D, vtkRenderer

POSITIVE_COLOUR = (0.25, 0.95, 0.45)
NEGATIVE_COLOUR = (1.0, 0.32, 0.30)
_THICKEST_PX = 24.0

DisplayPoint = tuple[float, float]


class Outline:
    """A polyline in display pixels (origin at the lower left) that lives in one renderer at a time."""

    def __init__(self) -> None:
        self._data = vtkPolyData()
        mapper = vtkPolyDataMapper2D()
        mapper.SetInputData(self._data)
        self._actor = vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.VisibilityOff()
        self._renderer: vtkRenderer | None = None

    def attach(self, renderer: vtkRenderer | None) -> None:
        self.detach()
        self._renderer = renderer
        if renderer is not None:
            renderer.AddViewProp(self._actor)

    def detach(self) -> None:
        if self._renderer is not None:
            self._renderer.RemoveViewProp(self._actor)
        self._renderer = None

    def draw(self, points: list[DisplayPoint], closed: bool, positive: bool, widthPx: float, opacity: float) -> None:
        """Show a line through the points, at least one, closed by a last segment where asked."""
        vertices = vtkPoints()
        for x, y in points:
            vertices.InsertNextPoint(x, y, 0.0)
        order = [*range(len(points)), *([0] if closed and len(points) > 2 else [])]
        if len(order) == 1:
            order = [0, 0]
        lines = vtkCellArray()
        lines.InsertNextCell(len(order), order)
        self._data.SetPoints(vertices)
        self._data.SetLines(lines)
        self._data.Modified()
        appearance = self._actor.GetProperty()
        appearance.SetColor(*(POSITIVE_COLOUR if positive else NEGATIVE_COLOUR))
        appearance.SetLineWidth(min(max(widthPx, 1.5), _THICKEST_PX))
        appearance.SetOpacity(opacity)
        self._actor.VisibilityOn()

    def hide(self) -> None:
        self._actor.VisibilityOff()


def rectangle(corner: DisplayPoint, opposite: DisplayPoint) -> list[DisplayPoint]:
    """The four corners of the upright rectangle between two opposite ones."""
    return [corner, (opposite[0], corner[1]), opposite, (corner[0], opposite[1])]
