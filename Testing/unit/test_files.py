"""Images come in whole or with a sentence; files go out whole or not at all."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from fakes import box_mask, turned_grid

import memseg
from memseg.errors import FileError, GeometryError, VolumeError
from memseg.files import replacing
from memseg.geometry import Box, Grid
from memseg.volume import Volume

SHAPE = (6, 7, 8)
ARRAY = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
MASKS = {"liver": box_mask(SHAPE, Box((1, 1, 1), (4, 4, 4))), "spleen": box_mask(SHAPE, Box((4, 4, 4), (6, 7, 8)))}


def volume(grid: Grid | None = None) -> Volume:
    return Volume(ARRAY, grid or turned_grid(SHAPE))


def image_of(array: np.ndarray, grid: Grid, vector: bool = False) -> sitk.Image:
    """Written by hand against ITK's own convention: LPS is RAS with the first two axes turned round."""
    image = sitk.GetImageFromArray(array, isVector=vector)
    axes = grid.ijk_to_ras[:3, :3] * np.array([[-1], [-1], [1]])
    spacing = np.linalg.norm(axes, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((axes / spacing).ravel().tolist())
    image.SetOrigin((grid.ijk_to_ras[:3, 3] * (-1, -1, 1)).tolist())
    return image


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "ct.nrrd", "ct.mha"])
def test_an_oblique_anisotropic_image_is_read_with_its_place_in_the_world(tmp_path, name):
    grid = turned_grid(SHAPE)
    sitk.WriteImage(image_of(ARRAY, grid), str(tmp_path / name))
    read = memseg.read_volume(tmp_path / name)
    assert np.array_equal(read.array_kji, ARRAY) and read.name == "ct"
    assert read.grid.same_as(grid)


def write_series(folder: Path, positions_mm, columns=(1, 0, 0, 0, 1, 0), uid="1.2.3") -> None:
    """One DICOM file a slice, at the given positions (LPS mm)."""
    folder.mkdir(exist_ok=True)
    for number, position in enumerate(positions_mm):
        image = sitk.GetImageFromArray(ARRAY[number % SHAPE[0]][None])
        image.SetSpacing((0.8, 0.9, 1))
        tags = {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0020|000d": "1.2.3.4",
            "0020|000e": uid,
            "0020|0013": str(number + 1),
            "0020|0032": "\\".join(f"{value:g}" for value in position),
            "0020|0037": "\\".join(f"{value:g}" for value in columns),
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{uid}-{number}.dcm"))
        writer.Execute(image)


def test_a_dicom_folder_is_read_in_the_order_of_its_slices(tmp_path):
    positions = [(-10, -20, z) for z in (30, 27.5, 25, 22.5)]
    write_series(tmp_path / "series", positions)
    read = memseg.read_volume(tmp_path / "series")
    assert read.shape_kji == (4, 7, 8)
    assert np.allclose(read.grid.spacing_kji_mm, (2.5, 0.9, 0.8))
    assert np.allclose(read.grid.ras_from_kji((0, 0, 0)), (10, 20, 22.5))
    assert np.array_equal(read.array_kji, ARRAY[[3, 2, 1, 0]])


def test_a_dicom_folder_with_a_missing_slice_a_tilt_or_two_series_is_refused(tmp_path):
    write_series(tmp_path / "gap", [(0, 0, z) for z in (0, 2, 4, 8, 10)])
    with pytest.raises(GeometryError, match="not evenly spaced"):
        memseg.read_volume(tmp_path / "gap")
    write_series(tmp_path / "tilt", [(0, z / 4, z) for z in (0, 2, 4, 6)])
    with pytest.raises(GeometryError, match="tilt"):
        memseg.read_volume(tmp_path / "tilt")
    for uid in ("1.2.5", "1.2.6"):
        write_series(tmp_path / "two", [(0, 0, z) for z in (0, 2, 4)], uid=uid)
    with pytest.raises(FileError, match="2 series"):
        memseg.read_volume(tmp_path / "two")
    (tmp_path / "none").mkdir()
    with pytest.raises(FileError, match="no DICOM"):
        memseg.read_volume(tmp_path / "none")


def written(path: Path, array: np.ndarray, vector: bool = False) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path))
    return path


def test_images_that_are_no_scalar_volume_are_refused_with_what_to_do(tmp_path):
    cases = [
        (written(tmp_path / "flat.png", np.zeros((4, 5), np.uint8)), "single 2D picture"),
        (written(tmp_path / "flat.nii", np.zeros((4, 5), np.int16)), "single 2D picture"),
        (written(tmp_path / "colour.nrrd", np.zeros((3, 4, 5, 3), np.uint8), vector=True), "3 values a voxel"),
        (written(tmp_path / "series.nii.gz", np.zeros((5, 3, 4, 6), np.int16)), "5 time points"),
        (written(tmp_path / "even.nii", np.full((3, 4, 5), 7, np.int16)), "same value"),
        (written(tmp_path / "nan.nrrd", np.full((3, 4, 5), np.nan, np.float32)), "not numbers"),
    ]
    for path, sentence in cases:
        with pytest.raises(VolumeError, match=sentence):
            memseg.read_volume(path)


def test_a_fourth_dimension_of_one_does_no_harm(tmp_path):
    path = written(tmp_path / "single.nii", ARRAY[None])
    assert memseg.read_volume(path).shape_kji == SHAPE


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "ct.nrrd", "ct.mha"])
def test_a_file_cut_short_is_a_sentence(tmp_path, name):
    whole = written(
        tmp_path / name, np.random.default_rng(0).integers(0, 999, (20, 30, 40), dtype=np.int16)
    ).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match=f"{name} (cannot be read|is cut short)"):
        memseg.read_volume(tmp_path / name)


