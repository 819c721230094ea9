"""Ranks of torch.distributed under torchrun: the same images, and one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import scoremachines as sm
from scoremachines.data.executors.choice import executed_by
from scoremachines.errors import InputError

CHECK = """
import sys, torch, scoremachines as sm
from pathlib import Path
from scoremachines.data.executors.distributed import Distributed
from scoremachines.data.reduction import Divided
from scoremachines.errors import InputError
executor = Distributed()
if executor.rank:
    executor.serve()
    sys.exit()
with executor:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2500, 2, 4, 5), generator=draw, dtype=torch.uint8)
    data = sm.TrainingSet(pixels, torch.arange(2500) % 2)
    sets = [data, sm.TrainingSet.open(sys.argv[1]), data.subset(slice(0, 2))]
    noisy = torch.randn(1, 2, 4, 5, generator=draw)
    for each in sets:
        for attention in ("none", "tiled", "top1-class", "tiled-consensus"):
            for label in (None, 1):
                machine = sm.ScoreMachine(each, 3, "valid", attention)
                machine.executor = Divided(executor.parts)
                one = machine.posterior(noisy, 0.5, label, best=2)
                machine.executor = executor
                other = machine.posterior(noisy, 0.5, label, best=2)
                assert torch.equal(one.mean, other.mean)
                assert torch.equal(one.log_weight, other.log_weight)
                assert torch.equal(one.sources.image, other.sources.image)
    path = sorted(Path(sys.argv[1]).glob("shard-*[0-9].npy"))[-1]
    path.unlink()
    try:
        sm.ScoreMachine(sets[1], 3, executor=executor).denoise(noisy, 0.5)
        raise AssertionError
    except InputError as error:
        assert "is missing" in str(error), error
    print("the same")
"""


def torchrun(ranks: int, *line: str) -> subprocess.CompletedProcess[str]:
    begin = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks)]
    begin += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    env = os.environ | {"PYTHONFAULTHANDLER": "1"}
    return subprocess.run([*begin, *line], capture_output=True, text=True, timeout=300, env=env)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 3, 5])
def test_ranks_give_the_same_bits(tmp_path: Path, ranks: int) -> None:
    draw = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (2600, 2, 4, 5), generator=draw, dtype=torch.uint8)
    data = sm.TrainingSet(pixels, torch.arange(2600) % 2)
    sm.shard(data, tmp_path / "x.shards", shard_size=40 * 700)
    (tmp_path / "check.py").write_text(CHECK)
    ended = torchrun(ranks, str(tmp_path / "check.py"), str(tmp_path / "x.shards"))
    assert ended.returncode == 0, ended.stderr[:4000]
    assert "the same" in ended.stdout


@pytest.mark.slow
def test_the_command_under_torchrun_paints_the_same(tmp_path: Path) -> None:
    line = ["-m", "scoremachines", "generate", "digits", "-n", "2", "--steps", "3", "-o"]
    plain = subprocess.run([sys.executable, *line, tmp_path / "a"], capture_output=True)
    assert plain.returncode == 0
    ended = torchrun(2, *line, str(tmp_path / "b"), "--executor", "torch")
    assert ended.returncode == 0, ended.stderr[:4000]
    for name in ("0000.png", "0001.png"):
        one, other = (tmp_path / run / "samples" / name for run in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_executors_that_cannot_be_are_refused() -> None:
    for arguments, named in (
        (("x",), "executor='x'"),
        (("torch",), "torchrun"),
        (("none", 3), "workers=3"),
        (("torch", 3), "workers=3"),
        (("processes", 0), "workers=0"),
        (("processes", None, "auto"), "address='auto'"),
        (("ray", None, "127.0.0.1:1"), "address="),
        (("ray", None, "x"), "host:port"),
    ):
        if arguments[0] == "ray":
            pytest.importorskip("ray")
        with pytest.raises(InputError, match=named), executed_by(*arguments):
            pass
