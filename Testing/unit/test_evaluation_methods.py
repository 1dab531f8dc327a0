"""How methods are spelled, and what each spelling makes."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
from fakes import BlockSegmenter

from memseg.errors import ModelError
from memseg.evaluation import methods
from memseg.evaluation.methods import Method, method_of, methods_of


@pytest.fixture
def built(monkeypatch) -> list[tuple]:
    """What the builder was asked for; it gives a block segmenter whatever it is."""
    asked: list[tuple] = []

    def build(*place: str, **named: str) -> BlockSegmenter:
        asked.append((*place, named))
        return BlockSegmenter()

    monkeypatch.setattr(methods, "build", build)
    return asked


@pytest.mark.parametrize(
    ("spelling", "memory", "capacity", "reads"),
    [
        ("nano", True, 60, "both"),
        ("nano:on", True, 60, "both"),
        ("nano:off", False, 60, "both"),
        ("nano:10", True, 10, "both"),
        ("nano:sparse", True, 60, "sparse"),
        ("nano:dense", True, 60, "dense"),
        ("nano:both", True, 60, "both"),
        ("nano:dense:30", True, 30, "dense"),
    ],
)
def test_a_spelling_says_what_the_memory_is(built, spelling, memory, capacity, reads):
    method = method_of(spelling)
    assert (method.name, method.memory, method.capacity, method.reads) == (spelling, memory, capacity, reads)


def test_only_a_choice_of_memories_is_passed_to_the_builder(built):
    methods_of(("nano", "nano:both", "nano:off", "nano:sparse"), device="cpu")
    assert built == [("nano", "cpu", {})] * 3 + [("nano", "cpu", {"reads": "sparse"})]


def test_memory_switched_off_for_all_is_on_where_a_spelling_asks_for_it(built):
    made = methods_of(("nano", "nano:on", "nano:10", "nano:dense"), memory=False)
    assert [method.memory for method in made] == [False, True, True, True]


@pytest.mark.parametrize(
    ("spelling", "sentence"),
    [
        ("nano:", "'nano:' is no way to write a model; write NAME:off"),
        ("nano:none", "is no way to write a model"),
        ("nano:0", "is no way to write a model"),
        ("nano:-3", "is no way to write a model"),
        ("nano:1.5", "is no way to write a model"),
        ("growcut:off", "write growcut alone"),
        ("randomwalker:10", "write randomwalker alone"),
    ],
)
def test_a_wrong_spelling_is_a_sentence(built, spelling, sentence):
    with pytest.raises(ModelError, match=sentence):
        method_of(spelling)
    assert built == []


def test_an_unknown_name_is_a_sentence_with_or_without_words():
    for spelling in ("geodesc", "geodesc:off"):
        with pytest.raises(ModelError, match="did you mean 'geodesic'"):
            method_of(spelling)


def test_two_methods_spelled_alike_are_a_sentence(built):
    with pytest.raises(ModelError, match="'nano' is asked for twice"):
        methods_of(("nano", "nano:off", "nano"))


def test_the_random_walker_is_found_by_its_entry_point():
    assert method_of("randomwalker").segmenter.card.name == "randomwalker"


@pytest.mark.parametrize(("package", "extra"), [("skimage", "evaluation"), ("slicer", "browser")])
def test_a_peer_whose_packages_are_missing_says_how_to_install_them(monkeypatch, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    missing = EntryPoint("other", f"{package}:Peer", methods.PEER_GROUP)
    monkeypatch.setattr(methods, "entry_points", lambda **_: [missing])
    with pytest.raises(ModelError, match=rf"pip install 'memsegslicer\[{extra}\]'"):
        method_of("other")


def test_a_method_is_told_from_another_by_its_weights_too(tmp_path, monkeypatch):
    (tmp_path / "block.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(methods.catalog, "weights_path", lambda card: tmp_path / card.weights)
    segmenter = BlockSegmenter()
    assert Method("block", segmenter).record()["weights_sha256"] is None
    segmenter.card = replace(segmenter.card, weights="block.safetensors")
    assert Method("block:5", segmenter, capacity=5).record() == {
        "name": "block:5",
        "memory": True,
        "capacity": 5,
        "reads": "both",
        "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
    }
