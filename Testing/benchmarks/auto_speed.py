"""How time and memory of the selective scan grow with the number of tokens, in chunks against naively, on one thread.

    python Testing/benchmarks/auto_speed.py [--rounds 3]

Naively is how a reference writes it: exp(delta A) and delta B u for all tokens at once, then a loop over tokens. In
chunks is `memseg.networks.mamba.selective_scan`. Both without gradients and with them, on the same numbers: those of
the first stage of a network of 16 channels, 32 inner channels with 16 states each. Every measurement is a process of
its own, so that its peak memory is its own; the peak before the scan is taken off. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import Tensor

from memseg.evaluation.records import machine
from memseg.networks.mamba import selective_scan

INNER, STATES = 32, 16
TOKENS = (4_096, 16_384, 65_536, 110_592, 262_144)
MOST_NAIVE = {"forward": 262_144, "training": 110_592}  # tokens; a graph of a quarter million steps takes minutes


def inputs(tokens: int, training: bool) -> list[Tensor]:
    """u, delta, A, B, C as `selective_scan` takes them."""
    torch.manual_seed(0)
    u, delta = torch.randn(1, INNER, tokens), torch.rand(1, INNER, tokens) * 0.1
    a = -torch.arange(1, STATES + 1, dtype=torch.float32).repeat(INNER, 1)
    b, c = torch.randn(1, STATES, tokens), torch.randn(1, STATES, tokens)
    return [each.requires_grad_(training) for each in (u, delta, a, b, c)]


def naive(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    left = torch.exp(delta[..., None] * a[:, None])  # (B, D, T, N)
    added = (delta * u)[..., None] * b.transpose(1, 2)[:, None]
    state, outputs = u.new_zeros(u.shape[0], *a.shape), []
    for keep, add, seen in zip(left.unbind(2), added.unbind(2), c.unbind(2)):
        state = keep * state + add
        outputs.append((state * seen[:, None]).sum(dim=-1))
    return torch.stack(outputs, dim=-1)


def measure(how: str, what: str, tokens: int, rounds: int) -> dict[str, float]:
    """Seconds of the processor (median), and MB at the peak above what was there before."""
    torch.set_num_threads(1)
    training = what == "training"
    seconds = []
    if training:
        selective_scan(*inputs(64, training))[0].sum().backward()  # once, as it loads what gradients need
    given = inputs(tokens, training)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.set_grad_enabled(training):
        for _ in range(rounds):
            start = time.process_time()
            y = naive(*given) if how == "naive" else selective_scan(*given)[0]
            if training:
                y.square().mean().backward()
            seconds.append(time.process_time() - start)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": statistics.median(seconds), "megabytes": peak, "mean": float(y.detach().square().mean())}


def in_a_process(how: str, what: str, tokens: int, rounds: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", how, what, str(tokens), "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--what", choices=("forward", "training"), action="append", help="Without: both.")
    parser.add_argument("--one", nargs=3, metavar=("HOW", "WHAT", "TOKENS"), help="One measurement, as JSON.")
    told = parser.parse_args()
    if told.one:
        how, what, tokens = told.one
        print(json.dumps(measure(how, what, int(tokens), told.rounds)))
        return
    found = machine()
    print(f"{found['processor']}, torch {found['torch']}; one thread, seconds of the processor.\n")
    for what in told.what or ("forward", "training"):
        print(f"| tokens, {what} | in chunks: s | us a token | MB | naively: s | us a token | MB |")
        print("|---|---|---|---|---|---|---|")
        for tokens in TOKENS:
            rounds = told.rounds if what == "forward" else 1
            cells = [cell(in_a_process("chunks", what, tokens, rounds), tokens)]
            tried = tokens <= MOST_NAIVE[what]
            cells.append(cell(in_a_process("naive", what, tokens, 1), tokens) if tried else "not tried | | ")
            print(f"| {tokens:,} | {' | '.join(cells)} |", flush=True)
        print()


def cell(found: dict[str, float], tokens: int) -> str:
    return f"{found['seconds']:.2f} | {found['seconds'] / tokens * 1e6:.1f} | {found['megabytes']:.0f}"


if __name__ == "__main__":
    main()
