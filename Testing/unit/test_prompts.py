"""Prompts check themselves when built, know whether they fit a volume, and survive being written down."""

import json

import numpy as np
import pytest
from fakes import turned_grid
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memseg.errors import PromptError
from memseg.geometry import Box
from memseg.prompts import BoxPrompt, Click, Lasso, MaskPrompt, Scribble, Text, check_fits, from_record, to_record

SQUARE = [(3, 1, 1), (3, 1, 8), (3, 8, 8), (3, 8, 1)]


def test_a_click_between_voxels_is_one_on_the_nearest():
    assert Click((1.5, 2.4, -0.5)).point_kji == (2, 2, 0)
    assert Click((1, 2, 3)) == Click((1.0, 2.0, 3.0), positive=True) != Click((1, 2, 3), positive=False)


@pytest.mark.parametrize("point", [(1, 2), (1, 2, np.nan), (1, 2, np.inf), (1, 2, 1e9)])
def test_a_click_without_three_usable_numbers_is_refused(point):
    with pytest.raises(PromptError):
        Click(point)


def test_a_box_one_voxel_thick_is_a_2d_box():
    assert BoxPrompt((3, 0, 0), (4, 9, 9)).flat_axis == "k"
    assert BoxPrompt((0, 2, 0), (9, 3, 9)).flat_axis == "j"
    assert BoxPrompt((0, 0, 0), (9, 9, 9)).flat_axis is None


def test_an_empty_box_is_refused():
    with pytest.raises(PromptError, match="empty"):
        BoxPrompt((3, 3, 3), (3, 9, 9))


def test_repeated_points_of_a_stroke_are_kept_once():
    assert Scribble([(1, 1, 1), (1, 1, 1), (1, 1, 2)]).points_kji == ((1, 1, 1), (1, 1, 2))


@pytest.mark.parametrize("radius", [-1, 101, np.nan])
def test_a_scribble_of_impossible_width_is_refused(radius):
    with pytest.raises(PromptError, match="radius"):
        Scribble([(1, 1, 1)], radius_mm=radius)


def test_a_lasso_may_be_closed_or_open_and_means_the_same():
    assert Lasso(SQUARE) == Lasso([*SQUARE, SQUARE[0]])


def test_a_lasso_on_an_oblique_plane_is_welcome():
    tilted = [(j * 0.5 + i * 0.25, j, i) for _, j, i in SQUARE]
    assert len(Lasso(tilted).points_kji) == 4


def test_a_lasso_without_area_or_out_of_its_plane_is_refused():
    with pytest.raises(PromptError, match="no area"):
        Lasso([(0, 0, 0), (1, 1, 1), (2, 2, 2)])
    with pytest.raises(PromptError, match="at least 3"):
        Lasso([(0, 0, 0), (1, 1, 1)])
    with pytest.raises(PromptError, match="one plane"):
        Lasso([(0, 0, 0), (0, 0, 9), (0, 9, 9), (9, 9, 0)])


def test_text_is_tidied_and_must_say_something():
    assert Text("  left \n kidney ").words == "left kidney"
    with pytest.raises(PromptError, match="empty"):
        Text("   ")
    with pytest.raises(PromptError, match="1000"):
        Text("x" * 1001)


def test_a_mask_prompt_keeps_the_crop_round_the_object():
    mask = np.zeros((6, 7, 8))
    mask[2:4, 3, 5] = 7
    prompt = MaskPrompt.from_mask(mask)
    assert prompt.box == Box((2, 3, 5), (4, 4, 6))
    assert prompt.values.tolist() == [[[1]], [[1]]]


@pytest.mark.parametrize(
    "prompt",
    [
        Click((20, 0, 0)),
        Click((-1, 5, 5)),
        BoxPrompt((0, 0, 28), (5, 5, 40)),
        Scribble([(-9, 1, 1), (-5, 8, 8)]),
        Lasso([(k - 10, j, i) for k, j, i in SQUARE]),
        MaskPrompt.from_mask(np.ones((20, 24, 27))),
    ],
)
def test_prompts_outside_the_volume_do_not_fit_it(prompt):
    with pytest.raises(PromptError):
        check_fits(prompt, turned_grid((20, 24, 28)))


@pytest.mark.parametrize(
    "prompt",
    [
        Click((19, 23, 27)),
        BoxPrompt((-5, -5, 27), (1, 1, 40)),
        Scribble([(-9, 1, 1), (5, 8, 8)]),
        Lasso(SQUARE),
        MaskPrompt.from_mask(np.ones((20, 24, 28))),
        Text("liver"),
    ],
)
def test_prompts_that_touch_the_volume_fit_it(prompt):
    assert check_fits(prompt, turned_grid((20, 24, 28))) is None


coordinate = st.floats(-50, 50).map(lambda value: round(value, 3))
points = st.tuples(coordinate, coordinate, coordinate)
indices = st.tuples(*[st.integers(-50, 50)] * 3)
sizes = st.tuples(*[st.integers(1, 20)] * 3)
any_prompt = st.one_of(
    st.builds(Click, points, st.booleans()),
    st.builds(lambda start, size, sign: BoxPrompt(start, np.add(start, size), sign), indices, sizes, st.booleans()),
    st.builds(Scribble, st.lists(points, min_size=1, max_size=9), st.booleans(), st.floats(0, 100)),
    st.builds(lambda k, sign: Lasso([(k, j, i) for _, j, i in SQUARE], sign), coordinate, st.booleans()),
    st.builds(MaskPrompt.from_mask, arrays(np.uint8, sizes, elements=st.integers(0, 1))),
    st.builds(Text, st.text(min_size=1).filter(str.strip)),
)


@given(any_prompt)
def test_a_prompt_written_as_json_and_read_back_is_equal(prompt):
    assert from_record(json.loads(json.dumps(to_record(prompt)))) == prompt


mask_record = to_record(MaskPrompt.from_mask(np.ones((2, 2, 2))))


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "spell"},
        {"kind": "click"},
        {"kind": "click", "point_kji": "abc"},
        {"kind": "click", "point_kji": [1, 2, 3], "positive": "no"},
        {"kind": "click", "point_kji": [1, 2, 3], "wand": 1},
        {"kind": "box", "start_kji": [0, 0, 0], "stop_kji": None},
        {"kind": "scribble", "points_kji": [[1, 2, 3]], "radius_mm": "wide"},
        {**mask_record, "values": "&&&"},
        {**mask_record, "values": ""},
        {**mask_record, "stop_kji": [3, 2, 2]},
        {**mask_record, "stop_kji": [99999, 99999, 99999], "shape_kji": [99999, 99999, 99999]},
        {"kind": ["click"]},
    ],
)
def test_a_damaged_record_is_a_sentence(record):
    with pytest.raises(PromptError):
        from_record(record)
