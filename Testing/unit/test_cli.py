"""The command line as a user meets it: what it prints, writes, and returns."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from fakes import ellipsoid, turned_grid
from rich.console import Console

from memseg import catalog, cli, write_segmentation
from memseg.volume import Volume
from memseg.watching import tell

SHAPE = (30, 40, 44)
GRID = turned_grid(SHAPE)
BLOB = ellipsoid(SHAPE, (15, 20, 22), (8, 10, 12))


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "blob.nii.gz"
    write_segmentation(path, {"blob": BLOB}, Volume(BLOB.astype(np.uint8), GRID))
    return path


def memseg(*arguments: str, **options) -> subprocess.CompletedProcess:
    """Run in a process of its own, without colours, wide enough that no sentence is broken."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "TERM": "dumb"}
    command = [sys.executable, "-m", "memseg.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, env=environment, **options)


def point(*kji: float) -> str:
    return ",".join(f"{value:.3f}" for value in GRID.ras_from_kji(kji))


def test_a_click_in_world_coordinates_becomes_a_segmentation_slicer_can_open(image, tmp_path):
    output = tmp_path / "blob.seg.nrrd"
    done = memseg("segment", image, "--click", point(15, 20, 22), "--name", "my blob", "-o", output)
    assert done.returncode == 0, done.stderr
    written = sitk.ReadImage(str(output))
    mask = sitk.GetArrayFromImage(written)
    assert 2 * (mask & BLOB).sum() / (mask.sum() + BLOB.sum()) > 0.8
    assert written.GetMetaData("Segment0_Name") == "my blob"
    assert f"{mask.sum()} voxels" in done.stdout and f"model {catalog.default()}" in done.stdout


def test_boxes_negative_clicks_and_a_mask_to_start_from(image, tmp_path):
    start = tmp_path / "start.nii.gz"
    write_segmentation(start, {"blob": BLOB}, Volume(BLOB.astype(np.uint8), GRID))
    output = tmp_path / "out.nii.gz"
    box = f"{point(5, 8, 8)}:{point(25, 32, 36)}"
    done = memseg("segment", image, "--mask", start, "--box", box, "--negative", point(15, 20, 40), "-o", output)
    assert done.returncode == 0, done.stderr
    rows = [row for row in done.stdout.splitlines() if "mask +" in row or "box +" in row or "click -" in row]
    assert len(rows) == 3 and str(BLOB.sum()) in rows[0]
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(output)))[15, 20, 40] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--click", "1,2"], "'1,2' is not a point"),
        (["--click", "a,b,c"], "is not a point"),
        (["--box", "1,2,3"], "is not a box"),
        (["--click", "9999,0,0"], "outside the volume"),
        (["--text", "liver"], "The liver was not found"),
        (["--click", "0,0,0", "--model", "geodesc"], "did you mean 'geodesic'"),
        (["--click", point(15, 20, 22), "--device", "toaster"], "no device called 'toaster'"),
        (["--negative", point(1, 1, 1)], "mask is empty"),
        ([], "There is no prompt"),
        (["--mask", "nowhere.nii"], "There is no file"),
    ],
)
def test_bad_input_is_one_sentence_status_1_and_no_file(image, tmp_path, arguments, sentence):
    output = tmp_path / "out.nii.gz"
    done = memseg("segment", image, *arguments, "-o", output)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_image_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / "letter.nii.gz").write_text("Dear user,")
    done = memseg("segment", tmp_path / "letter.nii.gz", "--click", "0,0,0", "-o", tmp_path / "out.nii.gz")
    assert done.returncode == 1 and "letter.nii.gz" in done.stderr and "Traceback" not in done.stderr


def test_the_models_are_listed_with_licence_and_default():
    done = memseg("models")
    assert done.returncode == 0
    assert "nano (default)" in done.stdout and "geodesic " in done.stdout and "Apache-2.0" in done.stdout


def test_help_names_every_command_of_engine_and_shells():
    done = memseg("--help")
    for command in ("segment", "models", "evaluate", "app", "demo"):
        assert command in done.stdout


def test_misuse_is_status_2():
    assert memseg("segment").returncode == 2
    assert memseg("dance").returncode == 2


STOPPED = """
import sys, time
import memseg.cli as cli
def slow(*_):
    try:
        print("started", flush=True)
        time.sleep(60)
    finally:
        print("tidying", flush=True)
        time.sleep(1)
        print("tidied", flush=True)
cli.read_volume = slow
sys.argv = ["memseg", "segment", "x.nii", "--click", "0,0,0", "-o", "out.nii"]
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers Ctrl-C to a whole console, the test's own too")
def test_ctrl_c_stops_cleanly_and_a_second_one_does_not_cut_the_tidying_short(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert "started" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "tidying" in process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopping already" in output and "tidied" in output and "Traceback" not in errors
    assert not list(tmp_path.iterdir())


WATCHED = """
import sys, time
import numpy as np
import memseg.cli as cli
from memseg import Grid, Volume
from memseg.watching import tell
class Slow:
    note = ""
    model = "slow"
    def add(self, prompt):
        for place in range(600):
            tell(f"slice {place + 1} of 600", place / 600)
            print("slice", flush=True)
            time.sleep(0.1)
cli.read_volume = lambda path: Volume(np.arange(8.0).reshape(2, 2, 2), Grid.from_spacing((2, 2, 2), (1, 1, 1)))
cli.new_session = lambda *_: Slow()
sys.argv = ["memseg", "segment", "x.nii", "--text", "liver", "-o", "out.nii"]
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers Ctrl-C to a whole console, the test's own too")
def test_ctrl_c_ends_an_answer_that_takes_long_and_writes_nothing(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert "slice" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in errors and not list(tmp_path.iterdir())


def test_the_status_says_how_far_an_answer_is():
    status = Console(file=io.StringIO()).status("Prompt 1 of 2")
    with cli._shown(status, "Prompt 1 of 2").over():
        tell("slice 12 of 90", 0.12)
    assert status.status == "Prompt 1 of 2: slice 12 of 90"


def test_words_are_answered_with_how_they_were_understood_and_name_the_segment(image, tmp_path):
    output = tmp_path / "out.seg.nrrd"
    done = memseg("-v", "segment", image, "--text", "bright structure", "--text", "grow by 2 mm", "-o", output)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "The bright structure. Found: bright region" in said and "% sure" in said
    assert "Grow the mask by 2 mm." in said
    assert "Physics: 1 region stands out" in done.stderr and "Mask: it was grown by 2 mm" in done.stderr
    assert b"Segment0_Name:=bright structure" in output.read_bytes()[:4000]
