"""Opening and saving: images and scenes in, segmentations and scenes out. A bad file leaves everything as it was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer import vtkMRMLNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from trame_server import Server
from trame_slicer.core import SlicerApp

import memseg
from memseg.errors import FileError, SessionError, VolumeError
from memseg.files import ending
from memseg.volume import Volume
from MemSegSlicerLib import SceneBridge
from MemSegSlicerLib.Controller import Controller

from . import scene_files
from .notices import Notices
from .page_state import Page
from .workspace import Workspace, add_volume_node

logger = logging.getLogger(__name__)

SAMPLE = Path(__file__).parents[1] / "Resources" / "SampleData" / "AbdomenCT.nii.gz"
_LABEL_MAPS = (".nii.gz", ".nii", ".nrrd", ".mha")


class Documents:
    """What the open and save dialogues do. Reading and writing of images runs in a thread; scenes are MRML's own."""

    def __init__(
        self,
        server: Server,
        slicer_app: SlicerApp,
        page: Page,
        workspace: Workspace,
        controller: Controller,
        notices: Notices,
        opened: Callable[[], None],
        segments_added: Callable[[], None],
    ) -> None:
        """opened: another image is there. segments_added: the same image, with more segments."""
        self._server = server
        self._app = slicer_app
        self._page = page
        self._workspace = workspace
        self._controller = controller
        self._notices = notices
        self._opened = opened
        self._segments_added = segments_added
        self._belongings: list[vtkMRMLNode] = []
        self._saved: dict[str, Any] = {}
        self._waiting: Path | None = None
        self._may_replace: Path | None = None

    # -- opening -----------------------------------------------------------------------------------------------------

    @property
    def has_unsaved_work(self) -> bool:
        stamps = self._stamps()
        return bool(stamps) and stamps != self._saved

    async def ask_open(self, path: str | Path) -> None:
        """Open a file, after a question where there is work that was not saved."""
        target = _path_of(path)
        if not target.exists():
            raise FileError(f"There is no file {target}; check its name.")
        if self.has_unsaved_work and ending(target) != ".seg.nrrd":
            self._waiting = target
            self._page.data.open_shown = False
            self._page.data.discard_shown = True
            return
        await self.open(target)

    async def open_waiting(self) -> None:
        """The user answered that unsaved work may go."""
        self._page.data.discard_shown = False
        target, self._waiting = self._waiting, None
        if target is not None:
            await self.open(target)

    async def open(self, path: Path) -> None:
        """Open an image, a folder with a DICOM series, a scene, or a segmentation of the image that is open."""
        if self._page.data.opening:
            raise SessionError("Another file is being opened; wait until it is there.")
        self._show(opening=True)
        try:
            if path.suffix.lower() == ".mrb":
                await asyncio.get_running_loop().run_in_executor(None, scene_files.check_scene, path)
                self._take_over_scene(path)
            elif ending(path) == ".seg.nrrd":
                await asyncio.get_running_loop().run_in_executor(None, scene_files.check_image, path)
                self._take_over_segmentation(path)
            else:
                await self._take_over_image(path)
            self._show(open_shown=False)
        finally:
            self._show(opening=False)

    async def _take_over_image(self, path: Path) -> None:
        volume = await asyncio.get_running_loop().run_in_executor(None, memseg.read_volume, path)
        name = volume.name or path.name.removesuffix(ending(path))
        node = add_volume_node(self._app.scene, volume, name)
        self._adopt(volume, node, None, [node])
        self._notices.say(f"Opened {path.name}; click inside the structure to segment.")

    def _take_over_scene(self, path: Path) -> None:
        added = scene_files.import_scene(self._app, path)
        node = scene_files.volume_among(added)
        try:
            volume = SceneBridge.volumeFromNode(node)
        except memseg.MemSegError:
            scene_files.remove(self._app.scene, added)
            raise
        self._adopt(volume, node, scene_files.segmentation_among(added, node), added)
        self._notices.say(f"Opened the scene {path.name}; go on where you left off.")

    def _take_over_segmentation(self, path: Path) -> None:
        """Segments from a file, added to those there are."""
        if self._workspace.volume_node is None:
            raise VolumeError("Open the image first, then the segmentation made on it.")
        source = self._app.io_manager.load_segmentation(path)
        if source is None:
            raise FileError(f"{path.name} cannot be read as a segmentation; it is damaged or of another kind.")
        try:
            identifiers = list(source.GetSegmentation().GetSegmentIDs())
            for identifier in identifiers:
                SceneBridge.readSegment(source, identifier, self._workspace.volume_node)
            self._workspace.take_segments(source, identifiers)
        finally:
            self._app.scene.RemoveNode(source)
        self._segments_added()
        self._notices.say(f"Added {len(identifiers)} segment{'s' if len(identifiers) != 1 else ''} from {path.name}.")

    def _adopt(
        self,
        volume: Volume,
        volume_node: vtkMRMLScalarVolumeNode,
        segmentation_node: vtkMRMLSegmentationNode | None,
        added: list[vtkMRMLNode],
    ) -> None:
        """Make new nodes the ones that are worked on; those of the previous document leave the scene."""
        previous = [*self._belongings, *self._workspace.nodes]
        self._workspace.adopt(volume, volume_node, segmentation_node)
        self._controller.setVolume(volume_node)
        scene_files.remove(self._app.scene, [node for node in previous if node not in self._workspace.nodes])
        self._belongings = added
        self._opened()
        self._saved = self._stamps()

    # -- saving ------------------------------------------------------------------------------------------------------

    async def save(self, path: str | Path) -> None:
        """Save by the file's ending: .mrb the scene, .seg.nrrd or a label map the segments."""
        target = _path_of(path)
        if target.exists() and target != self._may_replace:
            self._may_replace = target
            self._notices.complain(f"{target.name} exists already; press Save again to replace it.")
            return
        self._may_replace = None
        await self.write(target)
        self._show(save_shown=False)
        self._notices.say(f"Saved {target.name}.")

    async def write(self, target: Path) -> None:
        """Raises FileError, with the file as it was, where it cannot be written."""
        if self._workspace.volume_node is None:
            raise SessionError("There is nothing to save; open an image first.")
        if not target.parent.is_dir():
            raise FileError(f"There is no folder {target.parent}; choose one that exists.")
        self._show(saving=True)
        try:
            await asyncio.sleep(0.05)
            if target.suffix.lower() == ".mrb":
                self._controller.saveToScene()
                scene_files.write_scene(self._app, target)
            elif ending(target) == ".seg.nrrd":
                scene_files.write_segmentation(self._workspace.segmentation_node, target)
            elif ending(target) in _LABEL_MAPS:
                await self._write_label_map(target)
            else:
                raise FileError(f"{target.name} has no ending that can be saved; use .seg.nrrd, .nii.gz or .mrb.")
        finally:
            self._show(saving=False)
        self._saved = self._stamps()

    async def _write_label_map(self, target: Path) -> None:
        node, volume_node = self._workspace.segmentation_node, self._workspace.volume_node
        volume = self._controller.volume
        snapshots = {
            row.name: SceneBridge.readSegment(node, row.identifier, volume_node) for row in self._workspace.rows()
        }

        def write() -> None:
            masks = {name: snapshot.mask() for name, snapshot in snapshots.items()}
            memseg.write_segmentation(target, masks, volume)

        await asyncio.get_running_loop().run_in_executor(None, write)

    def _stamps(self) -> dict[str, Any]:
        """What tells whether any voxel changed; empty while every segment is."""
        node = self._workspace.segmentation_node
        if node is None or not any(
            self._workspace.holds_voxels(identifier) for identifier in self._workspace.segment_ids
        ):
            return {}
        return {identifier: SceneBridge.segmentStamp(node, identifier) for identifier in self._workspace.segment_ids}

    def _show(self, **values: bool) -> None:
        with self._server.state:
            for name, value in values.items():
                setattr(self._page.data, name, value)


def _path_of(path: str | Path) -> Path:
    words = str(path or "").strip().strip('"').strip("'")
    if not words:
        raise FileError("Type the name of a file first.")
    return Path(words).expanduser().absolute()
