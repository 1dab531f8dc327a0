"""Sequences: images in time, read as one volume a time point and written as one label map."""

import numpy as np
import pytest
import SimpleITK as sitk
from fakes import turned_grid

from memseg import read_sequence, write_segmentation, write_sequence
from memseg.errors import FileError, VolumeError
from memseg.volume import Volume

SHAPE = (3, 4, 5)
FRAMES = np.arange(2 * 60, dtype=np.int16).reshape(2, *SHAPE)
GRID = turned_grid(SHAPE)
VOLUMES = tuple(Volume(frame, GRID) for frame in FRAMES)


def placed(image: sitk.Image) -> sitk.Image:
    """On the turned grid, in the LPS of the files."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GRID.ijk_to_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.nrrd"])
def test_a_4d_image_is_read_as_one_volume_a_time_point_in_its_place(tmp_path, name):
    sitk.WriteImage(sitk.JoinSeries([placed(sitk.GetImageFromArray(frame)) for frame in FRAMES]), str(tmp_path / name))
    volumes = read_sequence(tmp_path / name)
    assert [volume.name for volume in volumes] == ["a 0", "a 1"]
    assert all(np.array_equal(volume.array_kji, frame) for volume, frame in zip(volumes, FRAMES))
    assert volumes[0].grid is volumes[1].grid and volumes[0].grid.same_as(GRID, tolerance_mm=1e-3)


def test_a_sequence_as_slicer_saves_it_is_read(tmp_path):
    header = (
        "NRRD0004\ntype: int16\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 5 4 3\n"
        "space directions: none (1,0,0) (0,1,0) (0,0,2)\nkinds: list domain domain domain\n"
        "endian: little\nencoding: raw\nspace origin: (1,2,3)\n\n"
    )
    (tmp_path / "a.seq.nrrd").write_bytes(header.encode() + np.ascontiguousarray(np.moveaxis(FRAMES, 0, -1)).tobytes())
    volumes = read_sequence(tmp_path / "a.seq.nrrd")
    assert all(np.array_equal(volume.array_kji, frame) for volume, frame in zip(volumes, FRAMES))
    assert volumes[0].grid.spacing_kji_mm == (2, 1, 1) and len(volumes) == 2


def test_a_3d_image_is_a_sequence_of_one(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(FRAMES[0]), str(tmp_path / "a.nii.gz"))
    (volume,) = read_sequence(tmp_path / "a.nii.gz")
    assert volume.name == "a" and np.array_equal(volume.array_kji, FRAMES[0])


def test_colours_are_no_time_points(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((*SHAPE, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    with pytest.raises(VolumeError, match="3 values a voxel"):
        read_sequence(tmp_path / "a.nrrd")


def test_what_is_no_sequence_is_a_sentence(tmp_path):
    with pytest.raises(FileError, match="is a folder"):
        read_sequence(tmp_path)
    with pytest.raises(FileError, match="There is no file"):
        read_sequence(tmp_path / "none.nii.gz")
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(frame) for frame in FRAMES * 0]), str(tmp_path / "a.nrrd"))
    with pytest.raises(VolumeError, match="same value"):
        read_sequence(tmp_path / "a.nrrd")


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nrrd"])
def test_masks_in_time_come_back_as_they_were_written(tmp_path, name):
    masks = [frame % 3 == 0 for frame in FRAMES]
    write_sequence(tmp_path / name, masks, VOLUMES)
    volumes = read_sequence(tmp_path / name)
    assert all(np.array_equal(volume.array_kji, mask) for volume, mask in zip(volumes, masks))
    assert volumes[0].grid.same_as(GRID, tolerance_mm=1e-3)


@pytest.mark.parametrize(
    ("name", "masks", "sentence"),
    [
        ("m.seg.nrrd", FRAMES, "no ending for a label map in time"),
        ("m.mha", FRAMES, "no ending for a label map in time"),
        ("m.nii.gz", FRAMES[:1], "one mask for every time point"),
        ("m.nii.gz", (), "one mask for every time point"),
        ("m.nii.gz", FRAMES[:, 1:], "one mask for every time point"),
        ("none/m.nii.gz", FRAMES, "cannot be written"),
    ],
)
def test_masks_in_time_that_cannot_be_written_are_a_sentence_and_no_file(tmp_path, name, masks, sentence):
    with pytest.raises(FileError, match=sentence):
        write_sequence(tmp_path / name, list(masks), VOLUMES)
    assert not list(tmp_path.iterdir())


def test_a_segmentation_of_one_time_point_is_none_of_all(tmp_path):
    write_segmentation(tmp_path / "m.nii.gz", {"a": FRAMES[0] > 3}, VOLUMES[0])
    assert len(read_sequence(tmp_path / "m.nii.gz")) == 1
