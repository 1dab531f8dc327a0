"""Propagation in a session: the mask grows live, and all of it can be stopped and taken back."""

import gc
import weakref

import numpy as np
import pytest
from bars import BAR, GRID, SHAPE, VOLUME, drawn, everything, propagated, session_with
from fakes import BlockSegmenter, BlockSlices

from memseg.errors import FileError, ModelError, SessionError
from memseg.geometry import Grid
from memseg.journal import Journal
from memseg.prompts import Click, MaskPrompt
from memseg.propagation import AGREED_PROMINENCE, SliceMark
from memseg.session import Session
from memseg.volume import Volume

# -- live --------------------------------------------------------------------------------------------------------------


def test_the_mask_grows_with_every_step_and_fits_the_object_in_the_end():
    session = session_with(drawn(5))
    filled = []
    for step in session.propagate(reference=5):
        filled.append(int(session.mask_kji[step.index].sum()))
        assert session.marks("k")[step.index].confidence == step.confidence and session.is_propagating
    assert filled == [20, 20, 20, 20, 20, 0, 0, 0, 0][: len(filled)] and len(filled) == 9
    assert np.array_equal(session.mask_kji, BAR) and not session.is_propagating


def test_the_reference_becomes_agreed_and_is_remembered_with_the_first_step():
    session = session_with(drawn(5))
    steps = session.propagate(reference=5)
    assert session.marks("k") == {} and len(session.slices) == 0
    next(steps)
    assert session.marks("k")[5] == SliceMark(1.0, True, True, by=2)
    assert session.slices.get("k", 5).prominence == AGREED_PROMINENCE and session.slices.get("k", 5).reference


def test_without_a_reference_it_starts_from_the_agreed_slices_or_else_from_the_one_with_most_voxels():
    mask = np.zeros(SHAPE, np.uint8)
    mask[4, 2:4, 2:4], mask[6, 2:6, 2:7] = 1, 1
    session = session_with(MaskPrompt.from_mask(mask))
    assert next(session.propagate(direction="up")).index == 7
    session.end_propagation()
    session.undo()
    session.agree("k", 4)
    assert next(session.propagate(direction="up")).index == 5


def test_the_whole_propagation_is_one_step_to_undo_and_one_prompt():
    session = session_with(drawn(5))
    before = everything(session)
    list(session.propagate(reference=5))
    after = everything(session)
    assert len(session.prompts) == 2 and session.prompts[1].prompt.origin == "propagated along k from slice 5"
    session.undo()
    assert everything(session) == before
    session.redo()
    assert everything(session) == after


def test_cancelling_keeps_what_was_done_as_one_step():
    session = session_with(drawn(5))
    steps = session.propagate(reference=5)
    next(steps), next(steps)
    steps.close()
    assert sorted(session.marks("k")) == [4, 5, 6] and not session.is_propagating and len(session.prompts) == 2
    assert list(steps) == []
    steps.close()
    session.undo()
    assert session.mask_kji.sum() == 20


def test_leaving_the_loop_ends_the_propagation():
    session = session_with(drawn(5))
    for _ in session.propagate(reference=5):
        break
    gc.collect()
    assert not session.is_propagating and len(session.prompts) == 2


def test_a_propagation_let_go_of_together_with_its_session_ends_quietly(monkeypatch):
    unheard = []
    monkeypatch.setattr("sys.unraisablehook", lambda found: unheard.append(found.exc_value))
    session = Session(VOLUME, BlockSegmenter(), slices=BlockSlices())
    session.add(drawn(5))
    steps = session.propagate(reference=5)
    next(steps)
    cycle = [session, steps]
    cycle.append(cycle)
    del session, steps, cycle
    gc.collect()
    assert unheard == []


def test_a_session_is_let_go_of_at_once():
    session = propagated()
    steps = session.propagate(reference=5)
    next(steps)
    alive = weakref.ref(session)
    del session
    assert next(steps).index == 4
    del steps
    assert alive() is None


def test_a_propagation_ended_before_its_first_step_leaves_no_trace():
    session = session_with(drawn(5))
    before = everything(session)
    session.propagate(reference=5).close()
    assert everything(session) == before and not session.is_propagating


def test_a_segmenter_that_fails_on_its_way_leaves_what_was_done_as_one_step():
    session = session_with(drawn(5), slices=BlockSlices(fails_at=7))
    with pytest.raises(ModelError):
        list(session.propagate(reference=5))
    assert sorted(session.marks("k")) == [4, 5, 6] and not session.is_propagating
    session.undo()
    assert session.mask_kji.sum() == 20


def test_while_one_runs_another_is_refused():
    session = session_with(drawn(5))
    steps = session.propagate(reference=5)
    next(steps)
    with pytest.raises(SessionError, match="is running"):
        session.propagate(reference=5)
    assert next(steps).index == 4


@pytest.mark.parametrize(
    "action",
    [
        lambda session: session.add(Click((5, 3, 3), positive=False)),
        lambda session: session.agree("k", 6),
        lambda session: session.clear_slices(),
        lambda session: session.to_bytes(),
        lambda session: session.make_consistent("k"),
        lambda session: session.reset(),
    ],
)
def test_whatever_else_is_done_ends_it_first_and_keeps_what_it_did(action):
    session = session_with(drawn(5))
    steps = session.propagate(reference=5)
    next(steps), next(steps)
    action(session)
    assert not session.is_propagating and next(steps, None) is None
    while session.prompts == () or session.prompts[-1].number != 2:
        session.undo()
    assert sorted(session.marks("k")) == [4, 5, 6]


def test_undo_while_it_runs_takes_back_all_it_did():
    session = session_with(drawn(5))
    before = everything(session)
    steps = session.propagate(reference=5)
    next(steps)
    session.undo()
    assert everything(session) == before and next(steps, None) is None and session.can_redo


