"""One training episode by slices: the reference's mask is given, the object is followed through the stack as in use.

Each slice is looked at through a window round the mask it is followed from; what the network answers is what the next
slice is followed from. Memory holds the reference, an agreed slice ahead where there is one, and what was met before.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ..networks.slice_evidence import FAR, Known, evidence, picture, signed_distance
from ..networks.slices import SliceBatch, SliceImage, SliceLogits, SliceNetwork, condition
from .chance import happens, uniform
from .losses import soft_dice_loss, voxel_loss
from .stacks import Stacks

RECENT = 3
_CARELESS, _SPOILED = 2.0, 7.0  # samples that a border is off by, as hands draw and as drift has it
_SURE = 0.0  # logit from which the object counts as present


@dataclass(frozen=True)
class Course:
    """ahead: how often the last slice is agreed on. rough: how often the reference's mask is drawn carelessly. spoiled:
    how often a mask the network made is spoiled before the next slice is followed from it, as drift does. blind: how
    often the mask of the slice before is not told, so that memory has to say where the object is. zoom: edges of
    windows over the object's."""

    ahead: float = 0.35
    rough: float = 0.25
    spoiled: float = 0.3
    blind: float = 0.15
    zoom: tuple[float, float] = (1.7, 2.5)
    autocast: bool = True


@dataclass(frozen=True)
class Outcome:
    """loss: scalar. dice (T, B): of each slice followed, where the object is present or found. counts (T, B) bool:
    which of them count. present (T, B) bool: whether presence was told right."""

    loss: Tensor
    dice: Tensor
    counts: Tensor
    right: Tensor


@dataclass(frozen=True)
class Window:
    """centre (B, 2) row and column, scale (B,) half an edge, in the stack's -1 to 1."""

    centre: Tensor
    scale: Tensor

    def read(self, maps: Tensor, edge: int, mode: str = "bilinear") -> Tensor:
        """maps (B, C, R, R) -> (B, C, edge, edge)."""
        return functional.grid_sample(maps, self._grid(edge), mode=mode, padding_mode="border", align_corners=False)

    def write(self, maps: Tensor, edge: int) -> Tensor:
        """maps (B, C, e, e) of the window -> (B, C, edge, edge) of the stack, zero beyond the window."""
        inverse = Window(-self.centre / self.scale[:, None], 1 / self.scale)
        return functional.grid_sample(maps, inverse._grid(edge), padding_mode="zeros", align_corners=False)

    def _grid(self, edge: int) -> Tensor:
        matrix = self.centre.new_zeros((len(self.centre), 2, 3))
        matrix[:, 0, 0] = matrix[:, 1, 1] = self.scale
        matrix[:, :, 2] = self.centre.flip(1)
        return functional.affine_grid(matrix, [len(matrix), 1, edge, edge], align_corners=False)


@dataclass(frozen=True)
class Entry:
    """A remembered slice of each stack. place: its number in the stack; valid (B,) bool."""

    keys: Tensor
    values: Tensor
    place: Tensor
    window: Window
    valid: Tensor


