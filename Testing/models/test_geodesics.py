"""Geodesic evidence: arrival times by hand, what counts as alike, and what the network is told of a prompt."""

from __future__ import annotations

import math

import pytest
import torch
from small_nano import POINTS, REGION, memories, prompt, small_network

from memseg.networks.geodesics import Seeds, arrival_times, evidence, histogram_ratio
from memseg.networks.parts import folded

EDGE = 8
FAR = 1e6


def start_at(*cells: tuple[int, int, int]) -> torch.Tensor:
    start = torch.full((1, EDGE, EDGE, EDGE), FAR)
    for cell in cells:
        start[0][cell] = 0
    return start


def seeds(*points: tuple[float, float, float], side: float = 1.0) -> Seeds:
    count = len(points)
    return Seeds(
        torch.tensor([points]),
        torch.full((1, count), side),
        torch.arange(count)[None] == 0,
        torch.zeros(1, 2, EDGE, EDGE, EDGE),
    )


def two_halves() -> torch.Tensor:
    """(1, 16, 8^3): samples of -0.5 in the lower half along k and 0.5 in the upper one, in both channels."""
    samples = torch.full((1, 2, 2 * EDGE, 2 * EDGE, 2 * EDGE), -0.5)
    samples[:, :, EDGE:] = 0.5
    return folded(samples)


def no_mask() -> torch.Tensor:
    return torch.zeros(1, 1, 2 * EDGE, 2 * EDGE, 2 * EDGE)


class TestArrival:
    def test_a_straight_way_costs_its_length_and_a_diagonal_one_root_two_or_three_a_cell(self):
        times = arrival_times(torch.ones(1, EDGE, EDGE, EDGE), start_at((0, 0, 0)))[0]
        assert times[0, 0, 5] == pytest.approx(5)
        assert times[0, 5, 5] == pytest.approx(5 * math.sqrt(2), rel=1e-5)
        assert times[5, 5, 5] == pytest.approx(5 * math.sqrt(3), rel=1e-5)
        assert times[1, 0, 5] == pytest.approx(4 + math.sqrt(2), rel=1e-5)

    def test_the_price_is_that_of_the_cell_entered(self):
        price = torch.ones(1, EDGE, EDGE, EDGE)
        price[:, :, :, 3:] = 10
        times = arrival_times(price, start_at((4, 4, 0)))[0]
        assert times[4, 4].tolist() == pytest.approx([0, 1, 2, 12, 22, 32, 42, 52])

    def test_the_way_round_a_wall_is_found(self):
        price = torch.ones(1, EDGE, EDGE, EDGE)
        price[:, :, 1:, 4] = 1000  # a wall along i = 4 with one gap, at j = 0
        times = arrival_times(price, start_at((0, 7, 0)))[0]
        up, down = 4 * math.sqrt(2) + 3, 3 * math.sqrt(2) + 4  # to the gap (j 0, i 4), and from there to j 7, i 7
        assert times[0, 0, 4] == pytest.approx(up, rel=1e-5)
        assert times[0, 7, 7] == pytest.approx(up + down, rel=1e-5)

    def test_the_nearest_of_several_seeds_counts_and_nothing_arrives_without_one(self):
        price = torch.ones(2, EDGE, EDGE, EDGE)
        times = arrival_times(price, torch.cat([start_at((0, 0, 0), (0, 0, 7)), start_at()]))
        assert times[0, 0, 0].tolist() == [0, 1, 2, 3, 3, 2, 1, 0]
        assert (times[1] >= FAR).all()


class TestHistogramRatio:
    def test_what_occurs_inside_alone_speaks_for_the_object_and_what_occurs_outside_alone_against_it(self):
        values = torch.tensor([[-0.9] * 50 + [0.0] * 20 + [0.9] * 50])
        inside = torch.tensor([[True] * 50 + [True, False] * 10 + [False] * 50])
        ratio = histogram_ratio(values, inside)[0]
        assert ratio[0] == 1 and ratio[-1] == -1 and abs(float(ratio[60])) < 1e-5

    @pytest.mark.parametrize("whole", [True, False])
    def test_a_mask_of_all_or_nothing_says_nothing(self, whole):
        assert (histogram_ratio(torch.rand(1, 100), torch.full((1, 100), whole)) == 0).all()


