"""The weights that ship: what a user gets out of the box, on the bundled CT, by clicks as the protocol has them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from memseg import catalog
from memseg.build import build, build_slices
from memseg.evaluation import dataset
from memseg.evaluation.metrics import dice
from memseg.evaluation.simulation import next_click
from memseg.prompts import MaskPrompt
from memseg.session import Session
from memseg.volume import Volume

LARGEST_BYTES, LARGEST_SLICES_BYTES = 20 * 10**6, 15 * 10**6
SAMPLE = Path(__file__).parents[2] / "MemSegSlicer" / "Resources" / "SampleData"


@lru_cache
def bundled_object(name: str) -> tuple[Volume, np.ndarray]:
    """The bundled CT and the bool mask of one of its organs."""
    entry = dataset.read(SAMPLE).entries[0]
    found = next(each for each in dataset.objects_of(entry, 255) if each.name == name)
    truth = np.zeros(found.volume.shape_kji, bool)
    truth[found.box.slices] = found.truth
    return found.volume, truth


def played(name: str, clicks: int, memory: bool = True) -> tuple[Session, list[float]]:
    """A session on an object of the bundled CT after so many clicks, and its Dice after each."""
    volume, truth = bundled_object(name)
    session, scores = Session(volume, build("nano", "cpu"), memory=memory), []
    for _ in range(clicks):
        click = next_click(truth, session.mask_kji > 0, volume.grid.spacing_kji_mm)
        session.add(click)
        scores.append(dice(truth, session.mask_kji))
    return session, scores


def test_they_are_small_and_nano_is_what_everything_starts_with():
    path = catalog.weights_path(catalog.card("nano"))
    assert path.stat().st_size <= LARGEST_BYTES
    assert catalog.default() == "nano" and build().card.name == "nano"


@pytest.mark.parametrize("name", ["kidney_right", "gallbladder"])
def test_a_few_clicks_segment_an_organ_the_network_has_never_seen(name):
    _, scores = played(name, 4)
    assert max(scores) > 0.7


def test_the_mask_leans_on_what_it_remembers_and_says_on_what():
    session, _ = played("kidney_right", 4)
    assert [number for number, _ in session.leaned] == [1, 2, 3]
    assert sum(share for _, share in session.leaned) == pytest.approx(1, abs=1e-3)


def test_the_first_click_is_the_same_with_memory_and_without():
    masks = [played("urinary_bladder", 1, memory)[0].mask_kji for memory in (True, False)]
    assert masks[0].any() and np.array_equal(*masks)


class TestSlices:
    def propagated(self, name: str, memory: bool = True) -> tuple[Session, np.ndarray]:
        """A session that has followed an object from its largest slice, drawn as it is."""
        volume, truth = bundled_object(name)
        reference = int(truth.sum(axis=(1, 2)).argmax())
        drawn = np.zeros(truth.shape, np.uint8)
        drawn[reference] = truth[reference]
        session = Session(volume, build("geodesic"), memory=memory, slices=build_slices("slices", "cpu"))
        session.add(MaskPrompt.from_mask(drawn))
        list(session.propagate("k", reference))
        return session, truth

    def test_they_are_small_and_what_slices_are_followed_by(self):
        path = catalog.weights_path(catalog.slice_card("slices"))
        assert path.stat().st_size <= LARGEST_SLICES_BYTES
        assert catalog.default_slices() == "slices"

    @pytest.mark.parametrize(("name", "least"), [("kidney_right", 0.6), ("urinary_bladder", 0.7)])
    def test_one_slice_is_enough_for_most_of_an_organ_the_network_has_never_seen(self, name, least):
        session, truth = self.propagated(name)
        assert dice(truth, session.mask_kji) > least

    def test_what_slice_memory_holds_counts(self):
        with_memory, _ = self.propagated("kidney_right")
        without, _ = self.propagated("kidney_right", memory=False)
        assert len(with_memory.slices) > 1 and len(without.slices) == 0
        sure = [[mark.confidence for mark in each.marks("k").values()] for each in (with_memory, without)]
        assert sure[0] != sure[1]
