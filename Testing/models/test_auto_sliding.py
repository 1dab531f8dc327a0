"""A network moved over a volume: where windows lie, how they blend, and that nothing is missed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from memseg.automatic.sliding import blending, needed_bytes, slide, starts, windows


@pytest.mark.parametrize(
    ("side", "window", "expected"),
    [(8, 8, [0]), (9, 8, [0, 1]), (12, 8, [0, 4]), (16, 8, [0, 4, 8]), (17, 8, [0, 3, 6, 9])],
)
def test_windows_overlap_by_half_at_least_and_reach_both_ends(side: int, window: int, expected: list[int]):
    assert starts(side, window) == expected


def test_a_window_counts_one_in_its_middle_and_something_in_its_corners():
    weight = blending((5, 7, 9))
    assert weight[2, 3, 4] == 1
    assert 0 < weight[0, 0, 0] < 0.01
    assert torch.equal(weight, weight.flip(0, 1, 2))


def brighter_than_one(window: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(window), window], dim=1)


@pytest.mark.parametrize("shape", [(16, 11, 9), (8, 8, 8), (3, 20, 5)])
def test_every_voxel_is_judged_by_what_it_is_wherever_windows_meet(shape: tuple[int, int, int]):
    image = np.random.default_rng(0).uniform(0, 2, shape).astype(np.float32)
    *before, last = slide(image, brighter_than_one, 2, (8, 8, 8))
    assert np.array_equal(last.classes, image > 1)
    assert [step.done for step in [*before, last]] == list(range(1, last.of + 1))
    assert all(step.classes is None for step in before)
    assert last.of == windows(shape, (8, 8, 8))


def test_where_windows_disagree_the_one_whose_middle_is_nearer_is_believed():
    answers = iter([(0.0, 1.0), (1.0, 0.0)])

    def look(window: Tensor) -> Tensor:
        return torch.tensor(next(answers))[None, :, None, None, None].expand(1, 2, *window.shape[2:])

    *_, last = slide(np.zeros((8, 8, 12), np.float32), look, 2, (8, 8, 8))
    assert last.classes[0, 0].tolist() == [1] * 6 + [0] * 6


def test_what_surrounds_a_small_volume_is_as_dark_as_its_darkest_voxel():
    seen = []

    def look(window: Tensor) -> Tensor:
        seen.append(window)
        return brighter_than_one(window)

    list(slide(np.full((2, 8, 8), 7, np.float32) - np.eye(8, dtype=np.float32) * 3, look, 2, (6, 8, 8)))
    assert seen[0].shape == (1, 1, 6, 8, 8)
    assert set(seen[0][0, 0, :2].flatten().tolist()) == {4.0}
    assert seen[0][0, 0, 2, 0].tolist() == [4.0] + [7.0] * 7


def test_memory_does_not_grow_with_the_number_of_slices_but_by_their_classes():
    small, large = (needed_bytes((slices, 100, 100), 5, (20, 50, 50)) for slices in (100, 200))
    assert large - small == 100 * 100 * 100
