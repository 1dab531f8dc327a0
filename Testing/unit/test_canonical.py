"""Volumes turned to right, anterior, superior, and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fakes import turned_grid

from memseg.geometry import Grid
from memseg.segmenters.canonical import Canonical

CUBE = np.arange(4 * 5 * 6).reshape(4, 5, 6)


def grid_of(order: tuple[int, int, int], signs: tuple[int, int, int]) -> Grid:
    """Axis i of the volume runs along the world's axis order[0], j along order[1], k along order[2]."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for column, (to, sign) in enumerate(zip(order, signs)):
        matrix[to, column] = sign
    return Grid((6, 6, 6), matrix)


def test_a_volume_that_runs_along_the_world_has_its_axes_reversed_and_nothing_flipped():
    assert Canonical.of(Grid.from_spacing((4, 5, 6), (3, 2, 1))) == Canonical((2, 1, 0), (False, False, False))


def test_an_oblique_volume_takes_the_nearest_axes():
    assert Canonical.of(turned_grid()) == Canonical((2, 1, 0), (True, True, False))


ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_whatever_the_order_of_its_axes_a_volume_is_shown_with_r_a_and_s_growing(order, signs):
    grid = grid_of(order, signs)
    canonical = Canonical.of(grid)
    where = np.moveaxis(np.indices(grid.shape_kji), 0, -1)
    world = grid.ras_from_kji(where)
    for axis in range(3):
        assert (np.diff(canonical.turned(world[..., axis]), axis=axis) == 1).all()


@pytest.mark.parametrize(("order", "signs"), ORDERS[::5])
def test_what_is_turned_and_returned_is_the_same(order, signs):
    canonical = Canonical.of(grid_of(order, signs))
    assert np.array_equal(canonical.returned(canonical.turned(CUBE)), CUBE)


@pytest.mark.parametrize(("order", "signs"), ORDERS[::5])
def test_points_go_where_their_voxels_go(order, signs):
    canonical = Canonical.of(grid_of(order, signs))
    cube = np.zeros((6, 6, 6))
    cube[1, 2, 5] = 1
    assert np.argwhere(canonical.turned(cube)).tolist() == canonical.points(np.array([[1, 2, 5]]), 6).tolist()
