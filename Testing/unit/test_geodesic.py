"""What a user of the geodesic model can rely on, on phantoms whose answer is known. All through a real session."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ellipsoid, turned_grid
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memseg.geometry import Box, Grid
from memseg.memory.interaction import Interaction
from memseg.prompts import BoxPrompt, Click, Lasso, MaskPrompt, Scribble
from memseg.segmenters.base import Numbered, Prediction, Segmenter
from memseg.segmenters.geodesic import Geodesic
from memseg.session import Session
from memseg.volume import Volume

SHAPE = (24, 64, 64)
CENTRE = (12, 30, 34)
GRID = turned_grid(SHAPE, (0.9, 0.9, 2.5))
BLOB = ellipsoid(SHAPE, CENTRE, (6, 15, 13))
TWINS = (ellipsoid(SHAPE, (12, 30, 20), (6, 12, 12)), ellipsoid(SHAPE, (12, 30, 42), (6, 12, 12)))  # share a wall


def phantom(objects: np.ndarray, grid: Grid = GRID, brightness: int = 100, noise: float = 6.0) -> Volume:
    """Bright objects on 0, with seeded noise."""
    image = np.where(objects, brightness, 0) + np.random.default_rng(7).normal(0, noise, objects.shape)
    return Volume(image.astype(np.int16), grid)


def session_on(volume: Volume, memory: bool = True) -> Session:
    return Session(volume, Geodesic(), memory=memory)


def dice(truth: np.ndarray, mask: np.ndarray) -> float:
    return 2 * np.count_nonzero(truth & (mask > 0)) / (np.count_nonzero(truth) + np.count_nonzero(mask))


def predict(volume: Volume, *prompts: object, mask: np.ndarray | None = None, memory: object = None) -> Prediction:
    numbered = tuple(Numbered(number, prompt) for number, prompt in enumerate(prompts, 1))
    empty = np.zeros(volume.shape_kji, np.uint8)
    return Geodesic().predict(volume, numbered, empty if mask is None else mask, memory)


def test_it_keeps_the_protocol_and_takes_every_prompt_but_text():
    assert isinstance(Geodesic(), Segmenter)
    assert Geodesic().card.prompts == {"click", "box", "scribble", "lasso", "mask"}


@pytest.mark.parametrize("brightness", [100, -100])
def test_one_click_segments_a_blob_on_an_oblique_anisotropic_grid(brightness):
    session = session_on(phantom(BLOB, brightness=brightness))
    session.add(Click(CENTRE))
    assert dice(BLOB, session.mask_kji) > 0.9


def test_a_click_off_the_middle_does_nearly_as_well():
    session = session_on(phantom(BLOB))
    session.add(Click((10, 23, 28)))
    assert dice(BLOB, session.mask_kji) > 0.85


def test_a_negative_click_in_a_touching_twin_takes_the_twin_away():
    both = TWINS[0] | TWINS[1]
    session = session_on(phantom(both))
    session.add(MaskPrompt.from_mask(both.astype(np.uint8)))
    session.add(Click((12, 30, 42), positive=False))
    assert dice(TWINS[0], session.mask_kji) > 0.8
    assert session.mask_kji[12, 30, 42] == 0
    assert session.mask_kji[12, 30, 20] == 1


def test_a_positive_click_adds_the_part_that_was_missed():
    both = TWINS[0] | TWINS[1]
    session = session_on(phantom(both))
    session.add(MaskPrompt.from_mask(TWINS[0].astype(np.uint8)))
    session.add(Click((12, 30, 44)))
    assert dice(both, session.mask_kji) > 0.85


def test_a_correction_leaves_a_distant_part_of_the_mask_as_it_was():
    shape = (24, 64, 160)
    near, far = ellipsoid(shape, (12, 30, 24), (6, 13, 13)), ellipsoid(shape, (12, 30, 130), (6, 13, 13))
    volume = phantom(near | far, turned_grid(shape, (0.9, 0.9, 2.5)))
    drawn = (near | far).astype(np.uint8)
    drawn[12, 38:44, 126:134] = 1 - drawn[12, 38:44, 126:134]  # an oddity the user wanted
    session = session_on(volume)
    session.add(MaskPrompt.from_mask(drawn))
    session.add(Click((12, 30, 24), positive=False))
    assert session.mask_kji[12, 30, 24] == 0
    np.testing.assert_array_equal(session.mask_kji[:, :, 100:], drawn[:, :, 100:])


def test_a_click_on_what_is_already_so_changes_nothing():
    session = session_on(phantom(BLOB))
    session.add(Click(CENTRE))
    mask = session.mask_kji.copy()
    assert session.add(Click((12, 32, 34))).is_empty
    assert session.add(Click((2, 3, 3), positive=False)).is_empty
    np.testing.assert_array_equal(session.mask_kji, mask)


def test_a_negative_click_on_an_empty_mask_leaves_it_empty():
    session = session_on(phantom(BLOB))
    session.add(Click(CENTRE, positive=False))
    assert not session.mask_kji.any()


def test_what_lies_far_from_the_region_has_no_influence():
    """The work is done in a region: a volume that goes on beyond it gives the same mask."""
    long = (24, 64, 700)
    objects = np.zeros(long, bool)
    objects[:, :, :64] = BLOB
    grid = turned_grid(long, (0.9, 0.9, 2.5))
    volume = phantom(objects, grid)
    changed = volume.array_kji.copy()
    changed[:, :, 450:] = 1000
    answers = [predict(each, Click(CENTRE)) for each in (volume, Volume(changed, grid))]
    assert answers[0].box == answers[1].box
    np.testing.assert_array_equal(answers[0].probability, answers[1].probability)
    assert answers[0].box.size < volume.array_kji.size / 4


def test_equal_arguments_give_equal_answers():
    volume = phantom(TWINS[0] | TWINS[1], noise=30)
    runs = []
    for _ in range(2):
        session = session_on(volume)
        for click in (Click((12, 30, 20)), Click((12, 30, 50), positive=False), Click((12, 22, 14))):
            session.add(click)
        runs.append((session.mask_kji.copy(), [entry.sparse for entry in session.memory]))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


def test_no_memory_and_an_empty_memory_give_the_same_answer():
    volume = phantom(TWINS[0] | TWINS[1], noise=30)
    mask = TWINS[0].astype(np.uint8)
    prompts = (Click((12, 30, 20)), Click((12, 30, 44)))
    without, empty = (predict(volume, *prompts, mask=mask, memory=memory) for memory in (None, ()))
    assert without.box == empty.box
    np.testing.assert_array_equal(without.probability, empty.probability)


def test_the_memory_holds_polarity_place_and_intensities_of_what_changed():
    answer = predict(phantom(BLOB, noise=0.0), Click(CENTRE))
    row = answer.sparse[0]
    changed = np.argwhere(answer.mask) + answer.box.start_kji
    assert row.shape == (14,)
    assert row[0] == 1
    np.testing.assert_allclose(row[1:4], GRID.ras_from_kji(changed.mean(axis=0)), atol=0.01)
    assert row[4] == pytest.approx(np.log1p(len(changed)))
    assert row[10] == 100  # the median of an even blob


def test_a_remembered_appearance_counts_as_evidence():
    volume = phantom(TWINS[0] | TWINS[1], noise=30)
    prompts = (Click((12, 30, 20)), Click((12, 30, 44)))
    mask = TWINS[0].astype(np.uint8)
    row = np.array([[-1, 0, 0, 0, 8, 100, 10, 85, 88, 94, 100, 106, 112, 115]], np.float32)
    plain = predict(volume, *prompts, mask=mask)
    remembering = predict(volume, *prompts, mask=mask, memory=(Interaction(1, "geodesic", row),))
    same = plain.box == remembering.box and np.array_equal(plain.probability, remembering.probability)
    assert not same


@pytest.mark.parametrize("corner", [(0, 0, 0), (23, 63, 63), (0, 63, 0)])
def test_a_click_in_a_corner_of_the_volume_is_answered(corner):
    session = session_on(phantom(BLOB))
    session.add(Click(corner))
    assert session.mask_kji[corner] == 1


def test_even_surroundings_are_answered_too():
    image = np.zeros(SHAPE, np.float32)
    image[0, 0, 0] = 1
    session = session_on(Volume(image, GRID))
    session.add(Click(CENTRE))
    assert session.mask_kji[CENTRE] == 1
    session.add(Click((12, 30, 36), positive=False))
    assert session.mask_kji[12, 30, 36] == 0


@pytest.mark.parametrize("shape", [(1, 40, 40), (40, 1, 40), (1, 1, 40), (2, 2, 2)])
def test_thin_volumes_are_answered(shape):
    image = np.zeros(shape, np.int16)
    image[tuple(slice(0, max(1, size // 2)) for size in shape)] = 50
    session = session_on(Volume(image, turned_grid(shape)))
    session.add(Click((0, 0, 0)))
    session.add(Click(tuple(size - 1 for size in shape), positive=False))
    assert session.mask_kji[0, 0, 0] == 1
    assert session.mask_kji[-1, -1, -1] == 0


def test_an_object_of_one_voxel_can_be_had_by_a_click_and_a_box():
    image = np.zeros(SHAPE, np.int16)
    image[CENTRE] = 100
    session = session_on(Volume(image, GRID))
    session.add(BoxPrompt(CENTRE, tuple(index + 1 for index in CENTRE)))
    assert session.mask_kji[CENTRE] == 1
    assert session.mask_kji.sum() == 1


def test_a_box_round_the_object_segments_it_and_bounds_it():
    box = Box.of_mask(BLOB)
    session = session_on(phantom(BLOB))
    session.add(BoxPrompt(box.start_kji, box.stop_kji))
    assert dice(BLOB, session.mask_kji) > 0.9
    outside = session.mask_kji.copy()
    outside[box.slices] = 0
    assert not outside.any()


def test_a_box_on_one_slice_bounds_the_object_there_only():
    box = Box.of_mask(BLOB)
    session = session_on(phantom(BLOB))
    session.add(BoxPrompt((12, *box.start_kji[1:]), (13, *box.stop_kji[1:])))
    assert dice(BLOB, session.mask_kji) > 0.8
    on_slice = session.mask_kji[12].copy()
    on_slice[box.slices[1:]] = 0
    assert not on_slice.any()


def test_a_box_round_a_part_of_the_mask_takes_the_rest_away():
    session = session_on(phantom(TWINS[0] | TWINS[1]))
    session.add(MaskPrompt.from_mask((TWINS[0] | TWINS[1]).astype(np.uint8)))
    left = Box.of_mask(TWINS[0])
    session.add(BoxPrompt(left.start_kji, left.stop_kji))
    kept = np.zeros(SHAPE, bool)
    kept[left.slices] = (TWINS[0] | TWINS[1])[left.slices]
    np.testing.assert_array_equal(session.mask_kji > 0, kept)


def test_a_negative_box_empties_itself_and_nothing_else():
    session = session_on(phantom(BLOB))
    session.add(MaskPrompt.from_mask(BLOB.astype(np.uint8)))
    session.add(BoxPrompt((0, 0, 34), (24, 64, 64), positive=False))
    expected = BLOB.copy()
    expected[:, :, 34:] = False
    np.testing.assert_array_equal(session.mask_kji > 0, expected)


def test_a_scribble_and_a_lasso_segment_and_their_voxels_are_kept():
    for prompt in (
        Scribble(((12, 24, 30), (12, 36, 38)), radius_mm=1.5),
        Lasso(((12, 24, 28), (12, 24, 40), (12, 36, 40), (12, 36, 28))),
    ):
        session = session_on(phantom(BLOB))
        session.add(prompt)
        assert dice(BLOB, session.mask_kji) > 0.85
        assert session.mask_kji[12, 30, 34] == 1


def test_a_mask_overrules_the_prompts_before_it():
    session = session_on(phantom(TWINS[0] | TWINS[1]))
    session.add(Click((12, 30, 42)))
    session.add(MaskPrompt.from_mask(TWINS[0].astype(np.uint8)))
    session.add(Click((12, 41, 20), positive=False))
    assert session.mask_kji[12, 30, 42] == 0
    assert session.mask_kji[12, 41, 20] == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 19), st.integers(0, 21), st.booleans()),
        min_size=1,
        max_size=6,
        unique_by=lambda click: click[:3],
    )
)
def test_every_positive_click_is_in_the_mask_and_every_negative_one_is_not(clicks):
    shape = (10, 20, 22)
    image = np.random.default_rng(3).integers(0, 50, shape).astype(np.int16)
    image[2:8, 4:15, 4:15] += 60
    session = session_on(Volume(image, turned_grid(shape)))
    for k, j, i, positive in clicks:
        session.add(Click((k, j, i), positive))
    for k, j, i, positive in clicks:
        assert session.mask_kji[k, j, i] == positive
