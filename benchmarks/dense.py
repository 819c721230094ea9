"""Is the torch engine at least as fast as the straightforward dense way? Both, in one run.

The dense way is what a convolution library invites: the training patches are the filters, their
responses give the patch distances in expanded form, and a softmax over a whole batch of images,
with a running maximum, gives the posterior mean.

    python benchmarks/dense.py [--images 256] [--repeat 3] [--threads 1]
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torch.nn.functional import unfold as windows

from scoremachines.engine import Query, TorchEngine
from scoremachines.posterior import Posterior

SHAPE = (3, 32, 32)
BATCH = 8
"""Images in one batch of filters."""


def dense(query: Query, images: Tensor) -> Tensor:
    """Return x̂0 of ELS, one noisy image `[1, C, H, W]`, windows inside the training images."""
    window = query.window or 1
    radius, signal, variance = window // 2, float(query.signal[0]), float(query.variance[0])
    padded = pad(query.noisy, (radius,) * 4, mode="circular")
    ones = torch.ones(1, 1, window, window)
    norm = conv2d(padded.square().sum(1, keepdim=True), ones)
    best = torch.full_like(norm, -torch.inf)
    total, mean = torch.zeros_like(norm), torch.zeros_like(query.noisy)
    for block in images.split(BATCH):
        rows = windows(block, window).transpose(1, 2).reshape(-1, SHAPE[0], window, window)
        centres = rows[:, :, radius, radius]
        response = conv2d(padded, rows)
        distance = norm - 2 * signal * response
        distance = distance + signal**2 * rows.square().sum((1, 2, 3))[:, None, None]
        log_weight = -distance / (2 * variance)
        largest = torch.maximum(best, log_weight.amax(1, keepdim=True))
        weight, kept = (log_weight - largest).exp(), (best - largest).exp()
        total = total * kept + weight.sum(1, keepdim=True)
        mean = mean * kept + torch.einsum("bphw,pc->bchw", weight, centres)
        best = largest
    return mean / total


def tiled(query: Query, images: Tensor) -> Tensor:
    """Return the same by the torch engine."""
    engine = TorchEngine()
    plan = engine.plan(query, len(images), evidence=False, pairwise=False, best=0)
    index = torch.arange(len(images))
    pairs = zip(images.split(plan.block), index.split(plan.block), strict=True)
    parts = (engine.posterior(query, block, its, None, 0) for block, its in pairs)
    return Posterior.merge_all(parts).mean


def fastest(work: Callable[[], Tensor], repeat: int) -> tuple[Tensor, float]:
    """Return the answer, and the shortest of several times, seconds."""
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        answer = work()
        seconds.append(time.perf_counter() - start)
    return answer, min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256, help="training images")
    parser.add_argument("--repeat", type=int, default=3, help="times; the shortest counts")
    parser.add_argument("--threads", type=int, default=1, help="threads for both")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    draw = torch.Generator().manual_seed(0)
    images = torch.rand((chosen.images, *SHAPE), generator=draw) * 2 - 1
    noise = torch.randn((1, *SHAPE), generator=draw)
    print(f"ELS, one noisy image 32×32×3, {chosen.images} training images, float32, seed 0")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {platform.machine()}")
    print("| window | ᾱ | dense s | torch s | speed-up | pairs/s | error dense | error torch |")
    print("|---|---|---|---|---|---|---|---|")
    few = images[:BATCH]
    for window in (3, 5, 7, 9, 11, 13, 15, 17):
        for level in (0.9, 0.3):
            noisy = level**0.5 * images[:1] + (1 - level) ** 0.5 * noise
            query = Query(noisy, torch.tensor([level], dtype=torch.float64), window, "inside")
            _, slow = fastest(lambda query=query: dense(query, images), chosen.repeat)
            _, fast = fastest(lambda query=query: tiled(query, images), chosen.repeat)
            pairs = chosen.images * 1024 * (33 - window) ** 2
            exact = _exact(query, few)
            errors = [float((way(query, few) - exact).abs().max()) for way in (dense, tiled)]
            print(
                f"| {window} | {level} | {slow:.3f} | {fast:.3f} | {slow / fast:.2f} "
                f"| {pairs / fast:.2e} | {errors[0]:.0e} | {errors[1]:.0e} |",
                flush=True,
            )


def _exact(query: Query, images: Tensor) -> Tensor:
    """Return x̂0 in float64 by the torch engine, which the tests hold against the reference."""
    exact = Query(query.noisy.double(), query.alpha_bar, query.window, query.sources)
    return tiled(exact, images.double())


if __name__ == "__main__":
    main()
