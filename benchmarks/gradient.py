"""What does a gradient cost, beside the answer that it belongs to?

For each engine and attention, x̂0 of one noisy image, and x̂0 with the gradient of a weighted sum of
it (theory §2.8), in turn in one run: processor time, the shortest of some times each. No more than
3 times is wanted.

    python benchmarks/gradient.py --images 1024 --engines native --threads 2
    python benchmarks/gradient.py --images 256 --engines torch
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

import scoremachines as sm


def seconds(*tasks: Callable[[], object], repeat: int) -> list[float]:
    """Return the shortest processor time of each task; they take turns."""
    best = [float("inf")] * len(tasks)
    for _ in range(repeat):
        for number, task in enumerate(tasks):
            start = time.process_time()
            task()
            best[number] = min(best[number], time.process_time() - start)
    return best


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    wanted.add_argument("--images", type=int, default=256, help="N")
    wanted.add_argument("--size", type=int, default=32, help="of the images, pixels")
    wanted.add_argument("--engines", default="native,torch")
    wanted.add_argument("--attentions", default="none,tiled,identity,tiled-class")
    wanted.add_argument("--sources", default="valid")
    wanted.add_argument("--windows", default="5,9", help="k, 0 for the whole image")
    wanted.add_argument("--levels", default="0.99,0.5,0.1", help="ᾱ")
    wanted.add_argument("--threads", type=int, default=torch.get_num_threads())
    wanted.add_argument("--repeat", type=int, default=3, help="times; the shortest counts")
    given = wanted.parse_args()
    torch.set_num_threads(given.threads)
    draw = torch.Generator().manual_seed(0)
    shape = (given.images, 3, given.size, given.size)
    pixels = torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
    data = sm.TrainingSet(pixels, torch.arange(given.images) % 10)
    noise = torch.randn(1, *shape[1:], generator=draw)
    clean, weights = data.block(slice(0, 1), torch.float32), noise.flip(-1)
    print(f"N = {given.images}, {given.size}×{given.size}, {given.threads} thread(s)\n")
    print("| engine | sources | k | attention | ᾱ | x̂0, s | with its gradient, s | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    cases = [
        (engine, int(k) or None, attention, float(level))
        for engine in given.engines.split(",")
        for k in given.windows.split(",")
        for attention in given.attentions.split(",")
        for level in given.levels.split(",")
    ]
    for engine, k, attention, level in cases:
        machine = sm.ScoreMachine(data, k, given.sources, attention, engine=engine)
        noisy = (level**0.5 * clean + (1 - level) ** 0.5 * noise).requires_grad_()

        def answer(
            machine: sm.ScoreMachine = machine, level: float = level, noisy: torch.Tensor = noisy
        ) -> None:
            with torch.no_grad():
                machine.denoise(noisy, level)

        def gradient(
            machine: sm.ScoreMachine = machine, level: float = level, noisy: torch.Tensor = noisy
        ) -> None:
            torch.autograd.grad((machine.denoise(noisy, level) * weights).sum(), noisy)

        plain, both = seconds(answer, gradient, repeat=given.repeat)
        cells = (engine, given.sources, k or "image", attention, level)
        numbers = (f"{plain:.3f}", f"{both:.3f}", f"{both / plain:.2f}")
        print("| " + " | ".join(map(str, (*cells, *numbers))) + " |", flush=True)


if __name__ == "__main__":
    main()
