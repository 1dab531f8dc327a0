"""The selective scan and Mamba's layers: the authors' answers, chunks of any size, gradients, and bounded memory."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as functional
from published import DATA, TOLERANCE, differs, drawn, filled
from torch import Tensor, nn

from memseg.networks.mamba import (
    Mamba,
    MambaConfig,
    MambaLayer,
    MultiMambaTrans,
    PanMambaTrans,
    selective_scan,
)

GOLDEN = json.loads((DATA / "golden-mamba.json").read_text())


def said(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(drawn(name, shape))


def token_by_token(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The recurrence as it is written down."""
    state, outputs = u.new_zeros(u.shape[0], *a.shape), []
    for t in range(u.shape[-1]):
        step = delta[:, :, t, None]
        state = torch.exp(step * a) * state + step * b[:, None, :, t] * u[:, :, t, None]
        outputs.append((state * c[:, None, :, t]).sum(dim=-1))
    return torch.stack(outputs, dim=-1), state


def scanned(tokens: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """u, delta, a, b, c of two images, six inner channels and five states."""
    u, delta, a, b, c = (said(name, *shape) for name, shape in (
        ("u", (2, 6, tokens)), ("delta", (2, 6, tokens)), ("a", (6, 5)), ("b", (2, 5, tokens)), ("c", (2, 5, tokens)),
    ))  # fmt: skip
    return [each.to(dtype) for each in (u, functional.softplus(delta), -torch.exp(a), b, c)]


class TestTheScan:
    def test_it_answers_as_the_authors_scan(self) -> None:
        u, delta, gate = (said(f"scan.{name}", 2, 6, 37) for name in ("u", "delta", "z"))
        b, c = said("scan.B", 2, 5, 37), said("scan.C", 2, 5, 37)
        delta = functional.softplus(delta + said("scan.dbias", 6)[:, None])
        y, state = selective_scan(u, delta, -torch.exp(said("scan.A_log", 6, 5)), b, c)
        y = (y + said("scan.D", 6)[:, None] * u) * functional.silu(gate)
        assert differs(y, GOLDEN["mamba"]["y"]) < TOLERANCE
        assert differs(state, GOLDEN["mamba"]["last_state"]) < TOLERANCE

    @pytest.mark.parametrize("tokens", [1, 3, 4, 5, 16, 17, 50])
    @pytest.mark.parametrize("side", [1, 2, 4, 7])
    def test_any_division_gives_what_the_recurrence_gives(self, tokens: int, side: int) -> None:
        values = scanned(tokens, torch.float64)
        expected = token_by_token(*values)
        for ours, right in zip(selective_scan(*values, side=side), expected):
            torch.testing.assert_close(ours, right, rtol=1e-12, atol=1e-12)

    def test_a_sequence_goes_on_from_the_state_of_its_first_half(self) -> None:
        u, delta, a, b, c = scanned(20)
        whole, end = selective_scan(u, delta, a, b, c)
        first, state = selective_scan(u[..., :9], delta[..., :9], a, b[..., :9], c[..., :9])
        second, last = selective_scan(u[..., 9:], delta[..., 9:], a, b[..., 9:], c[..., 9:], state)
        torch.testing.assert_close(torch.cat([first, second], dim=-1), whole)
        torch.testing.assert_close(last, end)

    def test_its_gradients_are_right(self) -> None:
        values = [each.requires_grad_() for each in scanned(7, torch.float64)]
        state = said("state", 2, 6, 5).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda *given: selective_scan(*given, side=2), (*values, state))

    @pytest.mark.parametrize("tokens", [3, 16, 50])
    def test_gradients_over_many_blocks_are_those_of_the_recurrence(self, tokens: int) -> None:
        ours, right = ([each.requires_grad_() for each in scanned(tokens, torch.float64)] for _ in range(2))
        weigh = said("weigh", 2, 6, tokens).double()
        for y, state in (selective_scan(*ours, side=4), token_by_token(*right)):
            ((y * weigh).sum() + state.square().sum()).backward()
        for mine, theirs in zip(ours, right):
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("tokens", [2, 9])
    def test_half_precision_and_autocast_are_computed_in_full(self, tokens: int) -> None:
        u, delta, a, b, c = scanned(tokens)
        half, whole = u.bfloat16().requires_grad_(), u.bfloat16().float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y, _ = selective_scan(half, delta, a, b, c, side=2)
        expected, _ = selective_scan(whole, delta, a, b, c, side=2)
        torch.testing.assert_close(y, expected)
        y.sum().backward()
        expected.sum().backward()
        torch.testing.assert_close(half.grad, whole.grad.bfloat16())

    def test_gradients_hold_no_state_for_each_token(self) -> None:
        kept: list[int] = []

        def note(tensor: Tensor) -> Tensor:
            kept.append(tensor.numel())
            return tensor

        values = [each.requires_grad_() for each in scanned(64)]
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            y, _ = selective_scan(*values, side=2)
        every_state = 2 * 6 * 5 * 64
        assert max(kept) < every_state / 4
        y.sum().backward()
        assert values[0].grad is not None


class TestTheLayers:
    def test_a_block_answers_as_the_authors(self) -> None:
        block = filled(Mamba(MambaConfig(channels=8, states=8)))
        assert differs(block(said("mamba.x", 2, 50, 8)), GOLDEN["mamba"]["mamba_block_8"]) < TOLERANCE

    @pytest.mark.parametrize(
        ("name", "layer"),
        [
            ("SegMamba.MambaLayer(8)", lambda: MambaLayer(8, both_ways=False)),
            ("PanSegMamba.MambaLayer(8)", lambda: MambaLayer(8, both_ways=True)),
            ("MultiSegMamba.MultiMambaTrans(8)", lambda: MultiMambaTrans(8)),
        ],
    )
    def test_a_layer_answers_as_the_authors(self, name: str, layer: type[nn.Module]) -> None:
        answer = filled(layer())(said("taming.x", 1, 8, 3, 4, 5))
        assert differs(answer, GOLDEN["taming_mambas"][name]) < TOLERANCE

    def test_a_block_sees_only_what_came_before(self) -> None:
        block, tokens = filled(Mamba(MambaConfig(8, 8))), said("mamba.x", 2, 50, 8)
        changed = tokens.clone()
        changed[:, 30] += 1
        before, after = block(tokens), block(changed)
        torch.testing.assert_close(before[:, :30], after[:, :30])
        assert (before[:, 30:] - after[:, 30:]).abs().amax() > 1e-3

    def test_both_ways_sees_everything(self) -> None:
        layer, tokens = filled(PanMambaTrans(8, 8)), said("mamba.x", 2, 50, 8)
        changed = tokens.clone()
        changed[:, 30] += said("change", 8)
        apart = (layer(tokens) - layer(changed)).abs().amax(dim=(0, 2))
        assert apart[0] > 1e-6 and apart[-1] > 1e-6

    def test_steps_begin_between_a_thousandth_and_a_tenth(self) -> None:
        steps = functional.softplus(Mamba(MambaConfig(64)).dt_proj.bias)
        assert 0.00099 < steps.min() < 0.01 < steps.max() < 0.101

    def test_sizes_below_one_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 1"):
            MambaConfig(channels=0)
