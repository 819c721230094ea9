"""Processes of this machine: killed or hanging ones change no bit, and none is left."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import scoremachines as sm
from scoremachines.data.executors.job import LONG, Job, Packer, unpacked
from scoremachines.data.executors.processes import Processes
from scoremachines.data.reduction import Divided, Pass, default_executor, reduce
from scoremachines.errors import InputError
from scoremachines.machine.covariance import Total
from support.dividing import OnceAt


def training_set(count: int = 40) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 2, 4, 5), generator=draw, dtype=torch.uint8)
    return sm.TrainingSet(pixels, torch.arange(count) % 2)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_changes_nothing(tmp_path: Path, sent: int) -> None:
    data = training_set()
    with Processes(2, late=1.0) as processes:
        known = reduce(Total(), Pass(data, 3), Divided(2))
        statistic = OnceAt(tmp_path / "mark", sent)
        assert torch.equal(reduce(statistic, Pass(data, 3), processes), known)
        assert (tmp_path / "mark").exists()
        assert torch.equal(reduce(Total(), Pass(data, 3), processes), known)
        folder = processes._folder
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "parts"), [(1, 3), (5, 3), (2, 99)])
def test_parts_decide_the_bits_and_not_workers(workers: int, parts: int) -> None:
    data, noisy = training_set(), torch.randn(1, 2, 4, 5, generator=torch.manual_seed(1))
    machine = sm.ScoreMachine(data, 3, "valid", "tiled-class", executor=Divided(parts))
    known = machine.posterior(noisy, 0.5, best=2)
    with Processes(workers, parts) as machine.executor:
        found = machine.posterior(noisy, 0.5, best=2)
    assert torch.equal(found.mean, known.mean)
    assert torch.equal(found.sources.image, known.sources.image)


def test_an_executor_by_default_carries_every_pass_out() -> None:
    data, seen = training_set(), []

    class Seen(Divided):
        def part_values(self, reductions, blocks):  # type: ignore[no-untyped-def]
            seen.append(blocks)
            return super().part_values(reductions, blocks)

    with default_executor(Seen(3)):
        sm.Wiener(data).denoise(torch.zeros(1, 2, 4, 5), 0.5)
        reduce(Total(), Pass(data, 2))
        leaf = torch.zeros(1, 2, 4, 5, requires_grad=True)
        found = sm.ScoreMachine(data, 3).denoise(leaf, 0.5).sum()
        count = len(seen)
        found.backward()
        assert len(seen) == count  # a gradient does not leave the process
    assert count >= 3
    reduce(Total(), Pass(data, 2))
    assert len(seen) == count
    with pytest.raises(InputError, match="executor"), default_executor(3):  # type: ignore[arg-type]
        pass


def test_a_message_does_not_grow_with_the_set() -> None:
    """What is as long as the set is kept once; a job holds keys in its place."""
    kept: dict[str, int] = {}
    packer = Packer(lambda key, array: kept.setdefault(key, array.nbytes), lambda _: None)
    sizes = []
    for count in (LONG * 2, LONG * 8):
        data = training_set(count)
        for _ in range(3):
            members = data.of_class(1)
            packed = packer.pack(Job.of([Total()], Pass(data, 5, members=members)))
            sizes.append(len(packed))
        assert len(packer.handles) == 2
        arrays = {key: torch.zeros(0) for key in packer.handles}
        job = unpacked(packed, arrays.__getitem__)
        assert isinstance(job.reductions[0], Total)
        del data, members, job
        assert not packer.handles
    assert max(sizes) - min(sizes) < 64
    assert max(sizes) < 4096
    assert len(kept) == 4
    assert len(pickle.dumps(training_set(LONG * 8))) > 100_000


LEFT = """
import os, time
from multiprocessing import active_children
from scoremachines.data.executors.processes import Processes
from scoremachines.data.reduction import Pass, reduce
from scoremachines.machine.covariance import Total
import scoremachines as sm
if __name__ == "__main__":
    processes = Processes(2)
    reduce(Total(), Pass(sm.digits(), 50), processes)
    print(*(each.pid for each in active_children()), flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_no_process_outlives_the_one_that_began_it(tmp_path: Path) -> None:
    script = tmp_path / "left.py"
    script.write_text(LEFT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as begun:
        assert begun.stdout is not None
        workers = list(map(int, begun.stdout.readline().split()))
        assert len(workers) == 2
        begun.kill()
        begun.wait()
        until = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < until
            time.sleep(0.1)
