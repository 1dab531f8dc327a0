"""Slice views rendered off screen: the overlay lies where the mask does, also on oblique grids under transforms."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ellipsoid, turned_grid
from scipy import ndimage
from trame_slicer.core import SlicerApp

from memseg.geometry import Box, Grid
from memseg.volume import MaskChange
from MemSegBrowser.pictures import ORIENTATIONS, SlicePicture, SurfacePicture
from MemSegSlicerLib import PromptTools, SceneBridge

pytestmark = pytest.mark.slicer

SHAPE = (40, 60, 50)
CENTRE = (22, 33, 20)
MASK = ellipsoid(SHAPE, CENTRE, (8, 14, 11)).astype(np.uint8)


@pytest.fixture(scope="module")
def slicerApp() -> SlicerApp:
    """Views stay in the application that made them and answer every event, so these tests have one of their own."""
    return SlicerApp()


def gridNamed(name: str) -> Grid:
    straight = Grid.from_spacing(SHAPE, (3.0, 1.0, 1.2))
    mirrored = Grid(SHAPE, straight.ijk_to_ras @ np.diag([1.0, -1.0, 1.0, 1.0]))
    return {"straight": straight, "left-handed": mirrored, "oblique": turned_grid(SHAPE)}[name]


@pytest.fixture
def shown(slicerApp, scene, addVolume, addTransform):
    """(volume node, segmentation node, segment id) of an ellipsoid, on a grid, maybe under a transform."""

    def show(gridName: str, transform: np.ndarray | None = None):
        noise = np.random.default_rng(0).integers(0, 100, SHAPE).astype(np.int16)
        volumeNode = addVolume(gridNamed(gridName), noise)
        node = SceneBridge.newSegmentation(scene, volumeNode)
        if transform is not None:
            transformId = addTransform(transform).GetID()
            volumeNode.SetAndObserveTransformNodeID(transformId)
            node.SetAndObserveTransformNodeID(transformId)
        segmentId = SceneBridge.addSegment(node, "liver", (1.0, 0.0, 0.0))
        SceneBridge.writeChange(node, segmentId, volumeNode, MaskChange.between(MASK * 0, Box.of_shape(SHAPE), MASK))
        return volumeNode, node, segmentId

    return show


def expectedOverlay(picture: SlicePicture, grid: Grid, mask: np.ndarray) -> np.ndarray:
    """Bool (height, width), top row first: pixels whose centre lies in a voxel of the mask."""
    matrix = picture.view.get_view_node().GetXYToRAS()
    xyToRas = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    height, width = 600, 600
    y, x = np.mgrid[height - 1 : -1 : -1, 0:width]
    points = np.stack([x, y, np.zeros_like(x), np.ones_like(x)], axis=-1) @ xyToRas.T
    kji = np.floor(grid.kji_from_ras(points[..., :3]) + 0.5).astype(int)
    inside = np.all((kji >= 0) & (kji < mask.shape), axis=-1)
    return inside & (mask[tuple(np.moveaxis(np.clip(kji, 0, np.array(mask.shape) - 1), -1, 0))] != 0)


def overlaid(picture: SlicePicture, segmentationNode) -> np.ndarray:
    """Bool (height, width): pixels that change when the segmentation is hidden."""
    segmentationNode.GetDisplayNode().SetVisibility(True)
    withOverlay = picture.pixels().astype(int)
    segmentationNode.GetDisplayNode().SetVisibility(False)
    without = picture.pixels().astype(int)
    segmentationNode.GetDisplayNode().SetVisibility(True)
    return np.abs(withOverlay - without).sum(axis=-1) > 0


QUARTER = np.array([[0.0, 1, 0, 12], [-1, 0, 0, -7], [0, 0, 1, 5], [0, 0, 0, 1]])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("gridName", ["straight", "left-handed", "oblique"])
@pytest.mark.parametrize("transform", [None, QUARTER], ids=["untransformed", "transformed"])
def test_the_overlay_lies_where_the_mask_does(slicerApp, shown, orientation, gridName, transform):
    volumeNode, segmentationNode, _ = shown(gridName, transform)
    grid = SceneBridge.gridOf(volumeNode)
    picture = SlicePicture(slicerApp, orientation)
    picture.show(volumeNode, grid.ras_from_kji(np.array(CENTRE)))
    expected = expectedOverlay(picture, grid, MASK)
    actual = overlaid(picture, segmentationNode)
    assert expected.sum() > 2000
    border = ndimage.binary_dilation(expected, iterations=2) & ~ndimage.binary_erosion(expected, iterations=2)
    assert not (actual != expected)[~border].any()


def test_a_click_changes_the_overlay_without_anything_else_being_told(slicerApp, shown):
    volumeNode, segmentationNode, segmentId = shown("straight")
    grid = SceneBridge.gridOf(volumeNode)
    picture = SlicePicture(slicerApp, "Axial")
    picture.show(volumeNode, grid.ras_from_kji(np.array(CENTRE)))
    before = overlaid(picture, segmentationNode).sum()
    grown = MASK.copy()
    grown[CENTRE[0], 2:58, 2:48] = 1
    change = MaskChange.between(MASK, Box.of_shape(SHAPE), grown)
    SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, change)
    assert overlaid(picture, segmentationNode).sum() > 3 * before


def test_the_image_shines_through_the_overlay(slicerApp, shown):
    volumeNode, segmentationNode, _ = shown("straight")
    display = segmentationNode.GetDisplayNode()
    display.SetOpacity2DFill(0.5)
    display.SetVisibility2DOutline(False)
    picture = SlicePicture(slicerApp, "Axial")
    picture.show(volumeNode, SceneBridge.gridOf(volumeNode).ras_from_kji(np.array(CENTRE)))
    filled = overlaid(picture, segmentationNode)
    withOverlay = picture.pixels()[filled].astype(float)
    display.SetVisibility(False)
    image = picture.pixels()[filled].astype(float)
    assert np.corrcoef(withOverlay[:, 1], image[:, 1])[0, 1] > 0.95


def test_axial_pictures_show_the_patients_right_on_the_left(slicerApp, shown):
    volumeNode, segmentationNode, _ = shown("straight")
    grid = SceneBridge.gridOf(volumeNode)
    picture = SlicePicture(slicerApp, "Axial")
    picture.show(volumeNode, grid.ras_from_kji(np.array(CENTRE)))
    columns = np.flatnonzero(overlaid(picture, segmentationNode).any(axis=0))
    assert columns.mean() > 300  # i counts towards R, and 20 of 50 lies on the left half of the patient


def test_a_pixel_clicked_is_the_voxel_under_it(slicerApp, shown):
    """The way back: from a pixel of the overlay's middle through the view's own matrix to a voxel of the mask."""
    volumeNode, segmentationNode, _ = shown("oblique", QUARTER)
    picture = SlicePicture(slicerApp, "Coronal")
    volume = SceneBridge.volumeFromNode(volumeNode)
    picture.show(volumeNode, volume.grid.ras_from_kji(np.array(CENTRE)))
    rows, columns = np.nonzero(overlaid(picture, segmentationNode))
    x, y = columns.mean(), 599 - rows.mean()
    ras = picture.view.get_view_node().GetXYToRAS().MultiplyPoint((x, y, 0, 1))[:3]
    click = PromptTools.clickFromRas(volume, ras)
    assert np.abs(np.array(click.point_kji) - CENTRE).max() <= 2


def test_the_3d_picture_shows_the_surface(slicerApp, shown):
    _, segmentationNode, _ = shown("straight")
    segmentationNode.CreateClosedSurfaceRepresentation()
    picture = SurfacePicture(slicerApp)
    picture.show()
    red = picture.pixels().astype(int)
    share = ((red[..., 0] - red[..., 1]) > 60).mean()
    assert 0.1 < share < 0.9
