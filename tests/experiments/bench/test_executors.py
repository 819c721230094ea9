"""Executors are timed beside one process, from the command line, and a stopped run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.data.reduction import Here, current_executor
from scoremachines.experiments.bench import executors
from scoremachines.experiments.bench.at_scale import SETS, at_scale
from scoremachines.experiments.bench.executors import FILE, SECTIONS
from scoremachines.experiments.bench.stored import FOLDER, MadeUp, stored_set
from scoremachines.experiments.bench.workers import memory_of
from scoremachines.io.sealed import read_json, write_json

LINE = [
    "bench",
    "--counts",
    "64",
    "--windows",
    "3",
    "--levels",
    "0.5",
    "--repeat",
    "1",
    "--threads",
    "2",
    "--stored",
    "12",
]


@pytest.mark.slow
def test_executors_are_timed_and_a_stopped_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    line = [*LINE, "--executor", "processes", "--workers", "2", "-o", str(output)]
    assert main(line) == 0
    held = read_json(output / FILE)
    assert [row["executor"] for row in held["overhead"]] == ["none", "processes"] * 3
    assert all(row["seconds"] > 0 for row in held["overhead"])
    assert held["scaling"] == []  # it has as many workers as it was given
    (stored,) = held["stored"]
    assert stored["count"] == 12
    assert stored["shards"] == 4
    assert stored["bytes"] == 12 * 64 * 64 * 3
    assert 0 < stored["opened"] < 1
    assert not (output / FOLDER).exists()
    del held["overhead"][2:]
    write_json(output / FILE, held)
    assert main([*line, "--resume"]) == 0
    again = read_json(output / FILE)
    assert again["overhead"][:2] == held["overhead"]
    assert len(again["overhead"]) == 6
    assert again["stored"] == held["stored"]
    assert isinstance(current_executor(), Here)
    capsys.readouterr()
    assert main([*line, "--resume", "--windows", "5"]) == 2
    assert "the settings that it was begun with" in capsys.readouterr().err
    del held["stored"]
    write_json(output / FILE, held)
    assert main([*line, "--resume"]) == 0
    assert "a table is missing" in capsys.readouterr().err


@pytest.mark.slow
def test_workers_scale_and_keep_within_their_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(executors, "WORKERS", (1, 2))
    line = ["bench", "--executors", "--quick", "-o", str(tmp_path / "out")]
    assert main(line) == 0
    held = read_json(tmp_path / "out" / FILE)
    assert all(held[name] for name in SECTIONS)
    assert {row["executor"] for row in held["overhead"]} == {"none", "processes", "ray"}
    for row in held["scaling"]:
        assert row["count"] == 64 * row["workers"]
        assert 0 <= row["peak"] <= row["shard"] + row["budget"]


def test_a_gpu_has_no_executors(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([*LINE, "--executors", "--device", "cuda", "-o", str(tmp_path / "x")]) == 2
    assert "device='cuda'" in capsys.readouterr().err


def test_a_made_up_image_depends_on_seed_and_number_alone(tmp_path: Path) -> None:
    data, _ = stored_set(tmp_path / "x.shards", 9, 3)
    known = np.stack([MadeUp(9, 3)[number] for number in range(9)]).transpose(0, 3, 1, 2)
    assert np.array_equal(data.pixels[:].numpy(), known)
    assert len({image.tobytes() for image in known}) == 9
    assert MadeUp(9, 4)[0].tobytes() != MadeUp(9, 3)[0].tobytes()


def test_memory_is_that_of_each_worker() -> None:
    data = sm.TrainingSet(torch.zeros(4, 1, 2, 2, dtype=torch.uint8))
    before = memory_of(Here(), 2, data, anew=True)
    held = torch.ones(2**24)
    after = memory_of(Here(), 2, data, anew=False)
    assert before.keys() == after.keys()
    (grown,) = (after[process] - before[process] for process in before)
    assert held.nbytes * 0.9 < grown < held.nbytes * 1.5


def test_what_many_images_take_is_in_proportion() -> None:
    row = {"shape": [3, 64, 64], "threads": 2, "again": 36.0, "count": 1000, "window": 3}
    row |= {"els": 72.0, "els_count": 10, "sent": [(1000, 1048)]}
    lines = at_scale(row)
    cells = [line.strip("| ").split(" | ") for line in lines[2:]]
    assert len(cells) == 2 * len(SETS)
    name, count, size, machine, hours, hosts, each, sent = cells[2]
    assert (name, count, machine, sent) == ("LAION-400M", "400,000,000", "LS, k = 3", "2")
    assert float(hours) == pytest.approx(2 * 36 / 1000 * 4e8 / 3600, rel=0.01)
    assert float(size) == pytest.approx(4e8 * 12288 / 1e12, rel=0.01)
    assert int(hosts.replace(",", "")) == pytest.approx(8000 * 60 * 60 / 60 / 64, rel=0.01)
    assert float(each) == pytest.approx(float(size) / int(hosts.replace(",", "")), rel=0.05)
