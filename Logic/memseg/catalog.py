"""The models there are, by card. Nothing here builds one: that is build.py."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec

from .errors import ModelError
from .segmenters.base import ModelCard

DEFAULT = "geodesic"

_CARDS = (
    ModelCard(
        name="geodesic",
        title="Geodesic",
        summary="Grows from your clicks along even intensity and stops at edges. Needs no network, no GPU.",
        prompts=frozenset({"click", "box", "scribble", "lasso", "mask"}),
        licence="Apache-2.0",
        source="our own, on geodesic arrival times (GeoS, Criminisi et al., ECCV 2008)",
    ),
)


def cards() -> tuple[ModelCard, ...]:
    """Every model this version knows."""
    return _CARDS


def installed() -> tuple[ModelCard, ...]:
    """The models that can be built here: all packages they need are installed."""
    return tuple(card for card in _CARDS if not missing_packages(card))


def missing_packages(card: ModelCard) -> tuple[str, ...]:
    return tuple(package for package in card.needs if find_spec(package) is None)


def card(name: str) -> ModelCard:
    """The card of that name; ModelError naming the nearest ones where there is none."""
    for candidate in _CARDS:
        if candidate.name == name:
            return candidate
    names = [candidate.name for candidate in _CARDS]
    near = get_close_matches(name, names, n=1)
    advice = f"did you mean '{near[0]}'?" if near else f"choose one of: {', '.join(names)}."
    raise ModelError(f"There is no model called '{name}'; {advice}")
