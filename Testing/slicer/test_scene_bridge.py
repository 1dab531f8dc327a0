"""Voxels between MRML and the engine. What a segment holds is read back with Slicer's own functions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import slicer
import vtk
from fakes import box_mask, turned_grid
from scenes import editAsSlicerDoes, maskByPoints, slicersMask, vtkMatrix

from memseg.errors import GeometryError, SessionError, VolumeError
from memseg.geometry import Box, Grid
from memseg.volume import MaskChange
from MemSegSlicerLib import SceneBridge

pytestmark = pytest.mark.slicer

LABELMAP = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
SURFACE = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
GRID = turned_grid()
SHAPE = GRID.shape_kji


def changeTo(mask: np.ndarray, before: np.ndarray | None = None) -> MaskChange:
    before = np.zeros_like(mask) if before is None else before
    return MaskChange.between(before, Box.of_shape(mask.shape), mask)


def labelmapOf(segmentationNode, segmentId: str) -> slicer.vtkOrientedImageData:
    return segmentationNode.GetSegmentation().GetSegment(segmentId).GetRepresentation(LABELMAP)


@pytest.fixture
def volumeNode(addVolume):
    return addVolume(GRID)


@pytest.fixture
def segmentationNode(scene, volumeNode):
    return SceneBridge.newSegmentation(scene, volumeNode)


BLOCK = box_mask(SHAPE, Box((4, 5, 6), (8, 12, 15)))
NEIGHBOUR = box_mask(SHAPE, Box((6, 10, 10), (11, 16, 20)))


class TestVolumes:
    def test_a_volume_node_keeps_its_oblique_grid_and_its_voxels_in_place(self, volumeNode):
        volume = SceneBridge.volumeFromNode(volumeNode)
        assert volume.grid.same_as(GRID, 1e-9)
        assert np.shares_memory(volume.array_kji, slicer.util.arrayFromVolume(volumeNode))

    def test_linear_parent_transforms_are_folded_into_the_grid(self, volumeNode, addTransform):
        outer, inner = np.eye(4), np.eye(4)
        outer[:3, 3] = (10, 20, 30)
        inner[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # a quarter turn about S: R becomes A
        outerNode, innerNode = addTransform(outer), addTransform(inner)
        innerNode.SetAndObserveTransformNodeID(outerNode.GetID())
        volumeNode.SetAndObserveTransformNodeID(innerNode.GetID())
        first = SceneBridge.volumeFromNode(volumeNode).grid.ras_from_kji(np.array([0, 0, 0]))
        assert first == pytest.approx((34 + 10, 12 + 20, 56 + 30))  # (12, -34, 56) turned, then shifted

    def test_a_transform_that_bends_the_image_is_refused(self, scene, volumeNode):
        node = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
        grid = vtk.vtkThinPlateSplineTransform()
        source, target = vtk.vtkPoints(), vtk.vtkPoints()
        for point in ((0, 0, 0), (10, 0, 0), (0, 10, 0), (0, 0, 10)):
            source.InsertNextPoint(point)
            target.InsertNextPoint(point[0] + point[0] * point[0] / 20, point[1], point[2])
        grid.SetSourceLandmarks(source)
        grid.SetTargetLandmarks(target)
        grid.SetBasisToR()
        node.SetAndObserveTransformToParent(grid)
        volumeNode.SetAndObserveTransformNodeID(node.GetID())
        with pytest.raises(GeometryError, match="harden"):
            SceneBridge.volumeFromNode(volumeNode)

    def test_a_transform_that_shears_the_image_is_refused(self, volumeNode, addTransform):
        shear = np.eye(4)
        shear[0, 2] = 0.3
        volumeNode.SetAndObserveTransformNodeID(addTransform(shear).GetID())
        with pytest.raises(GeometryError, match="right angles"):
            SceneBridge.volumeFromNode(volumeNode)

    @pytest.mark.parametrize(("components", "words"), [(3, "colour"), (4, "colour"), (2, "2 time points or channels")])
    def test_images_of_several_components_are_refused(self, scene, components, words):
        node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
        image = vtk.vtkImageData()
        image.SetDimensions(4, 4, 4)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, components)
        node.SetAndObserveImageData(image)
        with pytest.raises(VolumeError, match=words):
            SceneBridge.volumeFromNode(node)

    def test_a_volume_node_without_an_image_is_refused(self, scene):
        with pytest.raises(VolumeError, match="holds no image"):
            SceneBridge.volumeFromNode(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"))

    def test_the_voxel_stamp_changes_with_the_voxels_and_not_with_a_transform(self, volumeNode, addTransform):
        stamp = SceneBridge.voxelStamp(volumeNode)
        volumeNode.SetAndObserveTransformNodeID(addTransform(np.eye(4)).GetID())
        assert SceneBridge.voxelStamp(volumeNode) == stamp
        slicer.util.arrayFromVolume(volumeNode)[0, 0, 0] = 7
        slicer.util.arrayFromVolumeModified(volumeNode)
        assert SceneBridge.voxelStamp(volumeNode) != stamp


MIRRORED = Grid(SHAPE, GRID.ijk_to_ras @ np.diag([1.0, -1.0, 1.0, 1.0]))  # a left-handed grid


class TestLeftHandedImages:
    """Slicer turns such an image round when a saved scene is opened again, so it is seen so from the start."""

    def test_every_value_lies_where_it_lies_in_the_world(self, addVolume):
        node = addVolume(MIRRORED)
        volume = SceneBridge.volumeFromNode(node)
        assert np.linalg.det(volume.grid.ijk_to_ras[:3, :3]) > 0
        assert np.shares_memory(volume.array_kji, slicer.util.arrayFromVolume(node))
        for kji in ((0, 0, 0), (3, 4, 5), (19, 23, 27)):
            ras = MIRRORED.ras_from_kji(np.array(kji))
            there = tuple(np.rint(volume.grid.kji_from_ras(ras)).astype(int))
            assert volume.array_kji[there] == slicer.util.arrayFromVolume(node)[kji]

    def test_a_mask_is_the_one_slicer_reads_turned_round(self, scene, addVolume):
        node = addVolume(MIRRORED)
        segmentation = SceneBridge.newSegmentation(scene, node)
        segmentId = SceneBridge.addSegment(segmentation, "liver")
        SceneBridge.writeChange(segmentation, segmentId, node, changeTo(BLOCK))
        assert np.array_equal(slicersMask(segmentation, segmentId, node), BLOCK[::-1])
        assert np.array_equal(SceneBridge.maskFromSegment(segmentation, segmentId, node), BLOCK)

    def test_a_mirroring_parent_transform_is_not_the_images_own(self, addVolume, addTransform):
        node = addVolume(GRID)
        node.SetAndObserveTransformNodeID(addTransform(np.diag([-1.0, 1.0, 1.0, 1.0])).GetID())
        assert np.array_equal(SceneBridge.arrayOf(node), slicer.util.arrayFromVolume(node))


class TestWritingIntoASegment:
    def test_a_mask_written_by_its_change_is_the_mask_slicer_reads(self, volumeNode, segmentationNode):
        segmentId = SceneBridge.addSegment(segmentationNode, "liver")
        SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK))
        assert np.array_equal(slicersMask(segmentationNode, segmentId, volumeNode), BLOCK)
        assert np.array_equal(SceneBridge.maskFromSegment(segmentationNode, segmentId, volumeNode), BLOCK)

    def test_writing_the_inverse_empties_the_segment(self, volumeNode, segmentationNode):
        segmentId = SceneBridge.addSegment(segmentationNode, "liver")
        SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK))
        SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK).inverse)
        assert not slicersMask(segmentationNode, segmentId, volumeNode).any()

    def test_a_mask_grows_past_its_labelmap_to_the_corners_of_the_volume(self, volumeNode, segmentationNode):
        segmentId = SceneBridge.addSegment(segmentationNode, "liver")
        mask = np.zeros(SHAPE, np.uint8)
        for corner in ((10, 12, 14), (0, 0, 0), (-1, -1, -1), (0, -1, 0)):
            before = mask.copy()
            mask[corner] = 1
            SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(mask, before))
        assert np.array_equal(slicersMask(segmentationNode, segmentId, volumeNode), mask)

    def test_voxels_painted_by_hand_outside_the_change_stay(self, volumeNode, segmentationNode):
        segmentId = SceneBridge.addSegment(segmentationNode, "liver")
        editAsSlicerDoes(segmentationNode, segmentId, volumeNode, NEIGHBOUR)
        SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK))
        assert np.array_equal(slicersMask(segmentationNode, segmentId, volumeNode), BLOCK | NEIGHBOUR)

    def test_the_labelmap_holds_the_region_worked_on_and_not_the_volume(self, addVolume, scene):
        big = addVolume(Grid.from_spacing((60, 200, 200), (1, 1, 1)))
        node = SceneBridge.newSegmentation(scene, big)
        segmentId = SceneBridge.addSegment(node, "liver")
        mask = box_mask((60, 200, 200), Box((20, 50, 50), (30, 70, 70)))
        SceneBridge.writeChange(node, segmentId, big, changeTo(mask))
        assert labelmapOf(node, segmentId).GetNumberOfPoints() < 4 * 10 * 20 * 20

    def test_views_are_told_which_segment_changed(self, volumeNode, segmentationNode):
        first, second = (SceneBridge.addSegment(segmentationNode, name) for name in ("liver", "spleen"))
        told = []

        @vtk.calldata_type(vtk.VTK_STRING)
        def listen(_node, _event, segmentId):
            told.append(segmentId)

        segmentationNode.AddObserver(slicer.vtkSegmentation.SourceRepresentationModified, listen)
        SceneBridge.writeChange(segmentationNode, second, volumeNode, changeTo(BLOCK))
        assert told == [second]
        SceneBridge.writeChange(segmentationNode, first, volumeNode, MaskChange.nothing())
        assert told == [second]

    def test_closed_surfaces_outlive_a_change_and_are_made_again_when_asked_for(self, volumeNode, segmentationNode):
        first, second = (SceneBridge.addSegment(segmentationNode, name) for name in ("liver", "spleen"))
        SceneBridge.writeChange(segmentationNode, first, volumeNode, changeTo(BLOCK))
        SceneBridge.writeChange(segmentationNode, second, volumeNode, changeTo(NEIGHBOUR))
        segmentationNode.CreateClosedSurfaceRepresentation()
        segmentation = segmentationNode.GetSegmentation()
        before = [segmentation.GetSegment(name).GetRepresentation(SURFACE).GetBounds() for name in (first, second)]
        everywhere = np.ones(SHAPE, np.uint8)
        SceneBridge.writeChange(segmentationNode, first, volumeNode, changeTo(everywhere, BLOCK))
        assert segmentation.GetSegment(second).GetRepresentation(SURFACE).GetBounds() == before[1]
        SceneBridge.refreshSurface(segmentationNode, first)
        bounds = segmentation.GetSegment(first).GetRepresentation(SURFACE).GetBounds()
        assert bounds[0] < before[0][0] - 2 and bounds[5] > before[0][5] + 2
        assert segmentation.GetSegment(second).GetRepresentation(SURFACE).GetBounds() == before[1]

    def test_a_segment_without_a_surface_is_not_given_one(self, volumeNode, segmentationNode):
        segmentId = SceneBridge.addSegment(segmentationNode, "liver")
        SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK))
        SceneBridge.refreshSurface(segmentationNode, segmentId)
        assert not SceneBridge.hasSurface(segmentationNode, segmentId)


class TestSharedLabelmaps:
    @pytest.fixture
    def two(self, volumeNode, segmentationNode) -> tuple[str, str]:
        """Two segments that touch, on one labelmap."""
        first, second = (SceneBridge.addSegment(segmentationNode, name) for name in ("liver", "spleen"))
        SceneBridge.writeChange(segmentationNode, first, volumeNode, changeTo(BLOCK))
        apart = NEIGHBOUR & ~BLOCK
        SceneBridge.writeChange(segmentationNode, second, volumeNode, changeTo(apart))
        assert labelmapOf(segmentationNode, first) is labelmapOf(segmentationNode, second)
        assert np.array_equal(slicersMask(segmentationNode, first, volumeNode), BLOCK)
        return first, second

    def test_growing_into_a_neighbour_leaves_the_neighbour_whole(self, volumeNode, segmentationNode, two):
        first, second = two
        grown = np.ones(SHAPE, np.uint8)
        SceneBridge.writeChange(segmentationNode, first, volumeNode, changeTo(grown, BLOCK))
        assert np.array_equal(slicersMask(segmentationNode, second, volumeNode), NEIGHBOUR & ~BLOCK)
        assert np.array_equal(slicersMask(segmentationNode, first, volumeNode), grown)
        assert segmentationNode.GetSegmentation().GetNumberOfLayers() == 2

    def test_the_segment_that_moves_away_leaves_nothing_behind(self, volumeNode, segmentationNode, two):
        first, second = two
        shared = labelmapOf(segmentationNode, second)
        label = segmentationNode.GetSegmentation().GetSegment(second).GetLabelValue()
        apart = NEIGHBOUR & ~BLOCK
        SceneBridge.writeChange(segmentationNode, second, volumeNode, changeTo(NEIGHBOUR, apart))
        assert np.array_equal(slicersMask(segmentationNode, second, volumeNode), NEIGHBOUR)
        assert np.array_equal(slicersMask(segmentationNode, first, volumeNode), BLOCK)
        assert labelmapOf(segmentationNode, first) is shared
        assert labelmapOf(segmentationNode, second) is not shared
        assert label not in slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentationNode, first)

    def test_clearing_where_a_neighbour_lies_leaves_the_neighbour_whole(self, volumeNode, segmentationNode, two):
        first, second = two
        everywhere = np.ones(SHAPE, np.uint8)
        SceneBridge.writeChange(segmentationNode, first, volumeNode, changeTo(everywhere * 0, everywhere))
        assert np.array_equal(slicersMask(segmentationNode, second, volumeNode), NEIGHBOUR & ~BLOCK)
        assert not slicersMask(segmentationNode, first, volumeNode).any()

    def test_a_labelmap_that_grows_stays_shared(self, volumeNode, segmentationNode, two):
        first, second = two
        wider = BLOCK.copy()
        wider[0, 0, 0] = 1
        SceneBridge.writeChange(segmentationNode, first, volumeNode, changeTo(wider, BLOCK))
        assert labelmapOf(segmentationNode, first) is labelmapOf(segmentationNode, second)
        assert np.array_equal(slicersMask(segmentationNode, second, volumeNode), NEIGHBOUR & ~BLOCK)
        assert np.array_equal(slicersMask(segmentationNode, first, volumeNode), wider)

    def test_three_hundred_segments_find_room_for_their_labels(self, volumeNode, segmentationNode):
        names = [SceneBridge.addSegment(segmentationNode, f"part {number}") for number in range(300)]
        for number in (0, 254, 255, 256, 299):
            mask = np.zeros(SHAPE, np.uint8)
            mask.flat[number] = 1
            SceneBridge.writeChange(segmentationNode, names[number], volumeNode, changeTo(mask))
        for number in (0, 254, 255, 256, 299):
            assert np.flatnonzero(slicersMask(segmentationNode, names[number], volumeNode)).tolist() == [number]


class TestOtherGeometries:
    def lattice(self, segmentationNode, segmentId: str, matrix: np.ndarray, extent: list[int]) -> None:
        """Give the segment an empty labelmap of this geometry."""
        labelmap = slicer.vtkOrientedImageData()
        labelmap.SetImageToWorldMatrix(vtkMatrix(matrix))
        labelmap.SetExtent(extent)
        labelmap.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        labelmap.GetPointData().GetScalars().Fill(0)
        segmentationNode.GetSegmentation().GetSegment(segmentId).AddRepresentation(LABELMAP, labelmap)

    def roundTrip(self, segmentationNode, segmentId: str, volumeNode) -> np.ndarray:
        SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK))
        return SceneBridge.maskFromSegment(segmentationNode, segmentId, volumeNode)

    @pytest.fixture
    def segmentId(self, segmentationNode) -> str:
        return SceneBridge.addSegment(segmentationNode, "liver")

    def test_a_cropped_labelmap_takes_the_mask_and_grows(self, volumeNode, segmentationNode, segmentId):
        cropped = GRID.ijk_to_ras.copy()
        cropped[:3, 3] = GRID.ras_from_kji(np.array([5, 6, 7]))  # its voxel 0 is the volume's (5, 6, 7)
        self.lattice(segmentationNode, segmentId, cropped, [0, 3, 0, 3, 0, 3])
        assert np.array_equal(self.roundTrip(segmentationNode, segmentId, volumeNode), BLOCK)
        assert np.array_equal(slicersMask(segmentationNode, segmentId, volumeNode), BLOCK)

    @pytest.mark.parametrize("factor", [2, 3, 1.5])
    def test_an_oversampled_labelmap_takes_the_mask(self, volumeNode, segmentationNode, segmentId, factor):
        fine = GRID.ijk_to_ras.copy()
        fine[:3, :3] /= factor
        fine[:3, 3] = GRID.ras_from_kji(np.full(3, -0.5 + 0.5 / factor))  # the same corner of the volume
        self.lattice(segmentationNode, segmentId, fine, [0, 9, 0, 9, 0, 9])
        assert np.array_equal(self.roundTrip(segmentationNode, segmentId, volumeNode), BLOCK)
        voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentationNode, segmentId)
        if factor != 1.5:
            assert voxels.sum() == BLOCK.sum() * factor**3
        SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK).inverse)
        assert not voxels.any()

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    @pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
    def test_axes_in_another_order_and_direction_take_the_mask(
        self, volumeNode, segmentationNode, segmentId, order, signs
    ):
        swap = np.zeros((4, 4))
        swap[[*order, 3], range(4)] = (*signs, 1)
        swap[:3, 3] = (3, -2, 40)
        self.lattice(segmentationNode, segmentId, GRID.ijk_to_ras @ swap, [0, 3, 0, 3, 0, 3])
        assert np.array_equal(self.roundTrip(segmentationNode, segmentId, volumeNode), BLOCK)
        assert np.array_equal(slicersMask(segmentationNode, segmentId, volumeNode), BLOCK)

    def test_a_rotated_but_finer_labelmap_takes_the_mask(self, volumeNode, segmentationNode, segmentId):
        self.lattice(segmentationNode, segmentId, np.diag([0.25, 0.25, 0.5, 1]), [0, 3, 0, 3, 0, 3])
        assert np.array_equal(self.roundTrip(segmentationNode, segmentId, volumeNode), BLOCK)

    @pytest.mark.parametrize("spacing", [0.65, 0.9, 4.0])
    def test_a_rotated_or_coarser_labelmap_is_refused_and_left_alone(
        self, volumeNode, segmentationNode, segmentId, spacing
    ):
        self.lattice(segmentationNode, segmentId, np.diag([spacing, spacing, spacing, 1]), [0, 3, 0, 3, 0, 3])
        with pytest.raises(GeometryError, match="Specify Geometry"):
            SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK))
        with pytest.raises(GeometryError, match="Specify Geometry"):
            SceneBridge.maskFromSegment(segmentationNode, segmentId, volumeNode)
        assert not slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentationNode, segmentId).any()

    def test_the_geometry_a_user_specified_is_used_for_the_first_voxels(self, volumeNode, segmentationNode, segmentId):
        fine = slicer.vtkOrientedImageData()
        matrix = GRID.ijk_to_ras.copy()
        matrix[:3, :3] /= 2
        fine.SetImageToWorldMatrix(vtkMatrix(matrix))
        fine.SetExtent(0, 55, 0, 47, 0, 39)
        segmentationNode.GetSegmentation().SetConversionParameter(
            slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(),
            slicer.vtkSegmentationConverter.SerializeImageGeometry(fine),
        )
        assert np.array_equal(self.roundTrip(segmentationNode, segmentId, volumeNode), BLOCK)
        assert labelmapOf(segmentationNode, segmentId).GetSpacing() == pytest.approx((0.35, 0.45, 1.25))

    def test_an_empty_segmentation_made_for_another_image_takes_this_ones_geometry(self, scene, addVolume, volumeNode):
        other = addVolume(Grid.from_spacing((5, 5, 5), (9, 9, 9)), name="other")
        node = SceneBridge.newSegmentation(scene, other)
        segmentId = SceneBridge.addSegment(node, "liver")
        assert np.array_equal(self.roundTrip(node, segmentId, volumeNode), BLOCK)
        assert labelmapOf(node, segmentId).GetSpacing() == pytest.approx((0.7, 0.9, 2.5))

    def test_an_empty_segment_beside_ones_of_a_foreign_geometry_does_not_mix_geometries(
        self, scene, addVolume, volumeNode
    ):
        coarse = addVolume(Grid.from_spacing((5, 5, 5), (9, 9, 9)), name="other")
        node = SceneBridge.newSegmentation(scene, coarse)
        full, empty = (SceneBridge.addSegment(node, name) for name in ("liver", "spleen"))
        SceneBridge.writeChange(node, full, coarse, changeTo(box_mask((5, 5, 5), Box((1, 1, 1), (3, 3, 3)))))
        node.GetSegmentation().GetSegment(empty).AddRepresentation(LABELMAP, slicer.vtkOrientedImageData())
        with pytest.raises(GeometryError, match="Specify Geometry"):
            SceneBridge.writeChange(node, empty, volumeNode, changeTo(BLOCK))

    @pytest.mark.parametrize("moved", ["volume", "segmentation", "both apart", "both together"])
    def test_parent_transforms_of_volume_and_segmentation_both_count(
        self, volumeNode, segmentationNode, segmentId, addTransform, moved
    ):
        shift, turn = np.eye(4), np.eye(4)
        shift[:3, 3] = (5, -3, 8)
        turn[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
        transforms = {"volume": (turn, None), "segmentation": (None, turn), "both apart": (turn, shift)}
        volumes, segmentations = transforms.get(moved, (turn, turn))
        if volumes is not None:
            volumeNode.SetAndObserveTransformNodeID(addTransform(volumes).GetID())
        if segmentations is not None:
            segmentationNode.SetAndObserveTransformNodeID(addTransform(segmentations).GetID())
        assert np.array_equal(self.roundTrip(segmentationNode, segmentId, volumeNode), BLOCK)
        assert np.array_equal(maskByPoints(segmentationNode, segmentId, volumeNode), BLOCK)

    def test_a_segmentation_under_a_bending_transform_is_refused(self, scene, volumeNode, segmentationNode, segmentId):
        spline = vtk.vtkThinPlateSplineTransform()
        source, target = vtk.vtkPoints(), vtk.vtkPoints()
        for point in ((0, 0, 0), (10, 0, 0), (0, 10, 0), (0, 0, 10), (20, 0, 0)):
            source.InsertNextPoint(point)
            target.InsertNextPoint(point[0] + point[0] * point[0] / 20, point[1], point[2])
        spline.SetSourceLandmarks(source)
        spline.SetTargetLandmarks(target)
        node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
        node.SetAndObserveTransformToParent(spline)
        segmentationNode.SetAndObserveTransformNodeID(node.GetID())
        with pytest.raises(GeometryError, match="The segmentation lies under a transform that bends it"):
            SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK))


class TestSegmentsThatCannotBeUsed:
    def test_a_segment_that_is_gone_is_refused(self, volumeNode, segmentationNode):
        segmentId = SceneBridge.addSegment(segmentationNode, "liver")
        segmentationNode.GetSegmentation().RemoveSegment(segmentId)
        with pytest.raises(SessionError, match="no longer exists"):
            SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK))

    def test_a_segmentation_made_of_surfaces_is_refused(self, volumeNode, segmentationNode):
        segmentId = SceneBridge.addSegment(segmentationNode, "liver")
        SceneBridge.writeChange(segmentationNode, segmentId, volumeNode, changeTo(BLOCK))
        segmentationNode.CreateClosedSurfaceRepresentation()
        segmentationNode.SetSourceRepresentationToClosedSurface()
        with pytest.raises(SessionError, match="made of surfaces"):
            SceneBridge.maskFromSegment(segmentationNode, segmentId, volumeNode)
