"""Tests of what needs torch: one thread, as two tests may share two cores, and numbers that do not depend on it."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.set_flush_denormal(False)  # what the engine sets for its thread; hypothesis refuses to draw floats under it
