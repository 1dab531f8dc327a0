"""The journal: whatever stops the program, at most the step in flight is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fakes import BlockSegmenter, by_number, ellipsoid, ramp_volume, turned_grid

import memseg
from memseg.errors import FileError, SessionError
from memseg.journal import Journal, read_lines
from memseg.prompts import Click
from memseg.session import Session
from memseg.volume import Volume

SHAPE = (20, 24, 28)


def blob_volume() -> Volume:
    noise = np.random.default_rng(3).normal(0, 3, SHAPE)
    return Volume((100 * ellipsoid(SHAPE, (10, 12, 14), (6, 7, 8)) + noise).astype(np.int16), turned_grid(SHAPE))


def begun(path: Path) -> Session:
    return memseg.new_session(blob_volume(), "geodesic", journal=path)


def test_a_resumed_session_has_the_same_mask_prompts_and_history(tmp_path):
    session = begun(tmp_path / "j")
    session.add(Click((10, 12, 14)))
    session.add(Click((10, 12, 20)))
    session.add(Click((1, 1, 1), positive=False))
    session.add(memseg.MaskPrompt.from_mask(session.mask_kji))
    session.undo()
    session.remove(1)
    session.forget(1)
    resumed = memseg.resume_session(tmp_path / "j", blob_volume())
    assert np.array_equal(resumed.mask_kji, session.mask_kji)
    assert [entry.prompt for entry in resumed.prompts] == [entry.prompt for entry in session.prompts]
    assert [entry.number for entry in resumed.memory] == [entry.number for entry in session.memory]
    resumed.undo()
    assert [entry.number for entry in resumed.memory] == [1, 3]


def test_a_resumed_session_goes_on_in_the_same_journal(tmp_path):
    begun(tmp_path / "j").add(Click((10, 12, 14)))
    memseg.resume_session(tmp_path / "j", blob_volume()).reset()
    lines, _ = read_lines(tmp_path / "j")
    assert [line["do"] for line in lines[1:]] == ["add", "reset"]


def test_a_journal_begun_in_the_middle_of_a_session_holds_what_came_before(tmp_path):
    session = memseg.new_session(blob_volume(), "geodesic")
    session.add(Click((10, 12, 14)))
    session.add(Click((10, 12, 20)))
    session.undo()
    session.keep_journal(Journal.begin(tmp_path / "j", session.volume, session.model, memory=True))
    session.add(Click((4, 12, 14), positive=False))
    resumed = memseg.resume_session(tmp_path / "j", blob_volume())
    for each in (session, resumed):
        each.undo()
    assert np.array_equal(resumed.mask_kji, session.mask_kji) and resumed.mask_kji.any()
    resumed.undo()
    assert not resumed.mask_kji.any() and not resumed.can_undo


def test_a_resumed_session_leans_on_what_it_leaned_on(tmp_path, monkeypatch):
    segmenter = BlockSegmenter(attention=by_number)
    monkeypatch.setattr("memseg.build.build", lambda name, device: segmenter)
    session = Session(blob_volume(), segmenter)
    for point in ((3, 3, 3), (8, 8, 8)):
        session.add(Click(point))
    session.keep_journal(Journal.begin(tmp_path / "j", session.volume, session.model, memory=True))
    resumed = memseg.resume_session(tmp_path / "j", session.volume)
    assert resumed.leaned == ((1, 1.0),)
    session.undo()
    session.add(Click((9, 9, 9)))
    session.add(Click((5, 5, 5)))
    resumed = memseg.resume_session(tmp_path / "j", session.volume)
    assert resumed.leaned == ((1, 0.25), (3, 0.75))


def test_a_line_cut_short_is_left_out_and_written_over(tmp_path):
    session = begun(tmp_path / "j")
    session.add(Click((10, 12, 14)))
    mask = session.mask_kji.copy()
    with open(tmp_path / "j", "ab") as file:
        file.write(b'{"do":"add","prompt":{"kind":"cl')
    resumed = memseg.resume_session(tmp_path / "j", blob_volume())
    assert np.array_equal(resumed.mask_kji, mask)
    resumed.reset()
    assert [line["do"] for line in read_lines(tmp_path / "j")[0][1:]] == ["add", "reset"]


PROGRAM = """
import sys; sys.path[:0] = [{tests!r}, {unit!r}]
from test_journal import begun
from pathlib import Path
from memseg.prompts import Click
session = begun(Path({journal!r}))
for n in range(1000):
    session.add(Click((4 + n % 12, 12, 14), positive=n % 3 != 2))
    print(len(session.prompts), flush=True)
