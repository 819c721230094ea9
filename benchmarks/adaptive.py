"""Does the adaptive engine beat the exact one, and how do both grow with the training set?

Both answer the same noisy images, one after the other in one run. Times are of the processor,
added up over threads, so that other work on the machine disturbs them less; the shortest of
`--repeat` counts.

    python benchmarks/adaptive.py --data cifar10-train-jpeg.zip [--images 5000 50000] [--batch 4]
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable

import torch
from torch import Tensor

from scoremachines.data import open_source
from scoremachines.engines import AdaptiveEngine, Query
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.schedule import CosineSchedule

TIMES = ("0.02:3", "0.05:3", "0.1:3")
"""t, and the window that a calibrated network has there."""


def noised(clean: Tensor, t: float, window: int, seed: int) -> Query:
    """Return noisy versions of images that are not in the training set."""
    draw = torch.Generator().manual_seed(seed)
    level = float(CosineSchedule().alpha_bar(t))
    noise = torch.randn(clean.shape, generator=draw)
    noisy = level**0.5 * clean + (1 - level) ** 0.5 * noise
    return Query(noisy, torch.full((len(clean),), level, dtype=torch.float64), window, "valid")


def fastest(work: Callable[[], Posterior], repeat: int) -> tuple[Posterior, float]:
    """Return the answer, and the shortest of several times, seconds of the processor."""
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        answer = work()
        seconds.append(time.process_time() - start)
    return answer, min(seconds)


def measured(query: Query, images: Tensor, repeat: int) -> tuple[float, ...]:
    """Return the seconds of the adaptive engine and the exact one, worst bound and true error."""
    engine, index = AdaptiveEngine(), torch.arange(len(images))
    found, quick = fastest(lambda: engine.posterior(query, images, index, None, 0), repeat)
    known, slow = fastest(lambda: engine.exact.posterior(query, images, index, None, 0), repeat)
    error = float((found.mean - known.mean).abs().max())
    return quick, slow, float(found.error_bound.max()), error


def compare(images: Tensor, clean: Tensor, chosen: argparse.Namespace) -> None:
    """Print the times at every noise level and size, and how they grow."""
    print("| t | window | images | adaptive s | exact s | gain | bound | error |")
    print("|---|---|---|---|---|---|---|---|")
    for t, window in _levels(chosen.times):
        times = []
        for count in chosen.images:
            query = noised(clean, t, window, chosen.seed)
            row = measured(query, images[:count].contiguous(), chosen.repeat)
            times.append(row[:2])
            quick, slow, bound, error = row
            print(
                f"| {t} | {window} | {count} | {quick:.2f} | {slow:.2f} "
                f"| {slow / quick:.2f} | {bound:.1e} | {error:.0e} |",
                flush=True,
            )
        if len(times) > 1:
            span = math.log(chosen.images[-1] / chosen.images[0])
            ends = zip(times[0], times[-1], strict=True)
            growth = [math.log(last / first) / span for first, last in ends]
            print(f"growth exponents at t = {t}: adaptive {growth[0]:.2f}, exact {growth[1]:.2f}")


def _levels(texts: list[str]) -> list[tuple[float, int]]:
    return [(float(t), int(k)) for t, k in (text.split(":") for text in texts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="images of 32×32 pixels, such as CIFAR-10")
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 50000], help="N, rising")
    parser.add_argument("--batch", type=int, default=4, help="noisy images at once")
    parser.add_argument("--times", nargs="+", default=list(TIMES), help="t:window")
    parser.add_argument("--repeat", type=int, default=1, help="times; the shortest counts")
    parser.add_argument("--threads", type=int, default=1, help="threads for both")
    parser.add_argument("--seed", type=int, default=0, help="of the noise and the order of images")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    data = open_source(chosen.data, size=32)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(chosen.seed))
    images, clean = data.pixels[order], data.pixels[order[-chosen.batch :]]
    images = images[: -chosen.batch]
    clean = clean / 127.5 - 1 if clean.dtype == torch.uint8 else clean.float()
    print(f"{data!r}, {chosen.batch} noisy images, {chosen.threads} thread(s), seed {chosen.seed}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; tolerance 1e-2")
    compare(images, clean, chosen)


if __name__ == "__main__":
    main()
