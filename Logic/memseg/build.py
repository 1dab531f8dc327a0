"""From a model's name to a segmenter: the only place that picks classes and devices."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module

from . import catalog
from .errors import ModelError
from .segmenters.base import Segmenter

_CLASSES = {
    "geodesic": ("memseg.segmenters.geodesic", "Geodesic"),
    "nano": ("memseg.segmenters.nano", "NanoSegmenter"),
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
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ModelError(f"There is no device called '{device}'; use auto, cpu, cuda, cuda:0 or mps.")
    if reads not in ("sparse", "dense", "both"):
        raise ModelError(f"There is no '{reads}' kind of memory; read sparse, dense or both.")
    if missing := catalog.missing_packages(card):
        raise ModelError(f"The model '{card.name}' needs {', '.join(missing)}; install it, or choose another model.")
    if catalog.lacks_weights(card):
        raise ModelError(f"The weights of the model '{card.name}' ({card.weights}) are not here; choose another model.")
    module, class_name = _CLASSES[card.name]
    segmenter = getattr(import_module(module), class_name)
    return segmenter.from_file(catalog.weights_path(card), device, reads) if card.weights else segmenter()
