"""Which kind of image a volume is, by its intensities: nothing else says so once a file has lost its DICOM header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from .errors import PromptError
from .volume import Volume

_WORDS = {
    "CT": r"cts?|computed tomograph\w*|hounsfield|hu",
    "MR": r"mri?s?|magnetic resonance|(?<!vertebra )(?<!vertebrae )t[12](?:[- ]?w\w*|ce?|gd)?|flair|dwi|adc",
    "PET": r"pet|fdg|suv",
    "ultrasound": r"ultrasound|us|echo\w*|sonograph\w*",
    "microscopy": r"microscop\w*|histolog\w*|patholog\w*",
}
MODALITIES = tuple(_WORDS)
_told: WeakKeyDictionary[Volume, str] = WeakKeyDictionary()  # a fact about the image, whichever session it came from
_MOST_SAMPLES = 200_000
_AIR_HU, _TISSUE_HU = (-1100.0, -850.0), (-150.0, 150.0)


def tell(volume: Volume, modality: str) -> None:
    """Somebody who knows has said which of MODALITIES the volume is. Raises PromptError for another."""
    if modality not in MODALITIES:
        raise PromptError(f"There is no kind of image '{modality}'; choose one of: {', '.join(MODALITIES)}.")
    _told[volume] = modality


def told(volume: Volume) -> str:
    """What was said of the volume last; "" where nobody has said anything."""
    return _told.get(volume, "")


def named_in(words: str) -> str:
    """The one of MODALITIES that words name; "" where they name none."""
    return next((name for name, pattern in _WORDS.items() if re.search(rf"\b(?:{pattern})\b", words.lower())), "")


@dataclass(frozen=True)
class Guess:
    """modality: "CT", "MR", "PET" or "" where nothing speaks for one of them. reasons: sentences for the user."""

    modality: str
    reasons: tuple[str, ...]


def samples(volume: Volume) -> np.ndarray:
    """Up to about 200,000 voxel values at even distances, float32."""
    array = volume.array_kji
    step = max(1, round((array.size / _MOST_SAMPLES) ** (1 / 3)))
    while -(-array.shape[0] // step) * -(-array.shape[1] // step) * -(-array.shape[2] // step) > 2 * _MOST_SAMPLES:
        step += 1
    return array[::step, ::step, ::step].astype(np.float32).ravel()


def examine(volume: Volume) -> Guess:
    """The guess with its reasons."""
    values = samples(volume)
    low = float(values.min())
    tissue = float(np.mean((values > _TISSUE_HU[0]) & (values < _TISSUE_HU[1])))
    dark = float(np.mean(values < _AIR_HU[1]))
    fat_or_muscle = float(np.mean((values > -130) & (values < 120) & (values != 0)))
    if low <= -200 and tissue > 0.02 and (dark > 0.01 or fat_or_muscle > 0.3):
        return Guess("CT", ("Values run from about -1000 (air) over 0 (water), as HU do.",))
    if low < -100:
        return Guess("", ("Values below zero, but neither air nor soft tissue lies where HU put them.",))
    above = values[values > 0]
    if above.size < 100:
        return Guess("", ("Nearly every voxel has the same value.",))
    whole = bool(np.all(above[:1000] == np.round(above[:1000])))
    middle, high, top = (float(np.percentile(above, part)) for part in (50, 98, 99.9))
    if not whole and top < 200 and high > 4 * middle:
        return Guess("PET", ("Fractional values, most of them small and a few far higher, as SUV are.",))
    return Guess("MR", ("No value is far below zero, and values fill their range as in MR.",))


def guess(volume: Volume) -> str:
    """ "CT", "MR", "PET", or "" where it cannot be told."""
    return examine(volume).modality
