"""What arithmetic says of the next slice: distances by hand, likeness, the shape between two slices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from memseg.networks.slice_evidence import (
    EVIDENCE_CHANNELS,
    REACH,
    Known,
    evidence,
    interpolated,
    picture,
    signed_distance,
)

EDGE = 32


def square(low: int, high: int, across: int = 0) -> torch.Tensor:
    """(1, EDGE, EDGE), set from low to high (half-open) along both axes, moved along the columns."""
    mask = torch.zeros(1, EDGE, EDGE)
    mask[:, low:high, low + across : high + across] = 1
    return mask


def known(mask: torch.Tensor, image: torch.Tensor | None = None, away: float = 1.0, there: bool = True) -> Known:
    seen = mask.clone() if image is None else image
    return Known(seen, mask, torch.tensor([away]), torch.tensor([there]))


class TestDistance:
    def test_samples_on_either_side_of_the_border_lie_half_a_sample_from_it(self):
        row = signed_distance(square(8, 24))[0, 16]
        assert row[7].item() == -0.5 and row[8].item() == 0.5
        assert row[4].item() == -3.5 and row[11].item() == 3.5

    def test_an_empty_mask_is_far_away_everywhere_and_a_full_one_deep(self):
        assert torch.all(signed_distance(torch.zeros(1, EDGE, EDGE)) == 0.5 - REACH)
        assert torch.all(signed_distance(torch.ones(1, EDGE, EDGE)) == REACH - 0.5)

    @given(st.integers(0, 2**31 - 1), st.floats(0.01, 0.99))
    @settings(max_examples=30, deadline=None)
    def test_it_is_the_euclidean_distance_transform(self, seed, share):
        mask = np.random.default_rng(seed).random((20, 27)) < share
        inside = ndimage.distance_transform_edt(mask) if not mask.all() else np.full(mask.shape, 99.0)
        outside = ndimage.distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, 99.0)
        found = signed_distance(torch.from_numpy(mask).float()[None])[0].numpy()
        assert np.allclose(found[mask], np.minimum(inside, REACH)[mask] - 0.5, atol=1e-4)
        assert np.allclose(found[~mask], 0.5 - np.minimum(outside, REACH)[~mask], atol=1e-4)


class TestBetween:
    def test_half_way_between_two_squares_is_a_square_of_the_middle_size(self):
        shape = interpolated(known(square(12, 20)), known(square(8, 24))) > 0
        assert shape[0, 16].sum().item() == 12 and shape[0, :, 16].sum().item() == 12

    def test_the_nearer_slice_counts_more(self):
        shape = interpolated(known(square(12, 20), away=1), known(square(8, 24), away=3)) > 0
        assert shape[0, 16].sum().item() == 10

    def test_squares_that_do_not_meet_become_one_on_the_way_between(self):
        shape = (interpolated(known(square(4, 12)), known(square(4, 12, across=16))) > 0)[0, 8]
        assert torch.equal(shape.nonzero()[:, 0], torch.arange(12, 20))

    def test_towards_an_empty_slice_an_object_shrinks_to_nothing_half_way(self):
        nothing = torch.zeros(1, EDGE, EDGE)
        early = interpolated(known(square(8, 24), away=1), known(nothing, away=3)) > 0
        half = interpolated(known(square(8, 24), away=2), known(nothing, away=2)) > 0
        assert 0 < early.sum() < 16 * 16
        assert half.sum() == 0


class TestEvidence:
    def of(self, image: torch.Tensor, previous: Known, behind: Known, ahead: Known) -> torch.Tensor:
        return evidence(image, torch.ones(1, EDGE, EDGE, dtype=torch.bool), previous, behind, ahead)[0]

    def test_a_bright_object_looks_like_itself_and_its_surroundings_do_not(self):
        picture_before, picture_now = square(8, 24) * 100, square(10, 26) * 100  # it has moved by two samples
        before = known(square(8, 24), picture_before)
        told = self.of(picture_now, before, before, known(square(0, 0), there=False))
        assert told.shape == (EVIDENCE_CHANNELS, EDGE, EDGE)
        likeness = told[2]
        assert likeness[25, 25] > 0.5 and likeness[9, 9] < -0.5

    def test_a_slice_that_is_not_there_says_nothing(self):
        before = known(square(8, 24), square(8, 24) * 100)
        told = self.of(square(8, 24) * 100, before, before, known(square(8, 24), there=False))
        assert torch.all(told[4] == 0) and torch.all(told[5] == 0) and torch.all(told[6] == 0)

    def test_likeness_does_not_depend_on_the_unit_of_the_image(self):
        noise = torch.rand(1, EDGE, EDGE, generator=torch.Generator().manual_seed(1))
        told = []
        for scale, shift in ((1.0, 0.0), (250.0, -1000.0)):
            before = known(square(8, 24), (square(8, 24) + noise) * scale + shift)
            told.append(self.of((square(9, 25) + noise.flip(1)) * scale + shift, before, before, before)[2])
        assert (told[0] - told[1]).abs().max() < 0.1

    def test_where_a_volume_has_no_voxels_no_intensity_counts(self):
        inside = torch.ones(1, EDGE, EDGE, dtype=torch.bool)
        inside[:, :, :8] = False
        image = square(8, 24) * 100
        wild = torch.where(inside, image, 1e6)
        before = known(square(8, 24), image)
        plain = evidence(image, inside, before, before, before)
        strange = evidence(wild, inside, known(square(8, 24), wild), before, before)
        assert torch.equal(plain[:, 2][inside], strange[:, 2][inside])


def test_pictures_of_slices_shown_together_share_their_ranks():
    dark, bright = torch.zeros(1, EDGE, EDGE), torch.ones(1, EDGE, EDGE)
    inside = torch.ones(1, EDGE, EDGE, dtype=torch.bool)
    shown = picture(torch.stack([dark, bright], dim=1), inside, torch.zeros(1), torch.ones(1))
    assert shown.shape == (1, 2, 2, EDGE, EDGE)
    assert shown[0, 0, 0].unique().tolist() == [-1] and shown[0, 1, 0].unique().tolist() == [1]
    assert shown[0, 0, 1].max() < shown[0, 1, 1].min()


@pytest.mark.parametrize("axis", [1, 2])
def test_distances_are_the_same_whichever_way_a_mask_is_turned(axis):
    mask = torch.zeros(1, EDGE, EDGE)
    mask[:, 3:9, 10:30] = 1
    assert torch.equal(signed_distance(mask.flip(axis)), signed_distance(mask).flip(axis))
