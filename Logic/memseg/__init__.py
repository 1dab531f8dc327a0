"""MemSegSlicer's engine: interactive segmentation with memory, free of Slicer, Qt and VTK.

    import memseg
    volume = memseg.read_volume("ct.nii.gz")
    session = memseg.new_session(volume)
    change = session.add(memseg.Click((40, 128, 96)))
    memseg.write_segmentation("liver.seg.nrrd", {"liver": session.mask_kji}, volume)

Names are loaded when first used, so that importing the package is quick and never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "errors": ("MemSegError", "GeometryError", "VolumeError", "PromptError", "ModelError", "FileError", "SessionError"),
    "geometry": ("Box", "Grid"),
    "volume": ("Volume", "MaskChange"),
    "prompts": ("Click", "BoxPrompt", "Scribble", "Lasso", "MaskPrompt", "Text", "Prompt"),
    "files": ("read_volume", "read_sequence", "read_mask", "write_segmentation", "write_sequence"),
    "propagation": ("SliceMark", "SliceStep"),
    "automatic": ("auto",),
    "session": ("Session", "new_session"),
    "session_file": ("load_session",),
    "journal": ("resume_session",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = ("build", "catalog")
__all__ = ["__version__", *_MODULES, *_HOME_OF]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