"""


def test_killing_the_program_loses_at_most_the_prompt_in_flight(tmp_path):
    unit = Path(__file__).parent
    program = PROGRAM.format(tests=str(unit.parent / "parts"), unit=str(unit), journal=str(tmp_path / "j"))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, encoding="utf-8") as process:
        for line in process.stdout:
            if int(line) == 5:
                time.sleep(0.01)
                os.kill(process.pid, signal.SIGKILL)
                break
        answered = max([5, *(int(line) for line in process.stdout if line.endswith("\n"))])
    resumed = memseg.resume_session(tmp_path / "j", blob_volume())
    assert answered <= len(resumed.prompts) <= answered + 1
    again = memseg.new_session(blob_volume(), "geodesic")
    for entry in resumed.prompts:
        again.add(entry.prompt)
    assert np.array_equal(again.mask_kji, resumed.mask_kji) and resumed.mask_kji.any()


def test_a_full_disk_refuses_the_step_and_leaves_session_and_journal_as_they_were(tmp_path, monkeypatch):
    session = begun(tmp_path / "j")
    session.add(Click((10, 12, 14)))
    mask, journal = session.mask_kji.copy(), (tmp_path / "j").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left.*free some space"):
        session.add(Click((1, 1, 1)))
    assert np.array_equal(session.mask_kji, mask) and len(session.prompts) == 1
    assert (tmp_path / "j").read_bytes() == journal
    monkeypatch.undo()
    session.undo()
    assert memseg.resume_session(tmp_path / "j", blob_volume()).mask_kji.sum() == 0


def test_an_earlier_journal_is_never_written_over(tmp_path):
    begun(tmp_path / "j")
    with pytest.raises(FileError, match="earlier session"):
        begun(tmp_path / "j")


def test_a_journal_of_another_image_or_of_no_image_is_refused(tmp_path):
    begun(tmp_path / "j")
    with pytest.raises(SessionError, match="another image"):
        memseg.resume_session(tmp_path / "j", ramp_volume())
    with pytest.raises(FileError, match="cannot be read"):
        memseg.resume_session(tmp_path / "none", ramp_volume())
    with pytest.raises(FileError, match="cannot be made"):
        Journal.begin(tmp_path / "no" / "j", ramp_volume(), "geodesic", True)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"hello\n", b"[]\n", b'{"format":"other"}\n', b"\xff\xfe\n", b"[" * 99999 + b"\n"]
)
def test_what_is_no_journal_is_a_sentence(tmp_path, content):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(FileError, match="not a journal"):
        memseg.resume_session(tmp_path / "j", ramp_volume())


@pytest.mark.parametrize(
    "line",
    [
        b'{"do":"dance"}\n',
        b'{"do":"undo"}\n',
        b'{"do":"restore","session":"abc"}\n',
        b'{"do":"restore","session":"AAAA"}\n',
        b'{"do":"add","prompt":{"kind":"click"}}\n',
        b'{"do":"remove","index":5}\n',
    ],
)
def test_a_step_that_cannot_be_taken_is_a_sentence_and_the_file_stays(tmp_path, line):
    begun(tmp_path / "j")
    with open(tmp_path / "j", "ab") as file:
        file.write(line)
    content = (tmp_path / "j").read_bytes()
    with pytest.raises(FileError, match="cannot be replayed"):
        memseg.resume_session(tmp_path / "j", blob_volume())
    assert (tmp_path / "j").read_bytes() == content
