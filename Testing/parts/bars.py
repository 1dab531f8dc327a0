"""A bar to be followed through a small volume, and sessions that follow it with the fake segmenters."""

from __future__ import annotations

import numpy as np
from fakes import BlockSegmenter, BlockSlices, box_mask

from memseg.geometry import Box, Grid
from memseg.prompts import MaskPrompt
from memseg.session import Session
from memseg.volume import Volume

SHAPE = (12, 8, 9)
GRID = Grid.from_spacing(SHAPE, (2, 1, 1))
BAR = box_mask(SHAPE, Box((3, 2, 2), (9, 6, 7)))  # slices 3 to 8
VOLUME = Volume(BAR.astype(np.int16) * 100, GRID)


def drawn(*indices: int) -> MaskPrompt:
    """The bar in some slices along k."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[list(indices)] = BAR[list(indices)]
    return MaskPrompt.from_mask(mask)


def session_with(*prompts, slices: BlockSlices | None = None, **options) -> Session:
    session = Session(VOLUME, BlockSegmenter(reach=1), slices=slices or BlockSlices(), **options)
    for prompt in prompts:
        session.add(prompt)
    return session


def propagated(**options) -> Session:
    session = session_with(drawn(5), **options)
    list(session.propagate(reference=5))
    return session


def everything(session: Session) -> tuple:
    marks = {axis: session.marks(axis) for axis in "kji"}
    return (
        session.mask_kji.tobytes(),
        tuple((entry.number, entry.prompt) for entry in session.prompts),
        tuple(entry.number for entry in session.memory),
        str(marks),
        tuple((each.key, each.agreed, each.pinned, each.confidence, each.reference) for each in session.slices),
        tuple(each.key for each in session.slices.recent),
    )
