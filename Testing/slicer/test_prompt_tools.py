"""What is done in a view, in world RAS mm, as prompts in voxels; expected voxels worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from fakes import turned_grid
from scenes import vtkMatrix

from memseg.errors import PromptError
from memseg.geometry import Grid
from memseg.prompts import BoxPrompt, Click, Lasso, MaskPrompt, Scribble, Text
from memseg.volume import Volume
from MemSegSlicerLib import PromptTools, SceneBridge

pytestmark = pytest.mark.slicer


def volumeOn(grid: Grid) -> Volume:
    return Volume(np.arange(np.prod(grid.shape_kji), dtype=np.int32).reshape(grid.shape_kji), grid)


# i runs to the left (-R) in steps of 2 mm, j to the back (-A) in steps of 1 mm, k up in steps of 4 mm
LPS = np.array([[-2.0, 0, 0, 100], [0, -1, 0, 50], [0, 0, 4, -20], [0, 0, 0, 1]])
SHAPE = (10, 20, 30)
STRAIGHT = volumeOn(Grid(SHAPE, LPS))
TURNED = volumeOn(turned_grid(SHAPE))


class TestClicks:
    def test_a_world_point_is_the_voxel_nearest_to_it(self):
        # R 81 -> i 9.5 -> 10; A 46.6 -> j 3.4 -> 3; S 1.9 -> k 5.475 -> 5
        assert PromptTools.clickFromRas(STRAIGHT, (81, 46.6, 1.9)) == Click((5, 3, 10), positive=True)

    def test_a_negative_click_stays_negative(self):
        assert PromptTools.clickFromRas(STRAIGHT, (100, 50, -20), positive=False) == Click((0, 0, 0), positive=False)

    @pytest.mark.parametrize("point", [(101.1, 50, -20), (41, 50, -20), (100, 50.6, -20), (100, 50, 18.1)])
    def test_a_point_just_outside_is_refused(self, point):
        with pytest.raises(PromptError, match="outside the volume"):
            PromptTools.clickFromRas(STRAIGHT, point)

    @pytest.mark.parametrize("point", [(np.nan, 0, 0), (0, np.inf, 0), (1, 2)])
    def test_what_is_not_a_point_is_refused(self, point):
        with pytest.raises(PromptError, match="not a point in the image"):
            PromptTools.clickFromRas(STRAIGHT, point)

    def test_on_an_oblique_volume_every_voxel_is_found_again(self):
        for kji in ((0, 0, 0), (9, 19, 29), (4, 7, 21)):
            ras = TURNED.grid.ras_from_kji(np.array(kji) + 0.3)
            assert PromptTools.clickFromRas(TURNED, ras).point_kji == kji

    def test_a_parent_transform_moves_the_clicks_along(self, addVolume, addTransform):
        node = addVolume(Grid(SHAPE, LPS))
        shift = np.eye(4)
        shift[:3, 3] = (7, 0, 0)
        node.SetAndObserveTransformNodeID(addTransform(shift).GetID())
        volume = SceneBridge.volumeFromNode(node)
        assert PromptTools.clickFromRas(volume, (88, 46.6, 1.9)).point_kji == (5, 3, 10)


class TestBoxes:
    def test_opposite_corners_in_any_order_give_the_box_of_all_voxels_between(self):
        expected = BoxPrompt((2, 5, 10), (5, 9, 16))  # voxels 2..4, 5..8, 10..15
        corners = (100 - 2 * 10, 50 - 8, -20 + 4 * 4), (100 - 2 * 15, 50 - 5, -20 + 4 * 2)
        assert PromptTools.boxFromRas(STRAIGHT, *corners) == expected
        assert PromptTools.boxFromRas(STRAIGHT, *reversed(corners)) == expected

    @pytest.mark.parametrize(
        ("normal", "axis", "flat"), [((0, 0, 1), "k", 3), ((0, -2, 0.1), "j", 7), ((1, 0.1, 0), "i", 13)]
    )
    def test_a_box_drawn_on_a_slice_is_one_voxel_thick(self, normal, axis, flat):
        prompt = PromptTools.boxFromRas(STRAIGHT, (80, 45, -12), (70, 42, -4), positive=False, flatNormalRas=normal)
        assert prompt.flat_axis == axis and not prompt.positive
        assert prompt.start_kji["kji".index(axis)] == flat

    def test_a_box_on_a_slice_far_from_the_images_axes_is_refused(self):
        with pytest.raises(PromptError, match="tilted"):
            PromptTools.boxFromRas(STRAIGHT, (80, 45, -12), (70, 42, -4), flatNormalRas=(1, 1, 0))

    def test_a_world_axis_slice_of_a_slightly_turned_image_still_counts_as_flat(self):
        a, b = TURNED.grid.ras_from_kji(np.array([[4, 5, 6], [4, 12, 20]]))
        normal = TURNED.grid.ijk_to_ras[:3, 2] + (0.3, 0.2, 0)
        assert PromptTools.boxFromRas(TURNED, a, b, flatNormalRas=normal).flat_axis == "k"

    def test_a_box_beside_the_image_is_refused(self):
        with pytest.raises(PromptError, match="outside the volume"):
            PromptTools.boxFromRas(STRAIGHT, (200, 45, -12), (190, 42, -4))


class TestStrokes:
    def test_a_scribble_keeps_its_points_between_the_voxels(self):
        prompt = PromptTools.scribbleFromRas(STRAIGHT, [(81, 46.5, -20), (60, 46.5, -18)], False, 2.5)
        assert prompt == Scribble(((0, 3.5, 9.5), (0.5, 3.5, 20)), positive=False, radius_mm=2.5)

    def test_a_lasso_closes_itself(self):
        points = [(80, 45, -12), (60, 45, -12), (60, 35, -12), (80, 45, -12)]
        assert PromptTools.lassoFromRas(STRAIGHT, points) == Lasso(((2, 5, 10), (2, 5, 20), (2, 15, 20)))

    def test_an_empty_stroke_is_refused(self):
        with pytest.raises(PromptError, match="holds no points"):
            PromptTools.scribbleFromRas(STRAIGHT, [])

    def test_a_stroke_beside_the_image_is_refused(self):
        with pytest.raises(PromptError, match="outside the volume"):
            PromptTools.scribbleFromRas(STRAIGHT, [(300, 0, 0), (310, 0, 0)])


class TestMarkups:
    def test_each_fiducial_is_a_click(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
        for point in ((81, 46.6, 1.9), (100, 50, -20)):
            node.AddControlPointWorld(vtk.vtkVector3d(*point))
        clicks = PromptTools.clicksFromFiducials(STRAIGHT, node, positive=False)
        assert clicks == (Click((5, 3, 10), False), Click((0, 0, 0), False))

    def test_points_that_are_not_placed_yet_are_left_out(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
        node.AddControlPointWorld(vtk.vtkVector3d(100, 50, -20))
        node.AddControlPointWorld(vtk.vtkVector3d(90, 50, -20))
        node.UnsetNthControlPointPosition(1)
        assert PromptTools.clicksFromFiducials(STRAIGHT, node) == (Click((0, 0, 0)),)

    def test_fiducials_under_a_transform_count_where_they_are_seen(self, scene, addTransform):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
        node.AddControlPoint(vtk.vtkVector3d(93, 50, -20))
        shift = np.eye(4)
        shift[:3, 3] = (7, 0, 0)
        node.SetAndObserveTransformNodeID(addTransform(shift).GetID())
        assert PromptTools.clicksFromFiducials(STRAIGHT, node) == (Click((0, 0, 0)),)

    def test_a_straight_roi_is_the_box_it_frames(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
        node.SetCenter(75, 43, -8)  # i 12.5, j 7, k 3
        node.SetSize(9.8, 5.8, 7.8)  # i 10.05..14.95, j 4.1..9.9, k 2.025..3.975
        assert PromptTools.boxFromRoi(STRAIGHT, node) == BoxPrompt((2, 4, 10), (5, 11, 16))

    def test_a_turned_roi_is_framed_by_its_box_and_cut_at_the_border(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
        node.SetSize(20, 2, 2)
        turn = np.eye(4)
        turn[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # its long side lies along A now
        turn[:3, 3] = (80, 45, -20)
        node.SetAndObserveObjectToNodeMatrix(vtkMatrix(turn))
        prompt = PromptTools.boxFromRoi(STRAIGHT, node)
        assert (prompt.start_kji, prompt.stop_kji) == ((0, 0, 10), (1, 16, 12))  # A 35..55 is j -5..15

    def test_an_roi_without_size_is_refused(self, scene):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
        node.SetSize(0, 0, 0)
        with pytest.raises(PromptError, match="empty"):
            PromptTools.boxFromRoi(STRAIGHT, node)

    def test_a_closed_curve_is_a_lasso_and_an_open_one_a_scribble(self, scene):
        lasso = self.curve(scene, "vtkMRMLMarkupsClosedCurveNode")
        prompt = PromptTools.lassoFromCurve(STRAIGHT, lasso)
        points = np.array(prompt.points_kji)
        assert len(points) > 20 and np.allclose(points[:, 0], 2)
        scribble = PromptTools.scribbleFromCurve(STRAIGHT, self.curve(scene, "vtkMRMLMarkupsCurveNode"), True, 3.0)
        assert scribble.points_kji[0] == pytest.approx((2, 5, 10)) and scribble.radius_mm == 3.0

    def test_an_empty_curve_is_refused(self, scene):
        with pytest.raises(PromptError, match="no points"):
            PromptTools.lassoFromCurve(STRAIGHT, scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode"))

    def curve(self, scene, className: str) -> slicer.vtkMRMLMarkupsCurveNode:
        node = scene.AddNewNodeByClass(className)
        for point in ((80, 45, -12), (60, 45, -12), (60, 35, -12), (80, 35, -12)):
            node.AddControlPointWorld(vtk.vtkVector3d(*point))
        return node


class TestWhereAPromptIs:
    @pytest.mark.parametrize(
        ("prompt", "kji"),
        [
            (Click((5, 3, 10)), (5, 3, 10)),
            (BoxPrompt((2, 5, 10), (5, 9, 16)), (3, 6.5, 12.5)),
            (Scribble(((0, 0, 0), (1, 2, 3), (9, 9, 9))), (1, 2, 3)),
            (Lasso(((2, 5, 10), (2, 5, 20), (2, 11, 15))), (2, 7, 15)),
        ],
        ids=lambda value: getattr(value, "kind", ""),
    )
    def test_its_middle(self, prompt, kji):
        assert PromptTools.rasOfPrompt(TURNED, prompt) == pytest.approx(tuple(TURNED.grid.ras_from_kji(np.array(kji))))

    def test_a_voxel_of_the_mask_even_where_its_middle_is_hollow(self):
        mask = np.zeros(SHAPE, np.uint8)
        mask[3, 5, 5] = mask[3, 15, 5] = mask[3, 16, 5] = 1
        point = PromptTools.rasOfPrompt(STRAIGHT, MaskPrompt.from_mask(mask))
        assert PromptTools.clickFromRas(STRAIGHT, point).point_kji == (3, 15, 5)

    def test_of_a_large_hollow_mask_the_voxel_nearest_to_its_middle(self):
        mask = np.zeros((160, 160, 160), np.uint8)
        mask[:20] = mask[140:] = 1  # middle at 79.5; sampled, perhaps a little beside it
        mask[60:62, 70:90, 70:90] = 1
        volume = Volume(mask.astype(np.int16), Grid.from_spacing(mask.shape, (1.0, 1.0, 1.0)))
        point = PromptTools.rasOfPrompt(volume, MaskPrompt.from_mask(mask))
        k, j, i = PromptTools.clickFromRas(volume, point).point_kji
        assert k == 61 and 76 <= j <= 83 and 76 <= i <= 83

    @pytest.mark.parametrize("prompt", [Text("liver"), MaskPrompt.from_mask(np.zeros(SHAPE, np.uint8))])
    def test_what_is_nowhere_says_so(self, prompt):
        with pytest.raises(PromptError, match="place"):
            PromptTools.rasOfPrompt(STRAIGHT, prompt)
