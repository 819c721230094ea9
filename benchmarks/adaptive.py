"""Does the adaptive engine beat the exact one, and how do both grow with the training set?

Both answer the same noisy images, one after the other in one run. Times are of the processor,
added up over threads, so that other work on the machine disturbs them less; the shortest of
`--repeat` counts. Growing the trees is timed by itself: it is done once for each window.
`--evidence` asks instead what share of all pairs bounds leave to evaluate at each noise level, and
`--drawing` what share would have to be evaluated if those below a threshold were drawn.

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
from scoremachines.engine import AdaptiveEngine, Query
from scoremachines.engine.adaptive import PILOT, WORTH
from scoremachines.engine.thinning import AIM, ATTEMPTS, CERTAIN, moments, thresholds
from scoremachines.posterior import Posterior
from scoremachines.schedule import CosineSchedule

TIMES = ("0.02:3", "0.05:3", "0.1:3")
EVIDENCE = (*TIMES, "0.15:3", "0.2:3", "0.25:5", "0.3:5")
"""t, and the window that a calibrated network has there."""


def noised(clean: Tensor, t: float, window: int, seed: int) -> Query:
    """Return noisy versions of images that are not in the training set."""
    draw = torch.Generator().manual_seed(seed)
    level = float(CosineSchedule().alpha_bar(t))
    noise = torch.randn(clean.shape, generator=draw)
    noisy = level**0.5 * clean + (1 - level) ** 0.5 * noise
    return Query(noisy, torch.full((len(clean),), level, dtype=torch.float64), window, "inside")


def fastest(work: Callable[[], Posterior], repeat: int) -> tuple[Posterior, float]:
    """Return the answer, and the shortest of several times, seconds of the processor."""
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        answer = work()
        seconds.append(time.process_time() - start)
    return answer, min(seconds)


def measured(query: Query, images: Tensor, repeat: int, always: bool) -> tuple[float, ...]:
    """Return the seconds for trees, adaptive and exact, worst bound, true error, and whether."""
    engine = AdaptiveEngine(estimate=not always)
    index = torch.arange(len(images))
    start = time.process_time()
    engine.posterior(query, images, index, None, 0)  # grows what is needed
    first = time.process_time() - start
    found, quick = fastest(lambda: engine.posterior(query, images, index, None, 0), repeat)
    known, slow = fastest(lambda: engine.exact.posterior(query, images, index, None, 0), repeat)
    error = float((found.mean - known.mean).abs().max())
    return first - quick, quick, slow, float(found.error_bound.max()), error


def compare(images: Tensor, clean: Tensor, chosen: argparse.Namespace) -> None:
    """Print the times at every noise level and size, and how they grow."""
    print("| t | window | images | trees s | adaptive s | exact s | gain | bound | error |")
    print("|---|---|---|---|---|---|---|---|---|")
    for t, window in _levels(chosen.times):
        times = []
        for count in chosen.images:
            query = noised(clean, t, window, chosen.seed)
            row = measured(query, images[:count].contiguous(), chosen.repeat, chosen.always)
            times.append(row[1:3])
            trees, quick, slow, bound, error = row
            print(
                f"| {t} | {window} | {count} | {trees:.1f} | {quick:.2f} | {slow:.2f} "
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


def evidence(images: Tensor, clean: Tensor, seed: int) -> None:
    """Print what share of all pairs is left to evaluate, as the engine's pilot finds it."""
    some = images[:: max(1, len(images) // PILOT)].contiguous()
    engine = AdaptiveEngine()
    print(f"| t | window | share left, {len(some)} images | trees used (share below {WORTH}) |")
    print("|---|---|---|---|")
    for t, window in _levels(list(EVIDENCE)):
        shares = []
        for query in (noised(image[None], t, window, seed) for image in clean):
            share = engine.share(query, some)
            shares.append(share)
        mean = sum(shares) / len(shares)
        print(f"| {t} | {window} | {100 * mean:.1f} % | {mean < WORTH} |", flush=True)


def drawing(images: Tensor, clean: Tensor, chosen: argparse.Namespace) -> None:
    """Print what share of all pairs has a bound above the threshold below which pairs are drawn.

    These would have to be evaluated one by one if trees of patches, and not all distances, told
    which pairs to draw: a floor to the cost of any such way.
    """
    engine = AdaptiveEngine()
    print("| t | window | images | bounds above T | Z/T drawn |")
    print("|---|---|---|---|---|")
    for t, window in _levels(chosen.times):
        query = noised(clean[:1], t, window, chosen.seed)
        for count in chosen.images:
            some, everywhere = images[:count].contiguous(), torch.full((1, 32, 32), -torch.inf)
            index = torch.arange(len(some))
            known = moments(engine.exact, query, some, index, everywhere.double(), 0)
            level = thresholds(known, AIM * engine.tolerance, CERTAIN / ATTEMPTS)
            share = engine.share(query, some, level)
            ideal = (known.log_weight - level).exp().mean() / (len(some) * (33 - window) ** 2)
            print(f"| {t} | {window} | {count} | {share:.2%} | {float(ideal):.3%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="images of 32×32 pixels, such as CIFAR-10")
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 50000], help="N, rising")
    parser.add_argument("--batch", type=int, default=4, help="noisy images at once")
    parser.add_argument("--times", nargs="+", default=list(TIMES), help="t:window")
    parser.add_argument("--repeat", type=int, default=1, help="times; the shortest counts")
    parser.add_argument("--threads", type=int, default=1, help="threads for both")
    parser.add_argument("--seed", type=int, default=0, help="of the noise and the order of images")
    parser.add_argument("--always", action="store_true", help="use trees at every noise level")
    parser.add_argument("--evidence", action="store_true", help="how much bounds leave out")
    parser.add_argument("--drawing", action="store_true", help="what bounds leave to draw from")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    data = open_source(chosen.data, size=32)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(chosen.seed))
    images, clean = data.pixels[order], data.pixels[order[-chosen.batch :]]
    images = images[: -chosen.batch]
    clean = clean / 127.5 - 1 if clean.dtype == torch.uint8 else clean.float()
    print(f"{data!r}, {chosen.batch} noisy images, {chosen.threads} thread(s), seed {chosen.seed}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; tolerance 1e-2")
    if chosen.evidence:
        evidence(images, clean, chosen.seed)
    elif chosen.drawing:
        drawing(images, clean, chosen)
    else:
        compare(images, clean, chosen)


if __name__ == "__main__":
    main()
