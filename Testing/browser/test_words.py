"""What the page says, and the small decisions behind it; no browser needed."""

from __future__ import annotations

import socket
from dataclasses import replace

import numpy as np
import pytest

from memseg.errors import FileError
from memseg.geometry import Grid
from memseg.prompts import BoxPrompt, Click, Lasso, MaskPrompt, Text
from memseg.segmenters.base import Numbered
from memseg.volume import Volume
from MemSegBrowser import windowing
from MemSegBrowser.server import free_port, is_loopback
from MemSegBrowser.views import slice_labels
from MemSegBrowser.workspace import fractions, hexadecimal
from MemSegSlicerLib.Outline import rectangle
from MemSegSlicerLib.PromptRows import promptRows, promptTitle, sizeWords
from MemSegSlicerLib.Record import SessionState
from MemSegSlicerLib.SlicePlaces import directionLetters

AXIAL = np.array([[-1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def volume_of(array: np.ndarray, spacing_kji_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Volume:
    return Volume(array, Grid.from_spacing(array.shape, spacing_kji_mm))


def test_an_axial_view_has_the_patient_s_right_on_its_left() -> None:
    labels = slice_labels(AXIAL, 12.34)
    assert (labels.left, labels.right, labels.top, labels.bottom) == ("R", "L", "A", "P")
    assert labels.position == "S 12.3 mm"
    assert slice_labels(AXIAL, -7.0).position == "I 7.0 mm"


def test_an_oblique_direction_gets_two_letters_the_nearer_one_first() -> None:
    assert directionLetters(np.array([0.8, -0.6, 0.0])) == "RP"
    assert directionLetters(np.array([0.99, -0.1, 0.0])) == "R"


def test_a_size_is_said_in_voxels_and_millilitres() -> None:
    volume = volume_of(np.arange(8).reshape(2, 2, 2), (5.0, 2.0, 2.0))
    assert sizeWords(1500, volume.grid) == "1,500 voxels · 30.0 ml"


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        (Click((1, 2, 3)), "positive click"),
        (Click((1, 2, 3), positive=False), "negative click"),
        (BoxPrompt((0, 0, 0), (1, 5, 5)), "positive box on a slice"),
        (BoxPrompt((0, 0, 0), (4, 5, 5), positive=False), "negative box"),
        (Lasso(((0, 0, 0), (0, 5, 0), (0, 5, 5))), "positive lasso"),
        (Text("left  kidney"), "“left kidney”"),
        (MaskPrompt.from_mask(np.ones((2, 2, 2))), "edited mask"),
        (
            replace(MaskPrompt.from_mask(np.ones((2, 2, 2))), origin="propagated along k from slice 7"),
            "propagated from slice 7",
        ),
        (replace(MaskPrompt.from_mask(np.ones((2, 2, 2))), origin="left kidney"), "“left kidney”"),
    ],
)
def test_prompts_have_titles(prompt: object, title: str) -> None:
    assert promptTitle(prompt) == title


def test_the_newest_prompt_stands_first_and_each_says_how_much_the_mask_leaned_on_it() -> None:
    given = (Click((1, 2, 3)), MaskPrompt.from_mask(np.zeros((2, 2, 2))), Click((4, 5, 6)), Click((7, 8, 9)))
    numbered = tuple(Numbered(number, prompt) for number, prompt in zip((1, 2, 4, 5), given))
    rows = promptRows(SessionState("nano", numbered, leaned=((1, 0.2), (4, 0.8))))
    assert [(row.number, row.index) for row in rows] == [(5, 3), (4, 2), (2, 1), (1, 0)]
    assert [(row.leaned, row.bar) for row in rows] == [("", 0), ("80 %", 1), ("", 0), ("20 %", 0.25)]


def test_a_mask_prompt_tells_by_its_kind_what_made_it() -> None:
    mask = MaskPrompt.from_mask(np.zeros((2, 2, 2)))
    origins = ("", "left kidney", "propagated along k from slice 7", "made consistent along k")
    given = [replace(mask, origin=origin) for origin in origins]
    rows = promptRows(SessionState("nano", tuple(Numbered(number, each) for number, each in enumerate(given, 1))))
    assert [row.kind for row in rows] == ["slices", "slices", "text", "mask"]


def test_a_mask_that_leaned_on_no_memory_is_told_so_and_an_unknown_share_is_not_told() -> None:
    numbered = (Numbered(1, Click((1, 2, 3))),)
    assert [(row.leaned, row.bar) for row in promptRows(SessionState("nano", numbered, leaned=((1, 0.0),)))] == [
        ("0 %", 0)
    ]
    assert [row.leaned for row in promptRows(SessionState("geodesic", numbered))] == [""]


def test_ct_opens_in_the_soft_tissue_window_and_everything_else_in_its_own() -> None:
    assert windowing.first_choice(volume_of(np.linspace(-1000, 1200, 27).reshape(3, 3, 3))) == "soft tissue"
    assert windowing.first_choice(volume_of(np.linspace(0, 4000, 27).reshape(3, 3, 3))) == windowing.AUTOMATIC


def test_colours_come_back_from_their_names() -> None:
    assert hexadecimal((1.0, 0.0, 0.5)) == "#ff0080"
    assert hexadecimal(fractions("#2ec4b6")) == "#2ec4b6"
    assert fractions("#ff000080") == (1.0, 0.0, 0.0)


def test_a_rectangle_goes_round_its_corners() -> None:
    assert rectangle((1, 2), (5, 7)) == [(1, 2), (5, 2), (5, 7), (1, 7)]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback_addresses_are_known(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_port_that_is_taken_is_refused_when_it_was_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(FileError, match=f"Port {port} on 127.0.0.1 is in use"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", 0) > 0
