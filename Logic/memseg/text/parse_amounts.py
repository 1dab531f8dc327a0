"""Numbers with their units, and what is said with them: sizes in mm and values in HU."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import PromptError
from .query import Limit, Threshold
from .tokens import Phrases, Reader
from .wording import COUNTS

_MM: Phrases[float] = Phrases(
    {1.0: "mm, millimeter, millimeters, mms", 10.0: "cm, centimeter, centimeters, cms", 1000.0: "m, meter, meters"}
)
_ML: Phrases[float] = Phrases(
    {
        1.0: "ml, milliliter, milliliters, cc, ccm, cm3, cubic centimeter, cubic centimeters, ccs, cubic cm",
        0.001: "mm3, cubic millimeter, cubic millimeters, cubic mm",
        1000.0: "l, liter, liters, litre, litres",
    }
)
_HU = Phrases({True: "hu, hounsfield, hounsfield units, hounsfield unit, h u, hus"})
_OWN = Phrases(
    {
        True: "suv, suvs, units, unit, intensity, intensity units, gray values, gray levels, gray value, "
        "gray level, arbitrary units"
    }
)
_VOXELS = Phrases({True: "voxel, voxels, pixel, pixels, px, slice, slices, vox, inch, inches, percent, pct"})

_BRIGHTER, _LARGER, _HOUNSFIELD = "value", "size", "hu"
_ABOVE: Phrases[str] = Phrases(
    {
        _BRIGHTER: "brighter than, lighter than, denser than, hotter than, brighter, more dense than, "
        "more intense than, whiter than, more attenuating than",
        _LARGER: "larger than, bigger than, longer than, wider than, thicker than, greater in size than, "
        "no smaller than, not smaller than, larger, bigger, no shorter than",
        "": "above, over, more than, greater than, higher than, exceeding, >, > =, >=, at least, no less than, "
        "not less than, not below, not under, in excess of, upwards of, starting at, minimum, of more than, "
        "of at least, from at least, beyond",
    }
)
_BELOW: Phrases[str] = Phrases(
    {
        _BRIGHTER: "darker than, less dense than, less bright than, less intense than, blacker than, "
        "less attenuating than, darker",
        _LARGER: "smaller than, shorter than, thinner than, no larger than, not larger than, no bigger than, "
        "not bigger than, narrower than, no longer than, not longer than, smaller, sub, "
        "less than or equal to in size",
        "": "below, under, less than, lower than, <, <=, < =, at most, up to, no more than, not above, not over, "
        "not more than, beneath, maximum, of less than, of at most, of up to, not exceeding, fewer than, within",
    }
)
_MEASURES: Phrases[str] = Phrases(
    {
        _HOUNSFIELD: "with hu, with hu values, with an hu, with a hu, with hounsfield units, hu, hu value, "
        "hu values, hounsfield units, hounsfield values, with hounsfield values, in hu, hounsfield, "
        "hounsfield unit, with a hu value, with hounsfield",
        _BRIGHTER: "with intensity, with an intensity, with intensities, with values, with a value, with value, "
        "with density, with a density, with suv, with an suv, with a suv, intensity, intensities, value, values, "
        "density, densities, threshold, thresholded, suv, signal, attenuation, with attenuation, with signal, "
        "gray value, gray values, with gray values, with voxels, threshold at, thresholded at, threshold of, "
        "pixel values, voxel values, with pixel values, with voxel values, "
        "brightness, with brightness, with a signal, with an attenuation",
        _LARGER: "with a diameter, with diameter, with a size, with size, with a length, with length, "
        "with an extent, diameter, size, length, extent, with diameters, with sizes, with a maximum diameter, "
        "with a largest diameter, sized, measuring, with a volume, with volume, volume, with a diameter of, "
        "with a size of, with a volume of, diameter of, size of, with an extent of, that measure, that measures, "
        "which measure, which measures, having a diameter, of diameter, of size, with a longest diameter, "
        "with a width, with a thickness, thickness, width",
        "": "is, are, that is, that are, which is, which are, being, of, with, having",
    }
)
_TAILS = Phrases(
    {
        True: "in diameter, in size, in length, across, long, wide, thick, in extent, in width, large, "
        "in largest diameter, in greatest dimension, in longest diameter, in volume, in intensity, in density, "
        "in value, in maximum diameter, big, in any direction, diameter, in thickness, maximum, "
        "in the longest diameter"
    }
)
_OR_MORE = Phrases(
    {True: "or more, or larger, or bigger, or above, or greater, and above, and more, and larger, and up, or over, "
    "or brighter, or higher, and higher, and brighter, or longer, +"}
)  # fmt: skip
_OR_LESS = Phrases(
    {True: "or less, or smaller, or under, or below, and below, and less, and smaller, or darker, or lower, "
    "and lower, or shorter, and under"}
)  # fmt: skip
_LARGEST_MM, _LARGEST_VALUE = 2000.0, 1e6
_LENGTH_VALUES = (0.0, 200.0)  # a bare number in this range, said of a lesion, is a length
_ABOUT = 0.25  # "an 8 mm nodule" is one of 6 to 10 mm


@dataclass(frozen=True)
class Amount:
    """unit: "mm", "ml", "hu", "own" (the image's units) or "" where none was said."""

    value: float
    unit: str


Bounds = tuple[Limit | Threshold, ...]

WORDS = frozenset().union(
    *(table.words for table in (_MM, _ML, _HU, _OWN, _VOXELS, _ABOVE, _BELOW, _MEASURES, _TAILS, _OR_MORE, _OR_LESS)),
    ("between", "from", "to", "half", "about", "roughly"),
)


def number_at(reader: Reader, skip: int = 0) -> float | None:
    """A number in digits or as a word, without its unit."""
    value = reader.number(skip)
    if value is not None:
        return value
    found = COUNTS.at(reader, skip)
    return None if found is None else float(found[0])


def take_amount(reader: Reader) -> Amount | None:
    """A number and its unit, if one comes next."""
    start = reader.position
    reader.take("about", "roughly", "around", "approximately")
    value = number_at(reader)
    if value is None and reader.take("half a", "half an"):
        value = 0.5
    elif value is not None:
        reader.skip()
        if reader.take("and a half"):
            value += 0.5
    if value is None:
        reader.position = start
        return None
    return Amount(*_with_unit(reader, value))


def _with_unit(reader: Reader, value: float) -> tuple[float, str]:
    if (factor := reader.take_phrase(_MM)) is not None:
        return value * factor, "mm"
    if (factor := reader.take_phrase(_ML)) is not None:
        return value * factor, "ml"
    if reader.take_phrase(_HU):
        return value, "hu"
    if reader.take_phrase(_OWN):
        return value, "own"
    if _VOXELS.at(reader):
        raise PromptError(f"Sizes in {reader.word()} are not understood; say them in mm.")
    return value, ""


def take_bounds(reader: Reader, of_lesion: bool = False) -> Bounds:
    """ "under 8 mm", "HU > 300", "between 5 and 10 mm", "of at least 2 cm in diameter": limits or thresholds; () where
    none comes next. of_lesion: a bare small number is a length."""
    start = reader.position
    found = _bounds(reader, of_lesion)
    if not found:
        reader.position = start
    return found


def take_measure(reader: Reader) -> Bounds:
    """ "8 mm" before a noun: about that size."""
    start = reader.position
    amount = take_amount(reader)
    if amount is None or amount.unit not in ("mm", "ml"):
        reader.position = start
        return ()
    reader.take_phrase(_TAILS)
    mm = _length(reader, amount)
    reader.note(f"The size was taken as {_said(mm * (1 - _ABOUT))} to {_said(mm * (1 + _ABOUT))} mm.")
    return Limit(False, mm * (1 - _ABOUT)), Limit(True, mm * (1 + _ABOUT))


def _bounds(reader: Reader, of_lesion: bool) -> Bounds:
    kind = ""
    start = reader.position
    for _ in range(4):
        measure = reader.take_phrase(_MEASURES)
        if measure is None:
            break
        kind = kind if measure == "" or kind == _HOUNSFIELD else measure
        reader.take("of", "is", "are")
    if reader.take("between", "from"):
        return _range(reader, kind, of_lesion, needed=reader.word(-1) == "between")
    for table, above in ((_ABOVE, True), (_BELOW, False)):
        found = table.at(reader)
        if found is None:
            continue
        reader.skip(found[1])
        reader.take("than", "to", "of", "or equal to")
        amount = take_amount(reader)
        if amount is None:
            return ()
        reader.take_phrase(_TAILS)
        return (_bound(reader, above, amount, kind if kind == _HOUNSFIELD else found[0] or kind, of_lesion),)
    return _trailing(reader, kind, of_lesion, measured=reader.position > start)


def _range(reader: Reader, kind: str, of_lesion: bool, needed: bool) -> Bounds:
    low = take_amount(reader)
    if low is None or not reader.take("and", "to", "-"):
        return ()
    high = take_amount(reader)
    if high is None:
        if needed:
            raise PromptError("After 'between' two numbers are needed; type, for example, between 5 and 10 mm.")
        return ()
    return _both(reader, low, high, kind, of_lesion)


def _trailing(reader: Reader, kind: str, of_lesion: bool, measured: bool) -> Bounds:
    """ "8 mm or more", "100 to 300 HU", "8 mm in diameter"; measured: after "of", "with a size of" and the like."""
    low = take_amount(reader)
    if low is None:
        return ()
    if reader.take("to", "-") and (high := take_amount(reader)) is not None:
        return _both(reader, low, high, kind, of_lesion)
    tail = reader.take_phrase(_TAILS)
    if reader.take_phrase(_OR_MORE):
        return (_bound(reader, True, low, kind, of_lesion),)
    if reader.take_phrase(_OR_LESS):
        return (_bound(reader, False, low, kind, of_lesion),)
    if kind == _LARGER or ((tail or measured) and low.unit in ("mm", "ml")):
        mm = _length(reader, low)
        reader.note(f"The size was taken as {_said(mm * (1 - _ABOUT))} to {_said(mm * (1 + _ABOUT))} mm.")
        return Limit(False, mm * (1 - _ABOUT)), Limit(True, mm * (1 + _ABOUT))
    if kind in (_BRIGHTER, _HOUNSFIELD) or low.unit == "hu":
        return (_bound(reader, True, low, kind, of_lesion),)
    return ()


def _both(reader: Reader, low: Amount, high: Amount, kind: str, of_lesion: bool) -> Bounds:
    unit = high.unit or low.unit
    reader.take_phrase(_TAILS)
    low = Amount(low.value, low.unit or unit)
    return tuple(
        _bound(reader, above, each, kind, of_lesion) for above, each in ((True, low), (False, Amount(high.value, unit)))
    )


def _bound(reader: Reader, above: bool, amount: Amount, kind: str, of_lesion: bool) -> Limit | Threshold:
    if amount.unit in ("mm", "ml"):
        if kind in (_BRIGHTER, _HOUNSFIELD):
            raise PromptError("Brightness is not measured in mm; type it in HU, such as brighter than 300 HU.")
        return Limit(not above, _length(reader, amount))
    if amount.unit in ("hu", "own"):
        if kind == _LARGER:
            raise PromptError("Sizes are not measured in HU; type them in mm, such as larger than 8 mm.")
        return _threshold(above, amount.value, amount.unit == "hu")
    if kind == _HOUNSFIELD:
        return _threshold(above, amount.value, True)
    if kind == _LARGER or (kind != _BRIGHTER and of_lesion and _LENGTH_VALUES[0] < amount.value <= _LENGTH_VALUES[1]):
        reader.note(f"{_said(amount.value)} was taken as mm.")
        return Limit(not above, _length(reader, Amount(amount.value, "mm")))
    return _threshold(above, amount.value, False)


def _threshold(above: bool, value: float, hounsfield: bool) -> Threshold:
    if abs(value) > _LARGEST_VALUE:
        raise PromptError(f"No image has a value of {value:g}; type one such as brighter than 300 HU.")
    return Threshold(above, round(value, 4), hounsfield)


def _length(reader: Reader, amount: Amount) -> float:
    mm = amount.value
    if amount.unit == "ml":
        if mm <= 0:
            raise PromptError("A volume is more than 0 ml; type one such as larger than 5 ml.")
        mm = round(10 * (6 * mm / math.pi) ** (1 / 3), 1)
        reader.note(f"The volume was taken as that of a ball of {_said(mm)} mm.")
    return check_mm(mm)


def check_mm(mm: float) -> float:
    """The length, where it is one a body can have."""
    if not 0 < mm <= _LARGEST_MM:
        raise PromptError(f"A size lies between 0 and {_LARGEST_MM:g} mm, not at {mm:g} mm; type one such as 8 mm.")
    return round(mm, 4)


def _said(value: float) -> str:
    return f"{round(value, 1):g}"
