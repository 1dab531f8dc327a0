"""What was worked out of slices is kept on disk, within bounds, and gone with what kept it."""

from __future__ import annotations

import gc
import io

import pytest
import torch

from memseg.segmenters import kept_slices
from memseg.segmenters.kept_slices import KeptSlices

ONE = (torch.arange(6.0).view(2, 3), torch.full((4,), 0.1))


def test_what_was_put_comes_back_rounded_to_half_precision():
    kept = KeptSlices()
    kept.put((3, "window"), ONE)
    kept.put((4, "window"), tuple(part + 1 for part in ONE))
    first, second = kept.get((3, "window")), kept.get((4, "window"))
    assert torch.equal(first[0].float(), ONE[0]) and torch.equal(first[1], ONE[1].half())
    assert torch.equal(second[0].float(), ONE[0] + 1) and len(kept) == 2
    assert kept.get((5, "window")) is None


def test_putting_a_key_again_replaces_it():
    kept = KeptSlices()
    kept.put(1, ONE)
    kept.put(1, tuple(-part for part in ONE))
    assert torch.equal(kept.get(1)[0].float(), -ONE[0]) and len(kept) == 1


def test_what_does_not_fit_is_not_kept():
    kept = KeptSlices(largest_bytes=2 * 20)  # two of ten numbers each
    for key in range(4):
        kept.put(key, ONE)
    assert len(kept) == 2 and kept.get(1) is not None and kept.get(2) is None


def test_little_room_on_the_disk_keeps_little(monkeypatch):
    monkeypatch.setattr(kept_slices.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 4 * 20}))
    kept = KeptSlices()
    for key in range(4):
        kept.put(key, ONE)
    assert len(kept) == 1


def test_a_full_disk_is_no_error(monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_slices.tempfile, "TemporaryFile", lambda prefix: Full())
    kept = KeptSlices()
    kept.put(1, ONE)
    assert kept.get(1) is None and len(kept) == 0


def test_another_shape_is_refused():
    kept = KeptSlices()
    kept.put(1, ONE)
    with pytest.raises(ValueError, match="the same shapes"):
        kept.put(2, (torch.zeros(3),))


def test_the_file_is_closed_with_what_kept_it():
    kept = KeptSlices()
    file = kept._file
    del kept
    gc.collect()
    assert file.closed
