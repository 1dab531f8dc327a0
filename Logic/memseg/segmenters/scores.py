"""The fitted constants of the geodesic segmenter, and the two small formulas that use them.

Both are quadratic forms of plain measures: products of pairs with one coefficient each. The numbers in geodesic.json
come from `Testing/benchmarks/fit_geodesic.py`, which fits them on the training subjects of evaluation/split.json alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class QuadraticForm:
    """z' A z + b' z + c of standardised measures z. mean, deviation, linear: (D,), pairs: (D, D), all float32.

    widest: in standard deviations; a measure further out counts as lying there, since products of what the fit never
    saw grow without sense.
    """

    mean: np.ndarray
    deviation: np.ndarray
    pairs: np.ndarray
    linear: np.ndarray
    constant: float
    widest: float = 3.0

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> QuadraticForm:
        arrays = {name: np.asarray(record[name], np.float32) for name in ("mean", "deviation", "linear")}
        size = len(arrays["mean"])
        pairs = np.zeros((size, size), np.float32)
        pairs[np.triu_indices(size)] = record["pairs"]
        return cls(pairs=pairs, constant=float(record["constant"]), widest=float(record["widest"]), **arrays)

    def to_record(self) -> dict[str, Any]:
        size = len(self.mean)
        folded = np.triu(self.pairs + self.pairs.T) - np.diag(np.diag(self.pairs))
        record = {name: _rounded(getattr(self, name)) for name in ("mean", "deviation", "linear")}
        return {
            **record,
            "pairs": _rounded(folded[np.triu_indices(size)]),
            "constant": float(self.constant),
            "widest": self.widest,
        }

    def standardised(self, measures: np.ndarray) -> np.ndarray:
        return np.clip((measures - self.mean) / self.deviation, -self.widest, self.widest)

    def __call__(self, measures: np.ndarray) -> np.ndarray:
        """(N,) for (N, D) measures."""
        z = self.standardised(measures)
        return np.einsum("nd,nd->n", z @ self.pairs + self.linear, z) + self.constant


@dataclass(frozen=True, eq=False)
class FrontScore:
    """How large a candidate's Dice is expected to be: a form of its measures, and for each kind of front an offset.

    offsets, slopes: (scales, families), the second for the standardised log volume. A map's scale is its region's.
    """

    form: QuadraticForm
    offsets: np.ndarray
    slopes: np.ndarray

    def __call__(self, measures: np.ndarray, scale: int, family: int) -> np.ndarray:
        volume = self.form.standardised(measures)[:, 0]
        return self.form(measures) + self.offsets[scale, family] + self.slopes[scale, family] * volume


@dataclass(frozen=True, eq=False)
class Constants:
    """front: for the first answer. grow, cut: log odds of a voxel after a positive and after a negative correction."""

    front: FrontScore
    grow: QuadraticForm
    cut: QuadraticForm


@lru_cache(maxsize=1)
def constants() -> Constants:
    record = json.loads(resources.files(__package__).joinpath("geodesic.json").read_text(encoding="utf-8"))
    front = record["front"]
    return Constants(
        FrontScore(QuadraticForm.from_record(front), np.asarray(front["offsets"]), np.asarray(front["slopes"])),
        QuadraticForm.from_record(record["grow"]),
        QuadraticForm.from_record(record["cut"]),
    )


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in np.ravel(values)]
