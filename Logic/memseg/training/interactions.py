"""The simulated user: a first prompt of any kind, then corrections where the mask is wrong, sometimes a little off.

Everything is batched and stays on the device. Areas are masks on a scene's grid, positions are (k, j, i), -1 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ..networks.nano import KINDS, PromptBatch
from .chance import choice, gumbel, happens, normal, uniform, whole
from .scenes import Window, extent, read

CLICK, SCRIBBLE, LASSO, BOX = range(4)
FIRST_KINDS = (0.6, 0.12, 0.13, 0.15)
LATER_KINDS = (0.72, 0.16, 0.12, 0.0)
DEEPEST = 12  # how many samples deep the inside of an area is told apart


@dataclass(frozen=True)
class Habits:
    """deep, border: chances that a point is the deepest of the error, or at its border (else anywhere in it). slip:
    that it lands up to two samples beside. kinds: of first and later prompts (click, scribble, lasso, box)."""

    deep: float = 0.5
    border: float = 0.15
    slip: float = 0.1
    first: tuple[float, float, float, float] = FIRST_KINDS
    later: tuple[float, float, float, float] = LATER_KINDS

    @classmethod
    def steady(cls) -> Habits:
        """Always a click in the deepest place, as the evaluation protocol has it."""
        return cls(1.0, 0.0, 0.0, (1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))


@dataclass(frozen=True)
class Gesture:
    """What the user did in B scenes. kind (B,), positive (B,) bool. points (B, P, 3) and valid (B, P): the click, the
    corners of a stroke, places in a lasso, or a box's two corners. axis (B,): the normal of a lasso's plane. area
    (B, 1, S^3) float: where a stroke or lasso stays."""

    kind: Tensor
    positive: Tensor
    points: Tensor
    valid: Tensor
    axis: Tensor
    area: Tensor

    @property
    def sides(self) -> Tensor:
        """(B, P): 1 or -1."""
        return torch.where(self.positive, 1.0, -1.0)[:, None].expand(self.valid.shape)

    @property
    def drawn_again(self) -> Tensor:
        """(B, P): sides, 0 for a box's corners, which memory does not draw."""
        return self.sides * (self.kind != BOX)[:, None]


def depth_of(area: Tensor, most: int = DEEPEST) -> Tensor:
    """(B, 1, S^3) bool -> float: 0 outside, 1 at the border, rising to `most`; the scene's faces bound nothing."""
    remaining = area
    depth = remaining.to(torch.uint8)
    for _ in range(most - 1):
        for axis in (2, 3, 4):
            ends = [remaining.narrow(axis, place, 1) for place in (0, remaining.shape[axis] - 1)]
            padded = torch.cat([ends[0], remaining, ends[1]], dim=axis)
            size = remaining.shape[axis]
            remaining = remaining & padded.narrow(axis, 0, size) & padded.narrow(axis, 2, size)
        depth += remaining
    return depth.float()


def gesture(source: Generator, target: Tensor, mask: Tensor, habits: Habits, first: bool, points: int) -> Gesture:
    """The next one. target, mask: (B, 1, S^3) bool. Where there is no error left, a click that confirms the object."""
    wrong = target ^ mask
    missing = wrong.flatten(1).any(dim=1).logical_not()
    error = torch.where(missing[:, None, None, None, None], target, wrong)
    point = _point(source, error, habits)  # (B, 3)
    positive = _value_at(target, point)
    area = error & torch.where(positive[:, None, None, None, None], target, ~target)
    kind = _kind(source, habits.first if first else habits.later, len(target))
    kind = torch.where(missing, CLICK, kind)
    axis = whole(source, (len(target),), 3)
    made = Gesture(kind, positive, *_single(point, points), axis, area.float())
    for which, build in ((SCRIBBLE, _stroke), (LASSO, _lasso), (BOX, _box)):
        if bool((kind == which).any()):
            made = _chosen(kind == which, build(source, made, point, target), made)
    slips = (happens(source, len(target), habits.slip) & (kind == CLICK))[:, None, None]
    beside = made.points + (normal(source, tuple(made.points.shape)) * (2 / target.shape[-1])) * slips
    return replace(made, points=beside.clamp(-1, 1))


