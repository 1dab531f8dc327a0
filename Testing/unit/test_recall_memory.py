"""What is remembered: checked when made, searched by likeness, renamed, forgotten and put together as a value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recalled import entry_named, looking_like, numbered

from memseg.errors import PromptError
from memseg.memory.recall import (
    BINS,
    EMBEDDING_NUMBERS,
    KEY_NUMBERS,
    NEAR_NUMBERS,
    RecallMemory,
    checked_name,
    new_identity,
)
from memseg.text.places import CHANNELS, DIMENSIONS

LIVER, SPLEEN, KIDNEY = (entry_named(name) for name in ("liver", "spleen", "left kidney"))


# -- entries ---------------------------------------------------------------------------------------------------------


def test_the_numbers_of_the_format_are_those_of_the_descriptors():
    """Whoever changes the descriptors has to give the format a new version."""
    assert (
        (KEY_NUMBERS, NEAR_NUMBERS, BINS, EMBEDDING_NUMBERS) == (DIMENSIONS, 2 * CHANNELS, 32, 48) == (130, 6, 32, 48)
    )


def test_an_entry_is_called_by_side_and_key():
    assert [entry.title for entry in (LIVER, KIDNEY)] == ["liver", "left kidney"]


def test_the_arrays_of_an_entry_cannot_be_written_to():
    assert not any(array.flags.writeable for array in LIVER.arrays().values())


def test_the_packed_shape_is_the_shape():
    shape = np.zeros((2, 3, 4), bool)
    shape[1, :2, 1:3] = True
    entry = entry_named(mask=np.packbits(shape), mask_shape_kji=(2, 3, 4))
    assert np.array_equal(entry.mask_kji, shape)


def test_every_entry_is_another_one():
    assert new_identity() != new_identity() and entry_named().identity != entry_named().identity


def test_a_name_is_kept_in_one_line_and_an_empty_one_refused():
    assert checked_name("  left \n kidney ") == "left kidney"
    for name in ("", "  ", "...", "\x1b[31m", "a" * 101, "kidney\u202e"):
        with pytest.raises(PromptError):
            checked_name(name)


def test_what_cannot_be_shown_is_taken_out_of_notes():
    entry = entry_named(note="from\nour\x1b[31m ward", licence="CC0\x07")
    assert (entry.note, entry.licence) == ("from our [31m ward", "CC0 ")


@pytest.mark.parametrize(
    "wrong",
    [
        {"side": "up"},
        {"modality": "X-ray"},
        {"key": ""},
        {"key": "k" * 101},
        {"note": "n" * 501},
        {"note": 5},
        {"identity": "../../etc/passwd"},
        {"identity": "A" * 32},
        {"made": "yesterday"},
        {"keys": np.zeros((0, 130))},
        {"keys": np.zeros((2, 129))},
        {"keys": np.full((2, 130), np.nan)},
        {"keys": np.full((2, 130), np.inf)},
        {"values": np.zeros((3, 5))},
        {"near_index": np.zeros((0, 3)), "near_keys": np.zeros((0, 6))},
        {"near_index": np.array([[0, 0, 0], [0, 0, 30_000], [0, 30_000, 0]]), "near_keys": np.zeros((3, 6))},
        {"near_keys": np.zeros((2, 7))},
        {"near_spacing_mm": 0.0},
        {"near_spacing_mm": float("nan")},
        {"mask": np.zeros(4)},
        {"mask": np.zeros(5)},
        {"mask_shape_kji": (2**32, 2**32, 1), "mask": np.zeros(0)},  # their product is 0 in 64 bits
        {"mask_shape_kji": (27, 1), "mask": np.packbits(np.ones(27, bool))},
        {"mask_shape_kji": (3, 3, -3)},
        {"mask_spacing_mm": 1e-9},
        {"mask_start_mm": (0.0, 0.0)},
        {"size_mm": (1.0, 1.0, 1e9)},
        {"volume_ml": -1.0},
        {"histograms": np.zeros((2, 31))},
        {"embedding": np.zeros(47)},
        {"thumbnail": np.zeros((64, 100_000))},
        {"image": np.zeros((2, 2))},
        {"image": np.zeros((2, 2, 2), complex), "image_to_mm": np.eye(4)},
    ],
)
def test_what_makes_no_sense_is_no_entry(wrong):
    with pytest.raises((ValueError, TypeError, PromptError)):
        entry_named(**wrong)


def test_a_note_that_is_too_long_is_told_as_the_user_should_know_it():
    with pytest.raises(PromptError, match="The note is longer than 500 characters; shorten it"):
        entry_named(note="n" * 501)


# -- a memory --------------------------------------------------------------------------------------------------------


def test_entries_are_found_by_structure_and_side():
    right = entry_named("right kidney")
    memory = RecallMemory((LIVER, KIDNEY, right))
    assert memory.named("kidney", "left") == (KIDNEY,) and memory.named("kidney", "right") == (right,)
    assert memory.named("kidney") == () and memory.names() == ("left kidney", "liver", "right kidney")
    assert memory.get(right.identity) is right and memory.get(numbered(1)) is None
    assert len(memory) == 3 and list(memory) == [LIVER, KIDNEY, right]
    assert memory.size_bytes == sum(entry.size_bytes for entry in memory)


def test_a_memory_is_a_value_that_changes_give_another_of():
    memory = RecallMemory((LIVER,))
    both = memory.with_(SPLEEN)
    assert list(both) == [LIVER, SPLEEN] and list(memory) == [LIVER]
    assert list(both.without(LIVER.identity)) == [SPLEEN] and list(both) == [LIVER, SPLEEN]
    assert both.without(numbered(1)) is both


def test_of_an_identity_the_latest_stays():
    old, new = entry_named("liver", identity=numbered(1)), entry_named("hepar", identity=numbered(1))
    assert list(RecallMemory((old, SPLEEN)).with_(new)) == [SPLEEN, new]
    assert list(RecallMemory().with_(old, new)) == [new]
    with pytest.raises(ValueError, match="once"):
        RecallMemory((old, new))


def test_two_memories_put_together_hold_every_entry_once():
    mine, yours = RecallMemory((LIVER, SPLEEN)), RecallMemory((SPLEEN, KIDNEY))
    assert list(mine.with_(*yours.entries)) == [LIVER, SPLEEN, KIDNEY]


def test_renaming_changes_only_the_name():
    memory = RecallMemory((LIVER, SPLEEN)).renamed(SPLEEN.identity, "Right kidney", "kidney", "right")
    (renamed,) = memory.named("kidney", "right")
    assert renamed.name == "Right kidney" and renamed.identity == SPLEEN.identity and renamed.made == SPLEEN.made
    assert np.array_equal(renamed.keys, SPLEEN.keys) and memory.named("spleen") == ()
    with pytest.raises(PromptError):
        memory.renamed(SPLEEN.identity, " ", "kidney")


def test_a_subject_can_be_left_out():
    hers = entry_named("liver", subject="another")
    memory = RecallMemory((LIVER, hers, SPLEEN))
    assert list(memory.without_subject("someone")) == [hers]
    assert memory.without_subject("") is memory and list(memory.without_subject("nobody")) == list(memory)


# -- nearest ---------------------------------------------------------------------------------------------------------


def placed(*places: float) -> RecallMemory:
    """Entries whose volumes look like points on a line."""
    return RecallMemory(
        tuple(
            entry_named("liver", embedding=looking_like(place), identity=numbered(n)) for n, place in enumerate(places)
        )
    )


def test_the_nearest_come_first_with_their_distances():
    memory = placed(4.0, 1.0, -2.0)
    found = memory.nearest(looking_like(0.5), 2)
    assert [(entry.identity, distance) for entry, distance in found] == [(numbered(1), 0.5), (numbered(2), 2.5)]


def test_distances_are_euclidean():
    memory = RecallMemory((entry_named(embedding=looking_like(3.0, 4.0)),))
    assert memory.nearest(looking_like(), 1)[0][1] == 5.0


def test_of_those_that_are_as_near_the_older_comes_first():
    assert [entry.identity for entry, _ in placed(1.0, -1.0, 1.0).nearest(looking_like(), 3)] == list(
        map(numbered, range(3))
    )


def test_the_nearest_can_be_sought_among_some():
    memory = placed(1.0, 2.0, 3.0)
    some = [memory.entries[2], memory.entries[1]]
    assert [entry.identity for entry, _ in memory.nearest(looking_like(), 5, some)] == [numbered(1), numbered(2)]


@pytest.mark.parametrize(("memory", "k"), [(RecallMemory(), 3), (placed(1.0), 0), (placed(1.0), -1)])
def test_where_there_is_nothing_nothing_is_near(memory, k):
    assert memory.nearest(looking_like(), k) == ()
    assert memory.nearest(looking_like(), k, ()) == ()


@given(st.lists(st.integers(-50, 50), max_size=12), st.integers(0, 12))
def test_no_entry_left_out_is_nearer_than_one_that_is_given(places, k):
    memory = placed(*map(float, places))
    found = memory.nearest(looking_like(), k)
    given_, distances = {entry.identity for entry, _ in found}, [distance for _, distance in found]
    left = [abs(place) for number, place in enumerate(places) if numbered(number) not in given_]
    assert len(found) == min(k, len(places)) and distances == sorted(distances)
    assert not left or not distances or distances[-1] <= min(left)
