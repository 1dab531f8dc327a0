"""What Slicer's Extensions Index wants of an extension, and what its build system and its loader want of the files."""

from __future__ import annotations

import ast
import json
import re
import struct
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "MemSegSlicer"
PACKAGES = ("MemSegSlicerLib", "MemSegSlicerWidgets", "SegmentEditorMemSegLib")
NOT_OURS_TO_SHIP = {".git", ".venv", ".train", "demo", "build", "__pycache__", ".pytest_cache", ".hypothesis"}
NOT_OURS_TO_SHIP |= {".ruff_cache", ".import_linter_cache"}
# What a Slicer has without any installation. Everything else has to wait until it is needed.
IN_SLICER = {"slicer", "vtk", "vtkmodules", "vtkITK", "qt", "ctk", "numpy", "scipy", "SimpleITK"}
IN_SLICER |= {"SegmentEditorEffects", "qSlicerSegmentationsEditorEffectsPythonQt"}


def cmake_values(path: Path) -> dict[str, list[str]]:
    """{variable: values} of every set(...) of a CMakeLists.txt."""
    text = re.sub(r"^\s*#.*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {}
    for name, body in re.findall(r"\bset\((\w+)\s+(.*?)\)\n", text, re.DOTALL):
        found[name] = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^\s"]+)', body)]
    return found


def metadata() -> dict[str, str]:
    return {name: words[0] for name, words in cmake_values(ROOT / "CMakeLists.txt").items()}


def files_in(folder: Path, base: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(base).as_posix() for path in paths}


# -- the build system ------------------------------------------------------------------------------------------------


def test_every_file_of_the_module_is_listed_for_installation():
    values = cmake_values(MODULE / "CMakeLists.txt")
    listed = values["MODULE_PYTHON_SCRIPTS"] + values["MODULE_PYTHON_RESOURCES"]
    there = {"MemSegSlicer.py"}.union(*(files_in(MODULE / name, MODULE) for name in (*PACKAGES, "Resources")))
    assert sorted(listed) == sorted(there)


def test_every_file_of_the_engine_is_listed_for_installation():
    values = cmake_values(ROOT / "Logic" / "CMakeLists.txt")
    listed = values["ENGINE_PYTHON_SCRIPTS"] + values["ENGINE_PYTHON_RESOURCES"]
    assert sorted(listed) == sorted(files_in(ROOT / "Logic" / "memseg", ROOT / "Logic"))


def test_scripts_are_listed_as_scripts_and_the_rest_as_resources():
    for path, kind in ((MODULE, "MODULE"), (ROOT / "Logic", "ENGINE")):
        values = cmake_values(path / "CMakeLists.txt")
        assert all(name.endswith(".py") for name in values[f"{kind}_PYTHON_SCRIPTS"])
        assert not any(name.endswith(".py") for name in values[f"{kind}_PYTHON_RESOURCES"])


def test_the_engine_is_installed_where_it_finds_the_modules_resources():
    text = (ROOT / "Logic" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "INSTALL_DIR ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}" in text and "NO_INSTALL_SUBDIR" in text


def test_the_self_tests_run_in_slicers_own_test_run_without_a_main_window():
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "slicer_add_python_unittest(" in text and "--no-main-window" in text


def test_the_project_has_a_compiler_as_slicers_own_configuration_asks_for_its_word_size():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.findall(r"^project\((.*)\)$", text, re.MULTILINE) == ["MemSegSlicer"]


# -- the loader ------------------------------------------------------------------------------------------------------


def test_slicer_finds_one_module_in_the_folder_named_like_its_class():
    assert [path.name for path in MODULE.glob("*.py")] == ["MemSegSlicer.py"]
    classes = {node.name for node in parsed(MODULE / "MemSegSlicer.py").body if isinstance(node, ast.ClassDef)}
    assert {"MemSegSlicer", "MemSegSlicerWidget", "MemSegSlicerLogic", "MemSegSlicerTest"} == classes


def test_the_effect_is_alone_in_its_folder_under_its_files_name_and_exported():
    folder = MODULE / "SegmentEditorMemSegLib"
    effects = [path for path in folder.glob("*Effect.py")]
    assert [path.stem for path in effects] == ["SegmentEditorMemSegEffect"]
    assert "SegmentEditorMemSegEffect" in {
        node.name for node in parsed(effects[0]).body if isinstance(node, ast.ClassDef)
    }
    assert "import SegmentEditorMemSegEffect" in (folder / "__init__.py").read_text(encoding="utf-8")


def test_all_extensions_share_one_path_so_our_packages_have_names_of_their_own():
    ours = {path.name for path in MODULE.iterdir() if (path / "__init__.py").is_file()}
    assert ours == {*PACKAGES, "MemSegBrowser"} and all("MemSeg" in name for name in ours)


@pytest.mark.parametrize("path", sorted(path for name in PACKAGES for path in (MODULE / name).rglob("*.py")), ids=str)
def test_a_file_of_the_module_imports_only_what_slicer_has(path):
    assert foreign(path) == set()


def test_the_module_file_imports_nothing_of_ours_before_it_is_used():
    assert imported(MODULE / "MemSegSlicer.py") - {"slicer"} <= sys.stdlib_module_names


def foreign(path: Path) -> set[str]:
    """Packages that a file imports when it is loaded, without those of Slicer, of Python and our own."""
    return imported(path) - IN_SLICER - set(PACKAGES) - {"memseg"} - sys.stdlib_module_names


def imported(path: Path) -> set[str]:
    names = set()
    for node in parsed(path).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# -- the index -------------------------------------------------------------------------------------------------------


def test_the_metadata_are_complete_and_in_a_sentence_or_two():
    values = metadata()
    assert values["EXTENSION_CATEGORY"] == "Segmentation" and values["EXTENSION_DEPENDS"] == "PyTorch"
    assert values["EXTENSION_CONTRIBUTORS"] and values["EXTENSION_HOMEPAGE"].endswith("#readme")
    assert 40 < len(values["EXTENSION_DESCRIPTION"]) < 300 and values["EXTENSION_DESCRIPTION"].count(".") <= 2


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_icon_and_screenshot_are_files_of_this_repository(name):
    addresses = metadata()[name].split()
    for address in addresses:
        inside = address.partition("/raw/main/")[2]
        assert inside and (ROOT / inside).is_file()
        assert address.startswith("https://")  # the index reads the file as text: no variables of CMake
    assert addresses


def test_the_icon_is_as_large_as_the_catalog_shows_it():
    header = (MODULE / "Resources" / "Icons" / "MemSegSlicer.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG") and struct.unpack(">II", header[16:24]) == (128, 128)


def test_the_catalog_entry_has_the_fields_of_its_schema_and_agrees_with_the_metadata():
    entry = json.loads((ROOT / "MemSegSlicer.json").read_text(encoding="utf-8"))
    known = {"$schema", "category", "scm_url", "scm_revision", "build_dependencies", "build_subdirectory", "tier"}
    assert set(entry) == known and "slicer-extension-catalog-entry-schema-v1" in entry["$schema"]
    values = metadata()
    assert entry["category"] == values["EXTENSION_CATEGORY"] and entry["tier"] in (1, 3, 5)
    assert entry["build_dependencies"] == values["EXTENSION_DEPENDS"].split()
    assert entry["scm_url"] == values["EXTENSION_HOMEPAGE"].replace("#readme", ".git")
    assert entry["build_subdirectory"] == values["EXTENSION_BUILD_SUBDIRECTORY"]


def test_the_licence_is_permissive_and_named():
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache" in readme()


def test_the_readme_shows_pictures_that_are_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", readme())
    assert pictures and all((ROOT / picture).is_file() for picture in pictures)


def test_the_readme_has_a_tutorial_of_steps_on_sample_data_for_the_desktop_too():
    desktop = readme().partition("## In the Slicer desktop")[2].partition("\n## ")[0]
    steps = re.findall(r"^(\d+)\. ", desktop, re.MULTILINE)
    assert len(steps) >= 5 and steps == [str(number + 1) for number in range(len(steps))]
    assert "Sample Data" in desktop and "AbdomenCT" in desktop and "Segment Editor" in desktop


def test_the_readme_says_what_becomes_of_the_users_images():
    assert "nothing is sent anywhere" in readme()


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_repository_is_below_100_megabytes():
    total = 0
    for path in ROOT.rglob("*"):
        inside = path.relative_to(ROOT)
        if not NOT_OURS_TO_SHIP & set(inside.parts) and path.is_file():
            total += path.stat().st_size
    assert total < 100e6
