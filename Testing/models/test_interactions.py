"""The simulated user points where the mask is wrong, in every way a user can."""

import pytest
import torch

from memseg.networks.nano import KINDS
from memseg.training.chance import generator
from memseg.training.interactions import BOX, CLICK, LASSO, SCRIBBLE, Habits, depth_of, gesture, rendered
from memseg.training.scenes import Window

CPU, EDGE, POINTS, REGION = torch.device("cpu"), 24, 3, 16
WHOLE = Window(torch.zeros(1, 3), torch.ones(1))


def block(low: int, high: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, EDGE, EDGE, EDGE, dtype=torch.bool)
    mask[..., low:high, low:high, low:high] = True
    return mask


NOTHING = torch.zeros_like(block(0, 1))


def only(kind: int, **changes) -> Habits:
    chances = tuple(float(kind == each) for each in range(4))
    return Habits(first=chances, later=chances, slip=0.0, **changes)


def at(mask: torch.Tensor, point: torch.Tensor) -> bool:
    k, j, i = ((point + 1) * EDGE / 2).floor().long().tolist()
    return bool(mask[0, 0, k, j, i])


def made(seed: int, target: torch.Tensor, mask: torch.Tensor, habits: Habits):
    return gesture(generator(CPU, seed), target, mask, habits, first=not mask.any(), points=POINTS)


def test_depth_counts_inwards_from_the_border_and_the_scenes_faces_bound_nothing():
    depth = depth_of(block(4, 11))
    assert depth[0, 0, 7, 7, 7] == 4 and depth[0, 0, 4, 7, 7] == 1 and depth[0, 0, 3, 7, 7] == 0
    assert depth_of(torch.ones_like(NOTHING)).min() == 12


def test_a_steady_user_clicks_the_deepest_voxel():
    click = made(1, block(4, 11), NOTHING, Habits.steady())
    assert click.kind.item() == CLICK and click.positive.item()
    assert click.points[0, 0].tolist() == pytest.approx([(7 + 0.5) / 12 - 1] * 3)
    assert click.valid.tolist() == [[True, False, False]]


@pytest.mark.parametrize("seed", range(12))
def test_corrections_lie_in_the_error_and_their_side_is_that_of_the_truth(seed):
    target, mask = block(4, 14), block(8, 20)
    correction = made(seed, target, mask, only(CLICK))
    point = correction.points[0, 0]
    assert at(target ^ mask, point)
    assert correction.positive.item() == at(target, point)


def test_both_kinds_of_error_are_met():
    sides = {made(seed, block(4, 14), block(8, 20), only(CLICK, deep=0.0)).positive.item() for seed in range(20)}
    assert sides == {True, False}


def test_points_near_the_border_are_at_the_errors_border():
    for seed in range(5):
        point = made(seed, block(4, 16), NOTHING, only(CLICK, deep=0.0, border=1.0)).points[0, 0]
        k, j, i = ((point + 1) * EDGE / 2).floor().long().tolist()
        assert 4 in (k, j, i) or 15 in (k, j, i)


def test_a_user_who_slips_clicks_beside_but_not_far():
    habits = Habits(1.0, 0.0, 1.0, (1.0, 0, 0, 0), (1.0, 0, 0, 0))
    distances = []
    for seed in range(20):
        point = made(seed, block(9, 14), NOTHING, habits).points[0, 0]
        distances.append(float((point - ((11 + 0.5) / 12 - 1)).norm()) * EDGE / 2)
    assert max(distances) > 0.3 and max(distances) < 7


def test_where_nothing_is_wrong_a_click_confirms_the_object():
    confirmed = made(3, block(4, 12), block(4, 12), only(SCRIBBLE))
    assert confirmed.kind.item() == CLICK and confirmed.positive.item()
    assert at(block(4, 12), confirmed.points[0, 0])


