"""Typing in the browser: what is offered, how words were understood, and what is remembered of a segment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from .conftest import WAIT_MS, Desk

pytestmark = pytest.mark.browser

GROUNDED_MS = 30_000
BALL = "largest bright structure"


class TextBox:
    """The text box and what hangs on it, in a user's words."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._page = desk.page

    @property
    def box(self) -> Locator:
        return self._page.locator(".ms-words input")

    @property
    def offers(self) -> Locator:
        return self._page.locator(".ms-completion")

    @property
    def understanding(self) -> Locator:
        return self._page.locator(".ms-understanding")

    @property
    def alternatives(self) -> Locator:
        return self._page.locator(".ms-alternative")

    def write(self, words: str) -> None:
        """Into the empty box, without sending it."""
        self.box.fill("")
        self.box.press_sequentially(words)

    def say(self, words: str) -> None:
        self.box.fill(words)
        self.box.press("Enter")

    def expect_understood(self) -> None:
        expect(self.understanding).to_be_visible(timeout=GROUNDED_MS)
        expect(self.box).to_have_value("")


@pytest.fixture
def text(desk: Desk) -> TextBox:
    return TextBox(desk)


@pytest.fixture
def spoken(desk: Desk, text: TextBox) -> Desk:
    """The ball, segmented by words."""
    text.say(BALL)
    text.expect_understood()
    return desk


class TestTheBox:
    @pytest.mark.parametrize("key", ["t", "/"])
    def test_a_key_leads_into_it_and_escape_out_of_it_again(self, desk: Desk, text: TextBox, key: str) -> None:
        desk.page.keyboard.press(key)
        expect(text.box).to_be_focused()
        expect(text.box).to_have_value("")
        desk.page.keyboard.press("Escape")
        desk.page.keyboard.press("b")
        expect(desk.page.locator(".ms-tool-box")).to_have_class(re.compile("v-btn--active"))

    def test_words_are_completed_by_tab_and_marked_by_arrows(self, text: TextBox) -> None:
        text.write("left kid")
        expect(text.offers.first).to_contain_text("left kidney")
        text.box.press("Tab")
        expect(text.box).to_have_value("left kidney ")
        expect(text.box).to_be_focused()
        text.write("live")
        expect(text.offers.nth(1)).to_be_visible()
        expect(text.offers.filter(has_not_text=re.compile("live"))).to_have_count(0)
        second = text.offers.nth(1).locator(".ms-row-text").inner_text()
        text.box.press("ArrowDown")
        text.box.press("ArrowDown")
        expect(text.offers.nth(1)).to_have_class(re.compile("ms-row-chosen"))
        text.box.press("Tab")
        expect(text.box).to_have_value(f"{second} ")

    def test_escape_closes_what_is_offered_before_it_leaves_the_box(self, text: TextBox) -> None:
        text.write("liv")
        expect(text.offers.first).to_be_visible()
        text.box.press("Escape")
        expect(text.offers).to_have_count(0)
        expect(text.box).to_be_focused()
        text.box.press("Escape")
        expect(text.box).not_to_be_focused()

    def test_the_arrow_up_brings_earlier_words_back(self, desk: Desk, text: TextBox) -> None:
        for words in ("xyzzy", "qwertz"):
            text.say(words)
            desk.expect_sentence(words)
        text.box.fill("")
        for key, value in (("Up", "qwertz"), ("Up", "xyzzy"), ("Down", "qwertz"), ("Down", "")):
            text.box.press(f"Arrow{key}")
            expect(text.box).to_have_value(value)

    def test_sent_words_leave_the_keyboard_to_the_shortcuts(self, spoken: Desk) -> None:
        spoken.expect_voxels(lambda voxels: voxels > 50)
        spoken.page.keyboard.press("Control+z")
        spoken.expect_voxels(lambda voxels: voxels == 0)


