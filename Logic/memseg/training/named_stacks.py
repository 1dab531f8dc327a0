"""Stacks of slices with objects of which words name one, for BiomedParse's memory to learn from: no anatomy, but what
makes words hard slice by slice. Which object is the left one cannot be seen in every slice; in some slices an object
all but vanishes, and in some the brightest is no brighter than another.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import copysign
from typing import Protocol

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from .chance import happens, normal, number, uniform, whole

LOOKS = ("bright", "dark", "large", "small", "left", "right", "round", "long")
_WORDS = (*LOOKS, "object")
_OBJECTS, _BACKGROUND, _NOISE, _CONTRAST = 3, 110.0, 10.0, 45.0
_FEWEST = 30  # voxels
_FADED, _ALIKE = 0.45, 0.5  # share of objects that fade, and of scenes in which two objects become alike


class Vocabulary(Protocol):
    """Sentences as numbers, such as memseg.segmenters.byte_pairs.BytePairs."""

    def encode(self, words: str, longest: int = 77) -> tuple[int, ...]: ...


class WordList:
    """The few words there are here, for a network of our own. names: further ones, such as of structures."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self.words = (*_WORDS, *(name for name in dict.fromkeys(names) if name not in _WORDS))

    def __len__(self) -> int:
        return len(self.words) + 2

    def encode(self, words: str, longest: int = 77) -> tuple[int, ...]:
        ids = [self.words.index(word) for word in words.split() if word in self.words]
        return (len(self.words), *ids[: longest - 2], len(self.words) + 1)


@dataclass(frozen=True)
class NamedStack:
    """image (S, e, e) float 0 to 255; target (S, e, e) float 0 or 1, empty where nothing is as the sentence says;
    sentence; ids (1, T). hard (S,) bool: slices in which the object is there and made hard to tell."""

    image: Tensor
    target: Tensor
    sentence: str
    ids: Tensor
    hard: Tensor

    @property
    def present(self) -> Tensor:
        """(S,) float 0 or 1."""
        return self.target.flatten(1).any(dim=1).float()


@dataclass(frozen=True)
class Look:
    """How an object looks as a whole: value, grey of 0 to 255; column, -1 to 1, of its middle; size in voxels."""

    value: float
    column: float
    long: bool
    size: int


@dataclass(frozen=True)
class Scene:
    """image (S, e, e) float 0 to 255; for each object a body (S, e, e) bool, a look, and in which slices (S,) bool it
    looks otherwise."""

    image: Tensor
    bodies: tuple[Tensor, ...]
    looks: tuple[Look, ...]
    changed: tuple[Tensor, ...]

    def asked(self, source: Generator, words: tuple[str, ...], vocabulary: Vocabulary, most: int) -> list[NamedStack]:
        """Questions that have one clear answer, at most so many, in random order. words: those that may be said."""
        found = []
        for place in torch.randperm(len(words), generator=source, device=source.device).tolist():
            fits = _fitting(words[place], self.looks)
            if len(found) < most and fits is not None and (fits < 0 or self.looks[fits].size >= _FEWEST):
                sentence = f"{words[place]} object"
                target = torch.zeros_like(self.image) if fits < 0 else self.bodies[fits].float()
                there = target.flatten(1).any(dim=1)
                ids = torch.tensor([vocabulary.encode(sentence)], device=source.device)
                found.append(NamedStack(self.image, target, sentence, ids, there & self.changed[fits]))
        return found


