"""The list of prompts, and sentences about them, as a panel shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from memseg.geometry import Grid
from memseg.prompts import Prompt

from .Record import SessionState

_CUBIC_MM_PER_ML = 1000.0
FIRST_GUESS = "first guess"  # the origin of a mask that a trained model proposed
_ALONG = re.compile(" along [kji]")  # letters that a panel calls axial, coronal, sagittal
_BY_SLICES = re.compile("(propagated|made consistent) along ")  # how masks begin to say where they come from


@dataclass
class PromptRow:
    """A line of the prompt list. index: position in the session's prompts, 0 the oldest. number: for the user. kind: of
    the prompt, or "slices" for a propagation.

    leaned: how much the present mask leaned on it, "42 %", or "" where that is not known. bar: the same as a length,
    1 for the largest in the list.
    """

    index: int = 0
    number: int = 0
    kind: str = ""
    positive: bool = True
    title: str = ""
    leaned: str = ""
    bar: float = 0.0


def promptRows(state: SessionState) -> list[PromptRow]:
    """The newest prompt first."""
    shares = dict(state.leaned)
    largest = max(shares.values(), default=0.0) or 1.0
    rows = []
    for index, numbered in enumerate(state.prompts):
        prompt, share = numbered.prompt, shares.get(numbered.number)
        kind = prompt.kind
        if prompt.kind == "mask" and prompt.origin not in ("", FIRST_GUESS):
            kind = "slices" if _BY_SLICES.match(prompt.origin) else "text"
        row = PromptRow(index, numbered.number, kind, prompt.positive, promptTitle(prompt))
        rows.append(row if share is None else replace(row, leaned=f"{100 * share:.0f} %", bar=share / largest))
    return rows[::-1]


def promptTitle(prompt: Prompt) -> str:
    sign = "positive" if prompt.positive else "negative"
    match prompt.kind:
        case "mask" if _BY_SLICES.match(prompt.origin):
            return _ALONG.sub("", prompt.origin)
        case "mask" if prompt.origin == FIRST_GUESS:
            return "first guess of the trained model"
        case "mask":
            return f"“{prompt.origin}”" if prompt.origin else "edited mask"
        case "text":
            return f"“{prompt.words}”"
        case "box":
            return f"{sign} box" + (" on a slice" if prompt.flat_axis else "")
        case kind:
            return f"{sign} {kind}"


def sizeWords(voxels: int, grid: Grid) -> str:
    millilitres = voxels * float(np.prod(grid.spacing_kji_mm)) / _CUBIC_MM_PER_ML
    return f"{voxels:,} voxels · {millilitres:,.1f} ml"


def adviceWords(state: SessionState) -> str:
    if not state.prompts:
        return "Click inside the structure to segment; Ctrl or Shift and click takes away."
    count = len(state.prompts)
    return f"{count} prompt{'s' if count != 1 else ''}; click what is missing, Ctrl and click what is too much."
