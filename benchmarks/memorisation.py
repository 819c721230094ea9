"""How often does the memorisation test err, and how often does it find a noisy copy?

Real images are taken from where `SCOREMACHINES_DATA` points, if it is set.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

import scoremachines as sm
from scoremachines.memorisation import calibrate_memorisation


def measure(name: str, data: sm.TrainingSet, held_out: torch.Tensor | None, shift: int) -> None:
    test = calibrate_memorisation(
        data, held_out, shift=shift, most=600 if held_out is None else 1200
    )
    rates = f"wrong {test.false_positives}  copies found {test.found}"
    print(f"{name}, {len(data)}, shift {shift}: threshold {test.threshold:.3f}  {rates}")


def shuffled(source: Path) -> torch.Tensor:
    images = sm.open_source(source, limit=1200)
    return images.block(torch.randperm(len(images), generator=torch.Generator().manual_seed(0)))


def main() -> None:
    torch.set_num_threads(1)
    measure("digits", sm.TrainingSet.digits(), None, 0)
    measure("photographs", sm.TrainingSet.photographs(16).subset(range(1000)), None, 0)
    measure("shapes", sm.TrainingSet.shapes(n=300), None, 0)
    folder = os.environ.get("SCOREMACHINES_DATA")
    if folder is None:
        return
    sets = {
        "cifar10": ("cifar10-train-jpeg.zip", "cifar10-test-jpeg.zip"),
        "fashion": ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"),
    }
    for name, (train, test) in sets.items():
        data, held_out = (
            sm.open_source(Path(folder, train), limit=4000),
            shuffled(Path(folder, test)),
        )
        for shift in (0, 1):
            measure(name, data, held_out, shift)


if __name__ == "__main__":
    main()
