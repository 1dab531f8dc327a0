"""Imports point down only, and the engine is quick to import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def in_a_new_interpreter(code: str) -> str:
    """What the code prints, stripped; fails the test when it raises."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_contracts_of_pyproject_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "MemSegSlicer")}  # the desktop's packages are not installed
    command = [str(lint), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing():
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "."]
    done = subprocess.run(ruff, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_memseg_loads_nothing_heavy():
    heavy = ("torch", "SimpleITK", "scipy", "numpy", "rich", "typer", "slicer", "vtk", "vtkmodules", "trame")
    loaded = in_a_new_interpreter(f"import sys, memseg; print([name for name in {heavy!r} if name in sys.modules])")
    assert loaded == "[]"


def test_every_public_name_of_memseg_exists_and_needs_no_torch():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # importing torch now raises ImportError, installed or not
        "import memseg\n"
        "print([name for name in memseg.__all__ if getattr(memseg, name, None) is None])"
    )
    assert in_a_new_interpreter(code) == "[]"


def test_the_command_line_starts_without_torch_or_a_shell():
    above = ("slicer", "vtk", "trame", "MemSegBrowser", "MemSegSlicerLib")
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import memseg.cli\n"
        f"print([name for name in {above!r} if name in sys.modules])"
    )
    assert in_a_new_interpreter(code) == "[]"
