"""What a trained network needs to know of the images it was trained on: one JSON record in the header of its file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..networks.segmamba import AutoConfig, Triple
from .collecting import MOST_STRUCTURES

KINDS = ("ct", "each")
_LOW, _HIGH = 0.005, 0.995  # quantiles that outliers are cut to
_SAMPLED_VOXELS = 500_000


@dataclass(frozen=True)
class Intensities:
    """kind "ct": the same numbers for every image, as Hounsfield units mean the same everywhere; "each": of the image
    itself, and what is here is not used."""

    kind: str = "each"
    low: float = 0.0
    high: float = 1.0
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Intensities are normalised as {' or '.join(KINDS)}, not '{self.kind}'.")
        if not all(map(math.isfinite, (self.low, self.high, self.mean, self.deviation))) or self.deviation <= 0:
            raise ValueError("Intensities are normalised by finite numbers and a deviation above 0.")

    @classmethod
    def of_ct(cls, sample: np.ndarray) -> Intensities:
        """Of voxels in the structures, of all images together (nnU-Net's way)."""
        low, high = np.quantile(sample, (_LOW, _HIGH))
        return cls("ct", float(low), float(high), float(sample.mean()), max(float(sample.std()), 1e-3))

    def normalised(self, image: np.ndarray) -> np.ndarray:
        """float32 of about unit deviation, outliers cut."""
        low, high, mean, deviation = self.low, self.high, self.mean, self.deviation
        if self.kind == "each":
            sample = image.ravel()[:: max(1, image.size // _SAMPLED_VOXELS)].astype(np.float64)
            low, high = np.quantile(sample, (_LOW, _HIGH))
            if low == high:
                low, high = float(image.min()), float(image.max())
            cut = np.clip(sample, low, high)
            mean, deviation = float(cut.mean()), max(float(cut.std()), 1e-6)
        return ((np.clip(image, low, high) - mean) / deviation).astype(np.float32)


@dataclass(frozen=True)
class AutoPlan:
    """names: of the structures, class 1 first; class 0 is what is none of them. Along S, A and R: spacing_sar_mm of
    the samples, patch_sar samples that the network sees at a time. mirror: classes after left and right change places,
    None where they must not."""

    network: AutoConfig
    names: tuple[str, ...]
    spacing_sar_mm: tuple[float, float, float]
    patch_sar: Triple
    intensities: Intensities = Intensities()
    mirror: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.names) <= MOST_STRUCTURES or len(set(self.names)) != len(self.names):
            raise ValueError("A plan names 1 to 254 structures, each once.")
        if self.network.classes != len(self.names) + 1 or self.network.inputs != 1:
            raise ValueError("The network has a class for each structure and one for the rest, and sees one image.")
        if len(self.spacing_sar_mm) != 3 or not all(0 < step < math.inf for step in self.spacing_sar_mm):
            raise ValueError("The spacing is three lengths above 0.")
        if len(self.patch_sar) != 3 or any(
            side < 1 or side % step for side, step in zip(self.patch_sar, self.network.divisor)
        ):
            raise ValueError(f"The patch's sides {self.patch_sar} are not divisible by {self.network.divisor}.")
        if self.mirror is not None and sorted(self.mirror) != list(range(self.network.classes)):
            raise ValueError("Each class is the mirror image of one class.")


def to_record(plan: AutoPlan) -> dict[str, Any]:
    """Plain JSON values."""
    return json.loads(json.dumps(asdict(plan)))


def from_record(record: dict[str, Any]) -> AutoPlan:
    """Raises KeyError, TypeError or ValueError for what is no plan."""
    network = {name: _tuples(value) for name, value in record["network"].items()}
    fields = {name: _tuples(value) for name, value in record.items()}
    return AutoPlan(**{**fields, "network": AutoConfig(**network), "intensities": Intensities(**record["intensities"])})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
