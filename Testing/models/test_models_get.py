"""`memseg models get` and `purge`, from a server on this computer to a model that answers."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from file_server import CONTENT, FileServer
from published import filled
from small_sam import small_config, small_encoder, small_sam, small_student
from typer.testing import CliRunner

from memseg import catalog, downloads, fetching, models_command, registry
from memseg.build import _built, build
from memseg.errors import FileError, ModelError
from memseg.models_command import app
from memseg.networks.fastsam3d import StudentEncoder
from memseg.segmenters.base import WeightsFile
from memseg.segmenters.sam_med3d import SamMed3DSegmenter

NAME = "sam_med3d_turbo.pth"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "registry"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(fetching, "PAUSES_S", (0.0,))
    monkeypatch.setattr("memseg.segmenters.sam_weights.SamConfig", lambda encoder, boxes: small_config(boxes))
    _built.cache_clear()
    yield
    _built.cache_clear()


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.close()


def weights_of_a_small_network(tmp_path: Path) -> bytes:
    torch.save({"model_state_dict": small_sam().state_dict()}, tmp_path / "small.pth")
    return (tmp_path / "small.pth").read_bytes()


def offer(server: FileServer, monkeypatch, name: str = "sam-med3d", licence: str = "Apache-2.0", **known) -> None:
    """Let a card's weights lie on the server. known: of the file."""
    file = WeightsFile(catalog.card(name).weights, url=server.url, **known)
    changed = {"files": (file,), "licence": licence}
    cards = tuple(replace(card, **changed) if card.name == name else card for card in catalog.cards())
    monkeypatch.setattr(catalog, "_CARDS", cards)


@pytest.fixture
def offered(server, tmp_path, monkeypatch):
    """The server has weights of a small network; returns their SHA-256, which the card knows."""
    server.behaviour.content = weights_of_a_small_network(tmp_path)
    digest = hashlib.sha256(server.behaviour.content).hexdigest()
    offer(server, monkeypatch, sha256=digest)
    return digest


def run(*arguments: object, answer: str = "") -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments], input=answer)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def lying_there() -> list[str]:
    return sorted(path.name for path in downloads.folder().rglob("*") if path.is_file())


# -- get ---------------------------------------------------------------------------------------------------------------


def test_weights_are_downloaded_checked_registered_and_answer(offered):
    printed = run("get", "sam-med3d")
    assert "published under Apache-2.0" in printed and "choose it with: --model sam-med3d" in printed
    assert f"SHA-256 {offered}, which is the one published." in printed
    assert registry.path_of("sam-med3d") == downloads.folder() / "sam-med3d" / NAME
    assert "sam-med3d" in [card.name for card in catalog.installed()]
    assert isinstance(build("sam-med3d", "cpu"), SamMed3DSegmenter) and lying_there() == [NAME]


def test_where_no_sha256_is_published_it_is_printed(server, offered, monkeypatch):
    offer(server, monkeypatch)
    assert f"SHA-256 {offered}, which nothing is known to compare with." in run("get", "sam-med3d")
    assert registry.registered()["sam-med3d"].sha256 == offered


def test_a_download_that_broke_goes_on_with_the_same_command(server, offered):
    server.behaviour.stop_after, server.behaviour.status = [20_000], [200, 500, 500]
    with pytest.raises(ModelError, match="the same command goes on from there"):
        run("get", "sam-med3d")
    assert registry.registered() == {} and lying_there() == [NAME + ".part", NAME + ".part.json"]
    server.asked.clear()
    run("get", "sam-med3d")
    assert [headers["Range"] for _, headers in server.asked] == ["bytes=20000-"]
    assert registry.registered()["sam-med3d"].sha256 == offered and lying_there() == [NAME]


def test_stopping_says_that_what_has_arrived_is_kept(offered, monkeypatch):
    def stopped(*_all: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "fetch", stopped)
    done = CliRunner().invoke(app, ["get", "sam-med3d"])
    assert done.exit_code != 0 and "is kept; the same command goes on from there" in done.output


def test_a_file_that_is_there_already_is_not_loaded_again(server, offered):
    run("get", "sam-med3d")
    registry.remove("sam-med3d")
    server.asked.clear()
    assert "which is the one published" in run("get", "sam-med3d")
    assert server.asked == [] and registry.path_of("sam-med3d").is_file()


def test_one_that_is_there_and_damaged_is_loaded_again(server, offered):
    run("get", "sam-med3d")
    registry.path_of("sam-med3d").write_bytes(b"damaged")
    run("get", "sam-med3d")
    assert registry.registered()["sam-med3d"].sha256 == offered


def test_another_of_the_models_files_can_be_chosen(server, offered, monkeypatch):
    first, other = catalog.card("sam-med3d").files[0], WeightsFile("other.pth", url=server.url)
    cards = tuple(replace(card, files=(first, other)) if card.files else card for card in catalog.cards())
    monkeypatch.setattr(catalog, "_CARDS", cards)
    run("get", "sam-med3d", "--file", "other.pth")
    assert registry.path_of("sam-med3d").name == "other.pth"
    with pytest.raises(
        ModelError, match=rf"no file called 'third\.pth' for SAM-Med3D; choose one of: {NAME}, other\.pth"
    ):
        run("get", "sam-med3d", "--file", "third.pth")


