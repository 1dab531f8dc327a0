"""The demo, run as `memseg demo` runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import memseg
from memseg.errors import FileError, MemSegError
from MemSegBrowser import demo
from MemSegSlicerLib import SampleData

pytestmark = pytest.mark.slicer


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, list[tuple[str, float]]]:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    told: list[tuple[str, float]] = []
    demo.run(folder, progress=lambda what, fraction: told.append((what, fraction)))
    return folder, told


def test_all_files_are_there_and_nothing_else(made):
    folder, _ = made
    names = {"AbdomenCT.seg.nrrd", "demo.json", "axial.png", "coronal.png", "sagittal.png", "3d.png"}
    assert {path.name for path in folder.iterdir()} == names
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]


def test_the_report_names_model_versions_and_every_click(made):
    report = json.loads((made[0] / "demo.json").read_text(encoding="utf-8"))
    assert set(report["models"]) == {card.name for card in memseg.catalog.installed()}
    assert next(iter(report["models"])) == memseg.catalog.default()
    assert set(report["versions"]) >= {"memseg", "slicer-core", "vtk", "numpy", "SimpleITK"}
    for made_by in report["models"].values():
        assert list(made_by["organs"]) == list(demo.ORGANS)
        for clicks in made_by["organs"].values():
            assert 1 <= len(clicks) <= demo.CLICKS and clicks[0]["positive"]
            assert all(0 <= click["dice"] <= 1 and click["seconds"] > 0 for click in clicks)
            assert all(len(click["point_ras"]) == 3 for click in clicks)


def test_the_organs_are_found(made):
    report = json.loads((made[0] / "demo.json").read_text(encoding="utf-8"))
    geodesic = report["models"]["geodesic"]
    last = {organ: clicks[-1]["dice"] for organ, clicks in geodesic["organs"].items()}
    assert last["Spleen"] > 0.75 and min(last.values()) > 0.3
    assert geodesic["mean_dice_after_last_click"] > 0.75  # 0.83 measured


def test_the_file_holds_the_masks_the_report_speaks_of(made):
    """Read without Slicer: voxel for voxel on the image's grid, by the labels and layers the header names."""
    folder, _ = made
    report = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    sample = SampleData.abdomenCT()
    organs = report["models"][memseg.catalog.default()]["organs"]
    truth = sitk.GetArrayFromImage(sitk.ReadImage(sample.labels))
    image = sitk.ReadImage(folder / "AbdomenCT.seg.nrrd")
    layers = sitk.GetArrayFromImage(image).reshape(*truth.shape, -1)
    assert image.GetSize() == sitk.ReadImage(sample.image).GetSize()
    for number, organ in enumerate(demo.ORGANS):
        tag = {key: image.GetMetaData(f"Segment{number}_{key}") for key in ("Name", "Layer", "LabelValue", "Tags")}
        assert tag["Name"] == organ and "TerminologyEntry:Segmentation category" in tag["Tags"]
        mask = layers[..., int(tag["Layer"])] == int(tag["LabelValue"])
        own = truth == sample.values[organ]
        dice = 2 * (mask & own).sum() / (mask.sum() + own.sum())
        assert dice == pytest.approx(organs[organ][-1]["dice"], abs=1e-4)


@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal"])
def test_slice_pictures_show_the_image_the_masks_and_the_clicks(made, name):
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(made[0] / f"{name}.png")).astype(int)
    assert pixels.shape == (600, 600, 3)
    grey = (np.ptp(pixels, axis=-1) == 0) & (pixels[..., 0] > 30)
    assert grey.mean() > 0.1 and len(np.unique(pixels[grey])) > 50
    colored = (pixels[..., 0] - pixels[..., 2]) > 25
    assert colored.mean() > 0.01
    assert (np.abs(pixels - np.round(np.array(demo._GREEN) * 255)).max(axis=-1) < 12).sum() > 20


def test_the_3d_picture_shows_surfaces(made):
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(made[0] / "3d.png")).astype(int)
    assert ((pixels[..., 0] - pixels[..., 2]) > 40).mean() > 0.05


def test_progress_runs_from_nothing_to_all(made):
    fractions = [fraction for _, fraction in made[1]]
    assert fractions[0] == 0 and fractions[-1] == 1 and fractions == sorted(fractions)
    assert len(fractions) >= len(demo.ORGANS) + 3


class TestTheBundledVolume:
    def test_names_its_structures_in_words(self):
        sample = SampleData.abdomenCT()
        assert sample.image.is_file() and sample.labels.is_file()
        assert set(demo.ORGANS) <= set(sample.values) and len(set(sample.values.values())) == len(sample.values)

    @pytest.mark.parametrize("content", [None, "{", "[]", '{"name": "AbdomenCT"}'])
    def test_says_so_where_it_is_missing_or_damaged(self, tmp_path, monkeypatch, content):
        if content is not None:
            (tmp_path / "AbdomenCT.json").write_text(content)
        monkeypatch.setattr(SampleData, "_FOLDER", tmp_path)
        with pytest.raises(FileError, match="install MemSegSlicer again"):
            SampleData.abdomenCT()


class TestFolders:
    @pytest.fixture(autouse=True)
    def short(self, monkeypatch):
        """Only one organ and one click, so that each of these takes a second."""
        monkeypatch.setattr(demo, "ORGANS", ("Right kidney",))
        monkeypatch.setattr(demo, "CLICKS", 1)

    def test_an_earlier_demo_is_replaced(self, tmp_path):
        folder = tmp_path / "demo"
        folder.mkdir()
        (folder / "demo.json").write_text("{}")
        (folder / "old.png").write_text("old")
        demo.run(folder)
        assert not (folder / "old.png").exists() and (folder / "axial.png").is_file()

    def test_a_folder_with_other_things_is_left_alone(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(FileError, match="other things"):
            demo.run(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    def test_a_failure_leaves_the_earlier_demo_and_nothing_half_written(self, tmp_path):
        folder = tmp_path / "demo"
        folder.mkdir()
        (folder / "demo.json").write_text("{}")
        with pytest.raises(MemSegError, match="no model called"):
            demo.run(folder, model="no such model")
        assert [path.name for path in tmp_path.rglob("*")] == ["demo", "demo.json"]

    def test_ctrl_c_leaves_the_earlier_demo_and_nothing_half_written(self, tmp_path):
        def interrupt(what: str, fraction: float) -> None:
            if fraction > 0.5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            demo.run(tmp_path / "demo", progress=interrupt)
        assert list(tmp_path.iterdir()) == []
