"""Set MemSegSlicer up and start it: the one script behind `run` and `test`, also for Windows.

    python project.py [IMAGE]      set up if needed, then the application in a browser, on IMAGE or on the bundled CT
    python project.py demo         the same path without a person; writes demo/
    python project.py setup        set up and stop
    python project.py test [...]   set up for tests, then pytest with the arguments given
    python project.py --slicer PATH [IMAGE]
                                   a 3D Slicer that is installed already, with this extension in it; sets nothing up

Set-up makes `.venv` beside this file and installs the versions of constraints.txt there; when nothing has changed
since, it does nothing. The standard library only, in syntax that Python 3.6 can read, so that the version check speaks.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)


def python_complaint(version):
    """A sentence for a Python (major, minor, ...) that cannot run the project; empty for one that can."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return ""
    this = f"Python {version[0]}.{version[1]}"
    return f"MemSegSlicer needs Python 3.11, 3.12 or 3.13, and this is {this}; install one of them and start again."


if python_complaint(sys.version_info):
    sys.exit(python_complaint(sys.version_info))

ROOT = Path(__file__).resolve().parent
COMMANDS = ("setup", "app", "demo", "test")
RENDERING_PACKAGES = ("libegl1", "libgl1-mesa-dri")
QT_PACKAGES = ("libgl1", "libxkbcommon0", "libfontconfig1", "libdbus-1-3", "libglib2.0-0")  # what PySide6 links to
FRESH_SETUP_BYTES = 4 * 10**9  # measured: 2.4 GB in .venv, and pip unpacks the wheels beside it
INTERRUPTED = 130
# What pip (urllib3) says when it cannot reach a package index, and what systems say when a disk is full.
UNREACHABLE = (
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "NameResolutionError",
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "Could not fetch URL",
    "SSLError",
)
DISK_FULL = ("No space left on device", "Errno 28", "not enough space on the disk")


class SetupError(Exception):
    """Set-up cannot go on; the text is a sentence for the user that says what to do."""


