"""Made-up anatomy: the seed decides it, sizes are in range, and thick slices look as they do in scanners."""

import numpy as np
import pytest
import torch

from memseg.training import synthesis
from memseg.training.chance import blurred, choice, generator, smooth
from memseg.training.scenes import Scenes, Window, extent, looked_at, read, written
from memseg.training.shards import Shard
from memseg.training.supply import Supply, _turn

CPU = torch.device("cpu")
EDGE = 24


def source(*seeds: int) -> torch.Generator:
    return generator(CPU, *(seeds or (1,)))


def test_equal_seeds_make_equal_scenes_and_others_make_others():
    first, again, other = (synthesis.synthetic(source(seed), 2, EDGE) for seed in (4, 4, 5))
    assert all(torch.equal(getattr(first, name), getattr(again, name)) for name in Scenes.__dataclass_fields__)
    assert not torch.equal(first.image, other.image)


def test_every_seed_of_a_pair_counts():
    draws = {float(torch.rand(1, generator=source(*seeds))) for seeds in ((1, 2), (2, 1), (1, 3), (0, 0), (1, 2, 0))}
    assert len(draws) == 5


@pytest.mark.parametrize("seed", range(6))
def test_scenes_are_finite_and_their_targets_are_neither_tiny_nor_everything(seed):
    scenes = synthesis.synthetic(source(seed), 4, EDGE)
    voxels = scenes.target.flatten(1).sum(dim=1)
    assert scenes.image.shape == (4, 1, EDGE, EDGE, EDGE) and torch.isfinite(scenes.image).all()
    assert (voxels >= 1).all() and (voxels <= EDGE**3 / 2).all()
    assert (scenes.high > scenes.low).all() and (scenes.spacing > 0).all()
    assert (scenes.native >= scenes.spacing[:, None] - 1e-6).all()


def test_most_targets_have_at_least_fifty_voxels():
    voxels = torch.cat([synthesis.synthetic(source(9, seed), 8, 32).target.flatten(1).sum(dim=1) for seed in range(4)])
    assert (voxels >= 50).float().mean() > 0.8  # thick slices may take some away


def test_label_volumes_hold_many_labels_and_the_painted_ones_among_them():
    labels = synthesis.label_volumes(source(), 4, 32)
    for volume in labels:
        found = torch.unique(volume)
        assert len(found) >= 8 and (found >= synthesis.CELLS).sum() >= 4
    assert int(labels.max()) < synthesis.LABELS


def test_a_target_is_one_label_when_neither_unions_nor_parts_are_asked_for():
    labels = synthesis.label_volumes(source(), 6, 32)
    chosen = synthesis.targets(source(2), labels, (0.0, 0.0))
    for volume, target in zip(labels, chosen):
        values = torch.unique(volume[target])
        assert len(values) == 1 and values[0] > 0
        assert torch.equal(target, volume == values[0])


def test_a_union_holds_two_labels_and_a_part_less_than_one():
    labels = synthesis.label_volumes(source(), 8, 32)
    unions = synthesis.targets(source(3), labels, (1.0, 0.0))
    parts = synthesis.targets(source(3), labels, (0.0, 1.0))
    assert any(len(torch.unique(volume[target])) == 2 for volume, target in zip(labels, unions))
    assert any(target.sum() < (volume == volume[target][0]).sum() for volume, target in zip(labels, parts))


def test_thick_slices_are_constant_in_blocks_and_the_native_spacing_says_along_which_axis():
    scenes = synthesis.synthetic(source(7), 12, EDGE)
    thick = (scenes.native / scenes.spacing[:, None]).round()
    assert ((thick > 1).sum(dim=1) <= 1).all() and (thick > 1).any()
    for target, factors in zip(scenes.target[:, 0], thick):
        for axis in torch.nonzero(factors > 1).flatten().tolist():
            changes = (target.diff(dim=axis) != 0).any(dim=(axis - 1) % 3).any(dim=min((axis + 1) % 3, 1))
            assert changes.sum() <= EDGE // int(factors[axis])


def test_a_blur_keeps_the_mean_and_a_blur_of_nothing_changes_nothing():
    maps = torch.rand(2, 1, 12, 12, 12, generator=source())
    assert torch.allclose(blurred(maps, torch.zeros(2, 3)), maps, atol=1e-6)
    constant = torch.full((1, 1, 12, 12, 12), 3.0)
    assert torch.allclose(blurred(constant, torch.full((1, 3), 2.0)), constant, atol=1e-5)
    spike = torch.zeros(1, 1, 13, 13, 13)
    spike[0, 0, 6, 6, 6] = 1
    spread = blurred(spike, torch.tensor([[1.0, 0.0, 0.0]]))
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert spread[0, 0, 7, 6, 6] == pytest.approx(0.242, abs=0.002) and spread[0, 0, 6, 7, 6] == 0


def test_smooth_fields_vary_slowly():
    field = smooth(source(), 3, 2, 32, 4)
    assert field.shape == (3, 2, 32, 32, 32)
    assert field.diff(dim=-1).abs().mean() < 0.2 * field.std()


def test_a_choice_follows_its_weights():
    weights = torch.tensor([[0.0, 1.0, 3.0]]).expand(4000, -1)
    counts = torch.bincount(choice(source(), weights), minlength=3) / 4000
    assert counts[0] == 0 and counts[2] == pytest.approx(0.75, abs=0.03)


