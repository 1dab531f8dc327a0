"""Set-up: done once, mended after an interruption, and refused with a sentence; commands keep their exit status.

Most tests set up a tiny project of the same shape, with a real environment and a real pip that needs no network.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import project
import pytest

ROOT = Path(__file__).resolve().parents[2]

TINY_PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny"
version = "1.0"
"""

# A build backend whose wheel holds one program, `memseg`, that prints its arguments and ends with status 7.
TINY_BACKEND = """
import os, pathlib, time, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    pathlib.Path("building").touch()
    time.sleep(float(os.environ.get("TINY_SECONDS", "0")))
    if "TINY_DISK_FULL" in os.environ:
        raise OSError(28, "No space left on device")
    name = "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info/"
    files = {
        "tiny.py": "import sys\\ndef main():\\n    print(sys.argv[1:])\\n    sys.exit(7)\\n",
        info + "METADATA": "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n"
        "Provides-Extra: browser\\nProvides-Extra: torch\\nProvides-Extra: test\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "entry_points.txt": "[console_scripts]\\nmemseg = tiny:main\\n",
    }
    files[info + "RECORD"] = "".join(f"{path},,\\n" for path in [*files, info + "RECORD"])
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A checkout of a tiny project with our project.py and run; its folder has a space in its name."""
    root = tmp_path / "tiny project"
    root.mkdir()
    (root / "pyproject.toml").write_text(TINY_PYPROJECT, encoding="utf-8")
    (root / "backend.py").write_text(TINY_BACKEND, encoding="utf-8")
    (root / "constraints.txt").write_text("", encoding="utf-8")
    for name in ("project.py", "run"):
        shutil.copy(ROOT / name, root / name)
    return root