def scene(source: Generator, slices: int, edge: int) -> Scene:
    """Columns run to the left, as BiomedParse is shown them, so that the left object has the greatest column."""
    device = source.device
    z, y, x = torch.meshgrid(
        torch.linspace(-1, 1, slices, device=device),
        *(torch.linspace(-1, 1, edge, device=device) for _ in range(2)),
        indexing="ij",
    )
    bodies: list[Tensor] = []
    drawn: list[tuple[float, float, bool]] = []
    for place in range(_OBJECTS):
        centre = uniform(source, (3,), -0.65, 0.65)
        centre[0] *= 0.6
        long = bool(happens(source, 1, 0.35))
        radius = number(source, 0.14, 0.22) if long else 0.16 * 2.6 ** number(source, 0, 1)
        height = number(source, 0.7, 1.2) if long else radius * 1.6
        lean = uniform(source, (2,), -0.25, 0.25) * long
        across = ((y - centre[1] - lean[0] * z).square() + (x - centre[2] - lean[1] * z).square()) / radius**2
        bodies.append(across + ((z - centre[0]) / height).square() < 1)
        apart = number(source, 20, 235) - _BACKGROUND
        drawn.append((_BACKGROUND + copysign(max(abs(apart), _CONTRAST), apart), float(centre[2]), long))
        for earlier in range(place):
            bodies[earlier] = bodies[earlier] & ~bodies[place]
    looks = tuple(Look(*each, int(body.sum())) for each, body in zip(drawn, bodies))
    image = torch.full_like(z, _BACKGROUND) + 12 * _texture(source, slices, edge)
    contrasts = _contrasts(source, bodies, looks)
    for body, apart in zip(bodies, contrasts):
        image = torch.where(body, image + apart[:, None, None], image)
    image = image + normal(source, tuple(image.shape)) * _NOISE
    changed = tuple(apart != look.value - _BACKGROUND for apart, look in zip(contrasts, looks))
    return Scene(image.clamp(0, 255), tuple(bodies), looks, changed)


def named_stack(
    source: Generator, slices: int, edge: int, vocabulary: Vocabulary, words: tuple[str, ...] = LOOKS
) -> NamedStack:
    """One question of a scene. words: those that may be said, some of LOOKS."""
    while True:
        if asked := scene(source, slices, edge).asked(source, words, vocabulary, 1):
            return asked[0]


def _fitting(word: str, looks: tuple[Look, ...]) -> int | None:
    """The object that a word fits clearly; -1 where it fits none at all, None where that is not clear."""
    if word in ("long", "round"):
        fits = [place for place, look in enumerate(looks) if look.long == (word == "long")]
        return fits[0] if len(fits) == 1 else -1 if not fits and word == "long" else None
    measure, sign, margin = {
        "bright": ("value", 1, 30),
        "dark": ("value", -1, 30),
        "large": ("size", 1, 0),
        "small": ("size", -1, 0),
        "left": ("column", 1, 0.25),
        "right": ("column", -1, 0.25),
    }[word]
    measured = [getattr(look, measure) for look in looks]
    order = sorted(range(len(looks)), key=lambda place: -sign * measured[place])
    first, second = (measured[place] for place in order[:2])
    if measure == "value" and sign * (first - _BACKGROUND) <= 0:
        return None
    if measure == "size":
        return order[0] if max(first, second) >= 1.5 * min(first, second) else None
    return order[0] if abs(first - second) >= margin else None


def _contrasts(source: Generator, bodies: list[Tensor], looks: tuple[Look, ...]) -> list[Tensor]:
    """For each object (S,), by how much it is brighter than what surrounds it: as it looks as a whole, but for slices
    in which it is hardly to be seen, and for those in which two objects are equally bright."""
    slices = len(bodies[0])
    held = [body.flatten(1).any(dim=1) for body in bodies]
    apart = [torch.full((slices,), look.value - _BACKGROUND, device=source.device) for look in looks]
    for one in range(len(looks)):
        for other in range(one):
            alike = apart[one][0] * apart[other][0] > 0 and bool(happens(source, 1, _ALIKE))
            if alike and (run := _run(source, held[one] & held[other], 2, 5)):
                apart[one][run] = apart[other][run] = (apart[one][run] + apart[other][run]) / 2
    for each, inside in zip(apart, held):
        if bool(happens(source, 1, _FADED)) and (run := _run(source, inside, 1, 3)):
            each[run] *= 0.1
    return apart


def _run(source: Generator, inside: Tensor, fewest: int, most: int) -> slice | None:
    """Some slices in a row of those that are `inside` (S,), neither the first nor the last; None of fewer than five."""
    places = inside.nonzero()[:, 0].tolist()
    if len(places) < 5:
        return None
    count = min(fewest + int(whole(source, (1,), most - fewest + 1)), len(places) - 2)
    first = places[1 + int(whole(source, (1,), len(places) - count - 1))]
    return slice(first, first + count)


def _texture(source: Generator, slices: int, edge: int) -> Tensor:
    """(S, e, e) of about unit deviation."""
    coarse = normal(source, (1, 1, 4, 8, 8))
    return functional.interpolate(coarse, size=(slices, edge, edge), mode="trilinear", align_corners=True)[0, 0]
