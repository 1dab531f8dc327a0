"""The models there are, by card. Nothing here builds one: that is build.py."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from . import registry
from .errors import ModelError
from .segmenters.base import ModelCard

_PREFERRED = ("nano", "geodesic")  # the default is the first that can be built here; the last always can
_PREFERRED_SLICES = ("slices", "slice-geodesic")
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
    ModelCard(
        name="sam-med3d",
        title="SAM-Med3D",
        summary="A large network for organs and lesions of 2 cm and more, by clicks. Thin structures are not for it.",
        prompts=frozenset({"click", "mask"}),  # and boxes, where the file added is one that knows them
        licence="Apache-2.0",
        source="Wang et al., arXiv 2310.15161; weights by its authors, code our own",
        weights="sam_med3d_turbo.pth",
        needs=("torch", "safetensors"),
        published_at="https://huggingface.co/blueyo0/SAM-Med3D",
        size_mb=402,
        hardware="On two CPU cores a second for the first click in a region of 19 cm and 0.2 s for later ones; 1 GB.",
    ),
    ModelCard(
        name="fastsam3d",
        title="FastSAM3D",
        summary="A student of SAM-Med3D with half its layers, for the same objects. Quicker where there is no GPU.",
        prompts=frozenset({"click", "mask"}),
        licence="Apache-2.0",
        source="Shen et al., arXiv 2403.09827; weights by its authors, code our own",
        weights="FastSAM3D.pth",
        needs=("torch", "safetensors"),
        published_at="https://huggingface.co/techlove/FastSAM3D",
        size_mb=638,
        hardware="On two CPU cores 0.5 s for the first click in a region of 19 cm and 0.2 s for later ones; 0.7 GB.",
    ),
)

_SLICE_CARDS = (  # these answer no prompts; they follow an object from slice to slice
    ModelCard(
        name="slices",
        title="Slices",
        summary="A small network that follows an object from slice to slice and remembers the slices it has met.",
        prompts=frozenset(),
        licence="Apache-2.0",
        source="our own, trained by us; memory after SAM 2 (arXiv 2408.00714) and SLM-SAM 2 (arXiv 2505.01854)",
        weights="slices.safetensors",
        needs=("torch", "safetensors"),
    ),
    ModelCard(
        name="slice-geodesic",
        title="Slice geodesic",
        summary="Follows an object from slice to slice by its intensities and outline. Needs no network, no GPU.",
        prompts=frozenset(),
        licence="Apache-2.0",
        source="our own, on geodesic arrival times (GeoS, Criminisi et al., ECCV 2008)",
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


def slice_cards() -> tuple[ModelCard, ...]:
    """Every model this version knows that follows an object from slice to slice."""
    return _SLICE_CARDS


def default_slices() -> str:
    """The name of the one to follow slices with: the network where torch and its weights are."""
    return next(name for name in _PREFERRED_SLICES if can_be_built(slice_card(name)))


def note_on_slices() -> str:
    """Why `default_slices` is not the best there is, a sentence; "" where it is."""
    best = slice_card(_PREFERRED_SLICES[0])
    if can_be_built(best):
        return ""
    lacks = ", ".join(missing_packages(best)) or best.weights
    return f"The slice network needs {lacks}, which is not here; {slice_card(default_slices()).title} does its work."


def can_be_built(card: ModelCard) -> bool:
    return not missing_packages(card) and not lacks_weights(card)


def missing_packages(card: ModelCard) -> tuple[str, ...]:
    return tuple(package for package in card.needs if find_spec(package) is None)


def lacks_weights(card: ModelCard) -> bool:
    if card.published_at and registry.path_of(card.name) is None:
        return True
    return bool(card.weights) and not weights_path(card).is_file()


def weights_path(card: ModelCard) -> Path:
    """Where the weights of a card that has some lie, or would lie; of those that a user has to bring, what was
    added."""
    if card.published_at:
        return registry.path_of(card.name) or registry.location().with_name(card.weights)
    return _MODELS / card.weights


def how_to_add(card: ModelCard) -> str:
    """What to do for weights that a user has to bring, the rest of a sentence."""
    return (
        f"download {card.weights} ({card.size_mb} MB, {card.licence}) from {card.published_at}, "
        f"then run: memseg models add {card.name} FILE"
    )


def card(name: str) -> ModelCard:
    """The card of that name; ModelError naming the nearest ones where there is none."""
    return _of_name(name, _CARDS)


def slice_card(name: str) -> ModelCard:
    """The same among `slice_cards`."""
    return _of_name(name, _SLICE_CARDS)


def _of_name(name: str, known: tuple[ModelCard, ...]) -> ModelCard:
    for candidate in known:
        if candidate.name == name:
            return candidate
    names = [candidate.name for candidate in known]
    near = get_close_matches(name, names, n=1)
    advice = f"did you mean '{near[0]}'?" if near else f"choose one of: {', '.join(names)}."
    raise ModelError(f"There is no model called '{name}'; {advice}")