class TestUnderstanding:
    def test_words_become_a_mask_with_a_sentence_and_clicks_go_on_from_there(self, spoken: Desk, text: TextBox) -> None:
        before = spoken.expect_voxels(lambda voxels: voxels > 50)
        expect(spoken.page.locator(".ms-sure")).to_have_text(re.compile(r"^\d+ % sure"))
        expect(spoken.prompts).to_have_text(re.compile(f"“{BALL}”"))
        expect(spoken.segments).to_contain_text("bright structure")  # it had a name that nobody chose
        spoken.wait_until(lambda: spoken.coloured_pixels("Axial"), lambda pixels: pixels > 300)
        spoken.click("Axial", 0, 10, "Control")
        spoken.expect_voxels(lambda voxels: voxels < before)
        expect(text.understanding).to_have_count(0)

    def test_views_that_show_nothing_of_it_go_to_what_was_found(self, desk: Desk, text: TextBox) -> None:
        desk.page.locator(".ms-strip").click(position={"x": 3, "y": 20})
        expect(desk.page.locator(".ms-shown")).to_have_text("slice 0")
        text.say(BALL)
        text.expect_understood()
        shown = desk.page.locator(".ms-shown")
        desk.wait_until(lambda: int(shown.inner_text().split()[1]), lambda index: 15 <= index <= 25)

    def test_another_alternative_is_one_click_away_and_one_step_to_undo(self, desk: Desk, text: TextBox) -> None:
        text.say("round bright structure")
        text.expect_understood()
        first = desk.expect_voxels(lambda voxels: voxels > 50)
        expect(text.alternatives.nth(0)).to_have_class(re.compile("v-btn--active"))
        text.alternatives.nth(1).click()
        desk.expect_voxels(lambda voxels: voxels not in (0, first))
        expect(text.alternatives.nth(1)).to_have_class(re.compile("v-btn--active"))
        expect(desk.page.locator(".ms-instead")).to_contain_text("Chosen instead")
        desk.press("ms-undo")
        desk.expect_voxels(lambda voxels: voxels == first)
        expect(text.alternatives.nth(0)).to_have_class(re.compile("v-btn--active"))

    def test_how_it_was_found_is_told_when_asked(self, spoken: Desk) -> None:
        links = spoken.page.locator(".ms-links li")
        expect(links).to_have_count(0)
        spoken.press("ms-why")
        expect(links.first).to_be_visible()
        spoken.press("ms-why")
        expect(links).to_have_count(0)

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ("", "The text is empty"),
            ("🙂🙂", "signs that are not words"),
            ("left right kidney", "contradict"),
            ("xyzzy '); DROP", "xyzzy"),
            ("pancreas", "was not found"),
        ],
    )
    def test_words_that_mean_nothing_are_explained_and_change_nothing(
        self, desk: Desk, text: TextBox, words: str, sentence: str
    ) -> None:
        text.say(words)
        expect(desk.page.locator(".ms-problem")).to_contain_text(sentence, timeout=GROUNDED_MS)
        desk.expect_sentence(sentence)
        expect(desk.page.locator(".ms-notice .v-snackbar__content")).to_have_count(0)
        expect(text.box).to_have_value(words)
        expect(desk.prompts).to_have_count(0)

    def test_what_was_wrong_with_words_is_shown_until_something_else_is_done(self, spoken: Desk, text: TextBox) -> None:
        problem = spoken.page.locator(".ms-problem")
        for go_on in (lambda: text.write("live"), lambda: spoken.click("Axial", 0, 10, "Control")):
            text.say("xyzzy")
            expect(problem).to_be_visible()
            expect(text.understanding).to_have_count(0)
            go_on()
            expect(problem).to_have_count(0)


class TestRemembering:
    @pytest.fixture
    def remembered(self, spoken: Desk) -> Desk:
        spoken.page.keyboard.press("r")
        spoken.fill("ms-remember-name", "left kidney")
        spoken.fill("ms-remember-note", "a ball")
        spoken.press("ms-remember-now")
        spoken.expect_sentence("Remembered as “left kidney”")
        return spoken

    def test_what_was_remembered_is_searched_renamed_exported_deleted_and_imported(
        self, remembered: Desk, tmp_path: Path
    ) -> None:
        page = remembered.page
        remembered.press("ms-recall")
        rows = page.locator(".ms-recall-row")
        remembered.fill("ms-recall-search", "a ball")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("left kidney")
        expect(rows.locator("img")).to_have_attribute("src", re.compile("^data:image/png;base64,"))
        remembered.press("ms-recall-rename")
        remembered.fill("ms-recall-new-name", "ball of test")
        page.locator(".ms-recall-new-name input").press("Enter")
        expect(rows).to_contain_text("ball of test")
        with page.expect_download(timeout=WAIT_MS) as download:
            remembered.press("ms-recall-export")
        download.value.save_as(tmp_path / "shared.zip")
        remembered.press("ms-recall-delete")
        remembered.press("ms-recall-delete-now")
        expect(rows).to_have_count(0)
        page.locator(".ms-recall-upload").set_input_files(tmp_path / "shared.zip")
        expect(rows).to_contain_text("ball of test")

    def test_a_file_that_is_no_export_is_refused(self, desk: Desk, tmp_path: Path) -> None:
        (tmp_path / "nothing.zip").write_bytes(b"nothing")
        desk.press("ms-recall")
        expect(desk.page.locator(".ms-recall-search")).to_be_visible()
        desk.page.locator(".ms-recall-upload").set_input_files(tmp_path / "nothing.zip")
        desk.expect_sentence("nothing.zip cannot be read")

    def test_a_segment_without_a_mask_cannot_be_remembered_and_says_so(self, desk: Desk) -> None:
        expect(desk.page.locator(".ms-ask-remember")).to_be_disabled()
        desk.page.keyboard.press("r")
        desk.press("ms-remember-now")
        desk.expect_sentence("Give the segment a name first")
        desk.fill("ms-remember-name", "left kidney")
        desk.press("ms-remember-now")
        desk.expect_sentence("The mask is empty")

    def test_named_segments_are_remembered_by_themselves_where_that_is_wanted(self, remembered: Desk) -> None:
        count = remembered.page.locator(".ms-recall-count")
        before = int(count.inner_text())
        remembered.press("ms-add-segment")
        remembered.page.keyboard.press("r")
        remembered.page.locator(".ms-always input").check()
        remembered.page.keyboard.press("Escape")
        expect(remembered.page.locator(".v-dialog")).to_have_count(0)
        remembered.click("Axial")
        remembered.expect_voxels(lambda voxels: voxels > 50)
        remembered.press("ms-edit", 1)
        remembered.fill("ms-segment-name", "spleen")
        remembered.press("ms-segment-apply")
        remembered.segments.nth(0).click()
        expect(count).to_have_text(str(before + 1), timeout=GROUNDED_MS)
