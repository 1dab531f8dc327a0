"""The nano network: what goes in, what comes out, and that every prompt tells it something."""

from dataclasses import replace

import pytest
import torch
from small_nano import POINTS, REGION, WIDTH, image, prompt, small_config, small_network

from memseg.networks.image import channels, condition
from memseg.networks.nano import Nano, NanoConfig, count_parameters, drawn_points, with_variant
from memseg.networks.parts import cell_centres, folded, maps_of, sampled, tokens_of, unfolded

CENTRE = torch.zeros(1, 3)


def test_an_answer_has_a_logit_for_every_sample_of_every_region_in_the_batch():
    network = small_network()
    features = network.encode(*image(batch=2))
    assert [tuple(level.shape) for level in features.levels] == [(2, 8, 8, 8, 8), (2, 8, 4, 4, 4), (2, WIDTH, 2, 2, 2)]
    answer = network.answer(features, prompt(torch.zeros(2, 3)))
    assert answer.logits.shape == (2, 1, REGION, REGION, REGION)
    assert answer.coarse.shape == (2, 1, 8, 8, 8) and answer.quality.shape == (2,)
    assert answer.sparse.shape == (2, POINTS, WIDTH) and answer.dense.shape == (2, WIDTH, 2, 2, 2)
    assert answer.attention is None


def test_the_network_that_ships_has_at_most_five_million_parameters_and_looks_at_48_samples():
    config = NanoConfig()
    assert config.region == 48 and config.width == 128
    assert count_parameters(Nano(config)) < 5_000_000


def test_features_of_a_region_serve_any_number_of_prompts():
    network = small_network()
    features = network.encode(*image())
    first = network.answer(features, prompt(CENTRE)).logits
    network.answer(features, prompt(CENTRE + 0.5, positive=False))
    assert torch.equal(network.answer(features, prompt(CENTRE)).logits, first)


def test_the_place_and_the_side_of_a_click_and_the_mask_before_it_change_the_answer():
    network = small_network()
    features = network.encode(*image())
    logits = network.answer(features, prompt(CENTRE)).logits
    mask = torch.zeros(1, 1, REGION, REGION, REGION)
    mask[..., 4:8, 4:8, 4:8] = 1
    for other in (prompt(CENTRE + 0.5), prompt(CENTRE, positive=False), prompt(CENTRE, mask=mask)):
        assert not torch.allclose(network.answer(features, other).logits, logits)


def test_tokens_that_are_not_valid_say_nothing():
    network = small_network()
    features = network.encode(*image())
    given = prompt(CENTRE)
    moved = given.points.clone()
    moved[:, 1:] = 0.9
    assert torch.equal(
        network.answer(features, replace(given, points=moved)).logits, network.answer(features, given).logits
    )


def test_spacing_is_told_to_the_encoder():
    network = small_network()
    picture, _ = image()
    fine = network.encode(picture, condition(torch.tensor([1.0]), torch.ones(1, 3)))
    thick = network.encode(picture, condition(torch.tensor([1.0]), torch.tensor([[6.0, 1.0, 1.0]])))
    assert not torch.allclose(fine.levels[2], thick.levels[2])


def test_samples_of_a_batch_do_not_know_of_each_other():
    network = small_network()
    picture, told = image(batch=2)
    together = network.answer(network.encode(picture, told), prompt(torch.zeros(2, 3))).logits
    alone = network.answer(network.encode(picture[1:], told[1:]), prompt(CENTRE)).logits
    assert torch.allclose(together[1:], alone, atol=1e-4)


def test_folding_keeps_every_voxel_and_unfolds_to_the_same():
    maps = torch.arange(2 * 3 * 4 * 4 * 4.0).reshape(2, 3, 4, 4, 4)
    assert folded(maps).shape == (2, 24, 2, 2, 2)
    assert torch.equal(unfolded(folded(maps)), maps)
    assert folded(maps)[0, :8, 0, 0, 0].tolist() == [0, 1, 4, 5, 16, 17, 20, 21]  # the 2 x 2 x 2 block at the corner


