"""Small things that tests of real scenes share."""

from __future__ import annotations

import numpy as np
import vtk


def vtkMatrix(numbers: np.ndarray) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(numbers, dtype=np.float64).ravel())
    return matrix
