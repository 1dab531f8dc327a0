"""VTK's own messages go to Python's log, so that the terminal shows the user what concerns them."""

from __future__ import annotations

import logging

from vtkmodules.util.misc import calldata_type
from vtkmodules.vtkCommonCore import VTK_STRING, vtkCommand, vtkLogger, vtkOutputWindow

logger = logging.getLogger(__name__)


def quieten() -> None:
    """Before anything of VTK is made: keep its logger off the terminal."""
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)


def forward() -> None:
    """After SlicerApp has set VTK's output window: replace it by one that writes to the log only."""
    window = vtkOutputWindow()
    window.SetDisplayModeToNever()
    window.AddObserver(vtkCommand.ErrorEvent, _error)
    window.AddObserver(vtkCommand.WarningEvent, _warning)
    vtkOutputWindow.SetInstance(window)


@calldata_type(VTK_STRING)
def _error(_window: vtkOutputWindow, _event: str, text: str) -> None:
    logger.warning("%s", text.strip())


@calldata_type(VTK_STRING)
def _warning(_window: vtkOutputWindow, _event: str, text: str) -> None:
    logger.debug("%s", text.strip())
