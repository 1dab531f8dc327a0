"""From a click to a mask in the browser, and back again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import WAIT_MS, Desk

pytestmark = pytest.mark.browser


def some(voxels: int) -> bool:
    """How good a mask is, is tested where masks are made."""
    return voxels > 50


def test_the_page_opens_with_four_views_that_show_the_image(desk: Desk) -> None:
    for view in ("Axial", "Coronal", "Sagittal", "3D"):
        box = desk.box_of(view)
        assert box["width"] > 300 and box["height"] > 250
    letters = desk.page.locator(".ms-letter").all_inner_texts()
    assert letters == ["R", "L", "A", "P", "R", "L", "S", "I", "A", "P", "S", "I"]
    expect(desk.page.locator(".ms-summary")).to_have_text("64 × 64 × 40 · 2 × 2 × 2 mm")


def test_a_click_makes_a_mask_in_all_three_slice_views(desk: Desk) -> None:
    assert desk.coloured_pixels("Axial") == 0
    desk.click("Axial")
    desk.expect_voxels(some)
    for view in ("Axial", "Coronal", "Sagittal"):
        desk.wait_until(lambda view=view: desk.coloured_pixels(view), lambda pixels: pixels > 300)
    expect(desk.page.locator(".ms-timing")).to_have_text(re.compile(r"^\d+ ms$"))
    expect(desk.page.locator(".ms-memory")).to_have_text("1/60")
    expect(desk.prompts).to_have_text(re.compile("positive click"))


@pytest.mark.parametrize("key", ["Control", "Shift"])
def test_a_click_with_a_key_held_takes_away(desk: Desk, key: str) -> None:
    desk.click("Coronal")
    before = desk.expect_voxels(some)
    desk.click("Coronal", 25, 0, key)
    desk.expect_voxels(lambda voxels: voxels < before)
    expect(desk.prompts.first).to_have_text(re.compile("negative click"))


def test_undo_empties_and_redo_brings_the_same_mask_back(desk: Desk) -> None:
    desk.click("Sagittal")
    full = desk.expect_voxels(some)
    desk.press("ms-undo")
    desk.expect_voxels(lambda voxels: voxels == 0)
    desk.wait_until(lambda: desk.coloured_pixels("Sagittal"), lambda pixels: pixels < 20)
    expect(desk.page.locator(".ms-memory")).to_have_text("0/60")
    desk.page.keyboard.press("Control+y")
    desk.expect_voxels(lambda voxels: voxels == full)
    desk.page.keyboard.press("Control+z")
    desk.expect_voxels(lambda voxels: voxels == 0)


def test_reset_empties_everything_and_can_be_undone(desk: Desk) -> None:
    desk.click("Axial")
    full = desk.expect_voxels(some)
    desk.press("ms-reset")
    desk.expect_voxels(lambda voxels: voxels == 0)
    expect(desk.prompts).to_have_count(0)
    desk.press("ms-undo")
    desk.expect_voxels(lambda voxels: voxels == full)


def test_a_prompt_deleted_from_the_list_leaves_what_the_others_make(desk: Desk) -> None:
    desk.click("Axial", -8, 0)
    alone = desk.expect_voxels(some)
    desk.click("Axial", 25, 0, "Control")
    expect(desk.prompts).to_have_count(2)
    desk.expect_voxels(lambda voxels: voxels < alone)
    desk.press("ms-remove-prompt", 0)  # the newest stands first
    expect(desk.prompts).to_have_count(1)
    desk.expect_voxels(lambda voxels: voxels == alone)


def test_a_prompt_chosen_from_the_list_is_where_the_views_jump(desk: Desk) -> None:
    desk.click("Axial", 20, 0)
    expect(desk.prompts).to_have_count(1)
    positions = desk.page.locator(".ms-position")
    before = positions.all_inner_texts()
    desk.press("ms-prompt", 0)
    expect(positions.nth(-1)).not_to_have_text(before[-1])  # the sagittal view moves sideways
    assert positions.all_inner_texts()[0] == before[0]  # the click lay on the axial slice that was shown


def test_a_box_on_a_slice_makes_a_mask(desk: Desk) -> None:
    desk.choose("box")
    desk.drag("Axial", [(-60, -60), (60, 60)])
    desk.expect_voxels(some)
    expect(desk.prompts).to_have_text(re.compile("positive box on a slice"))


def test_a_box_with_depth_reaches_beyond_its_slice(desk: Desk) -> None:
    desk.choose("box")
    desk.page.locator(".ms-box-size .v-slider-thumb").press("End")
    desk.drag("Axial", [(-60, -60), (60, 60)])
    desk.expect_voxels(some)
    expect(desk.prompts).to_have_text(re.compile("positive box$"))


@pytest.mark.parametrize("tool", ["scribble", "lasso"])
def test_strokes_make_masks(desk: Desk, tool: str) -> None:
    desk.choose(tool)
    desk.drag("Axial", [(-20, -15), (20, -15), (20, 15), (-20, 15)])
    desk.expect_voxels(lambda voxels: voxels > 50)
    expect(desk.prompts).to_have_text(re.compile(f"positive {tool}"))


def test_a_stroke_is_drawn_while_the_mouse_moves(desk: Desk) -> None:
    desk.choose("lasso")
    desk.page.mouse.move(*desk.point("Axial", -40, -40))
    desk.page.mouse.down()
    for x, y in ((40, -40), (40, 40)):
        desk.page.mouse.move(*desk.point("Axial", x, y), steps=4)
    desk.wait_until(lambda: desk.green_pixels("Axial"), lambda pixels: pixels > 100)
    desk.page.keyboard.press("Escape")
    desk.wait_until(lambda: desk.green_pixels("Axial"), lambda pixels: pixels < 20)
    desk.page.mouse.up()
    expect(desk.prompts).to_have_count(0)


def test_a_lasso_without_a_drag_is_explained(desk: Desk) -> None:
    desk.choose("lasso")
    desk.click("Axial")
    desk.expect_sentence("drag to draw a lasso")
    expect(desk.prompts).to_have_count(0)


def test_remove_inverts_the_tools_and_keys_choose_them(desk: Desk) -> None:
    desk.click("Axial")
    before = desk.expect_voxels(some)
    desk.page.keyboard.press("-")
    expect(desk.page.locator(".ms-negative")).to_have_class(re.compile("v-btn--active"))
    desk.click("Axial", 25, 0)
    desk.expect_voxels(lambda voxels: voxels < before)
    desk.page.keyboard.press("p")
    expect(desk.page.locator(".ms-positive")).to_have_class(re.compile("v-btn--active"))
    desk.page.keyboard.press("b")
    expect(desk.page.locator(".ms-tool-box")).to_have_class(re.compile("v-btn--active"))


def test_keys_typed_into_a_text_field_choose_no_tool(desk: Desk) -> None:
    desk.page.locator(".ms-words input").press_sequentially("bls")
    desk.page.wait_for_timeout(300)
    expect(desk.page.locator(".ms-tool-click")).to_have_class(re.compile("v-btn--active"))


def test_the_memory_fills_click_by_click(desk: Desk) -> None:
    for number, (x, y) in enumerate(((0, 0), (10, 5), (-10, 5)), start=1):
        desk.click("Axial", x, y)
        expect(desk.page.locator(".ms-memory")).to_have_text(f"{number}/60", timeout=WAIT_MS)


def test_the_surface_appears_in_3d_on_demand(desk: Desk) -> None:
    desk.click("Axial")
    desk.expect_voxels(some)
    assert desk.coloured_pixels("3D") == 0
    desk.press("ms-surface")
    desk.wait_until(lambda: desk.coloured_pixels("3D"), lambda pixels: pixels > 1000)
    desk.press("ms-surface")
    desk.wait_until(lambda: desk.coloured_pixels("3D"), lambda pixels: pixels < 20)


def test_the_wheel_scrolls_and_the_slider_follows(desk: Desk) -> None:
    position = desk.page.locator(".ms-position").first
    before = position.inner_text()
    desk.page.mouse.move(*desk.point("Axial"))
    desk.page.mouse.wheel(0, 120)
    expect(position).not_to_have_text(before)
    desk.page.locator(".ms-slider .v-slider-thumb").first.press("Home")
    expect(position).to_have_text("S 0.0 mm")


def test_window_presets_and_dragging_change_the_window(desk: Desk) -> None:
    expect(desk.page.locator(".ms-window")).to_have_text(re.compile("automatic"))
    desk.press("ms-window")
    desk.page.get_by_text("bone", exact=True).click()
    expect(desk.page.locator(".ms-window")).to_have_text(re.compile(r"bone · W 1800 L 400"))
    desk.choose("window")
    desk.drag("Axial", [(0, 0), (60, 0)])
    expect(desk.page.locator(".ms-window")).to_have_text(re.compile(r"own · W (19|2\d)\d\d L"))  # wider than 1800
