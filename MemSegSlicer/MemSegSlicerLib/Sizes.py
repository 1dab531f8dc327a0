"""Sizes in words."""

from __future__ import annotations

from collections.abc import Sequence

_CENTIMETRE_MM = 10.0


def mlWords(sizeMl: float) -> str:
    """To three digits, such as "1,520 ml", "18.9 ml", "0.05 ml"."""
    return f"{sizeMl:,.0f} ml" if sizeMl >= 100 else f"{sizeMl:.3g} ml" if sizeMl >= 0.01 else "under 0.01 ml"


def extentWords(sizeMm: Sequence[float]) -> str:
    """The longest first, such as "11.2 × 6.4 × 5.9 cm"."""
    return " × ".join(f"{extent / _CENTIMETRE_MM:.1f}" for extent in sorted(sizeMm, reverse=True)) + " cm"
