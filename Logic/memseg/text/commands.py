"""What is done with the mask there is: grown, smoothed, filled, cut. All lengths are mm in the patient's space."""

from __future__ import annotations

import numpy as np

from ..errors import PromptError
from .pieces import Piece, united
from .query import FillHoles, Grow, KeepLargest, RemoveSmall, Side, Smooth, SplitSides

Shaping = Grow | Smooth | FillHoles | KeepLargest | RemoveSmall
_ONE_SIDE = 0.8  # the part of a connected piece that has to lie on a side for it to belong there whole


def shaped(mask: Piece, command: Shaping) -> tuple[Piece, str]:
    """The mask after the command, and what was done in a sentence. PromptError where nothing would change, or nothing
    be left."""
    match command:
        case Grow(mm):
            after, told = mask.grown(mm), f"It was {'grown' if mm >= 0 else 'shrunk'} by {abs(mm):g} mm on every side."
            why = f"{abs(mm):g} mm is less than a voxel here; give a greater length."
        case Smooth(mm):
            after, told = mask.smoothed(mm), f"Its outline was evened out over {mm:g} mm."
            why = "The mask is as smooth as that already; give a greater length."
        case FillHoles():
            after, told, why = mask.filled(), "Its holes were filled.", "The mask has no holes to fill."
        case KeepLargest(count):
            parts = mask.components()
            after = united(parts[:count])
            told = f"The largest {'piece' if count == 1 else f'{count} pieces'} of {len(parts)} stayed."
            why = f"The mask has {_counted(len(parts))}, so there is nothing to take away."
        case RemoveSmall(mm):
            parts = mask.components()
            kept = [part for part in parts if part.longest_mm >= mm]
            after = united(kept) if kept else Piece.nothing(mask.grid)
            told = f"{_counted(len(parts) - len(kept)).capitalize()} below {mm:g} mm went."
            why = f"No piece of the mask is below {mm:g} mm."
    if after.is_empty:
        raise PromptError("Nothing of the mask would be left; give a smaller length.")
    if after.voxels == mask.voxels and after.box == mask.box and np.array_equal(after.values, mask.values):
        raise PromptError(why)
    return after, told


def split(mask: Piece, command: SplitSides, middle_ras: np.ndarray) -> tuple[Piece, Piece]:
    """What lies on the side that is kept, and the other. middle_ras: of the body. PromptError where one would be empty.

    A connected piece that lies mostly on one side goes there whole; one that spans both is cut at the body's middle. A
    mask that lies on one side of the body altogether is cut at its own middle.
    """
    middle = float(middle_ras[0])
    right = float(np.mean(mask.points_ras[:, 0] > middle))
    if min(right, 1 - right) < 0.05:
        middle = float((mask.points_ras[:, 0].min() + mask.points_ras[:, 0].max()) / 2)
    sides: dict[Side, list[Piece]] = {Side.LEFT: [], Side.RIGHT: []}
    for part in mask.components():
        on_right = _right_of(part, middle)
        share = float(on_right[part.values].mean())
        if share >= _ONE_SIDE or share <= 1 - _ONE_SIDE:
            sides[Side.RIGHT if share > 0.5 else Side.LEFT].append(part)
        else:
            sides[Side.RIGHT].append(part.kept(on_right))
            sides[Side.LEFT].append(part.kept(~on_right))
    if not all(sides.values()):
        raise PromptError("The mask lies on one side only, so there is nothing to split.")
    left, right_piece = united(sides[Side.LEFT]), united(sides[Side.RIGHT])
    return (left, right_piece) if command.keep is Side.LEFT else (right_piece, left)


def _right_of(part: Piece, middle: float) -> np.ndarray:
    """Bool crop of its box: voxels on the patient's right of a plane."""
    step = part.grid.ijk_to_ras[0, :3][::-1]
    first = part.grid.ras_from_kji(np.asarray(part.box.start_kji))[0]
    places = np.ogrid[tuple(slice(0, size) for size in part.values.shape)]
    return first + sum(place * each for place, each in zip(places, step)) > middle


def _counted(count: int) -> str:
    return "one piece" if count == 1 else f"{count} pieces"
