"""Geodesic evidence of the prompts, as maps a network reads beside the image.

From the points known of the object, of its surroundings and of the newest prompt, paths spread over the region's cells:
once dearer where the image is steep, once dearer where it looks unlike the points. Their arrival times, how unlike the
points each cell looks, and the intensity histogram of the mask are what a geodesic segmenter decides by; here a network
does. Geodesic distances as input are DeepIGeoS's (Wang et al., TPAMI 2018), the sweep GeoS's (Criminisi et al., ECCV
2008), by planes and over all 26 neighbours. No gradient flows through any of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import torch
import torch.nn.functional as functional
from torch import Tensor

from .parts import folded, sampled, unfolded

CELL_CHANNELS = 9
SAMPLE_CHANNELS = 1
_FLOOR = 0.15  # price of a step across even tissue; the steepest one costs 25
_DEAREST = 25.0
_REACH = 2.5  # spreads away from the points at which a step costs 1 more
_NARROWEST, _WIDEST = 0.04, 0.25  # spreads, of a channel's -1 to 1
_BINS = 32
_UNREACHED = 1e6
_LATEST = 400.0  # times from here on are alike


@dataclass(frozen=True)
class Seeds:
    """Points (B, T, 3), -1 to 1; side (B, T): 1 object, -1 surroundings, 0 neither; newest (B, T) bool. areas (B, 2,
    E^3): cells that the newest prompt covers, positive and negative."""

    points: Tensor
    side: Tensor
    newest: Tensor
    areas: Tensor

    @property
    def groups(self) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T) bool each: of the object, of its surroundings, of the newest prompt."""
        return self.side > 0, self.side < 0, self.newest & (self.side != 0)


@torch.no_grad()
def evidence(image: Tensor, mask: Tensor, seeds: Seeds) -> tuple[Tensor, Tensor]:
    """image (B, 16, E^3), folded as features keep it, and mask (B, 1, (2E)^3) -> (B, 9, E^3) at cells: log arrival by
    evenness and by edges from object, surroundings and newest prompt, unlikeness to the first two, histogram ratio;
    and (B, 8, E^3): unlikeness to the newest prompt at the folded samples. About -1.4 to 1."""
    image = image.float()
    cells, samples = image.unflatten(1, (-1, 8)).mean(dim=2), unfolded(image)
    inside_view = (seeds.points.abs() <= 1).all(dim=-1)
    centres, spreads = _looks(samples, seeds.points)
    steep = _steepness(cells)
    prices, starts, unlike = [], [], []
    positive, negative = seeds.areas.unbind(dim=1)
    for group, area in zip(seeds.groups, (positive, negative, torch.maximum(positive, negative))):
        known = group & inside_view
        away = _away(cells, centres, _width(spreads, known), known)
        prices += [_FLOOR + away.clamp(max=_DEAREST), _FLOOR + steep]
        starts += [_start(seeds.points, known, area)] * 2
        unlike.append((away.sqrt() + 0.1).log().clamp(-2.4, 2.4) / 2.4)
    times = arrival_times(torch.stack(prices, dim=1).flatten(0, 1), torch.stack(starts, dim=1).flatten(0, 1))
    late = (times.clamp(max=_LATEST) + 0.3).log()
    arrival = (late / log(_LATEST) * 2 - 1).unflatten(0, (len(image), -1))
    ratio = histogram_ratio(cells[:, 1], functional.avg_pool3d(mask.float(), 2)[:, 0] > 0.5)
    newest = seeds.groups[2] & inside_view
    first = newest.float().argmax(dim=1)  # of the newest prompt one point stands for all at the samples
    alone = functional.one_hot(first, newest.shape[1]).bool() & newest
    near = _away(samples, centres, _width(spreads, alone), alone)
    fine = (near.sqrt() + 0.1).log().clamp(-2.4, 2.4) / 2.4
    return torch.cat([arrival, torch.stack([*unlike[:2], ratio], dim=1)], dim=1), folded(fine[:, None])


def arrival_times(price: Tensor, start: Tensor, iterations: int = 2) -> Tensor:
    """(N, e, e, e): the cheapest path from the cells where start is 0, each step costing its length in cells times the
    price of the cell it enters. Two iterations follow paths that turn back on themselves twice."""
    times = start
    for _ in range(iterations):
        for axis in (1, 2, 3):
            times = _swept(times, price, axis)
    return times