# -- what is never registered ------------------------------------------------------------------------------------------


def test_a_wrong_sha256_registers_nothing(server, offered, monkeypatch):
    offer(server, monkeypatch, sha256="0" * 64)
    with pytest.raises(ModelError, match="another SHA-256"):
        run("get", "sam-med3d")
    assert registry.registered() == {} and lying_there() == []


def test_a_file_of_another_size_registers_nothing(server, offered, monkeypatch):
    offer(server, monkeypatch, size_mb=402)
    with pytest.raises(ModelError, match="402 MB were expected"):
        run("get", "sam-med3d")
    assert registry.registered() == {} and lying_there() == []


def test_what_holds_no_weights_is_deleted_and_registers_nothing(server, monkeypatch):
    server.behaviour.content = CONTENT
    offer(server, monkeypatch)
    with pytest.raises(ModelError, match=r"no checkpoint of PyTorch.*What was downloaded is deleted again"):
        run("get", "sam-med3d")
    assert registry.registered() == {} and lying_there() == []


def test_the_published_file_is_kept_where_only_something_else_is_missing(server, tmp_path, monkeypatch):
    student = filled(StudentEncoder(small_student()))
    torch.save(student.state_dict(), tmp_path / "student.pth")
    server.behaviour.content = (tmp_path / "student.pth").read_bytes()
    offer(server, monkeypatch, "fastsam3d", sha256=hashlib.sha256(server.behaviour.content).hexdigest())
    monkeypatch.setattr("memseg.segmenters.sam_weights.StudentConfig", small_student)
    monkeypatch.setattr("memseg.segmenters.sam_weights.EncoderConfig", small_encoder)
    with pytest.raises(ModelError, match="image encoder of FastSAM3D alone"):
        run("get", "fastsam3d")
    assert registry.registered() == {} and lying_there() == ["FastSAM3D.pth"]
    torch.save(small_sam().state_dict(), tmp_path / "sam.pth")
    run("add", "sam-med3d", tmp_path / "sam.pth")
    server.asked.clear()
    run("get", "fastsam3d")
    assert server.asked == [] and registry.path_of("fastsam3d").name == "FastSAM3D.pth"


def test_without_torch_nothing_is_downloaded(server, offered, monkeypatch):
    monkeypatch.setattr(catalog, "missing_packages", lambda card: card.needs)
    with pytest.raises(ModelError, match="needs torch, safetensors; install it"):
        run("get", "sam-med3d")
    assert server.asked == []


def test_models_that_ship_are_not_downloaded():
    with pytest.raises(ModelError, match="'nano' takes no weights file"):
        run("get", "nano")
    with pytest.raises(ModelError, match="did you mean 'sam-med3d'"):
        run("get", "sam-med")


# -- licences and networks ---------------------------------------------------------------------------------------------


def test_weights_for_research_only_are_not_even_asked_for_without_a_yes(server, offered, monkeypatch):
    offer(server, monkeypatch, licence="CC-BY-NC-SA-4.0", sha256=offered)
    with pytest.raises(ModelError, match="nobody here to ask"):
        run("get", "sam-med3d")
    monkeypatch.setattr(models_command, "_somebody_is_there", lambda: True)
    with pytest.raises(ModelError, match="not accepted"):
        run("get", "sam-med3d", answer="no\n")
    assert server.asked == [] and lying_there() == []
    run("get", "sam-med3d", answer="yes\n")
    assert registry.registered()["sam-med3d"].licence == "CC-BY-NC-SA-4.0"


