"""The random walker as a peer, and the seeds that it and Grow from seeds start from."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ellipsoid, turned_grid

from memseg.errors import PromptError
from memseg.evaluation.randomwalker import RandomWalker
from memseg.evaluation.seeds import BACKGROUND, OBJECT, seeded_box, seeds_of
from memseg.geometry import Box, Grid
from memseg.prompts import Click, Scribble
from memseg.segmenters.base import Numbered, Segmenter
from memseg.segmenters.region import Region
from memseg.session import Session
from memseg.volume import Volume

SHAPE = (20, 60, 60)
CENTRE = (10, 30, 30)
BLOB = ellipsoid(SHAPE, CENTRE, (5, 12, 12))


def phantom(grid: Grid | None = None) -> Volume:
    image = np.where(BLOB, 100, 0) + np.random.default_rng(5).integers(-4, 5, SHAPE)
    return Volume(image.astype(np.int16), grid or turned_grid(SHAPE, (1.0, 1.0, 2.5)))


def numbered(*prompts: Click | Scribble) -> tuple[Numbered, ...]:
    return tuple(Numbered(number, prompt) for number, prompt in enumerate(prompts, 1))


def overlap(mask: np.ndarray) -> float:
    return 2 * np.count_nonzero(mask & BLOB) / (np.count_nonzero(mask) + np.count_nonzero(BLOB))


# -- seeds -------------------------------------------------------------------------------------------------------------


def test_the_box_is_that_of_all_prompts_widened_by_40_mm():
    volume = Volume(np.arange(200**3).reshape(200, 200, 200), Grid.from_spacing((200,) * 3, (20.0, 2.0, 1.0)))
    box = seeded_box(numbered(Click((100, 100, 100)), Click((100, 110, 190), False)), volume)
    assert box == Box((98, 80, 60), (103, 131, 200))  # 2, 20 and 40 voxels on each side; the volume ends at i = 200


def test_no_prompt_in_the_volume_is_a_sentence():
    with pytest.raises(PromptError, match="click on the image"):
        seeded_box(numbered(Click((-5, 0, 0))), phantom())


def test_clicks_seed_balls_and_the_later_one_wins():
    region = Region(Grid.from_spacing((50, 50, 50), (1.0, 1.0, 1.0)), Box((10, 10, 10), (31, 31, 31)), (1, 1, 1))
    seeds = seeds_of(numbered(Click((20, 20, 20)), Click((20, 20, 22), False)), region, 2.0)
    line = seeds[10, 10]  # k = j = 20
    assert line[7:15].tolist() == [0, OBJECT, OBJECT, *[BACKGROUND] * 5]  # balls from 18 to 22 and from 20 to 24
    assert line[0] == line[20] == BACKGROUND  # the shell


def test_a_ball_smaller_than_a_voxel_is_the_voxel():
    region = Region(Grid.from_spacing((50, 50, 50), (4.0, 4.0, 4.0)), Box((0, 0, 0), (50, 50, 50)), (4, 4, 4))
    seeds = seeds_of(numbered(Click((21, 21, 21))), region, 1.0)
    assert np.argwhere(seeds == OBJECT).tolist() == [[5, 5, 5]]  # 21 // 4


def test_a_scribble_seeds_the_voxels_it_covers():
    region = Region(Grid.from_spacing((50, 50, 50), (1.0, 1.0, 1.0)), Box((10, 10, 10), (40, 40, 40)), (2, 2, 2))
    seeds = seeds_of(numbered(Scribble(((20, 20, 20), (20, 20, 25)))), region, 4.0)
    assert np.argwhere(seeds == OBJECT).tolist() == [[5, 5, 5], [5, 5, 6], [5, 5, 7]]  # 20 to 25, from 10, by twos


def test_the_end_of_the_volume_is_no_shell():
    grid = Grid.from_spacing((50, 50, 50), (1.0, 1.0, 1.0))
    seeds = seeds_of((), Region(grid, Box((0, 10, 10), (40, 40, 40)), (1, 1, 1)), 4.0)
    assert not seeds[0, 15, 15] and seeds[39, 15, 15] == BACKGROUND
    whole = seeds_of((), Region(grid, grid.box, (1, 1, 1)), 4.0)
    assert whole[0, 25, 25] == whole[49, 25, 25] == BACKGROUND  # there must be some


# -- the random walker -------------------------------------------------------------------------------------------------


def test_it_keeps_the_segmenters_protocol():
    assert isinstance(RandomWalker(), Segmenter)


@pytest.mark.parametrize("most_voxels", [60_000, 10_000])
def test_one_click_without_negatives_finds_a_bright_blob(most_voxels):
    session = Session(phantom(), RandomWalker(most_voxels=most_voxels))
    session.add(Click(CENTRE))
    assert overlap(session.mask_kji > 0) > 0.85


def test_a_negative_click_is_background_and_earlier_answers_do_not_stay():
    clicks = [Click(CENTRE), Click((10, 30, 40), positive=False)]
    session, again = (Session(phantom(), RandomWalker()) for _ in range(2))
    for one, other in zip(clicks, reversed(clicks)):
        session.add(one)
        again.add(other)
    assert session.mask_kji[10, 30, 40] == 0 and session.mask_kji[CENTRE] == 1
    np.testing.assert_array_equal(again.mask_kji, session.mask_kji)  # all prompts count, whatever their order


def test_only_negative_clicks_leave_the_mask_empty():
    session = Session(phantom(), RandomWalker())
    session.add(Click(CENTRE, positive=False))
    assert not session.mask_kji.any()


def test_a_volume_too_small_for_background_is_all_object():
    image = np.arange(4 * 4 * 4, dtype=np.int16).reshape(4, 4, 4)
    session = Session(Volume(image, Grid.from_spacing((4, 4, 4), (3.0, 3.0, 3.0))), RandomWalker(seed_radius_mm=1.0))
    session.add(Click((1, 1, 1)))
    assert session.mask_kji.all()


def test_a_region_of_one_value_is_divided_by_distance():
    image = np.zeros((60, 60, 60), np.int16)
    image[0, 0, 0] = 1000  # outside the box of the clicks, since a volume of one value is none
    session = Session(Volume(image, Grid.from_spacing((60, 60, 60), (8.0, 8.0, 8.0))), RandomWalker())
    session.add(Click((40, 40, 38)))
    session.add(Click((40, 40, 42), positive=False))
    assert session.mask_kji[40, 40, 38] == 1 and not session.mask_kji[40, 40, 41:].any()


def test_a_slice_is_a_volume_too():
    image = np.zeros((1, 80, 80), np.int16)
    image[:, 30:50, 30:50] = 100
    session = Session(Volume(image, Grid.from_spacing((1, 80, 80), (5.0, 1.0, 1.0))), RandomWalker())
    session.add(Click((0, 40, 40)))
    assert session.mask_kji[0, 31:49, 31:49].all() and not session.mask_kji[0, :28].any()