def _swept(times: Tensor, price: Tensor, axis: int) -> Tensor:
    """One pass forth and one back along an axis."""
    moved = times.movedim(axis, 0).clone(memory_format=torch.contiguous_format)  # (e, N, e, e)
    straight = price.movedim(axis, 0).contiguous()
    across, corner = straight * sqrt(2), straight * sqrt(3)
    last = len(moved) - 1
    padded = moved.new_full((moved.shape[1], moved.shape[2] + 2, moved.shape[3] + 2), _UNREACHED)
    for order in (range(1, last + 1), range(last - 1, -1, -1)):
        step = 1 if order.step > 0 else -1
        for plane in order:
            padded[:, 1:-1, 1:-1] = moved[plane - step]
            rows = torch.minimum(padded[:, :-2], padded[:, 2:])
            beside = torch.minimum(rows[:, :, 1:-1], torch.minimum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]))
            offer = torch.minimum(padded[:, 1:-1, 1:-1] + straight[plane], beside + across[plane])
            diagonal = torch.minimum(rows[:, :, :-2], rows[:, :, 2:]) + corner[plane]
            torch.minimum(moved[plane], torch.minimum(offer, diagonal), out=moved[plane])
    return moved.movedim(0, axis)


def histogram_ratio(values: Tensor, inside: Tensor) -> Tensor:
    """(B, ...) values of -1 to 1 -> log of how much likelier each is inside the mask than outside, -3 to 3, over 3; 0
    where a mask is empty or full."""
    batch, bins = len(values), ((values + 1) * (_BINS / 2)).long().clamp(0, _BINS - 1).flatten(1)
    kernel = values.new_tensor([[[0.25, 0.5, 0.25]]])
    shares = []
    for where in (inside, ~inside):
        weights = where.flatten(1).float()
        counts = values.new_zeros((batch, _BINS)).scatter_add_(1, bins, weights)
        smooth = functional.conv1d(functional.pad(counts[:, None], (1, 1), mode="replicate"), kernel)[:, 0]
        shares.append(smooth / weights.sum(dim=1, keepdim=True).clamp(min=1) + 1e-3)
    ratio = (shares[0] / shares[1]).log().clamp(-3, 3) / 3
    some = (inside.flatten(1).any(dim=1) & ~inside.flatten(1).all(dim=1))[:, None]
    return (ratio * some).gather(1, bins).reshape(values.shape)


def _looks(samples: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, 2) mean and (B, T, 2) deviation of the 27 samples round each point."""
    edge = samples.shape[-1]
    steps = torch.tensor([-1.0, 0.0, 1.0], device=points.device) * (2 / edge)
    offsets = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1).reshape(-1, 3)
    around = (points.float()[:, :, None] + offsets).flatten(1, 2)
    found = sampled(samples, around).unflatten(1, (points.shape[1], -1))
    return found.mean(dim=2), found.std(dim=2)


def _width(spreads: Tensor, known: Tensor) -> Tensor:
    """(B, 2): the mean spread of the known points, within bounds."""
    weight = known[..., None].float()
    mean = (spreads * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    return mean.clamp(_NARROWEST, _WIDEST)


def _away(image: Tensor, centres: Tensor, width: Tensor, known: Tensor) -> Tensor:
    """image (B, 2, e^3), centres (B, T, 2), width (B, 2), known (B, T) -> (B, e^3): squared distance from the nearest
    known look in units of 2.5 widths; far where nothing is known."""
    scale = 1 / (_REACH * width)
    values = (image.flatten(2) * scale[..., None]).transpose(1, 2)  # (B, V, 2)
    nearest = values.new_full(values.shape[:2], 100.0)
    for token in torch.nonzero(known.any(dim=0))[:, 0].tolist():
        look = (centres[:, token] * scale)[:, None]
        squared = (values - look).square().mean(dim=-1)
        nearest = torch.where(known[:, token, None], torch.minimum(nearest, squared), nearest)
    return nearest.reshape(len(image), *image.shape[2:])


def _steepness(cells: Tensor) -> Tensor:
    """(B, e^3): squared gradient over twice its level in the region, at most 25."""
    total = torch.zeros_like(cells[:, 0])
    for axis in (2, 3, 4):
        total += torch.gradient(cells, dim=axis)[0].square().sum(dim=1)
    level = total.flatten(1).sqrt().quantile(0.6, dim=1).clamp(min=0.02)
    return (total / (2 * level.reshape(-1, 1, 1, 1)).square()).clamp(max=_DEAREST)


def _start(points: Tensor, known: Tensor, area: Tensor) -> Tensor:
    """(B, e^3): 0 at the cells of the known points and in the area, far elsewhere."""
    edge = area.shape[-1]
    place = ((points + 1) * (edge / 2)).floor().long().clamp(0, edge - 1)
    flat = (place[..., 0] * edge + place[..., 1]) * edge + place[..., 2]
    start = torch.where(area.flatten(1) > 0.5, 0.0, _UNREACHED)
    return start.scatter_reduce(1, flat, torch.where(known, 0.0, _UNREACHED), "amin").reshape(area.shape)