def test_tokens_and_maps_are_the_same_numbers():
    maps = torch.randn(2, 5, 3, 3, 3)
    assert torch.equal(maps_of(tokens_of(maps), 3), maps)
    assert torch.equal(tokens_of(maps)[0, 1], maps[0, :, 0, 0, 1])


def test_sampling_at_a_cells_centre_gives_the_cells_value_with_axes_in_k_j_i_order():
    maps = torch.arange(4.0**3).reshape(1, 1, 4, 4, 4)
    assert torch.allclose(sampled(maps, cell_centres(4)[None])[0, :, 0], torch.arange(64.0), atol=1e-4)
    assert cell_centres(4)[1].tolist() == [-0.75, -0.75, -0.25]


def test_a_drawn_click_peaks_in_its_cell_on_its_side_and_its_tails_are_exactly_zero():
    points = torch.tensor([[[0.125, -0.875, 0.375], [0.9, 0.9, 0.9]]])  # the centres of cells (4, 0, 5); (7, 7, 7)
    drawn = drawn_points(points, torch.tensor([[1.0, -0.5]]), edge=8, spread=1.0)
    assert drawn[0, 0, 4, 0, 5] == 1 and drawn[0, 0].argmax() == (4 * 8 + 0) * 8 + 5
    assert drawn[0, 0, 5, 0, 5] == pytest.approx(0.6065, abs=1e-4)  # exp(-1/2)
    assert drawn[0, 0, 4, 4, 5] == 0 and 0 < drawn[0, 0, 4, 3, 5] < 0.012
    assert drawn[0, 1].max() <= 0.5 and drawn[0, 1].argmax() == 511


def test_overlapping_bumps_take_the_larger_and_points_outside_draw_nothing():
    here = torch.tensor([[[0.125, 0.125, 0.125]] * 2 + [[1.3, 0.0, 0.0]]])
    drawn = drawn_points(here, torch.tensor([[1.0, 0.25, 1.0]]), edge=8, spread=1.0)
    assert torch.equal(drawn[:, 0], drawn_points(here[:, :1], torch.ones(1, 1), 8, 1.0)[:, 0])


def test_a_config_that_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="multiple of 8"):
        small_config(region=20)
    with pytest.raises(ValueError, match="heads"):
        small_config(heads=3)
    with pytest.raises(ValueError, match="variant"):
        with_variant(small_config(), "some")


# -- the image's channels ----------------------------------------------------------------------------------------------

INSIDE = torch.ones(1, 1, 8, 8, 8, dtype=torch.bool)
LOW, HIGH = torch.tensor([0.0]), torch.tensor([100.0])


def test_the_first_channel_places_values_in_the_volumes_range_and_the_second_ranks_them_in_the_region():
    values = torch.arange(512.0).reshape(1, 1, 8, 8, 8) ** 2  # ranks are even, values are not
    made = channels(values, INSIDE, LOW, HIGH)
    assert made[0, 0].flatten()[:11].tolist() == pytest.approx([-1 + 2 * n * n / 100 for n in range(11)], abs=1e-5)
    assert made[0, 0].max() == 1.5
    assert torch.allclose(made[0, 1].flatten(), torch.linspace(-1, 1, 512), atol=0.03)


def test_ranks_are_those_of_the_voxels_inside_and_outside_is_zero():
    values = torch.arange(512.0).reshape(1, 1, 8, 8, 8)
    inside = INSIDE.clone()
    inside[:, :, 4:] = False
    made = channels(values, inside, LOW, HIGH)
    assert (made[:, :, 4:] == 0).all()
    assert made[0, 1, 3, 7, 7] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("value", [0.0, -1000.0, 7e4])
def test_a_region_of_one_value_gives_finite_channels_and_no_ranks(value):
    made = channels(torch.full((1, 1, 8, 8, 8), value), INSIDE, LOW, LOW)
    assert torch.isfinite(made).all() and (made[:, 1] == 0).all()
