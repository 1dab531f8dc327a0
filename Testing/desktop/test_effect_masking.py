"""What the Segment Editor's masking lets through is what changes, and what the session takes for its mask."""

from __future__ import annotations

import numpy as np
import pytest
from effect_stage import Stage
from fakes import box_mask
from pointing import SHAPE, A, B, block

from memseg.geometry import Box
from memseg.prompts import Click

pytestmark = pytest.mark.slicer
LOW_K = box_mask(SHAPE, Box((0, 0, 0), (9, 30, 30)))  # k up to 8: A = (8, 8, 8) lies in it, its block sticks out
AROUND_A = (block(A) != 0) & (LOW_K != 0)
BEYOND_A = (block(A) != 0) & (LOW_K == 0)


def sessionsMask(stage: Stage) -> np.ndarray:
    """What the session itself holds; nothing may be going on."""
    (record,) = (each for key, each in stage.desk.controller._records.items() if key.segmentId == stage.ids[0])
    return record.session.mask_kji


def others(stage: Stage) -> tuple[np.ndarray, np.ndarray]:
    return stage.mask(1), stage.mask(2)


@pytest.fixture
def neighbours(stage):
    """The second segment holds the slices up to k = 8 and is seen; the third holds all behind and is hidden."""
    stage.fill(1, LOW_K)
    stage.fill(2, 1 - LOW_K)
    stage.segmentationNode.GetDisplayNode().SetSegmentVisibility(stage.ids[2], False)
    return stage


class TestEditableArea:
    @pytest.mark.parametrize(
        "mode, maskSegment, expected",
        [
            ("EditAllowedEverywhere", None, block(A) != 0),
            ("EditAllowedInsideAllSegments", None, block(A) != 0),
            ("EditAllowedInsideVisibleSegments", None, AROUND_A),
            ("EditAllowedOutsideAllSegments", None, np.zeros(SHAPE, bool)),
            ("EditAllowedOutsideVisibleSegments", None, BEYOND_A),
            ("EditAllowedInsideSingleSegment", 1, AROUND_A),
            ("EditAllowedInsideSingleSegment", 2, BEYOND_A),
        ],
    )
    def test_a_click_changes_only_what_may_be_edited(self, neighbours, mode, maskSegment, expected):
        stage = neighbours
        stage.node.SetOverwriteMode(stage.node.OverwriteNone)
        stage.node.SetMaskMode(getattr(stage.segmentationNode, mode))
        if maskSegment is not None:
            stage.node.SetMaskSegmentID(stage.ids[maskSegment])
        before = others(stage)
        stage.click(A)
        assert np.array_equal(stage.mask() != 0, expected)
        assert np.array_equal(sessionsMask(stage) != 0, expected)
        assert stage.prompts == [Click(A)] and stage.state.memoryCount == 1  # no edit was taken for a prompt
        for each, then in zip(others(stage), before):
            assert np.array_equal(each, then)

    @pytest.mark.parametrize(
        "mode, left",
        [
            ("EditAllowedEverywhere", np.zeros(SHAPE, bool)),
            ("EditAllowedOutsideAllSegments", AROUND_A),  # where the second segment lies nothing may be edited
            ("EditAllowedInsideAllSegments", np.zeros(SHAPE, bool)),  # the segment itself is one of them
        ],
    )
    def test_a_negative_click_takes_away_only_what_may_be_edited(self, stage, mode, left):
        stage.click(A)
        stage.fill(1, LOW_K)
        stage.node.SetOverwriteMode(stage.node.OverwriteNone)
        stage.node.SetMaskMode(getattr(stage.segmentationNode, mode))
        stage.click(A, control=True)
        assert np.array_equal(stage.mask() != 0, left)
        assert np.array_equal(sessionsMask(stage) != 0, left)
        assert stage.prompts == [Click(A), Click(A, positive=False)]
        assert np.array_equal(stage.mask(1), LOW_K)

    def test_the_next_prompt_starts_from_what_was_let_through(self, neighbours, blocks):
        stage = neighbours
        stage.node.SetOverwriteMode(stage.node.OverwriteNone)
        stage.node.SetMaskMode(stage.segmentationNode.EditAllowedInsideVisibleSegments)
        seen = []
        predict = blocks.predict
        blocks.predict = lambda volume, prompts, mask, memory: (
            seen.append((mask.copy(), len(prompts), len(memory))),
            predict(volume, prompts, mask, memory),
        )[1]
        stage.click(A)
        stage.click((8, 20, 20))
        mask, prompts, memories = seen[-1]
        assert np.array_equal(mask != 0, AROUND_A) and (prompts, memories) == (2, 1)

    def test_undo_and_redo_go_through_what_was_let_through(self, neighbours):
        stage = neighbours
        stage.node.SetOverwriteMode(stage.node.OverwriteNone)
        stage.node.SetMaskMode(stage.segmentationNode.EditAllowedInsideVisibleSegments)
        stage.click(A, (8, 20, 20))
        both = stage.mask()
        stage.undo()
        assert np.array_equal(stage.mask() != 0, AROUND_A) and stage.prompts == [Click(A)]
        assert np.array_equal(sessionsMask(stage) != 0, AROUND_A)
        stage.undo()
        assert not stage.mask().any() and stage.prompts == [] and stage.state.memoryCount == 0
        stage.redo()
        assert stage.prompts == [Click(A)]
        stage.redo()
        assert np.array_equal(stage.mask(), both) and len(stage.prompts) == stage.state.memoryCount == 2

    def test_a_prompt_removed_in_the_panel_respects_the_mask_too(self, neighbours):
        stage = neighbours
        stage.node.SetOverwriteMode(stage.node.OverwriteNone)
        stage.node.SetMaskMode(stage.segmentationNode.EditAllowedInsideVisibleSegments)
        stage.click(A, (8, 20, 20))
        stage.desk.controller.remove(1)
        stage.settle()
        assert np.array_equal(stage.mask() != 0, AROUND_A) and np.array_equal(sessionsMask(stage), stage.mask())
        assert stage.prompts == [Click(A)]


