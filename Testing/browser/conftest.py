"""A real server and a real Chromium. One server and one page serve a module; each test starts over with its image."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SHAPE_KJI = (40, 64, 64)
SPACING_MM = 2.0
BALL_RADIUS_MM = 18.0
WAIT_MS = 10_000
VIEWS = {"Axial": "ms-red", "Coronal": "ms-green", "Sagittal": "ms-yellow", "3D": "ms-threed"}


def ball_array() -> np.ndarray:
    """Air, a body of water, and in the middle of the image a bright ball, with a little noise."""
    k, j, i = np.mgrid[: SHAPE_KJI[0], : SHAPE_KJI[1], : SHAPE_KJI[2]].astype(float)
    centre = [(size - 1) / 2 for size in SHAPE_KJI]
    across = np.hypot(j - centre[1], i - centre[2]) * SPACING_MM
    distance = np.sqrt(across**2 + ((k - centre[0]) * SPACING_MM) ** 2)
    image = np.where(across < 58, 0.0, -1000.0)
    image[distance < BALL_RADIUS_MM] = 120.0
    return (image + np.random.default_rng(0).normal(0, 8, SHAPE_KJI)).astype(np.int16)


def write_image(path: Path, array: np.ndarray, is_vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(array, isVector=is_vector)
    image.SetSpacing([SPACING_MM] * image.GetDimension())
    sitk.WriteImage(image, str(path))
    return path


expect.set_options(timeout=WAIT_MS)


class RunningServer:
    """`memseg app` as a user starts it, on a free port of the loopback address. program: what runs in its place."""

    def __init__(
        self,
        image: Path,
        folder: Path,
        arguments: tuple[str, ...] = (),
        program: tuple[str, ...] = ("-m", "memseg.cli"),
    ) -> None:
        self.folder = folder
        command = [sys.executable, *program, "app", str(image), "--no-browser", "--port", "0", *arguments]
        own = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "MEMSEG_RECALL": str(folder / "recall")}
        own["MEMSEG_AUTO"] = str(folder / "auto")
        environment = {**os.environ, **own}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self._wait_for_address()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)

    def _wait_for_address(self) -> str:
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            found = re.search(r"http://127\.0\.0\.1:\d+/", "".join(self.lines))
            if found:
                return found.group(0)
            time.sleep(0.05)
        self.stop()
        raise RuntimeError("The server did not start:\n" + "".join(self.lines))

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(15)
        self._reader.join(5)
        self.process.stdout.close()
        return self.process.returncode


class Desk:
    """The page, in a user's words."""

    def __init__(self, page: Page, server: RunningServer, image: Path) -> None:
        self.page = page
        self.server = server
        self.image = image

    # -- looking -----------------------------------------------------------------------------------------------------

    @property
    def sentence(self) -> Locator:
        return self.page.locator(".ms-sentence")

    @property
    def prompts(self) -> Locator:
        return self.page.locator(".ms-prompt")

    @property
    def segments(self) -> Locator:
        return self.page.locator(".ms-segment")

    @property
    def voxels(self) -> int:
        """As the status line says."""
        words = self.page.locator(".ms-size").inner_text()
        return int(words.split(" voxels")[0].replace(",", "")) if words else 0

    def expect_sentence(self, words: str) -> None:
        expect(self.sentence).to_contain_text(words, timeout=WAIT_MS)

    def expect_voxels(self, fits: Callable[[int], bool]) -> int:
        return self.wait_until(lambda: self.voxels, fits)

    def wait_until(self, read: Callable[[], int], fits: Callable[[int], bool]) -> int:
        end = time.monotonic() + WAIT_MS / 1000
        value = read()
        while not fits(value) and time.monotonic() < end:
            self.page.wait_for_timeout(50)
            value = read()
        assert fits(value), f"The value stayed at {value}; the status line says: {self.sentence.inner_text()}"
        return value

    def box_of(self, view: str) -> dict[str, float]:
        """Place of a view on the page, in pixels."""
        return self.page.locator(f".layout-grid-item:has(.{VIEWS[view]})").bounding_box()

    def coloured_pixels(self, view: str) -> int:
        """How many pixels in the middle of a view are tinted like the first segment: as blue as green, and less red."""
        red, green, blue = self._middle_of(view)
        return int(((green - red > 40) & (blue - red > 30) & (abs(green - blue) < 40)).sum())

    def green_pixels(self, view: str) -> int:
        """How many have the colour of a positive stroke while it is drawn."""
        red, green, blue = self._middle_of(view)
        return int(((green - red > 60) & (green - blue > 50)).sum())

    def _middle_of(self, view: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        box = self.box_of(view)
        width, height = box["width"] / 2, box["height"] / 2
        clip = {"x": box["x"] + width / 2, "y": box["y"] + height / 2, "width": width, "height": height}
        path = self.server.folder / "view.png"
        self.page.screenshot(path=path, clip=clip)
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(int)
        return pixels[..., 0], pixels[..., 1], pixels[..., 2]

    # -- doing -------------------------------------------------------------------------------------------------------

    def point(self, view: str, right_px: float = 0, down_px: float = 0) -> tuple[float, float]:
        """Pixel of the page, from the middle of a view, which shows the middle of the image."""
        box = self.box_of(view)
        return box["x"] + box["width"] / 2 + right_px, box["y"] + box["height"] / 2 + down_px

    def click(self, view: str, right_px: float = 0, down_px: float = 0, key: str = "") -> None:
        self.drag(view, [(right_px, down_px)], key)

    def drag(self, view: str, path_px: list[tuple[float, float]], key: str = "") -> None:
        """Press at the first point, move through the others, release; with a key held down."""
        self.page.mouse.move(*self.point(view, *path_px[0]))
        if key:
            self.page.keyboard.down(key)
        self.page.mouse.down()
        for point in path_px[1:]:
            self.page.mouse.move(*self.point(view, *point), steps=5)
            self.page.wait_for_timeout(40)
        self.page.mouse.up()
        if key:
            self.page.keyboard.up(key)

    def press(self, part: str, number: int = 0) -> None:
        """Click on a button of the page by its class."""
        self.page.locator(f".{part}").nth(number).click()

    def choose(self, tool: str) -> None:
        self.press(f"ms-tool-{tool}")
        expect(self.page.locator(f".ms-tool-{tool}")).to_have_class(re.compile("v-btn--active"))

    def fill(self, part: str, words: str) -> None:
        self.page.locator(f".{part} input").fill(words)

    def open(self, path: Path) -> None:
        """Through the dialogue; unsaved work is given up."""
        self.press("ms-open")
        self.fill("ms-open-path", str(path))
        self.press("ms-open-now")
        asked = self.page.locator(".ms-discard")
        finished = asked.or_(self.sentence.filter(has_text=path.name)).or_(
            self.page.locator(".ms-notice .v-snackbar__content")
        )
        expect(finished.first).to_be_visible(timeout=WAIT_MS)
        if asked.is_visible():
            asked.click()

    def save(self, path: Path) -> None:
        self.press("ms-save")
        self.fill("ms-save-path", str(path))
        self.press("ms-save-now")

    def close_dialogues(self) -> None:
        """As loading the page again does."""
        self.page.evaluate("window.trame.utils.memseg.claim()")
        expect(self.page.locator(".ms-panel")).to_be_visible(timeout=WAIT_MS)
        expect(self.page.locator(".v-dialog")).to_have_count(0, timeout=WAIT_MS)

    def start_over(self) -> None:
        """The ball freshly opened, the click tool, no dialogue, no surface."""
        is_new = not self.page.url.startswith(self.server.address)
        if is_new:
            self.page.goto(self.server.address)
        expect(self.page.locator(".ms-panel, .ms-claim").first).to_be_visible(timeout=WAIT_MS)
        if is_new:
            expect(self.sentence).to_contain_text("Opened", timeout=3 * WAIT_MS)  # the server's own opening
        self.close_dialogues()
        self.page.keyboard.press("c")
        self.page.keyboard.press("p")
        self.open(self.image)
        self.expect_sentence(f"Opened {self.image.name}")
        expect(self.page.locator(".ms-open-path")).to_have_count(0, timeout=3 * WAIT_MS)  # models may be loading yet
        if self.page.locator(".ms-offer").count() == 0:
            self.press("ms-surface")
        self.wait_until(lambda: self.coloured_pixels("Axial"), lambda pixels: pixels < 20)


@pytest.fixture(scope="session")
def playwright_driver() -> Iterator[Playwright]:
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def chromium(playwright_driver: Playwright) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.fail("These tests need Chromium; install it, on Debian with: apt-get install chromium")
    browser = playwright_driver.chromium.launch(executable_path=path, args=list(FLAGS))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("browser")
    running = RunningServer(write_image(folder / "ball.nii.gz", ball_array()), folder)
    yield running
    running.stop()
    assert "Traceback" not in "".join(running.lines), "".join(running.lines)


@pytest.fixture(scope="module")
def page(chromium: Browser, server: RunningServer) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 1200, "height": 800})
    yield page
    page.close()


@pytest.fixture
def desk(page: Page, server: RunningServer) -> Desk:
    """The page with the ball freshly opened: one empty segment, the click tool, views through the ball's middle."""
    desk = Desk(page, server, server.folder / "ball.nii.gz")
    desk.start_over()
    return desk
