"""`memseg propagate` as a user meets it: what it prints, writes, and returns."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from fakes import ellipsoid, turned_grid

from memseg import read_sequence, write_segmentation, write_sequence
from memseg.errors import SessionError
from memseg.propagate_command import TimeRange
from memseg.volume import Volume

SHAPE = (24, 32, 34)
GRID = turned_grid(SHAPE)
BLOB = ellipsoid(SHAPE, (12, 16, 17), (7, 9, 10))
LATER = ellipsoid(SHAPE, (12, 17, 17), (7, 9, 10))


def image_of(blob: np.ndarray, seed: int) -> Volume:
    noise = np.random.default_rng(seed).normal(0, 4, SHAPE)
    return Volume((100 * blob + noise).astype(np.int16), GRID)


def write_image(path: Path, *volumes: Volume) -> None:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GRID.ijk_to_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    images = []
    for volume in volumes:
        image = sitk.GetImageFromArray(volume.array_kji)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        images.append(image)
    sitk.WriteImage(images[0] if len(images) == 1 else sitk.JoinSeries(images), str(path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An image, a sequence of two, and a mask of one slice, of the whole blob, and of nothing near it."""
    path = tmp_path_factory.mktemp("propagate")
    volumes = image_of(BLOB, 1), image_of(LATER, 2)
    write_image(path / "image.nii.gz", volumes[0])
    write_image(path / "sequence.nii.gz", *volumes)
    one = np.zeros(SHAPE, np.uint8)
    one[12] = BLOB[12]
    write_segmentation(path / "one.nii.gz", {"blob": one}, volumes[0])
    write_segmentation(path / "all.nii.gz", {"blob": BLOB}, volumes[0])
    return path


def memseg(*arguments: str, **options) -> subprocess.CompletedProcess:
    """Run in a process of its own, without colours, wide enough that no sentence is broken."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "TERM": "dumb"}
    command = [sys.executable, "-m", "memseg.cli", "propagate", *map(str, arguments), "--model", "slice-geodesic"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, env=environment, **options)


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2 * np.count_nonzero((mask > 0) & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth))


def test_one_slice_becomes_the_object_and_why_it_ends_is_said(folder, tmp_path):
    output = tmp_path / "out.seg.nrrd"
    done = memseg(folder / "image.nii.gz", "--mask", folder / "one.nii.gz", "--reference", 12, "-o", output)
    assert done.returncode == 0, done.stderr
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(output)))
    assert dice(mask, BLOB) > 0.9 and np.array_equal(mask[12] > 0, BLOB[12])
    assert done.stdout.count("The object ends at slice") == 2 and "slices/s" in done.stdout
    assert f"{mask.sum()} voxels" in done.stdout


def test_range_direction_policy_and_evening_out(folder, tmp_path):
    output = tmp_path / "out.nii.gz"
    options = ["--first", 10, "--last", 15, "--direction", "up", "--policy", "recent", "--consistent"]
    done = memseg(folder / "image.nii.gz", "--mask", folder / "one.nii.gz", *options, "-o", output)
    assert done.returncode == 0, done.stderr
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(output)))
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [12, 13, 14, 15]
    assert "The range ends at slice 15." in done.stdout and "Evened out" in done.stdout


@pytest.mark.parametrize("name", ["out.nii.gz", "out.seg.nrrd"])
def test_through_time_every_time_point_gets_its_mask(folder, tmp_path, name):
    done = memseg(folder / "sequence.nii.gz", "--mask", folder / "all.nii.gz", "--axis", "t", "-o", tmp_path / name)
    assert done.returncode == 0, done.stderr
    if name.endswith("nii.gz"):
        first, second = (volume.array_kji for volume in read_sequence(tmp_path / name))
    else:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out-00.seg.nrrd", "out-01.seg.nrrd"]
        first, second = (sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"out-0{n}.seg.nrrd"))) for n in (0, 1))
    assert np.array_equal(first > 0, BLOB) and dice(second, LATER) > 0.9
    assert "Time point 1" in done.stdout and "2 of 2 time points hold the object" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--axis", "x"], "no axis 'x'"),
        (["--reference", "3"], "mask is empty in slice 3"),
        (["--reference", "99"], "no slice 99 along k"),
        (["--first", "20", "--last", "4"], "exchange them"),
        (["--direction", "left"], "no direction 'left'"),
        (["--policy", "best"], "no memory policy 'best'"),
        (["--patience", "0"], "at least 1"),
        (["--axis", "t"], "one time point"),
        (["--device", "toaster"], "no device called 'toaster'"),
        (["-o", "out.docx"], "no ending for a segmentation"),
        (["--axis", "t", "-o", "out.mha"], "no ending for a label map in time"),
        (["-o", "nowhere/out.nii.gz"], "no such folder"),
    ],
)
def test_bad_input_is_one_sentence_status_1_and_no_file(folder, tmp_path, arguments, sentence):
    output = () if "-o" in arguments else ("-o", tmp_path / "out.nii.gz")
    done = memseg(folder / "image.nii.gz", "--mask", folder / "one.nii.gz", *arguments, *output, cwd=tmp_path)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_mask_is_asked_for():
    assert memseg("image.nii.gz", "-o", "out.nii.gz").returncode == 2


STOPPED = """
import sys
import memseg.cli as cli, memseg.segmenters.slice_geodesic as geodesic, time
follow = geodesic.SliceGeodesic.follow
def slow(self, volume, axis, index, *rest):
    print("slice", index, flush=True)
    time.sleep(0.4 if index < 15 else 60)
    return follow(self, volume, axis, index, *rest)
