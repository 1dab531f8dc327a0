"""Agreed slices stay as they are, whatever is answered, removed or evened out beside them; memory follows."""

import numpy as np
from bars import BAR, SHAPE, drawn, everything, propagated, session_with
from fakes import BlockSegmenter, BlockSlices

from memseg.geometry import Grid
from memseg.prompts import BoxPrompt, Click, Lasso, MaskPrompt, Scribble
from memseg.propagation import SliceMark
from memseg.session import Session
from memseg.volume import Volume

# -- agreed slices -----------------------------------------------------------------------------------------------------


def test_agreeing_marks_and_remembers_a_slice_and_can_be_undone():
    session = propagated()
    before = everything(session)
    session.agree("k", 7)
    assert session.marks("k")[7] == SliceMark(1.0, True, True) and session.slices.get("k", 7).prominence == 2
    session.agree("k", 7)  # once more changes nothing
    session.undo()
    assert everything(session) == before


def test_a_slice_can_be_agreed_to_be_without_the_object():
    session = session_with(drawn(5))
    session.agree("k", 7)
    assert session.marks("k")[7] == SliceMark(1.0, True, False) and session.slices.get("k", 7) is None
    steps = list(session.propagate(reference=5, direction="up"))
    assert [step.index for step in steps] == [6] and steps[0].stopped == "Slice 7 is agreed not to hold the object."


def test_a_released_slice_is_propagated_again():
    session = session_with(drawn(5, 7))
    session.agree("k", 7)
    session.release("k", 7)
    assert not session.marks("k")[7].agreed and not session.slices.get("k", 7).stays
    assert 7 in [step.index for step in session.propagate(reference=5)]


def test_propagating_again_from_a_corrected_slice_leaves_agreed_slices_and_the_other_side_alone():
    session = propagated()
    corrected = session.mask_kji.copy()
    corrected[6, 2, 2] = 0
    session.add(MaskPrompt.from_mask(corrected))
    assert session.marks("k")[6] == SliceMark(1.0, True, True, by=3) and session.slices.get("k", 6).agreed
    steps = list(session.propagate(reference=6))
    assert sorted(step.index for step in steps) == [7, 8, 9, 10]
    assert session.mask_kji[6].sum() == 19 and session.mask_kji[5].sum() == 20


def test_a_click_makes_its_slice_agreed_and_leaves_other_agreed_slices_as_they_are():
    session = propagated()
    session.agree("k", 6)
    session.add(Click((7, 3, 3), positive=False))  # clears 3 x 3 x 3 round it, but slice 6 is agreed
    assert session.mask_kji[6].sum() == 20 and session.mask_kji[7].sum() == 11 and session.mask_kji[8].sum() == 11
    assert session.marks("k")[7] == SliceMark(1.0, True, True, by=3)
    assert not session.marks("k")[8].agreed and session.slices.get("k", 8) is None  # it is no longer what it was
    assert session.slices.get("k", 7).features.values[1].mean() < session.slices.get("k", 6).features.values[1].mean()


def test_the_slice_a_click_speaks_of_changes_though_it_is_agreed():
    session = propagated()
    session.agree("k", 7)
    session.add(Click((7, 3, 3), positive=False))
    assert session.mask_kji[7].sum() == 11 and session.marks("k")[7] == SliceMark(1.0, True, True, by=3)


def test_scribbles_and_lassos_speak_of_the_slices_they_cross_and_a_box_of_none():
    session = propagated()
    session.add(Scribble(((6, 3, 3), (8, 3, 3)), positive=False))
    assert [index for index, mark in session.marks("k").items() if mark.agreed] == [5, 6, 7, 8]
    session = propagated()
    session.add(Lasso([(7, 2, 2), (7, 2, 4), (7, 4, 4)], positive=False))
    assert [index for index, mark in session.marks("k").items() if mark.agreed] == [5, 7]
    session = propagated()
    session.add(BoxPrompt((3, 2, 2), (9, 5, 5), positive=False))
    assert [index for index, mark in session.marks("k").items() if mark.agreed] == [5]
    assert session.mask_kji[5].sum() == 20 and session.mask_kji[6].sum() < 20


def test_a_slice_that_a_3d_answer_fills_is_marked_as_present_again():
    session = propagated()
    assert not session.marks("k")[9].present
    session.add(Click((8, 3, 3)))
    assert session.mask_kji[9].any() and session.marks("k")[9].present and not session.marks("k")[9].agreed


def test_clicks_agree_to_nothing_before_any_slice_work():
    session = session_with(Click((5, 3, 3)), drawn(5))
    assert session.marks("k") == {} and len(session.slices) == 0


def test_a_large_edit_agrees_all_its_slices_but_looks_at_few():
    shape = (60, 4, 4)
    image = np.zeros(shape, np.int16)
    image[:, 1:3, 1:3] = 100
    session = Session(Volume(image, Grid.from_spacing(shape, (1, 1, 1))), BlockSegmenter(), slices=BlockSlices())
    session.add(MaskPrompt.from_mask(image > 0))
    session.agree("k", 0)
    session.add(MaskPrompt.from_mask(image > 200))
    session.add(MaskPrompt.from_mask(image > 0))
    assert all(mark.agreed for mark in session.marks("k").values()) and len(session.marks("k")) == 60
    assert len(session.slices) == 16


def test_without_memory_slices_are_agreed_but_none_is_remembered():
    session = propagated(memory=False)
    session.agree("k", 7)
    assert session.marks("k")[7].agreed and len(session.slices) == 0 and np.array_equal(session.mask_kji, BAR)


