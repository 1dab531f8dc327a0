"""What BiomedParse is told in words, and which intensities it is shown for them.

Its v2 was trained on sentences such as "Abdominal CT showing the left kidney"; v1 on "liver in abdomen CT". So words
that name no kind of image get it added. The windows are those of the authors' inference code, in HU, by part of the
body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ..errors import ModalityUnknownError
from ..modality import named_in, samples
from ..volume import Volume
from .biomedparse_slices import Window

WINDOWS = {
    "abdomen": Window(-150, 250),
    "lung": Window(-1000, 1000),
    "pelvis": Window(-55, 200),
    "liver": Window(-25, 230),
    "colon": Window(-68, 187),
    "pancreas": Window(-100, 200),
}
_SITES = (  # the first that fits; words that fit none of them get the window of the abdomen
    ("lung", r"lungs?|pulmonary|bronch\w*|trachea\w*|airways?|nodules?|covid\w*|pneumo\w*|pleura\w*|emphysema\w*"),
    ("abdomen", r"gall ?bladder"),
    ("pancreas", r"pancrea\w*"),
    ("colon", r"colon\w*|colorectal"),
    ("liver", r"liver|hepat\w*|portal vein\w*"),
    ("pelvis", r"bladder|prostat\w*|uter\w*|cervix|cervical cancer|ovar\w*|rectum|rectal|pelvi\w*|seminal\w*"),
    ("abdomen", r"kidneys?|renal|spleen|splenic|stomach|gastric|duoden\w*|adrenal\w*|bowel|intestin\w*|abdom\w*"),
)
_PLACES = {"lung": "chest", "pelvis": "pelvic"}
_CALLED = {"MR": "MRI"}
_QUANTILES = (0.005, 0.995)  # of the values above 0, for all but CT


@dataclass(frozen=True)
class Question:
    """sentence: what the network is told. window: what it is shown. kind: of image, such as "CT"."""

    sentence: str
    window: Window
    kind: str


def site_in(words: str) -> str:
    """The part of the body that words speak of, one of WINDOWS; "" where they do not tell."""
    return next((site for site, pattern in _SITES if _mentions(words, pattern)), "")


def question(words: str, volume: Volume, kind: str) -> Question:
    """kind: of image; "" where it is not known, which is a ModalityUnknownError that says how to tell it."""
    if not kind:
        raise ModalityUnknownError(
            "It cannot be told by its values what kind of image this is, and BiomedParse has to know; say it once in "
            f"the words, such as '{words} in CT' or '{words} in MR', and it is remembered for this image."
        )
    site = site_in(words)
    window = WINDOWS[site or "abdomen"] if kind == "CT" else _range_of(volume)
    if named_in(words):
        return Question(words, window, kind)
    place = f"{_PLACES.get(site, 'abdominal')} " if kind == "CT" and site else ""
    return Question(f"{words} in {place}{_CALLED.get(kind, kind)}", window, kind)


def _mentions(words: str, pattern: str) -> bool:
    return re.search(rf"\b(?:{pattern})\b", words.lower()) is not None


def _range_of(volume: Volume) -> Window:
    values = samples(volume)
    above = values[values > 0]
    if above.size:
        low, high = (float(each) for each in np.quantile(above, _QUANTILES))
        if low < high:
            return Window(low, high)
    return Window(*volume.intensity_range)