def rendered(made: Gesture, window: Window, mask: Tensor, region: int) -> PromptBatch:
    """What the network is told of a gesture in a window. mask: (B, 1, region^3) float, the mask it met."""
    edge = region // 2
    places = window.places(edge)
    stroke = _near_stroke(made, places, 2 / region * window.scale) & (made.kind == SCRIBBLE)[:, None]
    along = places.gather(2, made.axis[:, None, None].expand(-1, places.shape[1], 1))[..., 0]
    plane = made.points[:, 0].gather(1, made.axis[:, None])
    flat = ((along - plane).abs() <= window.scale[:, None] / edge) & (made.kind == LASSO)[:, None]
    within = read(made.area, places, "nearest").flatten(1) > 0.5
    low, high = made.points[:, 0], made.points[:, min(1, made.points.shape[1] - 1)]
    boxed = ((places >= low[:, None]) & (places <= high[:, None])).all(dim=-1) & (made.kind == BOX)[:, None]
    covered = (stroke | flat) & within
    sides = (made.positive, ~made.positive)
    maps = [(area & side[:, None]).float() for area in (covered, boxed) for side in sides]
    kinds = made.kind[:, None].expand(made.valid.shape).clone()  # the numbers of KINDS but for a box's high corner
    kinds[:, 1] = torch.where(made.kind == BOX, KINDS.index("box_high"), kinds[:, 1])
    has_mask = (mask.flatten(1).amax(dim=1) > 0).float()
    shaped = torch.stack(maps, dim=1).unflatten(2, (edge, edge, edge))
    return PromptBatch(window.relative(made.points), kinds, made.sides, made.valid, shaped, mask, has_mask)


def _kind(source: Generator, chances: tuple[float, ...], batch: int) -> Tensor:
    weights = torch.tensor(chances, device=source.device).expand(batch, -1) + 1e-9
    return choice(source, weights)


def _point(source: Generator, error: Tensor, habits: Habits) -> Tensor:
    """(B, 3): deepest, at the border or anywhere; drawn as the largest of weight + Gumbel noise."""
    batch, edge = len(error), error.shape[-1]
    depth = depth_of(error).flatten(1)
    style = uniform(source, (batch, 1))
    anywhere = (depth > 0).float()
    border = (depth == 1).float()
    shallow = torch.where(style < habits.deep + habits.border, border, anywhere)
    weight = torch.where(style < habits.deep, depth**24, shallow)  # so steep that only the deepest ones are drawn
    scores = weight.clamp(min=1e-30).log() + gumbel(source, tuple(weight.shape))
    return _position(scores.argmax(dim=1), edge)