# -- slice memory ------------------------------------------------------------------------------------------------------


def test_slices_can_be_pinned_dropped_and_cleared_and_that_undone():
    session = propagated()
    before = everything(session)
    session.pin_slice("k", 8)
    assert session.slices.get("k", 8).pinned
    session.drop_slice("k", 8)
    assert session.slices.get("k", 8) is None
    session.clear_slices()
    assert len(session.slices) == 0 and session.marks("k")
    for _ in range(3):
        session.undo()
    assert everything(session) == before


def test_slices_remembered_along_one_axis_are_forgotten_when_propagation_along_another_changes_them():
    mask = np.zeros(SHAPE, np.uint8)
    mask[5, 3] = BAR[5, 3]
    session = session_with(MaskPrompt.from_mask(mask))
    list(session.propagate("j", reference=3))  # in slice j = 4 grown by one: k from 4 to 6, 15 voxels
    session.agree("j", 4)
    assert {each.index for each in session.slices.of("j", "block-slices")} == {2, 3, 4, 5}
    list(session.propagate("k", reference=5))
    assert {each.index for each in session.slices.of("j", "block-slices")} == {3, 4}
    assert session.mask_kji[:, 4].sum() == 15 and np.array_equal(session.mask_kji[:, 2], BAR[:, 2])


def test_a_policy_once_chosen_stays_and_is_undone_with_the_rest():
    session = session_with(drawn(5))
    list(session.propagate(policy="recent"))
    assert session.slices.policy == "recent"
    list(session.propagate(reference=5))
    assert session.slices.policy == "recent"
    session.undo()
    session.undo()
    assert session.slices.policy == "ours"


def test_reset_empties_slices_and_marks_too():
    session = propagated()
    session.reset()
    assert len(session.slices) == 0 and session.marks("k") == {}
    session.undo()
    assert len(session.slices) and session.marks("k")


# -- removing prompts --------------------------------------------------------------------------------------------------


def test_removing_an_earlier_prompt_leaves_what_was_propagated():
    session = session_with(Click((5, 3, 3)), drawn(5))
    list(session.propagate(reference=5))
    marks = session.marks("k")
    session.remove(0)
    assert np.array_equal(session.mask_kji, BAR) and session.marks("k") == marks
    session.remove(0)
    assert np.array_equal(session.mask_kji, BAR)


def test_removing_a_propagation_takes_back_its_slices_and_marks():
    session = propagated()
    session.agree("k", 7)
    session.remove(1)
    assert session.marks("k") == {7: SliceMark(1.0, True, True)}
    assert [index for index in range(12) if session.mask_kji[index].any()] == [5, 7]  # agreed slices stay


def test_removing_a_click_takes_back_what_it_made_of_its_slice():
    session = propagated()
    before, mark = everything(session), session.marks("k")[7]
    session.add(Click((7, 3, 3), positive=False))
    session.remove(2)
    assert np.array_equal(session.mask_kji, BAR) and session.marks("k")[7] == mark and not mark.agreed
    assert everything(session)[:2] == before[:2]


def test_removing_a_click_in_an_agreed_slice_brings_that_slice_back_agreed():
    session = propagated()
    session.agree("k", 7)
    features = session.slices.get("k", 7).features
    session.add(Click((7, 3, 3), positive=False))
    session.add(Click((3, 2, 2)))
    session.remove(2)
    assert session.mask_kji[7].sum() == 20 and session.marks("k")[7] == SliceMark(1.0, True, True)
    assert session.slices.get("k", 7).features is features


def test_removing_two_clicks_in_one_slice_one_after_the_other_brings_back_the_first_mark():
    session = propagated()
    session.agree("k", 7)
    session.add(Click((7, 3, 3), positive=False))
    session.add(Click((7, 3, 5), positive=False))
    session.remove(2)
    assert session.marks("k")[7].by == 4
    session.remove(2)
    assert session.marks("k")[7] == SliceMark(1.0, True, True) and session.mask_kji[7].sum() == 20


def test_agreed_slices_stay_when_the_prompt_they_came_from_goes():
    session = session_with(Click((5, 3, 3)))
    session.agree("k", 5)
    session.remove(0)
    assert session.mask_kji[5].sum() == 9 and session.mask_kji.sum() == 9 and session.marks("k")[5].agreed


# -- a look at the whole -----------------------------------------------------------------------------------------------


def test_the_least_certain_slice_is_suggested():
    session = propagated(slices=BlockSlices({7: 0.5}))
    suggestion = session.suggest_slice()
    assert suggestion.axis == "k" and suggestion.index in (7, 8) and "least certain" in suggestion.reason
    assert session_with(drawn(5)).suggest_slice() is None and session.suggest_slice("j") is None


def test_making_slices_consistent_is_one_step_and_leaves_agreed_slices():
    session = propagated()
    spot = session.mask_kji.copy()
    spot[7, 0, 0] = 1
    session.undo()
    state_of_slice_5 = session.mask_kji[5].copy()
    session.redo()
    session.release("k", 5)
    session.add(MaskPrompt.from_mask(spot))
    session.release("k", 7)
    session.agree("k", 5)
    before = everything(session)
    change = session.make_consistent("k")
    assert change.voxels_changed >= 1 and not session.mask_kji[7, 0, 0]
    assert np.array_equal(session.mask_kji[5], state_of_slice_5)
    assert session.prompts[-1].prompt.origin == "made consistent along k"
    session.undo()
    assert everything(session) == before


def test_making_consistent_what_is_so_already_is_no_step():
    session = session_with(drawn(5))
    assert session.make_consistent("k").is_empty and len(session.prompts) == 1
