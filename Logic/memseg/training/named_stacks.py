"""Stacks of slices with objects of which words name one, for BiomedParse's memory to learn from: no anatomy, but what
makes words hard slice by slice. Which object is the largest, or the left one, cannot be seen in every slice; and in
some slices the named object all but vanishes.
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


class Vocabulary(Protocol):
    """Sentences as numbers, such as memseg.segmenters.byte_pairs.BytePairs."""

    def encode(self, words: str, longest: int = 77) -> tuple[int, ...]: ...


class WordList:
    """The few words there are here, for a network of our own."""

    def __len__(self) -> int:
        return len(_WORDS) + 2

    def encode(self, words: str, longest: int = 77) -> tuple[int, ...]:
        ids = [_WORDS.index(word) for word in words.split() if word in _WORDS]
        return (len(_WORDS), *ids[: longest - 2], len(_WORDS) + 1)


@dataclass(frozen=True)
class NamedStack:
    """image (S, e, e) float 0 to 255; target (S, e, e) float 0 or 1, empty where nothing is as the sentence says;
    sentence; ids (1, T)."""

    image: Tensor
    target: Tensor
    sentence: str
    ids: Tensor

    @property
    def present(self) -> Tensor:
        """(S,) float 0 or 1."""
        return self.target.flatten(1).any(dim=1).float()


def named_stack(
    source: Generator, slices: int, edge: int, vocabulary: Vocabulary, words: tuple[str, ...] = LOOKS
) -> NamedStack:
    """words: those that may be said, some of LOOKS. Columns run to the left, as BiomedParse is shown them, so that the
    left object has the greatest column."""
    device = source.device
    z, y, x = torch.meshgrid(
        torch.linspace(-1, 1, slices, device=device),
        *(torch.linspace(-1, 1, edge, device=device) for _ in range(2)),
        indexing="ij",
    )
    bodies, looks = [], []
    for place in range(_OBJECTS):
        centre = uniform(source, (3,), -0.65, 0.65)
        centre[0] *= 0.6
        long = bool(happens(source, 1, 0.35))
        radius = number(source, 0.14, 0.22) if long else 0.16 * 2.6 ** number(source, 0, 1)
        height = number(source, 0.7, 1.2) if long else radius * 1.6
        lean = uniform(source, (2,), -0.25, 0.25) * long
        across = ((y - centre[1] - lean[0] * z).square() + (x - centre[2] - lean[1] * z).square()) / radius**2
        bodies.append(across + ((z - centre[0]) / height).square() < 1)
        looks.append({"value": number(source, 20, 235), "column": float(centre[2]), "long": long})
        for earlier in range(place):
            bodies[earlier] = bodies[earlier] & ~bodies[place]
    for body, look in zip(bodies, looks):
        look["size"] = int(body.sum())
        apart = look["value"] - _BACKGROUND
        look["value"] = _BACKGROUND + copysign(max(abs(apart), _CONTRAST), apart)
    said = _named(source, looks, words)
    if said is None:
        return named_stack(source, slices, edge, vocabulary, words)
    word, chosen = said
    faded = 1.0 - 0.9 * _lost(source, bodies[chosen] if chosen is not None else bodies[0])
    image = torch.full_like(z, _BACKGROUND) + 12 * _texture(source, slices, edge)
    for place, (body, look) in enumerate(zip(bodies, looks)):
        shown = faded if place == chosen else torch.ones_like(faded)
        image = torch.where(body, image + (look["value"] - _BACKGROUND) * shown[:, None, None], image)
    image = image + normal(source, tuple(image.shape)) * _NOISE
    target = bodies[chosen].float() if chosen is not None else torch.zeros_like(z)
    sentence = f"{word} object"
    ids = torch.tensor([vocabulary.encode(sentence)], device=device)
    return NamedStack(image.clamp(0, 255), target, sentence, ids)


def _named(source: Generator, looks: list[dict[str, float]], words: tuple[str, ...]) -> tuple[str, int | None] | None:
    """A word, and the object that alone it fits, or None of a word that fits none; None where no word is clear."""
    for place in torch.randperm(len(words), generator=source, device=source.device).tolist():
        word = words[place]
        fits = _fitting(word, looks)
        if fits is not None and (fits < 0 or looks[fits]["size"] >= _FEWEST):
            return word, None if fits < 0 else fits
    return None


def _fitting(word: str, looks: list[dict[str, float]]) -> int | None:
    """The object that a word fits clearly; -1 where it fits none at all, None where that is not clear."""
    if word in ("long", "round"):
        fits = [place for place, look in enumerate(looks) if look["long"] == (word == "long")]
        return fits[0] if len(fits) == 1 else -1 if not fits and word == "long" else None
    measure, sign, margin = {
        "bright": ("value", 1, 30),
        "dark": ("value", -1, 30),
        "large": ("size", 1, 0),
        "small": ("size", -1, 0),
        "left": ("column", 1, 0.25),
        "right": ("column", -1, 0.25),
    }[word]
    order = sorted(range(len(looks)), key=lambda place: -sign * looks[place][measure])
    first, second = (looks[place][measure] for place in order[:2])
    if measure == "value" and sign * (first - _BACKGROUND) <= 0:
        return None
    if measure == "size":
        return order[0] if max(first, second) >= 1.5 * min(first, second) else None
    return order[0] if abs(first - second) >= margin else None


def _lost(source: Generator, body: Tensor) -> Tensor:
    """(S,) 1 for the slices in which the object is hardly to be seen: none, or one to three of its own in a row."""
    lost = torch.zeros(len(body), device=body.device)
    inside = body.flatten(1).any(dim=1).nonzero()[:, 0].tolist()
    if len(inside) >= 5 and bool(happens(source, 1, 0.6)):
        count = 1 + int(whole(source, (1,), 3))
        first = inside[1 + int(whole(source, (1,), max(1, len(inside) - count - 1)))]
        lost[first : first + count] = 1
    return lost


def _texture(source: Generator, slices: int, edge: int) -> Tensor:
    """(S, e, e) of about unit deviation."""
    coarse = normal(source, (1, 1, 4, 8, 8))
    return functional.interpolate(coarse, size=(slices, edge, edge), mode="trilinear", align_corners=True)[0, 0]
