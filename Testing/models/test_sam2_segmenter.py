"""SAM 2 by prompts: answered on their slice, followed both ways; corrections, boxes, and objects that were there."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ellipsoid
from small_sam2 import SURE, ThresholdSam2, small_sam2

from memseg import load_session
from memseg.errors import PromptError, StoppedError
from memseg.evaluation.metrics import dice
from memseg.geometry import Grid
from memseg.memory.interaction import Interaction
from memseg.networks.sam2 import HIGH_CORNER, LOW_CORNER, NEGATIVE, POSITIVE
from memseg.prompts import BoxPrompt, Click, MaskPrompt, Scribble
from memseg.segmenters.base import Segmenter
from memseg.segmenters.sam2 import Following, MedSam2
from memseg.segmenters.sam2_said import Sayings, before
from memseg.session import Session
from memseg.volume import Volume
from memseg.watching import Watch

SHAPE, CENTRE = (24, 64, 64), (11, 30, 36)
TRUTH = ellipsoid(SHAPE, CENTRE, (6, 12, 16))
GRID = Grid.from_spacing(SHAPE, (3, 1, 1))


def volume() -> Volume:
    noise = np.random.default_rng(0).normal(0, 3, SHAPE)
    return Volume((TRUTH * 100.0 + noise).astype(np.float32), GRID)


def wide() -> ThresholdSam2:
    network = ThresholdSam2()
    network.reach = 40.0  # samples: 20 voxels
    return network


def asked(network: ThresholdSam2 | None = None, **more) -> Session:
    return Session(volume(), MedSam2(network or wide(), "cpu", **more))


def held(session: Session) -> list[int]:
    """Slices that hold the object."""
    return np.flatnonzero(session.mask_kji.any(axis=(1, 2))).tolist()


# -- from a prompt on --------------------------------------------------------------------------------------------------


def test_a_click_finds_the_ellipsoid_in_all_its_slices():
    session = asked()
    session.add(Click(CENTRE))
    assert isinstance(session._segmenter, Segmenter) and session.note == ""
    assert held(session) == list(range(6, 17)) and dice(TRUTH, session.mask_kji) > 0.95


def test_the_click_is_told_at_its_voxels_middle_alone_and_one_mask_of_three_is_chosen():
    network = wide()
    asked(network).add(Click(CENTRE))
    points, kinds, known = network.said[0]
    assert points.tolist() == [[[36 * 2 + 0.5, 30 * 2 + 0.5]]]  # 2 samples a voxel
    assert kinds.tolist() == [[POSITIVE]] and known is None and network.told[0][0] == (0,)


def test_it_goes_two_slices_beyond_the_end_and_no_further():
    network = wide()
    asked(network).add(Click(CENTRE))
    assert len(network.shown) == 15  # slices 4 to 18


def test_slices_that_are_followed_are_told_of_and_the_answer_is_given_up_where_it_is_stopped():
    heard, session = [], asked()
    with Watch(heard.append).over():
        session.add(Click(CENTRE))
    assert [each.words for each in heard[:2]] == ["slice 12, 0 followed so far", "slice 13, 1 followed so far"]
    assert heard[-1].words == "slice 4, 13 followed so far" and {each.fraction for each in heard} == {None}
    before, history = session.mask_kji.copy(), session.history
    watch = Watch(lambda progress: watch.stop())
    with watch.over(), pytest.raises(StoppedError):
        session.add(Click((11, 30, 40)))
    assert np.array_equal(session.mask_kji, before)
    assert (session.history.state, session.history.done) == (history.state, history.done)


def test_the_slice_alone_is_answered_where_nothing_more_is_wanted():
    session = asked(following=Following(most=0))
    session.add(Click(CENTRE))
    assert held(session) == [11]
    session.add(Click((13, 30, 36)))
    assert held(session) == [11, 13]


def test_a_second_click_on_the_slice_is_told_with_the_first_and_the_logits_answered():
    network = wide()
    session = asked(network)
    session.add(Click(CENTRE))
    answered = session.memory.entries[0].dense[0]
    session.add(Click((11, 30, 28), positive=False))
    points, kinds, known = network.said[1]
    assert points.tolist() == [[[72.5, 60.5], [56.5, 60.5]]] and kinds.tolist() == [[POSITIVE, NEGATIVE]]
    assert np.mean(known[0].numpy() == answered) > 0.99 and session.mask_kji[11, 30, 28] == 0


def test_what_earlier_prompts_said_on_other_slices_is_told_as_memory():
    network = wide()
    session = asked(network)
    session.add(Click(CENTRE))
    session.add(Click((14, 30, 36)))
    times, away = network.told[-1]
    assert network.said[1][0].shape == (1, 1, 2)  # the click of this slice alone
    assert times[:2] == (0, 0) and set(away) >= {1.0} and dice(TRUTH, session.mask_kji) > 0.95


def test_slices_with_earlier_prompts_stay_as_they_are():
    session = asked()
    session.add(Click(CENTRE))
    session.add(Click((11, 30, 28), positive=False))
    cut = session.mask_kji[11].copy()
    session.add(Click((14, 30, 36)))
    assert np.array_equal(session.mask_kji[11], cut)


def test_what_an_earlier_answer_left_beyond_the_end_goes(monkeypatch):
    network = wide()
    session = asked(network)
    session.add(Click(CENTRE))
    assert held(session) == list(range(6, 17))
    monkeypatch.setattr(network, "conditioned", lambda image, told: 0 * image.coarse)  # it is lost at once
    session.add(Click((11, 30, 30)))
    assert held(session) == [11]


def test_parts_that_hang_on_no_slice_with_a_prompt_are_left_out():
    array = TRUTH * 100.0
    array[8, 60:63, 60:63] = 100
    network = ThresholdSam2()
    network.reach = 200.0
    session = Session(Volume(array, GRID), MedSam2(network, "cpu"))
    session.add(Click(CENTRE))
    assert not session.mask_kji[8, 60:63, 60:63].any() and dice(TRUTH, session.mask_kji) > 0.95


# -- boxes -------------------------------------------------------------------------------------------------------------


def test_a_flat_box_is_told_by_its_corners_and_the_object_goes_on_beyond_its_slice():
    network = wide()
    session = asked(network)
    session.add(BoxPrompt((11, 18, 20), (12, 43, 53)))
    points, kinds, known = network.said[0]
    assert points.tolist() == [[[40.5, 36.5], [104.5, 84.5]]]  # the middles of the first and the last voxel
    assert kinds.tolist() == [[LOW_CORNER, HIGH_CORNER]] and known is None
    assert held(session) == list(range(6, 17)) and dice(TRUTH, session.mask_kji) > 0.95


def test_a_click_after_a_box_is_told_with_it():
    network = wide()
    session = asked(network)
    session.add(Click((11, 40, 36)))
    session.add(BoxPrompt((11, 18, 20), (12, 43, 53)))
    session.add(Click((11, 30, 28), positive=False))
    assert network.said[-1][1].tolist() == [[LOW_CORNER, HIGH_CORNER, NEGATIVE]]  # the box overrules what was before


def test_a_box_in_3d_is_asked_in_its_middle_and_bounds_the_object():
    network = wide()
    session = asked(network)
    session.add(BoxPrompt((8, 18, 20), (15, 43, 53)))
    assert held(session) == list(range(8, 15)) and len(network.shown) == 7
    assert dice(TRUTH[8:15], session.mask_kji[8:15]) > 0.95


@pytest.mark.parametrize(("axis", "middle"), [("j", 30), ("i", 36)])
def test_a_flat_box_says_along_which_axis_the_object_is_followed(axis, middle):
    number = "kji".index(axis)
    start, stop = [4, 17, 19], [19, 44, 54]
    start[number], stop[number] = middle, middle + 1
    session = asked()
    session.add(BoxPrompt(tuple(start), tuple(stop)))
    session.add(Click(CENTRE))
    assert session._segmenter.card.name == "medsam2" and dice(TRUTH, session.mask_kji) > 0.9
    assert int(session.memory.entries[-1].sparse[0, -2]) == number


def test_a_negative_box_empties_itself_without_a_look():
    network = wide()
    session = asked(network)
    session.add(Click(CENTRE))
    looked = len(network.said)
    session.add(BoxPrompt((0, 0, 36), (24, 64, 64), positive=False))
    assert len(network.said) == looked
    assert not session.mask_kji[:, :, 36:].any() and session.mask_kji[11, 30, 30] == 1


# -- what is painted, missing or wrong ---------------------------------------------------------------------------------


def test_an_object_that_was_there_is_corrected_on_the_slice_of_the_click_alone():
    network = wide()
    session = asked(network)
    painted = TRUTH.astype(np.uint8)
    painted[:, 40:] = 0
    session.add(MaskPrompt.from_mask(painted))
    change = session.add(Click((11, 41, 36)))
    assert change.box.start_kji[0] == 11 and change.box.stop_kji[0] == 12 and session.mask_kji[11, 41, 36] == 1
    assert network.told == [((0, 0), (1.0,))]  # its neighbours
    assert float(network.said[0][2].max()) == pytest.approx(10) and float(network.said[0][2].min()) == -10


def test_a_negative_click_where_nothing_is_sets_nothing_and_looks_at_nothing():
    network = wide()
    session = asked(network)
    session.add(Click((2, 5, 5), positive=False))
    assert network.said == [] and not session.mask_kji.any()


def test_a_click_into_the_dark_sets_its_voxel_and_says_so():
    session = asked()
    session.add(Click((2, 5, 5)))
    assert session.mask_kji.sum() == 1 and session.mask_kji[2, 5, 5] == 1
    assert session.note.startswith("MedSAM2 found nothing at the click")


def test_prompts_it_does_not_take_are_refused_and_those_of_other_models_are_honoured():
    session = asked()
    with pytest.raises(PromptError, match="takes no scribble prompts"):
        session.add(Scribble([(11, 30, 36), (11, 30, 40)]))
    session.change_model("geodesic")
    session.add(Scribble([(11, 30, 36), (11, 30, 40)], positive=False))
    session._segmenter = MedSam2(wide(), "cpu")
    session.add(Click((11, 30, 30)))
    assert session.mask_kji[11, 30, 30] == 1 and not session.mask_kji[11, 30, 36:41].any()


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_undo_and_the_same_click_again_give_the_same_mask():
    session = Session(volume(), MedSam2(small_sam2(), "cpu"))
    session.add(Click(CENTRE))
    session.add(Click((11, 30, 44)))
    after = session.mask_kji.copy()
    session.undo()
    session.add(Click((11, 30, 44)))
    assert np.array_equal(session.mask_kji, after)


def test_a_saved_session_goes_on_as_if_it_had_not_been_closed(tmp_path, monkeypatch):
    of = volume()
    session = Session(of, MedSam2(small_sam2(), "cpu"))
    session.add(Click(CENTRE))
    session.save(tmp_path / "session.memseg")
    for place in ("memseg.build.build", "memseg.slicing.build_slices"):
        monkeypatch.setattr(place, lambda *_: MedSam2(small_sam2(), "cpu"))
    again = load_session(tmp_path / "session.memseg", of)
    assert again.slicing.model == "medsam2"
    for each in (session, again):
        each.add(Click((11, 30, 44), positive=False))
    assert np.array_equal(session.mask_kji, again.mask_kji)


def test_with_memory_off_the_next_click_is_told_the_mask():
    network = wide()
    session = Session(volume(), MedSam2(network, "cpu"), memory=False)
    session.add(Click(CENTRE))
    session.add(Click((11, 30, 44)))
    told = network.said[1][2]
    assert float(told.max()) == pytest.approx(10) and float(told.min()) == -10


def test_logits_are_given_back_but_where_the_mask_contradicts_them():
    logits = np.full((1, 1, 32, 32), 3.0, np.float32)
    entry = Interaction(1, "medsam2", np.array([[0.0, 0, 11]]), logits)
    mask = np.ones((64, 64), np.uint8)
    mask[:, 32:] = 0
    told = before(mask, (entry,), "k", 11, 128)[0, 0]
    assert (told[:, :15] == 3).all() and (told[:, 17:] == -10).all()
    elsewhere = before(mask, (entry,), "k", 12, 128)[0, 0]
    assert (elsewhere[:, :15] == 10).all() and before(np.zeros((64, 64)), (entry,), "k", 11, 128) is None


def test_the_slice_of_a_prompt_is_its_own_or_the_middle_of_its_box():
    sayings = Sayings.of([Click((3, 4, 5)), BoxPrompt((2, 0, 0), (9, 5, 5))], GRID)
    assert [sayings.index(prompt) for prompt in sayings.standing] == [3, 5]
    assert sayings.axis == "k" and sayings.indices == (3, 5) and sayings.bounds == range(2, 9)
    assert sayings.values_at(np.ones(SHAPE), None, 7).size == 0


def test_what_is_remembered_of_an_answer_is_its_pointer_its_place_and_its_logits():
    session = asked()
    session.add(Click(CENTRE))
    entry = session.memory.entries[0]
    assert entry.sparse.shape == (1, 130) and entry.sparse[0, -2:].tolist() == [0, 11]
    assert entry.dense.shape == (1, 1, 32, 32) and set(np.unique(entry.dense)) == {-SURE, SURE}
