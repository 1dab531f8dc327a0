"""From the name a user gives a structure to the key and side it is remembered by."""

from __future__ import annotations

import re

from ..memory.recall import checked_name
from .terminology import of_name


def key_of(name: str) -> tuple[str, str]:
    """("kidney", "left") of "kidney_left", "Left Kidney" or "kidney left"; a side "" where the name has none.

    A name that the terminology knows has its term's key; any other its own words in lower case with underscores.
    """
    words = checked_name(name)
    found = of_name(words)
    if found is not None:
        term, side = found
        return term.key, str(side or "")
    parts = re.findall(r"[^\W_]+", words.lower())
    sides = [part for part in parts if part in ("left", "right")]
    side = sides[0] if len(set(sides)) == 1 else ""
    kept = [part for part in parts if part != side]
    return "_".join(kept) or words.lower(), side
