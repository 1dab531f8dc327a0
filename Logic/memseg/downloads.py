"""Published weights in a folder of the user's own: downloaded, checked as any other file, registered, and deleted
again."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from . import catalog, registry
from .build import check_takes_weights, check_weights
from .errors import FileError, ModelError
from .fetching import Arrived, Progress, UnavailableError, Wanted, fetch
from .segmenters.base import ModelCard, WeightsFile

_PART = ".part"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """A file in the folder. model: whose. whole: all of it is there. in_use: it is the one the model runs with."""

    model: str
    path: Path
    size_bytes: int
    whole: bool
    in_use: bool


def folder() -> Path:
    """Beside the list of weights; need not exist."""
    return registry.location().parent / "weights"


def file_of(card: ModelCard, name: str | None = None) -> WeightsFile:
    """What to download for a model: the file of that name, or the recommended one. Raises ModelError."""
    check_takes_weights(card.name)
    offered = [file for file in card.files if file.url]
    if not offered:
        raise ModelError(
            f"The weights of {card.title} have no address that this program knows: {catalog.how_to_add(card)}."
        )
    chosen = next((file for file in offered if file.name == (name or offered[0].name)), None)
    if chosen is None:
        names = ", ".join(file.name for file in offered)
        raise ModelError(f"There is no file called '{name}' for {card.title}; choose one of: {names}.")
    return chosen


def download(card: ModelCard, file: WeightsFile) -> Generator[Progress, None, Arrived]:
    """Have the file in the folder; long, and told as it goes on. What was there already is not loaded again. Raises
    ModelError, FileError."""
    target = _path_of(card, file)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder {target.parent} cannot be made ({error.strerror}); set {registry.VARIABLE} to one that can."
        ) from error
    if target.is_file():
        digest = registry.digest(target)
        if file.sha256 in ("", digest):
            return Arrived(digest, bool(file.sha256))
        target.unlink()
    log.info("downloading a file of weights")
    try:
        return (yield from fetch(Wanted(file.url, file.size_mb, file.sha256), target))
    except UnavailableError as error:
        raise UnavailableError(f"{error} On a computer where it can be had, {_by_hand(card, file)}.") from error
    finally:
        _remove_if_empty(target.parent)


def register(card: ModelCard, file: WeightsFile, arrived: Arrived) -> registry.Registered:
    """Let the model run with what was downloaded, if it can. Raises ModelError; then a file that is not known to be the
    published one is deleted."""
    target = _path_of(card, file)
    try:
        check_weights(card.name, target)
    except ModelError as error:
        if arrived.checked:
            raise
        target.unlink(missing_ok=True)
        raise ModelError(f"{error} What was downloaded is deleted again.") from error
    return registry.add(card.name, target, card.licence)


def kept() -> tuple[Kept, ...]:
    """What lies in the folder, by model and name."""
    used = {Path(entry.path) for entry in registry.registered().values()}
    found = []
    for path in sorted(folder().glob("*/*")):
        if path.is_file() and not path.is_symlink() and not path.name.endswith(_PART + ".json"):
            whole = not path.name.endswith(_PART)
            found.append(Kept(path.parent.name, path, path.stat().st_size, whole, path in used))
    return tuple(found)


def delete(file: Kept) -> None:
    """Delete a file of the folder, and forget it where a model runs with it. Raises FileError."""
    if file.path.parent.parent != folder():
        raise ValueError("Only what lies in the folder is deleted.")
    if file.in_use:
        for model, entry in registry.registered().items():
            if Path(entry.path) == file.path:
                registry.remove(model)
    try:
        file.path.unlink(missing_ok=True)
        if not file.whole:
            file.path.with_name(file.path.name + ".json").unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"{file.path} cannot be deleted ({error.strerror}); delete it by hand.") from error
    _remove_if_empty(file.path.parent)


def _remove_if_empty(path: Path) -> None:
    """A model's folder, and the one that holds those of all models."""
    for each in (path, path.parent):
        if each.is_dir() and not any(each.iterdir()):
            each.rmdir()


def _path_of(card: ModelCard, file: WeightsFile) -> Path:
    return folder() / card.name / file.name


def _by_hand(card: ModelCard, file: WeightsFile) -> str:
    """How to bring the file from elsewhere, the rest of a sentence."""
    size = f" ({file.size_mb} MB)" if file.size_mb else ""
    return (
        f"download {file.name}{size} from {card.published_at}, bring it here, then run: "
        f"memseg models add {card.name} {file.name}"
    )
