"""How places look from afar: the same wherever and however a volume is stored, and left is the patient's left."""

import numpy as np
import pytest
from grids import GRIDS, covering, tilted
from phantoms import axis_grid, chest, chest_parts, ras_of, spots

from memseg.geometry import Grid
from memseg.text.locating import search
from memseg.text.places import DIMENSIONS, LEVELS, SPACING_MM, UNKNOWN, interpolated, landscape
from memseg.volume import Volume

CHEST = landscape(chest(GRIDS["along R, A, S"], noise=0))
PLACES = np.array(
    [[70.0, 5, 0], [-75, 5, 10], [75, 10, 10], [0, -65, -20], [0, 40, 20], [-100, 60, -30], [120, -20, 30]]
)


def waves(shape: tuple[int, ...], spacing: float, thick: float, tilt_degrees: float = 0.0) -> Volume:
    """A smooth CT of that shape."""
    steps = (spacing, spacing, thick)
    grid = covering(tilted(tilt_degrees, 0), steps, np.array(shape[::-1]) * steps)
    ras = ras_of(grid)
    values = 60 * np.sin(ras[..., 0] / 9) + 60 * np.cos(ras[..., 1] / 7) - 250 * (ras[..., 0] > 25)
    return Volume(np.rint(values).astype(np.int16), grid)


