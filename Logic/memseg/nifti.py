"""ITK fills the missing end of a NIfTI file that was cut short with zeros and says nothing; this says it.

(ITK also reads NaN in NIfTI as 0, and so does Slicer; other formats bring NaN in, where Volume refuses it.)
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .errors import FileError


def check_is_whole(path: Path) -> None:
    """Raise FileError unless a .nii or .nii.gz file holds all the voxels its header promises."""
    with suppress(OSError, EOFError, zlib.error, struct.error), open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        expected = _expected_size((gzip.open(file) if packed else file).read(352))
        if not packed and path.stat().st_size >= expected:
            return
        if packed and (_announced_size(file) == expected % 2**32 or _unpacked_size(file) >= expected):
            return
    raise FileError(f"{path.name} is cut short or damaged; copy it again from where it came.")


def _expected_size(header: bytes) -> int:
    """Bytes up to the last voxel, from the first 352 bytes of the file."""
    order = "<" if header[:4] in (b"\x5c\x01\0\0", b"\x1c\x02\0\0") else ">"
    if header[4:8] in (b"n+2\0", b"ni2\0"):  # NIfTI-2 (nifti2.h): bits at 14, dimensions at 16, offset at 168
        (bits,), (offset,) = struct.unpack_from(order + "h", header, 14), struct.unpack_from(order + "q", header, 168)
        count, *sizes = struct.unpack_from(order + "8q", header, 16)
    else:  # NIfTI-1 (nifti1.h): dimensions at 40, bits at 72, offset at 108
        (bits,), (offset,) = struct.unpack_from(order + "h", header, 72), struct.unpack_from(order + "f", header, 108)
        count, *sizes = struct.unpack_from(order + "8h", header, 40)
    return int(offset) + math.prod(max(1, size) for size in sizes[: max(0, count)]) * bits // 8


def _announced_size(file: BinaryIO) -> int:
    """The unpacked size modulo 2**32 with which a gzip file ends; chance where it was cut or something follows."""
    file.seek(-4, os.SEEK_END)
    return struct.unpack("<I", file.read(4))[0]


def _unpacked_size(file: BinaryIO) -> int:
    """How much a gzip file really unpacks to, found by unpacking it."""
    file.seek(0)
    size = 0
    with suppress(OSError, EOFError, zlib.error), gzip.open(file) as unpacked:
        while piece := unpacked.read(1 << 24):
            size += len(piece)
    return size
