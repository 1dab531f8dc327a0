"""The list of models: what a user has added is in it, to be chosen, with its licence."""

from __future__ import annotations

from memseg import catalog, registry
from MemSegBrowser.prompting import model_rows


def test_a_model_can_be_chosen_as_soon_as_its_weights_are_added(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "registry"))
    before = {row.name: row for row in model_rows()}
    assert set(before) == {card.name for card in catalog.cards()}
    assert not before["fastsam3d"].available and before["fastsam3d"].licence == "Apache-2.0"
    (tmp_path / "FastSAM3D.pth").write_bytes(b"weights" * 100)
    registry.add("fastsam3d", tmp_path / "FastSAM3D.pth", "Apache-2.0")
    after = {row.name: row for row in model_rows()}
    assert after["fastsam3d"].available and after["memorizing-sam"].available  # which runs with the same file
    assert (
        not after["sam-med3d"].available and after["medsam2"].licence == "CC BY-SA 4.0, for research and education only"
    )
