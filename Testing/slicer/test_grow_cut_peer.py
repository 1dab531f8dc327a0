"""Slicer's Grow from seeds as a peer: the real filter from slicer-core, on a phantom it can solve."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ellipsoid, turned_grid

from memseg.evaluation.methods import peer
from memseg.geometry import Grid
from memseg.prompts import Click, Scribble
from memseg.segmenters.base import Segmenter
from memseg.session import Session
from memseg.volume import Volume
from MemSegSlicerLib.GrowCutPeer import GrowCutPeer, growFromSeeds

pytestmark = pytest.mark.slicer

SHAPE = (20, 60, 60)
CENTRE = (10, 30, 30)
BLOB = ellipsoid(SHAPE, CENTRE, (5, 12, 12))


def phantom(grid: Grid | None = None) -> Volume:
    image = np.where(BLOB, 100, 0) + np.random.default_rng(5).integers(-4, 5, SHAPE)
    return Volume(image.astype(np.int16), grid or turned_grid(SHAPE, (1.0, 1.0, 2.5)))


def test_it_keeps_the_segmenters_protocol():
    assert isinstance(GrowCutPeer(), Segmenter)


def test_it_is_found_by_its_entry_point():
    assert isinstance(peer("growcut"), GrowCutPeer)


def test_one_click_grows_to_the_edge_of_a_bright_blob():
    session = Session(phantom(), GrowCutPeer())
    session.add(Click(CENTRE))
    mask = session.mask_kji > 0
    assert 2 * np.count_nonzero(mask & BLOB) / (np.count_nonzero(mask) + np.count_nonzero(BLOB)) > 0.9


def test_a_negative_click_is_background_and_earlier_answers_do_not_stay():
    session = Session(phantom(), GrowCutPeer())
    session.add(Click(CENTRE))
    session.add(Click((10, 30, 39), positive=False))
    assert session.mask_kji[10, 30, 39] == 0
    assert session.mask_kji[CENTRE] == 1
    again = Session(phantom(), GrowCutPeer())
    again.add(Click((10, 30, 39), positive=False))
    again.add(Click(CENTRE))
    np.testing.assert_array_equal(again.mask_kji, session.mask_kji)  # all prompts count, whatever their order


def test_a_scribble_is_a_seed_too():
    session = Session(phantom(), GrowCutPeer())
    session.add(Scribble(((10, 26, 30), (10, 34, 30))))
    assert session.mask_kji[10, 26:35, 30].all()


def test_every_voxel_gets_the_label_of_the_seed_it_is_like():
    image = np.zeros((1, 1, 10), np.int16)
    image[..., 5:] = 100
    seeds = np.zeros((1, 1, 10), np.uint8)
    seeds[0, 0, 0], seeds[0, 0, 9] = 1, 2
    thick = [np.repeat(np.repeat(array, 5, axis=0), 5, axis=1) for array in (image, seeds)]
    labels = growFromSeeds(*thick, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(labels[2, 2], [1] * 5 + [2] * 5)


def test_without_background_seeds_everything_is_object():
    seeds = np.zeros((4, 4, 4), np.uint8)
    seeds[1, 1, 1] = 1
    assert (growFromSeeds(np.zeros((4, 4, 4), np.int16), seeds, (1.0, 1.0, 1.0)) == 1).all()


def test_a_volume_of_three_slices_is_no_background_at_its_ends():
    image = np.zeros((3, 200, 200), np.int16)
    image[:, 80:120, 80:120] = 100
    session = Session(Volume(image, turned_grid((3, 200, 200), (1.0, 1.0, 5.0))), GrowCutPeer())
    session.add(Click((1, 100, 100)))
    assert session.mask_kji[:, 100, 100].all()
    assert not session.mask_kji[:, 61, 61].any()
