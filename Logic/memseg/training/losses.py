"""What is asked of an answer: overlap, every voxel, the coarse map, and an honest expectation of its own quality."""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor

from ..networks.nano import Answer


def soft_dice_loss(logits: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """(B,): 1 - Dice of probabilities. All (B, 1, k, j, i); voxels outside the volume do not count."""
    probability = logits.sigmoid() * inside
    shared = (probability * target).flatten(1).sum(dim=1)
    total = probability.flatten(1).sum(dim=1) + (target * inside).flatten(1).sum(dim=1)
    return 1 - (2 * shared + 1) / (total + 1)


def voxel_loss(logits: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """(B,): cross-entropy, the two sides of a small object's border weighing as much as all that is easy."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = logits.sigmoid()
    hard = (probability * (1 - target) + (1 - probability) * target).square()  # focal, gamma 2
    weight = inside * (0.1 + 0.9 * hard.detach())
    return (entropy * weight).flatten(1).sum(dim=1) / weight.flatten(1).sum(dim=1).clamp(min=1)


def dice(mask: Tensor, target: Tensor) -> Tensor:
    """(B,) of binary (B, 1, k, j, i) masks; 1 where both are empty."""
    shared = (mask * target).flatten(1).sum(dim=1)
    total = mask.flatten(1).sum(dim=1) + target.flatten(1).sum(dim=1)
    return (2 * shared + 1e-6) / (total + 1e-6)


def answer_loss(answer: Answer, target: Tensor, inside: Tensor, reached: Tensor) -> Tensor:
    """(B,) of one round. target, inside: (B, 1, region^3) float. reached: (B,) the Dice of the whole scene's mask."""
    fine = soft_dice_loss(answer.logits, target, inside) + voxel_loss(answer.logits, target, inside)
    half = functional.avg_pool3d(target, 2)
    coarse = soft_dice_loss(answer.coarse, half, functional.max_pool3d(inside, 2))
    quality = functional.smooth_l1_loss(answer.quality.sigmoid(), reached.detach(), reduction="none", beta=0.2)
    return fine + 0.3 * coarse + quality