def start(root: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    """`python project.py` in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, str(root / "project.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        env={**os.environ, **environment},
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a process that has to end within two minutes."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_until_building(root: Path, process: subprocess.Popen) -> None:
    """Until pip is in the middle of the work."""
    end = time.monotonic() + 60
    while not (root / "building").exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------------------- Python


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 8, 18), (3, 10, 13), (3, 14, 0)])
def test_a_python_that_cannot_run_the_project_is_told_which_can(version):
    assert project.python_complaint(version) == (
        "MemSegSlicer needs Python 3.11, 3.12 or 3.13, "
        f"and this is Python {version[0]}.{version[1]}; install one of them and start again."
    )


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (3, 13, 9)])
def test_supported_pythons_are_not_complained_about(version):
    assert project.python_complaint(version) == ""


def test_an_old_python_can_read_the_script_as_far_as_the_complaint():
    tree = ast.parse((ROOT / "project.py").read_text(encoding="utf-8"), feature_version=(3, 6))
    before_the_check = [type(node) for node in tree.body[: [type(node) for node in tree.body].index(ast.If)]]
    assert set(before_the_check) == {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef}


def test_run_without_any_supported_python_says_so_and_fails(tiny, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "dirname").symlink_to(shutil.which("dirname"))
    (programs / "python3").write_text("#!/bin/sh\nexit 127\n")  # as a version switcher's stand-in does
    (programs / "python3").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(tiny / "run"), "setup"],
        env={"PATH": str(programs)},
        capture_output=True,
        encoding="utf-8",
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("MemSegSlicer needs Python 3.11, 3.12 or 3.13, and none was found; install one")
    assert not (tiny / ".venv").exists()


# ------------------------------------------------------------------------------------------------------- set-up


def test_set_up_once_then_every_command_is_passed_on_with_its_exit_status(tiny):
    assert finish(start(tiny, "setup"))[0] == 0
    stamp = tiny / ".venv" / "memsegslicer.json"
    written = stamp.stat().st_mtime_ns

    assert finish(start(tiny))[:2] == (7, "['app']\n")
    assert finish(start(tiny, "a ct.nii.gz"))[:2] == (7, "['app', 'a ct.nii.gz']\n")
    assert finish(start(tiny, "demo", "--output", "there"))[:2] == (7, "['demo', '--output', 'there']\n")
    status, out, err = finish(start(tiny, "setup"))
    assert (status, out) == (0, "")
    assert "Installing" not in err
    assert stamp.stat().st_mtime_ns == written


def test_tests_need_more_than_the_application_and_changed_requirements_are_installed_for_both(tiny):
    project.set_up(tiny, ["browser"])
    assert project.is_set_up(tiny, ["browser"])
    assert not project.is_set_up(tiny, ["browser", "test"])
    project.set_up(tiny, ["test"])
    assert project.is_set_up(tiny, ["browser", "test"])
    (tiny / "building").unlink()
    (tiny / "constraints.txt").write_text("numpy==2.4.6\n", encoding="utf-8")
    assert not project.is_set_up(tiny, ["browser"])

    project.set_up(tiny, ["browser"])

    assert (tiny / "building").exists()
    assert project.is_set_up(tiny, ["browser", "test"])


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_set_up_ends_it_with_a_sentence_and_the_next_one_works(tiny, times):
    process = start(tiny, "setup", TINY_SECONDS="60")
    wait_until_building(tiny, process)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
    status, _, err = finish(process)
    assert status == 130
    assert err.rstrip().endswith("Set-up was interrupted; start it again and it begins afresh.")
    assert "Traceback" not in err

    assert finish(start(tiny, "setup"))[0] == 0
    assert finish(start(tiny))[:2] == (7, "['app']\n")


def test_a_killed_set_up_leaves_nothing_half_installed_behind(tiny):
    process = start(tiny, "setup", TINY_SECONDS="60")
    wait_until_building(tiny, process)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    half_installed = tiny / ".venv" / "half-installed"
    half_installed.touch()

    assert finish(start(tiny, "setup"))[0] == 0
    assert not half_installed.exists()
    assert finish(start(tiny))[:2] == (7, "['app']\n")


def test_an_environment_whose_python_is_gone_is_made_anew(tiny):
    project.set_up(tiny, ["browser"])
    python = project.venv_program(tiny, "python")
    python.unlink()
    python.symlink_to(tiny / "no such python")

    project.set_up(tiny, ["browser"])

    assert subprocess.call([str(python), "-c", "import tiny"]) == 0


def test_two_set_ups_at_once_end_well(tiny):
    first = start(tiny, "setup", TINY_SECONDS="2")
    wait_until_building(tiny, first)
    second = start(tiny, "setup")
    assert finish(first)[0] == 0
    status, _, err = finish(second)
    assert status == 0
    assert "Another set-up of this folder is running; waiting for it to end." in err


def test_asking_for_help_sets_nothing_up(tiny):
    status, out, _ = finish(start(tiny, "--help"))
    assert status == 0
    assert "python project.py demo" in out
    assert not (tiny / ".venv").exists()


# ----------------------------------------------------------------------------------------------- what goes wrong


def test_without_a_network_set_up_says_to_check_it_and_keeps_what_is_installed(tiny):
    project.set_up(tiny, ["browser"])
    needy = TINY_PYPROJECT.replace("requires = []", 'requires = ["a-package-to-download"]')
    (tiny / "pyproject.toml").write_text(needy, encoding="utf-8")
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"}
    status, _, err = finish(start(tiny, "setup", PIP_INDEX_URL="http://127.0.0.1:9/simple", **offline))
    assert status == 1
    assert err.rstrip().endswith(
        "The packages could not be downloaded because the package index cannot be reached; check the network "
        "connection (behind a proxy, set HTTPS_PROXY) and start again."
    )
    assert subprocess.call([str(project.venv_program(tiny, "python")), "-c", "import tiny"]) == 0


def test_a_disk_that_fills_up_during_set_up_is_named(tiny):
    status, _, err = finish(start(tiny, "setup", TINY_DISK_FULL="yes"))
    assert status == 1
    assert err.rstrip().endswith(f"The disk is full: set-up needs 4 GB in {tiny}; free some space and start again.")
    assert not project.is_set_up(tiny, ["browser"])


def test_a_disk_too_full_to_begin_is_refused_before_anything_is_written(tiny, monkeypatch):
    monkeypatch.setattr(project, "FRESH_SETUP_BYTES", 10**18)
    with pytest.raises(project.SetupError, match="^The disk is full: set-up needs 1000000000 GB"):
        project.set_up(tiny, ["browser"])
    assert not (tiny / ".venv").exists()


def test_a_folder_without_room_for_files_is_refused_with_a_sentence(tiny):
    (tiny / ".setup.lock").mkdir()
    with pytest.raises(project.SetupError, match="^Set-up cannot write in .*tiny project"):
        project.set_up(tiny, ["browser"])


@pytest.mark.parametrize("text", ["", "[]", '{"extras": ["browser"]}'])
def test_a_damaged_stamp_counts_as_none(tiny, text):
    (tiny / ".venv").mkdir()
    (tiny / ".venv" / "memsegslicer.json").write_text(text, encoding="utf-8")
    assert project.read_stamp(tiny) == {}


# ------------------------------------------------------------------------------------------------------- Debian


def on_debian(*programs: str):
    """A `which` for a machine with Debian's package programs and these."""
    return lambda name: f"/usr/bin/{name}" if name in {"apt-get", "dpkg-query", *programs} else None


def test_other_systems_miss_no_debian_packages():
    assert project.missing_debian_packages(True, which=lambda name: None, installed=lambda names: set()) == []


QT = ["libgl1", "libxkbcommon0", "libfontconfig1", "libdbus-1-3", "libglib2.0-0"]


def test_debian_needs_libraries_to_draw_and_qt_and_a_browser_only_for_tests():
    nothing = {"which": on_debian(), "installed": lambda names: set()}
    assert project.missing_debian_packages(False, **nothing) == ["libegl1", "libgl1-mesa-dri"]
    assert project.missing_debian_packages(True, **nothing) == ["libegl1", "libgl1-mesa-dri", *QT, "chromium"]


def test_what_debian_has_is_not_missing():
    half = {"which": on_debian("chromium"), "installed": lambda names: {"libegl1", *QT}}
    assert project.missing_debian_packages(True, **half) == ["libgl1-mesa-dri"]


def test_a_package_that_debian_13_renamed_is_not_missing_there():
    there = {"libegl1", "libgl1-mesa-dri", *QT[:-1], "libglib2.0-0t64"}
    renamed = {"which": on_debian("chromium"), "installed": lambda names: there & set(names)}
    assert project.missing_debian_packages(True, **renamed) == []


def test_without_root_the_command_to_run_is_named_and_nothing_is_run():
    ran = []
    sentence = project.ensure_debian_packages(["libegl1", "chromium"], may_install=False, run=ran.append)
    assert sentence == (
        "Missing system packages, and only root may install them; run: sudo apt-get install -y libegl1 chromium"
    )
    assert ran == []


def test_root_installs_just_what_is_missing():
    ran = []

    def run(command):
        ran.append(list(command))
        return 0

    assert project.ensure_debian_packages(["libegl1"], may_install=True, run=run) == ""
    apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    assert ran == [[*apt_get, "update"], [*apt_get, "install", "-y", "--no-install-recommends", "libegl1"]]


def test_when_installing_fails_the_command_is_named():
    sentence = project.ensure_debian_packages(["libegl1"], may_install=True, run=lambda command: 100)
    assert sentence == "The system packages could not be installed; run: apt-get update && apt-get install -y libegl1"


# ---------------------------------------------------------------------------------------------------- the clone


@pytest.fixture
def slicer(tmp_path) -> Path:
    """A folder with a program called Slicer that prints its arguments, one a line, and ends with status 5."""
    folder = tmp_path / "Slicer-5.10 linux"
    folder.mkdir()
    (folder / "Slicer").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 5\n')
    (folder / "Slicer").chmod(0o755)
    return folder


def run_slicer(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "project.py"), "--slicer", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)


