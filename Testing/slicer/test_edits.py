"""What became of a segment since the session's last action: undone elsewhere, kept back, or edited."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import BlockSegmenter, BlockSlices, box_mask, ramp_volume

from memseg.geometry import Box, Grid
from memseg.prompts import Click
from memseg.session import Session
from MemSegSlicerLib.Edits import catchUp, goBackTo, stepsDone

SHAPE = (20, 20, 20)
WHOLE = Box.of_shape(SHAPE)
POINTS = ((4, 4, 4), (10, 10, 10), (16, 16, 16))


def block(*points: tuple[int, int, int]) -> np.ndarray:
    return sum(box_mask(SHAPE, Box(point, np.add(point, 1)).grown(2)) for point in points) + np.zeros(SHAPE, np.uint8)


@pytest.fixture
def session() -> Session:
    """After three clicks."""
    session = Session(
        ramp_volume(Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0))), BlockSegmenter(reach=2), slices=BlockSlices()
    )
    for point in POINTS:
        session.add(Click(point))
    return session


def clicks(session: Session) -> int:
    assert all(entry.prompt.kind == "click" for entry in session.prompts)
    assert len(session.memory) == len(session.prompts)
    return len(session.prompts)


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_an_older_mask_that_names_its_step_takes_the_session_back_there(session, step):
    assert not catchUp(session, WHOLE, block(*POINTS[:step]), step, isClipped=False)
    assert clicks(session) == step and np.array_equal(session.mask_kji, block(*POINTS[:step]))


def test_and_a_newer_one_forward_again(session):
    catchUp(session, WHOLE, block(), 0, isClipped=False)
    assert not catchUp(session, WHOLE, block(*POINTS[:2]), 2, isClipped=False)
    assert clicks(session) == 2 and session.can_redo


def test_only_the_part_that_holds_anything_has_to_be_given(session):
    box = Box((2, 2, 2), (7, 7, 7))
    assert not catchUp(session, box, np.ones(box.shape_kji, np.uint8), 1, isClipped=False)
    assert clicks(session) == 1
    assert not catchUp(session, Box.empty(), np.zeros((0, 0, 0), np.uint8), 0, isClipped=False)
    assert clicks(session) == 0


def test_a_mask_that_is_not_what_its_step_left_is_an_edit(session):
    edited = block(POINTS[0]) | box_mask(SHAPE, Box((0, 0, 0), (2, 2, 2)))
    assert catchUp(session, WHOLE, edited, 1, isClipped=False)
    assert [entry.prompt.kind for entry in session.prompts] == ["click", "click", "click", "mask"]
    assert np.array_equal(session.mask_kji, edited)


@pytest.mark.parametrize("step", [4, 99])
def test_a_step_that_the_session_never_took_is_an_edit(session, step):
    assert catchUp(session, WHOLE, block(POINTS[0]), step, isClipped=False)
    assert len(session.prompts) == 4


def test_without_a_named_step_an_older_mask_is_an_edit_as_any(session):
    assert catchUp(session, WHOLE, block(*POINTS[:2]), None, isClipped=False)
    assert [entry.prompt.kind for entry in session.prompts] == ["click", "click", "click", "mask"]


def test_the_same_mask_is_nothing(session):
    for step in (None, 3):
        assert not catchUp(session, WHOLE, block(*POINTS), step, isClipped=False)
    assert clicks(session) == 3 and stepsDone(session) == 3


def test_a_step_without_voxels_is_undone_by_its_name_alone(session):
    session.add(Click(POINTS[2]))
    assert not catchUp(session, WHOLE, block(*POINTS), 3, isClipped=False)
    assert clicks(session) == 3 and session.can_redo


def test_what_was_kept_back_is_no_prompt(session):
    kept = block(*POINTS[:2])
    kept[16, 16, 16] = 1
    assert not catchUp(session, WHOLE, kept, 3, isClipped=True)
    assert clicks(session) == 3 and np.array_equal(session.mask_kji, kept)
    session.undo()
    assert np.array_equal(session.mask_kji, block(*POINTS[:2]))


def test_kept_back_of_a_session_without_steps_is_an_edit():
    session = Session(ramp_volume(Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0))), BlockSegmenter())
    assert catchUp(session, WHOLE, block(POINTS[0]), None, isClipped=True)
    assert [entry.prompt.kind for entry in session.prompts] == ["mask"]


def test_a_propagation_that_runs_is_a_step_and_goes_on_where_nothing_happened(session):
    steps = session.propagate("k", 10, 9, 14)
    next(steps)
    assert stepsDone(session) == 4
    assert not catchUp(session, WHOLE, session.mask_kji.copy(), 4, isClipped=False)
    assert session.is_propagating
    assert not catchUp(session, WHOLE, block(*POINTS), 3, isClipped=False)
    assert not session.is_propagating and clicks(session) == 3


def test_going_back_ends_a_propagation_and_undoes_what_was_done_since(session):
    next(session.propagate("k", 10, 9, 14))
    goBackTo(session, 2)
    assert clicks(session) == 2 and np.array_equal(session.mask_kji, block(*POINTS[:2]))
    goBackTo(session, 5)  # nothing was done since
    assert clicks(session) == 2
