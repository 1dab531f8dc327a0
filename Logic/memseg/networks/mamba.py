"""Mamba (Gu and Dao, arXiv 2312.00752) in plain torch, and the layers "Taming Mambas" (arXiv 2410.15496) makes of it.

Names of parameters are those of the published checkpoints. Shapes: B images, T tokens, C channels, D inner channels, N
states per inner channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

try:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn as _kernel
except ImportError:  # an optional package, for NVIDIA cards
    _kernel = None

_SIDE = 64  # tokens in a row; a block has as many rows, which advance together


@dataclass(frozen=True)
class MambaConfig:
    """As in mamba_ssm: states N, kernel of the convolution, inner channels per channel."""

    channels: int
    states: int = 16
    kernel: int = 4
    expansion: int = 2

    def __post_init__(self) -> None:
        if min(self.channels, self.states, self.kernel, self.expansion) < 1:
            raise ValueError("A Mamba block's sizes are at least 1.")

    @property
    def inner(self) -> int:
        return self.expansion * self.channels

    @property
    def rank(self) -> int:
        """Of the step size."""
        return math.ceil(self.channels / 16)


# ------------------------------------------------------------------------------------------------------------ the scan


def selective_scan(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, side: int = _SIDE
) -> tuple[Tensor, Tensor]:
    """h_t = exp(delta_t a) h_{t-1} + delta_t b_t u_t and y_t = c_t . h_t, for all t.

    u, delta: (B, D, T), delta positive. a: (D, N). b, c: (B, N, T). state: (B, D, N) before the first token; None: 0.
    Returns y (B, D, T) and the state after the last token. States are held for side rows of side tokens at a time,
    never for all T, also while gradients are computed: backwards, each block of side^2 tokens is done once more. All in
    the widest precision given, autocast or not.
    """
    kind = reduce(torch.promote_types, (each.dtype for each in (u, delta, a, b, c)))
    u, delta, a, b, c = (each.to(kind) for each in (u, delta, a, b, c))
    state = u.new_zeros(u.shape[0], *a.shape) if state is None else state.to(kind)
    parts = []
    with torch.autocast(u.device.type, enabled=False):  # carried on in bfloat16, a state is lost
        for start in range(0, u.shape[-1], side * side):
            block = [each[..., start : start + side * side] for each in (u, delta, b, c)]
            y, state = _Block.apply(*block, a, state, side)
            parts.append(y)
    return torch.cat(parts, dim=-1), state


class _Block(torch.autograd.Function):
    """At most side^2 tokens, as rows that advance together: first from 0, for the state at each row's end; these are
    chained; then again, each row from the state that is true at its beginning. Backwards in the same way, on states
    that are computed once more. Written by hand, as autograd's own record of each step costs several times as much as
    the step itself."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, u: Tensor, delta: Tensor, b: Tensor, c: Tensor, a: Tensor, state: Tensor, side: int
    ) -> tuple[Tensor, Tensor]:
        tokens, rows = u.shape[-1], _rows_of(u, side)
        given = (u, delta, b, c)
        u, delta, b, c = (_rows(each, rows, side) for each in given)
        local = u.new_zeros(u.shape[1], rows, *a.shape)  # (B, rows, D, N)
        for n in range(side if rows > 1 else 0):
            local = _step(local, u[n], delta[n], a, b[n])
        whole = torch.exp(delta.sum(dim=0)[..., None] * a)  # what is left of a row's first state at its end
        begins = [state]
        for row in range(rows - 1):
            begins.append(whole[:, row] * begins[-1] + local[:, row])

        states, outputs = torch.stack(begins, dim=1), []
        ctx.save_for_backward(*given, a, states)
        ctx.side = side
        for n in range(side):
            states = _step(states, u[n], delta[n], a, b[n])
            outputs.append((states @ c[n][..., None])[..., 0])
        return _tokens(torch.stack(outputs), tokens), states[:, -1]

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, from_y: Tensor, from_state: Tensor) -> tuple[Tensor | None, ...]:
        """from_state: of the last state. Every value here is (side, B, rows, D, N), or lacks D or N."""
        *given, a, begins = ctx.saved_tensors
        side, tokens, rows = ctx.side, given[0].shape[-1], begins.shape[1]
        u, delta, b, c, from_y = (_rows(each, rows, side) for each in (*given, from_y))
        kept = torch.exp(delta[..., None] * a)
        before = _states_before(begins, kept, delta * u, b)
        last = kept[-1] * before[-1] + (delta * u)[-1][..., None] * b[-1][:, :, None]

        to_states, from_first = _from_states(kept, from_y, c, from_state)
        through = to_states @ b[..., None]
        by_kept = kept.mul_(before).mul_(to_states)
        to_delta = (by_kept * a).sum(dim=-1) + u * through[..., 0]
        to_a = torch.einsum("kbrdn,kbrd->dn", by_kept, delta)
        to_b = ((delta * u)[..., None, :] @ to_states)[..., 0, :]
        after = torch.cat([before[1:], last[None]])
        to_c = (from_y[..., None, :] @ after)[..., 0, :]
        back = (_tokens(each, tokens) for each in (delta * through[..., 0], to_delta, to_b, to_c))
        return *back, to_a, from_first, None


