"""From one slice to the whole object in the browser: the Propagate panel, its strip, and what is remembered."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, expect

from MemSegSlicerLib import SampleData

from .conftest import WAIT_MS, Desk, ball_array, write_image

pytestmark = pytest.mark.browser

RUN_MS = 60_000
BALL_SLICES = 18  # of 2 mm, the ball being 36 mm across
LIVER_AT = (0.33, 0.42)  # in the axial view of the bundled CT's liver slice, from its left and upper edge


def some(voxels: int) -> bool:
    return voxels > 50


class Strip:
    """The strip of slices, in a user's words."""

    def __init__(self, desk: Desk) -> None:
        self._page = desk.page

    @property
    def whole(self) -> Locator:
        return self._page.locator(".ms-strip")

    def slices(self, kind: str) -> list[int]:
        """Indices of the slices that have that look."""
        bars = self.whole.locator(f"rect.ms-bar-{kind}")
        return self._page.evaluate(
            "(bars) => bars.flatMap((bar) => Array.from({length: +bar.getAttribute('width')}, "
            "(_, one) => +bar.getAttribute('x') + one))",
            bars.element_handles(),
        )

    def point(self, index: int, size: int) -> dict[str, float]:
        box = self.whole.bounding_box()
        return {"x": box["width"] * (index + 0.5) / size, "y": box["height"] / 2}

    def click(self, index: int, size: int) -> None:
        self.whole.click(position=self.point(index, size))


@pytest.fixture
def strip(desk: Desk) -> Strip:
    return Strip(desk)


@pytest.fixture
def drawn(desk: Desk) -> Desk:
    """The ball, clicked once; the axial view shows slice 20, in which it is largest. Both ways, to the object's end."""
    desk.press("ms-direction-both")
    desk.page.locator(".ms-stop input").check()
    desk.click("Axial")
    desk.expect_voxels(some)
    expect(desk.page.locator(".ms-shown")).to_have_text("slice 20")
    return desk


@pytest.fixture
def propagated(drawn: Desk) -> Desk:
    propagate(drawn)
    return drawn


@pytest.fixture
def tall(desk: Desk, tmp_path: Path) -> Desk:
    """Fifteen balls on top of each other, the middle one clicked once: 600 slices, which take a while to follow. To
    the volume's ends."""
    desk.open(write_image(tmp_path / "tall.nii.gz", np.concatenate([ball_array()] * 15)))
    desk.expect_sentence("Opened tall.nii.gz")
    desk.press("ms-direction-both")
    desk.click("Axial")
    desk.expect_voxels(some)
    desk.page.locator(".ms-stop input").uncheck()
    return desk


def propagate(desk: Desk) -> None:
    """And wait for its end."""
    desk.press("ms-propagate")
    expect(desk.page.locator(".ms-sentence")).to_contain_text("propagated.", timeout=RUN_MS)
    expect(desk.page.locator(".ms-propagate")).to_have_text("Propagate")


def shown(desk: Desk, words: str) -> None:
    expect(desk.page.locator(".ms-shown")).to_have_text(words, timeout=WAIT_MS)


def test_a_slice_is_propagated_through_the_object(drawn: Desk, strip: Strip) -> None:
    assert strip.slices("agreed") == strip.slices("propagated") == []
    assert 20 in strip.slices("held")
    expect(drawn.page.locator(".ms-progress")).to_have_text("From slice 20, shown")
    propagate(drawn)
    assert strip.slices("agreed") == [20]
    assert abs(len(strip.slices("propagated")) + 1 - BALL_SLICES) <= 4
    assert strip.slices("absent")
    expect(drawn.prompts.first).to_have_text(re.compile("propagated from slice 20"))
    expect(drawn.page.locator(".ms-progress")).to_have_text("From agreed slice 20")
    shown(drawn, "slice 20, agreed")