geodesic.SliceGeodesic.follow = slow
sys.argv = ["memseg", "propagate", *sys.argv[1:]]
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers Ctrl-C to a whole console, the test's own too")
@pytest.mark.parametrize("keep", [False, True])
def test_ctrl_c_stops_it_and_what_was_done_is_written_only_if_asked(folder, tmp_path, keep):
    output = tmp_path / "out.nii.gz"
    arguments = [folder / "image.nii.gz", "--mask", folder / "one.nii.gz", "--direction", "up", "-o", output]
    arguments += ["--model", "slice-geodesic", *(["--keep"] if keep else [])]
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        while "slice 15" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in errors, errors
    if keep:
        mask = sitk.GetArrayFromImage(sitk.ReadImage(str(output)))
        assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [12, 13, 14]
    else:
        assert "nothing was written" in out and not list(tmp_path.iterdir())


# -- time points -------------------------------------------------------------------------------------------------------


def test_time_points_are_followed_from_the_masks_own_up_and_down():
    assert TimeRange([2], None, None, "both").of(5) == (2, [(2, 3), (3, 4), (2, 1), (1, 0)])
    assert TimeRange(None, None, 2, "both").of(5) == (0, [(0, 1), (1, 2)])
    assert TimeRange([2], 1, None, "down").of(5) == (2, [(2, 1)])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (([0, 1], None, None, "both"), "give one --reference"),
        (([7], None, None, "both"), "lie in 0 to 4"),
        (([2], 3, None, "both"), "to hold the reference 2"),
        (([2], None, 9, "both"), "lie in 0 to 4"),
        (([2], None, None, "left"), "no direction 'left'"),
        (([0], None, None, "down"), "widen the range"),
    ],
)
def test_time_points_that_are_not_there_are_a_sentence(asked, sentence):
    with pytest.raises(SessionError, match=sentence):
        TimeRange(*asked).of(5)


def test_a_sequence_of_masks_can_be_the_next_input(tmp_path):
    write_sequence(tmp_path / "m.nii.gz", [BLOB, LATER], [image_of(BLOB, 1), image_of(LATER, 2)])
    assert len(read_sequence(tmp_path / "m.nii.gz")) == 2
