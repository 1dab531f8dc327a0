"""Images and segmentations on the disk, through SimpleITK. LPS, the frame of the files, appears only here.

A file either comes in whole as a Volume or raises a sentence; a file is written beside its name first, read back,
compared, and only then put in place, so that a full disk or Ctrl-C leaves what was there before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import FileError, GeometryError, VolumeError
from .geometry import Box, Grid
from .nifti import check_is_whole
from .replacing import replacing
from .volume import Volume

if TYPE_CHECKING:
    import SimpleITK as sitk

_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_VOLUME_ENDINGS = (".seg.nrrd", ".nii.gz", ".nrrd", ".nii", ".mha", ".mhd")
_SEQUENCE_ENDINGS = (".nii.gz", ".nrrd", ".nii")
_UNEVEN_SLICES = 0.1  # of the usual distance; scanners round positions to hundredths of a millimetre
_TILT = 0.01  # sideways shift per mm of the slices' stacking direction


def ending(path: Path) -> str:
    """The file's ending with both its parts, such as ".nii.gz", in lower case."""
    name = path.name.lower()
    return next((known for known in _VOLUME_ENDINGS if name.endswith(known)), path.suffix.lower())


# -- reading ---------------------------------------------------------------------------------------------------------


def read_volume(path: str | Path) -> Volume:
    """A NIfTI, NRRD or MetaImage file, or a folder with one DICOM series, as a Volume.

    Raises FileError for what cannot be read, VolumeError for what is no scalar 3D image, GeometryError for shear.
    """
    path = Path(path)
    image = _read_series(path) if path.is_dir() else _read_file(path)
    return Volume(_scalar_array(image, path), _grid_of(image), name=path.name.removesuffix(ending(path)))


def read_sequence(path: str | Path) -> tuple[Volume, ...]:
    """The time points of a 4D NIfTI or NRRD file, or of a sequence as Slicer saves it, on one grid; a 3D file holds
    one.

    Raises FileError, VolumeError or GeometryError.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path.name} is a folder; a sequence is one 4D NIfTI or NRRD file.")
    image = _read_file(path)
    grid, name, points = _grid_of(image), path.name.removesuffix(ending(path)), _time_points(image, path)
    return tuple(Volume(array, grid, name if len(points) == 1 else f"{name} {n}") for n, array in enumerate(points))


def _time_points(image: sitk.Image, path: Path) -> np.ndarray:
    """(T, K, J, I) voxels."""
    import SimpleITK as sitk

    key = "NRRD_kinds[pixel]"  # Slicer's sequences keep their list of time points where others keep colours
    is_list = image.HasMetaDataKey(key) and image.GetMetaData(key) in ("list", "time")
    if image.GetDimension() == 3 and is_list:
        return np.ascontiguousarray(np.moveaxis(sitk.GetArrayFromImage(image), -1, 0))
    if image.GetDimension() == 4 and image.GetNumberOfComponentsPerPixel() == 1:
        return sitk.GetArrayFromImage(image)
    return _scalar_array(image, path)[None]


def read_mask(path: str | Path, volume: Volume, value: int | None = None) -> np.ndarray:
    """A label map on the volume's grid as a (K, J, I) uint8 0/1 mask: voxels of `value`, or all that are not zero.

    Raises GeometryError where the grids differ, FileError where the label does not occur.
    """
    path = Path(path)
    image = _read_file(path)
    labels = _scalar_array(image, path)
    if not _grid_of(image).same_as(volume.grid, tolerance_mm=0.01):
        raise GeometryError(
            f"The mask {path.name} does not lie on the image's grid; resample it to the image first "
            "(nearest neighbour), then use it."
        )
    mask = labels != 0 if value is None else labels == value
    if not mask.any():
        raise FileError(f"{path.name} holds no voxel {'above zero' if value is None else f'of label {value}'}.")
    return mask.astype(np.uint8)


def read_layers(path: str | Path) -> tuple[np.ndarray, Grid, dict[str, str]]:
    """The label maps of a file as (L, K, J, I), several where a `.seg.nrrd` holds segments that overlap; their grid;
    the file's own fields, among them what Slicer knows of segments. Raises FileError or GeometryError."""
    import SimpleITK as sitk

    path = Path(path)
    image = _read_file(path)
    if image.GetDimension() != 3:
        raise FileError(f"{path.name} is no 3D segmentation; save it from Slicer as .seg.nrrd or as a label map.")
    array = sitk.GetArrayFromImage(image)
    layers = array[None] if image.GetNumberOfComponentsPerPixel() == 1 else np.moveaxis(array, -1, 0)
    return layers, _grid_of(image), {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}


def _read_file(path: Path) -> sitk.Image:
    import SimpleITK as sitk

    if not path.exists():
        raise FileError(f"There is no file {path}; check its name.")
    if path.stat().st_size == 0:
        raise FileError(f"{path.name} is empty; copy it again from where it came.")
    if ending(path) in (".nii", ".nii.gz"):
        check_is_whole(path)
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise GeometryError(
                f"The axes of {path.name} are not at right angles; resample it onto a straight grid first."
            ) from error
        raise FileError(
            f"{path.name} cannot be read as an image: it is damaged, cut short, or of a kind other than "
            "NIfTI, NRRD, MetaImage or DICOM."
        ) from error