class TestEvidence:
    def test_cells_and_samples_have_the_shapes_and_the_range_of_a_networks_input(self):
        cells, samples = evidence(two_halves(), no_mask(), seeds((-0.5, 0.1, 0.1)))
        assert cells.shape == (1, 9, EDGE, EDGE, EDGE) and samples.shape == (1, 8, EDGE, EDGE, EDGE)
        assert cells.abs().max() <= 1.41 and samples.abs().max() <= 1

    def test_the_other_half_is_unlike_the_click_and_arrives_later_by_evenness_and_by_edges(self):
        cells, samples = evidence(two_halves(), no_mask(), seeds((-0.5, 0.1, 0.1)))
        by_evenness, by_edges, unlike = cells[0, 0], cells[0, 1], cells[0, 6]
        for early_in_own_half in (by_evenness, by_edges, unlike, samples[0, 0]):
            assert early_in_own_half[:4].max() < early_in_own_half[5:].min()

    def test_a_negative_point_fills_the_maps_of_the_surroundings_and_leaves_the_objects_unreached(self):
        positive, _ = evidence(two_halves(), no_mask(), seeds((-0.5, 0.1, 0.1)))
        negative, _ = evidence(two_halves(), no_mask(), seeds((-0.5, 0.1, 0.1), side=-1.0))
        assert torch.equal(negative[0, 2:4], positive[0, 0:2]) and torch.equal(negative[0, 7], positive[0, 6])
        assert (negative[0, 0:2] == negative[0, 0].max()).all() and (positive[0, 2:4] == positive[0, 2].max()).all()
        assert torch.equal(negative[0, 4:6], positive[0, 4:6])  # the newest prompt, whichever side it is on

    def test_earlier_points_count_for_their_side_but_not_as_the_newest(self):
        both, _ = evidence(two_halves(), no_mask(), seeds((-0.5, 0.1, 0.1), (0.5, 0.1, 0.1)))
        alone, _ = evidence(two_halves(), no_mask(), seeds((-0.5, 0.1, 0.1)))
        assert both[0, 6].max() < alone[0, 6].max() and both[0, 0].max() < alone[0, 0].max()
        assert torch.equal(both[0, 4], alone[0, 4])

    def test_points_outside_the_region_and_points_of_no_side_are_not_seen(self):
        nothing, _ = evidence(two_halves(), no_mask(), seeds((-0.5, 0.1, 0.1), side=0.0))
        outside, _ = evidence(two_halves(), no_mask(), seeds((-1.5, 0.1, 0.1)))
        assert torch.equal(nothing, outside) and (nothing[0, :6] == nothing[0, 0, 0, 0, 0]).all()

    def test_a_covered_area_is_where_paths_start(self):
        drawn = seeds((-0.5, 0.1, 0.1))
        drawn.areas[0, 0, 1, 2:6, 3] = 1
        cells, _ = evidence(two_halves(), no_mask(), drawn)
        assert (cells[0, 0, 1, 2:6, 3] == cells[0, 0].min()).all()

    def test_a_region_of_one_intensity_gives_numbers(self):
        cells, samples = evidence(torch.zeros(1, 16, EDGE, EDGE, EDGE), no_mask(), seeds((0.1, 0.1, 0.1)))
        assert torch.isfinite(cells).all() and torch.isfinite(samples).all()


class TestSeedsOfAPrompt:
    def test_a_box_starts_from_its_middle(self):
        corners = torch.tensor([[[-0.5, -0.5, -0.5], [0.5, 0.7, 0.9], [0.0, 0.0, 0.0]]])
        clicked = prompt(corners[:, 0])
        boxed = type(clicked)(
            corners,
            torch.tensor([[3, 4, 3]]),
            clicked.polarity,
            torch.tensor([[True, True, False]]),
            clicked.maps,
            clicked.mask,
            clicked.has_mask,
        )
        found = small_network()._seeds(boxed, None)
        assert found.points[0, 0].tolist() == pytest.approx([0, 0.1, 0.2]) and found.side.tolist() == [[1, 0, 0]]

    def test_remembered_points_join_the_newest_prompts(self):
        found = small_network()._seeds(prompt(torch.zeros(1, 3), positive=False), memories(2))
        assert found.side.tolist() == [[-1, 0, 0, 1, 0, 0, 1, 0, 0]]
        assert found.newest.tolist() == [[True] * POINTS + [False] * 2 * POINTS]
        assert found.areas.shape == (1, 2, REGION // 2, REGION // 2, REGION // 2)
