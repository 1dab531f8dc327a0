"""The whole path without a person: clicks on the bundled CT, given as world points, become segments and pictures.

PromptTools -> Controller -> Session -> SceneBridge, in a real slicer-core scene, as the application takes it.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from trame_slicer.core import SlicerApp
from vtkmodules.vtkCommonCore import vtkVersion
from vtkmodules.vtkCommonDataModel import vtkVector3d

import memseg
from memseg import catalog
from memseg.errors import FileError, MemSegError
from memseg.evaluation.metrics import dice
from memseg.evaluation.simulation import next_click
from MemSegSlicerLib import PromptTools, SampleData, SceneBridge
from MemSegSlicerLib.Controller import Controller
from MemSegSlicerLib.Worker import MainQueue, Worker

from . import vtk_log, windowing
from .pictures import ORIENTATIONS, SlicePicture, SurfacePicture
from .scene_files import write_segmentation

logger = logging.getLogger(__name__)

# What stands out in a CT without contrast agent; vessels and muscles do not.
ORGANS = ("Liver", "Spleen", "Right kidney", "Left kidney", "Gallbladder", "Urinary bladder")
CLICKS = 6
_SHOWN = "Right kidney"  # the slices go through its first click: liver and left kidney lie there too
_GOOD_ENOUGH = 0.97  # Dice; a person would stop correcting
_SLOWEST_CLICK_S = 120.0
_REPORT = "demo.json"
_GREEN, _RED = (0.25, 1.0, 0.35), (1.0, 0.25, 0.2)

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class ClickResult:
    """One click and what it led to. point_ras: world mm. seconds: from the prompt to the mask in the scene."""

    point_ras: tuple[float, float, float]
    positive: bool
    dice: float
    seconds: float


Clicks = dict[str, list[ClickResult]]  # by organ


def run(outputFolder: Path, model: str | None = None, progress: Progress | None = None) -> dict[str, Clicks]:
    """Segment the organs, and write segmentation, pictures and `demo.json`; returns the clicks of each model.

    model: None for all that are here, the default first; the first one's masks are what is written and shown. progress:
    told what is being done and how much of it all is done, 0 to 1. The folder appears whole or not at all; an earlier
    demo in its place is replaced at the end. Raises MemSegError.
    """
    tell = progress or (lambda what, fraction: None)
    models = [model] if model else _installed()
    with _replacing(Path(outputFolder)) as folder:
        tell("Opening the bundled CT", 0.0)
        vtk_log.quieten()
        app = SlicerApp()
        vtk_log.forward()
        queue = MainQueue()
        worker = Worker(queue.post)
        stage = _Stage(app, queue, worker, models[0])
        try:
            results: dict[str, Clicks] = {name: {} for name in models}
            turns = [(name, organ) for name in models for organ in ORGANS]
            for number, (name, organ) in enumerate(turns):
                tell(f"Segmenting with {name}: {organ}", 0.1 + 0.7 * number / len(turns))
                results[name][organ] = stage.segment(organ, name)
            first = models[0]
            tell("Making pictures", 0.8)
            stage.show(results[first], first, _SHOWN, folder)
            tell("Writing files", 0.95)
            write_segmentation(stage.segmentations[first], folder / "AbdomenCT.seg.nrrd")
            _writeReport(folder / _REPORT, results)
        finally:
            stage.controller.cleanup()
            worker.close()
    tell("Done", 1.0)
    return results


def _installed() -> list[str]:
    """The default model first."""
    names = [card.name for card in catalog.installed()]
    return sorted(names, key=lambda name: (name != catalog.default(), name))


class _Stage:
    """The scene, and the one who clicks in it. segmentations: what each model has made, by its name."""

    def __init__(self, app: SlicerApp, queue: MainQueue, worker: Worker, model: str) -> None:
        sample = SampleData.abdomenCT()
        self._app = app
        self._queue = queue
        self._worker = worker
        self._values = sample.values
        read = app.volumes_logic.AddArchetypeVolume
        self.volumeNode: vtkMRMLScalarVolumeNode = read(str(sample.image), sample.name, 0)
        reference = read(str(sample.labels), "reference", 1)
        if self.volumeNode is None or reference is None:
            raise FileError("The bundled abdomen CT cannot be read; install MemSegSlicer again.")
        self._truth = SceneBridge.arrayOf(reference).copy()
        app.scene.RemoveNode(reference)
        self.segmentations: dict[str, vtkMRMLSegmentationNode] = {}
        self.controller = Controller(app.scene, worker, model)
        self.controller.setVolume(self.volumeNode)

    def segment(self, organ: str, model: str) -> list[ClickResult]:
        """A new segment, clicked by the field's protocol: deepest in the organ, then deepest in the largest error."""
        if model not in self.segmentations:
            name = f"{self.volumeNode.GetName()} {model}"
            self.segmentations[model] = SceneBridge.newSegmentation(self._app.scene, self.volumeNode, name)
        node = self.segmentations[model]
        segmentId = SceneBridge.addSegment(node, organ)
        self.controller.setSegment(None, None)
        self.controller.setModel(model)
        self.controller.setSegment(node, segmentId)
        truth = self._truth == self._values[organ]
        volume = self.controller.volume
        results: list[ClickResult] = []
        while len(results) < CLICKS and (not results or results[-1].dice < _GOOD_ENOUGH):
            click = next_click(truth, self._mask(node, segmentId), volume.grid.spacing_kji_mm)
            if click is None:
                break
            pointRas = tuple(float(value) for value in volume.grid.ras_from_kji(np.asarray(click.point_kji)))
            self.controller.add(PromptTools.clickFromRas(volume, pointRas, click.positive))
            if not self._queue.waitUntilIdle(self._worker, _SLOWEST_CLICK_S):
                raise MemSegError("A click took longer than two minutes; try again with another model.")
            state = self.controller.state
            if state.error:
                raise MemSegError(state.error)
            score = dice(truth, self._mask(node, segmentId))
            results.append(ClickResult(pointRas, click.positive, round(score, 4), round(state.milliseconds / 1000, 3)))
            logger.info("%s, click %d: Dice %.3f in %.2f s", organ, len(results), score, results[-1].seconds)
        return results

    def show(self, results: Clicks, model: str, organ: str, folder: Path) -> None:
        """One picture per slice view, through the organ's first click, and one of the surfaces, of a model's masks."""
        for name, node in self.segmentations.items():
            node.SetDisplayVisibility(name == model)
        for positive in (True, False):
            self._mark(
                [click.point_ras for clicks in results.values() for click in clicks if click.positive == positive],
                positive,
            )
        windowing.apply(self.volumeNode, self.controller.volume, "soft tissue")
        shown = self.segmentations[model]
        display = shown.GetDisplayNode()
        display.SetOpacity2DFill(0.4)
        display.SetOpacity2DOutline(1.0)
        display.SetSliceIntersectionThickness(2)
        shown.CreateClosedSurfaceRepresentation()
        for orientation in ORIENTATIONS:
            picture = SlicePicture(self._app, orientation)
            picture.show(self.volumeNode, results[organ][0].point_ras)
            picture.save(folder / f"{orientation.lower()}.png")
        surface = SurfacePicture(self._app)
        surface.show()
        surface.save(folder / "3d.png")

    def _mask(self, node: vtkMRMLSegmentationNode, segmentId: str) -> np.ndarray:
        return SceneBridge.maskFromSegment(node, segmentId, self.volumeNode)

    def _mark(self, points_ras: list[tuple[float, float, float]], positive: bool) -> None:
        name = "Positive clicks" if positive else "Negative clicks"
        node = self._app.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        node.SetLocked(True)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetVisibility3D(False)
        display.SetPointLabelsVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        display.SetSelectedColor(*(_GREEN if positive else _RED))
        display.SetGlyphTypeFromString("ThickCross2D")
        display.SetUseGlyphScale(False)
        display.SetGlyphSize(8.0)
        for point_ras in points_ras:
            node.AddControlPointWorld(vtkVector3d(*point_ras))


