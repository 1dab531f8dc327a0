"""The MemSeg effect where image, segmentation and view lie askew: prompts and masks are where the user points."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from desktop import slice_views
from effect_stage import Stage
from fakes import turned_grid
from pointing import block
from scenes import maskByPoints, vtkMatrix

from memseg.geometry import Grid
from memseg.prompts import Click
from MemSegSlicerLib import SceneBridge

pytestmark = pytest.mark.slicer
OBLIQUE = turned_grid((20, 24, 28), (0.7, 0.9, 2.5))
POINT = (10, 12, 14)
MOVED = np.array([[0, -1, 0, 12.0], [1, 0, 0, -7.0], [0, 0, 1, 30.0], [0, 0, 0, 1]])  # a quarter turn and a shift


def moved(grid: Grid) -> Grid:
    return Grid(grid.shape_kji, MOVED @ grid.ijk_to_ras)


@pytest.mark.parametrize("view", ["Red", "Green", "Yellow"])
def test_a_click_on_an_oblique_anisotropic_image(makeStage, view):
    stage = makeStage(OBLIQUE).begin()
    stage.click(POINT, view=view)
    assert stage.prompts == [Click(POINT)]
    assert np.array_equal(stage.mask(), block(POINT, shape=OBLIQUE.shape_kji))


def test_a_click_in_an_oblique_view(makeStage):
    stage = makeStage().begin()
    widget = slicer.app.layoutManager().sliceWidget("Red")
    node = widget.mrmlSliceNode()
    turn = vtkMatrix(np.array([[0.8, 0.36, 0.48, 0], [-0.6, 0.48, 0.64, 0], [0, -0.8, 0.6, 0], [0, 0, 0, 1]]))
    node.GetSliceToRAS().DeepCopy(turn)
    node.UpdateMatrices()
    point = (16, 13, 18)
    try:
        stage.click(point)
        assert stage.prompts == [Click(point)] and np.array_equal(stage.mask(), block(point))
        stage.click(point, control=True)
        assert not stage.mask().any()
    finally:
        node.SetOrientation("Axial")


@pytest.mark.parametrize("what", ["image and segmentation", "segmentation", "image"])
def test_parent_transforms_of_image_and_segmentation_count(makeStage, addTransform, what):
    """Whichever lies under the transform, the mask comes to be where the user pointed, in the image's own voxels."""
    stage = makeStage(OBLIQUE)
    transform = addTransform(MOVED).GetID()
    if "image" in what:
        stage.volumeNode.SetAndObserveTransformNodeID(transform)
        stage.grid = moved(OBLIQUE)
    if "segmentation" in what:
        stage.segmentationNode.SetAndObserveTransformNodeID(transform)
    else:
        stage.segmentationNode.SetAndObserveTransformNodeID(None)
    if what != "image and segmentation":  # the geometry that the user would specify for it
        toParent = SceneBridge.gridOf(stage.volumeNode).ijk_to_ras
        if what == "segmentation":
            toParent = np.linalg.inv(MOVED) @ toParent
        image = slicer.vtkOrientedImageData()
        image.SetImageToWorldMatrix(vtkMatrix(toParent))
        image.SetExtent(0, OBLIQUE.shape_kji[2] - 1, 0, OBLIQUE.shape_kji[1] - 1, 0, OBLIQUE.shape_kji[0] - 1)
        converter = slicer.vtkSegmentationConverter
        stage.segmentationNode.GetSegmentation().SetConversionParameter(
            converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(image)
        )
    slice_views.show(stage.volumeNode, stage.point_ras(POINT))
    stage.begin()
    stage.click(POINT)
    assert stage.prompts == [Click(POINT)]
    mask = maskByPoints(stage.segmentationNode, stage.ids[0], stage.volumeNode)
    assert np.array_equal(mask, block(POINT, shape=OBLIQUE.shape_kji))
    stage.click(POINT, control=True)
    assert not maskByPoints(stage.segmentationNode, stage.ids[0], stage.volumeNode).any()
    stage.undo()
    assert stage.prompts == [Click(POINT)]


def test_a_segmentation_finer_than_the_image_keeps_its_masks(makeStage):
    stage = makeStage(Grid.from_spacing((20, 20, 20), (2.0, 2.0, 2.0)))
    fine = slicer.vtkOrientedImageData()
    matrix = np.diag([1.0, 1.0, 1.0, 1.0])
    matrix[:3, 3] = -0.5
    fine.SetImageToWorldMatrix(vtkMatrix(matrix))
    fine.SetExtent(0, 39, 0, 39, 0, 39)
    converter = slicer.vtkSegmentationConverter
    stage.segmentationNode.GetSegmentation().SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(fine)
    )
    stage.begin()
    stage.click((10, 10, 10))
    assert stage.prompts == [Click((10, 10, 10))]
    labelmap = stage.segmentationNode.GetBinaryLabelmapInternalRepresentation(stage.ids[0])
    assert slicer.util.arrayFromSegmentInternalBinaryLabelmap(stage.segmentationNode, stage.ids[0]).sum() == 8 * 125
    assert labelmap.GetSpacing() == (1.0, 1.0, 1.0)
    stage.click((14, 14, 14))
    assert len(stage.prompts) == 2  # and no edit between them
    stage.undo()
    assert stage.prompts == [Click((10, 10, 10))]


def test_a_segmentation_coarser_than_the_image_is_a_sentence(makeStage):
    stage = makeStage()
    coarse = slicer.vtkOrientedImageData()
    coarse.SetImageToWorldMatrix(vtkMatrix(np.diag([3.0, 3.0, 3.0, 1.0])))
    coarse.SetExtent(0, 9, 0, 9, 0, 9)
    converter = slicer.vtkSegmentationConverter
    stage.segmentationNode.GetSegmentation().SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(coarse)
    )
    stage.begin()
    stage.click((15, 15, 15))
    assert "coarser" in stage.text("MemSegNoticeText")
    assert not stage.editor.logic.CanUndo()
    assert stage.prompts == [] and stage.state.memoryCount == 0  # the session is as it was, too


def test_a_reference_geometry_smaller_than_the_image_bounds_the_mask(makeStage):
    stage = makeStage()
    small = slicer.vtkOrientedImageData()
    small.SetExtent(0, 29, 0, 29, 0, 15)  # up to k = 15
    converter = slicer.vtkSegmentationConverter
    stage.segmentationNode.GetSegmentation().SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(small)
    )
    stage.begin()
    stage.click((15, 15, 15))
    expected = block((15, 15, 15))
    expected[16:] = 0
    assert np.array_equal(stage.mask(), expected)
    stage.click((5, 5, 5))
    assert [prompt.kind for prompt in stage.prompts] == ["click", "click"]


def test_the_view_may_be_zoomed_and_panned(makeStage):
    stage: Stage = makeStage().begin()
    widget = slicer.app.layoutManager().sliceWidget("Red")
    node = widget.mrmlSliceNode()
    node.SetFieldOfView(11.0, 11.0, node.GetFieldOfView()[2])
    node.SetXYZOrigin(2.0, -1.0, 0.0)
    stage.click((15, 15, 15))
    assert stage.prompts == [Click((15, 15, 15))]
    node.SetXYZOrigin(0.0, 0.0, 0.0)