def test_one_undo_takes_a_propagation_back(propagated: Desk, strip: Strip) -> None:
    propagated.press("ms-undo")
    expect(propagated.prompts).to_have_count(1)
    propagated.wait_until(lambda: len(strip.slices("agreed") + strip.slices("propagated")), lambda count: count == 0)


def test_the_surface_appears_after_a_propagation(propagated: Desk) -> None:
    assert propagated.coloured_pixels("3D") == 0
    propagated.press("ms-surface")
    propagated.wait_until(lambda: propagated.coloured_pixels("3D"), lambda pixels: pixels > 1000)


def test_a_bar_is_coloured_and_tells_what_it_stands_for(propagated: Desk, strip: Strip) -> None:
    colours = {
        bar.evaluate("(bar) => getComputedStyle(bar).fill")
        for bar in strip.whole.locator("rect.ms-bar-propagated").all()
    }
    known = {"rgb(213, 94, 0)", "rgb(230, 159, 0)", "rgb(168, 168, 160)", "rgb(86, 180, 233)", "rgb(39, 128, 196)"}
    assert colours and colours <= known
    strip.whole.hover(position=strip.point(20, 40))
    expect(strip.whole).to_have_attribute("title", "Slice 20: agreed")
    strip.whole.hover(position=strip.point(19, 40))
    expect(strip.whole).to_have_attribute("title", re.compile(r"^Slice 19: propagated, confidence \d+ %$"))


def test_a_click_on_the_strip_moves_the_view_to_that_slice(desk: Desk, strip: Strip) -> None:
    strip.click(7, 40)
    shown(desk, "slice 7")
    expect(desk.page.locator(".ms-position").first).to_have_text("S 14.0 mm")
    desk.page.mouse.move(*desk.point("Axial"))
    desk.page.mouse.wheel(0, -120)
    expect(desk.page.locator(".ms-shown")).not_to_have_text("slice 7")


def test_the_axis_is_that_of_the_view_touched_last_and_can_be_chosen(desk: Desk) -> None:
    chosen = desk.page.locator(".ms-axis.v-btn--active")
    expect(chosen).to_have_text("Axial")
    desk.page.mouse.move(*desk.point("Sagittal"))
    desk.page.mouse.wheel(0, 120)
    expect(chosen).to_have_text("Sagittal")
    expect(desk.page.locator(".ms-last")).to_have_text(re.compile("^63 "))
    desk.press("ms-axis", 1)
    expect(chosen).to_have_text("Coronal")


def test_the_range_and_the_direction_bound_a_propagation(drawn: Desk, strip: Strip) -> None:
    drawn.page.locator(".ms-range .v-slider-thumb").nth(1).press("PageDown")
    drawn.page.locator(".ms-range .v-slider-thumb").nth(1).press("ArrowRight")
    last = int(drawn.page.locator(".ms-last").inner_text().split()[0])
    assert 20 < last < 39
    drawn.press("ms-direction-up")
    propagate(drawn)
    assert strip.slices("agreed") == [20]
    touched = strip.slices("propagated") + strip.slices("absent")
    assert min(touched) == 21 and max(touched) <= last


def begin(desk: Desk) -> None:
    """And wait for the first slices."""
    desk.press("ms-propagate")
    expect(desk.page.locator(".ms-progress")).to_have_text(re.compile("done"), timeout=RUN_MS)


def test_a_propagation_is_cancelled_and_keeps_what_it_did(tall: Desk, strip: Strip) -> None:
    begin(tall)
    expect(tall.page.locator(".ms-propagate")).to_have_text("Cancel")
    tall.page.keyboard.press("g")  # as the button, which a busy page takes its time to let be pressed
    expect(tall.sentence).to_contain_text("Cancelled.", timeout=RUN_MS)
    expect(tall.page.locator(".ms-propagate")).to_have_text("Propagate")
    assert strip.slices("propagated") and strip.slices("untouched")
    expect(tall.prompts).to_have_count(2)