# -- on any grid -----------------------------------------------------------------------------------------------------


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N,) mean differences of descriptors where both are known."""
    both = (one != UNKNOWN) & (other != UNKNOWN)
    assert both.mean() > 0.8
    return (np.abs(one - other) * both).sum(axis=1) / both.sum(axis=1)


@pytest.mark.parametrize("name", list(GRIDS)[1:])
def test_a_place_looks_the_same_on_every_grid(name):
    assert apart(CHEST.describe(PLACES), landscape(chest(GRIDS[name], noise=0)).describe(PLACES)).max() < 0.06


@pytest.mark.parametrize("name", list(GRIDS))
def test_the_place_across_the_body_looks_less_alike_than_the_same_place_on_another_grid(name):
    seen, sided = landscape(chest(GRIDS[name], noise=0)), PLACES[:3]
    same, across = (apart(CHEST.describe(sided), seen.describe(sided * (sign, 1, 1))) for sign in (1, -1))
    assert (across > 2 * same).all()


@pytest.mark.parametrize("name", list(GRIDS))
def test_a_place_lies_between_the_patients_left_and_right_whatever_the_storage(name):
    """The body of the phantom is an ellipse of 150 by 100 mm: a quarter of the way from the left is 75 mm left."""
    seen = landscape(chest(GRIDS[name], noise=0))
    from_left, from_back, wide, deep = seen.describe(np.array([[-75.0, -50, 0]]))[0, -4:]
    assert from_left == pytest.approx(0.25, abs=0.04) and from_back == pytest.approx(0.25, abs=0.05)
    assert wide * 500 == pytest.approx(300, abs=15) and deep * 500 == pytest.approx(200, abs=15)


@pytest.mark.parametrize("name", ["mirrored", "upside down", "sagittal", "thick slices"])
def test_a_volume_is_like_itself_on_another_grid(name):
    seen, limb = landscape(chest(GRIDS[name], noise=0)), landscape(waves((30, 30, 30), 5.0, 5.0))
    same, other = (np.linalg.norm(each.embedding - CHEST.embedding) for each in (seen, limb))
    assert same < 0.1 and other > 0.6


def test_whole_numbers_and_fractions_look_the_same():
    volume = chest()
    fractions = landscape(Volume(volume.array_kji.astype(np.float32), volume.grid))
    assert np.allclose(fractions.describe(PLACES), landscape(volume).describe(PLACES), atol=1e-6)


def test_of_an_mr_only_the_order_of_intensities_counts():
    volume = spots()
    stretched = Volume((volume.array_kji.astype(np.float32) * 3.7), volume.grid)
    here, there = landscape(volume), landscape(stretched)
    assert here.modality == there.modality == "MR"
    assert np.allclose(here.describe(PLACES), there.describe(PLACES), atol=0.01)


@pytest.mark.parametrize("name", ["along R, A, S", "oblique"])
def test_all_places_of_a_lattice_are_described_as_each_of_them_is(name):
    seen = landscape(chest(GRIDS[name]))
    found = search(seen)
    one_by_one = seen.describe(found.lattice.ras_from_kji(np.argwhere(found.where)))
    assert found.descriptors.shape == one_by_one.shape and np.abs(found.descriptors - one_by_one).max() < 1e-5


# -- levels ----------------------------------------------------------------------------------------------------------


def test_each_level_is_twice_as_coarse_and_keeps_its_place():
    levels = CHEST.levels
    assert [level.spacing_mm for level in levels] == [SPACING_MM * 2**number for number in range(LEVELS)]
    for fine, coarse in zip(levels, levels[1:]):
        first = fine.grid.ras_from_kji(np.array([0.5, 0.5, 0.5]))
        assert np.allclose(coarse.grid.ras_from_kji(np.zeros(3)), first)
        assert np.allclose(coarse.values[:, 0, 0, 0], fine.values[:, :2, :2, :2].mean(axis=(1, 2, 3)), atol=1e-6)


def test_of_hu_how_bright_how_very_bright_and_how_empty():
    array = np.zeros((6, 6, 6), np.int16)
    array[:3], array[3, :3], array[3:, 3:] = -1000, 1000, -150
    seen = landscape(Volume(array, axis_grid((6, 6, 6), (4.0, 4.0, 4.0))))
    assert seen.modality == "CT" and np.array_equal(seen.levels[0].values[:, 0, 0, 0], [0, 0, 1])  # air
    assert seen.levels[0].values[:, 3, 0, 0] == pytest.approx([1, 1, 0])  # bone
    assert seen.levels[0].values[:, 4, 0, 0] == pytest.approx([0.5, 0, 0])  # water
    assert seen.levels[0].values[:, 4, 4, 4] == pytest.approx([0.125, 0, 0])  # half-way from lung to fat


def test_the_body_is_what_is_not_air_with_what_it_encloses():
    volume = chest(noise=0)
    seen = landscape(volume)
    grid = seen.levels[0].grid
    there = np.floor(grid.kji_from_ras(PLACES) + 0.5).astype(int)
    assert seen.body[tuple(there.T)].all()  # lungs too
    outside = np.floor(grid.kji_from_ras(np.array([[170.0, 110, 0], [-160, 0, 0]])) + 0.5).astype(int)
    assert not seen.body[tuple(outside.T)].any()
    whole = chest_parts(volume.grid)["body"].sum() * 216
    assert seen.body.sum() * SPACING_MM**3 == pytest.approx(whole, rel=0.05)


def test_between_samples_values_change_evenly_and_beyond_the_last_not_at_all():
    values = np.array([[0.0, 10], [2, 20], [6, 40]])
    assert interpolated(values, np.array([-1, 0, 0.5, 1.25, 2, 5]), 0).T.tolist() == [
        [0, 0, 1, 3, 6, 6],
        [10, 10, 15, 25, 40, 40],
    ]
    assert interpolated(values, np.array([0.1]), 1).ravel() == pytest.approx([1, 3.8, 9.4])


def test_a_volume_is_looked_at_once():
    volume = chest()
    assert landscape(volume) is landscape(volume)


# -- edges -----------------------------------------------------------------------------------------------------------


def test_what_lies_outside_the_volume_is_unknown():
    assert CHEST.describe(PLACES).shape == (len(PLACES), DIMENSIONS)
    assert (CHEST.describe(np.array([[0.0, 0, 900]])) == UNKNOWN)[:, :-4].all()
    edge = CHEST.sampled(np.array([[0.0, 0, 117.9], [0, 0, 122.5]]), 0)  # it ends at 120
    assert (edge[:, 0] != UNKNOWN).all() and (edge[:, 1] == UNKNOWN).all()


@pytest.mark.parametrize(("slices", "thick"), [(1, 1.0), (1, 5.0), (2, 1.0), (3, 1.0), (3, 5.0)])
def test_places_in_a_few_slices_are_known(slices, thick):
    """From near and from afar; of a slab that lies aslant at least from near."""
    for tilt, levels in ((0, LEVELS), (25, 1)):
        volume = waves((slices, 60, 60), 2.0, thick, tilt)
        seen = landscape(volume)
        within = volume.grid.ras_from_kji(np.array([[(slices - 1) / 2, 20.0, 40.0], [(slices - 1) / 2, 30.0, 30.0]]))
        for number in range(levels):
            assert (seen.sampled(within, number) != UNKNOWN).all(), (tilt, number)
        beyond = within + 40 * volume.grid.ijk_to_ras[:3, 2] / thick
        assert (seen.sampled(beyond, 0) == UNKNOWN).all()


def test_one_slice_looks_at_every_level_like_the_mean_of_what_lies_there():
    array = np.where(np.indices((1, 64, 64))[2] < 32, -1000, 0).astype(np.int16)
    flat = Volume(array, Grid.from_spacing((1, 64, 64), (2.0, 2.0, 2.0)))
    seen = landscape(flat)
    for number in range(LEVELS):
        left, right = seen.sampled(flat.grid.ras_from_kji(np.array([[0, 32, 10], [0, 32, 52.0]])), number).T
        assert left == pytest.approx([0, 0, 1], abs=0.02) and right == pytest.approx([0.5, 0, 0], abs=0.02)


def test_a_volume_without_a_body_has_places_all_the_same():
    array = np.full((5, 5, 5), -1000, np.int16)
    array[0] += 1
    seen = landscape(Volume(array, Grid.from_spacing((5, 5, 5), (4.0, 4.0, 4.0))))
    assert np.isfinite(seen.describe(np.zeros((1, 3)))).all() and np.isfinite(seen.embedding).all()
