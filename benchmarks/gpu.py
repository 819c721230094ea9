"""How fast is the GPU engine, beside the torch engine on the same GPU and beside what it can do?

Times one evaluation of the equivariant local machine (sources "inside") by both engines, and in
the same run what bounds them: a large float32 product with and without TF32, and a large copy.
Prints a table; writes `gpu.json`, the profile `profile.txt` and its trace `trace.json`.

    python benchmarks/gpu.py -o out/ [--images 4096] [--repeat 5] [--windows 3 5 9 17]

`TRITON_INTERPRET=1 python benchmarks/gpu.py -o out/ --device cpu --images 2 --size 5 --windows 3`
tries the script out where no GPU is; its times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from scoremachines.engine import Engine, FusedEngine, Query, TorchEngine
from scoremachines.errors import InputError
from scoremachines.posterior import Posterior

CHANNELS, MEMORY = 3, 4 * 2**30
LEVELS = (0.9, 0.3)
SCALAR = 3 * CHANNELS + 4 + 9 + 3 * CHANNELS
"""Operations on a slot outside tensor cores: differences, splitting, softmax, mean."""


def seconds(work: Callable[[], object], repeat: int, device: str) -> float:
    """Return the shortest of several times, after one that does not count."""
    times = []
    for _ in range(repeat + 1):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def bounds(device: str, repeat: int) -> dict[str, float]:
    """Return what the device reaches: float32 and TF32 operations and bytes, a second each."""
    side, numbers = (8192, 2**28) if device == "cuda" else (256, 2**18)
    left, right = torch.rand(2, side, side, device=device)
    found = {}
    for name, precision in (("float32", "highest"), ("tf32", "high")):
        torch.set_float32_matmul_precision(precision)
        found[name] = 2 * side**3 / seconds(lambda: left @ right, repeat, device)
    torch.set_float32_matmul_precision("highest")
    source = torch.rand(numbers, device=device)
    target = torch.empty_like(source)
    found["bytes"] = 8 * numbers / seconds(lambda: target.copy_(source), repeat, device)
    return found


def evaluate(engine: Engine, query: Query, images: Tensor) -> Tensor:
    """Return x̂0, block by block as the engine plans it."""
    plan = engine.plan(query, len(images), evidence=False, pairwise=False, best=0)
    index = torch.arange(len(images), device=images.device)
    pairs = zip(images.split(plan.block), index.split(plan.block), strict=True)
    parts = (engine.posterior(query, block, its, None, 0) for block, its in pairs)
    return Posterior.merge_all(parts).mean


def question(images: Tensor, window: int, level: float) -> Query:
    """Return the first training image with noise."""
    noise = torch.randn(images[:1].shape, generator=torch.Generator().manual_seed(0))
    noisy = level**0.5 * images[:1] + (1 - level) ** 0.5 * noise.to(images.device)
    return Query(noisy, torch.tensor([level], dtype=torch.float64), window, "inside")


def error(engine: Engine, query: Query, images: Tensor) -> float:
    """Return the largest error of x̂0 given 64 training images, against float64."""
    exact = Query(query.noisy.double(), query.alpha_bar, query.window, query.sources)
    known = evaluate(TorchEngine(MEMORY), exact, images[:64].double())
    return float((evaluate(engine, query, images[:64]) - known).abs().max())


def counts(engine: FusedEngine, query: Query, images: Tensor) -> dict[str, float]:
    """Return how much the fused kernel does: pairs that are admitted, operations, bytes."""
    plan = engine.plan(query, len(images), evidence=False, pairwise=False, best=0)
    division = engine.division(query, plan.block, evidence=False)
    assert division is not None
    assert query.window is not None
    rows, _, columns = division.tile
    height, width = images.shape[-2:]
    inside = (height - query.window + 1) * (width - query.window + 1)
    slots = len(images) * division.moves * division.tiles * rows * columns
    blocks = math.ceil(len(images) / plan.block)
    written = blocks * division.parts * (CHANNELS + 1) * height * width
    return {
        "pairs": len(images) * height * width * inside,
        "scalar": slots * SCALAR,
        "tensor": slots * 2 * 2 * (rows + columns),
        # Each wide image comes from memory once, if caches do their work; parts go there and back.
        "bytes": 4 * (2.5 * images.numel() + 2 * written),
    }


def measure(images: Tensor, window: int, level: float, repeat: int) -> dict[str, float]:
    """Return the times of both engines and the rates of the fused one."""
    device = images.device.type
    query, fused, other = question(images, window, level), FusedEngine(MEMORY), TorchEngine(MEMORY)
    quick = seconds(lambda: evaluate(fused, query, images), repeat, device)
    slow = seconds(lambda: evaluate(other, query, images), max(1, repeat // 2), device)
    rates = {f"{key}/s": value / quick for key, value in counts(fused, query, images).items()}
    errors = {"error": error(fused, query, images), "torch error": error(other, query, images)}
    return (
        {"window": window, "alpha_bar": level, "cuda s": quick, "torch s": slow} | rates | errors
    )


def profiled(images: Tensor, window: int, folder: Path) -> None:
    """Write the profile of one evaluation by each engine."""
    query = question(images, window, LEVELS[0])
    activities = [ProfilerActivity.CPU]
    if images.is_cuda:
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities, record_shapes=True) as seen:
        for engine in (FusedEngine(MEMORY), TorchEngine(MEMORY)):
            evaluate(engine, query, images)
        _wait(images.device.type)
    order = "self_cuda_time_total" if images.is_cuda else "self_cpu_time_total"
    table = seen.key_averages().table(sort_by=order, row_limit=30)
    (folder / "profile.txt").write_text(table, encoding="utf-8")
    seen.export_chrome_trace(str(folder / "trace.json"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--out", default="gpu-benchmark", help="folder for what is written")
    parser.add_argument("--images", type=int, default=4096, help="training images")
    parser.add_argument("--size", type=int, default=32, help="height of an image, pixels")
    parser.add_argument("--repeat", type=int, default=5, help="the fastest of so many runs counts")
    parser.add_argument("--windows", type=int, nargs="+", default=[3, 5, 9, 17])
    parser.add_argument("--device", default="cuda", help="cpu: to try this script out")
    chosen = parser.parse_args()
    try:
        FusedEngine()
        if chosen.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device", "cuda", "cpu", "torch finds no NVIDIA GPU")
    except InputError as problem:
        print(f"Nothing was measured. {problem}")
        return
    folder = Path(chosen.out)
    folder.mkdir(parents=True, exist_ok=True)
    draw = torch.Generator().manual_seed(0)
    shape = (chosen.images, CHANNELS, chosen.size, chosen.size)
    images = (torch.rand(shape, generator=draw) * 2 - 1).to(chosen.device)
    name = torch.cuda.get_device_name() if images.is_cuda else "interpreter: not a measurement"
    limits = bounds(chosen.device, chosen.repeat)
    print(f"{name}, torch {torch.__version__}, {chosen.images} images of {shape[1:]}")
    print("Reached by a product and a copy: ", end="")
    print(", ".join(f"{key} {value:.2e}/s" for key, value in limits.items()))
    print(
        "| window | ᾱ | torch s | cuda s | speed-up | pairs/s | float32 | TF32 | memory "
        "| error | torch error |\n" + "|---" * 11 + "|"
    )
    rows = []
    for window in chosen.windows:
        for level in LEVELS:
            row = measure(images, window, level, chosen.repeat)
            rows.append(row)
            shares = (("scalar/s", "float32"), ("tensor/s", "tf32"), ("bytes/s", "bytes"))
            texts = " | ".join(f"{row[rate] / limits[of]:.1%}" for rate, of in shares)
            print(
                f"| {window} | {level} | {row['torch s']:.4f} | {row['cuda s']:.4f} "
                f"| {row['torch s'] / row['cuda s']:.1f} | {row['pairs/s']:.2e} | {texts} "
                f"| {row['error']:.0e} | {row['torch error']:.0e} |",
                flush=True,
            )
    written = {"device": name, "torch": torch.__version__, "bounds": limits, "rows": rows}
    (folder / "gpu.json").write_text(json.dumps(written, indent=2), encoding="utf-8")
    profiled(images, chosen.windows[0], folder)
    print(f"Written to {folder}: gpu.json, profile.txt, trace.json")


if __name__ == "__main__":
    main()
