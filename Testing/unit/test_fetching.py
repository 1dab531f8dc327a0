"""A file from a server to the disk: resumed, checked, and refused where it is not what was wanted."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from file_server import CONTENT, SHA256, FileServer

from memseg import fetching
from memseg.errors import FileError, ModelError
from memseg.fetching import Arrived, Progress, UnavailableError, Wanted, check_address, fetch

SIZE = len(CONTENT)
HALF = 1_500_000


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(fetching, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(fetching, "TIMEOUT_S", 5.0)
    monkeypatch.setattr(fetching, "_CHUNK_BYTES", 2**16)


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "weights.pth"


def fetched(wanted: Wanted, target: Path, told: list[Progress] | None = None) -> Arrived:
    steps = fetch(wanted, target)
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        if told is not None:
            told.append(step)


def broken_off(server: FileServer, target: Path, wanted: Wanted | None = None) -> int:
    """How much there is after a connection that broke and could not be had again."""
    server.behaviour.stop_after, server.behaviour.status = [HALF], [200, 500, 500, 500]
    with pytest.raises(ModelError, match="broke again and again"):
        fetched(wanted or Wanted(server.url), target)
    server.behaviour.stop_after, server.behaviour.status = [], []
    return part_of(target).stat().st_size


def part_of(target: Path) -> Path:
    return target.with_name("weights.pth.part")


def nothing_is_there(target: Path) -> bool:
    return not list(target.parent.iterdir())


def ranges(server: FileServer) -> list[str | None]:
    return [headers.get("Range") for _, headers in server.asked]


# -- what arrives ------------------------------------------------------------------------------------------------------


def test_a_file_arrives_is_checked_and_takes_its_name(server, target):
    told: list[Progress] = []
    arrived = fetched(Wanted(server.url, 3, SHA256), target, told)
    assert arrived == Arrived(SHA256, checked=True)
    assert target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]
    assert told[0] == Progress(0, SIZE) and told[-1] == Progress(SIZE, SIZE)
    assert [step.done for step in told] == sorted(step.done for step in told) and len(told) > 10


def test_without_a_known_sha256_it_is_told_and_not_called_checked(server, target):
    assert fetched(Wanted(server.url, 3), target) == Arrived(SHA256, checked=False)


def test_what_arrives_slowly_arrives(server, target):
    server.behaviour.pause_s, server.behaviour.piece_bytes = 0.01, 2**17
    assert fetched(Wanted(server.url, 3, SHA256), target).sha256 == SHA256


def test_a_server_that_does_not_tell_the_size_is_listened_to_until_it_ends(server, target):
    server.behaviour.says_length = False
    told: list[Progress] = []
    assert fetched(Wanted(server.url, 3, SHA256), target, told).checked
    assert told[0].total is None and target.read_bytes() == CONTENT


# -- connections that break --------------------------------------------------------------------------------------------


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server, target):
    server.behaviour.stop_after = [HALF, 1_000_000]
    assert fetched(Wanted(server.url, 3, SHA256), target).checked
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={HALF}-", f"bytes={HALF + 1_000_000}-"]
    assert server.asked[1][1]["If-Range"] == '"one"'


def test_a_connection_may_break_as_often_as_it_likes_while_it_gets_further(server, target):
    server.behaviour.stop_after = [500_000] * 6
    assert fetched(Wanted(server.url, 3, SHA256), target).checked and len(server.asked) == 7


def test_a_server_that_falls_silent_is_left_and_asked_again(server, target, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT_S", 0.3)
    server.behaviour.stop_after, server.behaviour.hang = [HALF], True
    assert fetched(Wanted(server.url, 3, SHA256), target).checked
    assert ranges(server) == [None, f"bytes={HALF}-"]


def test_one_that_breaks_for_good_leaves_what_there_is_and_the_next_time_goes_on_from_there(server, target):
    assert broken_off(server, target) == HALF and not target.exists()
    told: list[Progress] = []
    server.asked.clear()
    assert fetched(Wanted(server.url, 3), target, told).sha256 == SHA256
    assert told[0] == Progress(HALF, SIZE) and ranges(server) == [f"bytes={HALF}-"]
    assert list(target.parent.iterdir()) == [target]


def test_the_sentence_says_how_much_is_kept_and_that_the_command_goes_on(server, target):
    server.behaviour.stop_after, server.behaviour.status = [HALF], [200, 503, 503, 503]
    with pytest.raises(ModelError) as caught:
        fetched(Wanted(server.url), target)
    assert str(caught.value) == (
        "The connection to 127.0.0.1 broke again and again (503 Service Unavailable); 1.5 MB are kept, and the same "
        "command goes on from there."
    )


def test_stopping_in_the_middle_leaves_what_there_is(server, target):
    steps = fetch(Wanted(server.url, 3, SHA256), target)
    for step in steps:
        if step.done > HALF:
            steps.close()
    kept = part_of(target).read_bytes()
    assert HALF < len(kept) < SIZE and CONTENT.startswith(kept)
    assert fetched(Wanted(server.url, 3, SHA256), target).checked


def test_a_server_that_cannot_resume_is_begun_anew_and_given_up_when_it_gets_no_further(server, target):
    broken_off(server, target)
    server.behaviour.ranges = False
    told: list[Progress] = []
    assert fetched(Wanted(server.url, 3, SHA256), target, told).checked
    assert told[0] == Progress(0, SIZE) and target.read_bytes() == CONTENT
    target.unlink()
    server.behaviour.stop_after = [HALF] * 100
    with pytest.raises(ModelError, match=r"broke again and again \(the answer was cut short\)"):
        fetched(Wanted(server.url, 3, SHA256), target)
    assert len(server.behaviour.stop_after) > 90


def test_a_file_that_has_changed_meanwhile_is_begun_anew(server, target):
    broken_off(server, target)
    server.behaviour.content, server.behaviour.etag = bytes(SIZE), '"two"'
    arrived = fetched(Wanted(server.url, 3), target)
    assert target.read_bytes() == bytes(SIZE) and arrived.sha256 == hashlib.sha256(bytes(SIZE)).hexdigest()


def test_a_part_of_nobody_knows_which_version_is_only_gone_on_with_where_the_sha256_will_tell(server, target):
    server.behaviour.etag = 'W/"weak"'
    broken_off(server, target)
    server.asked.clear()
    fetched(Wanted(server.url, 3), target)
    assert ranges(server) == [None]
    target.unlink()
    broken_off(server, target, Wanted(server.url, 3, SHA256))
    server.asked.clear()
    assert fetched(Wanted(server.url, 3, SHA256), target).checked
    assert ranges(server) == [f"bytes={HALF}-"] and "If-Range" not in server.asked[0][1]


def test_a_date_names_a_version_too(server, target):
    server.behaviour.etag, server.behaviour.modified = "", "Sat, 07 Sep 2024 10:00:00 GMT"
    broken_off(server, target)
    server.asked.clear()
    fetched(Wanted(server.url, 3), target)
    assert server.asked[0][1]["If-Range"] == "Sat, 07 Sep 2024 10:00:00 GMT"


def test_a_part_of_another_address_is_not_gone_on_with(server, target):
    broken_off(server, target)
    server.asked.clear()
    fetched(Wanted(server.url + "?other", 3, SHA256), target)
    assert ranges(server) == [None]


@pytest.mark.parametrize("note", ["", "no JSON", "[]", '{"url": 1}', '{"url": "\\n", "total": "x"}', None])
def test_a_part_whose_note_is_lost_or_damaged_is_begun_anew(server, target, note):
    broken_off(server, target)
    beside = target.with_name("weights.pth.part.json")
    beside.unlink() if note is None else beside.write_text(note)
    assert fetched(Wanted(server.url, 3), target).sha256 == SHA256 and target.read_bytes() == CONTENT


def test_a_part_that_is_whole_already_only_has_to_be_checked(server, target):
    broken_off(server, target)
    part_of(target).write_bytes(CONTENT)
    server.asked.clear()
    assert fetched(Wanted(server.url, 3, SHA256), target).checked
    assert server.asked == [] and target.read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_begun_anew(server, target):
    broken_off(server, target)
    part_of(target).write_bytes(CONTENT + b"more")
    assert fetched(Wanted(server.url, 3, SHA256), target).checked and target.read_bytes() == CONTENT


# -- what is not what was wanted ---------------------------------------------------------------------------------------


def test_a_wrong_sha256_deletes_what_arrived_and_says_both(server, target):
    with pytest.raises(ModelError) as caught:
        fetched(Wanted(server.url, 3, "0" * 64), target)
    assert SHA256 in str(caught.value) and "0" * 64 in str(caught.value) and "it was deleted" in str(caught.value)
    assert nothing_is_there(target)


def test_one_changed_byte_in_a_part_is_found_out(server, target):
    broken_off(server, target)
    content = bytearray(part_of(target).read_bytes())
    content[1000] ^= 1
    part_of(target).write_bytes(content)
    with pytest.raises(ModelError, match="another SHA-256"):
        fetched(Wanted(server.url, 3, SHA256), target)
    assert nothing_is_there(target)


@pytest.mark.parametrize("megabytes", [1, 9, 402])
def test_a_file_of_another_size_is_refused_before_it_is_loaded(server, target, megabytes):
    with pytest.raises(ModelError, match=rf"has 3\.3 MB where {megabytes}.* expected, so it was not taken"):
        fetched(Wanted(server.url, megabytes, SHA256), target)
    assert nothing_is_there(target)


def test_a_page_of_the_network_in_place_of_the_file_is_refused(server, target):
    server.behaviour.content = b"<html>Please log in</html>"
    with pytest.raises(ModelError, match="log in to the network may be in the way"):
        fetched(Wanted(server.url, 402), target)
    assert nothing_is_there(target)


def test_a_file_of_another_size_is_refused_afterwards_where_the_server_does_not_tell_it(server, target):
    server.behaviour.says_length = False
    with pytest.raises(ModelError, match="so it was not taken"):
        fetched(Wanted(server.url, 9), target)
    assert nothing_is_there(target)


def test_what_never_ends_is_cut_off(server, target, monkeypatch):
    monkeypatch.setattr(fetching, "LARGEST_BYTES", 10**6)
    server.behaviour.says_length = False
    with pytest.raises(ModelError, match="sends more than the file should have"):
        fetched(Wanted(server.url), target)
    assert nothing_is_there(target)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "log in there and accept its terms"),
        (403, "log in there"),
        (404, "not at 127.0.0.1 any more"),
        (400, "refuses"),
    ],
)
def test_a_file_that_is_not_to_be_had_is_a_sentence(server, target, status, sentence):
    server.behaviour.status = [status]
    with pytest.raises(UnavailableError, match=sentence):
        fetched(Wanted(server.url), target)
    assert nothing_is_there(target)


def test_a_server_that_is_not_there_is_a_sentence_at_once(server, target):
    url = server.url
    server.close()
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1 cannot be reached from here \(Connection refused\)"):
        fetched(Wanted(url), target)


# -- where from --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["https://huggingface.co/a/b", "http://127.0.0.1:80/a", "http://localhost/a"])
def test_https_is_asked_and_this_computer(url):
    check_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://huggingface.co/a",
        "http://127.0.0.1.example.org/a",
        "http://192.168.0.1/a",
        "ftp://127.0.0.1/a",
        "file:///etc/passwd",
        "https://user:word@huggingface.co/a",
        "weights.pth",
        "",
    ],
)
def test_nothing_else_is(url, target):
    with pytest.raises(ModelError):
        fetched(Wanted(url), target)


def test_a_redirection_on_the_same_computer_is_followed_and_what_it_announces_is_held_to(server, target):
    server.behaviour.redirect = server.url
    server.behaviour.linked = {"X-Linked-Etag": f'"{SHA256}"', "X-Linked-Size": str(SIZE)}
    moved = server.url.replace("weights.pth", "moved")
    assert fetched(Wanted(moved, 3), target) == Arrived(SHA256, checked=True)
    target.unlink()
    server.behaviour.linked = {"X-Linked-Etag": f'"{"0" * 64}"'}
    with pytest.raises(ModelError, match="another SHA-256"):
        fetched(Wanted(moved, 3), target)
    assert nothing_is_there(target)


def test_a_source_that_announces_another_file_than_the_known_one_is_refused_before_it_is_loaded(server, target):
    server.behaviour.redirect, server.behaviour.linked = server.url, {"X-Linked-Etag": f'"{SHA256}"'}
    with pytest.raises(ModelError, match="has been changed: its SHA-256 is"):
        fetched(Wanted(server.url.replace("weights.pth", "moved"), 3, "0" * 64), target)
    assert nothing_is_there(target)


def test_a_redirected_part_is_gone_on_with_unless_another_file_is_announced(server, target):
    server.behaviour.redirect, server.behaviour.etag = server.url, ""
    server.behaviour.linked = {"X-Linked-Etag": f'"{SHA256}"'}
    wanted = Wanted(server.url.replace("weights.pth", "moved"), 3)
    server.behaviour.stop_after, server.behaviour.status = [HALF], [200, 200, 500, 500, 500]
    with pytest.raises(ModelError, match="broke again"):
        fetched(wanted, target)
    other = bytes(SIZE)
    server.behaviour.content = other
    server.behaviour.linked = {"X-Linked-Etag": f'"{hashlib.sha256(other).hexdigest()}"'}
    assert fetched(wanted, target).checked and target.read_bytes() == other


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("https://example.org/weights.pth", "127.0.0.1 sends on to example.org, which is not known to belong to it"),
        ("http://example.org/weights.pth", "without encryption"),
        ("file:///etc/passwd", "refuses to send the file"),
    ],
)
def test_a_redirection_to_somewhere_else_is_not_followed(server, target, where, sentence):
    server.behaviour.redirect = where
    with pytest.raises(ModelError, match=sentence):
        fetched(Wanted(server.url.replace("weights.pth", "moved")), target)
    assert nothing_is_there(target)


@pytest.mark.parametrize(
    ("where", "allowed"),
    [
        ("https://cdn-lfs.huggingface.co/x", True),
        ("https://cas-bridge.xethub.hf.co/x", True),
        ("https://huggingface.co/other", True),
        ("https://huggingface.co.example.org/x", False),
        ("https://evilhf.co/x", False),
        ("http://huggingface.co/x", False),
        ("http://127.0.0.1/x", False),
    ],
)
def test_hugging_face_may_send_on_to_where_it_keeps_large_files_and_nowhere_else(where, allowed):
    first = "https://huggingface.co/a/resolve/main/b.pth"
    handler = fetching._Redirections(first)
    request = fetching.urllib.request.Request(first)
    headers = fetching.Message()
    if allowed:
        assert handler.redirect_request(request, None, 302, "Found", headers, where).full_url == where
    else:
        with pytest.raises(ModelError):
            handler.redirect_request(request, None, 302, "Found", headers, where)


# -- the disk ----------------------------------------------------------------------------------------------------------


def test_a_disk_without_room_is_said_before_anything_is_loaded(server, target, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(FileError, match=r"weights\.pth needs 70 MB more, and 1 MB are free in .*run the same command"):
        fetched(Wanted(server.url, 3), target)
    assert part_of(target).stat().st_size == 0


def test_a_disk_that_fills_up_meanwhile_keeps_what_there_is(server, target):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, before[1]))  # a real write fails there
    try:
        with pytest.raises(FileError, match=r"cannot be written \(File too large\); 1\.5 MB are kept"):
            fetched(Wanted(server.url, 3, SHA256), target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert part_of(target).stat().st_size == HALF and not target.exists()
    assert fetched(Wanted(server.url, 3, SHA256), target).checked


def test_a_folder_that_cannot_be_written_to_is_a_sentence(server, target):
    with pytest.raises(FileError, match="cannot be written"):
        fetched(Wanted(server.url, 3), target.parent / "nowhere" / "weights.pth")


def test_the_note_beside_a_part_holds_no_more_than_what_it_is_part_of(server, target):
    broken_off(server, target)
    note = json.loads(target.with_name("weights.pth.part.json").read_text())
    assert note == {"url": server.url, "validator": '"one"', "linked": "", "total": SIZE}
