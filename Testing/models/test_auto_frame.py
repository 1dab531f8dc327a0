"""From voxels to samples along S, A and R and back, and what is done to intensities."""

from __future__ import annotations

import numpy as np
import pytest

from memseg.automatic.frame import Frame, resized, resized_labels
from memseg.automatic.plan import AutoPlan, Intensities, from_record, to_record
from memseg.geometry import Grid
from memseg.networks.segmamba import AutoConfig

LYING = np.array([[0, 0, -2.0, 50], [-1.0, 0, 0, 40], [0, 3.0, 0, 7], [0, 0, 0, 1]])  # i runs to P, j to S, k to L


def test_samples_lie_along_s_a_and_r_however_the_voxels_do():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)  # k to L, j to S, i to P
    frame = Frame.of(Grid(array.shape, LYING), (3.0, 1.0, 2.0))
    assert frame.coarse_sar == (3, 4, 2)
    samples = frame.image(array)
    for k, j, i in np.ndindex(*array.shape):
        assert samples[j, 3 - i, 1 - k] == array[k, j, i]


def test_labels_come_back_to_the_voxels_they_were_in():
    labels = np.random.default_rng(0).integers(0, 3, (2, 3, 4)).astype(np.uint8)
    frame = Frame.of(Grid(labels.shape, LYING), (3.0, 1.0, 2.0))
    assert np.array_equal(frame.returned(frame.labels(labels)), labels)


def test_half_as_many_samples_see_the_same_field_of_view():
    ramp = np.arange(8, dtype=np.float32).reshape(1, 1, 8).repeat(4, 0).repeat(4, 1)
    coarse = resized(ramp, (4, 4, 4))
    assert coarse[0, 0, 1:3] == pytest.approx([2.5, 4.5], abs=0.01)


def test_neighbours_keep_their_common_border_when_it_gets_finer():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[..., :2], labels[..., 2:] = 1, 2
    fine = resized_labels(labels, (8, 8, 8))
    assert (fine[..., :4] == 1).all() and (fine[..., 4:] == 2).all()


def test_a_ball_survives_going_to_coarser_samples_and_back():
    places = np.indices((24, 24, 24)) - 11.5
    ball = ((places**2).sum(axis=0) <= 64).astype(np.uint8)
    back = resized_labels(resized_labels(ball, (12, 12, 12)), (24, 24, 24))
    assert 2 * (ball & back).sum() / (ball.sum() + back.sum()) > 0.93


def test_a_ct_is_cut_and_scaled_by_the_same_numbers_whatever_is_in_it():
    intensities = Intensities("ct", -100, 300, 100, 50)
    assert intensities.normalised(np.array([-1000.0, 100.0, 200.0, 5000.0])).tolist() == [-4.0, 0.0, 2.0, 4.0]


def test_other_images_are_scaled_by_themselves():
    image = np.random.default_rng(0).normal(500, 40, (20, 20, 20))
    normal = Intensities("each").normalised(image)
    assert abs(normal.mean()) < 0.01 and normal.std() == pytest.approx(1, abs=0.01)
    assert np.allclose(Intensities("each").normalised(7 * image + 3), normal, atol=1e-3)


def plan(**changes: object) -> AutoPlan:
    config = AutoConfig("unet", 1, 3, (4, 8), ((3, 3, 3),) * 2, ((1, 1, 1), (1, 2, 2)), (1, 1), (1,))
    fields = {"network": config, "names": ("a", "b"), "spacing_sar_mm": (2.0, 1.0, 1.0), "patch_sar": (3, 4, 4)}
    return AutoPlan(**{**fields, **changes})


def test_a_plan_is_written_down_and_read_again():
    kept = plan(intensities=Intensities("ct", -1, 2, 0.5, 3), mirror=(0, 2, 1))
    assert from_record(to_record(kept)) == kept


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patch_sar": (3, 4, 5)}, "divisible"),
        ({"names": ("a",)}, "class for each"),
        ({"names": ("a", "a")}, "each once"),
        ({"spacing_sar_mm": (0.0, 1.0, 1.0)}, "above 0"),
        ({"mirror": (0, 1, 1)}, "mirror"),
    ],
)
def test_a_plan_that_does_not_fit_itself_cannot_be(changes: dict[str, object], words: str):
    with pytest.raises(ValueError, match=words):
        plan(**changes)
