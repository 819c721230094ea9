"""How fast is the GPU engine, beside the torch engine on the same GPU and beside what it can do?

Times one evaluation of the equivariant local machine (sources "valid") by both engines, and in
the same run what bounds them: a large product in float32, TF32 and half precision, and a copy.
Prints a table; writes `gpu.json`, the profile `profile.txt` and its trace `trace.json`.

    python benchmarks/gpu.py -o out/ [--images 4096] [--repeat 5] [--windows 3 5 9 17]

`TRITON_INTERPRET=1 python benchmarks/gpu.py -o out/ --device cpu --images 2 --size 5 --windows 3`
tries the script out where no GPU is; its times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from scoremachines.engines import Engine, FusedEngine, Query, TorchEngine
from scoremachines.engines.triton.product_layout import padded_values
from scoremachines.errors import InputError
from scoremachines.theory.posterior import Posterior

CHANNELS, MEMORY = 3, 4 * 2**30
LEVELS = (0.999, 0.99, 0.9, 0.3)
PAIR = 9
"""Operations outside tensor cores, of a pair: log-weight, maximum, weight and its halves."""


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
    """Return what the device reaches: operations of three precisions and bytes, a second each."""
    side, numbers = (8192, 2**28) if device == "cuda" else (256, 2**18)
    factors = torch.randn(2, side, side, device=device)
    kinds = {"float32": ("highest", factors), "tf32": ("high", factors)}
    kinds["half"] = ("high", factors.half())
    found = {}
    for name, (precision, (left, right)) in kinds.items():
        torch.set_float32_matmul_precision(precision)
        found[name] = 2 * side**3 / seconds(partial(torch.matmul, left, right), repeat, device)
    torch.set_float32_matmul_precision("highest")
    source = torch.rand(numbers, device=device)
    target = torch.empty_like(source)
    found["bytes"] = 8 * numbers / seconds(lambda: target.copy_(source), repeat, device)
    return found


def evaluate(engine: Engine, query: Query, images: Tensor) -> Tensor:
    """Return x̂0, block by block as the engine plans it."""
    plan = engine.plan(query, len(images), evidence=False, dense=False, best=0)
    index = torch.arange(len(images), device=images.device)
    pairs = zip(images.split(plan.block), index.split(plan.block), strict=True)
    parts = (engine.posterior(query, block, its, None, 0) for block, its in pairs)
    return Posterior.merge_all(parts).mean


def question(images: Tensor, window: int, level: float) -> Query:
    """Return the first training image with noise."""
    noise = torch.randn(images[:1].shape, generator=torch.Generator().manual_seed(0))
    noisy = level**0.5 * images[:1] + (1 - level) ** 0.5 * noise.to(images.device)
    return Query(noisy, torch.tensor([level], dtype=torch.float64), window, "valid")


def error(engine: Engine, query: Query, images: Tensor) -> float:
    """Return the largest error of x̂0 given 64 training images, against float64."""
    exact = Query(query.noisy.double(), query.alpha_bar, query.window, query.sources)
    known = evaluate(TorchEngine(MEMORY), exact, images[:64].double())
    return float((evaluate(engine, query, images[:64]) - known).abs().max())


def counts(query: Query, images: Tensor) -> dict[str, float]:
    """Return how much the kernel does: pairs, operations, bytes."""
    assert query.window is not None
    height, width = images.shape[-2:]
    inside = (height - query.window + 1) * (width - query.window + 1)
    pairs, values = len(images) * height * width * inside, CHANNELS * query.window**2
    rows, (dims, taken) = len(images) * inside, padded_values(values)
    return {
        "pairs": pairs,
        "scalar": pairs * (PAIR + dims // taken),
        # Three products of halves of patches, and two of weights with colours.
        "tensor": pairs * 2 * (3 * values + 2 * (2 * CHANNELS + 1)),
        # Patches are written once and come back once, if caches do their work.
        "bytes": 4 * images.numel() + 2 * rows * (4 * dims + 36),
    }


def measure(images: Tensor, window: int, level: float, repeat: int) -> dict[str, float]:
    """Return the times of both engines, and what the fused one does."""
    device = images.device.type
    query, fused, other = question(images, window, level), FusedEngine(MEMORY), TorchEngine(MEMORY)
    times = {
        "cuda s": seconds(lambda: evaluate(fused, query, images), repeat, device),
        "torch s": seconds(lambda: evaluate(other, query, images), max(1, repeat // 2), device),
    }
    errors = {"error": error(fused, query, images), "torch error": error(other, query, images)}
    return {"window": window, "alpha_bar": level} | times | counts(query, images) | errors


def row_text(row: dict[str, Any], limits: dict[str, float]) -> str:
    """Return a row of the table: the rates as shares of what the device reaches."""
    time = row["cuda s"]
    parts = (("scalar", "float32"), ("tensor", "half"), ("bytes", "bytes"))
    shares = " | ".join(f"{row[what] / time / limits[of]:.1%}" for what, of in parts)
    return (
        f"| {row['window']} | {row['alpha_bar']} | {row['torch s'] * 1e3:.1f} "
        f"| {time * 1e3:.2f} | {row['torch s'] / time:.1f} | {row['pairs'] / time:.1e} | {shares} "
        f"| {row['error']:.0e} | {row['torch error']:.0e} |"
    )


def profiled(images: Tensor, window: int, folder: Path) -> None:
    """Write the profile of one evaluation by each engine."""
    query = question(images, window, LEVELS[-1])
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
        "| window | ᾱ | torch ms | cuda ms | speed-up | pairs/s | float32 | tensor cores "
        "| memory | error | torch error |\n" + "|---" * 11 + "|"
    )
    rows = []
    for window in chosen.windows:
        for level in LEVELS:
            rows.append(measure(images, window, level, chosen.repeat))
            print(row_text(rows[-1], limits), flush=True)
    written = {"device": name, "torch": torch.__version__, "bounds": limits, "rows": rows}
    (folder / "gpu.json").write_text(json.dumps(written, indent=2), encoding="utf-8")
    profiled(images, chosen.windows[0], folder)
    print(f"Written to {folder}: gpu.json, profile.txt, trace.json")


if __name__ == "__main__":
    main()
