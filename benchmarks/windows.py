"""What do nine windows cost, as a calibration asks about them, beside one?

Asks the native engine for the posterior mean of the same noisy image at k = 3, 5, …, 19, and
compares the time of all nine with that of k = 3 alone and with the longest of them.

    python benchmarks/windows.py --data cifar10-train.zip --threads 2
"""

from __future__ import annotations

import argparse
import time

import torch

import scoremachines as sm

WINDOWS = range(3, 20, 2)


def seconds(machine: sm.ScoreMachine, noisy: torch.Tensor, level: float, repeat: int) -> float:
    """Return the shortest of some times."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        machine.denoise(noisy, level)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    wanted.add_argument("--data", default="photographs", help="training images")
    wanted.add_argument("--images", type=int, default=256)
    wanted.add_argument("--threads", type=int, default=torch.get_num_threads())
    wanted.add_argument("--repeat", type=int, default=5, help="times; the shortest counts")
    wanted.add_argument("--seed", type=int, default=0)
    given = wanted.parse_args()
    torch.set_num_threads(given.threads)
    data = sm.open_source(given.data, size=32, limit=given.images)
    noise = sm.starting_noise(given.seed, range(1), data.shape)
    clean = data.block(slice(0, 1), torch.float32)
    print(f"{data!r}, {given.threads} thread(s), seed {given.seed}\n")
    print("| ᾱ | nine windows, s | k = 3, s | longest, s | nine over k = 3 | nine over longest |")
    print("|---|---|---|---|---|---|")
    for level in (0.99, 0.5, 0.1):
        noisy = level**0.5 * clean + (1 - level) ** 0.5 * noise
        each = [seconds(sm.els(data, k), noisy, level, given.repeat) for k in WINDOWS]
        cells = (sum(each), each[0], max(each), sum(each) / each[0], sum(each) / max(each))
        print("| " + " | ".join([str(level), *(f"{cell:.3g}" for cell in cells)]) + " |")


if __name__ == "__main__":
    main()