def test_the_command_line_itself_refuses_where_nobody_can_be_asked(monkeypatch):
    """In a process of its own, with what is really no terminal."""
    program = (
        "from dataclasses import replace\n"
        "from memseg import catalog, cli\n"
        "catalog._CARDS = tuple(replace(card, licence='research only') for card in catalog.cards())\n"
        "cli.main()\n"
    )
    words = [sys.executable, "-c", program, "models", "get", "sam-med3d"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "nobody here to ask" in done.stderr and "Traceback" not in done.stderr


def test_without_a_network_a_sentence_says_which_file_to_bring_and_what_to_run_then(server, offered):
    server.close()
    with pytest.raises(ModelError) as caught:
        run("get", "sam-med3d")
    assert str(caught.value) == (
        "127.0.0.1 cannot be reached from here (Connection refused). On a computer where it can be had, download "
        f"{NAME} from https://huggingface.co/blueyo0/SAM-Med3D, bring it here, then run: "
        f"memseg models add sam-med3d {NAME}."
    )

    assert not downloads.folder().exists()


def test_a_card_that_knows_a_page_only_says_what_to_do_there(monkeypatch):
    cards = tuple(replace(card, files=()) for card in catalog.cards())
    monkeypatch.setattr(catalog, "_CARDS", cards)
    with pytest.raises(
        ModelError, match=r"no address that this program knows: download FastSAM3D\.pth .* memseg models add fastsam3d"
    ):
        run("get", "fastsam3d")


def test_a_folder_that_cannot_be_made_is_a_sentence(offered, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(FileError, match=registry.VARIABLE):
        run("get", "sam-med3d")


def test_every_published_file_is_asked_for_by_https_with_its_name_at_the_end():
    files = [file for card in (*catalog.cards(), *catalog.slice_cards()) for file in card.files]
    assert {"sam_med3d_turbo.pth", "FastSAM3D.pth"} <= {file.name for file in files}
    for file in files:
        assert not file.url or (file.url.startswith("https://") and file.url.endswith("/" + file.name))
    for card in (*catalog.cards(), *catalog.slice_cards()):
        assert not card.files or (card.files[0].name, card.files[0].size_mb) == (card.weights, card.size_mb)


@pytest.mark.parametrize("fields", [{"name": "../x.pth"}, {"name": "a/b.pth"}, {"name": "x.pth", "sha256": "ABC"}])
def test_a_file_that_no_page_could_offer_is_refused(fields):
    with pytest.raises(ValueError):
        WeightsFile(**fields)


# -- purge -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def three_files(offered, tmp_path):
    """One that a model runs with, one that none does, and one that never arrived whole."""
    run("get", "sam-med3d")
    folder = downloads.folder()
    (folder / "sam-med3d" / "other.pth").write_bytes(b"x" * 2_000_000)
    (folder / "fastsam3d").mkdir()
    (folder / "fastsam3d" / "FastSAM3D.pth.part").write_bytes(b"x" * 1_000_000)
    (folder / "fastsam3d" / "FastSAM3D.pth.part.json").write_text("{}")


def test_what_is_there_is_looked_at_and_only_what_is_chosen_goes(three_files, monkeypatch):
    monkeypatch.setattr(models_command, "_somebody_is_there", lambda: True)
    printed = run("purge", answer="1, 3\n")
    rows = [line.split("│") for line in printed.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row[1:-1]] for row in rows] == [
        ["1", "fastsam3d", "FastSAM3D.pth.part", "1.0 MB", "unfinished"],
        ["2", "sam-med3d", "other.pth", "2.0 MB", "not in use"],
        ["3", "sam-med3d", NAME, rows[2][4].strip(), "in use"],
    ]
    assert lying_there() == ["other.pth"] and registry.registered() == {}
    assert not (downloads.folder() / "fastsam3d").exists()
    run("purge", "--all")
    assert not downloads.folder().exists()


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["fastsam3d"], ["other.pth", NAME]),
        (["sam-med3d"], ["FastSAM3D.pth.part", "FastSAM3D.pth.part.json"]),
        (["--partial"], ["other.pth", NAME]),
        (["--all"], []),
    ],
)
def test_what_goes_can_be_named(three_files, words, left):
    run("purge", *words)
    assert lying_there() == sorted(left)
    assert ("sam-med3d" in registry.registered()) == (NAME in left)


@pytest.mark.parametrize("answer", ["\n", ""])
def test_nothing_goes_where_nothing_is_chosen(three_files, monkeypatch, answer):
    monkeypatch.setattr(models_command, "_somebody_is_there", lambda: True)
    before = lying_there()
    assert "Nothing was deleted" in run("purge", answer=answer)
    assert lying_there() == before


@pytest.mark.parametrize("answer", ["4\n", "0\n", "one\n", "1 all\n"])
def test_an_answer_that_is_no_number_of_the_list_deletes_nothing(three_files, monkeypatch, answer):
    monkeypatch.setattr(models_command, "_somebody_is_there", lambda: True)
    before = lying_there()
    with pytest.raises(ModelError, match="none of the numbers"):
        run("purge", answer=answer)
    assert lying_there() == before


def test_where_nobody_can_be_asked_nothing_goes_unnamed(three_files):
    before = lying_there()
    with pytest.raises(ModelError, match="Nothing is deleted unasked"):
        run("purge", answer="all\n")
    with pytest.raises(ModelError, match="Nothing was downloaded for 'nano'"):
        run("purge", "sam-med3d", "nano")
    assert lying_there() == before


def test_files_that_were_added_from_elsewhere_are_left_alone(tmp_path):
    weights_of_a_small_network(tmp_path)
    run("add", "sam-med3d", tmp_path / "small.pth")
    assert "Nothing was downloaded." in run("purge", "--all")
    assert (tmp_path / "small.pth").is_file() and registry.path_of("sam-med3d") == tmp_path / "small.pth"


def test_removing_forgets_a_download_and_says_how_to_delete_it(offered):
    run("get", "sam-med3d")
    printed = run("remove", "sam-med3d")
    assert "To delete what was downloaded: memseg models purge sam-med3d" in printed
    assert registry.registered() == {} and lying_there() == [NAME]
