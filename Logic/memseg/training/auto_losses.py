"""Dice and cross-entropy at every stage of the decoder, learning nothing about structures nobody looked for."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

OUTSIDE = -1  # beside the volume


def supervised(answers: list[Tensor], target: Tensor, known: Tensor) -> Tensor:
    """Mean over stages, finest first, each counting half of the one before and the coarsest nothing (nnU-Net).

    answers: (B, C, k, j, i) logits. target: (B, K, J, I) classes, -1 beside the volume. known: (B, C) bool.
    """
    counts = [0.5**number for number in range(len(answers))]
    if len(counts) > 1:
        counts[-1] = 0.0
    total = answers[0].new_zeros((), dtype=torch.float32)
    for logits, count in zip(answers, counts):
        if count:
            there = functional.interpolate(target[:, None].float(), logits.shape[2:], mode="nearest")[:, 0].long()
            total = total + count * dice_and_entropy(logits.float(), there, known)
    return total / sum(counts)


def dice_and_entropy(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    inside = target != OUTSIDE
    likely = log_probabilities(logits, known)
    entropy = -likely.gather(1, target.clamp(min=0)[:, None])[:, 0]
    entropy = (entropy * inside).sum() / inside.sum().clamp(min=1)
    return entropy + dice_loss(likely.exp(), target, known)


def log_probabilities(logits: Tensor, known: Tensor) -> Tensor:
    """Where nobody looked for a structure, what is called the rest may be that structure: their probabilities are the
    rest's (Shi et al., Medical Image Analysis 2021). Those of unknown classes themselves are not to be used."""
    likely = functional.log_softmax(logits, dim=1)
    rest = ~known
    rest[:, 0] = True
    rest = rest[:, :, None, None, None].expand_as(likely)
    merged = likely.masked_fill(~rest, -torch.inf).logsumexp(dim=1, keepdim=True)
    return torch.cat([merged, likely[:, 1:]], dim=1)


def dice_loss(probabilities: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """1 - Dice over the batch, mean of the structures known somewhere in it; 0 where none is."""
    classes = probabilities.shape[1]
    counted = (known[:, :, None, None, None] & (target != OUTSIDE)[:, None]).float()[:, 1:]
    truth = functional.one_hot(target.clamp(min=0), classes).movedim(-1, 1)[:, 1:].float() * counted
    held = probabilities[:, 1:] * counted
    axes = (0, 2, 3, 4)
    shared, total = (held * truth).sum(dim=axes), held.sum(dim=axes) + truth.sum(dim=axes)
    loss = 1 - (2 * shared + 1) / (total + 1)
    anywhere = known[:, 1:].any(dim=0).float()
    return (loss * anywhere).sum() / anywhere.sum().clamp(min=1)


def reached(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Mean Dice of the structures in the batch; 1 where there are none and none is found."""
    said = log_probabilities(logits.float(), known).masked_fill(~known[:, :, None, None, None], -torch.inf)
    found, inside = said.argmax(dim=1), target != OUTSIDE
    scores = []
    for number in target[target > 0].unique().tolist():
        one, other = (found == number) & inside, target == number
        scores.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    return torch.stack(scores).mean() if scores else (~(found > 0) | ~inside).all().float()
