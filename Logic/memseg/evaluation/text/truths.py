"""What words are to find, as an expression of the labels of a volume.

An expression is a label's name, or a record: {"all": [e, ...]} together, {"both": [e, e]} what is in both, {"of": e,
"less": e}, {"part": "superior", "share": 0.5, "of": e} that end of its extent, {"largest": n, "of": e} or {"smallest":
n, "of": e} its n-th piece, {"above": low, "below": high, "in": e} by value, {"grown": mm, "of": e}, {"filled": e},
{"body": true} the body as the engine sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import FileError
from ...text.choosing import end_of
from ...text.physics import Scene, skin_deep
from ...text.pieces import Piece, united
from ...text.query import Direction, Part
from ...volume import Volume

Expression = str | Mapping[str, Any]
_FORMS = (
    {"all"}, {"both"}, {"of", "less"}, {"part", "of"}, {"part", "share", "of"}, {"largest", "of"}, {"smallest", "of"},
    {"above"}, {"below"}, {"above", "below"}, {"above", "in"}, {"below", "in"}, {"above", "below", "in"},
    {"grown", "of"}, {"filled"}, {"body"},
)  # fmt: skip


def check(expression: Expression, labels: set[str], where: str) -> None:
    """FileError unless it is an expression of these labels. where: words for the message."""
    if isinstance(expression, str):
        if expression not in labels:
            raise FileError(f"{where} speaks of the label '{expression}', which its volume lacks; correct it.")
        return
    if not isinstance(expression, Mapping) or set(expression) not in _FORMS:
        raise FileError(f"{where} has a truth that is no expression of labels; correct it.")
    for key in ("of", "less", "in", "filled"):
        if key in expression:
            check(expression[key], labels, where)
    for key in ("all", "both"):
        if key in expression:
            if not isinstance(expression[key], list) or not expression[key]:
                raise FileError(f"{where} has '{key}' without a list; correct it.")
            for each in expression[key]:
                check(each, labels, where)
    for key in ("above", "below", "grown", "largest", "smallest", "share"):
        if key in expression and (isinstance(expression[key], bool) or not isinstance(expression[key], int | float)):
            raise FileError(f"{where} has '{key}' without a number; correct it.")
    if "part" in expression and expression["part"] not in set(Direction):
        raise FileError(f"{where} speaks of the part '{expression['part']}'; name one of: {', '.join(Direction)}.")


def piece_of(expression: Expression, volume: Volume, labels_kji: np.ndarray, values: Mapping[str, int]) -> Piece:
    """On the volume's grid. values: of the labels by name. Raises FileError where nothing would be left."""

    def made(expression: Expression) -> Piece:
        if isinstance(expression, str):
            return Piece.of(volume.grid, labels_kji == values[expression])
        match dict(expression):
            case {"all": parts}:
                return united(made(each) for each in parts)
            case {"both": [one, other]}:
                return made(one).within(made(other))
            case {"of": of, "less": less}:
                return made(of).without(made(less))
            case {"part": direction, "of": of, **rest}:
                return end_of(made(of), Part(Direction(direction), float(rest.get("share", 0.5))))
            case {"largest": number, "of": of}:
                return _piece(made(of), int(number) - 1)
            case {"smallest": number, "of": of}:
                return _piece(made(of), -int(number))
            case {"grown": mm, "of": of}:
                return made(of).grown(float(mm))
            case {"filled": of}:
                return made(of).filled()
            case {"body": _}:
                scene = Scene.of(volume)
                return skin_deep(scene.sight, scene.body)
            case record:
                whole = made(record["in"]) if "in" in record else Piece.of(volume.grid, np.ones(volume.shape_kji, bool))
                image = volume.array_kji[whole.box.slices]
                low, high = record.get("above", -np.inf), record.get("below", np.inf)
                return whole.kept((image > low) & (image < high))

    piece = made(expression)
    if piece.is_empty:
        raise FileError(f"The truth {expression} holds no voxel; correct it.")
    return piece


def _piece(whole: Piece, place: int) -> Piece:
    parts = whole.components()
    if not -len(parts) <= place < len(parts):
        raise FileError(f"A truth asks for piece {place + 1} of {len(parts)}; correct it.")
    return parts[place]
