"""Where a test run keeps what users keep, and how it ends."""

import os
import shutil
import sys
import tempfile

import pytest

_FOLDER, _STATUS = pytest.StashKey[str](), pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """No test reads or writes the user's own recall memory or list of models."""
    folder = config.stash[_FOLDER] = tempfile.mkdtemp(prefix="memseg-tests-")
    for name in ("MEMSEG_RECALL", "MEMSEG_MODELS"):
        os.environ[name] = os.path.join(folder, name.lower())


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave at once with pytest's own exit status, when all is said: after a whole run, the destructors that VTK
    and torch leave to the end of the process bring it down (exit status 139 after 1706 passed)."""
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)
    status = config.stash.get(_STATUS, None)
    if status is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_STATUS] = int(exitstatus)