def test_a_stroke_stays_in_its_area():
    target = block(6, 18)
    stroke = made(2, target, NOTHING, only(SCRIBBLE))
    assert stroke.valid.all() and all(at(target, point) for point in stroke.points[0])
    prompt = rendered(stroke, WHOLE, torch.zeros(1, 1, REGION, REGION, REGION), REGION)
    covered = prompt.maps[0, 0] > 0
    within = torch.nn.functional.max_pool3d(target.float(), 3)[0, 0] > 0  # 24 voxels to 8 cells
    assert covered.any() and not (covered & ~within).any()
    assert not prompt.maps[0, 1:].any()
    assert prompt.kinds.tolist() == [[KINDS.index("scribble")] * 3]


@pytest.mark.parametrize("kind", [SCRIBBLE, LASSO])
def test_a_stroke_or_lasso_that_corrects_one_kind_of_error_keeps_out_of_the_other(kind):
    target, mask = block(4, 14), block(8, 20)
    for seed in range(6):
        drawn = made(seed, target, mask, only(kind))
        assert all(at(target, point) == drawn.positive.item() for point in drawn.points[0])


def test_a_lasso_lies_in_one_plane():
    lasso = made(2, block(6, 18), NOTHING, only(LASSO))
    axis = lasso.axis.item()
    assert torch.unique(lasso.points[0, :, axis]).numel() == 1
    covered = rendered(lasso, WHOLE, torch.zeros(1, 1, REGION, REGION, REGION), REGION).maps[0, 0]
    along = torch.nonzero(covered)[:, axis]
    assert covered.sum() >= 9 and along.max() - along.min() <= 1


def test_a_box_holds_the_target_and_its_corners_are_two_kinds_of_token():
    target = block(6, 18)
    for seed in range(6):
        box = made(seed, target, NOTHING, only(BOX))
        low, high = box.points[0, 0], box.points[0, 1]
        flat = torch.isclose(high - low, torch.tensor(2 / EDGE), atol=1e-5)
        assert (low <= 6 / 12 - 1 + 1e-6)[~flat].all() and (high >= 18 / 12 - 1 - 1e-6)[~flat].all()
        prompt = rendered(box, WHOLE, torch.zeros(1, 1, REGION, REGION, REGION), REGION)
        assert prompt.kinds[0, :2].tolist() == [KINDS.index("box_low"), KINDS.index("box_high")]
        assert prompt.valid.tolist() == [[True, True, False]]
        assert prompt.maps[0, 2].any() or flat.any()
        assert box.drawn_again.tolist() == [[0, 0, 0]]


def test_a_gesture_is_seen_from_the_window_and_the_mask_it_met_goes_along():
    click = made(1, block(4, 11), NOTHING, Habits.steady())
    window = Window(click.points[:, 0] - 0.25, torch.tensor([0.5]))
    mask = torch.zeros(1, 1, REGION, REGION, REGION)
    prompt = rendered(click, window, mask, REGION)
    assert prompt.points[0, 0].tolist() == pytest.approx([0.5] * 3) and prompt.has_mask.item() == 0
    mask[..., 3] = 1
    assert rendered(click, window, mask, REGION).has_mask.item() == 1


def test_equal_seeds_make_equal_gestures_of_every_kind():
    for kind in (CLICK, SCRIBBLE, LASSO, BOX):
        first, again = (made(5, block(6, 18), NOTHING, only(kind)) for _ in range(2))
        assert torch.equal(first.points, again.points)


def test_habits_choose_the_kinds_in_their_proportions():
    target = block(6, 18).expand(150, -1, -1, -1, -1)
    habits = Habits(first=(0.5, 0.25, 0.25, 0.0))
    kinds = gesture(generator(CPU, 1), target, torch.zeros_like(target), habits, True, POINTS).kind
    counts = torch.bincount(kinds, minlength=4) / 150
    assert counts.tolist() == pytest.approx([0.5, 0.25, 0.25, 0], abs=0.12)
