"""Scenes and segmentations as files that Slicer opens: .mrb and .seg.nrrd, in and out.

Slicer's readers end the process on some damaged files, so SimpleITK reads every image first: it only raises.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import SimpleITK as sitk
from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLScene,
    vtkMRMLSegmentationNode,
    vtkMRMLSegmentationStorageNode,
)
from trame_slicer.core import SlicerApp

from memseg.errors import FileError
from memseg.files import replacing

logger = logging.getLogger(__name__)

_IMAGES = (".nrrd", ".nhdr", ".nii", ".mha", ".mhd")


def nodes_of(scene: vtkMRMLScene) -> list[vtkMRMLNode]:
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]


def check_image(path: Path) -> None:
    """Raise FileError unless the whole image can be read. Needs no scene, so it may run in any thread."""
    if not path.is_file():
        raise FileError(f"There is no file {path}; check its name.")
    try:
        sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise FileError(f"{path.name} is damaged or cut short; copy it again from where it came.") from error


def check_scene(path: Path) -> None:
    """Raise FileError unless the .mrb file is whole, with every image in it. May run in any thread."""
    if not path.is_file():
        raise FileError(f"There is no file {path}; check its name.")
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            archive.extractall(folder)  # checks each file's sum
            for inside in Path(folder).rglob("*"):
                if inside.suffix.lower() in _IMAGES or inside.name.lower().endswith(".nii.gz"):
                    check_image(inside)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise FileError(
            f"{path.name} is not a Slicer scene, or is cut short; copy it again from where it came."
        ) from error
    except OSError as error:
        raise FileError(f"{path.name} cannot be unpacked ({error.strerror}); free some space and try again.") from error


def import_scene(slicer_app: SlicerApp, path: Path) -> list[vtkMRMLNode]:
    """Add the nodes of a .mrb file that `check_scene` found whole to the scene, and return the new ones.

    Raises FileError, with the scene as it was, where it holds no scene or no image.
    """
    scene = slicer_app.scene
    before = set(nodes_of(scene))
    try:
        complete = bool(slicer_app.io_manager.load_scene(path))
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        complete = False
        logger.warning("The scene cannot be unpacked: %s", error)
    added = [node for node in nodes_of(scene) if node not in before]
    if not complete or volume_among(added) is None:
        remove(scene, added)
        what = (
            "holds no image volume"
            if complete
            else "cannot be read as a scene, because a file in it is damaged or missing"
        )
        raise FileError(f"{path.name} {what}; choose another file.")
    return added


def remove(scene: vtkMRMLScene, nodes: list[vtkMRMLNode]) -> None:
    """Take nodes out of the scene, those that others refer to last."""
    for node in reversed(nodes):
        if scene.IsNodePresent(node):
            scene.RemoveNode(node)


def volume_among(nodes: list[vtkMRMLNode]) -> vtkMRMLScalarVolumeNode | None:
    """The largest volume with an image, label maps aside."""
    volumes = [
        node
        for node in nodes
        if isinstance(node, vtkMRMLScalarVolumeNode)
        and not isinstance(node, vtkMRMLLabelMapVolumeNode)
        and node.GetImageData() is not None
    ]
    return max(volumes, key=lambda node: node.GetImageData().GetNumberOfPoints(), default=None)


def segmentation_among(
    nodes: list[vtkMRMLNode], volume_node: vtkMRMLScalarVolumeNode
) -> vtkMRMLSegmentationNode | None:
    """The segmentation made on the volume, or else the first one."""
    candidates = [node for node in nodes if isinstance(node, vtkMRMLSegmentationNode)]
    role = vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    own = [node for node in candidates if node.GetNodeReference(role) is volume_node]
    return next(iter(own or candidates), None)


def write_scene(slicer_app: SlicerApp, path: Path) -> None:
    """Write the whole scene to a .mrb file. Raises FileError; the file is then as before."""
    _in_folder_beside(path, lambda temporary: bool(slicer_app.io_manager.write_scene(temporary)))


def write_segmentation(node: vtkMRMLSegmentationNode, path: Path) -> None:
    """Write the segmentation with names, colours and terminology to a .seg.nrrd file. Raises FileError."""
    storage = vtkMRMLSegmentationStorageNode()
    storage.SetCropToMinimumExtent(False)
    with replacing(path) as temporary:
        storage.SetFileName(str(temporary))
        if not storage.WriteData(node):
            raise OSError(0, "the disk may be full or the folder read-only")


def _in_folder_beside(path: Path, write: Callable[[Path], bool]) -> None:
    """Write into a new folder beside the file under the file's own name, which a scene carries inside, then move it."""
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
        temporary = folder / path.name
        if not write(temporary) or not zipfile.is_zipfile(temporary):
            raise OSError(0, "the disk may be full or the folder read-only")
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(
            f"{path.name} cannot be written ({reason}); choose another place or free some space."
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