def _position(index: Tensor, edge: int) -> Tensor:
    """Flat voxel numbers (...) -> (..., 3) positions of their centres."""
    axes = torch.stack([index // edge**2, index // edge % edge, index % edge], dim=-1)
    return (axes + 0.5) * (2 / edge) - 1


def _value_at(mask: Tensor, point: Tensor) -> Tensor:
    edge = mask.shape[-1]
    k, j, i = ((point + 1) * (edge / 2)).floor().long().clamp(0, edge - 1).unbind(dim=1)
    return mask[torch.arange(len(mask), device=mask.device), 0, k, j, i]


def _single(point: Tensor, points: int) -> tuple[Tensor, Tensor]:
    valid = torch.arange(points, device=point.device)[None] < 1
    return point[:, None].expand(-1, points, -1).clone(), valid.expand(len(point), -1).clone()


def _chosen(which: Tensor, one: Gesture, other: Gesture) -> Gesture:
    picked = {}
    for name in Gesture.__dataclass_fields__:
        values = getattr(one, name)
        picked[name] = torch.where(which.reshape(-1, *(1,) * (values.ndim - 1)), values, getattr(other, name))
    return Gesture(**picked)


def _stroke(source: Generator, made: Gesture, point: Tensor, target: Tensor) -> Gesture:
    """Corners within a third of the scene of the point, in the same area, ordered by their distance from the first."""
    batch, points = made.valid.shape
    edge = target.shape[-1]
    places = _position(torch.arange(edge**3, device=target.device), edge)
    distance = torch.cdist(point, places.to(point.dtype))  # (B, S^3)
    reach = uniform(source, (batch, 1), 0.1, 0.6)
    weight = (made.area.flatten(1) > 0.5) & (distance < reach)
    corners = [point]
    for _ in range(points - 1):
        scores = torch.where(weight, gumbel(source, (batch, edge**3)), -torch.inf)
        found = torch.where(weight.any(dim=1)[:, None], _position(scores.argmax(dim=1), edge), point)
        corners.append(found)
    stacked = torch.stack(corners, dim=1)
    order = (stacked - point[:, None]).norm(dim=-1).argsort(dim=1)
    ordered = stacked.gather(1, order[..., None].expand(-1, -1, 3))
    return replace(made, points=ordered, valid=torch.ones_like(made.valid))


def _lasso(source: Generator, made: Gesture, point: Tensor, target: Tensor) -> Gesture:
    """The cross-section of the area through the point; its tokens are places in it."""
    batch, points = made.valid.shape
    edge = target.shape[-1]
    places = _position(torch.arange(edge**3, device=target.device), edge)
    along = places.T[made.axis]  # (B, S^3)
    plane = point.gather(1, made.axis[:, None])
    section = (made.area.flatten(1) > 0.5) & ((along - plane).abs() < 1 / edge)
    inside = [point]
    for _ in range(points - 1):
        scores = torch.where(section, gumbel(source, (batch, edge**3)), -torch.inf)
        inside.append(torch.where(section.any(dim=1)[:, None], _position(scores.argmax(dim=1), edge), point))
    widened = functional.max_pool3d(made.area, 3, stride=1, padding=1)
    loose = happens(source, batch, 0.5)[:, None, None, None, None]
    area = torch.where(loose, widened, made.area)
    return replace(made, points=torch.stack(inside, dim=1), valid=torch.ones_like(made.valid), area=area)


def _box(source: Generator, made: Gesture, point: Tensor, target: Tensor) -> Gesture:
    """The target's bounding box, each face a little off; half of them flat, as drawn on one slice through the point."""
    batch, points = made.valid.shape
    flat = happens(source, batch, 0.5)
    edge = target.shape[-1]
    along = _position(torch.arange(edge**3, device=target.device), edge).T[made.axis].reshape(target.shape)
    on_slice = (along - point.gather(1, made.axis[:, None]).reshape(-1, 1, 1, 1, 1)).abs() < 1 / edge
    section = target & on_slice
    whole_box = ~flat | ~section.flatten(1).any(dim=1)
    low, high = extent(torch.where(whole_box[:, None, None, None, None], target, section).float())
    looseness = normal(source, (2, batch, 3)).abs() * (high - low) * 0.04
    across = functional.one_hot(made.axis, 3).bool() & ~whole_box[:, None]
    corners = [torch.where(across, low, low - looseness[0]), torch.where(across, high, high + looseness[1])]
    stacked = torch.stack([*corners, *corners[:1] * (points - 2)], dim=1)
    valid = (torch.arange(points, device=point.device) < 2)[None].expand(batch, -1)
    return replace(made, points=stacked, valid=valid, positive=torch.ones_like(made.positive))


def _near_stroke(made: Gesture, places: Tensor, radius: Tensor) -> Tensor:
    """Bool (B, e^3): within the radius (B,) of the polyline through the gesture's points."""
    near = torch.zeros(places.shape[:2], dtype=torch.bool, device=places.device)
    for first, last in zip(made.points.unbind(dim=1)[:-1], made.points.unbind(dim=1)[1:]):
        direction = (last - first)[:, None]
        offset = places - first[:, None]
        along = (offset * direction).sum(dim=-1) / direction.square().sum(dim=-1).clamp(min=1e-8)
        nearest = along.clamp(0, 1)[..., None] * direction
        near |= (offset - nearest).norm(dim=-1) <= radius[:, None]
    return near
