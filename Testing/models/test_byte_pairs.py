"""Words become CLIP's numbers, without a network and without transformers."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from memseg.errors import ModelError
from memseg.segmenters import byte_pairs
from memseg.segmenters.byte_pairs import BESIDE, MERGES, SHIPPED, read, vocabulary_for

SHIPS = read(SHIPPED)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """transformers' own tokenizer, told of the same merges."""
    folder = tmp_path_factory.mktemp("clip")
    merges = gzip.open(SHIPPED).read().decode()
    (folder / "merges.txt").write_text("#version: 0.2\n" + merges)
    marks = {"<|startoftext|>": SHIPS.start, "<|endoftext|>": SHIPS.end}
    (folder / "vocab.json").write_text(json.dumps({**SHIPS._ids, **marks}))
    return CLIPTokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))


def test_there_are_as_many_word_pieces_as_the_text_encoder_knows():
    assert len(SHIPS) == 49_408 and (SHIPS.start, SHIPS.end) == (49_406, 49_407)


def test_known_words_have_the_numbers_that_clips_documentation_shows():
    # "a photo of a cat" and "a photo of a dog", as in the examples of huggingface.co/docs/transformers (model_doc/clip)
    assert SHIPS.encode("a photo of a cat") == (49406, 320, 1125, 539, 320, 2368, 49407)
    assert SHIPS.encode("A  photo of a\ndog ")[-2] == 1929


@pytest.mark.parametrize(
    "words",
    ["left kidney in abdominal CT", "COVID-19 infection", "L3 vertebra's body", "12.5 mm!?", "naïve_é über µm", "''d"],
)
def test_words_have_the_numbers_that_transformers_gives_them(theirs, words):
    assert list(SHIPS.encode(words)) == theirs(words)["input_ids"]


@settings(max_examples=150, deadline=None)
@given(words=st.text(st.characters(codec="latin-1", categories=("Ll", "Lu", "Nd", "Po", "Pd", "Zs")), max_size=40))
def test_any_words_have_the_numbers_that_transformers_gives_them(theirs, words):
    assert list(SHIPS.encode(words)) == theirs(words)["input_ids"]


def test_words_too_long_are_cut_and_still_closed():
    ids = SHIPS.encode("kidney " * 100)
    assert len(ids) == 77 and ids[0] == SHIPS.start and ids[-1] == SHIPS.end and len(set(ids)) == 3


def test_a_list_beside_the_weights_goes_first(tmp_path):
    merges = gzip.open(SHIPPED).read().decode()
    original = '"bpe_simple_vocab_16e6.txt#version: 0.2\n' + merges + "more pairs\n" * 1000
    with gzip.open(tmp_path / BESIDE[0], "wb") as file:
        file.write(original.encode())
    assert vocabulary_for(tmp_path / "weights.ckpt").encode("left kidney") == SHIPS.encode("left kidney")
    assert vocabulary_for(tmp_path / "nowhere" / "weights.ckpt") is SHIPS


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "merges.txt is missing; put bpe_simple_vocab_16e6.txt.gz of github.com/openai/CLIP beside the weights"),
        (b"a b\n", "not CLIP's list of word pieces, or it is cut short"),
        (b"a b c\n" * (MERGES + 1), "not CLIP's list of word pieces"),
        (b"\xff\xfe\n", "is damaged"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, content, sentence):
    path = tmp_path / "merges.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=sentence):
        read(path)


def test_a_packed_list_that_was_cut_short_is_refused(tmp_path):
    path = tmp_path / BESIDE[0]
    path.write_bytes(SHIPPED.read_bytes()[:5000])
    with pytest.raises(ModelError, match="is damaged"):
        read(path)


def test_without_the_list_that_ships_the_sentence_says_which_file_to_bring(tmp_path, monkeypatch):
    monkeypatch.setattr(byte_pairs, "SHIPPED", tmp_path / "clip-merges.txt.gz")
    with pytest.raises(ModelError, match="put bpe_simple_vocab_16e6"):
        vocabulary_for(tmp_path / "weights.ckpt")