def main(arguments: Sequence[str]) -> int:
    """Set up as far as the command needs, then become the command; the exit status is the command's own."""
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    if arguments and arguments[0] == "--slicer":
        return start_slicer(arguments[1:])
    command, rest = (arguments[0], arguments[1:]) if arguments and arguments[0] in COMMANDS else ("app", arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        set_up(ROOT, extras=("browser", "test") if command == "test" else ("browser", "torch"))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        say("Set-up was interrupted; start it again and it begins afresh.")
        return INTERRUPTED
    except SetupError as error:
        say(str(error))
        return 1
    if command == "setup":
        say("MemSegSlicer is set up; start it with: ./run   (on Windows: python project.py)")
        return 0
    if command == "test":
        os.chdir(ROOT)
        return become([str(venv_program(ROOT, "python")), "-m", "pytest", *rest])
    return become([str(venv_program(ROOT, "memseg")), command, *rest])


def say(sentence: str) -> None:
    """Tell the user; stdout stays free for what the command itself prints."""
    print(sentence, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------------------- set-up


def set_up(root: Path, extras: Sequence[str]) -> None:
    """Make root/.venv hold the project with these extras.

    Raises SetupError when it cannot; KeyboardInterrupt passes, and the next set-up begins afresh.
    """
    complaint = ensure_debian_packages(missing_debian_packages(tests="test" in extras))
    if complaint:
        say(complaint)
    try:
        if is_set_up(root, extras):
            return
        with only_one(root / ".setup.lock"):
            if not is_set_up(root, extras):
                install(root, sorted({*extras, *installed_extras(root)}))
    except OSError as error:
        raise SetupError(disk_sentence(root, error)) from error


def install(root: Path, extras: Sequence[str]) -> None:
    """Environment, packages, stamp, in this order; `in_progress` stands from the first change to the last."""
    started = time.monotonic()
    in_progress = root / ".venv" / "setup-in-progress"
    stamp = root / ".venv" / "memsegslicer.json"
    if in_progress.exists() or not venv_works(root):
        make_venv(root)
    say("Installing the packages into .venv; the first time this takes a few minutes.")
    in_progress.touch()
    stamp.unlink(missing_ok=True)
    pip = [str(venv_program(root, "python")), "-m", "pip", "--disable-pip-version-check", "install"]
    packages = ["--constraint", str(root / "constraints.txt"), "--editable", f"{root}[{','.join(extras)}]"]
    status, complaints = run_relaying(pip + packages)
    if status != 0:
        if not disk_is_full(complaints):
            in_progress.unlink()  # pip checks everything before it changes anything, and takes back what it began
        raise SetupError(pip_sentence(root, complaints))
    stamp.write_text(json.dumps({"fingerprint": fingerprint(root), "extras": list(extras)}), encoding="utf-8")
    in_progress.unlink()
    say(f"Set-up took {time.monotonic() - started:.0f} s.")


def fingerprint(root: Path) -> str:
    """Changes whenever set-up has work to do: requirements, place of the checkout, or the interpreter of .venv."""
    digest = hashlib.sha256(str(root).encode())
    for name in ("pyproject.toml", "constraints.txt", ".venv/pyvenv.cfg"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def is_set_up(root: Path, extras: Sequence[str]) -> bool:
    """Whether the last set-up ended well, with at least these extras, and nothing has changed since."""
    needed = (venv_program(root, "python"), root / ".venv" / "pyvenv.cfg")
    if (root / ".venv" / "setup-in-progress").exists() or not all(path.exists() for path in needed):
        return False
    stamp = read_stamp(root)
    return bool(stamp) and set(extras) <= set(stamp["extras"]) and stamp["fingerprint"] == fingerprint(root)


def installed_extras(root: Path) -> list[str]:
    """What earlier set-ups installed, so that a set-up for the application does not forget the tests."""
    return read_stamp(root).get("extras", [])


def read_stamp(root: Path) -> dict:
    """{"fingerprint": str, "extras": [str]}, or empty when there is none that can be read."""
    try:
        stamp = json.loads((root / ".venv" / "memsegslicer.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}
    return stamp if isinstance(stamp, dict) and {"fingerprint", "extras"} <= stamp.keys() else {}


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock file; waits while another set-up of the same folder holds it. The system frees it on any death."""
    with path.open("a+", encoding="utf-8") as handle:
        told = False
        while not try_lock(handle.fileno()):
            if not told:
                say("Another set-up of this folder is running; waiting for it to end.")
                told = True
            time.sleep(0.5)
        yield


def try_lock(descriptor: int) -> bool:
    """False while somebody else has the lock. A file system without locks counts as locked by us."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


# ------------------------------------------------------------------------------------------- environment and pip


def venv_program(root: Path, name: str) -> Path:
    """Where the environment keeps a program."""
    return root / ".venv" / "Scripts" / f"{name}.exe" if os.name == "nt" else root / ".venv" / "bin" / name


def venv_works(root: Path) -> bool:
    """Whether .venv has a supported Python that runs and finds pip."""
    python = venv_program(root, "python")
    if not python.exists():
        return False
    code = f"import sys, pip; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    trial = subprocess.run([str(python), "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return trial.returncode == 0


def make_venv(root: Path) -> None:
    """A new, empty .venv in the place of whatever is there."""
    if Path(sys.prefix).resolve() == (root / ".venv").resolve():
        raise SetupError("The environment .venv has to be made anew; leave it first (deactivate) and start again.")
    if find_spec("ensurepip") is None:
        raise SetupError(
            "This Python cannot make virtual environments; on Debian or Ubuntu run: "
            f"sudo apt-get install -y python3.{sys.version_info.minor}-venv, then start again."
        )
    if shutil.disk_usage(root).free < FRESH_SETUP_BYTES:
        raise SetupError(disk_sentence(root))
    (root / ".venv").mkdir(exist_ok=True)
    status, complaints = run_relaying([sys.executable, "-m", "venv", "--clear", str(root / ".venv")])
    if status != 0:
        raise SetupError(
            disk_sentence(root)
            if disk_is_full(complaints)
            else f"The environment {root / '.venv'} could not be made (messages above); delete it and start again."
        )


def run_relaying(command: Sequence[str]) -> tuple[int, str]:
    """Run a command with its output visible; returns its exit status and what it said on stderr.

    On Ctrl-C the command, which gets the same Ctrl-C, has five seconds to end before it is stopped.
    """
    complaints = []
    child = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", errors="replace")
    try:
        with child.stderr:
            for line in child.stderr:
                complaints.append(line)
                sys.stderr.write(line)
                sys.stderr.flush()
        return child.wait(), "".join(complaints)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise


def pip_sentence(root: Path, complaints: str) -> str:
    """Why pip failed, from what it said, and what to do about it."""
    if disk_is_full(complaints):
        return disk_sentence(root)
    if any(words in complaints for words in UNREACHABLE):
        return (
            "The packages could not be downloaded because the package index cannot be reached; check the network "
            "connection (behind a proxy, set HTTPS_PROXY) and start again."
        )
    if "No matching distribution found" in complaints:
        return (
            "The package index has no version of a needed package (named above) for this machine and its Python; "
            "try Python 3.11 on 64-bit Linux, macOS or Windows."
        )
    return "pip could not install the packages (its messages are above); correct what it names and start again."


def disk_is_full(complaints: str) -> bool:
    """Whether a program complained that the disk is full."""
    return any(words in complaints for words in DISK_FULL)


def disk_sentence(root: Path, error: OSError | None = None) -> str:
    """What to tell when a file could not be written; without an error, the disk is full."""
    if error is None or disk_is_full(str(error)):
        needed = f"{FRESH_SETUP_BYTES // 10**9} GB"
        return f"The disk is full: set-up needs {needed} in {root}; free some space and start again."
    return f"Set-up cannot write in {root} ({error.strerror}); make it writable, or clone the project elsewhere."


# ---------------------------------------------------------------------------------------------- Debian's packages


def missing_debian_packages(
    tests: bool,
    which: Callable[[str], str | None] = shutil.which,
    installed: Callable[[Sequence[str]], set[str]] | None = None,
) -> list[str]:
    """Packages that drawing without a display (and, for tests, Qt and a browser) needs and this Debian-like machine
    lacks.

    Empty on any other system. which and installed (names -> those present) look at this machine unless given.
    """
    if not which("apt-get") or not which("dpkg-query"):
        return []
    needed = (*RENDERING_PACKAGES, *QT_PACKAGES) if tests else RENDERING_PACKAGES
    present = (installed or installed_debian_packages)([*needed, *(f"{name}t64" for name in needed)])
    missing = [name for name in needed if not {name, f"{name}t64"} & present]  # t64: Debian 13 renamed some
    if find_spec("ensurepip") is None:
        missing.append(f"python3.{sys.version_info.minor}-venv")
    if tests and not which("chromium"):
        missing.append("chromium")
    return missing


def installed_debian_packages(names: Sequence[str]) -> set[str]:
    """Those of the names that dpkg knows as installed."""
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *names]
    lines = subprocess.run(
        query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ).stdout.splitlines()
    return {line.split()[0] for line in lines if line.endswith(" installed")}


def ensure_debian_packages(
    missing: Sequence[str], may_install: bool | None = None, run: Callable[[Sequence[str]], int] = subprocess.call
) -> str:
    """Install the missing packages where we may; returns a sentence when some stay missing, otherwise nothing.

    may_install: None asks whether we are root. run: command -> exit status.
    """
    if not missing:
        return ""
    if may_install is None:
        may_install = os.geteuid() == 0
    names = " ".join(missing)
    if not may_install:
        return f"Missing system packages, and only root may install them; run: sudo apt-get install -y {names}"
    say(f"Installing the system packages {names}.")
    apt_get = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    run([*apt_get, "update"])
    if run([*apt_get, "install", "-y", "--no-install-recommends", *missing]) != 0:
        return f"The system packages could not be installed; run: apt-get update && apt-get install -y {names}"
    return ""


# ---------------------------------------------------------------------------------------------------------- Slicer


def start_slicer(arguments: Sequence[str]) -> int:
    """Become the given Slicer, with the module of this checkout in it. arguments: its path, and perhaps an image."""
    if len(arguments) not in (1, 2):
        say("Write --slicer PATH, or --slicer PATH IMAGE; PATH is the Slicer program or the folder it is in.")
        return 1
    slicer = slicer_program(Path(arguments[0]).expanduser())
    if slicer is None:
        say(f"There is no Slicer at {arguments[0]}; give the path of its program, or of the folder it is in.")
        return 1
    images = [Path(name).expanduser() for name in arguments[1:]]
    for image in images:
        if not image.is_file():
            say(f"Slicer cannot open {image}, which is no file; load folders of DICOM with its Add DICOM Data button.")
            return 1
    choose = ["--python-code", "slicer.util.selectModule('MemSegSlicer')"]
    # Last, because Slicer takes everything up to the next option for one more path.
    modules = ["--additional-module-paths", str(ROOT / "MemSegSlicer")]
    return become([str(slicer), *(str(image.resolve()) for image in images), *choose, *modules])


def slicer_program(path: Path) -> Path | None:
    """The program itself, from its path or that of its folder or macOS application; None where there is none."""
    names = ("Slicer", "Slicer.exe", "Contents/MacOS/Slicer", "Slicer.app/Contents/MacOS/Slicer")
    for program in [path] if path.is_file() else [path / name for name in names]:
        if program.is_file() and os.access(program, os.X_OK):
            return program.resolve()
    return None


# ----------------------------------------------------------------------------------------------------- the command


def become(command: Sequence[str]) -> int:
    """Turn into the command, so that signals and the exit status are its own; Windows can only wait for it."""
    if os.name == "nt":
        return wait_for(command)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.execv(command[0], command)


def wait_for(command: Sequence[str]) -> int:
    """Run a command to its end and return its exit status; Ctrl-C, which it gets too, is for it to answer."""
    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