@pytest.mark.parametrize("inside", ["", "Slicer"])
def test_a_given_slicer_is_started_with_the_module_and_its_status_is_ours(slicer, inside):
    done = run_slicer(str(slicer / inside))
    assert done.stdout.splitlines() == [
        "--python-code",
        "slicer.util.selectModule('MemSegSlicer')",
        "--additional-module-paths",
        str(ROOT / "MemSegSlicer"),
    ]
    assert (done.returncode, done.stderr) == (5, "")


def test_a_given_slicer_opens_the_image(slicer, tmp_path):
    (tmp_path / "ct.nrrd").write_text("")
    assert run_slicer(str(slicer), str(tmp_path / "ct.nrrd")).stdout.splitlines()[0] == str(tmp_path / "ct.nrrd")


def test_the_slicer_of_a_macintosh_is_found_in_its_application(tmp_path):
    program = tmp_path / "Slicer.app" / "Contents" / "MacOS" / "Slicer"
    program.parent.mkdir(parents=True)
    program.write_text("")
    program.chmod(0o755)
    assert project.slicer_program(tmp_path / "Slicer.app") == program == project.slicer_program(tmp_path)


def test_a_path_without_a_slicer_gets_a_sentence(tmp_path):
    (tmp_path / "Slicer").write_text("not a program")
    for path in (tmp_path, tmp_path / "Slicer", tmp_path / "nothing"):
        done = run_slicer(str(path))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.strip() == (
            f"There is no Slicer at {path}; give the path of its program, or of the folder it is in."
        )


