"""Arrays as safetensors bytes, without the package: 8 bytes of length, a JSON header, then the arrays one after
another.

The format is Hugging Face's (github.com/huggingface/safetensors, README, "Format"). Only NumPy's plain types are read
and written, the header may take no more than a megabyte, and arrays may neither overlap nor leave gaps."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

_TYPES = {
    "BOOL": np.dtype(bool), "U8": np.dtype("u1"), "I8": np.dtype("i1"), "U16": np.dtype("<u2"), "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"), "I32": np.dtype("<i4"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}  # fmt: skip
_NAMES = {kind: name for name, kind in _TYPES.items()}
_LARGEST_HEADER = 2**20
_MOST_AXES = 4


class TensorError(ValueError):
    """Bytes that are no such file; the text is the reason, to be put after a colon."""


def pack(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The file's bytes, arrays in the order of their names."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    parts, at = [], 0
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        kind = array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype
        content = array.astype(kind).tobytes()
        header[name] = {"dtype": _NAMES[kind], "shape": list(array.shape), "data_offsets": [at, at + len(content)]}
        parts.append(content)
        at += len(content)
    words = json.dumps(header, separators=(",", ":")).encode("utf-8")
    words += b" " * (-len(words) % 8)
    return len(words).to_bytes(8, "little") + words + b"".join(parts)


def unpack(content: bytes, names: frozenset[str]) -> dict[str, np.ndarray]:
    """The arrays by name. names: those there may be. Raises TensorError."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > _LARGEST_HEADER or length > len(content) - 8:
        raise TensorError("it is cut short or no safetensors file")
    try:
        header = json.loads(content[8 : 8 + length].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise TensorError("its header is damaged") from error
    if not isinstance(header, dict):
        raise TensorError("its header is damaged")
    header.pop("__metadata__", None)
    if not set(header) <= names:
        raise TensorError("it holds arrays of another kind of file")
    body, arrays, spans = content[8 + length :], {}, []
    for name, record in header.items():
        try:
            kind = _TYPES[record["dtype"]]
            shape = tuple(record["shape"])
            start, stop = record["data_offsets"]
        except (KeyError, TypeError, ValueError) as error:
            raise TensorError("its header is damaged") from error
        if len(shape) > _MOST_AXES or not all(
            type(size) is int and 0 <= size < 2**31 for size in (*shape, start, stop)
        ):
            raise TensorError("its header is damaged")
        count = 1
        for size in shape:
            count *= size
        if not start <= stop <= len(body) or stop - start != count * kind.itemsize:
            raise TensorError("it is cut short, or its header is damaged")
        spans.append((start, stop))
        arrays[name] = np.frombuffer(body, kind, count, start).reshape(shape)
    at = 0
    for start, stop in sorted(spans):
        if start != at:
            raise TensorError("its header is damaged")
        at = stop
    if at != len(body):
        raise TensorError("it is longer than its header says")
    return arrays
