"""What plain arithmetic says of an object in the next slice, as maps the network reads beside the image.

The previous mask and its signed distance; how much each sample looks like the object rather than its surroundings, by
the histograms of the previous slice and of the nearest agreed slices behind and ahead; and the shape interpolated
between those two (Raya and Udupa, IEEE TMI 1990, after moving both onto one centre). No gradient flows through it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from .image import channels

STACK = 3  # slices that the image encoder sees
IMAGE_CHANNELS = 2  # of each: see image.channels
EVIDENCE_CHANNELS = 7
_BINS = 48
_SUREST = 4.0  # of a log ratio of histograms
FAR = 12.0  # samples: signed distances are told up to here, and end at 1
REACH = 24  # samples: distances are measured up to here


@dataclass(frozen=True)
class Known:
    """A slice whose mask is known, seen through the query's window, for each of B queries. image (B, edge^2) raw; mask
    (B, edge^2) float 0 or 1; away (B,) its distance in mm along the axis; there (B,) bool, whether there is one."""

    image: Tensor
    mask: Tensor
    away: Tensor
    there: Tensor


@torch.no_grad()
def evidence(image: Tensor, inside: Tensor, previous: Known, behind: Known, ahead: Known) -> Tensor:
    """image (B, edge^2) raw, inside (B, edge^2) bool -> (B, 7, edge^2), about -1 to 1: previous mask, its signed
    distance, likeness by the previous slice, by the agreed slice behind and by the one ahead, signed distance of the
    shape between those two, and 1 where there are both."""
    codes = [image, previous.image, behind.image, ahead.image]
    ranked = _binned(torch.stack(codes, dim=1), inside)
    likeness = [
        likeness_of(ranked[:, 0], ranked[:, place], known.mask, inside) * known.there[:, None, None]
        for place, known in enumerate((previous, behind, ahead), start=1)
    ]
    distance = signed_distance(previous.mask)
    both = behind.there & ahead.there
    between = torch.zeros_like(distance)
    if bool(both.any()):
        between = torch.where(both[:, None, None], interpolated(behind, ahead), between)
    known = both[:, None, None].expand_as(between).to(between.dtype)
    told = [previous.mask, (distance / FAR).clamp(-1, 1), *likeness, (between / FAR).clamp(-1, 1), known]
    return torch.stack(told, dim=1)


def picture(images: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Raw slices (B, N, edge^2), inside (B, edge^2) bool, the volume's robust range (B,) each -> (B, N, 2, edge^2),
    ranks taken over all N together."""
    return channels(images[:, None], inside[:, None, None].expand(-1, 1, *images.shape[1:]), low, high).transpose(1, 2)


def signed_distance(mask: Tensor) -> Tensor:
    """(B, rows, columns) 0 or 1 -> samples to the object's border, positive inside; half a sample at the samples on
    either side of it, at most REACH."""
    inside = mask > 0.5
    to_object, to_outside = _distance(torch.cat([inside, ~inside])).chunk(2)
    return torch.where(inside, to_outside - 0.5, 0.5 - to_object)


def _distance(seeds: Tensor) -> Tensor:
    """Euclidean distance (B, rows, columns), at most REACH, to the nearest seed (bool): along rows by the last seed met
    in either direction, then the least over the rows in reach."""
    columns = torch.arange(seeds.shape[2], device=seeds.device, dtype=torch.float32).expand(seeds.shape)
    nowhere = -2.0 * seeds.shape[2]
    before = torch.where(seeds, columns, nowhere).cummax(dim=2).values
    after = torch.where(seeds, -columns, nowhere).flip(2).cummax(dim=2).values.flip(2)
    along = torch.minimum(columns - before, -after - columns).clamp(max=REACH + 1.0).square()
    padded = functional.pad(along, (0, 0, REACH, REACH), value=(REACH + 1.0) ** 2)
    rows, least = seeds.shape[1], along
    for shift in range(-REACH, REACH + 1):
        if shift:
            least = torch.minimum(least, padded[:, REACH + shift : REACH + shift + rows] + float(shift**2))
    return least.sqrt().clamp(max=float(REACH))


