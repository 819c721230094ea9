"""Every machine has the same bits on processes, on Ray and on ranks, whatever the division."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scoremachines.data.executors.processes import Processes
from scoremachines.data.executors.ray_actors import Ray
from support.dividing import check_same_bits
from support.machines import EVERY, PLAIN
from support.places import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
DIVISIONS = 1, 2, 3, 5


@pytest.mark.parametrize("step", [12, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_machines_have_the_same_bits_on_processes_and_on_ray(step: int) -> None:
    pytest.importorskip("ray")
    with Processes(3) as processes, Ray(workers=2) as ray:
        for case in [*PLAIN, *EVERY[::step]]:
            check_same_bits(case, [processes, ray], DIVISIONS)


@pytest.mark.parametrize(
    "ranks", [3, *(pytest.param(ranks, marks=pytest.mark.exhaustive) for ranks in (1, 2, 5))]
)
def test_every_machine_has_the_same_bits_on_ranks(ranks: int) -> None:
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    line += ["--nproc-per-node", str(ranks), "-m", "support.ranks"]
    path = os.pathsep.join([str(Path(ROOT) / "tests"), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        line, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert f"the same bits: {len(PLAIN) + len(EVERY)}" in ended.stdout
