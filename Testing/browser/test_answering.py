"""Answers that take long in the browser: how far they are, stopping them, the kind of image, and choosing between two.

The server runs a fake BiomedParse for words, which takes a while for every slice and finds what is bright; and it
remembers a block under the name of the left kidney, which is another answer than the ball that is bright.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from memseg.files import read_volume
from memseg.geometry import Box
from memseg.memory.recall_files import RecallFolder
from memseg.text.remembering import remember

from .conftest import Desk, RunningServer, ball_array, write_image

pytestmark = pytest.mark.browser

LONG_MS = 60_000
SLOW = str(Path(__file__).parents[1] / "parts" / "serve_slow.py")
BLOCK = Box((12, 22, 22), (30, 46, 46))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch_module: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("answering")
    image = write_image(folder / "ball.nii.gz", ball_array())
    unknown = np.where(ball_array() > 60, 80.0, -170.0).astype(np.float32)
    write_image(folder / "unknown.nii.gz", unknown)
    entry = remember(read_volume(image), BLOCK, np.ones(BLOCK.shape_kji, np.uint8), "left kidney")
    RecallFolder(folder / "recall").add(entry)
    monkeypatch_module.setenv("MEMSEG_TEST_SLICE_SECONDS", "0.25")
    running = RunningServer(image, folder, program=(SLOW,))
    yield running
    running.stop()
    assert "Traceback" not in "".join(running.lines), "".join(running.lines)


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def page(chromium: Browser, server: RunningServer) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 1200, "height": 900})
    yield page
    page.close()


def say(desk: Desk, words: str) -> None:
    box = desk.page.locator(".ms-words input")
    box.fill(words)
    box.press("Enter")


@pytest.mark.parametrize("by_key", [False, True])
def test_an_answer_that_takes_long_says_how_far_it_is_and_is_stopped(desk: Desk, by_key: bool) -> None:
    desk.click("Axial", -60, -60)
    before = desk.expect_voxels(lambda voxels: voxels > 0)
    say(desk, f"left kidney in {'the' if by_key else 'this'} CT")
    expect(desk.page.locator(".ms-working-words")).to_contain_text(" of 40", timeout=LONG_MS)
    if by_key:
        desk.page.keyboard.press("Escape")
    else:
        desk.press("ms-stop-answer")
    desk.expect_sentence("Stopped, and nothing was changed.")
    expect(desk.page.locator(".ms-working")).to_have_count(0)
    expect(desk.page.locator(".ms-words input")).not_to_have_value("")  # to be asked again
    assert desk.voxels == before
    expect(desk.prompts).to_have_count(1)
    expect(desk.page.locator(".ms-redo")).to_be_disabled()


def test_two_answers_stand_side_by_side_and_a_click_takes_the_other(desk: Desk) -> None:
    say(desk, "left kidney")
    sides = desk.page.locator(".ms-side")
    expect(sides).to_have_count(2, timeout=LONG_MS)
    expect(desk.page.locator(".ms-chooser")).to_contain_text("where they differ most")
    expect(sides.nth(0)).to_contain_text("BiomedParse")
    expect(sides.nth(1)).to_contain_text("Recall memory")
    expect(sides.nth(0)).to_be_disabled()
    for number in (0, 1):
        drawn = sides.nth(number).locator("img").evaluate("(picture) => picture.complete && picture.naturalWidth")
        assert drawn == 160
    first = desk.voxels
    sides.nth(1).click()
    desk.expect_voxels(lambda voxels: voxels != first)
    expect(sides.nth(1)).to_be_disabled()
    expect(sides.nth(0)).to_be_enabled()
    desk.press("ms-undo")
    desk.expect_voxels(lambda voxels: voxels == first)
    expect(sides.nth(0)).to_be_disabled()
    desk.press("ms-undo")
    expect(sides).to_have_count(0)


def test_one_answer_is_not_compared_with_anything(desk: Desk) -> None:
    say(desk, "spleen")
    expect(desk.page.locator(".ms-understanding")).to_be_visible(timeout=LONG_MS)
    expect(desk.page.locator(".ms-chooser")).to_have_count(0)


def test_the_kind_of_image_is_asked_for_once(desk: Desk) -> None:
    desk.open(desk.server.folder / "unknown.nii.gz")
    desk.expect_sentence("Opened unknown.nii.gz")
    say(desk, "spleen")
    expect(desk.page.locator(".ms-modality")).to_be_visible(timeout=LONG_MS)
    expect(desk.page.locator(".ms-problem")).to_contain_text("cannot be told")
    desk.press("ms-modality-ct")
    expect(desk.page.locator(".ms-working-words")).to_be_visible(timeout=LONG_MS)
    expect(desk.page.locator(".ms-understanding")).to_be_visible(timeout=LONG_MS)
    expect(desk.page.locator(".ms-words input")).to_have_value("")
    expect(desk.page.locator(".ms-modality")).to_have_count(0)
    say(desk, "stomach")
    expect(desk.page.locator(".ms-understanding")).to_contain_text("stomach", timeout=LONG_MS)
    saved = desk.server.folder / "scene.mrb"
    desk.save(saved)
    desk.expect_sentence("scene.mrb")
    with zipfile.ZipFile(saved) as archive:
        scene = next(name for name in archive.namelist() if name.endswith(".mrml"))
        assert "MemSegSlicer.Modality:CT" in archive.read(scene).decode()