def likeness_of(query: Tensor, bins: Tensor, mask: Tensor, inside: Tensor) -> Tensor:
    """(B, rows, columns), -1 to 1: log of how much more often a query's bin occurs in the object than round it; zero
    where a mask is full, negative everywhere where it is empty. query, bins: int64 of the query's and the known
    slice."""
    weights = torch.stack([mask > 0.5, mask <= 0.5], dim=1) & inside[:, None]  # (B, 2, rows, columns)
    flat = bins.flatten(1)[:, None].expand(-1, 2, -1)
    counts = torch.zeros((len(query), 2, _BINS), device=query.device)
    counts.scatter_add_(2, flat, weights.flatten(2).float())
    padded = functional.pad(counts, (2, 2), mode="replicate")
    counts = functional.avg_pool1d(padded, 5, stride=1)
    shares = counts / counts.sum(dim=2, keepdim=True).clamp(min=1)
    ratio = ((shares[:, 0] + 0.004) / (shares[:, 1] + 0.004)).log().clamp(-_SUREST, _SUREST) / _SUREST
    return ratio.gather(1, query.flatten(1)).reshape(query.shape)


def _binned(images: Tensor, inside: Tensor) -> Tensor:
    """(B, N, rows, columns) int64 below the number of bins, which hold equally many of the samples of all N."""
    flat = images.flatten(1)
    kept = inside[:, None].expand_as(images).flatten(1)
    step = max(1, flat.shape[1] // 4096) | 1
    ordered = torch.where(kept, flat, torch.inf)[:, ::step].sort(dim=1).values
    count = torch.isfinite(ordered).sum(dim=1, keepdim=True).clamp(min=1)
    fractions = torch.arange(1, _BINS, device=images.device) / _BINS
    knots = ordered.gather(1, (fractions * (count - 1)).round().long()).contiguous()
    return torch.searchsorted(knots, flat.contiguous()).reshape(images.shape)


def interpolated(behind: Known, ahead: Known) -> Tensor:
    """(B, rows, columns) signed distance of the shape between two, each moved to where its centre would be by now.
    Where one is empty the other shrinks to nothing half way."""
    share = (behind.away / (behind.away + ahead.away).clamp(min=1e-6))[:, None]  # 0 at the slice behind
    filled = [(known.mask > 0.5).flatten(1).any(dim=1) for known in (behind, ahead)]
    shift = (_centre(ahead.mask) - _centre(behind.mask)) * (filled[0] & filled[1])[:, None]
    moved = (_moved(behind.mask, share * shift), _moved(ahead.mask, (share - 1) * shift))
    near, far = (signed_distance((mask > 0.5).float()) for mask in moved)
    deepest = [-distance.flatten(1).amax(dim=1)[:, None, None].clamp(min=0) for distance in (near, far)]
    near = torch.where(filled[0][:, None, None], near, deepest[1])
    far = torch.where(filled[1][:, None, None], far, deepest[0])
    return near * (1 - share[..., None]) + far * share[..., None]


def _centre(mask: Tensor) -> Tensor:
    """(B, 2) row and column, -1 to 1; the middle where a mask is empty."""
    sums = mask.sum(dim=(1, 2)).clamp(min=1e-6)
    found = []
    for axis, other in ((1, 2), (2, 1)):
        steps = (torch.arange(mask.shape[axis], device=mask.device) + 0.5) * (2 / mask.shape[axis]) - 1
        found.append((mask.sum(dim=other) * steps).sum(dim=1) / sums)
    return torch.stack(found, dim=1)


def _moved(mask: Tensor, shift: Tensor) -> Tensor:
    """The mask shifted by (B, 2) rows and columns, in half windows."""
    batch, rows, columns = mask.shape
    identity = torch.eye(2, 3, device=mask.device).expand(batch, -1, -1).clone()
    identity[:, :, 2] = -shift.flip(1)
    grid = functional.affine_grid(identity, [batch, 1, rows, columns], align_corners=False)
    return functional.grid_sample(mask[:, None], grid, align_corners=False)[:, 0]
