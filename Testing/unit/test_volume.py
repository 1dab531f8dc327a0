"""Volumes refuse what cannot be segmented; mask changes hold just what changed."""

import numpy as np
import pytest
from fakes import ramp_volume, turned_grid
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memseg.errors import VolumeError
from memseg.geometry import Box, Grid
from memseg.volume import MaskChange, Volume


def grid_of(array):
    return Grid(array.shape[:3], np.eye(4))


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((3, 4, 5)), "same value"),
        (np.ones((1, 1, 1)), "same value"),
        (np.array([[[1.0, np.nan], [2.0, 3.0]]]), "not numbers"),
        (np.array([[[1.0, np.inf], [2.0, 3.0]]]), "not numbers"),
        (np.array([[[1.0, -np.inf], [2.0, 3.0]]]), "not numbers"),
        (np.array([[[1j, 2j]]]), "plain numbers"),
        (np.zeros((4, 5)), "2 dimensions"),
        (np.zeros((4, 5, 6, 3)), "colour"),
        (np.zeros((7, 4, 5, 6)), "7 time points"),
    ],
)
def test_what_cannot_be_segmented_is_refused_with_a_sentence(array, sentence):
    grid = grid_of(array) if array.ndim == 3 else Grid((4, 5, 6), np.eye(4))
    with pytest.raises(VolumeError, match=sentence):
        Volume(array, grid)


def test_a_volume_keeps_a_read_only_view_without_copying():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = Volume(array, grid_of(array))
    assert np.shares_memory(volume.array_kji, array)
    assert volume.intensity_range == (0, 23)
    with pytest.raises(ValueError, match="read-only"):
        volume.array_kji[0, 0, 0] = 1
    array[0, 0, 0] = 5  # the caller's own array stays writable


def test_a_fingerprint_follows_the_image_and_not_its_place():
    volume = ramp_volume()
    moved = Volume(volume.array_kji, turned_grid(spacing_ijk_mm=(1, 1, 1)))
    other = Volume(volume.array_kji + 1, volume.grid)
    assert moved.fingerprint == volume.fingerprint != other.fingerprint


masks = arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 1))


@given(masks, masks)
def test_a_change_and_its_inverse_lead_there_and_back(before, after):
    change = MaskChange.between(before, Box.of_shape(before.shape), after)
    mask = before.copy()
    mask[change.box.slices] = change.after
    assert np.array_equal(mask, after)
    mask[change.inverse.box.slices] = change.inverse.after
    assert np.array_equal(mask, before)
    assert change.voxels_changed == np.count_nonzero(before != after)


def test_a_change_is_cut_down_to_the_voxels_that_differ():
    before, after = np.zeros((9, 9, 9), np.uint8), np.zeros((5, 5, 5), np.uint8)
    after[1, 2, 3] = after[1, 4, 3] = 1
    change = MaskChange.between(before, Box((2, 2, 2), (7, 7, 7)), after)
    assert change.box == Box((3, 4, 5), (4, 7, 6))
    assert MaskChange.between(before, Box((0, 0, 0), (9, 9, 9)), before).is_empty
    assert MaskChange.nothing().is_empty
