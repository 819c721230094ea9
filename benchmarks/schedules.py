"""Do rules that see the training images alone give the k(t) of trained networks (theory §3)?

Kamb & Ganguli (ICML 2025) calibrated k(t) to networks that they trained on CIFAR-10 and
Fashion-MNIST. Beside each of these schedules stand the windows that the rules of theory §3 admit:
patches whose information stays below a share of log N, and those that do not outweigh all other
images (the edge). Both need a pass over all images at the places where they are; among sources of
all places, Λ is estimated from some of them.

    python benchmarks/schedules.py cifar10 DATA        DATA: its 50,000 training images
    python benchmarks/schedules.py fashion DATA        DATA: its 60,000 training images
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache, partial
from math import log
from statistics import median

import torch

import scoremachines as sm
from scoremachines.calibration.information import Recall, noised_images, recall
from scoremachines.engines import make_engine
from scoremachines.theory.schedule import noise_schedule

PUBLISHED = {
    "cifar10": {
        "ResNet, zeros": (3, 3, 3, 3, 5, 5, 5, 7, 7, 7, 7, 9, 9, 11, 11, 13, 15, 17, 17, 17),
        "UNet, zeros": (3, 3, 3, 3, 5, 5, 5, 5, 7, 7, 7, 7, 9, 9, 11, 13, 13, 15, 17, 25),
        "ResNet, circular": (3, 3, 3, 3, 5, 5, 5, 5, 7, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15, 15),
    },
    "fashion": {
        "ResNet, zeros": (3, 3, 5, 5, 7, 7, 9, 9, 9, 11, 11, 11, 13, 13, 13, 15, 15, 15, 17, 17),
        "UNet, zeros": (3, 3, 5, 5, 7, 7, 7, 9, 11, 11, 11, 13, 15, 15, 21, 23, 25, 25, 25, 25),
    },
}
"""k at 20 steps of the cosine schedule, clean to noisy, from the files of the networks that they
released (github.com/Kambm/convolutional_diffusion, MIT)."""
WINDOWS = range(1, 28, 2)


def main() -> None:
    """Print the windows of each rule, and how far they are from the published ones."""
    wanted = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wanted.add_argument("name", choices=list(PUBLISHED))
    wanted.add_argument("data")
    wanted.add_argument("--draws", type=int, default=4, help="noised images of each mean")
    wanted.add_argument("--others", type=int, default=1000, help="images that Λ is estimated from")
    wanted.add_argument("--rules", default="", help="only rules with this in their names")
    wanted.add_argument("--seed", type=int, default=0)
    given = wanted.parse_args()
    data = sm.TrainingSet.open(given.data)
    times = [j / 20 for j in range(1, 21)]
    alphas = noise_schedule("cosine").alpha_bar(torch.tensor(times, dtype=torch.float64))
    engine, count = make_engine("auto", 2**31), len(data)
    few = data.subset(torch.randperm(count, generator=torch.Generator().manual_seed(given.seed)))
    few = few.subset(torch.arange(min(given.others, count)))

    @cache
    def at(sources: str, step: int, window: int) -> Recall:
        among = data if sources == "aligned" else few
        places, noise = noised_images(among, given.draws, given.seed)
        clean, level = among.block(places, torch.float32), float(alphas[step])
        noisy = level**0.5 * clean + (1 - level) ** 0.5 * noise.float()
        levels = alphas[step].expand(given.draws)
        return recall(among, engine, noisy, levels, window, sources, places)

    rules: dict[str, Callable[[int, int], bool]] = {}
    for share in (0.5, 0.99):
        rules[f"information ≤ {share:g} log N, aligned"] = lambda step, k, share=share: (
            float(at("aligned", step, k).information.mean()) <= share * log(count)
        )
    for sources in ("aligned", "boundary", "valid"):
        rules[f"edge, {sources}"] = lambda step, k, sources=sources: (
            float(at(sources, step, k).gap.mean()) <= log(count - 1)
        )
    print(f"{data!r}, {given.draws} draws, seed {given.seed}\n")
    published = PUBLISHED[given.name]
    print("| rule | k at t = .05, .1, … 1 |", *(f"{name} |" for name in published))
    print("|---" * (2 + len(published)) + "|")
    for name, known in published.items():
        print(f"| {name} | {' '.join(map(str, known))} |" + " |" * len(published))
    for rule, admits in rules.items():
        if given.rules not in rule:
            continue
        found = [_largest(partial(admits, step)) for step in range(20)]
        apart = [
            f"{median(abs(a - b) for a, b in zip(found, known, strict=True)):g}, "
            f"shifted {median(abs(a - b) for a, b in zip(found, known[1:], strict=False)):g}"
            for known in published.values()
        ]
        print(f"| {rule} | {' '.join(map(str, found))} | {' | '.join(apart)} |", flush=True)


def _largest(admits: Callable[[int], bool]) -> int:
    """Return the largest window that is admitted, the first if none is; they are if smaller."""
    low, high = 0, len(WINDOWS) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if admits(WINDOWS[middle]) else (low, middle - 1)
    return WINDOWS[low]


if __name__ == "__main__":
    main()
