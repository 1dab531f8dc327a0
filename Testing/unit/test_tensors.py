"""Arrays as safetensors: other programs read what is written, and no bytes from elsewhere do harm."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import numpy as theirs

from memseg.memory.tensors import TensorError, pack, unpack

KINDS = ["bool", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f2", "<f4", "<f8"]
ARRAYS = {
    "shape": np.array([[True, False], [False, True]]),
    "places": np.arange(12, dtype=np.int16).reshape(3, 4),
    "looks": np.linspace(0, 1, 6, dtype=np.float16).reshape(1, 2, 3),
}
NAMES = frozenset(ARRAYS)


def made(header: object, body: bytes = b"") -> bytes:
    """A file by hand."""
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(words).to_bytes(8, "little") + words + body


def record(kind: str = "U8", shape: object = (4,), at: object = (0, 4)) -> dict:
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(at)}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]) for name in one
    )


def test_what_is_packed_is_what_the_safetensors_package_reads_and_the_other_way_round():
    assert same(theirs.load(pack(ARRAYS, {"program": "memseg"})), ARRAYS)
    assert same(unpack(theirs.save(ARRAYS), NAMES), ARRAYS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 2), (1, 2, 1, 3)])
def test_every_type_and_shape_comes_back(kind, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind)
    back = unpack(pack({"places": array}, {}), NAMES)["places"]
    assert back.dtype == array.dtype and back.shape == shape and np.array_equal(back, array)


def test_the_order_of_bytes_and_of_axes_in_memory_makes_no_difference():
    turned = np.arange(6, dtype=">f4").reshape(2, 3).T
    back = unpack(pack({"looks": turned}, {}), NAMES)["looks"]
    assert back.tolist() == [[0, 3], [1, 4], [2, 5]] and back.dtype == np.dtype("<f4")


def test_the_same_arrays_make_the_same_bytes_whatever_their_order():
    assert pack(dict(reversed(ARRAYS.items())), {}) == pack(ARRAYS, {})


def test_what_was_unpacked_cannot_be_written_to():
    assert not unpack(pack(ARRAYS, {}), NAMES)["looks"].flags.writeable


@pytest.mark.parametrize("length", [0, 1, 7, 8, 20, 100, -1])
def test_a_file_cut_short_is_told(length):
    whole = pack(ARRAYS, {})
    with pytest.raises(TensorError, match=r"cut short|damaged"):
        unpack(whole[:length], NAMES)


def test_a_file_with_something_behind_it_is_told():
    with pytest.raises(TensorError, match="longer than its header says"):
        unpack(pack(ARRAYS, {}) + b"x", NAMES)


def test_a_file_of_something_else_is_told():
    with pytest.raises(TensorError, match="arrays of another kind of file"):
        unpack(theirs.save({"weight": np.zeros(2, np.float32)}), NAMES)


@pytest.mark.parametrize(
    "content",
    [
        made(b"no json"),
        made(b"\xff\xfe{}"),
        made(b"[" * 90_000),
        made([1, 2]),
        made({"places": [1]}),
        made({"places": {"dtype": "U8", "shape": [4]}}, b"abcd"),
        made({"places": record(kind="BF16")}, b"abcd"),
        made({"places": record(kind="O")}, b"abcd"),
        made({"places": record(shape=(-4,))}, b"abcd"),
        made({"places": record(shape=(True, 4))}, b"abcd"),
        made({"places": record(shape=(4.0,))}, b"abcd"),
        made({"places": record(shape=(1, 1, 1, 1, 4))}, b"abcd"),
        made({"places": record(at=(0, 3))}, b"abcd"),
        made({"places": record(at=(1, 5))}, b"abcd"),
        made({"places": record(at=(4, 0))}, b"abcd"),
        made({"places": record(at=(0, 4, 8))}, b"abcd"),
        made({"places": record(), "looks": record(at=(2, 6))}, b"abcdef"),  # one in the other
        made({"places": record(), "looks": record(at=(6, 10))}, b"abcdefghij"),  # with a gap
    ],
)
def test_a_header_that_makes_no_sense_is_told(content):
    with pytest.raises(TensorError, match=r"damaged|cut short"):
        unpack(content, NAMES)


@pytest.mark.parametrize(
    "shape", [(2**31 - 1, 2**31 - 1), (2**31,), (2**40, 2**40, 2**40), (65536, 65536, 65536, 65536)]
)
def test_a_header_that_says_it_is_huge_takes_no_memory(shape):
    with pytest.raises(TensorError):
        unpack(made({"places": record(shape=shape)}, b"abcd"), NAMES)
    with pytest.raises(TensorError):
        unpack(made({"places": record("F64", shape, (0, 2**31 - 1))}, b"abcd"), NAMES)


def test_a_header_that_says_it_is_longer_than_a_megabyte_is_not_read():
    with pytest.raises(TensorError, match="cut short or no safetensors file"):
        unpack((2**63).to_bytes(8, "little") + b"{}" * 10, NAMES)
    with pytest.raises(TensorError, match="cut short or no safetensors file"):
        unpack(made(b" " * (2**20 + 1)), NAMES)


WHOLE = pack(ARRAYS, {})


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255))
def test_a_byte_changed_anywhere_gives_arrays_or_a_sentence(place, value):
    spoiled = WHOLE[:place] + bytes([value]) + WHOLE[place + 1 :]
    try:
        arrays = unpack(spoiled, NAMES)
    except TensorError as error:
        assert str(error).startswith("it")
    else:
        assert sum(array.nbytes for array in arrays.values()) <= len(WHOLE)
