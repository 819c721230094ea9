"""Engines stay within their memory, measured by the operating system."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import scoremachines as sm
from scoremachines.engines import Query, TorchEngine
from scoremachines.engines.memory import (
    SCRATCH,
    native_bytes,
    plan_native,
    plan_within,
    working_bytes,
)
from scoremachines.engines.native.engine import native_instructions
from scoremachines.errors import InputError

MEASURE = """
import json, os, sys, torch
from pathlib import Path
import scoremachines as sm

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

def measure(engine, shape, count, batch, window, sources, attention, best, mebibytes):
    draw = torch.Generator().manual_seed(0)
    def machine(n, size, k, budget):
        pixels = torch.randint(0, 256, (n, *size), generator=draw, dtype=torch.uint8)
        data = sm.TrainingSet(pixels, labels=torch.arange(n) % 3)
        return sm.ScoreMachine(data, k, sources, attention, engine=engine, memory=budget)
    # A small one first: libraries load and set up what they need.
    small = machine(3, (3, 5, 7), window and 3, 2**30)
    small.posterior(torch.randn(2, 3, 5, 7, generator=draw), 0.5, best=best)
    large = machine(count, tuple(shape), window, mebibytes * 2**20)
    noisy = torch.randn(batch, *shape, generator=draw)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    large.posterior(noisy, 0.5, best=best)
    return status("VmHWM") - before

torch.set_num_threads(1)
sm.ScoreMachine  # loads it, and all that it needs
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        print(measure(*json.loads(line)), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        break
"""
"""Reads cases, and prints what each takes at its peak, in a process that has done nothing else."""

linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc"
)


built = pytest.mark.skipif(not native_instructions(), reason="built without a C++ compiler")
engines = pytest.mark.parametrize("engine", ["torch", pytest.param("native", marks=built)])


@pytest.fixture(scope="module")
def peak() -> Iterator[Callable[..., int]]:
    """Return what tells the bytes that a posterior takes at its peak, given engine and case."""
    pipe = subprocess.PIPE
    line = [sys.executable, "-c", MEASURE]
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout

        def ask(*case: object) -> int:
            asked.write(json.dumps(case) + "\n")
            asked.flush()
            return int(told.readline())

        yield ask


@linux
@engines
@pytest.mark.parametrize(
    "case",
    [
        ((3, 24, 20), 2000, 2, 5, "aligned", "none", 4, 16),
        ((3, 16, 18), 600, 2, 5, "valid", "full", 2, 32),
        ((3, 32, 32), 1000, 3, None, "aligned", "tiled", 4, 32),
        ((3, 32, 32), 500, 2, 5, "aligned", "multiscale", 4, 32),
        ((3, 16, 18), 500, 9, 5, "aligned", "multiscale-class", 8, 32),
    ],
)
def test_a_small_budget_is_kept(
    peak: Callable[..., int], engine: str, case: tuple[object, ...]
) -> None:
    assert peak(engine, *case) <= case[-1] * 2**20


@linux
@engines
@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        ((3, 32, 32), 300, 2, 9, "valid", "none", 4, 64),
        ((3, 32, 32), 128, 1, 5, "circular", "identity", 4, 256),
        ((3, 32, 32), 128, 1, 17, "boundary", "multiscale", 0, 64),
        ((3, 32, 32), 600, 4, None, "circular", "full", 4, 64),
        ((1, 64, 64), 16, 1, 5, "aligned", "identity", 2, 1024),
        ((3, 16, 16), 300, 2, 5, "valid", "top1", 2, 64),
    ],
)
def test_budgets_are_kept(peak: Callable[..., int], engine: str, case: tuple[object, ...]) -> None:
    assert peak(engine, *case) <= case[-1] * 2**20


@linux
@built
@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        ((3, 32, 32), 1000, 16, 17, "valid", "none", 0, 1024),
        ((3, 32, 32), 5000, 4, None, "aligned", "none", 4, 1024),
        ((3, 32, 32), 8192, 16, 3, "aligned", "none", 2, 1024),
        ((3, 32, 32), 3000, 2, 7, "aligned", "full", 0, 1024),
        ((1, 64, 64), 16, 1, 5, "aligned", "identity", 2, 1024),
    ],
)
def test_the_native_estimate_is_above_what_is_used(
    peak: Callable[..., int], case: tuple[Any, ...]
) -> None:
    shape, count, batch, window, sources, attention, best, mebibytes = case
    level = torch.full((batch,), 0.5, dtype=torch.float64)
    query = Query(torch.zeros(batch, *shape), level, window, sources)
    wants = (attention != "none", attention == "identity", best)
    plan = plan_native(mebibytes * 2**20, 1, query, count, *wants)
    estimate = native_bytes(query, plan, 1, *wants)
    used = peak("native", *case)
    assert used <= estimate
    # A copy of the block is counted, which bytes without classes do without.
    copy = plan.block * query.noisy[0].numel() * 4
    assert estimate - copy - SCRATCH <= 2.5 * used


@built
def test_the_native_engine_plans_within_its_memory() -> None:
    query = Query(torch.zeros(8, 3, 32, 32), torch.full((8,), 0.5).double(), 9, "valid")
    blocks = []
    for budget in (2**24, 2**26, 2**30):
        plan = plan_native(budget, 2, query, 50_000, True, False, 4)
        assert native_bytes(query, plan, 2, True, False, 4) <= budget
        blocks.append(plan.block * plan.batch)
    assert blocks == sorted(blocks)
    with pytest.raises(InputError, match=r"memory='1.0 MiB': too little. Accepted: at least"):
        plan_native(2**20, 2, query, 5000, True, False, 4)


def test_a_larger_budget_takes_more_at_once_and_too_small_a_one_is_refused() -> None:
    query = Query(torch.zeros(8, 3, 32, 32), torch.full((8,), 0.5).double(), 9, "valid")
    blocks = []
    for budget in (2**24, 2**26, 2**30):
        plan = plan_within(budget, query, 5000, True, False, 4)
        assert working_bytes(query, plan, True, False, 4) <= budget
        blocks.append(plan.block * plan.batch)
    assert blocks == sorted(blocks)
    with pytest.raises(InputError, match=r"memory='1.0 MiB': too little. Accepted: at least"):
        plan_within(2**20, query, 5000, True, False, 4)


def test_the_default_is_a_gibibyte() -> None:
    assert TorchEngine().memory == 2**30
    assert sm.els(sm.TrainingSet(torch.zeros(2, 1, 5, 7)), 3).engine.memory == 2**30


def test_the_answer_does_not_depend_on_the_budget() -> None:
    draw = torch.Generator().manual_seed(0)
    data = sm.TrainingSet(torch.rand((70, 3, 12, 10), generator=draw) * 2 - 1)
    noisy = torch.randn(3, 3, 12, 10, generator=draw)
    answers = [
        sm.els(data, 5, attention="full", memory=budget).posterior(noisy, 0.5, best=2)
        for budget in (6 * 2**20, 2**30)
    ]
    torch.testing.assert_close(answers[0].mean, answers[1].mean, rtol=0, atol=1e-5)
    assert torch.equal(answers[0].sources.image, answers[1].sources.image)
