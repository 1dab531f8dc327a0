"""Where a trained model and what it learns from lie, as far as that can be known without torch."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import FileError
from ..places import user_folder
from ..replacing import replacing

FILE = "auto.safetensors"
VARIABLE = "MEMSEG_AUTO"
_CHOSEN = "folders.json"


@dataclass(frozen=True)
class AutoFolders:
    """model: what the training writes. data: a data set that finished segmentations are added to."""

    model: Path
    data: Path

    @property
    def problem(self) -> str:
        """Why there is no first guess yet, and what to do; "" where there is a model."""
        if (self.model if self.model.is_file() else self.model / FILE).is_file():
            return ""
        return f"There is no trained model in this folder. Train one with: {self.command}"

    @property
    def command(self) -> str:
        """What trains: the plain U-Net, as the Mamba layers are slow without a graphics card."""
        return f"memseg train auto {_quoted(self.data)} --out {_quoted(self.model)} --network unet"


def home() -> Path:
    """The user's own folder: what MEMSEG_AUTO names, else where this system keeps a program's files."""
    named = os.environ.get(VARIABLE, "").strip()
    return Path(named) if named else user_folder() / "auto"


def folders() -> AutoFolders:
    """Those chosen last; where none was, or what is kept of that makes no sense, two in the user's own folder."""
    usual = AutoFolders(home() / "model", home() / "data")
    try:
        record = json.loads((home() / _CHOSEN).read_text(encoding="utf-8"))
        return AutoFolders(Path(record["model"]), Path(record["data"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return usual


def choose(chosen: AutoFolders) -> None:
    """For the next time too. Raises FileError where that cannot be written."""
    words = json.dumps({name: str(path) for name, path in asdict(chosen).items()}, indent=1)
    try:
        home().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder {home().name} for what you choose cannot be made ({error.strerror}); free some space, or name "
            f"another one in {VARIABLE}."
        ) from error
    with replacing(home() / _CHOSEN) as temporary:
        temporary.write_text(words, encoding="utf-8")


def _quoted(path: Path) -> str:
    words = str(path)
    return f'"{words}"' if " " in words else words
