"""The time of a run, estimated from a small part of it.

A step costs in proportion to the training images, and to the pairs of a pixel and a place that it
may draw from (theory §2.2): a few images, cut to a small size, show what all of them cost.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from scoremachines.attention import Tiled, spec_of
from scoremachines.attention.base import evidence_windows
from scoremachines.data.reduction import Here, current_executor
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import AdaptiveEngine
from scoremachines.errors import MOST as MOST_COUNTED
from scoremachines.errors import InputError
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.locality import WindowSchedule
from scoremachines.theory.runs import source_counts

__all__ = ["LONG", "announce", "in_words", "run_seconds", "sample_seconds", "work"]

LONG = 20.0
"""Seconds from which on an estimate is printed."""
PIECE, MOST = 0.4, 1.2
"""Seconds that a timed piece should take, and those after which no larger one is tried."""
SIDE = 24
"""Pixels a side that images are cut to, at least; more where the window is large."""
LEVELS = 2
"""How many of a run's steps are timed."""
CUT = ("none", "full", "tiled", "multiscale", "identity", "top1")
"""Attentions that mean the same at any size of the images."""


def run_seconds(
    machines: Iterable[DenoiserModel],
    samples: int,
    steps: int,
    best: int = 0,
    count: int | None = None,
) -> float:
    """Return about how long some machines take for their samples, one after the other.

    Args:
        machines: score machines, networks, baselines.
        samples: of each.
        steps: of each sample.
        best: how many sources are named at every step.
        count: how many training images are used; by default all.

    Returns:
        Seconds, about; 0 for what the run itself will refuse.
    """
    known = list(machines)
    if not known or not 0 < samples <= MOST_COUNTED or not 0 < steps <= MOST_COUNTED:
        return 0.0
    try:
        enough = LONG / samples / len(known)
        return sum(samples * sample_seconds(each, steps, best, count, enough) for each in known)
    except InputError:
        return 0.0


def sample_seconds(
    machine: DenoiserModel,
    steps: int,
    best: int = 0,
    count: int | None = None,
    enough: float = 0.0,
) -> float:
    """Return about how long one sample takes.

    Args:
        machine: a score machine, a network or a baseline.
        steps: from noise to image.
        best: how many sources are named at every step.
        count: how many training images it uses; by default all.
        enough: a time that is no longer than this, seconds, need not be known better.

    Returns:
        Seconds, about.

    Raises:
        InputError: the machine cannot be tried.
    """
    if isinstance(machine, ScoreMachine):
        _step_seconds(machine, 1.0, best, 1, 3600)  # libraries load and set up what they need
    times = sorted({(1 + (steps - 1) * i // (LEVELS - 1)) / steps for i in range(LEVELS)})
    if isinstance(machine, ScoreMachine):
        pieces = [_step_seconds(machine, time, best, count, enough / steps) for time in times]
    else:
        noisy = torch.zeros(1, *machine.shape, device=machine.device, dtype=machine.dtype)
        levels = [float(machine.schedule.alpha_bar(time)) for time in times]
        pieces = [_seconds(machine, noisy, level, 0) for level in levels]
    return steps * sum(pieces) / len(pieces)


def work(shape: tuple[int, ...], window: int | None, sources: str, dense: bool = False) -> float:
    """Return how many pairs of a pixel and a place, or another pixel, one image has.

    Args:
        shape: (H, W), pixels.
        window: k, pixels; None for the whole image.
        sources: V(u).
        dense: whether the attention holds a matrix over pairs of pixels.

    Returns:
        The number of pairs, to which the time is in proportion.
    """
    pixels = math.prod(shape)
    if dense:
        return float(pixels**2)
    if window is None or sources == "aligned":
        return pixels * (math.log2(1 + pixels) if sources == "circular" else 1.0)
    rows, columns = (float(source_counts(size, window, sources).sum()) for size in shape)
    return rows * columns


def _step_seconds(
    machine: ScoreMachine, time: float, best: int, count: int | None, enough: float
) -> float:
    """Return about how long one step takes for one noisy image."""
    window = machine.window(time) if isinstance(machine.window, WindowSchedule) else machine.window
    shape, attention = tuple(machine.shape[1:]), machine.attention
    number, share = len(machine.data) if count is None else count, 1.0
    windows = evidence_windows(attention, window, shape)
    spec = spec_of(attention)
    if spec is not None and spec.map == "multiscale":  # one evidence, where it wants several
        attention = Tiled()
        once = work(shape, window, machine.sources)
        share = (1 + sum(work(shape, k, machine.sources) for k in windows) / once) / 2
    size, dense = shape, attention.dense
    if window is not None and spec is not None and spec.map in CUT:
        size = tuple(min(side, max(SIDE, 2 * window + 1)) for side in shape)
    engine = machine.engine.exact if isinstance(machine.engine, AdaptiveEngine) else machine.engine
    level, before = float(machine.schedule.alpha_bar(time)), perf_counter()
    threads = torch.get_num_threads()
    some = min(number, 32 * threads)
    executor = current_executor() if machine.executor is None else machine.executor
    share *= threads / getattr(executor, "parts", threads)  # which are computed at once
    while True:
        data = _cut(machine.data, some, size)
        choices: dict[str, Any] = {
            "schedule": machine.schedule,
            "engine": engine,
            "executor": Here(),
            "smooth": machine.smooth,
        }
        piece = ScoreMachine(data, window, machine.sources, attention, **choices)
        noise = torch.randn(1, *data.shape, generator=torch.Generator().manual_seed(0))
        clean = data.block(slice(0, 1), torch.float32)
        # As in the run: what does not weigh is passed over.
        noisy = level**0.5 * clean + (1 - level) ** 0.5 * noise.to(clean.device)
        seconds = _seconds(piece, noisy, level, best)
        whole, part = (work(each, window, machine.sources, dense) for each in (shape, size))
        about = seconds * share * whole / part * number / some
        known = seconds > PIECE or perf_counter() - before > MOST or about <= enough
        if known or (some == number and size == shape):
            return about
        if some < number:
            some = min(number, 4 * some)
        else:
            size = tuple(min(side, 2 * part) for side, part in zip(shape, size, strict=True))


def _cut(data: TrainingSet, count: int, size: tuple[int, ...]) -> TrainingSet:
    pixels = data.pixels[:count][:, :, : size[0], : size[1]].contiguous()
    return TrainingSet(pixels, None if data.labels is None else data.labels[:count])


def _seconds(machine: DenoiserModel, noisy: Tensor, level: float, best: int) -> float:
    start = perf_counter()
    if best and isinstance(machine, ScoreMachine):
        float(machine.posterior(noisy, level, best=best).mean.sum())
    else:
        float(machine.denoise(noisy, level).sum())  # which a GPU has to finish
    return perf_counter() - start


def in_words(seconds: float) -> str:
    """Return a time in words, such as `about 3 min`."""
    if seconds < 90:
        return f"about {10 * max(1, round(seconds / 10))} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"about {round(seconds / 3600)} h"
    return f"about {round(seconds / 86400)} days"


def announce(seconds: float, what: str) -> bool:
    """Print how long something will take, on stderr, if that is more than `LONG`.

    Args:
        seconds: about.
        what: it is made of, such as `16 samples × 20 steps`.

    Returns:
        Whether it was printed.
    """
    if seconds <= LONG:
        return False
    print(f"{in_words(seconds)}: {what}", file=sys.stderr, flush=True)
    return True
