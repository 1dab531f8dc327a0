"""Two tabs on one server, and starting and stopping it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from .conftest import WAIT_MS, Desk, RunningServer, ball_array, write_image

pytestmark = pytest.mark.browser


def test_the_newest_tab_works_and_the_other_one_can_take_the_session_back(chromium: Browser, desk: Desk) -> None:
    desk.click("Axial")
    voxels = desk.expect_voxels(lambda count: count > 50)
    second = Desk(chromium.new_page(viewport={"width": 900, "height": 700}), desk.server, desk.image)
    second.page.goto(desk.server.address)
    expect(second.page.locator(".ms-panel")).to_be_visible(timeout=WAIT_MS)
    second.expect_voxels(lambda count: count == voxels)
    expect(desk.page.get_by_text("open in another tab")).to_be_visible()
    second.wait_until(lambda: second.coloured_pixels("Axial"), lambda pixels: pixels > 100)
    second.click("Axial", 20, 0, "Control")
    fewer = second.expect_voxels(lambda count: count < voxels)
    second.page.close()
    desk.press("ms-claim")
    desk.expect_voxels(lambda count: count == fewer)
    desk.wait_until(lambda: desk.coloured_pixels("Axial"), lambda pixels: pixels > 100)
    desk.click("Axial", -15, 0)
    expect(desk.prompts).to_have_count(3, timeout=WAIT_MS)


def test_other_sites_are_refused(server: RunningServer) -> None:
    request = urllib.request.Request(f"{server.address}index.html", headers={"Origin": "http://elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(
            urllib.request.Request(f"{server.address}index.html", headers={"Host": "elsewhere.example"}), timeout=10
        )
    upload = urllib.request.Request(f"{server.address}upload?batch=a&name=b", data=b"c", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(upload, timeout=10)


def test_ctrl_c_stops_the_server_cleanly_and_a_taken_port_is_stepped_over(chromium: Browser, tmp_path: Path) -> None:
    image = write_image(tmp_path / "ball.nii.gz", ball_array())
    first = RunningServer(image, tmp_path)
    try:
        second = RunningServer(image, tmp_path)
        try:
            assert first.address != second.address
        finally:
            assert second.stop() == 0
        page = chromium.new_page()
        page.goto(first.address)
        expect(page.locator(".ms-panel")).to_be_visible(timeout=WAIT_MS)
        assert first.stop() == 0
        expect(page.get_by_text("Connection closed")).to_be_visible(timeout=WAIT_MS)
        page.close()
    finally:
        assert first.stop() == 0
    assert [line for line in first.lines if line.strip()] == [f"MemSegSlicer is at {first.address} (Ctrl-C stops it)\n"]


def test_a_second_ctrl_c_ends_the_process_at_once(tmp_path: Path) -> None:
    server = RunningServer(write_image(tmp_path / "ball.nii.gz", ball_array()), tmp_path)
    server.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGINT)
    server.process.wait(10)
    assert server.stop() in (0, 130, -signal.SIGINT)
    assert "Traceback" not in "".join(server.lines)


def run_app(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "memseg.cli", "app", *arguments, "--no-browser"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = run_app("--port", str(port))
    assert answer.returncode == 1
    assert (
        answer.stderr.strip()
        == f"Port {port} on 127.0.0.1 is in use or cannot be had; choose another one, or 0 for any."
    )


def test_an_image_or_a_model_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    assert "There is no file" in run_app(str(tmp_path / "nowhere.nii.gz")).stderr
    assert "There is no model called 'geodesc'; did you mean 'geodesic'?" in run_app("--model", "geodesc").stderr
