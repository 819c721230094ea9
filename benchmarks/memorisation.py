"""How often does the memorisation test err for each kind of copy, and how often does it find one?

    python benchmarks/memorisation.py                 the tables of docs/attribution.md
    python benchmarks/memorisation.py digits --level 0.05
    python benchmarks/memorisation.py --speed         time and memory of a search at 50,000 images

Real images are taken from where `SCOREMACHINES_DATA` points, if it is set. Exact copies are made
by Pillow (bicubic), not by the code that looks for them; noisy ones have noise of standard
deviation 0.1.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import scoremachines as sm
from scoremachines.data.images.placement import Placement
from scoremachines.metrics.copies import Kind, copy_kinds
from scoremachines.metrics.matching import whole_match
from scoremachines.metrics.memorisation import calibrate_memorisation
from scoremachines.theory.proportion import Proportion

COPIES = 300
GROUNDS = (-1.0, 0.0, 1.0)


def made_by_pillow(image: Tensor, placement: Placement, ground: float, change: float) -> Tensor:
    """Return a copy of an image, `[C, H, W]`: mirrored, turned, resized, pasted, recoloured."""
    height, width = image.shape[1:]
    frame = []
    for plane in image:
        picture = Image.fromarray(plane.numpy())
        if placement.mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if placement.turns:
            picture = picture.rotate(90 * placement.turns, expand=True)
        rows, columns = placement.size or (height, width)
        picture = picture.resize((columns, rows), Image.Resampling.BICUBIC)
        sheet = Image.new("F", (width, height), ground)
        sheet.paste(picture, tuple(int(a / 2) for a in (width - columns, height - rows)))
        frame.append(torch.from_numpy(np.array(sheet)))
    copy = torch.stack(frame)
    return (0.7 * copy + change * 0.3 if placement.recoloured else copy).clamp(-1, 1)


def exact_copies(
    data: sm.TrainingSet, index: Tensor, kind: Kind
) -> tuple[Tensor, list[Placement]]:
    generator = torch.Generator().manual_seed(1)
    placements = [kind.draw(*data.shape[1:], generator) for _ in index]
    copies = []
    for image, placement in zip(data.block(index), placements, strict=True):
        ground = GROUNDS[int(torch.randint(3, (), generator=generator))]
        change = 2 * float(torch.rand((), generator=generator)) - 1
        copies.append(made_by_pillow(image, placement, ground, change))
    return torch.stack(copies), placements


def alike(one: Placement, other: Placement, shape: Sequence[int]) -> bool:
    """Whether two placements are the same, sizes to within a pixel."""
    sizes = [each.size or tuple(shape[1:]) for each in (one, other)]
    near = max(abs(a - b) for a, b in zip(*sizes, strict=True)) <= 1
    return near and one.rigid == other.rigid and one.recoloured == other.recoloured


def measure(
    name: str, data: sm.TrainingSet, held_out: Tensor | None, kinds: list[Kind], level: float
) -> None:
    """Print a table: a copy as it is alone, moved alone, then all kinds looked for together."""
    start = time.perf_counter()
    print(f"\n**{name}**\n")
    print("| copy | searched | threshold | wrongly | noisy found | exact found | right |")
    print("|---|---|---|---|---|---|---|")
    for label, some, shift in (
        (", alone", kinds[:1], 0),
        (", alone, moved by up to 1", kinds[:1], 1),
        ("", kinds, 0),
    ):
        measure_test(label, data, held_out, some, level, shift)
    print(f"\n{time.perf_counter() - start:.0f} s", flush=True)


def measure_test(
    label: str,
    data: sm.TrainingSet,
    held_out: Tensor | None,
    kinds: list[Kind],
    level: float,
    shift: int,
) -> None:
    test = calibrate_memorisation(data, held_out, kinds=kinds, level=level, shift=shift, most=1200)
    index = torch.linspace(0, len(data) - 1, min(COPIES, len(data))).round().long()
    for kind, each in zip(kinds, test.kinds, strict=True):
        copies, placements = exact_copies(data, index, kind)
        (match,) = whole_match(copies, data, shift, kinds=[kind]).kinds
        found = (match.share > each.threshold) & (match.image == index)
        pairs = zip(match.placement, placements, found.tolist(), strict=True)
        right = sum(alike(a, b, data.shape) for a, b, flagged in pairs if flagged)
        cells = (each.false_positives, each.found, Proportion(int(found.sum()), len(index)))
        print(f"| {each.kind}{label} | {each.placements} | {each.threshold:.3f} | ", end="")
        print(" | ".join(map(str, cells)), f"| {right}/{int(found.sum())} |", flush=True)
    if len(kinds) > 1:
        total = sum(each.placements for each in test.kinds)
        kept = f"any of these, {100 * test.level:.2g} % kept"
        print(f"| *{kept}* | {total} | | {test.false_positives} | | | |", flush=True)


def shuffled(source: Path) -> Tensor:
    images = sm.open_source(source)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images.block(order[:1200])


def real(train: str, test: str) -> Callable[[], tuple[sm.TrainingSet, Tensor | None]]:
    folder = Path(os.environ.get("SCOREMACHINES_DATA", ""))
    return lambda: (sm.open_source(folder / train, limit=4000), shuffled(folder / test))


SETS: dict[str, Callable[[], tuple[sm.TrainingSet, Tensor | None]]] = {
    "digits": lambda: (sm.digits(), None),
    "photographs": lambda: (sm.photographs(16).subset(range(1000)), None),
    "shapes": lambda: (sm.shapes(n=300), None),
    "cifar10": real("cifar10-train-jpeg.zip", "cifar10-test-jpeg.zip"),
    "fashion": real("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"),
}


def speed() -> None:
    """Time a search of 20 placements among 50,000 images of 3×32×32 pixels."""
    images = torch.randint(256, (50_000, 3, 32, 32), dtype=torch.uint8)
    data, kinds = sm.TrainingSet(images), copy_kinds("horizontal", scale=(0.7, 1.3))
    count = sum(len(kind.placements(32, 32)) for kind in kinds)
    for queries in (1, 600):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, worked = time.perf_counter(), time.process_time()
        whole_match(data.block(slice(queries)), data, kinds=kinds)
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
        above = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        took = f"{seconds:.0f} s ({worked:.0f} s of processors)"
        print(f"{queries} images, {count} placements: {took}, {above:.0f} MiB above the data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(SETS), help=", ".join(SETS))
    parser.add_argument("--level", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--speed", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.speed:
        speed()
        return
    kinds = copy_kinds("horizontal", True, (0.5, 1.5), (0.75, 1.33), True)
    for name in chosen.sets:
        if name in ("cifar10", "fashion") and "SCOREMACHINES_DATA" not in os.environ:
            print(f"\n{name}: left out, SCOREMACHINES_DATA names no folder")
            continue
        data, held_out = SETS[name]()
        others = "its test images" if held_out is not None else "each compared with all others"
        measure(f"{name}, {len(data)} images; {others}", data, held_out, kinds, chosen.level)


if __name__ == "__main__":
    main()
