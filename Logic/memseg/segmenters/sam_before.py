"""What SAM-Med3D is told of the mask so far: the logits it answered with, where the mask is still what they made of it.

The network was trained to correct its own logits. They are kept in the interaction memory, one entry for each prompt:
dense (1, cells^3) the logits of the prompt's window, or, for a network that remembers such maps, (D + 64, g, g, g) the
prompt encoder's map of the mask it was told and behind it those logits, folded; sparse (P, D + 7) the prompt encoder's
tokens, then the point in mm, the side (1 positive, -1 negative, 0 a box's corner), and the window's centre in mm. Mm
are along the volume's axes (k, j, i), index times spacing.
"""

from __future__ import annotations

import numpy as np

from ..memory.interaction import Interaction
from ..prompts import BoxPrompt, Click
from .nano_view import View
from .sam_window import Window, corners_of

PLACE = 7
FOLD = 4  # cells along a token of the image
_SUREST = 0.998  # of a cell that is all object: a logit of 6.2, as the network's own are where it is sure
_PLAIN = 0.75  # a cell this full is object whatever was answered, and one this empty is not


def known_logits(view: View, mask_kji: np.ndarray, remembered: tuple[Interaction, ...], window: Window) -> np.ndarray:
    """Float32 (edge, edge, edge) logits of the mask so far, in the cells of a view.

    Those of the newest memory that has some there and does not contradict the mask; otherwise how full the cell is. The
    mask may be another one than was answered: painted in, propagated, or by another model. window: of the newest
    prompt, which says what its answers' cells are like.
    """
    full = np.where(view.inside, view.sample(mask_kji), np.float32(0))
    share = np.clip(full, 1 - _SUREST, _SUREST)
    logits = np.log(share / (1 - share)).astype(np.float32)
    open_cells = np.ones(full.shape, bool)
    for entry in reversed(remembered):
        old = _view_of(entry, window)
        if old is None:
            continue
        seen, within = old.seen_by(view, answered_of(entry, window.cells)), _within(old, view)
        contradicts = ((seen > 0) & (full < 1 - _PLAIN)) | ((seen <= 0) & (full > _PLAIN))
        taken = open_cells & within
        logits = np.where(taken & ~contradicts, seen, logits)
        open_cells &= ~within
        if not open_cells.any():
            break
    return logits


def kept(
    tokens: np.ndarray,
    prompt: Click | BoxPrompt,
    window: Window,
    logits: np.ndarray,
    told: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """sparse and dense of a Prediction, as the module says. tokens (P, D); logits (cells^3) in the window's answer;
    told (D, g, g, g) the map of the mask it was told, None from a network that does not remember it."""
    points = corners_of(prompt, window.grid)
    spacing = np.asarray(window.grid.spacing_kji_mm)
    side = 0.0 if isinstance(prompt, BoxPrompt) else (1.0 if prompt.positive else -1.0)
    centre = np.broadcast_to(np.asarray(window.answer.centre_kji) * spacing, points.shape)
    rows = [tokens, points * spacing, np.full((len(points), 1), side), centre]
    dense = logits[None] if told is None else np.concatenate([told, folded(logits)])
    return {"sparse": np.concatenate(rows, axis=1).astype(np.float32), "dense": dense}


def _view_of(entry: Interaction, window: Window) -> View | None:
    """Where the entry's logits lie; None for an entry without any, or of a network of another size."""
    if answered_of(entry, window.cells) is None or entry.sparse.shape[1] < PLACE:
        return None
    centre = entry.sparse[0, -3:].astype(float) / np.asarray(window.grid.spacing_kji_mm)
    return View(window.grid, tuple(float(value) for value in centre), window.cell_mm, window.cells)


def answered_of(entry: Interaction, cells: int) -> np.ndarray | None:
    """The entry's logits (cells^3); None for an entry without any, or of a network of another size."""
    dense = entry.dense
    if dense is None:
        return None
    if dense.shape == (1, cells, cells, cells):
        return dense[0]
    grid = cells // FOLD
    return unfolded(dense[-(FOLD**3) :]) if dense.shape[0] > FOLD**3 and dense.shape[1:] == (grid,) * 3 else None


def folded(logits: np.ndarray) -> np.ndarray:
    """(4 g, 4 g, 4 g) -> (64, g, g, g): the cells of a token as its channels."""
    grid = len(logits) // FOLD
    blocks = logits.reshape(grid, FOLD, grid, FOLD, grid, FOLD).transpose(1, 3, 5, 0, 2, 4)
    return blocks.reshape(FOLD**3, grid, grid, grid)


def unfolded(channels: np.ndarray) -> np.ndarray:
    """The inverse of `folded`."""
    grid = channels.shape[1]
    blocks = channels.reshape(FOLD, FOLD, FOLD, grid, grid, grid).transpose(3, 0, 4, 1, 5, 2)
    return blocks.reshape(FOLD * grid, FOLD * grid, FOLD * grid)


def _within(old: View, view: View) -> np.ndarray:
    """Bool (edge, edge, edge): the cells of a view whose centres lie in another one."""
    axes = []
    for axis in range(3):
        places = view.first_kji[axis] + np.arange(view.edge) * view.step_kji[axis]
        position = (places - old.first_kji[axis]) / old.step_kji[axis]
        axes.append((position >= -0.5) & (position <= old.edge - 0.5))
    return axes[0][:, None, None] & axes[1][None, :, None] & axes[2][None, None, :]