def test_a_click_stops_a_propagation_and_is_answered(tall: Desk, strip: Strip) -> None:
    begin(tall)
    tall.click("Axial", 5, 5)
    expect(tall.prompts.first).to_have_text(re.compile("positive click"), timeout=RUN_MS)
    expect(tall.prompts).to_have_count(3)
    expect(tall.page.locator(".ms-propagate")).to_have_text("Propagate")
    assert strip.slices("propagated") and strip.slices("untouched")


def test_slices_are_agreed_to_and_released_by_button_and_key(propagated: Desk, strip: Strip) -> None:
    strip.click(22, 40)
    shown(propagated, "slice 22")
    propagated.press("ms-agree")
    shown(propagated, "slice 22, agreed")
    propagated.wait_until(lambda: strip.slices("agreed"), lambda agreed: agreed == [20, 22])
    propagated.page.keyboard.press("a")
    shown(propagated, "slice 22")


def test_the_slice_to_check_next_is_shown_with_the_reason(propagated: Desk) -> None:
    propagated.press("ms-suggested")
    propagated.expect_sentence("Slice ")
    index = int(re.search(r"Slice (\d+)", propagated.sentence.inner_text()).group(1))
    shown(propagated, f"slice {index}")
    expect(propagated.page.locator(".ms-strip-suggested")).to_be_visible()


def test_without_a_propagation_there_is_nothing_to_check(desk: Desk) -> None:
    desk.page.keyboard.press("j")
    desk.expect_sentence("propagate first")


def test_an_empty_segment_is_not_propagated_but_explained(desk: Desk) -> None:
    desk.page.keyboard.press("g")
    desk.expect_sentence("draw or click the object")
    expect(desk.page.locator(".ms-propagate")).to_have_text("Propagate")


def test_remembered_slices_are_listed_pinned_dropped_and_cleared(propagated: Desk) -> None:
    propagated.page.get_by_text("Slice memory").click()
    rows = propagated.page.locator(".ms-slice")
    count = rows.count()
    assert count == int(propagated.page.locator(".ms-slice-count").inner_text()) > 1
    reference = rows.filter(has_text="Axial 20")
    expect(reference).to_contain_text("100 %")
    expect(reference).to_contain_text("×2")
    rows.first.locator(".ms-pin").click()
    expect(rows.first.locator(".mdi-pin")).to_be_visible()
    rows.first.locator(".ms-drop").click()
    expect(rows).to_have_count(count - 1)
    propagated.press("ms-clear-slices")
    expect(rows).to_have_count(0)
    propagated.page.get_by_text("Slice memory").click()


def test_remembered_interactions_are_forgotten_one_by_one(drawn: Desk) -> None:
    drawn.click("Axial", 8, 4)
    expect(drawn.page.locator(".ms-memory")).to_have_text("2/60")
    drawn.page.get_by_text("Interaction memory").click()
    rows = drawn.page.locator(".ms-interaction")
    expect(rows).to_have_count(2)
    rows.nth(1).locator(".ms-forget").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("2positive click")
    expect(drawn.page.locator(".ms-memory")).to_have_text("1/60")
    expect(drawn.prompts).to_have_count(2)
    drawn.page.get_by_text("Interaction memory").click()


def test_the_bundled_ct_is_propagated_from_a_slice_of_the_liver(desk: Desk, strip: Strip) -> None:
    desk.open(SampleData.abdomenCT().image)
    desk.expect_sentence("Opened AbdomenCT")
    strip.click(100, 112)
    shown(desk, "slice 100")
    box = desk.box_of("Axial")
    desk.choose("lasso")
    middle = [(LIVER_AT[axis] - 0.5) * box[side] for axis, side in enumerate(("width", "height"))]
    corners = [(-30, -30), (30, -30), (30, 30), (-30, 30)]
    desk.drag("Axial", [(middle[0] + right, middle[1] + down) for right, down in corners])
    desk.expect_voxels(some)
    propagate(desk)
    assert strip.slices("agreed") == [100]
    assert len(strip.slices("propagated")) > 5