def _writeReport(path: Path, results: dict[str, Clicks]) -> None:
    report = {
        "image": "AbdomenCT",
        "models": {name: _summary(organs) for name, organs in results.items()},
        "reference": "The labels bundled with the CT, which are the output of TotalSegmentator and not drawn by hand.",
        "versions": {
            "memseg": memseg.__version__,
            "slicer-core": version("slicer-core"),
            "trame-slicer": version("trame-slicer"),
            "vtk": vtkVersion.GetVTKVersion(),
            "numpy": np.__version__,
            "SimpleITK": sitk.Version_VersionString(),
            "python": platform.python_version(),
        },
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _summary(organs: Clicks) -> dict[str, object]:
    clicks = [click for made in organs.values() for click in made]
    return {
        "organs": {organ: [asdict(click) for click in made] for organ, made in organs.items()},
        "mean_dice_after_first_click": round(float(np.mean([made[0].dice for made in organs.values()])), 4),
        "mean_dice_after_last_click": round(float(np.mean([made[-1].dice for made in organs.values()])), 4),
        "median_seconds_per_click": round(float(np.median([click.seconds for click in clicks])), 3),
    }


@contextmanager
def _replacing(outputFolder: Path) -> Iterator[Path]:
    """A folder to write to, which takes the place of `outputFolder` when the block ends well and vanishes otherwise.

    Raises FileError where the disk refuses, or where the folder holds something else than an earlier demo.
    """
    if outputFolder.exists() and not _mayBeReplaced(outputFolder):
        raise FileError(f"{outputFolder.name} holds other things than an earlier demo; choose another folder.")
    parent = outputFolder.absolute().parent
    temporary = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
        fresh = temporary / "new"
        fresh.mkdir()
        yield fresh
        _exchange(fresh, outputFolder, temporary / "old")
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(
            f"The folder {outputFolder.name} cannot be written ({reason}); choose another place or free some space."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _exchange(fresh: Path, place: Path, aside: Path) -> None:
    """Put the fresh folder in its place, the one that was there aside; back again where that fails."""
    if not place.exists():
        os.replace(fresh, place)
        return
    os.replace(place, aside)
    try:
        os.replace(fresh, place)
    except OSError:
        os.replace(aside, place)
        raise


def _mayBeReplaced(folder: Path) -> bool:
    return folder.is_dir() and ((folder / _REPORT).is_file() or not any(folder.iterdir()))
