"""Opening and saving: images and scenes in, segmentations and scenes out. A bad file leaves everything as it was."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import memseg
from memseg.errors import FileError, VolumeError
from memseg.files import ending
from memseg.volume import Volume
from MemSegSlicerLib.Controller import Controller
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLScene, vtkMRMLSegmentationNode
from trame_slicer.core import SlicerApp

from . import scene_files
from .notices import Notices
from .page_state import Page
from .workspace import Workspace, add_volume_node

logger = logging.getLogger(__name__)

SAMPLE = Path(__file__).parents[1] / "Resources" / "SampleData" / "AbdomenCT.nii.gz"
SCENE_ENDINGS = (".mrb", ".mrml")
SEGMENTATION_ENDINGS = (".seg.nrrd", ".nii.gz", ".nrrd", ".mha")
"""One of these ends the name of a file that `save` writes; the first two are offered."""
