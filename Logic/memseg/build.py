"""From a model's name to a segmenter: the only place that picks classes and devices."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from . import catalog, registry
from .errors import ModelError
from .segmenters.base import ModelCard, Segmenter
from .segmenters.slice_base import SliceSegmenter

_CLASSES = {
    "geodesic": ("memseg.segmenters.geodesic", "Geodesic"),
    "nano": ("memseg.segmenters.nano", "NanoSegmenter"),
    "sam-med3d": ("memseg.segmenters.sam_med3d", "SamMed3DSegmenter"),
    "mais": ("memseg.segmenters.mais", "MaisSegmenter"),
    "fastsam3d": ("memseg.segmenters.sam_med3d", "FastSam3DSegmenter"),
    "memorizing-sam": ("memseg.segmenters.memorizing", "MemorizingSegmenter"),
    "biomedparse": ("memseg.segmenters.biomedparse", "BiomedParseSegmenter"),
    "sam2-tiny": ("memseg.segmenters.sam2", "Sam2Segmenter"),
    "sam2-small": ("memseg.segmenters.sam2", "Sam2Small"),
    "sam2-base-plus": ("memseg.segmenters.sam2", "Sam2BasePlus"),
    "sam2-large": ("memseg.segmenters.sam2", "Sam2Large"),
    "medsam2": ("memseg.segmenters.sam2", "MedSam2"),
    "slices": ("memseg.segmenters.slices", "SliceNet"),
    "slice-geodesic": ("memseg.segmenters.slice_geodesic", "SliceGeodesic"),
}


def build(name: str | None = None, device: str = "auto", reads: str = "both") -> Segmenter:
    """The segmenter of that name (None: the default), built once and shared. Raises ModelError with what to do.

    device: "auto", "cpu", "cuda", "cuda:N" or "mps"; one that runs without torch uses the CPU whatever is asked. reads:
    "sparse", "dense" or "both" kinds of memories; a model with one kind reads that whatever is asked.
    """
    return _built(name or catalog.default(), device, reads)


@lru_cache(maxsize=8)
def _built(name: str, device: str, reads: str) -> Segmenter:
    card = catalog.card(name)
    _check_device(device)
    if reads not in ("sparse", "dense", "both"):
        raise ModelError(f"There is no '{reads}' kind of memory; read sparse, dense or both.")
    _check_can_be_built(card)
    made = _class_of(card)
    return made.from_file(catalog.weights_path(card), device, reads) if card.weights else made()


def build_random(name: str, device: str = "auto") -> Segmenter:
    """A published model at its full size with weights drawn by chance, made anew: its times are right, its answers mean
    nothing. Raises ModelError for a model of which there is none."""
    card = catalog.any_card(name)
    if not card.is_brought:
        raise ModelError(f"The model '{name}' ships with its weights; write {name} alone.")
    _check_device(device)
    _check_packages(card)
    from .segmenters import random_weights

    if name not in random_weights.names():
        raise ModelError(f"There are no random weights for the model '{name}'; write {name} alone.")
    return _class_of(card)(random_weights.network(name), device)


def check_weights(name: str, path: Path) -> None:
    """Raise ModelError unless the file holds the weights of the model of that name, which a user has to bring."""
    check_takes_weights(name)
    _class_of(catalog.any_card(name)).from_file(path, "cpu")


def check_takes_weights(name: str) -> None:
    """Raise ModelError unless a file can be checked here for the model of that name."""
    card = catalog.any_card(name)
    if not card.is_brought:
        raise ModelError(f"The model '{name}' takes no weights file; it works as it is.")
    if card.weights_of:
        raise ModelError(f"The model '{name}' runs with the weights of {card.weights_of}; give that name.")
    _check_packages(card)


def build_slices(name: str | None = None, device: str = "auto") -> SliceSegmenter:
    """The slice segmenter of that name (None: the best that can be built here), built once and shared. Raises
    ModelError."""
    return _built_slices(name or catalog.default_slices(), device)


@lru_cache(maxsize=4)
def _built_slices(name: str, device: str) -> SliceSegmenter:
    card = catalog.slice_card(name)
    if card.banks:  # it answers prompts too, with the same network
        return _built(name, device, "both")
    _check_device(device)
    _check_can_be_built(card)
    made = _class_of(card)
    return made.from_file(catalog.weights_path(card), device) if card.weights else made()


def _check_device(device: str) -> None:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ModelError(f"There is no device called '{device}'; use auto, cpu, cuda, cuda:0 or mps.")


def _check_packages(card: ModelCard) -> None:
    if missing := catalog.missing_packages(card):
        raise ModelError(
            f"The model '{card.name}' needs {', '.join(missing)}; install it with: pip install {' '.join(missing)}, "
            "or choose another model."
        )


def _check_can_be_built(card: ModelCard) -> None:
    _check_packages(card)
    if card.is_brought:
        whose = catalog.owner(card).name
        if registry.path_of(whose) is None:
            raise ModelError(f"The weights of the model '{card.name}' do not ship: {catalog.how_to_get(card)}.")
        registry.check_unchanged(whose)
    if catalog.lacks_weights(card):
        raise ModelError(f"The weights of the model '{card.name}' ({card.weights}) are not here; choose another model.")


def _class_of(card: ModelCard) -> type:
    module, class_name = _CLASSES[card.name]
    return getattr(import_module(module), class_name)
