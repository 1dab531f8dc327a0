"""An episode: one object in each scene, segmented by a simulated user over some rounds, with memory carried along."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from ..networks.memory_attention import MemoryBatch
from ..networks.nano import Answer, Features, Nano
from .chance import happens, normal, number, uniform, whole
from .interactions import BOX, Gesture, Habits, gesture, rendered
from .losses import answer_loss, dice
from .scenes import Scenes, Window, extent, looked_at, read, written


@dataclass(frozen=True)
class Course:
    """How episodes run. rounds: prompts. moves: chance a round looks at another region. forgets: share of samples
    without memory. narrow: chance that an episode reads one kind of memory only. autocast: convolutions in bfloat16."""

    rounds: int = 4
    habits: Habits = field(default_factory=Habits)
    moves: float = 0.3
    forgets: float = 0.2
    narrow: float = 0.2
    autocast: bool = False


@dataclass(frozen=True)
class Remembered:
    """What one round left behind; points and windows in scene positions."""

    sparse: Tensor
    points: Tensor
    polarity: Tensor
    valid: Tensor
    dense: Tensor
    window: Window


@dataclass(frozen=True)
class Outcome:
    """loss: mean over rounds and samples. dice: (rounds, B) of the scenes' masks."""

    loss: Tensor
    dice: Tensor


def play(network: Nano, scenes: Scenes, source: Generator, course: Course) -> Outcome:
    """One episode in every scene; gradients flow through all rounds, not through the masks fed back."""
    region, points = network.config.region, network.config.points
    target, inside = scenes.target, scenes.inside.float()
    mask = torch.zeros_like(inside)
    keeps = ~happens(source, len(scenes), course.forgets)
    memory: list[Remembered] = []
    reads = "both"
    if number(source, 0, 1) < course.narrow:
        reads = ("sparse", "dense")[int(whole(source, (1,), 2))]
    losses, reached, window, features = [], [], None, None
    for turn in range(course.rounds):
        with torch.no_grad():
            made = gesture(source, target, mask > 0.5, course.habits, turn == 0, points)
            moved = window is None or number(source, 0, 1) < course.moves
            before, window = window, chosen_window(source, scenes, made, region) if moved else reaching(window, made)
            picture, condition, wanted, counted = looked_at(scenes, window, region)
            prompt = rendered(made, window, read(mask, window.places(region)), region)
        with torch.autocast(picture.device.type, torch.bfloat16, enabled=course.autocast):
            features = encoded(network, picture, condition, features, before, window)
            answer = network.answer(features, prompt, recalled(memory, window, keeps), reads)
        with torch.no_grad():
            mask = settled(made, mask, written(answer.logits.sigmoid(), window, mask, inside))
            reached.append(dice(mask, target.float()))
        losses.append(answer_loss(answer, wanted, counted, reached[-1]))
        memory.append(kept(made, answer, window))
    return Outcome(torch.stack(losses).mean(), torch.stack(reached))


def encoded(
    network: Nano, picture: Tensor, condition: Tensor, features: Features | None, before: Window | None, window: Window
) -> Features:
    """The region's features; those there are where the window is still the same, as in use."""
    if features is None or before is None:
        return network.encode(picture, condition)
    moved = torch.nonzero((before.centre != window.centre).any(dim=1) | (before.scale != window.scale))[:, 0]
    if len(moved) == 0:
        return features
    fresh = network.encode(picture[moved], condition[moved])
    return features.replaced(moved, fresh) if len(moved) < len(picture) else fresh


def settled(made: Gesture, before: Tensor, after: Tensor) -> Tensor:
    """(B, 1, S^3): as in use, a positive stroke takes nothing away and a negative one adds nothing; a box does both."""
    shape = (-1, 1, 1, 1, 1)
    positive, boxed = made.positive.reshape(shape), (made.kind == BOX).reshape(shape)
    stroked = torch.where(positive, torch.maximum(before, after), torch.minimum(before, after))
    return torch.where(boxed, after, stroked)


def kept(made: Gesture, answer: Answer, window: Window) -> Remembered:
    return Remembered(answer.sparse, made.points, made.drawn_again, made.valid, answer.dense, window)


def recalled(memory: list[Remembered], window: Window, keeps: Tensor) -> MemoryBatch | None:
    """Entries as seen from a window; None before the first. keeps: (B,) bool, which samples remember at all."""
    if not memory:
        return None
    batch, count = len(keeps), len(memory)
    ages = torch.arange(count, 0, -1, device=keeps.device, dtype=torch.float32)
    return MemoryBatch(
        sparse=torch.stack([entry.sparse for entry in memory], dim=1),
        points=torch.stack([window.relative(entry.points) for entry in memory], dim=1),
        polarity=torch.stack([entry.polarity for entry in memory], dim=1),
        valid=torch.stack([entry.valid for entry in memory], dim=1),
        dense=torch.stack([entry.dense for entry in memory], dim=1),
        centre=torch.stack([window.relative(entry.window.centre) for entry in memory], dim=1),
        scale=torch.stack([entry.window.scale / window.scale for entry in memory], dim=1),
        age=ages.expand(batch, count),
        present=keeps[:, None].expand(batch, count),
    )


def chosen_window(source: Generator, scenes: Scenes, made: Gesture, region: int) -> Window:
    """A window that holds the gesture and of whose edge the object fills about a half, as it does in use, where a first
    look at the image says how large it may be and errs by half or twice as often as not."""
    batch = len(scenes)
    low, high = extent(scenes.target)
    half = (high - low).amax(dim=1) / 2
    fill = (0.55 * (0.5 * normal(source, (batch,))).exp()).clamp(0.15, 2.0)
    finest = 0.5 * region / scenes.edge  # two region samples to one of the scene
    scale = (half / fill).clamp(finest, 1.0)
    point = made.points[:, 0]
    aside = uniform(source, (batch, 3), -0.6, 0.6) * scale[:, None]
    middle = (low + high) / 2
    style = uniform(source, (batch, 1))
    centre = torch.where(style < 0.5, point, torch.where(style < 0.75, point + aside, middle))
    return reaching(Window(centre, scale), made)


def reaching(window: Window, made: Gesture) -> Window:
    """The window, moved as little as needed to hold the gesture's first point with a margin, and to lie mostly
    inside."""
    point = made.points[:, 0]
    slack = 0.8 * window.scale[:, None]
    centre = torch.minimum(torch.maximum(window.centre, point - slack), point + slack)
    return Window(centre.clamp(-1, 1), window.scale)