def window_round(mask: Tensor, zoom: Tensor) -> Window:
    """mask (B, R, R), zoom (B,): the square whose edge is zoom times the object's larger extent, at least an eighth of
    the stack's; round the middle where a mask is empty."""
    edge = mask.shape[-1]
    ends = []
    for axis in (2, 1):  # rows, then columns
        occupied = (mask > 0.5).any(dim=axis)
        some = occupied.any(dim=1)
        first = torch.where(some, occupied.float().argmax(dim=1), edge // 4)
        last = torch.where(some, edge - 1 - occupied.flip(1).float().argmax(dim=1), edge * 3 // 4)
        ends.append(torch.stack([first, last + 1], dim=1).float() * (2 / edge) - 1)
    found = torch.stack(ends, dim=1)  # (B, 2, 2)
    scale = (found[..., 1] - found[..., 0]).amax(dim=1) / 2 * zoom
    return Window(found.mean(dim=2), scale.clamp(0.125, 1.5))


class Follower:
    """One pass through a batch of stacks."""

    def __init__(self, network: SliceNetwork, stacks: Stacks, source: Generator, course: Course) -> None:
        self.network, self.stacks, self.source, self.course = network, stacks, source, course
        self.edge, self.batch = network.config.edge, len(stacks)
        self.slices, self.size = stacks.image.shape[1], stacks.image.shape[-1]
        self.rows = torch.arange(self.batch, device=stacks.image.device)
        self.zoom = uniform(source, (self.batch,), *course.zoom)

    def play(self) -> Outcome:
        stacks, last = self.stacks, self.slices - 1
        first = torch.ones_like(self.rows)
        agreed = happens(self.source, self.batch, self.course.ahead) & stacks.valid[:, last]
        reference = self._wobbled(stacks.target[:, 1], _CARELESS, self.course.rough)
        long = [self._entry(first, reference, first > 0)]
        if bool(agreed.any()):
            long.append(self._entry(first * last, stacks.target[:, last], agreed))
        recent = [long[0]]
        held, place = reference, first
        losses, scores, counts, rights = [], [], [], []
        for now in range(2, last):
            zoom = self.zoom * uniform(self.source, (self.batch,), 0.9, 1.1)
            window = window_round(held, zoom)
            ahead = self._known(window, first * last, stacks.target[:, last], last - now, agreed)
            behind = self._known(window, first, reference, now - 1, first > 0)
            seen = ~happens(self.source, self.batch, self.course.blind)
            previous = self._known(window, place, held * seen[:, None, None], now - place, seen)
            image, inside, logits = self._answer(now, window, previous, behind, ahead, recent, long)
            truth = (window.read(stacks.target[:, now, None], self.edge) > 0.5).float()
            losses.append(self._loss(logits, truth, now, inside))
            found = (window.write(logits.logits.sigmoid(), self.size)[:, 0] > 0.5).float()
            found = found * (logits.present > _SURE)[:, None, None] * stacks.inside
            score, is_there = _dice(found, stacks.target[:, now]), stacks.target[:, now].flatten(1).any(dim=1)
            scores.append(score)
            counts.append(stacks.valid[:, now])
            rights.append((logits.present > _SURE) == is_there)
            some = (found > 0.5).flatten(1).any(dim=1)
            made = self._wobbled(found, _SPOILED, self.course.spoiled)
            held = torch.where(some[:, None, None], made, held)
            place = torch.where(some, now, place)
            with self._cast():
                entry = self._remembered(image, window, first * now, found.detach(), some)
            recent = [*recent, entry][-RECENT:]
            if now % 3 == 0:
                long = [*long, entry]
        loss = torch.stack(losses).mean()
        return Outcome(loss, torch.stack(scores), torch.stack(counts), torch.stack(rights))

    # -- one slice -----------------------------------------------------------------------------------------------

    def _answer(
        self,
        now: int,
        window: Window,
        previous: Known,
        behind: Known,
        ahead: Known,
        recent: list[Entry],
        long: list[Entry],
    ) -> tuple[SliceImage, Tensor, SliceLogits]:
        """The slice of this number encoded; where the window has samples (B, edge^2) bool; what the network answers."""
        stacks = self.stacks
        inside = window.read(stacks.inside[:, None].float(), self.edge)[:, 0] > 0.5
        own = window.read(stacks.image[:, now, None], self.edge)[:, 0]
        told = evidence(own, inside, previous, behind, ahead)
        pair = picture(torch.stack([own, previous.image], dim=1), inside, stacks.low, stacks.high)
        state = self._condition(window)
        with self._cast():
            image = self._encoded(self.rows * 0 + now, window, torch.ones_like(self.rows))
            answer = self.network.follow(
                image,
                state,
                pair[:, 0],
                pair[:, 1],
                told,
                self._batch(recent, window, now),
                self._batch(long, window, now),
            )
        return image, inside, answer

    def _encoded(self, place: Tensor, window: Window, ways: Tensor) -> SliceImage:
        """Slices of these numbers, with their neighbours; ways (B,) 1 or -1, which of those comes first."""
        stacks = self.stacks
        around = torch.stack([place - ways, place, place + ways], dim=1).clamp(0, self.slices - 1)
        planes = window.read(stacks.image[self.rows[:, None], around], self.edge)
        inside = window.read(stacks.inside[:, None].float(), self.edge)[:, 0] > 0.5
        seen = picture(planes, inside, stacks.low, stacks.high).flatten(1, 2)
        return self.network.encode(seen, self._condition(window))

    def _condition(self, window: Window) -> Tensor:
        spacing = self.stacks.pixel_mm * self.size * window.scale / self.edge
        return condition(spacing, self.stacks.gap_mm)

    def _known(self, window: Window, place: Tensor, mask: Tensor, slices: Tensor | int, there: Tensor) -> Known:
        image = window.read(self.stacks.image[self.rows, place][:, None], self.edge)[:, 0]
        seen = (window.read(mask[:, None], self.edge)[:, 0] > 0.5).float()
        return Known(image, seen, self.stacks.gap_mm * slices, there)

    def _entry(self, place: Tensor, mask: Tensor, valid: Tensor) -> Entry:
        """An agreed slice, through a window of its own, its neighbours in either order: it serves both ways."""
        window = window_round(mask, self.zoom)
        ways = 1 - 2 * happens(self.source, self.batch, 0.5).long()
        with self._cast():
            return self._remembered(self._encoded(place, window, ways), window, place, mask, valid)

    def _remembered(self, image: SliceImage, window: Window, place: Tensor, mask: Tensor, valid: Tensor) -> Entry:
        seen = (window.read(mask[:, None], self.edge) > 0.5).float()
        distance = (signed_distance(seen[:, 0])[:, None] / FAR).clamp(-1, 1)
        return Entry(image.keys, self.network.remember(image, seen, distance), place, window, valid)

    def _batch(self, entries: list[Entry], window: Window, now: int) -> SliceBatch:
        half_mm = self.stacks.pixel_mm * self.size * window.scale / 2
        places, scales = [], []
        for entry in entries:
            along = (entry.place - now) * self.stacks.gap_mm / half_mm
            places.append(
                torch.cat([along[:, None], (entry.window.centre - window.centre) / window.scale[:, None]], dim=1)
            )
            scales.append(entry.window.scale / window.scale)
        return SliceBatch(
            torch.stack([entry.keys for entry in entries], dim=1),
            torch.stack([entry.values for entry in entries], dim=1),
            torch.stack(places, dim=1),
            torch.stack(scales, dim=1),
            torch.stack([entry.valid for entry in entries], dim=1),
        )

    def _loss(self, answer: SliceLogits, truth: Tensor, now: int, inside: Tensor) -> Tensor:
        """Overlap and every sample where the object is, every sample where it is not; presence; expected Dice."""
        stacks, kept = self.stacks, inside[:, None].float()
        there = stacks.target[:, now].flatten(1).any(dim=1)
        overlap = soft_dice_loss(answer.logits, truth, kept) * truth.flatten(1).any(dim=1)
        every = voxel_loss(answer.logits, truth, kept) * torch.where(there, 1.0, 0.3)
        present = functional.binary_cross_entropy_with_logits(answer.present, there.float(), reduction="none")
        reached = _dice((answer.logits.detach() > 0).float() * kept, truth)
        quality = functional.smooth_l1_loss(answer.quality.sigmoid(), reached, reduction="none", beta=0.2)
        total = overlap + every + 0.5 * present + 2 * quality * there
        return (total * stacks.valid[:, now]).sum() / stacks.valid[:, now].sum().clamp(min=1)

    def _wobbled(self, mask: Tensor, samples: float, share: float) -> Tensor:
        """Some masks up to so many samples too wide or too narrow here and there; never emptied."""
        coarse = uniform(self.source, (self.batch, 1, 6, 6), -samples, samples)
        wobble = functional.interpolate(coarse, size=(self.size, self.size), mode="bicubic")[:, 0]
        drawn = (signed_distance(mask) + wobble > 0).float() * self.stacks.inside
        rough = happens(self.source, self.batch, share) & drawn.flatten(1).any(dim=1)
        return torch.where(rough[:, None, None], drawn, mask)

    def _cast(self) -> torch.autocast:
        return torch.autocast(self.rows.device.type, torch.bfloat16, enabled=self.course.autocast)


def play(network: SliceNetwork, stacks: Stacks, source: Generator, course: Course) -> Outcome:
    return Follower(network, stacks, source, course).play()


def _dice(found: Tensor, truth: Tensor) -> Tensor:
    """(B,); 1 where both are empty."""
    shared = (found * truth).flatten(1).sum(dim=1)
    total = found.flatten(1).sum(dim=1) + truth.flatten(1).sum(dim=1)
    return (2 * shared + 1e-6) / (total + 1e-6)
