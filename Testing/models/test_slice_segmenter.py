"""The slice network as a segmenter: its windows lie where they say, and its answers repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_slices import EDGE, small_network

from memseg.errors import ModelError
from memseg.geometry import Grid
from memseg.memory.slices import Recalled, SliceEntry
from memseg.segmenters import slice_weights
from memseg.segmenters.slice_base import Plane, SliceSegmenter
from memseg.segmenters.slice_view import PlaneWindow
from memseg.segmenters.slices import SliceNet
from memseg.volume import Volume

SPACING = (3.0, 1.5, 0.75)  # anisotropic: k, j, i


def volume(shape=(9, 40, 60), spacing=SPACING, seed: int = 0) -> Volume:
    """A bright rod along k in noise."""
    values = np.random.default_rng(seed).normal(0, 5, shape)
    values[2:7, 12:24, 20:44] += 100
    return Volume(values.astype(np.float32), Grid.from_spacing(shape, spacing))


def rod(shape=(40, 60)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[12:24, 20:44] = 1
    return mask


def plane(of: Volume, index: int = 4, mask: np.ndarray | None = None) -> Plane:
    return Plane(index, of.array_kji[index], rod() if mask is None else mask, index * SPACING[0])


def entry(net: SliceNet, of: Volume, index: int, mask: np.ndarray | None = None) -> SliceEntry:
    shown = plane(of, index, mask)
    return SliceEntry("k", index, shown.place_mm, net.card.name, net.features(of, "k", shown))


@pytest.fixture
def net() -> SliceNet:
    return SliceNet(small_network(), "cpu")


class TestWindow:
    def test_it_is_about_twice_as_large_as_the_object_and_round_it(self):
        window = PlaneWindow.around(rod(), (1.5, 0.75), 96)  # the rod is 18 x 18 mm, its middle at 26.25, 23.625
        assert 36 / 2**0.125 <= window.edge_mm <= 36 * 2**0.125
        assert np.abs(np.array(window.middle_mm) - (26.25, 23.625)).max() <= window.edge_mm / 32

    def test_small_changes_of_the_object_leave_it_where_it_is(self):
        other = rod()
        other[24, 30] = 1
        assert PlaneWindow.around(other, (1.5, 0.75), 96) == PlaneWindow.around(rod(), (1.5, 0.75), 96)

    def test_samples_are_never_finer_than_a_quarter_of_a_voxel(self):
        mask = np.zeros((40, 60), np.uint8)
        mask[20, 30] = 1
        assert PlaneWindow.around(mask, (1.5, 0.75), 96).sample_mm == pytest.approx(0.75 / 4)

    def test_an_empty_mask_has_none(self):
        with pytest.raises(ValueError):
            PlaneWindow.around(np.zeros((4, 4), np.uint8), (1.0, 1.0), 16)

    def test_what_is_read_lies_at_its_place_in_mm(self):
        rows, columns = np.meshgrid(np.arange(40) * 1.5, np.arange(60) * 0.75, indexing="ij")
        window = PlaneWindow((30.0, 20.0), 16.0, 32)  # half a mm a sample
        places = (np.arange(32) + 0.5) * 0.5 - 8
        read = window.read(np.stack([rows, columns]), (1.5, 0.75)).numpy()
        assert np.allclose(read[0], (30 + places)[:, None], atol=1e-4)
        assert np.allclose(read[1], 20 + places, atol=1e-4)

    def test_beyond_the_plane_its_border_goes_on_and_is_not_inside(self):
        window = PlaneWindow((0.0, 0.0), 16.0, 16)
        read = window.read(np.arange(40 * 60, dtype=np.float32).reshape(1, 40, 60), (1.5, 0.75))[0]
        inside = window.inside((40, 60), (1.5, 0.75))
        assert read[0, 0] == 0
        assert not inside[:7].any() and not inside[:, :7].any() and inside[8:, 8:].all()

    @given(st.integers(0, 39), st.integers(0, 59), st.sampled_from([8.0, 20.0, 75.0]))
    @settings(max_examples=25, deadline=None)
    def test_what_is_written_comes_back_where_it_was_read(self, row, column, edge_mm):
        mask = np.zeros((40, 60), np.float32)
        mask[max(0, row - 5) : row + 6, max(0, column - 8) : column + 9] = 1
        window = PlaneWindow((row * 1.5, column * 0.75), edge_mm, 96)
        values, (low_row, low_column) = window.write(window.read(mask[None], (1.5, 0.75))[0], mask.shape, (1.5, 0.75))
        rows, columns = values.shape
        there = mask[low_row : low_row + rows, low_column : low_column + columns]
        assert rows and columns and values.shape == there.shape
        assert np.array_equal(values > 0.5, there > 0.5)


class TestSliceNet:
    def test_it_keeps_the_protocol(self, net):
        assert isinstance(net, SliceSegmenter) and net.card.name == "slices"

    def test_it_answers_for_the_whole_plane_and_only_near_the_object(self, net):
        answer = net.follow(volume(), "k", 5, plane(volume()), (), Recalled())
        assert answer.probability.shape == (40, 60) and answer.probability.dtype == np.float32
        assert answer.probability[:2].max() == 0 and answer.probability.max() > 0

    @pytest.mark.parametrize(("axis", "shape"), [("k", (40, 60)), ("j", (9, 60)), ("i", (9, 40))])
    def test_it_follows_along_every_axis(self, net, axis, shape):
        of, mask = volume(), np.zeros(shape, np.uint8)
        mask[2:7, 12:24] = 1
        number = "kji".index(axis)
        image = np.take(of.array_kji, 4, number)
        shown = Plane(4, image, mask, 4 * SPACING[number])
        assert net.follow(of, axis, 5, shown, (), Recalled()).probability.shape == shape

    def test_equal_questions_get_equal_answers_whatever_was_asked_between(self, net):
        of = volume()
        recalled = Recalled((entry(net, of, 4),), (entry(net, of, 4), entry(net, of, 6)))
        ask = lambda: net.follow(of, "k", 5, plane(of), (plane(of, 7),), recalled)  # noqa: E731
        first = ask()
        for index in (2, 3, 5, 6):
            net.follow(of, "k", index, plane(of), (), Recalled())
        assert np.array_equal(ask().probability, first.probability)
        assert np.array_equal(SliceNet(small_network(), "cpu").follow(
            of, "k", 5, plane(of), (plane(of, 7),), recalled).probability, first.probability)  # fmt: skip

    def test_what_is_recalled_counts(self, net):
        of = volume()
        bare = net.follow(of, "k", 5, plane(of), (), Recalled())
        told = net.follow(of, "k", 5, plane(of), (), Recalled((entry(net, of, 3),), ()))
        assert not np.array_equal(bare.probability, told.probability)

    def test_entries_of_another_model_are_not_read(self, net):
        of = volume()
        foreign = replace(entry(net, of, 3), model="slice-geodesic")
        bare = net.follow(of, "k", 5, plane(of), (), Recalled())
        told = net.follow(of, "k", 5, plane(of), (), Recalled((foreign,), (foreign,)))
        assert np.array_equal(bare.probability, told.probability)

    def test_an_agreed_slice_ahead_counts_even_where_it_is_empty(self, net):
        of = volume()
        filled = net.follow(of, "k", 5, plane(of), (plane(of, 7),), Recalled())
        empty = net.follow(of, "k", 5, plane(of), (plane(of, 7, np.zeros((40, 60), np.uint8)),), Recalled())
        assert not np.array_equal(filled.probability, empty.probability)

    def test_the_two_ends_of_an_axis_are_asked_for_without_a_slice_beyond(self, net):
        of = volume()
        for index, previous in ((0, 1), (8, 7)):
            assert np.isfinite(net.follow(of, "k", index, plane(of, previous), (), Recalled()).probability).all()

    def test_units_of_the_image_do_not_matter(self, net):
        of = volume()
        scaled = Volume(of.array_kji * 8 - 1024, of.grid)
        one = net.follow(of, "k", 5, plane(of), (), Recalled())
        other = net.follow(scaled, "k", 5, plane(scaled), (), Recalled())
        assert np.abs(one.probability - other.probability).mean() < 0.01  # bfloat16 rounds to 1 in 256

    def test_an_oblique_grid_changes_nothing(self, net):
        of = volume()
        turn = np.eye(4)
        turn[:3, :3] = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]
        oblique = Volume(of.array_kji, of.grid.transformed(turn))
        one = net.follow(of, "k", 5, plane(of), (), Recalled())
        assert np.allclose(one.probability, net.follow(oblique, "k", 5, plane(oblique), (), Recalled()).probability)


class TestWeights:
    def test_a_network_comes_back_from_its_file(self, tmp_path):
        slice_weights.save(tmp_path / "slices.safetensors", small_network())
        loaded = slice_weights.load(tmp_path / "slices.safetensors")
        assert loaded.config == small_network().config
        for name, value in small_network().state_dict().items():
            assert torch.allclose(loaded.state_dict()[name], value, atol=2e-3), name

    def test_the_file_of_another_model_is_refused(self, tmp_path):
        from small_nano import small_network as small_nano

        from memseg.segmenters import nano_weights

        nano_weights.save(tmp_path / "slices.safetensors", small_nano())
        with pytest.raises(ModelError, match="of another model; put the file of the slices model"):
            slice_weights.load(tmp_path / "slices.safetensors")

    @pytest.mark.parametrize("words", ["{}x", "[]", '{"edge": 20}', '{"widths": [8, 8]}', '{"edge": "16"}'])
    def test_a_configuration_that_is_none_is_refused(self, tmp_path, words, monkeypatch):
        monkeypatch.setattr(slice_weights, "config_to_words", lambda config: words)
        slice_weights.save(tmp_path / "slices.safetensors", small_network())
        with pytest.raises(ModelError):
            slice_weights.load(tmp_path / "slices.safetensors")


def test_the_edge_of_a_window_is_the_network_s():
    assert small_network().config.edge == EDGE
