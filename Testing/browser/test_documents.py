"""Opening and saving in the browser: what goes out comes back, and bad files change nothing."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from playwright.sync_api import expect

import memseg
from memseg.geometry import Grid
from memseg.volume import Volume

from .conftest import SHAPE_KJI, WAIT_MS, Desk, ball_array, write_image

pytestmark = pytest.mark.browser


def segment_the_ball(desk: Desk) -> int:
    desk.click("Axial")
    return desk.expect_voxels(lambda voxels: voxels > 50)


def test_segments_are_saved_with_name_and_voxels(desk: Desk, tmp_path: Path) -> None:
    voxels = segment_the_ball(desk)
    desk.press("ms-edit")
    desk.fill("ms-segment-name", "liver")
    desk.press("ms-segment-apply")
    expect(desk.segments).to_contain_text(["liver"])
    desk.save(tmp_path / "ball.seg.nrrd")
    desk.expect_sentence("Saved ball.seg.nrrd")
    image = sitk.ReadImage(str(tmp_path / "ball.seg.nrrd"))
    assert image.GetMetaData("Segment0_Name") == "liver"
    assert "10200004" in image.GetMetaData("Segment0_Tags")  # SNOMED CT's code of the liver
    assert np.count_nonzero(sitk.GetArrayFromImage(image)) == voxels
    assert [path.name for path in tmp_path.iterdir()] == ["ball.seg.nrrd"]


def test_a_label_map_lies_on_the_image_s_grid(desk: Desk, tmp_path: Path) -> None:
    voxels = segment_the_ball(desk)
    desk.save(tmp_path / "ball.nii.gz")
    desk.expect_sentence("Saved ball.nii.gz")
    labels = sitk.ReadImage(str(tmp_path / "ball.nii.gz"))
    image = sitk.ReadImage(str(desk.image))
    assert labels.GetSize() == image.GetSize()
    assert labels.GetOrigin() == pytest.approx(image.GetOrigin())
    mask = sitk.GetArrayFromImage(labels)
    assert np.count_nonzero(mask) == voxels
    middle = np.argwhere(mask).mean(axis=0)
    assert middle == pytest.approx([(size - 1) / 2 for size in SHAPE_KJI], abs=1.0)


def test_a_file_that_exists_is_replaced_only_when_asked_twice(desk: Desk, tmp_path: Path) -> None:
    segment_the_ball(desk)
    target = tmp_path / "mine.seg.nrrd"
    target.write_text("something dear")
    desk.save(target)
    desk.expect_sentence("exists already")
    assert target.read_text() == "something dear"
    desk.press("ms-save-now")
    desk.expect_sentence("Saved mine.seg.nrrd")
    assert target.read_bytes().startswith(b"NRRD")


@pytest.mark.parametrize(
    ("name", "words"),
    [("nowhere/ball.nrrd", "There is no folder"), ("ball.xyz", "no ending that can be saved")],
)
def test_a_file_that_cannot_be_written_is_explained(desk: Desk, tmp_path: Path, name: str, words: str) -> None:
    segment_the_ball(desk)
    desk.save(tmp_path / name)
    desk.expect_sentence(words)
    assert list(tmp_path.iterdir()) == []


def test_a_saved_scene_goes_on_where_it_was_left(desk: Desk, tmp_path: Path) -> None:
    voxels = segment_the_ball(desk)
    desk.click("Axial", 30, 0, "Control")
    fewer = desk.expect_voxels(lambda count: count < voxels)
    desk.save(tmp_path / "work.mrb")
    desk.expect_sentence("Saved work.mrb")
    desk.press("ms-reset")
    expect(desk.prompts).to_have_count(0)
    desk.open(tmp_path / "work.mrb")
    expect(desk.prompts).to_have_count(2, timeout=WAIT_MS)
    assert desk.expect_voxels(lambda count: count > 0) == fewer
    expect(desk.page.locator(".ms-memory")).to_have_text("2/60")
    desk.wait_until(lambda: desk.coloured_pixels("Axial"), lambda pixels: pixels > 100)
    desk.press("ms-undo")
    desk.expect_voxels(lambda count: count == voxels)


def leaning(scene: Path, shares: list[tuple[int, float]]) -> Path:
    """The scene as if the last answer of its only session had come from a model that tells what it leaned on."""
    changed = scene.with_name(f"leaning-{scene.name}")
    with zipfile.ZipFile(scene) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".mrml"):
                content = re.sub(rb'(?<= text=")[^"]+', lambda found: lean(found.group(), shares), content)
            new.writestr(name, content)
    return changed


def lean(session: bytes, shares: list[tuple[int, float]]) -> bytes:
    arrays = dict(np.load(io.BytesIO(base64.b64decode(session))))
    description = json.loads(bytes(arrays["description"]))
    description["states"][description["state"]]["leaned"] = shares
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays, "description": np.frombuffer(json.dumps(description).encode(), np.uint8)})
    return base64.b64encode(buffer.getvalue())


def test_prompts_show_how_much_the_mask_leaned_on_them(desk: Desk, tmp_path: Path) -> None:
    leaned = desk.page.locator(".ms-leaned")
    for number, across in enumerate((-8, 8, 0), start=1):
        desk.click("Axial", across, 0)
        expect(desk.prompts).to_have_count(number)
    desk.save(tmp_path / "work.mrb")
    desk.expect_sentence("Saved work.mrb")
    desk.press("ms-reset")
    expect(desk.prompts).to_have_count(0)
    desk.open(leaning(tmp_path / "work.mrb", [(1, 0.2), (2, 0.8)]))
    expect(leaned).to_have_text(["80 %", "20 %"])  # the newest, which was answered, leaned on the two before it
    expect(desk.prompts.nth(0).locator(".ms-leaned")).to_have_count(0)
    lengths = [bar.get_attribute("aria-valuenow") for bar in leaned.get_by_role("progressbar").all()]
    assert lengths == ["100", "25"]  # the largest share is a whole bar
    leaned.first.hover()
    expect(desk.page.get_by_text("The mask leaned on this by 80 %")).to_be_visible()
    desk.press("ms-undo")
    expect(leaned.filter(has_text="80 %")).to_have_count(0)
    desk.press("ms-redo")
    expect(leaned).to_have_text(["80 %", "20 %"])


def test_segments_from_a_file_join_those_there_are(desk: Desk, tmp_path: Path) -> None:
    voxels = segment_the_ball(desk)
    desk.save(tmp_path / "ball.seg.nrrd")
    desk.expect_sentence("Saved ball.seg.nrrd")
    desk.open(tmp_path / "ball.seg.nrrd")
    desk.expect_sentence("Added 1 segment")
    expect(desk.segments).to_have_count(2)
    assert voxels > 0


def test_segments_made_on_another_image_are_refused(desk: Desk, tmp_path: Path) -> None:
    other = Volume(np.arange(20 * 30 * 30).reshape(20, 30, 30), Grid.from_spacing((20, 30, 30), (5.0, 4.3, 4.3)))
    mask = np.zeros(other.shape_kji, np.uint8)
    mask[5:15, 10:20, 10:20] = 1
    memseg.write_segmentation(tmp_path / "other.seg.nrrd", {"liver": mask}, other)
    (tmp_path / "damaged.seg.nrrd").write_bytes((tmp_path / "other.seg.nrrd").read_bytes()[:300])
    desk.open(tmp_path / "other.seg.nrrd")
    desk.expect_sentence("coarser than the image's or do not line up")
    desk.close_dialogues()
    desk.open(tmp_path / "damaged.seg.nrrd")
    desk.expect_sentence("is damaged or cut short")
    expect(desk.segments).to_have_count(1)
    expect(desk.segments).to_contain_text(["Segment 1"])


def test_an_upload_opens(desk: Desk, tmp_path: Path) -> None:
    path = write_image(tmp_path / "uploaded.nii.gz", ball_array())
    desk.press("ms-open")
    desk.page.locator("input.ms-upload").set_input_files(path)
    desk.expect_sentence("Opened uploaded.nii.gz")
    expect(desk.page.locator(".ms-image-name")).to_have_text("uploaded")


def test_a_download_brings_the_segments(desk: Desk) -> None:
    voxels = segment_the_ball(desk)
    desk.press("ms-save")
    with desk.page.expect_download() as waiting:
        desk.press("ms-download-seg")
    assert waiting.value.suggested_filename == "ball.seg.nrrd"
    path = desk.server.folder / "downloaded.seg.nrrd"
    waiting.value.save_as(path)
    assert np.count_nonzero(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))) == voxels


def test_opening_another_image_asks_before_it_closes_unsaved_work(desk: Desk, tmp_path: Path) -> None:
    other = write_image(tmp_path / "other.nii.gz", ball_array())
    voxels = segment_the_ball(desk)
    desk.press("ms-open")
    desk.fill("ms-open-path", str(other))
    desk.press("ms-open-now")
    expect(desk.page.locator(".ms-discard")).to_be_visible()
    desk.page.get_by_text("Cancel", exact=True).last.click()
    assert desk.voxels == voxels
    expect(desk.page.locator(".ms-image-name")).to_have_text("ball")


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Every kind of file that cannot be segmented, with words of the sentence that says why."""
    good = ball_array()
    empty, text, cut = folder / "empty.nii.gz", folder / "notes.nii.gz", folder / "cut.nii.gz"
    empty.write_bytes(b"")
    text.write_bytes(gzip.compress(b"no image at all"))
    cut.write_bytes(write_image(folder / "whole.nii.gz", good).read_bytes()[:20_000])
    holey = good.astype(np.float32)
    holey[3, 3, 3] = np.nan
    scene = folder / "scene.mrb"
    scene.write_bytes(b"PK\x03\x04 not really")
    return {
        "missing": (folder / "nowhere.nii.gz", "There is no file"),
        "empty": (empty, "is empty"),
        "no image": (text, "damaged"),
        "cut short": (cut, "damaged"),
        "flat": (write_image(folder / "flat.png", good[0].clip(0, 255).astype(np.uint8)), "2D picture"),
        "four-dimensional": (write_image(folder / "times.nii.gz", np.stack([good, good])), "time points or channels"),
        "colour": (
            write_image(folder / "colour.nrrd", np.stack([good] * 3, axis=-1).astype(np.uint8), is_vector=True),
            "colour or vectors",
        ),
        "not a number": (write_image(folder / "holey.nrrd", holey), "not numbers"),
        "constant": (write_image(folder / "constant.nii.gz", np.full_like(good, 7)), "same value"),
        "no DICOM": (folder, "no DICOM images"),
        "no scene": (scene, "not a Slicer scene"),
    }


def test_bad_files_get_a_sentence_and_leave_everything_as_it_was(desk: Desk, tmp_path: Path) -> None:
    voxels = segment_the_ball(desk)
    for kind, (path, words) in bad_files(tmp_path).items():
        desk.open(path)
        desk.expect_sentence(words)
        assert "Traceback" not in desk.sentence.inner_text(), kind
        desk.close_dialogues()
        expect(desk.page.locator(".ms-image-name")).to_have_text("ball")
        assert desk.voxels == voxels, kind
    desk.press("ms-undo")
    desk.expect_voxels(lambda count: count == 0)


def test_clicks_where_there_is_nothing_to_segment_are_explained(desk: Desk) -> None:
    desk.click("3D", -90, -90)
    desk.expect_sentence("The 3D view only shows the result")
    box = desk.box_of("Axial")
    desk.click("Axial", -box["width"] / 2 + 12, 60)
    desk.expect_sentence("outside the volume")
    expect(desk.prompts).to_have_count(0)
    expect(desk.page.locator(".ms-memory")).to_have_text(re.compile("^0/60"))
