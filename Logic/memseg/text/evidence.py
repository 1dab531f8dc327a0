"""How far an answer of the recall memory can be trusted, by what was measured while it was found.

The chance that it overlaps the structure (IoU above 0.3) is a logistic function of four measures. Its numbers were
fitted by Testing/benchmarks/fit_recall.py to answers in scans of training subjects (evaluation/split.json), each from
one, three or all other training subjects: in whole scans, in scans cut short round the structure, and, where the right
answer is none, in scans cut off before it and in scans of other parts of the body. Left out subject by subject, chances
and truth agree (Testing/benchmarks/RESULTS-text.md). Measures that added nothing beyond these: how far apart the
entries put the structure, how many agree, how unlike the places are that vote for it, how clear the outline is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Of 207 right answers 205 came from scans less far than that. Of scans of other parts of the body a quarter is farther,
# which is more than the fit could learn from.
FARTHEST_SCAN = 1.2


@dataclass(frozen=True)
class Evidence:
    """scan: distance of the embeddings of this scan and of the most alike one remembered. near: root mean square
    difference of how the places round the structure look now and then, over the entries by their weights. size: its
    volume over the remembered one, as a logarithm. looks: the part, 0 to 1, that the intensities within its remembered
    shape share with those remembered."""

    scan: float
    near: float
    size: float
    looks: float

    def measures(self) -> np.ndarray:
        """(5,) as they are weighed: 1, and the four; the size by how far it is off."""
        return np.array([1.0, self.scan, self.near, abs(self.size), self.looks])

    @property
    def chance(self) -> float:
        """0 to 1."""
        return float(1 / (1 + np.exp(-WEIGHTS @ self.measures())))


WEIGHTS = np.array([3.68, -1.66, -45.81, -2.58, 4.09])
