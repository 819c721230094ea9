"""Bytes that one query sends to a worker and gets back, whatever the training set's length.

python benchmarks/messages.py          the table of docs/scale.md
"""

from __future__ import annotations

import torch

import scoremachines as sm
from scoremachines.experiments.bench.messages import Counted


def main() -> None:
    """Print the table."""
    print("| attention | N | rounds | there, KiB | back, KiB |\n|---|---|---|---|---|")
    for attention in ("none", "tiled", "identity", "top1", "tiled-class"):
        for count in (2000, 8000):
            draw = torch.Generator().manual_seed(0)
            size = (count, 3, 32, 32)
            pixels = torch.randint(0, 256, size, generator=draw, dtype=torch.uint8)
            data = sm.TrainingSet(pixels, torch.arange(count) % 10)
            executor = Counted()
            machine = sm.ScoreMachine(data, 3, "aligned", attention, executor=executor)
            noisy = torch.randn(1, *size[1:], generator=draw)
            executor.rounds.clear()
            machine.posterior(noisy, 0.5, best=4)
            there, back = (
                " + ".join(f"{one / 1024:.0f}" for one in sizes)
                for sizes in zip(*executor.rounds, strict=True)
            )
            rounds = len(executor.rounds)
            print(f"| {attention} | {count:,} | {rounds} | {there} | {back} |", flush=True)


if __name__ == "__main__":
    main()