def test_an_image_that_is_none_and_a_missing_path_get_a_sentence(slicer, tmp_path):
    assert "which is no file" in run_slicer(str(slicer), str(tmp_path)).stderr
    assert "Write --slicer PATH" in run_slicer().stderr


def test_waiting_for_a_command_returns_its_exit_status():
    assert project.wait_for([sys.executable, "-c", "import sys; sys.exit(3)"]) == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_fresh_clone_sets_itself_up_and_starts(tmp_path):
    clone = tmp_path / "a fresh clone"
    listed = subprocess.check_output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    try:
        first = subprocess.run([str(clone / "run"), "setup"], capture_output=True, encoding="utf-8")
        assert first.returncode == 0, first.stderr
        python = project.venv_program(clone, "python")
        code = "import memseg, MemSegSlicerLib, MemSegBrowser, slicer, trame_slicer; print(memseg.__file__)"
        where = subprocess.check_output([str(python), "-c", code], encoding="utf-8", cwd=tmp_path)
        assert Path(where.strip()) == clone / "Logic" / "memseg" / "__init__.py"
        assert subprocess.run([str(python), "-c", "import torch, safetensors"]).returncode == 0
        assert subprocess.run([str(python), "-c", "import pytest"], capture_output=True).returncode == 1
        models = subprocess.run(
            [str(project.venv_program(clone, "memseg")), "models"],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "COLUMNS": "200"},  # room for each name on one line
        )
        assert models.returncode == 0 and "nano (default)" in models.stdout, models.stderr

        second = subprocess.run([str(clone / "run"), "setup"], capture_output=True, encoding="utf-8")
        assert second.returncode == 0 and "Installing" not in second.stderr
    finally:
        shutil.rmtree(clone / ".venv", ignore_errors=True)


def test_the_bundled_sample_is_a_data_set_whose_numbers_are_right():
    import numpy as np
    import SimpleITK as sitk

    folder = ROOT / "MemSegSlicer" / "Resources" / "SampleData"
    (entry,) = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    described = json.loads((folder / "AbdomenCT.json").read_text(encoding="utf-8"))["segments"]
    labels = sitk.ReadImage(str(folder / entry["label"]))
    image = sitk.ReadImage(str(folder / entry["image"]))
    assert labels.GetSize() == image.GetSize() == tuple(entry["shape"])
    counts = np.bincount(sitk.GetArrayFromImage(labels).ravel(), minlength=len(entry["labels"]) + 1)[1:]
    assert list(entry["labels"].values()) == list(range(1, len(counts) + 1))
    assert dict(zip(entry["labels"], counts.tolist())) == entry["label_voxels"]
    assert {name: (segment["value"], segment["voxels"]) for name, segment in described.items()} == {
        name: (value, entry["label_voxels"][name]) for name, value in entry["labels"].items()
    }
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
    assert "Apache License" in (folder / "LICENSE-AbdomenCT.txt").read_text(encoding="utf-8")
