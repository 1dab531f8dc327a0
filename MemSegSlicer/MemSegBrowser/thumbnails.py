"""Thumbnails of the recall memory, and other small pictures, as addresses that a page can show."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

_OUTLINE = 255
_COLOUR = (46, 196, 182)


def address_of(thumbnail: np.ndarray) -> str:
    """An address that holds the picture. thumbnail: (h, w) uint8 grey, an outline at 255, which gets a colour."""
    grey = np.asarray(thumbnail, np.uint8)
    if grey.ndim != 2 or grey.size == 0:
        return ""
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[grey == _OUTLINE] = _COLOUR
    return address_of_picture(picture)


def address_of_picture(picture: np.ndarray) -> str:
    """picture: (h, w, 3) uint8."""
    return f"data:image/png;base64,{base64.b64encode(_png(picture)).decode()}"


def _png(picture: np.ndarray) -> bytes:
    """(h, w, 3) uint8 as a PNG file: the header, one block of rows (each behind a 0: no filter), the end."""
    height, width, _ = picture.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
