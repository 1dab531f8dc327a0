"""Where files lie: what ships with the program, and what it keeps for its user."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def resources(engine: Path = _HERE) -> Path:
    """The folder with Models, Recall and SampleData. In a checkout the engine lies in Logic, beside MemSegSlicer; an
    extension has it beside the module, whose folder then has the resources."""
    beside_the_module = engine.parent / "Resources"
    return beside_the_module if beside_the_module.is_dir() else engine.parents[1] / "MemSegSlicer" / "Resources"


def user_folder(system: str = sys.platform, environment: Mapping[str, str] = os.environ) -> Path:
    """Where this system keeps a program's files for its user; it need not exist."""
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
    if system == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "memseg"
    if system == "darwin":
        return home / "Library" / "Application Support" / "memseg"
    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "memseg"
