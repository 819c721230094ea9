"""One task in a process of its own, so that its memory is its own, too.

    python -m scoremachines.experiments.bench.child '{"pixels": "data.npy", "engine": "native", …}'

Prints one line of JSON for each measurement.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import Engine, Query, make_engine
from scoremachines.engines.native.engine import native_instructions
from scoremachines.experiments.bench.dense import dense
from scoremachines.experiments.bench.memory import peak, reset_peak
from scoremachines.io.orphans import end_with_stdin
from scoremachines.io.sealed import load_tensors
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.sampling.sample import trajectory
from scoremachines.theory.locality import parse_window
from scoremachines.theory.posterior import Posterior

__all__ = ["main"]

LONG = 20.0
"""What takes longer is measured once, seconds."""
SOURCES = {"els": "valid", "local": "aligned", "ideal": "aligned"}

Answer = tuple[Tensor, float | None]
"""x̂0, and the bound on its error that an approximate engine gives."""


def main(words: list[str]) -> None:
    """Carry out the task that the command line holds."""
    end_with_stdin()
    task = json.loads(words[0])
    torch.set_num_threads(task["threads"])
    pixels = _pixels(task)
    for line in _sample(task, pixels) if task.get("sample") else _levels(task, pixels):
        print(json.dumps(line), flush=True)


def _pixels(task: dict[str, Any]) -> Tensor:
    pixels = load_tensors(task["pixels"])[0]["pixels"]
    return pixels[: task["count"]].clone()


def _levels(task: dict[str, Any], pixels: Tensor) -> Iterator[dict[str, Any]]:
    """Yield time, memory and error at each noise level."""
    data = TrainingSet(pixels)
    _way(task, TrainingSet(pixels[:2].clone()))(_noisy(task, data, 0.5), 0.5)  # libraries load
    work = _way(task, data)
    exact = _exact(task, data) if task["exact"] else None
    for level in task["levels"]:
        noisy = _noisy(task, data, level)
        before = reset_peak(task["device"])
        (found, bound), seconds = _fastest(partial(work, noisy, level), task["repeat"])
        line = {
            "level": level,
            "seconds": seconds,
            "bytes": max(0, peak(task["device"]) - before),
        }
        line |= {"pairs": _pairs(task, data), "bound": bound, "error": None}
        if exact is not None:
            known = exact.denoise(noisy.cpu().double(), level)
            line["error"] = float((found.cpu().double() - known).abs().max())
        yield line


def _sample(task: dict[str, Any], pixels: Tensor) -> Iterator[dict[str, Any]]:
    """Yield the time of every step of one whole sample, as it is done."""
    data = TrainingSet(pixels)
    machine = ScoreMachine(data, parse_window(task["schedule"]), engine=_engine(task))
    machine = machine.to(task["device"])
    before, start = reset_peak(task["device"]), time.perf_counter()
    for step in trajectory(machine, range(1), task["steps"], task["seed"]):
        passed = time.perf_counter() - start
        window = parse_window(task["schedule"])
        if callable(window):
            window = window(machine.schedule.time(torch.tensor([step.alpha_bar])).item())
        line = {"step": step.number, "level": step.alpha_bar, "window": window}
        yield line | {"seconds": passed, "bytes": max(0, peak(task["device"]) - before)}


def _engine(task: dict[str, Any]) -> Engine:
    engine = make_engine(task["engine"], task["memory"])
    if task["tolerance"] is not None and hasattr(engine, "tolerance"):
        engine.tolerance = task["tolerance"]
    return engine


def _way(task: dict[str, Any], data: TrainingSet) -> Callable[[Tensor, float], Answer]:
    """Return a function from φ and ᾱ to x̂0."""
    sources, window = SOURCES[task["machine"]], task["window"]
    if task["engine"] == "dense":
        pixels = data.pixels[:].to(task["device"])

        def by_convolution(noisy: Tensor, level: float) -> Answer:
            at = torch.tensor([level], dtype=torch.float64)
            return dense(Query(noisy, at, window, sources), pixels), None

        return by_convolution
    machine = ScoreMachine(data, window, sources, engine=_engine(task)).to(task["device"])

    def by_engine(noisy: Tensor, level: float) -> Answer:
        posterior = machine.posterior(noisy, level)
        return posterior.mean, _bound(posterior)

    return by_engine


def _bound(posterior: Posterior) -> float | None:
    """Return the error that an approximate engine vouches for; an exact one has none."""
    return None if posterior.bounds is None else float(posterior.error_bound.max())


def _exact(task: dict[str, Any], data: TrainingSet) -> ScoreMachine:
    """Return the same machine for float64: its engines are tested against the reference."""
    name = "native" if native_instructions() else "torch"
    return ScoreMachine(data, task["window"], SOURCES[task["machine"]], engine=name)


def _noisy(task: dict[str, Any], data: TrainingSet, level: float) -> Tensor:
    """Return the first training image under noise."""
    draw = torch.Generator().manual_seed(task["seed"])
    noise = torch.randn((1, *data.shape), generator=draw)
    clean = data.block(slice(0, 1), torch.float32)
    return (level**0.5 * clean + (1 - level) ** 0.5 * noise).to(task["device"])


def _pairs(task: dict[str, Any], data: TrainingSet) -> int:
    """Return how many pairs of a pixel and a training patch there are."""
    height, width = data.shape[1:]
    places = 1
    if task["machine"] == "els":
        places = (height - task["window"] + 1) * (width - task["window"] + 1)
    return len(data) * height * width * places


def _fastest(work: Callable[[], Answer], repeat: int) -> tuple[Answer, float]:
    """Return the answer, and the shortest of several times, seconds."""
    times: list[float] = []
    while not times or (len(times) < repeat and min(times) < LONG):
        start = time.perf_counter()
        answer = work()
        if answer[0].is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return answer, min(times)


if __name__ == "__main__":
    main(sys.argv[1:])