# -- windows -----------------------------------------------------------------------------------------------------------


def scenes_of(image: torch.Tensor, target: torch.Tensor) -> Scenes:
    ones = torch.ones(len(image))
    return Scenes(image, target, torch.ones_like(target), 0 * ones, ones, 2 * ones, 2 * torch.ones(len(image), 3))


def test_a_window_over_the_whole_scene_sees_the_scene():
    image = torch.rand(1, 1, 16, 16, 16, generator=source())
    window = Window(torch.zeros(1, 3), torch.ones(1))
    assert torch.allclose(read(image, window.places(16)), image, atol=1e-5)
    picture, condition, target, inside = looked_at(scenes_of(image, image > 0.5), window, 16)
    assert torch.equal(target > 0.5, image > 0.5) and inside.all()
    assert torch.allclose(picture[:, :1], image * 2 - 1, atol=1e-4)
    assert condition[0, 1:].tolist() == pytest.approx([0, 0, 0], abs=1e-6)  # working and native spacing agree


def test_a_window_shifted_by_half_the_scene_sees_that_half_and_nothing_beyond():
    image = torch.zeros(1, 1, 16, 16, 16)
    image[:, :, 12:] = 1
    window = Window(torch.tensor([[0.5, 0.0, 0.0]]), torch.tensor([0.5]))
    seen = read(image, window.places(8))
    assert (seen[0, 0, :4] == 0).all() and (seen[0, 0, 4:] == 1).all()
    _, _, _, inside = looked_at(
        scenes_of(image, image > 0), Window(torch.tensor([[1.0, 0, 0]]), torch.tensor([0.5])), 8
    )
    assert inside[0, 0, :4].all() and not inside[0, 0, 4:].any()


def test_what_is_written_in_a_window_leaves_the_rest_as_it_was():
    before = torch.zeros(1, 1, 16, 16, 16)
    before[:, :, :2] = 1
    window = Window(torch.tensor([[0.5, 0.5, 0.5]]), torch.tensor([0.5]))
    after = written(torch.ones(1, 1, 8, 8, 8), window, before, torch.ones_like(before))
    assert (after[:, :, 8:, 8:, 8:] == 1).all() and after.sum() == 2 * 256 + 512


def test_the_extent_of_a_mask_reaches_from_face_to_face():
    mask = torch.zeros(2, 1, 16, 16, 16)
    mask[0, 0, 4:8, 0:16, 15] = 1
    low, high = extent(mask)
    assert low[0].tolist() == [-0.5, -1, 0.875] and high[0].tolist() == [0, 1, 1]
    assert (low[1].abs() <= 0.2).all() and (high[1].abs() <= 0.2).all()


# -- from volumes ------------------------------------------------------------------------------------------------------


def shard(labels_only: bool = False) -> Shard:
    labels = np.zeros((20, 30, 40), np.uint8)
    labels[5:15, 8:20, 10:30], labels[2:4, 2:8, 2:8] = 1, 2
    image = labels * 100.0 + np.random.default_rng(0).normal(0, 3, labels.shape)
    return Shard.of(labels, (3.0, 1.0, 1.0), image_kji=None if labels_only else image)


@pytest.mark.parametrize("seed", range(4))
def test_a_cube_cut_from_a_volume_shows_the_object_bright_where_the_target_is(seed):
    scenes = Supply(CPU, EDGE, (shard(),)).from_volume(source(seed))
    assert scenes.target.any() and torch.isfinite(scenes.image).all()
    contrast = scenes.image[scenes.target].mean() - scenes.image[scenes.inside & ~scenes.target].mean()
    assert abs(contrast) > 0.2
    assert not (scenes.target & ~scenes.inside).any()
    assert 0.99 <= scenes.native.min() and scenes.native.max() <= 3.01


def test_objects_keep_their_size_in_mm_whatever_the_spacing_of_the_volume():
    ratios = []
    for seed in range(9):
        scenes = Supply(CPU, EDGE, (shard(),)).from_volume(source(30, seed))
        ratios.append(float(scenes.target.sum() * scenes.spacing**3))
    sizes = sorted(ratios)  # of 10 x 12 x 20 voxels of 3 mm3, or 2 x 6 x 6; stretched by up to a fifth an axis, or cut
    assert 3500 < sizes[-2] < 7200 * 1.7 and min(sizes) < 216 * 1.7


def test_label_maps_are_painted_in_contrasts_that_differ_from_time_to_time():
    supply = Supply(CPU, EDGE, (shard(labels_only=True),))
    first, second = (supply.from_labelmap(source(seed)) for seed in (1, 2))
    assert first.target.any() and not torch.equal(first.image, second.image)


def test_a_mixed_batch_holds_all_kinds_and_a_supply_without_shards_is_synthetic():
    mixed = Supply(CPU, EDGE, (shard(), shard(labels_only=True))).scenes(source(), 6)
    assert len(mixed) == 6 and torch.isfinite(mixed.image).all()
    assert len(Supply(CPU, EDGE).scenes(source(), 3)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_turns_keep_lengths(seed):
    turn = _turn(source(seed), CPU)
    assert torch.allclose(turn @ turn.T, torch.eye(3), atol=1e-5)
