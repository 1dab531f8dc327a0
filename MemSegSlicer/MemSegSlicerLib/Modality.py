"""Which kind of image a volume is, where the user had to say it: kept with the node, and so with the scene."""

from __future__ import annotations

import slicer

from memseg.modality import MODALITIES

_ATTRIBUTE = "MemSegSlicer.Modality"


def of(volumeNode: slicer.vtkMRMLVolumeNode) -> str:
    """One of MODALITIES; "" where nothing was said, or what a file holds makes no sense."""
    value = volumeNode.GetAttribute(_ATTRIBUTE)
    return value if value in MODALITIES else ""


def keep(volumeNode: slicer.vtkMRMLVolumeNode, modality: str) -> None:
    if modality != of(volumeNode):
        volumeNode.SetAttribute(_ATTRIBUTE, modality)
