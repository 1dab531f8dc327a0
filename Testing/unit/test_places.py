"""Where files lie, in a checkout, in an installed extension, and on each system."""

from __future__ import annotations

from pathlib import Path

from memseg.places import resources, user_folder


def test_in_this_checkout_the_resources_are_those_of_the_module():
    assert (resources() / "SampleData" / "AbdomenCT.nii.gz").is_file()
    assert (resources() / "Models").is_dir()


def test_where_slicer_installed_the_engine_beside_the_module_the_resources_lie_beside_it_too(tmp_path):
    (tmp_path / "qt-scripted-modules" / "Resources").mkdir(parents=True)
    engine = tmp_path / "qt-scripted-modules" / "memseg"
    assert resources(engine) == tmp_path / "qt-scripted-modules" / "Resources"


def test_each_system_has_its_own_folder_for_what_a_program_keeps():
    assert user_folder("linux", {"HOME": "/home/ann"}) == Path("/home/ann/.local/share/memseg")
    assert user_folder("linux", {"HOME": "/home/ann", "XDG_DATA_HOME": "/data"}) == Path("/data/memseg")
    assert user_folder("darwin", {"HOME": "/Users/ann"}) == Path("/Users/ann/Library/Application Support/memseg")
    assert user_folder("win32", {"LOCALAPPDATA": "L", "USERPROFILE": "U"}) == Path("L/memseg")
    assert user_folder("win32", {"USERPROFILE": "U"}) == Path("U/AppData/Local/memseg")
