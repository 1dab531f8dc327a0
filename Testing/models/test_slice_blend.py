"""The network's answer for a slice and that of arithmetic, as one."""

import numpy as np
import pytest

from memseg.segmenters.slice_base import SliceAnswer
from memseg.segmenters.slice_blend import blended


def answer(*probabilities: float, present: float = 0.5, confidence: float = 0.5, note: str = "") -> SliceAnswer:
    return SliceAnswer(np.array([probabilities], np.float32), present, confidence, note)


def test_two_that_agree_are_left_as_they_are():
    both = blended(answer(0.9, 0.2, present=0.7), answer(0.9, 0.2, present=0.7))
    assert both.probability[0] == pytest.approx([0.9, 0.2], abs=1e-6) and both.present == pytest.approx(0.7)


def test_the_network_counts_for_more():
    assert list(blended(answer(0.8, 0.2), answer(0.2, 0.8)).mask[0]) == [1, 0]
    assert blended(answer(0.5, present=0.8), answer(0.5, present=0.2)).present > 0.5


def test_a_network_that_hesitates_is_told_by_arithmetic():
    assert list(blended(answer(0.45, 0.55), answer(0.95, 0.05)).mask[0]) == [1, 0]


def test_neither_is_sure_beyond_all_the_other_can_say():
    # 0.65 * 8 - 0.35 * 8 log odds of a pixel, 0.65 * 6 - 0.35 * 6 of presence.
    both = blended(answer(1.0, present=1.0), answer(0.0, present=0.0))
    assert both.probability[0, 0] == pytest.approx(1 / (1 + np.exp(-2.4)), abs=1e-6)
    assert both.present == pytest.approx(1 / (1 + np.exp(-1.8)), abs=1e-6)


def test_far_from_the_object_there_is_exactly_nothing():
    assert blended(answer(0.0, 0.6), answer(0.0, 0.6)).probability[0, 0] == 0.0


def test_confidence_and_note_are_the_networks():
    both = blended(answer(0.5, confidence=0.9, note="The GPU is full."), answer(0.5, confidence=0.1, note="no"))
    assert (both.confidence, both.note) == (0.9, "The GPU is full.")