def test_a_nifti_file_with_something_after_its_voxels_is_whole(tmp_path):
    written(tmp_path / "ct.nii", ARRAY)
    content = (tmp_path / "ct.nii").read_bytes() + b"more"
    (tmp_path / "ct.nii").write_bytes(content)
    (tmp_path / "ct.nii.gz").write_bytes(gzip.compress(content))
    for name in ("ct.nii", "ct.nii.gz"):
        assert np.array_equal(memseg.read_volume(tmp_path / name).array_kji, ARRAY)


def test_a_missing_an_empty_and_a_foreign_file_are_sentences(tmp_path):
    (tmp_path / "empty.nii").touch()
    (tmp_path / "letter.nii.gz").write_text("Dear user,")
    (tmp_path / "letter.txt").write_text("Dear user,")
    with pytest.raises(FileError, match="is empty"):
        memseg.read_volume(tmp_path / "empty.nii")
    with pytest.raises(FileError, match="There is no file"):
        memseg.read_volume(tmp_path / "none.nii")
    for name in ("letter.nii.gz", "letter.txt"):
        with pytest.raises(FileError, match="cannot be read|damaged"):
            memseg.read_volume(tmp_path / name)


def test_a_sheared_nifti_is_refused_with_a_sentence(tmp_path):
    path = written(tmp_path / "sheared.nii", ARRAY)
    header = bytearray(path.read_bytes())
    header[252:256] = np.array([0, 1], "<i2").tobytes()  # qform_code 0, sform_code 1
    header[280:328] = np.array([[1, 0, 0.3, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "<f4").tobytes()
    path.write_bytes(header)
    with pytest.raises(GeometryError, match="right angles"):
        memseg.read_volume(path)


@pytest.mark.parametrize("name", ["out.seg.nrrd", "out.nii.gz", "out.nrrd", "out.mha"])
def test_masks_are_written_as_labels_in_the_image_s_place(tmp_path, name):
    memseg.write_segmentation(tmp_path / name, MASKS, volume())
    image = sitk.ReadImage(str(tmp_path / name))
    assert np.array_equal(sitk.GetArrayFromImage(image), MASKS["liver"] + 2 * MASKS["spleen"])
    assert memseg.read_volume(tmp_path / name).grid.same_as(volume().grid)
    for value, mask in enumerate(MASKS.values(), start=1):
        assert np.array_equal(memseg.read_mask(tmp_path / name, volume(), value), mask)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_overlapping_masks_go_to_layers_of_a_segmentation_and_to_nothing_else(tmp_path):
    masks = {"all": np.ones(SHAPE, np.uint8), **MASKS}
    memseg.write_segmentation(tmp_path / "out.seg.nrrd", masks, volume())
    layers = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.seg.nrrd")))
    assert np.array_equal(layers[..., 0], masks["all"])
    assert np.array_equal(layers[..., 1], MASKS["liver"] + 2 * MASKS["spleen"])
    with pytest.raises(FileError, match="overlap.*seg.nrrd"):
        memseg.write_segmentation(tmp_path / "out.nii.gz", masks, volume())


@pytest.mark.parametrize(
    ("name", "masks", "sentence"),
    [
        ("out.docx", MASKS, "no ending"),
        ("out.nii.gz", {}, "no segment"),
        ("out.nii.gz", {"liver": np.ones((2, 2, 2))}, "must agree"),
        ("no/folder/out.nii.gz", MASKS, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_a_sentence_and_leaves_no_file(tmp_path, name, masks, sentence):
    with pytest.raises(FileError, match=sentence):
        memseg.write_segmentation(tmp_path / name, masks, volume())
    assert list(tmp_path.iterdir()) == []


def test_a_mask_on_another_grid_or_without_the_label_is_refused(tmp_path):
    memseg.write_segmentation(tmp_path / "mask.nii.gz", MASKS, volume())
    with pytest.raises(GeometryError, match="does not lie on the image's grid"):
        memseg.read_mask(tmp_path / "mask.nii.gz", volume(Grid(SHAPE, np.eye(4))))
    with pytest.raises(FileError, match="no voxel of label 9"):
        memseg.read_mask(tmp_path / "mask.nii.gz", volume(), 9)


def test_whatever_goes_wrong_while_writing_the_old_file_stays(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    for wrong in (KeyboardInterrupt(), OSError(28, "No space left on device")):
        with pytest.raises((KeyboardInterrupt, FileError)), replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise wrong
        assert path.read_text() == "old" and [each.name for each in tmp_path.iterdir()] == ["a.txt"]


LIMITED = """
import resource, signal, sys
import numpy as np, memseg
sys.path.insert(0, {tests!r})
from fakes import turned_grid
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
noise = np.random.default_rng(0).integers(0, 2, (60, 60, 60), dtype=np.uint8)
volume = memseg.Volume(noise, turned_grid(noise.shape))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    memseg.write_segmentation(sys.argv[1], {{"noise": noise}}, volume)
except memseg.FileError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size to stand for a full disk")
@pytest.mark.parametrize("name", ["out.seg.nrrd", "out.nii.gz", "out.mha"])
def test_a_disk_that_takes_no_more_is_a_sentence_and_leaves_the_old_file(tmp_path, name):
    (tmp_path / name).write_text("old")
    program = LIMITED.format(tests=str(Path(__file__).parents[1] / "parts"))
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / name)], capture_output=True, encoding="utf-8", timeout=120
    )
    assert "cannot be written" in done.stdout, done.stderr
    assert (tmp_path / name).read_text() == "old" and len(list(tmp_path.iterdir())) == 1
