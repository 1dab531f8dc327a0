"""An episode of SAM-Med3D's training: one object in each crop, clicked where the mask is wrong, round after round.

As the published code has it: every round answers the newest click and the logits before, zeros at first; at one random
round in the middle and at the last one only the mask speaks. With MAIS what the prompt encoder made of each click and
of the mask told along with it is remembered, without gradient, and later rounds lean on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ..networks.mais import Entry, Mais
from ..networks.sam_med3d import SamAnswer, SamMed3D, nothing_before
from ..networks.sam_prompts import NEGATIVE, POSITIVE
from .chance import whole
from .interactions import Gesture, Habits, gesture
from .losses import dice, soft_dice_loss, voxel_loss
from .scenes import Scenes

CLICKS = Habits(0.5, 0.0, 0.0, (1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))  # half deepest, half anywhere in the error
FEWEST_ROUNDS = 4  # of an episode with rounds in which only the mask speaks
LOSSES = ("dice", "dice-ce", "dice-focal")  # MAIS, SAM-Med3D, and one by which small objects are found from nothing
_EPSILON = 1e-5


@dataclass(frozen=True)
class SamCourse:
    """rounds: of an episode. mask_rounds: whether the mask speaks alone in some. loss: one of LOSSES. frozen: the image
    encoder learns nothing. reads: kinds of memories, as networks.mais has them."""

    rounds: int = 11
    habits: Habits = CLICKS
    mask_rounds: bool = True
    loss: str = "dice-ce"
    frozen: bool = False
    reads: str = "both"
    autocast: bool = False


@dataclass(frozen=True)
class SamOutcome:
    """loss: mean over rounds and samples. dice: (rounds, B) of the masks."""

    loss: Tensor
    dice: Tensor


def play(network: SamMed3D, scenes: Scenes, source: Generator, course: SamCourse) -> SamOutcome:
    """One episode in every scene, of as many samples along its edges as the network sees. Masks fed back carry no
    gradient."""
    target, inside = scenes.target.float(), scenes.inside.float()
    half = torch.autocast(target.device.type, torch.bfloat16, enabled=course.autocast)
    with half, torch.set_grad_enabled(torch.is_grad_enabled() and not course.frozen):
        embedding = network.encode(standardised(scenes))
    logits = nothing_before(network.config, len(scenes)).to(target.device)
    mask, entries = torch.zeros_like(target), ()
    losses, reached = [], []
    alone = _rounds_alone(source, course)
    for turn in range(course.rounds):
        made = gesture(source, scenes.target, mask > 0.5, course.habits, turn == 0, 1) if turn not in alone else None
        with half:
            answer = _answered(network, embedding, made, logits, entries, course.reads)
        if made is not None and isinstance(network, Mais):
            entry = Entry(answer.sparse.detach(), answer.dense.detach())
            entries = (*entries, entry)[-network.memory_config.capacity :]
        logits = answer.logits.detach().float()
        fine = functional.interpolate(answer.logits.float(), size=target.shape[2:], mode="trilinear")
        losses.append(answer_loss(fine, target, inside, course.loss))
        mask = ((fine > 0) & scenes.inside).float()
        reached.append(dice(mask, target))
    return SamOutcome(torch.stack(losses).mean(), torch.stack(reached))


def standardised(scenes: Scenes) -> Tensor:
    """(B, 1, S^3): 0 beside the volume, then mean 0 and deviation 1 of the values above 0; of all where none are."""
    image = torch.where(scenes.inside, scenes.image, 0.0)
    counted = (image > 0).flatten(1)
    counted = counted | ~(counted.sum(dim=1, keepdim=True) > 1)
    values, count = image.flatten(1).double(), counted.sum(dim=1, keepdim=True)
    mean = (values * counted).sum(dim=1, keepdim=True) / count
    variance = ((values - mean).square() * counted).sum(dim=1, keepdim=True) / (count - 1)
    return ((values - mean) / variance.sqrt().clamp(min=1e-12)).reshape(image.shape).float()


def answer_loss(logits: Tensor, target: Tensor, inside: Tensor, kind: str) -> Tensor:
    """(B,) of one of LOSSES. logits, target, inside: (B, 1, S^3); what is beside the volume does not count. The papers'
    have squared denominators."""
    if kind == "dice-focal":
        return soft_dice_loss(logits, target, inside) + voxel_loss(logits, target, inside)
    probability = logits.sigmoid() * inside
    shared = (probability * target).flatten(1).sum(dim=1)
    total = (probability.square() + (target * inside).square()).flatten(1).sum(dim=1)
    loss = 1 - (2 * shared + _EPSILON) / (total + _EPSILON)
    if kind == "dice-ce":
        each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * inside
        loss = loss + each.flatten(1).sum(dim=1) / inside.flatten(1).sum(dim=1).clamp(min=1)
    return loss


def _rounds_alone(source: Generator, course: SamCourse) -> tuple[int, ...]:
    """The rounds in which the mask speaks alone: one from the third to the last but two, and the last."""
    if not course.mask_rounds or course.rounds < FEWEST_ROUNDS:
        return ()
    middle = 2 + int(whole(source, (1,), max(1, course.rounds - 4)))
    return (middle, course.rounds - 1)


def _answered(
    network: SamMed3D, embedding: Tensor, made: Gesture | None, logits: Tensor, entries: tuple[Entry, ...], reads: str
) -> SamAnswer:
    edge = network.config.edge
    points, kinds = None, None
    if made is not None:
        points = (made.points + 1) * (edge / 2) - 0.5  # (B, 1, 3) from -1 to 1 between faces to samples
        kinds = torch.where(made.positive, POSITIVE, NEGATIVE)[:, None]
    if isinstance(network, Mais):
        return network.answer(embedding, points, kinds, logits, entries, reads)
    return network.answer(embedding, points, kinds, logits)