class TestIntensityRange:
    def ramp(self) -> np.ndarray:
        return np.broadcast_to((10 * np.arange(30, dtype=np.int16))[:, None, None], SHAPE).copy()

    def test_only_voxels_within_the_range_change(self, makeStage):
        stage = makeStage(array=self.ramp()).begin()
        stage.node.SetSourceVolumeIntensityMask(1)
        stage.node.SetSourceVolumeIntensityMaskRange(75, 1000)  # slices from k = 8 on
        stage.click(A)
        assert np.array_equal(np.flatnonzero(stage.mask().any(axis=(1, 2))), [8, 9, 10])
        assert np.array_equal(sessionsMask(stage), stage.mask()) and stage.prompts == [Click(A)]
        stage.node.SetSourceVolumeIntensityMaskRange(0, 85)  # slices up to k = 8
        stage.click(A, control=True)
        assert np.array_equal(np.flatnonzero(stage.mask().any(axis=(1, 2))), [9, 10])
        stage.undo()
        assert np.array_equal(np.flatnonzero(stage.mask().any(axis=(1, 2))), [8, 9, 10])
        assert stage.prompts == [Click(A)]


class TestOverwriting:
    @pytest.mark.parametrize(
        "mode, secondKeeps, thirdKeeps",
        [
            ("OverwriteNone", True, True),
            ("OverwriteVisibleSegments", False, True),
            ("OverwriteAllSegments", False, False),
        ],
    )
    def test_the_mode_says_which_segments_give_way(self, neighbours, mode, secondKeeps, thirdKeeps):
        stage = neighbours
        stage.node.SetOverwriteMode(getattr(stage.node, mode))
        stage.click(A)
        assert np.array_equal(stage.mask(), block(A))
        taken = block(A) != 0
        for number, before, keeps in ((1, LOW_K, secondKeeps), (2, 1 - LOW_K, thirdKeeps)):
            expected = before.astype(bool) if keeps else before.astype(bool) & ~taken
            assert np.array_equal(stage.mask(number) != 0, expected), number

    def test_undo_gives_others_back_what_they_lost(self, neighbours):
        stage = neighbours
        stage.node.SetOverwriteMode(stage.node.OverwriteAllSegments)
        stage.click(A)
        stage.undo()
        assert np.array_equal(stage.mask(1), LOW_K) and np.array_equal(stage.mask(2), 1 - LOW_K)
        assert stage.prompts == []

    def test_a_segment_that_gave_way_knows_it_as_an_edit(self, stage):
        stage.node.SetOverwriteMode(stage.node.OverwriteAllSegments)
        stage.click(A)
        stage.editor.setCurrentSegmentID(stage.ids[1])
        stage.click((8, 8, 11))  # three voxels further: takes two thirds of the first one's block
        left = block(A) & (1 - block((8, 8, 11)))
        assert np.array_equal(stage.mask(0), left)
        stage.editor.setCurrentSegmentID(stage.ids[0])
        stage.click(B)
        assert [prompt.kind for prompt in stage.prompts] == ["click", "mask", "click"]
        assert np.array_equal(stage.mask(0), left | block(B))

    def test_taking_away_gives_nobody_anything(self, neighbours):
        stage = neighbours
        stage.node.SetOverwriteMode(stage.node.OverwriteNone)
        stage.click(A)
        stage.node.SetOverwriteMode(stage.node.OverwriteAllSegments)
        stage.click(A, control=True)
        assert not stage.mask(0).any()
        assert np.array_equal(stage.mask(1), LOW_K) and np.array_equal(stage.mask(2), 1 - LOW_K)
