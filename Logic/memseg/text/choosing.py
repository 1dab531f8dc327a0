"""Which of several candidates is meant: how it looks, where it lies, how large it is.

Each test gives a factor from 0 (no) to 1 (entirely); what fails one is left out, and what is left is put in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .candidates import Candidate
from .orientation import RAS
from .pieces import Piece
from .query import Brightness, Direction, Extreme, Limit, Look, Part, Rank, Shape

NEAR_MM = 40.0  # what lies further away is not near
_HALF_AS_NEAR_MM = 15.0
_ROUND, _TUBULAR, _FLAT, _HOLLOW = 0.4, 4.0, 3.0, 0.12
_EDGE_VOX = 3
_INSIDE = 0.5  # the part of a thing that has to lie inside


@dataclass(frozen=True)
class Test:
    """name: what it asks, to say what nothing passed ("bright", "below 8 mm"). of: a candidate's factor, 0 to 1."""

    name: str
    of: Callable[[Candidate], float]


def passed(candidates: Sequence[Candidate], tests: Sequence[Test]) -> tuple[list[Candidate], str]:
    """What passes all of them, with its confidence multiplied; and the name of the test that left none, or ""."""
    left = list(candidates)
    for test in tests:
        weighed = [(candidate, test.of(candidate)) for candidate in left]
        left = [candidate.with_confidence(candidate.confidence * factor) for candidate, factor in weighed if factor > 0]
        if not left:
            return [], test.name
    return left, ""


# -- looks -----------------------------------------------------------------------------------------------------------


def looks(look: Look) -> Test:
    """Of a brightness or a shape; a threshold is cut, not tested (Sources.cut)."""
    return Test(
        str(look), _bright if look is Brightness.BRIGHT else _dark if look is Brightness.DARK else _SHAPES[look]
    )


def difference(candidate: Candidate) -> float:
    """By how many spreads it is brighter (above 0) than what is round it; 0 without surroundings."""
    piece, shown = candidate.piece, candidate.sight.shown
    box = piece.box.grown(_EDGE_VOX).clipped(shown.shape)
    near = Piece(piece.grid, box, np.ones(box.shape_kji, bool)).without(piece)
    if near.voxels < 8 or piece.is_empty:
        return 0.0
    inside, outside = shown[piece.box.slices][piece.values], shown[near.box.slices][near.values]
    spread = float(np.sqrt(inside.var() + outside.var())) or 1e-6
    return float(np.median(inside) - np.median(outside)) / spread


def _bright(candidate: Candidate) -> float:
    return _rising(difference(candidate), 0.1, 1.0)


def _dark(candidate: Candidate) -> float:
    return _rising(-difference(candidate), 0.1, 1.0)


def _rising(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, 0.4 to 1 between."""
    return 0.0 if value <= low else 0.4 + 0.6 * min((value - low) / (high - low), 1.0)


_SHAPES: dict[Shape, Callable[[Candidate], float]] = {
    Shape.ROUND: lambda candidate: _rising(candidate.piece.compactness, 0.6 * _ROUND, 1.5 * _ROUND),
    Shape.TUBULAR: lambda candidate: _rising(candidate.piece.tubularity, 0.8 * _TUBULAR, 2 * _TUBULAR),
    Shape.FLAT: lambda candidate: _rising(candidate.piece.flatness, 0.8 * _FLAT, 2 * _FLAT),
    Shape.RING: lambda candidate: _rising(candidate.piece.hollowness, 0.5 * _HOLLOW, 3 * _HOLLOW),
}


# -- size ------------------------------------------------------------------------------------------------------------


def limit(limit: Limit) -> Test:
    def fits(candidate: Candidate) -> float:
        return float((candidate.piece.longest_mm < limit.mm) == limit.below)

    return Test(f"{'below' if limit.below else 'above'} {limit.mm:g} mm", fits)


def ranked(candidates: Sequence[Candidate], rank: Rank) -> list[Candidate]:
    """The one of that rank first, then the next ones; none where there are fewer."""
    order = sorted(candidates, key=lambda each: each.piece.volume_mm3, reverse=rank.largest)
    return order[rank.number - 1 :]


# -- places ----------------------------------------------------------------------------------------------------------


def inside(place: Piece, name: str) -> Test:
    """place: on the volume's grid."""
    seen: dict[int, Piece] = {}

    def share(candidate: Candidate) -> float:
        key = id(candidate.sight)
        if key not in seen:
            seen[key] = candidate.sight.seen(place).grown(1.5 * max(candidate.sight.region.spacing_kji_mm))
        part = candidate.piece.share_in(seen[key])
        return part if part >= _INSIDE else 0.0

    return Test(f"inside {name}", share)


def near(points_ras: np.ndarray, name: str) -> Test:
    """points_ras: (N, 3) of what it is to be near to."""

    def closeness(candidate: Candidate) -> float:
        far = distance(candidate.piece, points_ras)
        return 0.0 if far > NEAR_MM else float(0.5 ** (far / _HALF_AS_NEAR_MM))

    return Test(f"near {name}", closeness)


def distance(piece: Piece, points_ras: np.ndarray) -> float:
    """mm from its nearest voxel to the nearest of the points, about."""
    from scipy.spatial import cKDTree

    half_voxel = 0.5 * float(np.linalg.norm(piece.grid.spacing_kji_mm))
    return max(0.0, float(cKDTree(points_ras).query(piece.points_ras)[0].min()) - half_voxel)


def beside(direction: Direction, other: Piece, name: str) -> Test:
    """On that side of it: most of it lies beyond the other's middle that way, and rather that way than another."""
    way = np.asarray(RAS[direction], float)
    middle = other.centre_ras
    reach = float(np.percentile(other.points_ras @ way, 90))

    def fits(candidate: Candidate) -> float:
        points = candidate.piece.points_ras
        beyond = float(np.mean(points @ way > (middle @ way + reach) / 2))
        offset = candidate.piece.centre_ras - middle
        straight = float(offset @ way) / max(float(np.linalg.norm(offset)), 1e-6)
        if beyond < 0.6 or straight < 0.35:
            return 0.0
        far = max(0.0, float((points @ way).min()) - reach)
        return straight * float(0.5 ** (far / 100))

    return Test(f"{_SIDES[direction]} {name}", fits)


_SIDES = {
    Direction.LEFT: "to the left of", Direction.RIGHT: "to the right of", Direction.ANTERIOR: "in front of",
    Direction.POSTERIOR: "behind", Direction.SUPERIOR: "above", Direction.INFERIOR: "below",
}  # fmt: skip


def farthest(candidates: Sequence[Candidate], extreme: Extreme) -> list[Candidate]:
    """Farthest that way first, by its centre."""
    way = np.asarray(RAS[extreme.direction], float)
    return sorted(candidates, key=lambda each: -float(each.piece.centre_ras @ way))


def end_of(piece: Piece, part: Part) -> Piece:
    """Its end of that share of its extent that way."""
    way = np.asarray(RAS[part.direction], float) @ piece.grid.ijk_to_ras[:3, :3][:, ::-1]
    along = sum(
        (np.arange(size) * step).reshape([-1 if other == axis else 1 for other in range(3)])
        for axis, (size, step) in enumerate(zip(piece.values.shape, way))
    )
    along = np.broadcast_to(along, piece.values.shape)
    held = along[piece.values]
    voxel = float(np.abs(way).max())
    low, high = float(held.min()) - voxel / 2, float(held.max()) + voxel / 2
    return piece.kept(along >= high - part.share * (high - low))
