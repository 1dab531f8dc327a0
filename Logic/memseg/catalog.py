"""The models there are, by card. Nothing here builds one: that is build.py."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from .errors import ModelError
from .segmenters.base import ModelCard

_PREFERRED = ("nano", "geodesic")  # the default is the first that can be built here; the last always can
_MODELS = Path(__file__).resolve().parents[2] / "MemSegSlicer" / "Resources" / "Models"

_CARDS = (
    ModelCard(
        name="geodesic",
        title="Geodesic",
        summary="Grows from your clicks along even intensity and stops at edges. Needs no network, no GPU.",
        prompts=frozenset({"click", "box", "scribble", "lasso", "mask"}),
        licence="Apache-2.0",
        source="our own, on geodesic arrival times (GeoS, Criminisi et al., ECCV 2008)",
    ),
    ModelCard(
        name="nano",
        title="Nano",
        summary="A small network that remembers every prompt you gave it. Quick on a CPU, quicker on a GPU.",
        prompts=frozenset({"click", "box", "scribble", "lasso", "mask"}),
        licence="Apache-2.0",
        source="our own, trained by us; memory after MAIS (arXiv 2505.07511)",
        weights="nano.safetensors",
        needs=("torch", "safetensors"),
    ),
)


def cards() -> tuple[ModelCard, ...]:
    """Every model this version knows."""
    return _CARDS


def installed() -> tuple[ModelCard, ...]:
    """The models that can be built here: their weights and all packages they need are there."""
    return tuple(card for card in _CARDS if can_be_built(card))


def default() -> str:
    """The name of the model to start with: nano where torch is, otherwise geodesic."""
    return next(name for name in _PREFERRED if can_be_built(card(name)))


def can_be_built(card: ModelCard) -> bool:
    return not missing_packages(card) and not lacks_weights(card)


def missing_packages(card: ModelCard) -> tuple[str, ...]:
    return tuple(package for package in card.needs if find_spec(package) is None)


def lacks_weights(card: ModelCard) -> bool:
    return bool(card.weights) and not weights_path(card).is_file()


def weights_path(card: ModelCard) -> Path:
    """Where the weights of a card that has some lie, or would lie."""
    return _MODELS / card.weights


def card(name: str) -> ModelCard:
    """The card of that name; ModelError naming the nearest ones where there is none."""
    for candidate in _CARDS:
        if candidate.name == name:
            return candidate
    names = [candidate.name for candidate in _CARDS]
    near = get_close_matches(name, names, n=1)
    advice = f"did you mean '{near[0]}'?" if near else f"choose one of: {', '.join(names)}."
    raise ModelError(f"There is no model called '{name}'; {advice}")
