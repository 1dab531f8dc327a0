"""Where SAM-Med3D looks: what a window samples, how its answer comes back, and objects that take several."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from fakes import ellipsoid
from sam_scenes import CENTRE, GRID, SHAPE, bright, network_of, thresholding
from small_sam import CELLS, EDGE

from memseg.evaluation.metrics import dice
from memseg.geometry import Box, Grid
from memseg.networks.sam_prompts import NEGATIVE, POSITIVE
from memseg.prompts import Click, MaskPrompt
from memseg.segmenters.sam_med3d import Extending
from memseg.segmenters.sam_window import Mosaic, Window, image_of, normalised, window_of
from memseg.session import Session
from memseg.volume import Volume


def long_object() -> tuple[Volume, np.ndarray]:
    """140 mm long where a window has 48, on a grid of 1 mm."""
    shape = (40, 40, 160)
    truth = ellipsoid(shape, (20, 20, 80), (9, 10, 70))
    return bright(truth, Grid.from_spacing(shape, (1, 1, 1))), truth


# -- samples and cells ---------------------------------------------------------------------------------------------


def test_an_answer_on_the_volumes_grid_is_the_published_upsampling():
    grid = Grid.from_spacing((60, 60, 60), (1.5, 1.5, 1.5))
    window = Window(grid, (31.5, 31.5, 31.5), 32, 8)  # samples lie at voxels 16 to 47
    logits = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    expected = functional.interpolate(
        torch.from_numpy(logits)[None, None], (32, 32, 32), mode="trilinear", align_corners=False
    )
    ours = window.answer.written(logits, Box((16, 16, 16), (48, 48, 48)))
    assert np.allclose(ours, expected[0, 0].numpy(), atol=1e-5)


def test_samples_are_linear_between_voxels_and_zero_beside_the_volume():
    ramp = np.indices(SHAPE).transpose(1, 2, 3, 0) @ (1.0, 0.5, 0.25) + 7
    view = Window(GRID, (9.3, 28.0, 33.0), EDGE, CELLS).image
    image = image_of(view, ramp)
    places = [np.clip(view.first_kji[a] + np.arange(EDGE) * view.step_kji[a], 0, SHAPE[a] - 1) for a in range(3)]
    expected = places[0][:, None, None] + 0.5 * places[1][None, :, None] + 0.25 * places[2][None, None, :] + 7
    assert np.allclose(image[view.inside], expected[view.inside], atol=1e-4)
    outside = Window(GRID, (0.0, 0.0, 0.0), EDGE, CELLS).image
    assert (image_of(outside, ramp)[~outside.inside] == 0).all() and not outside.inside.all()


def test_fine_voxels_are_picked_and_not_averaged():
    fine = Grid.from_spacing((200, 8, 8), (0.25, 1.5, 1.5))
    stripes = np.zeros(fine.shape_kji) + (np.arange(200) % 2)[:, None, None]
    view = Window(fine, (100.0, 3.5, 3.5), 8, 4).image  # samples six voxels apart, at 79 to 121
    assert (image_of(view, stripes) == 1).all()


def test_normalisation_counts_values_above_zero_alone():
    image = np.array([-1000, 0, 10, 20, 30], np.float32)
    assert normalised(image).tolist() == pytest.approx([-102, -2, -1, 0, 1])
    assert np.isfinite(normalised(np.full(5, -7.0))).all() and np.isfinite(normalised(np.full(5, 7.0))).all()


# -- windows -----------------------------------------------------------------------------------------------------------


def test_clicks_well_within_a_window_share_it_and_others_open_their_own():
    grid = Grid.from_spacing((200, 200, 200), (1, 1, 1))
    first, near, far = Click((100, 100, 100)), Click((100, 117, 100)), Click((100, 120, 100))  # 18 mm are within
    assert window_of((first,), grid, EDGE, CELLS).image.centre_kji == (100, 100, 100)
    assert window_of((first, near), grid, EDGE, CELLS).image.centre_kji == (100, 100, 100)
    assert window_of((first, far), grid, EDGE, CELLS).image.centre_kji == (100, 120, 100)
    assert window_of((first, far, Click((100, 112, 100))), grid, EDGE, CELLS).image.centre_kji == (100, 120, 100)
    assert window_of((first, far, Click((100, 105, 100))), grid, EDGE, CELLS).image.centre_kji == (100, 100, 100)


def test_an_object_larger_than_a_window_is_found_in_several():
    volume, truth = long_object()
    one = Session(volume, thresholding(extending=Extending(windows=1)))
    one.add(Click((20, 20, 80)))
    assert one.mask_kji[:, :, 56:105].sum() == one.mask_kji.sum() and "goes on beyond" in one.note
    several = Session(volume, thresholding(extending=Extending(windows=5)))
    several.add(Click((20, 20, 80)))
    assert dice(truth, several.mask_kji) > 0.93 and several.note == ""
    assert len(network_of(several._segmenter).shown) == 5


def test_a_further_window_is_clicked_deep_in_the_object_and_told_what_was_answered_so_far():
    volume, _ = long_object()
    session = Session(volume, thresholding(extending=Extending(windows=2)))
    session.add(Click((20, 20, 80)))
    points, kinds, mask = network_of(session._segmenter).said[1]
    assert kinds.tolist() == [[POSITIVE]] and float(points[0, 0, 1]) == pytest.approx(15.5, abs=2)
    half = mask[0, 0].amax(dim=(1, 2)) > 0  # along R: one half was answered before, nothing is known of the other
    assert half.tolist() in ([True] * 8 + [False] * 8, [False] * 8 + [True] * 8)


def test_what_is_cut_away_goes_on_being_cut_away_in_further_windows():
    volume, truth = long_object()
    session = Session(volume, thresholding(extending=Extending(windows=5)))
    session.add(MaskPrompt.from_mask(truth))
    session.add(Click((20, 20, 80), positive=False))
    assert all(kinds.tolist() == [[NEGATIVE]] for _, kinds, _ in network_of(session._segmenter).said)
    assert session.mask_kji.sum() < 0.05 * truth.sum()


def test_a_correction_within_a_large_object_looks_at_one_window():
    volume, _ = long_object()
    session = Session(volume, thresholding(extending=Extending(windows=5), reach=100.0))
    session.add(Click((20, 20, 80)))
    asked = len(network_of(session._segmenter).said)
    network_of(session._segmenter).reach = 4.0
    session.add(Click((20, 20, 78), positive=False))
    assert len(network_of(session._segmenter).said) == asked + 1


def test_windows_that_overlap_count_the_more_the_deeper_a_cell_lies_in_them():
    mosaic = Mosaic(4, {(0, 0, 0): np.full((4, 4, 4), 1.0), (0, 0, 1): np.full((4, 4, 4), -1.0)})
    assert mosaic.reach == 1
    logits, there = mosaic.seen((0, 0, 0), 1)  # 8 cells along i: the first window at 2 to 5, the second at 4 to 7
    assert logits.shape == (8, 8, 8)
    assert logits[4, 4].tolist() == pytest.approx([0, 0, 1, 1, 0.5, -0.5, -1, -1])  # weights 3/4, 1/4 and 1/4, 3/4
    assert there[4, 4].tolist() == [False] * 2 + [True] * 6 and not there[0].any()
    alone, _ = mosaic.seen((0, 0, 1))
    assert alone[0, 0].tolist() == pytest.approx([0.5, -0.5, -1, -1])


def test_a_window_is_the_same_by_its_key_only_where_it_sees_the_same():
    window = Window(GRID, CENTRE, EDGE, CELLS)
    assert window.key == Window(GRID, CENTRE, EDGE, CELLS).key != window.beside(2, 1).key
    assert window.beside(2, 1).beside(2, -1).key == window.key
    middle = window.beside(2, 1).image.centre_kji
    assert (
        middle == pytest.approx((9, 28, 33 + 24 / 0.7)) and replace(window, place=(0, 0, 1)).image.centre_kji == middle
    )
