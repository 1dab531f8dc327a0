"""Slicer's own Fill between slices: what propagation through several drawn slices is measured against."""

from __future__ import annotations

import os

import numpy as np
import slicer
import vtk
from scipy import ndimage
from vtk.util import numpy_support

from memseg.geometry import AXES

# Of a slice that is nowhere three voxels wide the filter makes nothing at all. With all slices drawn three times finer
# where that is so, Dice from 2, 3 and 5 true slices was 0.44, 0.76 and 0.88 on 73 small validation objects instead of
# 0.37, 0.62 and 0.84; the peer is given the better.
FINER = 3


class FillBetweenSlicesPeer:
    """vtkITKMorphologicalContourInterpolator (Albu et al., IEEE Transactions on Biomedical Engineering 2008) with the
    settings of Slicer's effect. It never looks at the image.

    The axis is given, which the effect has to guess from the slices drawn.
    """

    name = "fill"

    def __init__(self) -> None:
        # The threads of ITK's pool crashed every second process when it ended. Read when the first filter is made.
        os.environ.setdefault("ITK_GLOBAL_DEFAULT_THREADER", "Platform")

    def filled(self, mask_kji: np.ndarray, axis: str) -> np.ndarray:
        """uint8 0/1 like the mask, with the slices between those that were drawn. axis: across the slices."""
        drawn = np.moveaxis(np.asarray(mask_kji) != 0, AXES.index(axis), 0)
        if any(isThin(plane) for plane in drawn if plane.any()):
            fine = drawn.repeat(FINER, axis=1).repeat(FINER, axis=2)
            filled = fillBetween(fine)[:, FINER // 2 :: FINER, FINER // 2 :: FINER]
        else:
            filled = fillBetween(drawn)
        return np.ascontiguousarray(np.moveaxis(filled, 0, AXES.index(axis)))


def isThin(plane: np.ndarray) -> bool:
    """Whether nothing of a slice is left without its outermost voxels."""
    return not ndimage.binary_erosion(plane).any()


def fillBetween(stack: np.ndarray) -> np.ndarray:
    """uint8 0/1 from a bool (slices, rows, columns): the slices drawn, and those between them."""
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(stack.shape))
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(stack.astype(np.uint8).ravel(), deep=True))
    interpolator = slicer.vtkITKMorphologicalContourInterpolator()
    interpolator.SetAxis(2)  # VTK's axes are reversed: across the slices
    interpolator.SetInputData(image)
    interpolator.Update()
    scalars = interpolator.GetOutput().GetPointData().GetScalars()
    return (numpy_support.vtk_to_numpy(scalars).reshape(stack.shape) != 0).astype(np.uint8)
