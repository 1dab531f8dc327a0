"""The segment list in the browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import Desk

pytestmark = pytest.mark.browser


def test_a_segment_is_added_chosen_renamed_and_coloured(desk: Desk) -> None:
    expect(desk.segments).to_have_count(1)
    desk.press("ms-add-segment")
    expect(desk.segments).to_have_count(2)
    expect(desk.segments.nth(1)).to_have_class(re.compile("ms-row-chosen"))
    desk.press("ms-edit", 1)
    desk.fill("ms-segment-name", "liver")
    desk.page.locator(".v-dialog .ms-dot").nth(5).click()
    desk.press("ms-segment-apply")
    expect(desk.segments.nth(1)).to_contain_text("liver")
    expect(desk.segments.nth(1).locator(".ms-dot")).to_have_css("background-color", "rgb(213, 94, 0)")


def test_an_empty_name_leaves_the_old_one(desk: Desk) -> None:
    desk.press("ms-edit")
    desk.fill("ms-segment-name", "   ")
    desk.press("ms-segment-apply")
    expect(desk.page.locator(".ms-segment-name")).to_have_count(0)
    expect(desk.segments).to_contain_text(["Segment 1"])


def test_a_hidden_segment_leaves_the_views_and_comes_back(desk: Desk) -> None:
    desk.click("Axial")
    desk.wait_until(lambda: desk.coloured_pixels("Axial"), lambda pixels: pixels > 300)
    desk.press("ms-eye")
    desk.wait_until(lambda: desk.coloured_pixels("Axial"), lambda pixels: pixels < 20)
    desk.press("ms-eye")
    desk.wait_until(lambda: desk.coloured_pixels("Axial"), lambda pixels: pixels > 300)


def test_prompts_and_mask_of_a_segment_survive_a_visit_to_another_one(desk: Desk) -> None:
    desk.click("Axial")
    first = desk.expect_voxels(lambda voxels: voxels > 50)
    desk.press("ms-add-segment")
    desk.expect_voxels(lambda voxels: voxels == 0)
    expect(desk.prompts).to_have_count(0)
    desk.segments.nth(0).click()
    desk.expect_voxels(lambda voxels: voxels == first)
    expect(desk.prompts).to_have_count(1)


def test_deleting_a_segment_asks_first_and_takes_its_mask_away(desk: Desk) -> None:
    desk.click("Axial")
    desk.wait_until(lambda: desk.coloured_pixels("Axial"), lambda pixels: pixels > 300)
    desk.press("ms-delete")
    desk.page.get_by_text("Cancel", exact=True).last.click()
    expect(desk.segments).to_have_count(1)
    desk.press("ms-delete")
    desk.press("ms-delete-now")
    expect(desk.segments).to_have_count(0)
    desk.wait_until(lambda: desk.coloured_pixels("Axial"), lambda pixels: pixels < 20)


def test_a_click_without_a_segment_makes_one(desk: Desk) -> None:
    desk.press("ms-delete")
    desk.press("ms-delete-now")
    expect(desk.page.locator(".v-dialog")).to_have_count(0)
    expect(desk.segments).to_have_count(0)
    desk.click("Axial")
    expect(desk.segments).to_have_count(1)
    desk.expect_voxels(lambda voxels: voxels > 50)
