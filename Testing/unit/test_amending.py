"""A step of which something outside kept a part back."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import BlockSegmenter, BlockSlices, box_mask, ramp_volume

import memseg.journal
from memseg.errors import SessionError
from memseg.geometry import Box, Grid
from memseg.journal import Journal
from memseg.prompts import Click
from memseg.session import Session
from memseg.volume import MaskChange

SHAPE = (20, 20, 20)
A, B = (5, 5, 5), (12, 12, 12)
BLOCK_A, BLOCK_B = Box((3, 3, 3), (8, 8, 8)), Box((10, 10, 10), (15, 15, 15))
HALF_B = Box((10, 10, 10), (15, 15, 12))


def session_after(*points: tuple[int, int, int]) -> Session:
    volume = ramp_volume(Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0)))
    session = Session(volume, BlockSegmenter(reach=2), slices=BlockSlices())
    for point in points:
        session.add(Click(point))
    return session


def amended_to(session: Session, mask: np.ndarray) -> None:
    session.amend(Box.of_shape(SHAPE), mask)


def mask_of(*boxes: Box) -> np.ndarray:
    return sum((box_mask(SHAPE, box) for box in boxes), np.zeros(SHAPE, np.uint8))


def test_the_mask_becomes_what_was_taken_and_prompts_and_memories_stay():
    session = session_after(A, B)
    amended_to(session, mask_of(BLOCK_A, HALF_B))
    assert np.array_equal(session.mask_kji, mask_of(BLOCK_A, HALF_B))
    assert [entry.prompt for entry in session.prompts] == [Click(A), Click(B)]
    assert len(session.memory) == 2 and len(session.history.done) == 2


def test_undo_and_redo_lead_through_what_was_taken():
    session = session_after(A, B)
    amended_to(session, mask_of(BLOCK_A, HALF_B))
    session.undo()
    assert np.array_equal(session.mask_kji, mask_of(BLOCK_A))
    session.redo()
    assert np.array_equal(session.mask_kji, mask_of(BLOCK_A, HALF_B))
    session.undo()
    session.undo()
    assert not session.mask_kji.any()


def test_more_than_the_step_changed_can_be_taken_back_too():
    session = session_after(A, B)
    amended_to(session, mask_of(HALF_B))  # the step is said to have emptied the first block as well
    session.undo()
    assert np.array_equal(session.mask_kji, mask_of(BLOCK_A))


def test_a_step_of_which_nothing_was_taken_stays_a_step():
    session = session_after(A)
    amended_to(session, mask_of())
    assert not session.mask_kji.any() and len(session.prompts) == 1
    session.undo()
    assert session.prompts == () and not session.mask_kji.any()


def test_a_propagation_that_runs_is_the_step():
    session = session_after(B)
    steps = session.propagate("k", 12, 10, 18)
    next(steps)
    amended_to(session, mask_of(BLOCK_B))
    assert not session.is_propagating and len(session.history.done) == 2
    assert np.array_equal(session.mask_kji, mask_of(BLOCK_B))
    session.undo()
    assert [entry.prompt for entry in session.prompts] == [Click(B)]


def test_without_a_step_there_is_nothing_to_amend():
    session = session_after()
    with pytest.raises(SessionError, match="no step"):
        amended_to(session, mask_of(BLOCK_A))
    assert not session.mask_kji.any()


def test_the_journal_knows(tmp_path, monkeypatch):
    monkeypatch.setattr("memseg.build.build", lambda name, device: BlockSegmenter(reach=2))
    session = session_after()
    session.keep_journal(Journal.begin(tmp_path / "j", session.volume, session.model, memory=True))
    for point in (A, B):
        session.add(Click(point))
    amended_to(session, mask_of(BLOCK_A, HALF_B))
    session.undo()
    session.redo()
    resumed = memseg.resume_session(tmp_path / "j", session.volume)
    assert np.array_equal(resumed.mask_kji, mask_of(BLOCK_A, HALF_B))
    assert [entry.prompt for entry in resumed.prompts] == [Click(A), Click(B)]


def test_changes_one_after_the_other_are_one_change():
    mask = np.zeros(SHAPE, np.uint8)
    first = MaskChange.between(mask, BLOCK_A, np.ones(BLOCK_A.shape_kji, np.uint8))
    mask[BLOCK_A.slices] = 1
    second = MaskChange.between(mask, HALF_B, np.ones(HALF_B.shape_kji, np.uint8))
    mask[HALF_B.slices] = 1
    third = MaskChange.between(mask, BLOCK_A, np.zeros(BLOCK_A.shape_kji, np.uint8))
    mask[BLOCK_A.slices] = 0
    total = MaskChange.of_all((first, MaskChange.nothing(), second, third), mask)
    assert total.box == Box((3, 3, 3), (15, 15, 12)) and not total.before.any()
    assert np.array_equal(total.after, mask[total.box.slices])
    assert MaskChange.of_all((), mask).is_empty
