"""Slices for BiomedParse: which way they are cut, what they are shown, and the exact way back."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st

from memseg.errors import PromptError
from memseg.geometry import Box, Grid
from memseg.modality import named_in
from memseg.segmenters.biomedparse_slices import Stack, Window
from memseg.segmenters.biomedparse_words import WINDOWS, question, site_in
from memseg.volume import Volume


def grid_of(shape: tuple[int, int, int], order=(0, 1, 2), signs=(1, 1, 1)) -> Grid:
    """i, j, k run along the world's axes `order`, forwards or backwards."""
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for column, (axis, sign) in enumerate(zip(order, signs)):
        matrix[axis, column] = sign
    return Grid(shape, matrix)


EVERY_WAY = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


# -- which way ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "signs"), EVERY_WAY)
def test_slices_run_to_the_head_rows_to_the_back_and_columns_to_the_left_however_a_volume_is_stored(order, signs):
    world = {0: 7, 1: 9, 2: 8}  # voxels along R, A and S
    grid = grid_of(tuple(world[axis] for axis in order[::-1]), order, signs)
    stack = Stack.of(grid, 32)
    assert stack.is_axial and stack.shape == (8, 9, 7)
    ras = grid.ras_from_kji(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    towards = [stack.planes(ras[..., axis]) for axis in (2, 1, 0)]
    assert (np.diff(towards[0], axis=0) == 1).all()
    assert (np.diff(towards[1], axis=1) == -1).all() and (np.diff(towards[2], axis=2) == -1).all()


@pytest.mark.parametrize(("order", "signs"), EVERY_WAY)
@pytest.mark.parametrize("shape", [(4, 5, 6), (5, 30, 31), (31, 5, 30), (30, 31, 5)])
def test_planes_go_back_to_their_voxels_and_numbers_to_their_indices(order, signs, shape):
    grid = grid_of(shape, order, signs)
    array = np.arange(np.prod(shape)).reshape(shape)
    stack = Stack.of(grid, 32)
    planes = stack.planes(array)
    assert planes.shape == stack.shape and np.array_equal(stack.back(planes), array)
    for number in range(stack.count):
        point = [0, 0, 0]
        point["kji".index(stack.axis)] = stack.index_of(number)
        assert stack.slice_at(tuple(point)) == number
        assert np.isin(array[tuple(point)], planes[number])
    box = stack.box_of([1, 2])
    assert np.isin(planes[1:3], array[box.slices]).all() and box.size == planes[1:3].size


@pytest.mark.parametrize(
    ("shape", "name", "axis"),
    [
        ((30, 60, 64), "axial", "k"),
        ((300, 200, 180), "axial", "k"),
        ((200, 200, 20), "sagittal", "i"),
        ((200, 20, 200), "coronal", "j"),
        ((1, 64, 64), "axial", "k"),
        ((2, 64, 64), "axial", "k"),
    ],
)
def test_a_volume_is_cut_across_the_body_unless_its_slices_are_others(shape, name, axis):
    stack = Stack.of(Grid.from_spacing(shape, (1, 1, 1)), 512)
    assert (stack.name, stack.axis) == (name, axis) and stack.is_axial == (name == "axial")


# -- what is shown, and read back --------------------------------------------------------------------------------------


def test_a_slice_is_windowed_padded_to_a_square_and_resized():
    array = np.full((2, 40, 30), -150.0)
    array[:, 10:20, 5:15] = 250
    array[0, 0, 0], array[0, 0, 1] = 5000, -2000
    volume = Volume(array, Grid.from_spacing(array.shape, (1, 1, 1)))
    shown = Stack.of(volume.grid, 40).shown(volume, 1, WINDOWS["abdomen"])
    assert shown.shape == (40, 40) and shown.min() == 0 and shown.max() == 255
    # rows run to the back: 40 - 20 = 20 to 30; columns to the left: 5 of padding, then 30 - 15 = 15 to 25
    assert (shown == 255).nonzero().min(dim=0).values.tolist() == [20, 20]
    assert (shown == 255).sum() == 100


def test_a_slice_is_resized_as_whole_numbers_are_in_the_authors_code():
    array = np.random.default_rng(0).integers(0, 256, (3, 50, 44)).astype(np.uint8)
    volume = Volume(array, Grid.from_spacing(array.shape, (1, 1, 1)))
    shown = Stack.of(volume.grid, 128).shown(volume, 0, Window(0, 255))
    turned = np.ascontiguousarray(np.pad(array[0, ::-1, ::-1], ((0, 0), (3, 3))))
    theirs = functional.interpolate(torch.from_numpy(turned)[None, None], size=(128, 128), mode="bicubic")
    assert torch.equal(shown, theirs[0, 0].float())


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 64), columns=st.integers(1, 64), seed=st.integers(0, 99))
def test_a_mask_on_the_networks_pixels_is_exactly_the_mask_it_was_enlarged_from(rows, columns, seed):
    stack = Stack(Stack.of(Grid.from_spacing((3, 9, 9), (1, 1, 1)), 64).canonical, 0, (3, rows, columns), 64)
    plane = np.random.default_rng(seed).integers(0, 2, (rows, columns))
    square = max(rows, columns)
    padded = np.zeros((square, square), int)
    above, left = (square - rows) // 2, (square - columns) // 2
    padded[above : above + rows, left : left + columns] = plane
    centres = ((np.arange(64) + 0.5) * square / 64).astype(int)  # of the pixels, in the padded slice
    assert np.array_equal(stack.cropped(padded[np.ix_(centres, centres)]), plane)