def _states_before(begins: Tensor, kept: Tensor, steps: Tensor, b: Tensor) -> Tensor:
    """The state before each token."""
    before = torch.empty_like(kept)
    before[0] = begins
    for n in range(len(kept) - 1):
        torch.mul(steps[n][..., None], b[n][:, :, None], out=before[n + 1])
        before[n + 1].addcmul_(kept[n], before[n])
    return before


def _from_states(kept: Tensor, from_y: Tensor, c: Tensor, from_last: Tensor) -> tuple[Tensor, Tensor]:
    """What the loss says to the state after each token, and to the one before the first."""
    side, rows = len(kept), kept.shape[2]
    local = torch.zeros_like(kept[0])
    for n in range(side - 1, -1 if rows > 1 else side - 1, -1):
        local = kept[n] * local.addcmul_(from_y[n][..., None], c[n][:, :, None])
    whole = kept.prod(dim=0) if rows > 1 else None
    ends = [from_last]
    for row in range(rows - 1, 0, -1):
        ends.append(whole[:, row] * ends[-1] + local[:, row])

    to_states, carried = torch.empty_like(kept), torch.stack(ends[::-1], dim=1)
    for n in range(side - 1, -1, -1):
        torch.addcmul(carried, from_y[n][..., None], c[n][:, :, None], out=to_states[n])
        carried = kept[n] * to_states[n]
    return to_states, carried[:, 0]


def _rows_of(values: Tensor, side: int) -> int:
    return math.ceil(values.shape[-1] / side)


def _rows(values: Tensor, rows: int, side: int) -> Tensor:
    """(B, X, tokens) -> (side, B, rows, X); tokens that are missing have steps of 0, which leave the state as it is."""
    values = functional.pad(values, (0, rows * side - values.shape[-1]))
    return values.unflatten(-1, (rows, -1)).permute(3, 0, 2, 1).contiguous()


def _tokens(values: Tensor, tokens: int) -> Tensor:
    """(side, B, rows, X) -> (B, X, tokens)."""
    return values.permute(1, 3, 2, 0).flatten(2)[..., :tokens]


