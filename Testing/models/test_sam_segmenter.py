"""SAM-Med3D as a segmenter: windows, axes, the way back to the volume, the protocol of clicks, large objects."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from sam_scenes import CENTRE, GRID, OBJECT, SHAPE, bright, network_of, thresholding
from small_sam import CELLS, EDGE, SURE, WIDTH, small_sam

from memseg.errors import PromptError
from memseg.evaluation.metrics import dice
from memseg.geometry import Grid
from memseg.memory.interaction import Interaction
from memseg.networks.sam_prompts import HIGH_CORNER, LOW_CORNER, NEGATIVE, POSITIVE
from memseg.prompts import BoxPrompt, Click, MaskPrompt, Scribble
from memseg.segmenters.base import Numbered, Segmenter
from memseg.segmenters.sam_before import PLACE, known_logits
from memseg.segmenters.sam_med3d import FastSam3DSegmenter, SamMed3DSegmenter
from memseg.segmenters.sam_window import Window, window_of
from memseg.session import Session
from memseg.volume import Volume

# -- to the network and back -------------------------------------------------------------------------------------------


def test_on_an_oblique_volume_of_thick_slices_a_click_finds_the_bright_ellipsoid():
    session = Session(bright(), thresholding())
    session.add(Click(CENTRE))
    assert dice(OBJECT, session.mask_kji) > 0.93


def test_the_network_sees_the_volume_along_r_a_and_s_every_one_and_a_half_mm():
    where = np.moveaxis(np.indices(SHAPE), 0, -1)
    for axis in range(3):
        volume = Volume(GRID.ras_from_kji(where)[..., axis] + 500, GRID)  # above 0, so that all of it counts
        segmenter = thresholding()
        segmenter.predict(volume, (Numbered(1, Click((10, 30, 32))),), np.zeros(SHAPE, np.uint8), None)
        middle = network_of(segmenter).shown[0][0, 0, 12:20, 12:20, 12:20]
        steps = torch.stack([middle.diff(dim=along).mean() for along in range(3)])
        assert int(steps.argmax()) == axis and float(steps[axis]) > 0


def test_the_click_is_told_where_the_network_sees_its_voxel():
    away_mm = (np.indices(SHAPE).T - (10, 30, 40)) * GRID.spacing_kji_mm
    array = 1 + 100 * np.exp(-np.square(away_mm / 4).sum(axis=-1)).T
    segmenter = thresholding()
    mask = np.zeros(SHAPE, np.uint8)
    prompts = (Numbered(1, Click((10, 30, 32))), Numbered(2, Click((10, 30, 40))))
    segmenter.predict(Volume(array, GRID), prompts, mask, None)
    network = network_of(segmenter)
    (points, kinds, _), image = network.said[0], network.shown[0][0, 0]
    brightest = np.unravel_index(int(image.argmax()), image.shape)
    assert np.abs(points[0, 0].numpy() - brightest).max() <= 0.51 and kinds.tolist() == [[POSITIVE]]


# -- the protocol ------------------------------------------------------------------------------------------------------


def test_the_first_click_is_told_a_mask_of_zeros_and_the_next_one_the_logits_answered_before():
    session = Session(bright(), thresholding())
    session.add(Click(CENTRE))
    answered = session.memory.entries[0].dense[0]
    session.add(Click((9, 28, 44)))
    (_, _, first), (points, _, second) = network_of(session._segmenter).said
    assert (first == 0).all()
    told = np.flip(second[0, 0].numpy().transpose(2, 1, 0), (1, 2))  # back from R, A, S; j and i run against them
    agrees = told == pytest.approx(answered, abs=1e-4)
    assert agrees or np.isclose(told, answered, atol=1e-4).mean() > 0.98  # but in cells the mask fills otherwise
    assert points.shape == (1, 1, 3)  # the newest click alone


def test_with_memory_off_the_next_click_is_told_how_full_the_cells_are():
    session = Session(bright(), thresholding(), memory=False)
    session.add(Click(CENTRE))
    session.add(Click((9, 28, 44)))
    told = network_of(session._segmenter).said[1][2]
    assert float(told.max()) == pytest.approx(6.21, abs=0.01) and float(told.min()) == pytest.approx(-6.21, abs=0.01)


def test_a_mask_from_elsewhere_is_told_in_place_of_logits_that_contradict_it():
    window = Window(Grid.from_spacing((48, 48, 48), (1, 1, 1)), (23.5, 23.5, 23.5), EDGE, CELLS)
    logits = np.full((CELLS,) * 3, 1.5, np.float32)
    logits[:8] = -1.5
    here, there = slice(0, 7), slice(9, 16)  # but for the cells at the borders
    row = np.zeros((1, WIDTH + PLACE))
    row[0, -3:] = 23.5
    entry = Interaction(1, "sam-med3d", row, logits[None])
    mask = np.zeros((48, 48, 48), np.uint8)
    mask[:, :24] = 1
    told = known_logits(window.answer, mask, (entry,), window)
    assert np.allclose(told[there, here], 1.5) and np.allclose(told[here, there], -1.5)  # agree with the mask
    assert np.allclose(told[here, here], 6.21, atol=0.01) and np.allclose(told[there, there], -6.21, atol=0.01)


def test_a_region_is_encoded_once_for_all_clicks_in_it_and_for_all_objects_of_the_volume():
    volume, segmenter = bright(), thresholding()
    session = Session(volume, segmenter)
    for click in (Click(CENTRE), Click((9, 28, 44)), Click((9, 40, 33), positive=False), Click((10, 20, 30))):
        session.add(click)
    other = Session(volume, segmenter)
    other.add(Click(CENTRE))
    assert len(network_of(segmenter).shown) == 1 and len(network_of(segmenter).said) == 5


def test_what_is_kept_of_a_volume_goes_with_it():
    segmenter = thresholding()
    session = Session(bright(), segmenter)
    session.add(Click(CENTRE))
    assert len(segmenter._engine._kept) == 1
    del session
    gc.collect()
    assert len(segmenter._engine._kept) == 0


def test_equal_arguments_give_equal_predictions_whatever_was_asked_before():
    volume, prompts = bright(), (Numbered(1, Click(CENTRE)), Numbered(2, Click((9, 28, 44))))
    mask = OBJECT.astype(np.uint8)
    fresh, used = thresholding(), thresholding()
    used.predict(volume, (Numbered(1, Click((4, 10, 10))),), mask, ())
    first, second = (each.predict(volume, prompts, mask, ()) for each in (fresh, used))
    assert first.box == second.box and np.array_equal(first.probability, second.probability)


def test_a_negative_click_takes_away_what_the_network_takes_away():
    session = Session(bright(), thresholding(reach=4.0))
    session.add(MaskPrompt.from_mask(OBJECT))
    session.add(Click(CENTRE, positive=False))
    assert network_of(session._segmenter).said[0][1].tolist() == [[NEGATIVE]]
    assert session.mask_kji[CENTRE] == 0 and 0.5 < session.mask_kji.sum() / OBJECT.sum() < 0.95


def test_a_negative_click_where_nothing_is_asks_the_network_nothing():
    session = Session(bright(), thresholding())
    session.add(Click(CENTRE, positive=False))
    assert not session.mask_kji.any() and not network_of(session._segmenter).said
    session.add(Click(CENTRE))
    assert dice(OBJECT, session.mask_kji) > 0.93


def test_voxels_the_answer_has_no_new_opinion_on_stay_as_they_were_to_the_voxel():
    ragged = OBJECT & (np.indices(SHAPE).sum(axis=0) % 7 != 0)  # holes finer than any cell
    session = Session(bright(), thresholding(reach=4.0))
    session.add(MaskPrompt.from_mask(ragged))
    session.add(Click((9, 28, 46), positive=False))
    far = np.linalg.norm((np.indices(SHAPE).T - (9, 28, 46)) * GRID.spacing_kji_mm, axis=-1).T > 12
    assert session.mask_kji.sum() < ragged.sum()
    assert np.array_equal(session.mask_kji[far], ragged[far])


@pytest.mark.parametrize("positive", [True, False])
def test_the_clicked_voxel_is_as_it_was_clicked_whatever_the_network_says(positive):
    session = Session(bright(), SamMed3DSegmenter(small_sam(), "cpu"))
    session.add(MaskPrompt.from_mask(OBJECT))
    for point in ((9, 28, 33), (2, 5, 60), (19, 59, 0)):
        session.add(Click(point, positive))
        assert session.mask_kji[point] == positive


def test_a_click_at_which_nothing_is_found_sets_its_voxel_and_says_so():
    session = Session(bright(), thresholding(reach=2.0))
    session.add(Click((1, 5, 5)))
    assert session.mask_kji.sum() == 1 and "found nothing at the click" in session.note


def test_a_volume_smaller_than_a_cell_and_one_beside_it_are_no_trouble():
    for shape in ((1, 1, 2), (3, 200, 2)):
        array = np.zeros(shape, np.float32)
        array[..., -1] = 90
        session = Session(Volume(array, Grid.from_spacing(shape, (1, 1, 1))), SamMed3DSegmenter(small_sam(), "cpu"))
        session.add(Click((0, 0, 1)))
        assert session.mask_kji[0, 0, 1] == 1


# -- boxes -------------------------------------------------------------------------------------------------------------


def test_boxes_are_for_weights_that_know_them():
    plain, boxes = thresholding(), thresholding(boxes=True)
    assert plain.card.prompts == {"click", "mask"} and boxes.card.prompts == {"click", "box", "mask"}
    with pytest.raises(PromptError, match="takes no box prompts"):
        Session(bright(), plain).add(BoxPrompt((4, 14, 16), (15, 43, 50)))
    with pytest.raises(PromptError, match="takes no scribble prompts"):
        Session(bright(), boxes).add(Scribble([CENTRE]))


def test_a_box_is_told_by_its_lower_and_its_higher_corner_along_the_axes_the_network_sees():
    session = Session(bright(), thresholding(boxes=True))
    session.add(BoxPrompt((4, 10, 12), (15, 47, 55)))
    points, kinds, _ = network_of(session._segmenter).said[0]
    low, high = points[0].numpy()
    assert kinds.tolist() == [[LOW_CORNER, HIGH_CORNER]] and (low < high).all()
    assert (high - low).tolist() == pytest.approx([42 * 0.7 / 1.5, 36 * 0.9 / 1.5, 10 * 2.5 / 1.5], abs=1e-3)
    assert dice(OBJECT, session.mask_kji) > 0.9
    outside = session.mask_kji.copy()
    outside[4:15, 10:47, 12:55] = 0
    assert not outside.any()


def test_a_box_larger_than_the_window_is_told_up_to_its_faces():
    session = Session(bright(), thresholding(boxes=True))
    session.add(BoxPrompt((0, 0, 0), SHAPE))
    low, high = network_of(session._segmenter).said[0][0][0].numpy()
    assert low.min() >= 0 and high.max() <= EDGE - 1


def test_a_negative_box_empties_itself_without_the_network():
    session = Session(bright(), thresholding(boxes=True))
    session.add(BoxPrompt((0, 0, 0), (5, 5, 5), positive=False))
    session.add(MaskPrompt.from_mask(OBJECT))
    session.add(BoxPrompt((0, 0, 0), (20, 60, 30), positive=False))
    assert session.mask_kji[:, :, :30].sum() == 0 and session.mask_kji[:, :, 30:].sum() == OBJECT[:, :, 30:].sum()
    assert not network_of(session._segmenter).said


# -- memory, undo, the protocol of segmenters --------------------------------------------------------------------------


def test_it_keeps_the_protocol_of_segmenters_and_so_does_the_student():
    for made, name in ((SamMed3DSegmenter, "sam-med3d"), (FastSam3DSegmenter, "fastsam3d")):
        segmenter = made(small_sam(), "cpu")
        assert isinstance(segmenter, Segmenter) and segmenter.card.name == name


def test_memory_keeps_the_prompts_tokens_its_place_and_the_logits():
    session = Session(bright(), SamMed3DSegmenter(small_sam(), "cpu"))
    session.add(Click(CENTRE))
    entry = session.memory.entries[0]
    assert entry.sparse.shape == (1, WIDTH + PLACE) and entry.dense.shape == (1, CELLS, CELLS, CELLS)
    assert entry.sparse[0, WIDTH : WIDTH + 4].tolist() == pytest.approx([9 * 2.5, 28 * 0.9, 33 * 0.7, 1], abs=1e-4)
    assert entry.sparse[0, -3:].tolist() == pytest.approx([9 * 2.5, 28 * 0.9, 33 * 0.7], abs=1e-4)


def test_an_empty_memory_is_no_memory():
    answers = []
    for memory in ((), None):
        prompts = (Numbered(1, Click(CENTRE)),)
        segmenter = SamMed3DSegmenter(small_sam(), "cpu")
        answers.append(segmenter.predict(bright(), prompts, np.zeros(SHAPE, np.uint8), memory))
    assert answers[0].box == answers[1].box and np.array_equal(answers[0].probability, answers[1].probability)


def test_memories_of_a_network_of_another_size_are_passed_over():
    entry = Interaction(1, "sam-med3d", np.zeros((1, 99)), np.full((1, 3, 3, 3), SURE))
    window = Window(GRID, CENTRE, EDGE, CELLS)
    mask = OBJECT.astype(np.uint8)
    assert np.array_equal(
        known_logits(window.answer, mask, (entry,), window), known_logits(window.answer, mask, (), window)
    )


def test_undo_and_the_same_click_again_give_the_same_mask():
    session = Session(bright(), SamMed3DSegmenter(small_sam(), "cpu"))
    session.add(Click(CENTRE))
    session.add(Click((9, 28, 44)))
    after = session.mask_kji.copy()
    session.undo()
    session.add(Click((9, 28, 44)))
    assert np.array_equal(session.mask_kji, after)


def test_a_saved_session_goes_on_as_if_it_had_not_been_closed(tmp_path, monkeypatch):
    from memseg import load_session

    volume, segmenter = bright(), SamMed3DSegmenter(small_sam(), "cpu")
    session = Session(volume, segmenter)
    session.add(Click(CENTRE))
    session.save(tmp_path / "session.memseg")
    monkeypatch.setattr("memseg.build.build", lambda *_: SamMed3DSegmenter(small_sam(), "cpu"))
    again = load_session(tmp_path / "session.memseg", volume)
    for each in (session, again):
        each.add(Click((9, 28, 44), positive=False))
    assert np.array_equal(session.mask_kji, again.mask_kji)


def test_prompts_of_other_models_before_a_click_are_honoured_and_open_no_window():
    volume = bright()
    scribble = Scribble([(2, 50, 10), (2, 50, 20)])
    prompts = (Numbered(1, scribble), Numbered(2, Click(CENTRE)))
    segmenter = thresholding()
    prediction = segmenter.predict(volume, prompts, np.zeros(SHAPE, np.uint8), None)
    assert np.abs(network_of(segmenter).said[0][0].numpy() - (EDGE - 1) / 2).max() < 1e-3
    assert prediction.mask[tuple(np.subtract(CENTRE, prediction.box.start_kji))] == 1
    with pytest.raises(ValueError, match="click or a box"):
        window_of((scribble,), GRID, EDGE, CELLS)
