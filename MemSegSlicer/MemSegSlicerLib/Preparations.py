"""What is done in the worker ahead of time, so that no first click need wait for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import slicer

from memseg import build
from memseg.errors import MemSegError

from .Images import Images
from .Worker import Worker

log = logging.getLogger(__name__)


def prepare(
    worker: Worker,
    images: Images,
    volumeNode: slicer.vtkMRMLVolumeNode,
    failed: Callable[[Exception], None],
    model: str,
    device: str,
) -> None:
    """Check the image, and load the models in the first pause: torch takes 2 s. A model that cannot be loaded says so
    when it is used.

    failed: called on the main thread with what is wrong with the image.
    """
    try:
        image = images.of(volumeNode)
    except MemSegError as error:
        failed(error)
        return
    if not image.isKnown:
        worker.submit(image.volume, lambda _: None, failed)
    for load in (partial(build.build, model, device), partial(build.build_slices, None, device)):
        worker.whenIdle(0.0, load, lambda _: None, lambda error: log.info("a model is not ready: %s", error))
