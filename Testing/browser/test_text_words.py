"""What the page says of words, what it offers while they are typed, and what is remembered; no browser needed."""

from __future__ import annotations

import base64
import time
import zlib

import numpy as np
import pytest
from fakes import box_mask

from memseg.geometry import Box, Grid
from memseg.memory.recall import RecallEntry, RecallMemory
from memseg.text.recalling import remember
from memseg.volume import Volume
from MemSegBrowser.recalling import row_of
from MemSegBrowser.thumbnails import address_of
from MemSegSlicerLib.RecallRows import matching, toldOnce
from MemSegSlicerLib.Sizes import extentWords, mlWords
from MemSegSlicerLib.TextRows import AlternativeRow, alternativeRows, completions, insteadWords
from MemSegSlicerLib.Understanding import Alternative, Understanding

SHAPE = (30, 30, 30)


def entry(name: str, **more: str) -> RecallEntry:
    """A bright block of 20 x 12 x 10 mm, the longest along S."""
    box = Box((5, 9, 10), (25, 21, 20))
    block = box_mask(SHAPE, box)
    volume = Volume(np.where(block, 100, -500).astype(np.int16), Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0)))
    return remember(volume, box, block[box.slices], name, **more)


class TestOffers:
    def test_the_last_words_are_completed_and_the_others_kept(self) -> None:
        assert completions("left kidn", ())[0] == "left kidney"
        assert "largest lesion in the right lung" in completions("largest lesion in the right lun", ())

    def test_remembered_names_are_offered_too(self) -> None:
        assert completions("tumour of pat", ("tumour of patient 4",))[0] == "tumour of patient 4"

    @pytest.mark.parametrize("words", ["", "   ", "xyzzy", "🙂", "kidney " * 2000])
    def test_where_nothing_fits_nothing_is_offered(self, words: str) -> None:
        assert completions(words, ()) == [] or words.startswith("kidney")

    def test_what_stands_there_already_is_not_offered(self) -> None:
        assert "spleen" not in completions("spleen", ())

    def test_a_few_and_quickly(self) -> None:
        completions("l", ())
        start = time.perf_counter()
        assert 0 < len(completions("l", tuple(f"name {number}" for number in range(2000)))) <= 7
        assert time.perf_counter() - start < 1


class TestAlternatives:
    def test_those_with_the_same_title_are_told_apart_by_their_size(self) -> None:
        several = tuple(Alternative("bright region", 0.456, size_ml=size) for size in (18.93, 4.0, 4.0))
        assert alternativeRows(Understanding("bright", "Bright.", several)) == [
            AlternativeRow(0, "18.9 ml", 46),
            AlternativeRow(1, "4 ml", 46),
            AlternativeRow(2, "4 ml (2)", 46),
        ]

    def test_a_title_that_stands_alone_needs_no_size(self) -> None:
        several = (Alternative("liver", 0.9), *(Alternative("region", 0.4, size_ml=size) for size in (1500.0, 0.5)))
        titles = [row.title for row in alternativeRows(Understanding("liver", "Liver.", several))]
        assert titles == ["liver", "region, 1,500 ml", "region, 0.5 ml"]

    def test_an_alternative_that_was_chosen_instead_is_spoken_of(self) -> None:
        several = (Alternative("kidney", 0.9), Alternative("spleen", 0.4, "It is bright.", size_ml=151.2))
        assert insteadWords(Understanding("kidney", "Kidney.", several)) == ""
        said = insteadWords(Understanding("kidney", "Kidney.", several, chosen=1))
        assert said == "Chosen instead: spleen, 151 ml. It is bright."

    def test_the_chosen_one_is_shown_though_there_are_many(self) -> None:
        many = tuple(Alternative(f"{number}", 0.5) for number in range(20))
        shown = [row.number for row in alternativeRows(Understanding("all", "All.", many, chosen=17))]
        assert shown == [0, 1, 2, 3, 4, 5, 17]

    def test_the_confidence_is_that_of_the_chosen_one(self) -> None:
        several = (Alternative("kidney", 0.9), Alternative("spleen", 0.4))
        assert Understanding("kidney", "", several, chosen=1).confidence == 0.4


class TestRecallRows:
    def test_the_search_finds_entries_that_hold_all_its_words_newest_first(self) -> None:
        first, second = entry("left kidney", modality="CT", note="Contrast"), entry("Spleen", modality="CT")
        memory = RecallMemory((first, second))
        assert matching(memory, "") == [second, first]
        assert matching(memory, "ct kid") == [first]
        assert matching(memory, "CONTRAST") == [first]
        assert matching(memory, "liver") == []

    def test_what_is_said_several_times_is_told_once_and_of_many_only_the_first(self) -> None:
        assert toldOnce(["one", "two", "one"]) == ["one (2 times)", "two"]
        assert toldOnce(list("abcde")) == ["a", "b", "And 3 more."]
        assert toldOnce(list("abc")) == ["a", "b", "c"]

    def test_a_row_tells_name_size_date_and_where_it_comes_from(self) -> None:
        row = row_of(entry("left kidney", modality="CT", note="Contrast", licence="CC0"), own=True)
        assert (row.name, row.modality, row.origin, row.own) == ("left kidney", "CT", "CC0 · Contrast", True)
        assert row.size == "2.0 × 1.2 × 1.0 cm, 2.4 ml"
        assert len(row.made) == 10

    def test_a_thumbnail_is_a_png_with_a_coloured_outline(self) -> None:
        address = address_of(np.array([[0, 255], [100, 254]], np.uint8))
        kind, data = address.split(",")
        assert kind == "data:image/png;base64"
        content = base64.b64decode(data)
        assert content[:8] == b"\x89PNG\r\n\x1a\n" and content[16:24] == bytes((0, 0, 0, 2, 0, 0, 0, 2))
        start = content.index(b"IDAT")
        length = int.from_bytes(content[start - 4 : start], "big")
        rows = zlib.decompress(content[start + 4 : start + 4 + length])
        assert rows == bytes((0, 0, 0, 0, 46, 196, 182, 0, 100, 100, 100, 254, 254, 254))

    def test_no_thumbnail_is_no_picture(self) -> None:
        assert address_of(np.zeros((0, 0), np.uint8)) == ""


@pytest.mark.parametrize(
    ("size_ml", "words"),
    [(1523.4, "1,523 ml"), (152.04, "152 ml"), (99.96, "100 ml"), (18.93, "18.9 ml"), (0.012, "0.012 ml")],
)
def test_a_size_in_millilitres_is_never_a_power_of_ten(size_ml: float, words: str) -> None:
    assert mlWords(size_ml) == words


def test_a_size_that_is_next_to_nothing_is_said_to_be_small() -> None:
    assert mlWords(0.0001) == "under 0.01 ml"


def test_extents_stand_longest_first() -> None:
    assert extentWords((59.0, 112.0, 64.4)) == "11.2 × 6.4 × 5.9 cm"
