"""Whether a scan lies as its header says, told by the body in it."""

import numpy as np
import pytest
from phantoms import axis_grid, spots

from memseg.geometry import Grid
from memseg.text.orientation import Trust, Verdict, direction_of, examined, is_default
from memseg.text.query import Direction
from memseg.text.sight import whole_of
from memseg.volume import Volume

LEFT, UP, FRONT = frozenset({Direction.LEFT}), frozenset({Direction.SUPERIOR}), frozenset({Direction.ANTERIOR})


def turned(volume: Volume, *signs: int) -> Volume:
    """The same voxels under a header with R, A, S multiplied by the signs."""
    return Volume(volume.array_kji, Grid(volume.shape_kji, np.diag([*signs, 1]) @ volume.grid.ijk_to_ras))


def whole_chest() -> Volume:
    """A chest whose lungs end inside the volume, wider below than above, with a liver's worth of tissue on the right.

    The lungs are cones; below them the left half holds gas, as stomach and colon do.
    """
    grid = axis_grid((60, 40, 56), (6.0, 6.0, 6.0))
    ras = grid.ras_from_kji(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    image = np.full(grid.shape_kji, -1000, np.float32)
    image[np.square(ras[..., :2] / (150, 100)).sum(axis=-1) <= 1] = 40
    inside = (ras[..., 2] > -60) & (ras[..., 2] < 120)
    width = np.clip((130 - ras[..., 2]) / 190, 0.15, 1)
    for centre, radius in ((75, 55), (-78, 44)):
        image[inside & (np.hypot(ras[..., 0] - centre, ras[..., 1]) < radius * width)] = -820
    image[np.hypot(ras[..., 0], ras[..., 1] + 70) < 18] = 700
    gas = (ras[..., 2] < -70) & (ras[..., 2] > -140) & (ras[..., 0] < -30) & (np.abs(ras[..., 1]) < 50)
    image[gas & (ras[..., 0] > -110)] = -950
    image += np.random.default_rng(0).normal(0, 8, image.shape)
    return Volume(image.astype(np.int16), grid, "whole chest")


CHEST = whole_chest()


def test_a_chest_confirms_its_header():
    assert examined(whole_of(CHEST)) == Trust(Verdict.FITS, Verdict.FITS, Verdict.FITS, False)


@pytest.mark.parametrize(
    ("signs", "wrong", "words"),
    [
        ((-1, 1, 1), ("sides",), "left and right"),
        ((1, -1, 1), ("front",), "front and back"),
        ((1, 1, -1), ("head",), "head and feet"),
        ((-1, -1, 1), ("sides", "front"), "left and right and front and back"),
    ],
)
def test_a_header_that_the_body_contradicts_is_told(signs, wrong, words):
    volume = turned(CHEST, *signs)
    trust = examined(whole_of(volume))
    contradicted = [name for name in ("sides", "front", "head") if getattr(trust, name) is Verdict.CONTRADICTS]
    assert contradicted == list(wrong)
    assert f"({words} seem exchanged)" in trust.sentence(LEFT)
    assert trust.sentence(frozenset()) == ""  # who asked by no direction need not know


def test_what_has_no_lungs_tells_nothing():
    grid = axis_grid((20, 30, 30), (5.0, 4.0, 4.0))
    ras = grid.ras_from_kji(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    limb = np.where(np.hypot(ras[..., 0], ras[..., 1]) < 50, 45, -1000)
    limb[np.hypot(ras[..., 0], ras[..., 1] - 30) < 12] = 800  # a bone in front, as in a shin
    volume = Volume(limb.astype(np.int16), grid)
    trust = examined(whole_of(volume))
    assert trust == Trust() and trust.sentence(LEFT | UP | FRONT) == ""


def test_a_header_that_says_nothing_is_told_where_it_matters():
    volume = spots(Grid.from_spacing((40, 40, 60), (6, 6, 6)))
    trust = examined(whole_of(volume))
    assert trust.default
    assert "does not say how the patient lies, so left and right are those of the image's axes" in trust.sentence(LEFT)
    assert trust.sentence(frozenset()) == ""


def test_only_axes_along_the_world_from_its_origin_are_a_default():
    assert is_default(Grid.from_spacing((4, 4, 4), (8, 1.25, 1.25)))
    assert is_default(Grid((4, 4, 4), np.diag([-1.25, -1.25, 8, 1])))
    assert not is_default(axis_grid())


def test_directions_are_the_patients_on_any_grid():
    mirrored = Grid((4, 4, 4), np.diag([-1.0, -2.0, 3.0, 1.0]))
    assert direction_of(mirrored, Direction.RIGHT) == pytest.approx([0, 0, -1])
    assert direction_of(mirrored, Direction.ANTERIOR) == pytest.approx([0, -2, 0])
    assert direction_of(mirrored, Direction.SUPERIOR) == pytest.approx([3, 0, 0])