def test_a_manual_edit_while_it_runs_wins_and_stays():
    session = session_with(drawn(5))
    next(session.propagate(reference=5))
    edited = session.mask_kji.copy()
    edited[7, 0, 0] = 1
    session.add(MaskPrompt.from_mask(edited))
    list(session.propagate(reference=5))
    assert session.mask_kji[7].sum() == 1 and session.marks("k")[7].agreed


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"axis": "x"}, "no axis 'x'"),
        ({"axis": "t"}, "session of another time point"),
        ({"direction": "left"}, "no direction 'left'"),
        ({"policy": "best"}, "no memory policy 'best'; choose one of: ours"),
        ({"patience": 0}, "at least 1"),
        ({"reference": 4}, "mask is empty in slice 4"),
        ({"reference": [5, 7]}, "mask is empty in slice 7"),
        ({"reference": []}, "No reference slice"),
        ({"reference": 12}, "no slice 12 along k; choose one from 0 to 11"),
        ({"reference": 5.5}, "no slice 5.5"),
        ({"first": -1}, "no slice -1"),
        ({"last": 12}, "no slice 12"),
        ({"first": 6, "last": 3}, "lies behind the last"),
        ({"reference": 5, "first": 6}, "outside the range 6 to 11"),
        ({"first": 7}, "mask is empty in slices 7 to 11"),
        ({"reference": 5, "first": 5, "last": 5}, "no slice to fill"),
    ],
)
def test_what_cannot_be_done_is_said_at_once_and_changes_nothing(asked, sentence):
    session = session_with(drawn(5))
    before = everything(session)
    with pytest.raises(SessionError, match=sentence):
        session.propagate(**asked)
    assert everything(session) == before and not session.is_propagating


def test_without_a_mask_there_is_nothing_to_propagate():
    with pytest.raises(SessionError, match="no mask yet"):
        session_with().propagate()


def test_an_axis_of_one_slice_is_refused():
    image = np.arange(12, dtype=np.int16).reshape(1, 3, 4)
    session = Session(Volume(image, Grid.from_spacing((1, 3, 4), (1, 1, 1))), BlockSegmenter(), slices=BlockSlices())
    session.add(MaskPrompt.from_mask(np.ones((1, 3, 4))))
    with pytest.raises(SessionError, match="one slice along k; propagate along another axis"):
        session.propagate("k")


@pytest.mark.parametrize(
    ("attempt", "sentence"),
    [
        (lambda session: session.agree("x", 3), "no axis"),
        (lambda session: session.agree("k", 12), "no slice 12"),
        (lambda session: session.release("k", 6), "not agreed"),
        (lambda session: session.pin_slice("k", 11), "holds no slice 11"),
        (lambda session: session.drop_slice("j", 5), "holds no slice 5 along j"),
        (lambda session: session.suggest_slice("t"), "no axis 't'"),
        (lambda session: session.make_consistent("t"), "no axis 't'"),
    ],
)
def test_slices_that_are_not_there_are_a_sentence_and_change_nothing(attempt, sentence):
    session = propagated()
    before = everything(session)
    with pytest.raises(SessionError, match=sentence):
        attempt(session)
    assert everything(session) == before


# -- time --------------------------------------------------------------------------------------------------------------


def test_the_next_time_point_is_filled_and_this_one_stays():
    now, then = (
        propagated(),
        Session(Volume(np.roll(VOLUME.array_kji, 1, axis=1), GRID), BlockSegmenter(), slices=BlockSlices()),
    )
    before = everything(now)
    steps = list(now.propagate("t", into=then))
    assert {step.axis for step in steps} == {"k"} and everything(now) == before
    assert np.array_equal(then.mask_kji[:, 3:7], np.roll(BAR, 1, axis=1)[:, 3:7]) and sorted(then.marks("k")) == [
        3,
        4,
        5,
        6,
        7,
        8,
    ]
    assert then.prompts[0].prompt.origin == "followed from the time point before"
    then.undo()
    assert not then.mask_kji.any() and then.marks("k") == {}


def test_the_next_time_point_lies_on_the_same_grid_and_in_another_session():
    now = propagated()
    elsewhere = Session(
        Volume(VOLUME.array_kji, Grid.from_spacing(SHAPE, (2, 1, 2))), BlockSegmenter(), slices=BlockSlices()
    )
    with pytest.raises(SessionError, match="same grid"):
        now.propagate("t", into=elsewhere)
    with pytest.raises(SessionError, match="another time point"):
        now.propagate("t", into=now)
    with pytest.raises(SessionError, match="another time point"):
        now.propagate("k", into=elsewhere)
    with pytest.raises(SessionError, match="no mask yet"):
        session_with().propagate("t", into=session_with())


def test_slices_agreed_at_the_next_time_point_stay():
    now, then = propagated(), session_with(drawn(5))
    edited = np.zeros(SHAPE, np.uint8)
    edited[5, 0, 0] = 1
    then.add(MaskPrompt.from_mask(edited))
    then.agree("k", 5)
    list(now.propagate("t", into=then))
    assert then.mask_kji[5].sum() == 1 and then.mask_kji[6].sum() == 20


# -- the journal refuses -----------------------------------------------------------------------------------------------


def test_a_propagation_that_the_journal_refuses_is_taken_back_whole(tmp_path, monkeypatch):
    session = session_with(drawn(5))
    session.keep_journal(Journal.begin(tmp_path / "j", VOLUME, "block", True))
    before = everything(session)

    def full(_self, _record):
        raise FileError("The journal j cannot be written.")

    steps = session.propagate(reference=5)
    next(steps)
    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(FileError):
        steps.close()
    assert everything(session) == before and not session.is_propagating
