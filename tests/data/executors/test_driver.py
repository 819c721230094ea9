"""The process that asks is killed: nobody outlives it, and it goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow]
LINE = ["-m", "scoremachines", "generate", "digits", "-n", "3", "--batch", "1", "--steps", "200"]


def generated(output: Path, *more: str) -> list[str]:
    return [sys.executable, *LINE, "-o", str(output), *more]


@pytest.mark.parametrize("executor", ["processes", "ray"])
def test_a_killed_driver_goes_on_and_leaves_nobody(tmp_path: Path, executor: str) -> None:
    if executor == "ray":
        pytest.importorskip("ray")
    options = "--executor", executor, "--workers", "2"
    subprocess.run(generated(tmp_path / "whole", *options), check=True, capture_output=True)
    output = tmp_path / "killed"
    driver = subprocess.Popen(
        generated(output, *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while not list(output.glob("parts/*.safetensors")) and time.monotonic() < until:
        assert driver.poll() is None
        time.sleep(0.05)
    others = psutil.Process(driver.pid).children(recursive=True)
    # Ray's agents try for a minute to tell a cluster that is gone, and end then.
    others = [each for each in others if not each.name().endswith("Agent")]
    assert len(others) >= 2
    driver.kill()
    driver.wait()
    _, left = psutil.wait_procs(others, timeout=60)
    assert not left, [" ".join(each.cmdline())[:200] for each in left if each.is_running()]
    assert not (output / "samples").exists()
    subprocess.run(generated(output, *options, "--resume"), check=True, capture_output=True)
    for name in ("0000.png", "0001.png", "0002.png"):
        one, other = (tmp_path / run / "samples" / name for run in ("whole", "killed"))
        assert one.read_bytes() == other.read_bytes()


HANGS = """
import os, signal, sys, torch
import scoremachines as sm
from scoremachines.data.executors.distributed import Distributed
from scoremachines.errors import InputError
executor = Distributed(timeout=5.0)
if executor.rank:
    os.kill(os.getpid(), signal.SIGSTOP)
    executor.serve()
    sys.exit()
try:
    sm.ScoreMachine(sm.digits(), 3, executor=executor).denoise(torch.zeros(1, 1, 8, 8), 0.5)
except InputError as error:
    print("one line:", error, flush=True)
"""


def test_a_rank_that_hangs_is_one_line(tmp_path: Path) -> None:
    script = tmp_path / "hangs.py"
    script.write_text(HANGS)
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([*line, str(script)], **quiet) as begun:
        try:
            assert begun.stdout is not None
            assert begun.stdout.readline().startswith("one line: executor='torch'")
        finally:
            for each in psutil.Process(begun.pid).children(recursive=True):
                os.kill(each.pid, signal.SIGKILL)
            begun.kill()
