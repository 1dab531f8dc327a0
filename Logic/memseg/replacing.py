"""Writing a file so that it appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import FileError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, with its ending, which takes its place when the block ends well and vanishes
    when it does not. Raises FileError where the disk refuses."""
    temporary = None
    try:
        ending = "".join(path.suffixes[-2:]).lower()  # both parts of .nii.gz: writers go by it
        handle, name = tempfile.mkstemp(prefix=".writing-", suffix=ending, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(
            f"{path.name} cannot be written ({reason}); choose another place or free some space."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