def _read_series(folder: Path) -> sitk.Image:
    import SimpleITK as sitk

    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise FileError(f"The folder {folder.name} holds no DICOM images; choose the folder of one series.")
    files = {uid: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid) for uid in series}
    longest = max(files.values(), key=len)
    if sum(len(names) == len(longest) for names in files.values()) > 1:
        raise FileError(
            f"The folder {folder.name} holds {len(series)} series of images; put yours in a folder of its own."
        )
    _check_stack(longest, folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(longest)
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise FileError(f"The DICOM series in {folder.name} cannot be read; a file is damaged or missing.") from error


def _check_stack(names: tuple[str, ...], folder: Path) -> None:
    """Refuse what ITK would straighten silently: missing slices and tilted stacks."""
    import SimpleITK as sitk

    positions, normal = [], None
    reader = sitk.ImageFileReader()
    for name in names:
        reader.SetFileName(name)
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise FileError(f"{Path(name).name} in {folder.name} cannot be read; copy the series again.") from error
        positions.append(reader.GetOrigin())
        if normal is None:
            normal = np.array(reader.GetDirection()).reshape(reader.GetDimension(), -1)[:3, 2]
    if len(names) < 3:
        return
    steps = np.diff(np.array(positions)[:, :3], axis=0)
    along = np.abs(steps @ normal)
    usual = np.median(along)
    if usual <= 0 or np.abs(along - usual).max() > _UNEVEN_SLICES * usual:
        raise GeometryError(
            f"The slices in {folder.name} are not evenly spaced; add the missing slice or take the extra one out."
        )
    aside = np.linalg.norm(steps - (steps @ normal)[:, None] * normal, axis=1)
    if aside.max() > _TILT * usual + 0.01:
        raise GeometryError(
            f"The slices in {folder.name} are tilted against their stack (gantry tilt); resample them first."
        )


def _scalar_array(image: sitk.Image, path: Path) -> np.ndarray:
    """(K, J, I) voxels; VolumeError for colour, 2D and 4D images."""
    import SimpleITK as sitk

    components = image.GetNumberOfComponentsPerPixel()
    if components > 1:
        raise VolumeError(
            f"{path.name} holds {components} values a voxel (colour or vectors); convert it to a scalar volume first."
        )
    if image.GetDimension() == 2:
        raise VolumeError(f"{path.name} is a single 2D picture; MemSeg segments volumes, so load the whole series.")
    if image.GetDimension() > 3 and set(image.GetSize()[3:]) != {1}:
        raise VolumeError(
            f"{path.name} holds {image.GetSize()[3]} time points or channels; extract one of them and load that."
        )
    array = sitk.GetArrayFromImage(image)
    return array.reshape(array.shape[-3:])


def _grid_of(image: sitk.Image) -> Grid:
    dimension = image.GetDimension()
    lps = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)[:3, :3]
    lps[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    lps[:3, 3] = image.GetOrigin()[:3]
    return Grid(tuple(reversed(image.GetSize()[:3])), _RAS_FROM_LPS @ lps)


# -- writing ---------------------------------------------------------------------------------------------------------


def check_output(path: Path, in_time: bool = False) -> None:
    """FileError unless a segmentation, or with `in_time` the masks of a sequence, could be written under that name."""
    if in_time and ending(path) not in _SEQUENCE_ENDINGS:
        raise FileError(f"{path.name} has no ending for a label map in time; use .nii.gz or .nrrd.")
    if ending(path) not in _VOLUME_ENDINGS:
        raise FileError(f"{path.name} has no ending for a segmentation; use .seg.nrrd, .nii.gz, .nrrd or .mha.")
    if not path.parent.is_dir():
        raise FileError(
            f"{path.name} cannot be written (no such folder); choose another place or make the folder first."
        )


def write_segmentation(path: str | Path, masks: Mapping[str, np.ndarray], volume: Volume) -> None:
    """Write named (K, J, I) masks: `.seg.nrrd` as Slicer's segmentation, any other ending as a label map 1, 2, ...

    Masks may overlap in a `.seg.nrrd`, where they go to separate layers. Raises FileError; the file is then as before.
    """
    path = Path(path)
    kind = ending(path)
    check_output(path)
    if not masks:
        raise FileError("There is no segment to write; segment something first.")
    for name, mask in masks.items():
        if np.shape(mask) != volume.shape_kji:
            raise FileError(
                f"The mask of '{name}' has shape {np.shape(mask)}, the volume {volume.shape_kji}; they must agree."
            )
    layers, places = _layers(masks, volume)
    if len(layers) > 1 and kind != ".seg.nrrd":
        raise FileError(f"Segments overlap, which {kind} cannot hold; write a .seg.nrrd instead.")
    image = _image_of(layers, volume.grid)
    if kind == ".seg.nrrd":
        for key, value in _segment_fields(masks, places, volume).items():
            image.SetMetaData(key, value)
    with replacing(path) as temporary:
        _write_checked(image, temporary)


def write_volume(path: str | Path, volume: Volume) -> None:
    """Write the image itself. Raises FileError; the file is then as before."""
    array = volume.array_kji
    kept = {"b": np.uint8, "e": np.float32}.get(array.dtype.char if array.dtype.char == "e" else array.dtype.kind)
    _write_image(Path(path), array.astype(kept) if kept else array, volume)


def write_labels(path: str | Path, labels_kji: np.ndarray, volume: Volume) -> None:
    """Write (K, J, I) whole numbers on the volume's grid. Raises FileError; the file is then as before."""
    _write_image(Path(path), labels_kji, volume)


def _write_image(path: Path, array_kji: np.ndarray, volume: Volume) -> None:
    check_output(path)
    image = _image_of([np.ascontiguousarray(array_kji, array_kji.dtype.newbyteorder("="))], volume.grid)
    with replacing(path) as temporary:
        _write_checked(image, temporary)


def write_sequence(path: str | Path, masks: Sequence[np.ndarray], volumes: Sequence[Volume]) -> None:
    """Write the (K, J, I) masks of the time points of a sequence as one 4D label map, 0 and 1. Raises FileError; the
    file is then as before."""
    import SimpleITK as sitk

    path = Path(path)
    check_output(path, in_time=True)
    if not masks or len(masks) != len(volumes) or any(np.shape(mask) != volumes[0].shape_kji for mask in masks):
        raise FileError("A sequence has one mask for every time point, all of one shape.")
    points = [_image_of([(np.asarray(mask) != 0).astype(np.uint8)], volumes[0].grid) for mask in masks]
    with replacing(path) as temporary:
        _write_checked(sitk.JoinSeries(points), temporary)


def _layers(masks: Mapping[str, np.ndarray], volume: Volume) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """Label maps without overlap, and each mask's layer and label value: the first layer with room, the next value."""
    layers: list[np.ndarray] = []
    places: list[tuple[int, int]] = []
    values: list[int] = []
    for mask in masks.values():
        inside = np.asarray(mask) != 0
        index = next((i for i, layer in enumerate(layers) if not layer[inside].any()), len(layers))
        if index == len(layers):
            layers.append(np.zeros(volume.shape_kji, np.uint8 if len(masks) < 256 else np.uint16))
            values.append(0)
        values[index] += 1
        layers[index][inside] = values[index]
        places.append((index, values[index]))
    return layers, places


def _image_of(layers: list[np.ndarray], grid: Grid) -> sitk.Image:
    import SimpleITK as sitk

    if len(layers) == 1:
        image = sitk.GetImageFromArray(layers[0])
    else:
        image = sitk.GetImageFromArray(np.stack(layers, axis=-1), isVector=True)
    lps = _RAS_FROM_LPS @ grid.ijk_to_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def _segment_fields(masks: Mapping[str, np.ndarray], places: list[tuple[int, int]], volume: Volume) -> dict[str, str]:
    """The key/value pairs by which Slicer knows a segmentation (Slicer documentation, 'Segmentations: file format')."""
    full = _extent_words(volume.grid.box)
    fields = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for index, ((name, mask), (layer, value)) in enumerate(zip(masks.items(), places)):
        box = Box.of_mask(np.asarray(mask))
        colour = _COLOURS[index % len(_COLOURS)]
        fields |= {
            f"Segment{index}_ID": f"Segment_{index + 1}",
            f"Segment{index}_Name": name.replace("\n", " "),
            f"Segment{index}_NameAutoGenerated": "0",
            f"Segment{index}_Color": " ".join(f"{part:.6g}" for part in colour),
            f"Segment{index}_ColorAutoGenerated": "1",
            f"Segment{index}_Layer": str(layer),
            f"Segment{index}_LabelValue": str(value),
            f"Segment{index}_Extent": full if box.is_empty else _extent_words(box),
        }
    return fields


_COLOURS = (
    (0.87, 0.51, 0.31),
    (0.72, 0.83, 0.41),
    (0.36, 0.68, 0.89),
    (0.95, 0.77, 0.26),
    (0.73, 0.48, 0.79),
    (0.40, 0.80, 0.67),
)


def _extent_words(box: Box) -> str:
    """VTK's inclusive extent, i first."""
    pairs = [f"{low} {high - 1}" for low, high in zip(box.start_kji, box.stop_kji)]
    return " ".join(reversed(pairs))


def _write_checked(image: sitk.Image, path: Path) -> None:
    """Write compressed, then read back: ITK's writers do not report every full disk."""
    import SimpleITK as sitk

    try:
        sitk.WriteImage(image, str(path), useCompression=True)
        written = sitk.ReadImage(str(path))  # named, because the views below do not keep their images alive
        same = np.array_equal(sitk.GetArrayViewFromImage(written), sitk.GetArrayViewFromImage(image))
    except RuntimeError as error:
        raise OSError(0, "the disk may be full or the folder read-only") from error
    if not same:
        raise OSError(0, "the file read back differs; the disk may be full")
