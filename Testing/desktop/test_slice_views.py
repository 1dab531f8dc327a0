"""Slice views for tests are Slicer's own: places, clicks and pictures are where they should be."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from desktop import slice_views

from memseg.geometry import Grid

pytestmark = pytest.mark.slicer
SHAPE = (30, 40, 50)
CENTRE_RAS = (25.0, 20.0, 15.0)


@pytest.fixture
def views(desktop, addVolume):
    image = np.zeros(SHAPE, np.int16)
    image[10:20, 15:25, 20:30] = 1000
    node = addVolume(Grid.from_spacing(SHAPE, (1, 1, 1)), image)
    slice_views.show(node, CENTRE_RAS)
    return slicer.app.layoutManager()


def rasOf(widget, xy) -> list[float]:
    return list(widget.mrmlSliceNode().GetXYToRAS().MultiplyPoint((*xy, 0, 1))[:3])


@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
def test_the_place_of_a_point_is_where_the_view_shows_it(views, name):
    widget = views.sliceWidget(name)
    assert widget.className() == "qMRMLSliceWidget"
    place = slice_views.place_xy(widget, CENTRE_RAS)
    assert rasOf(widget, place) == pytest.approx(CENTRE_RAS, abs=0.2)


def test_a_bright_cube_is_bright_in_the_picture(views):
    widget = views.sliceWidget("Red")
    pixels = slice_views.pixels(widget)
    x, y = slice_views.place_xy(widget, CENTRE_RAS)
    assert pixels.shape[:2] == (400, 400)
    assert pixels[399 - y, x].mean() > 200 and pixels[399 - y, x + 120].mean() < 50


def test_a_click_in_place_mode_makes_a_point_there(views, scene, desktop):
    markups = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    markups.CreateDefaultDisplayNodes()
    placer = slicer.qSlicerMarkupsPlaceWidget()
    placer.setMRMLScene(scene)
    placer.setCurrentNode(markups)
    told = []
    placer.connect("activeMarkupsFiducialPlaceModeChanged(bool)", told.append)
    placer.placeModeEnabled = True
    widget = views.sliceWidget("Red")
    place = slice_views.place_xy(widget, CENTRE_RAS)
    slice_views.click(widget, place)
    assert markups.GetNumberOfDefinedControlPoints() == 1
    assert list(markups.GetNthControlPointPositionWorld(0)) == pytest.approx(rasOf(widget, place), abs=0.3)
    assert told == [True, False] and not placer.placeModeEnabled  # one point, then viewing again
    placer.delete()
