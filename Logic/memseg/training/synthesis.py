"""Anatomy that never was: label volumes and images of them, made on the device in batches (after SynthSeg's idea).

A warped partition is the background; ellipsoids, shells, tubes, small lesions inside what is there and touching twins
are painted over it, one label each. Intensities are drawn per label, so any contrast may occur, then texture, partial
volume, bias, ghosts, rings, noise and thick slices make an image of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ..networks.image import HIGH, LOW
from ..networks.parts import cell_centres
from .chance import blurred, choice, happens, normal, number, smooth, uniform, whole
from .scenes import Scenes

CELLS = 12  # of the partition; painted objects take the labels from here on
PAINTED = ("ellipsoid", "ellipsoid", "shell", "tube", "tube", "twin", "lesion", "lesion", "lesion")
LABELS = CELLS + 2 * len(PAINTED)
FEWEST = 50  # voxels of a target


def synthetic(source: Generator, batch: int, edge: int) -> Scenes:
    """B scenes of edge^3 samples with a target each."""
    labels = label_volumes(source, batch, edge)
    target = targets(source, labels)
    return imaged(source, labels, target, spacing=2.0 ** uniform(source, (batch,), -1.0, 2.0))


def label_volumes(source: Generator, batch: int, edge: int) -> Tensor:
    """(B, 1, edge^3) int64 below LABELS."""
    places = cell_centres(edge, source.device).T.reshape(1, 3, edge, edge, edge)
    cells = int(whole(source, (1,), 4)) + 3
    warp = smooth(source, batch, 3, edge, cells) * number(source, 0.02, 0.12)
    warped = places + warp
    labels = _partition(source, warped)
    order = torch.randperm(len(PAINTED), generator=source, device=source.device).tolist()
    for place in order:
        labels = _painted(source, PAINTED[place], CELLS + 2 * place, warped, labels)
    return labels


def _partition(source: Generator, warped: Tensor) -> Tensor:
    """Cells of random centres and weights, of which about a third fall together into one background."""
    batch = len(warped)
    nearest = torch.full_like(warped[:, :1], torch.inf)
    labels = torch.zeros_like(nearest, dtype=torch.long)
    merged = happens(source, batch * CELLS, 0.35).reshape(batch, CELLS)
    for cell in range(CELLS):
        centre = uniform(source, (batch, 3, 1, 1, 1), -1.1, 1.1)
        stretch = uniform(source, (batch, 3, 1, 1, 1), 0.6, 1.6)
        distance = ((warped - centre) * stretch).square().sum(dim=1, keepdim=True)
        distance = distance * uniform(source, (batch, 1, 1, 1, 1), 0.5, 1.5)
        value = torch.where(merged[:, cell], 0, cell).reshape(-1, 1, 1, 1, 1)
        labels = torch.where(distance < nearest, value, labels)
        nearest = torch.minimum(nearest, distance)
    return labels


def _painted(source: Generator, kind: str, label: int, warped: Tensor, labels: Tensor) -> Tensor:
    batch = len(warped)
    centre = uniform(source, (batch, 3), -0.7, 0.7)
    if kind == "tube":
        return torch.where(_tube(source, warped, centre), label, labels)
    if kind == "lesion":
        centre = _somewhere_inside(source, warped, labels)
    smallest, largest = (0.03, 0.15) if kind == "lesion" else (0.1, 0.5)
    size = (smallest * (largest / smallest) ** uniform(source, (batch, 1))) * uniform(source, (batch, 3), 0.6, 1.5)
    turn = torch.linalg.qr(normal(source, (batch, 3, 3)))[0]
    distance = _ellipsoid(warped, centre, size, turn)
    if kind == "shell":
        wall = uniform(source, (batch, 1, 1, 1, 1), 0.55, 0.9)
        labels = torch.where(distance < 1, label, labels)
        return torch.where(distance < wall, label + 1, labels)
    if kind == "twin":
        across = turn[:, :, 0] * size[:, :1] * uniform(source, (batch, 1), 1.7, 2.1)
        labels = torch.where(_ellipsoid(warped, centre + across, size, turn) < 1, label + 1, labels)
    return torch.where(distance < 1, label, labels)


def _ellipsoid(warped: Tensor, centre: Tensor, size: Tensor, turn: Tensor) -> Tensor:
    """(B, 1, S^3): 0 at the centre, 1 on the surface."""
    offset = warped - centre[:, :, None, None, None]
    along = torch.einsum("bca,bckji->bakji", turn, offset)
    return (along / size[:, :, None, None, None]).square().sum(dim=1, keepdim=True).sqrt()


def _tube(source: Generator, warped: Tensor, start: Tensor) -> Tensor:
    """Bool (B, 1, S^3): a chain of four segments that bends, thins out and branches once."""
    batch = len(warped)
    radius = 0.02 * 6.0 ** uniform(source, (batch, 1, 1, 1, 1))
    heading = functional.normalize(normal(source, (batch, 3)), dim=1)
    chain, found = [start], torch.zeros_like(warped[:, :1], dtype=torch.bool)
    for segment in range(4):
        first = chain[1] if segment == 3 else chain[-1]  # the last one is a branch
        bend = normal(source, (batch, 3)) * (1.0 if segment == 3 else 0.35)
        heading = functional.normalize(heading + bend, dim=1)
        last = first + heading * uniform(source, (batch, 1), 0.25, 0.6)
        chain.append(last)
        thinner = radius * (1 - 0.15 * segment)
        found = found | (_distance_to_segment(warped, first, last) < thinner)
    return found


def _distance_to_segment(warped: Tensor, first: Tensor, last: Tensor) -> Tensor:
    shape = (-1, 3, 1, 1, 1)
    offset, direction = warped - first.reshape(shape), (last - first).reshape(shape)
    length = direction.square().sum(dim=1, keepdim=True).clamp(min=1e-8)
    along = ((offset * direction).sum(dim=1, keepdim=True) / length).clamp(0, 1)
    return (offset - along * direction).square().sum(dim=1, keepdim=True).sqrt()


def _somewhere_inside(source: Generator, warped: Tensor, labels: Tensor) -> Tensor:
    """(B, 3): a place within a painted object or a cell of the partition, never its background if that can be
    helped."""
    flat = labels.flatten(1)
    weight = (flat > 0).float() + 1e-6
    scores = weight.log() - (-uniform(source, tuple(flat.shape), 1e-7, 1 - 1e-7).log()).log()
    return warped.flatten(2).gather(2, scores.argmax(dim=1)[:, None, None].expand(-1, 3, 1))[:, :, 0]


def targets(source: Generator, labels: Tensor, chances: tuple[float, float] = (0.1, 0.1)) -> Tensor:
    """Bool (B, 1, S^3): one label of at least 50 voxels and at most a quarter of the scene; sometimes the union with a
    second one, sometimes the part of it on one side of a plane, with the chances given."""
    batch, edge = len(labels), labels.shape[-1]
    flat = labels.flatten(1)
    kinds = max(LABELS, int(flat.max()) + 1)
    count = torch.zeros((batch, kinds), device=labels.device).scatter_add_(
        1, flat, torch.ones_like(flat, dtype=torch.float32)
    )
    usable = ((count >= FEWEST) & (count <= edge**3 / 4)).float()
    usable[:, 0] = 0
    usable[:, CELLS:] *= 3  # painted objects more often than cells
    fallback = torch.zeros_like(usable).scatter_(1, count[:, 1:].argmax(dim=1, keepdim=True) + 1, 1.0)
    usable = torch.where(usable.any(dim=1, keepdim=True), usable, fallback)
    chosen = choice(source, usable)[:, None]
    second = choice(source, usable)[:, None]
    both = happens(source, batch, chances[0])[:, None]
    target = (flat == chosen) | ((flat == second) & both)
    return _parts(source, target.reshape(labels.shape), chances[1])


def _parts(source: Generator, target: Tensor, chance: float) -> Tensor:
    """Some targets cut by a plane through their middle; left whole where less than 50 voxels would remain."""
    batch, edge = len(target), target.shape[-1]
    places = cell_centres(edge, target.device).T
    direction = functional.normalize(normal(source, (batch, 3)), dim=1)
    height = (direction @ places).reshape(target.shape)
    middle = (height * target).flatten(1).sum(dim=1) / target.flatten(1).sum(dim=1).clamp(min=1)
    part = target & (height > middle.reshape(-1, 1, 1, 1, 1))
    cut = happens(source, batch, chance) & (part.flatten(1).sum(dim=1) >= FEWEST)
    return torch.where(cut.reshape(-1, 1, 1, 1, 1), part, target)


def imaged(source: Generator, labels: Tensor, target: Tensor, spacing: Tensor, inside: Tensor | None = None) -> Scenes:
    """An image of random contrasts of the labels (B, 1, S^3); spacing (B,) mm."""
    batch, edge = len(labels), labels.shape[-1]
    kinds = max(LABELS, int(labels.max()) + 1)
    inside = torch.ones_like(target) if inside is None else inside
    means = uniform(source, (batch, kinds))
    means[:, 0] *= happens(source, batch, 0.5)
    depth = uniform(source, (batch, kinds), 0.0, 0.12) * happens(source, batch * kinds, 0.6).reshape(batch, kinds)
    flat = labels.flatten(1)
    texture = smooth(source, batch, 1, edge, int(whole(source, (1,), edge // 4)) + 4)
    image = (means.gather(1, flat).reshape(labels.shape)) + depth.gather(1, flat).reshape(labels.shape) * texture
    image = blurred(image, uniform(source, (batch, 1), 0.2, 1.0).expand(-1, 3))
    image = _with_artefacts(source, image)
    image, target, factor = thick_slices(source, image, target)
    low, high = robust_range(image)
    return Scenes(image, target & inside, inside, low, high, spacing, factor * spacing[:, None])


def _with_artefacts(source: Generator, image: Tensor) -> Tensor:
    batch, edge = len(image), image.shape[-1]
    shape = (-1, 1, 1, 1, 1)
    strength = (uniform(source, (batch,), 0, 0.4) * happens(source, batch, 0.6)).reshape(shape)
    image = image * (smooth(source, batch, 1, edge, 2) * strength).exp()
    ghost = (uniform(source, (batch,), 0, 0.3) * happens(source, batch, 0.15)).reshape(shape)
    image = image + ghost * image.roll(
        int(whole(source, (1,), edge // 2)) + edge // 8, dims=2 + int(whole(source, (1,), 3))
    )
    places = cell_centres(edge, image.device).T.reshape(1, 3, edge, edge, edge)
    distance = (
        (places[:, 1:] - uniform(source, (batch, 2, 1, 1, 1), -0.5, 0.5)).square().sum(dim=1, keepdim=True).sqrt()
    )
    rings = (uniform(source, (batch,), 0, 0.1) * happens(source, batch, 0.1)).reshape(shape)
    image = image + rings * (distance * number(source, 20, 80)).sin()
    noise = normal(source, tuple(image.shape)) * (uniform(source, (batch,), 0, 0.15).square() * 3).reshape(shape)
    magnitude = happens(source, batch, 0.3).reshape(shape)  # Rician, as MR magnitude images have it
    other = normal(source, tuple(image.shape)) * 0.02
    noisy = image + noise
    return torch.where(magnitude, (noisy.square() + other.square()).sqrt(), noisy)


def thick_slices(source: Generator, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Some samples averaged over slabs of 2 to 6 samples along one axis, image linear and target in blocks between
    them; and (B, 3) the native spacing in samples."""
    batch, edge = len(image), image.shape[-1]
    factors = 1 + whole(source, (batch,), 6) * happens(source, batch, 0.5)
    axes = whole(source, (batch,), 3)
    native = torch.ones((batch, 3), device=image.device).scatter_(1, axes[:, None], factors[:, None].float())
    images, masks = [], []
    for sample, (factor, axis) in enumerate(zip(factors.tolist(), axes.tolist())):
        picture, mask = image[sample : sample + 1], target[sample : sample + 1]
        if factor > 1 and edge // factor >= 4:
            slabs = edge // factor
            size = [edge] * 3
            size[axis] = slabs
            thin = functional.interpolate(picture, size=tuple(size), mode="area")
            picture = functional.interpolate(thin, size=(edge,) * 3, mode="trilinear", align_corners=False)
            share = functional.interpolate(mask.float(), size=tuple(size), mode="area")
            flat = share >= torch.minimum(share.amax(), share.new_tensor(0.5))  # thin objects keep their best slab
            mask = functional.interpolate(flat.float(), size=(edge,) * 3, mode="nearest") > 0.5
        images.append(picture)
        masks.append(mask)
    return torch.cat(images), torch.cat(masks), native


def robust_range(image: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) each."""
    flat = image.flatten(1)
    ordered = flat[:, :: max(1, flat.shape[1] // 16384) | 1].sort(dim=1).values
    count = ordered.shape[1] - 1
    return ordered[:, round(LOW * count)], ordered[:, round(HIGH * count)]
