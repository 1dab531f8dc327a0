"""A guard: outside it no voxel changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import BlockSegmenter, BlockSlices, ramp_volume

from memseg.geometry import Box, Grid
from memseg.guard import Guard
from memseg.journal import Journal, resume_session
from memseg.prompts import Click, MaskPrompt
from memseg.session import Session
from memseg.volume import MaskChange, Volume

LOW_I = Guard(((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 1 / 5, -1)))
"""Voxels with 0 <= i <= 10, whatever k and j."""


def session_within(guard: Guard | None) -> Session:
    session = Session(ramp_volume(Grid.from_spacing((20, 20, 20), (1.0, 1.0, 1.0))), BlockSegmenter(reach=2))
    session.keep_within(guard)
    return session


class TestGuard:
    def test_a_voxel_is_inside_up_to_the_border_and_on_it(self) -> None:
        assert LOW_I.inside(Box((3, 4, 8), (4, 5, 13))).ravel().tolist() == [True, True, True, False, False]

    def test_a_turned_box_cuts_corners(self) -> None:
        turned = Guard(((0.5, 0.5, 0, -2), (0.5, -0.5, 0, 0), (0, 0, 0, 0)))  # a diamond round k = j = 2
        assert turned.inside(Box((0, 0, 0), (5, 5, 1)))[..., 0].astype(int).tolist() == [
            [0, 0, 1, 0, 0],
            [0, 1, 1, 1, 0],
            [1, 1, 1, 1, 1],
            [0, 1, 1, 1, 0],
            [0, 0, 1, 0, 0],
        ]

    def test_of_a_change_it_leaves_what_is_inside(self) -> None:
        ones = np.ones((1, 1, 4), np.uint8)
        limited = LOW_I.limited(MaskChange(Box((0, 0, 9), (1, 1, 13)), 0 * ones, ones))
        assert limited.box == Box((0, 0, 9), (1, 1, 11))
        assert LOW_I.limited(MaskChange(Box((0, 0, 11), (1, 1, 15)), 0 * ones, ones)).is_empty

    def test_it_is_three_rows_of_four_numbers(self) -> None:
        with pytest.raises(ValueError, match="three rows of four"):
            Guard(((1, 2, 3),))


class TestASessionWithin:
    def test_a_click_at_the_border_fills_only_its_inside(self) -> None:
        session = session_within(LOW_I)
        session.add(Click((8, 8, 10)))
        assert Box.of_mask(session.mask_kji) == Box((6, 6, 8), (11, 11, 11))

    def test_a_negative_click_outside_takes_nothing_away(self) -> None:
        session = session_within(None)
        session.add(Click((8, 8, 10)))
        session.keep_within(LOW_I)
        assert session.add(Click((8, 8, 14), positive=False)).is_empty

    def test_lifted_it_holds_nothing_back(self) -> None:
        session = session_within(LOW_I)
        session.keep_within(None)
        session.add(Click((8, 8, 10)))
        assert Box.of_mask(session.mask_kji) == Box((6, 6, 8), (11, 11, 13))

    def test_an_edit_from_elsewhere_is_taken_as_it_is(self) -> None:
        session = session_within(LOW_I)
        session.add(MaskPrompt.from_mask(np.ones((20, 20, 20), np.uint8)))
        assert session.mask_kji.all()

    def test_propagation_stays_inside(self) -> None:
        values = np.arange(1, 3601, dtype=np.int16).reshape(9, 20, 20)
        volume = Volume(values, Grid.from_spacing(values.shape, (1.0, 1.0, 1.0)))
        session = Session(volume, BlockSegmenter(reach=0), slices=BlockSlices())
        session.add(Click((4, 8, 10)))
        session.keep_within(LOW_I)
        for _ in session.propagate("k", 4):
            pass
        mask = session.mask_kji
        assert not mask[..., 11:].any()
        assert mask[5].sum() == 4  # the pixel and its neighbours above, below and at i = 9; that at i = 11 is outside

    def test_a_journal_brings_it_back(self, tmp_path: Path) -> None:
        volume = ramp_volume(Grid.from_spacing((20, 20, 20), (1.0, 1.0, 1.0)))
        import memseg

        session = memseg.new_session(volume, "geodesic")
        session.keep_journal(Journal.begin(tmp_path / "a.journal", volume, "geodesic", True))
        session.keep_within(LOW_I)
        session.add(Click((8, 8, 9)))
        resumed = resume_session(tmp_path / "a.journal", volume)
        assert resumed.guard == LOW_I
        assert np.array_equal(resumed.mask_kji, session.mask_kji)
