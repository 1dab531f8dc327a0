"""The models that follow an object from slice to slice: listed by themselves, built once, replaced where they cannot
be."""

import pytest
from bars import VOLUME, drawn
from fakes import BlockSegmenter

from memseg import catalog, new_session
from memseg.build import _built_slices, build, build_slices
from memseg.errors import ModelError
from memseg.segmenters.base import Segmenter
from memseg.segmenters.slice_base import SliceSegmenter
from memseg.session import Session


@pytest.fixture
def no_network(monkeypatch):
    """As where torch is missing, and no network was built before it went."""
    monkeypatch.setattr(catalog, "missing_packages", lambda card: card.needs)
    monkeypatch.setattr("memseg.build._built_slices", _built_slices.__wrapped__)


def test_slice_models_are_no_models_of_volumes():
    names = {card.name for card in catalog.slice_cards()}
    both = {card.name for card in catalog.cards() if card.banks}
    assert both == {"medsam2", "sam2-tiny", "sam2-small", "sam2-base-plus", "sam2-large"}
    assert names == {"slices", "slice-geodesic", *both}
    assert not names & {card.name for card in (*catalog.cards(), *catalog.installed())} - both
    with pytest.raises(ModelError, match="no model called 'slices'"):
        build("slices")
    with pytest.raises(ModelError, match="no model called 'nano'; choose one of: slices, slice-geodesic"):
        build_slices("nano")


def test_a_slice_model_is_built_once_and_shared():
    segmenter = build_slices("slice-geodesic")
    assert build_slices("slice-geodesic") is segmenter and isinstance(segmenter, SliceSegmenter)
    assert not isinstance(segmenter, Segmenter) and segmenter.card.name == "slice-geodesic"


def test_a_wrong_name_or_device_is_a_sentence():
    with pytest.raises(ModelError, match="did you mean 'slice-geodesic'"):
        build_slices("slice-geodesc")
    with pytest.raises(ModelError, match="no device called 'toaster'"):
        build_slices("slice-geodesic", "toaster")


def test_without_torch_slices_are_followed_without_the_network_and_the_note_says_so(no_network):
    assert catalog.default_slices() == "slice-geodesic"
    session = Session(VOLUME, BlockSegmenter())
    session.add(drawn(5))
    next(session.propagate(reference=5))
    assert session.slice_model == "slice-geodesic"
    assert (
        session.note == "The slice network needs torch, safetensors, which is not here; Slice geodesic does its work."
    )


def test_without_weights_too(monkeypatch):
    monkeypatch.setattr(catalog, "missing_packages", lambda card: ())
    monkeypatch.setattr(catalog, "lacks_weights", lambda card: bool(card.weights))
    assert catalog.default_slices() == "slice-geodesic" and "needs slices.safetensors" in catalog.note_on_slices()


def test_what_was_asked_for_by_name_is_not_replaced_and_needs_no_note(no_network):
    with pytest.raises(ModelError, match="'slices' needs torch"):
        new_session(VOLUME, "geodesic", slice_model="slices")
    session = new_session(VOLUME, "geodesic", slice_model="slice-geodesic")
    session.add(drawn(5))
    next(session.propagate(reference=5))
    assert session.note == ""


def test_the_slice_model_can_be_changed_between_propagations():
    session = Session(VOLUME, BlockSegmenter())
    session.change_slice_model("slice-geodesic")
    assert session.slice_model == "slice-geodesic"
    with pytest.raises(ModelError, match="no model called"):
        session.change_slice_model("geodesic")
    assert session.slice_model == "slice-geodesic"
