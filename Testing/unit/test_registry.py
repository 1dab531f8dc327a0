"""The list of weights a user has brought, and what the catalog makes of it."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from memseg import catalog, registry
from memseg.build import build
from memseg.errors import FileError, ModelError


@pytest.fixture(autouse=True)
def own_list(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "registry"))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "my weights.pth"
    path.write_bytes(b"weights" * 100)
    return path


def added(weights):
    return registry.add("sam-med3d", weights, "Apache-2.0")


def test_nothing_is_registered_at_first_and_no_folder_is_made():
    assert registry.registered() == {} and registry.path_of("sam-med3d") is None
    assert not registry.location().parent.exists()


def test_the_list_lies_in_the_users_data_folder_unless_the_variable_names_another(tmp_path, monkeypatch):
    assert registry.location() == tmp_path / "registry" / "models.json"
    monkeypatch.delenv(registry.VARIABLE)
    assert registry.location().name == "models.json" and "memseg" in registry.location().parts
    assert tmp_path not in registry.location().parents


def test_a_file_is_remembered_by_path_and_digest_and_stays_where_it_is(weights):
    entry = added(weights)
    assert registry.registered() == {"sam-med3d": entry}
    assert registry.path_of("sam-med3d") == weights and weights.is_file()
    assert entry.sha256 == hashlib.sha256(b"weights" * 100).hexdigest() and entry.size_bytes == 700
    assert entry.licence == "Apache-2.0" and len(entry.accepted) == len("2025-01-31")
    assert not list(registry.location().parent.glob("*.pth"))


def test_a_relative_path_is_remembered_as_an_absolute_one(weights, monkeypatch):
    monkeypatch.chdir(weights.parent)
    registry.add("sam-med3d", type(weights)(weights.name), "Apache-2.0")
    monkeypatch.chdir("/")
    assert registry.path_of("sam-med3d") == weights


def test_adding_again_replaces_and_other_models_stay(weights, tmp_path):
    added(weights)
    registry.add("fastsam3d", weights, "Apache-2.0")
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    registry.add("sam-med3d", other, "Apache-2.0")
    assert registry.path_of("sam-med3d") == other and registry.path_of("fastsam3d") == weights


def test_removing_forgets_the_file_and_leaves_it(weights):
    added(weights)
    registry.remove("sam-med3d")
    assert registry.registered() == {} and weights.is_file()
    with pytest.raises(ModelError, match="No file was added"):
        registry.remove("sam-med3d")


def test_a_file_that_is_not_there_is_a_sentence_and_changes_nothing(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.pth is missing"):
        registry.add("sam-med3d", tmp_path / "nowhere.pth", "Apache-2.0")
    assert registry.registered() == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        "[]",
        "{}",
        '{"format": 2, "models": {}}',
        '{"format": 1, "models": []}',
        '{"format": 1, "models": {"sam-med3d": {}}}',
        '{"format": 1, "models": {"sam-med3d": {"path": 1, "sha256": "", "size_bytes": 1, "modified_ns": 1, '
        '"licence": "", "accepted": ""}}}',
        '{"format": 1, "models": {"sam-med3d": {"path": "", "sha256": "", "size_bytes": "1", "modified_ns": "1", '
        '"licence": "", "accepted": ""}}}',
    ],
)
def test_a_damaged_list_counts_as_empty_until_something_is_to_be_written(weights, text):
    registry.location().parent.mkdir()
    registry.location().write_text(text)
    assert registry.registered() == {} and "geodesic" in [card.name for card in catalog.installed()]
    with pytest.raises(FileError, match="damaged or cannot be read; delete it"):
        added(weights)
    with pytest.raises(FileError):
        registry.remove("sam-med3d")
    assert registry.location().read_text() == text


def test_a_folder_that_cannot_be_made_is_a_sentence(weights, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "file" / "registry"))
    with pytest.raises(FileError, match=registry.VARIABLE):
        added(weights)


# -- a file that changes -----------------------------------------------------------------------------------------------


def test_a_file_as_it_was_added_is_not_read_again(weights, monkeypatch):
    added(weights)
    monkeypatch.setattr(registry, "digest", lambda path: pytest.fail("read"))
    registry.check_unchanged("sam-med3d")
    registry.check_unchanged("fastsam3d")  # of which there is none


def test_a_file_with_another_date_and_the_same_content_is_as_good(weights):
    added(weights)
    os.utime(weights, (1, 1))
    registry.check_unchanged("sam-med3d")


@pytest.mark.parametrize("content", [b"weightz" * 100, b"weights"])
def test_a_file_that_has_changed_is_refused(weights, content):
    added(weights)
    weights.write_bytes(content)
    os.utime(weights, (1, 1))
    with pytest.raises(
        ModelError, match="have changed since they were added; add it again: memseg models add sam-med3d"
    ):
        registry.check_unchanged("sam-med3d")


def test_a_file_that_has_moved_is_refused(weights):
    added(weights)
    weights.rename(weights.with_name("elsewhere.pth"))
    with pytest.raises(ModelError, match="not where they were any more"):
        registry.check_unchanged("sam-med3d")


# -- the catalog -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sam-med3d", "fastsam3d"])
def test_a_model_whose_weights_a_user_brings_is_known_and_not_installed_until_then(weights, monkeypatch, name):
    monkeypatch.setattr(catalog, "missing_packages", lambda card: ())
    card = catalog.card(name)
    assert card.licence == "Apache-2.0" and card.hardware and card.size_mb > 100
    assert card not in catalog.installed() and catalog.lacks_weights(card)
    registry.add(name, weights, card.licence)
    assert card in catalog.installed() and catalog.weights_path(card) == weights
    registry.remove(name)
    assert card not in catalog.installed()


def test_a_file_beside_the_list_that_was_not_added_does_not_count(monkeypatch):
    card = catalog.card("sam-med3d")
    registry.location().parent.mkdir()
    catalog.weights_path(card).write_bytes(b"weights")
    assert catalog.lacks_weights(card)


def test_building_one_without_its_weights_says_what_to_do(monkeypatch):
    monkeypatch.setattr(catalog, "missing_packages", lambda card: ())
    with pytest.raises(ModelError) as caught:
        build("sam-med3d")
    assert str(caught.value) == (
        "The weights of the model 'sam-med3d' do not ship: memseg models get sam-med3d downloads them; where there is "
        "no network, download sam_med3d_turbo.pth (402 MB, Apache-2.0) from https://huggingface.co/blueyo0/SAM-Med3D, "
        "then run: memseg models add sam-med3d FILE."
    )


def test_building_one_whose_weights_have_changed_says_so(weights, monkeypatch):
    monkeypatch.setattr(catalog, "missing_packages", lambda card: ())
    added(weights)
    weights.write_bytes(b"other")
    with pytest.raises(ModelError, match="have changed since"):
        build("sam-med3d")


def test_they_are_never_what_everything_starts_with(weights, monkeypatch):
    monkeypatch.setattr(catalog, "missing_packages", lambda card: ())
    added(weights)
    assert catalog.default() in ("nano", "geodesic")


def test_the_list_is_readable_by_people(weights):
    added(weights)
    content = json.loads(registry.location().read_text())
    assert content["format"] == 1 and content["models"]["sam-med3d"]["licence"] == "Apache-2.0"
    assert "\n" in registry.location().read_text()
