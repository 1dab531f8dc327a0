"""Auto in the browser: a trained model guesses first, clicks correct it, and finished segments become training data.

The model's weights are set by hand: it calls "liver" what is bright, which the ball is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Locator, expect
from small_auto import write_bright

from memseg.automatic.folder import FILE
from memseg.files import read_layers

from .conftest import BALL_RADIUS_MM, SHAPE_KJI, SPACING_MM, WAIT_MS, Desk, RunningServer

pytestmark = pytest.mark.browser

LOADED_MS = 60_000  # torch comes with the first guess


def ball() -> np.ndarray:
    middle = [(size - 1) / 2 for size in SHAPE_KJI]
    away = np.indices(SHAPE_KJI) - np.reshape(middle, (3, 1, 1, 1))
    return np.sqrt((away**2).sum(axis=0)) * SPACING_MM < BALL_RADIUS_MM


@pytest.fixture
def auto(desk: Desk) -> Iterator[Locator]:
    """The section, opened; whatever it was doing is over at the end."""
    section = desk.page.locator(".ms-section:has(> .ms-fold:has-text('Auto'))")
    if desk.page.locator(".ms-auto").count() == 0:
        section.locator(".ms-fold").click()
    expect(desk.page.locator(".ms-auto")).to_be_visible()
    yield section
    if desk.page.locator(".ms-auto").inner_text() == "Cancel":
        desk.press("ms-auto")


def look_again(desk: Desk, section: Locator) -> None:
    """Fold the section and open it."""
    for _ in range(2):
        section.locator(".ms-fold").click()
    expect(desk.page.locator(".ms-auto")).to_be_visible()


def write_model(server: RunningServer) -> None:
    write_bright(
        server.folder / "auto" / "model", low=60, high=61, spacing_mm=SPACING_MM, edge=32, names=("liver", "spleen")
    )


class TestAuto:
    def test_without_a_model_the_button_is_off_and_says_how_to_train_one(self, desk: Desk, auto: Locator) -> None:
        (desk.server.folder / "auto" / "model" / FILE).unlink(missing_ok=True)
        look_again(desk, auto)
        expect(desk.page.locator(".ms-auto")).to_be_disabled()
        expect(desk.page.locator(".ms-auto-problem")).to_contain_text("Train one with: memseg train auto")
        write_model(desk.server)
        look_again(desk, auto)
        expect(desk.page.locator(".ms-auto")).to_be_enabled()
        expect(desk.page.locator(".ms-auto-problem")).to_have_count(0)

    def test_a_press_makes_segments_that_clicks_correct_and_undo_empties(self, desk: Desk, auto: Locator) -> None:
        write_model(desk.server)
        look_again(desk, auto)
        desk.press("ms-auto")
        expect(desk.page.locator(".ms-auto-sentence")).to_contain_text("Found liver", timeout=LOADED_MS)
        expect(desk.page.locator(".ms-auto-sentence")).to_contain_text("Not found: spleen.")
        expect(desk.segments).to_have_count(1)  # the untouched one made room
        expect(desk.segments).to_contain_text("liver")
        expect(desk.prompts).to_contain_text("first guess of the trained model")
        whole = desk.expect_voxels(lambda voxels: voxels == int(ball().sum()))
        desk.page.screenshot(path=desk.server.folder / "auto.png")
        desk.click("Axial", 0, 10, "Control")
        desk.expect_voxels(lambda voxels: 0 < voxels < whole)
        desk.page.keyboard.press("Control+z")
        desk.expect_voxels(lambda voxels: voxels == whole)
        desk.page.keyboard.press("Control+z")
        desk.expect_voxels(lambda voxels: voxels == 0)

    def test_what_is_finished_becomes_training_data(self, desk: Desk, auto: Locator) -> None:
        write_model(desk.server)
        look_again(desk, auto)
        desk.press("ms-auto")
        expect(desk.page.locator(".ms-auto-sentence")).to_contain_text("Found liver", timeout=LOADED_MS)
        desk.press("ms-ask-collect")
        folder = desk.server.folder / "my data"
        desk.fill("ms-collect-folder", str(folder))
        expect(desk.page.locator(".ms-collect")).to_be_visible()
        desk.page.wait_for_timeout(300)
        desk.page.screenshot(path=desk.server.folder / "collect.png")
        desk.press("ms-collect")
        expect(desk.page.locator(".ms-auto-sentence")).to_contain_text("liver: added.", timeout=WAIT_MS)
        expect(desk.page.locator(".ms-auto-sentence")).to_contain_text("training needs two at least")
        (entry,) = json.loads((folder / "manifest.json").read_text())
        layers, _, _ = read_layers(folder / entry["label"])
        assert entry["labels"] == {"liver": 1} and np.array_equal(layers[0] == 1, ball())

    def test_a_folder_without_a_model_is_said_and_nothing_changes(self, desk: Desk, auto: Locator) -> None:
        write_model(desk.server)
        look_again(desk, auto)
        field = desk.page.locator(".ms-auto-model input")
        field.fill(str(desk.server.folder))
        field.press("Enter")
        expect(desk.page.locator(".ms-auto-problem")).to_be_visible()
        expect(desk.page.locator(".ms-auto")).to_be_disabled()
        field.fill(str(desk.server.folder / "auto" / "model"))
        field.press("Enter")
        expect(desk.page.locator(".ms-auto")).to_be_enabled()
        expect(desk.segments).to_have_text("Segment 1")