def test_logits_become_probabilities_where_they_lie():
    stack = Stack.of(Grid.from_spacing((3, 24, 32), (1, 1, 1)), 64)
    logits = np.full((16, 16), -8.0, np.float32)
    logits[:, 8:] = 8.0
    plane = stack.read(logits)
    assert plane.shape == (24, 32) and plane.dtype == np.float32
    assert (plane[:, :15] < 0.1).all() and (plane[:, 17:] > 0.9).all()


def test_a_window_that_is_none_is_refused():
    with pytest.raises(ValueError):
        Window(3, 3)
    assert Window(0, 10).grey(np.array([[-5, 0, 5, 10, 99]])).tolist() == [[0, 0, 127, 255, 255]]


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "site"),
    [
        ("left lung", "lung"),
        ("largest nodule", "lung"),
        ("gallbladder", "abdomen"),
        ("bladder", "pelvis"),
        ("prostate", "pelvis"),
        ("Liver tumor", "liver"),
        ("hepatic vessels", "liver"),
        ("colon cancer", "colon"),
        ("pancreas", "pancreas"),
        ("right kidney", "abdomen"),
        ("deliverance", ""),
    ],
)
def test_words_tell_the_part_of_the_body(words, site):
    assert site_in(words) == site


@pytest.mark.parametrize(
    ("words", "kind"),
    [("liver in CT", "CT"), ("T1 brain", "MR"), ("edema, FLAIR", "MR"), ("FDG-PET lesion", "PET"), ("octopus", "")],
)
def test_words_tell_the_kind_of_image(words, kind):
    assert named_in(words) == kind


CT = Volume(np.linspace(-1000, 1000, 24).reshape(2, 3, 4), Grid.from_spacing((2, 3, 4), (1, 1, 1)))


@pytest.mark.parametrize(
    ("words", "kind", "sentence", "window"),
    [
        ("left kidney", "CT", "left kidney in abdominal CT", (-150, 250)),
        ("left lung", "CT", "left lung in chest CT", (-1000, 1000)),
        ("bladder", "CT", "bladder in pelvic CT", (-55, 200)),
        ("hippocampus", "CT", "hippocampus in CT", (-150, 250)),
        ("Liver shown in a CT scan", "CT", "Liver shown in a CT scan", (-25, 230)),
    ],
)
def test_the_kind_of_image_is_added_to_words_and_the_window_follows_the_part_of_the_body(words, kind, sentence, window):
    asked = question(words, CT, kind)
    assert asked.sentence == sentence and (asked.window.low, asked.window.high) == window


def test_what_is_no_ct_is_shown_from_its_darkest_to_its_brightest_above_zero():
    values = np.zeros(2000)
    values[:1001] = np.arange(1001) + 100.0
    volume = Volume(values.reshape(10, 10, 20), Grid.from_spacing((10, 10, 20), (1, 1, 1)))
    asked = question("liver", volume, "MR")
    assert asked.sentence == "liver in MRI"
    assert (asked.window.low, asked.window.high) == pytest.approx((105, 1095))


def test_an_image_below_zero_that_is_no_ct_is_shown_in_all_its_range():
    volume = Volume(-np.arange(24.0).reshape(2, 3, 4), Grid.from_spacing((2, 3, 4), (1, 1, 1)))
    assert question("liver", volume, "MR").window == Window(-23, 0)


def test_an_image_of_unknown_kind_is_asked_about():
    with pytest.raises(PromptError, match="such as 'liver in CT' or 'liver in MR', and it is remembered"):
        question("liver", CT, "")


def test_the_box_of_a_slice_alone_is_one_voxel_thick():
    assert Stack.of(Grid.from_spacing((3, 9, 9), (1, 1, 1)), 64).box_of([1]) == Box((1, 0, 0), (2, 9, 9))