def _step(states: Tensor, u: Tensor, delta: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """states (B, rows, D, N); u, delta (B, rows, D); b (B, rows, N)."""
    return torch.exp(delta[..., None] * a) * states + (delta * u)[..., None] * b[:, :, None]


# ----------------------------------------------------------------------------------------------------------- the block


class Mamba(nn.Module):
    """(B, T, C) -> (B, T, C); each token knows those before it."""

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        self.config = config
        inner, rank, states = config.inner, config.rank, config.states
        self.in_proj = nn.Linear(config.channels, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, config.kernel, groups=inner, padding=config.kernel - 1)
        self.x_proj = nn.Linear(inner, rank + 2 * states, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.arange(1, states + 1, dtype=torch.float32).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, config.channels, bias=False)
        self._begin_steps()

    def _begin_steps(self, least: float = 1e-3, most: float = 0.1) -> None:
        """Step sizes evenly spread over magnitudes, as in mamba_ssm: dt_proj.bias is the inverse softplus of them."""
        nn.init.uniform_(self.dt_proj.weight, -(self.config.rank**-0.5), self.config.rank**-0.5)
        steps = torch.exp(torch.rand(self.config.inner) * math.log(most / least) + math.log(least)).clamp(min=1e-4)
        with torch.no_grad():
            self.dt_proj.bias.copy_(steps + torch.log(-torch.expm1(-steps)))

    def forward(self, tokens: Tensor) -> Tensor:
        length, states = tokens.shape[1], self.config.states
        u, gate = self.in_proj(tokens).transpose(1, 2).chunk(2, dim=1)  # (B, D, T) each
        u = functional.silu(self.conv1d(u)[..., :length])
        small, b, c = self.x_proj(u.transpose(1, 2)).split([self.config.rank, states, states], dim=-1)
        delta, b, c = (small @ self.dt_proj.weight.T).transpose(1, 2), b.transpose(1, 2), c.transpose(1, 2)
        a = -torch.exp(self.A_log.float())
        if _kernel is not None and u.is_cuda:
            parts = (each.contiguous() for each in (u, delta))
            y = _kernel(
                *parts, a, b.contiguous(), c.contiguous(), self.D.float(), gate, self.dt_proj.bias.float(), True
            )
        else:
            y, _ = selective_scan(u, functional.softplus(delta + self.dt_proj.bias[:, None]), a, b, c)
            y = (y + self.D[:, None] * u) * functional.silu(gate)
        return self.out_proj(y.transpose(1, 2))


# ---------------------------------------------------------------------------------------------------- Taming Mambas


class MambaTrans(nn.Module):
    """A Mamba and a linear layer, each on the normalised tokens and added to them. (B, T, C) -> (B, T, C)."""

    def __init__(self, channels: int, most_states: int) -> None:
        super().__init__()
        self.mamba = Mamba(MambaConfig(channels, min(channels, most_states)))
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.mamba(self.norm1(tokens)) + tokens
        return self.head(self.norm2(tokens)) + tokens


class PanMambaTrans(nn.Module):
    """One Mamba forwards and another one backwards, together. (B, T, C) -> (B, T, C)."""

    def __init__(self, channels: int, most_states: int) -> None:
        super().__init__()
        self.fwd_mamba = MambaTrans(channels, most_states)
        self.bwd_mamba = MambaTrans(channels, most_states)
        self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm(self.fwd_mamba(tokens) + self.bwd_mamba(tokens.flip(1)).flip(1))


class MambaLayer(nn.Module):
    """Over all voxels, the last axis fastest; in float32. (B, C, H, W, D) -> the same.

    Nothing is added round the outer normalisation: what is added inside is added to the normalised tokens.
    """

    MOST_STATES = 256

    def __init__(self, channels: int, both_ways: bool) -> None:
        super().__init__()
        self.mamba = (PanMambaTrans if both_ways else MambaTrans)(channels, self.MOST_STATES)
        self.norm = nn.LayerNorm(channels)

    def forward(self, voxels: Tensor) -> Tensor:
        with torch.autocast(voxels.device.type, enabled=False):
            tokens = voxels.float().flatten(2).transpose(1, 2)
            return self.mamba(self.norm(tokens)).transpose(1, 2).reshape(voxels.shape)


class MultiMambaTrans(nn.Module):
    """Both ways along four orders of the voxels, averaged. (B, C, H, W, D) -> the same."""

    MOST_STATES = 64
    ORDERS = ((2, 3, 4), (2, 4, 3), (3, 2, 4), (4, 2, 3))  # axes of the tensor, the last one fastest

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mambas = nn.ModuleList(PanMambaTrans(channels, self.MOST_STATES) for _ in self.ORDERS)

    def forward(self, voxels: Tensor) -> Tensor:
        answers = []
        for mamba, order in zip(self.mambas, self.ORDERS):
            axes = (0, 1, *order)
            turned = voxels.permute(axes)
            answer = mamba(turned.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(turned.shape)
            answers.append(answer.permute([axes.index(n) for n in range(5)]))
        return torch.stack(answers).mean(dim=0)
