"""Sizes in words."""

from __future__ import annotations

from collections.abc import Sequence

_CENTIMETRE_MM = 10.0


def ml_words(size_ml: float) -> str:
    """To three digits, such as "1,520 ml", "18.9 ml", "0.05 ml"."""
    return f"{size_ml:,.0f} ml" if size_ml >= 100 else f"{size_ml:.3g} ml" if size_ml >= 0.01 else "under 0.01 ml"


def extent_words(size_mm: Sequence[float]) -> str:
    """The longest first, such as "11.2 × 6.4 × 5.9 cm"."""
    return " × ".join(f"{extent / _CENTIMETRE_MM:.1f}" for extent in sorted(size_mm, reverse=True)) + " cm"
