"""`scoremachines bench`: what it measures, what it keeps, what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.engines import Query, ReferenceEngine
from scoremachines.errors import InputError, numbers
from scoremachines.experiments.bench.attentions import ATTENTIONS
from scoremachines.experiments.bench.dense import dense
from scoremachines.experiments.bench.images import made_up_images
from scoremachines.experiments.bench.run import run
from scoremachines.experiments.bench.settings import BenchSettings
from scoremachines.experiments.bench.table import HEAD, row, speed_ups, summary
from scoremachines.experiments.bench.tasks import engines, tasks
from scoremachines.machine.by_name import DENOISERS

SMALL = BenchSettings(
    size="9x8",
    counts="5,12",
    windows="3,5",
    levels="0.9,0.3",
    repeat=1,
    threads=1,
    engines="dense,torch",
)


def result(engine: str, seconds: float | None, **changes: object) -> dict[str, object]:
    known = {"engine": engine, "machine": "els", "window": 3, "count": 4, "level": 0.5}
    measured = {"seconds": seconds, "pairs": 100, "bytes": 2**20, "error": None, "bound": None}
    return known | measured | {"reason": "not measured"} | changes


@pytest.mark.parametrize("window", [3, 5])
def test_the_baseline_is_the_reference(window: int) -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (19, 3, 7, 9), generator=draw, dtype=torch.uint8)
    noisy = torch.randn(1, 3, 7, 9, generator=draw, dtype=torch.float64)
    query = Query(noisy, torch.tensor([0.6], dtype=torch.float64), window, "valid")
    values = pixels.double() / 127.5 - 1
    known = ReferenceEngine().posterior(query, values, torch.arange(19), None, 0).mean
    for images in (pixels, values):
        torch.testing.assert_close(dense(query, images), known, rtol=0, atol=1e-11)


@pytest.mark.slow
def test_a_benchmark_measures_all_engines_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoremachines.runs.estimate.LONG", 0.0)
    folder = tmp_path / "bench"
    asked = replace(SMALL, windows="5")
    found = run(asked, made_up_images(SMALL), folder)
    held = json.loads(found.read_text(encoding="utf-8"))
    assert sorted(each.name for each in folder.glob("[!.]*")) == ["bench.json", "bench.png"]
    results = held["results"]
    els = [each for each in results if each["machine"] == "els"]
    keys = {(e["engine"], e["window"], e["count"], e["level"]) for e in els}
    assert len(keys) == len(els) == 2 * (2 + 3)  # engines, levels with .999 once
    assert {(e["machine"], e["window"]) for e in results} >= {("local", 5), ("ideal", None)}
    for each in els:
        assert each["seconds"] > 0
        assert each["pairs"] == each["count"] * 72 * (10 - each["window"]) * (9 - each["window"])
        assert (each["error"] is None) == (each["count"] == 5)
        assert each["error"] is None or each["error"] < 1e-3
    assert held["machine"]["images"] == [12, 3, 9, 8]
    with Image.open(folder / "bench.png") as picture:
        assert picture.width > 600
    printed, announced = capsys.readouterr()
    assert HEAD[0] in printed
    assert printed.count("| els |") == len(els)
    assert "torch: at most" in printed
    assert announced == "about 10 s: 4 measurements on more images\n"
    # Once more: everything is known, so nothing is measured.
    run(asked, made_up_images(SMALL), folder, resume=True)
    assert json.loads(found.read_text(encoding="utf-8"))["results"] == results
    printed, announced = capsys.readouterr()
    assert "| els |" not in printed
    assert announced == ""


@pytest.mark.slow
def test_a_killed_benchmark_keeps_what_it_measured_and_goes_on(tmp_path: Path) -> None:
    options = ["--size", "9x8", "--counts", "5", "--windows", "3", "--levels", "0.9"]
    options += ["--engines", "torch", "--threads", "1", "-o", str(tmp_path / "bench")]
    line = [sys.executable, "-m", "scoremachines", "bench", *options]
    file = tmp_path / "bench" / "bench.json"
    child = subprocess.Popen(line, stdout=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if file.is_file() and json.loads(file.read_text(encoding="utf-8"))["results"]:
            break
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    kept = json.loads(file.read_text(encoding="utf-8"))["results"]
    assert kept
    assert main(["bench", *options, "--resume"]) == 0
    whole = json.loads(file.read_text(encoding="utf-8"))["results"]
    assert whole[: len(kept)] == kept
    assert len([each for each in whole if each["machine"] == "els"]) == 2
    assert main(["bench", *options]) == 2  # the folder holds an earlier run


def test_every_attention_is_timed_beside_none(tmp_path: Path) -> None:
    options = ["--attentions", "--size", "9x8", "--counts", "5", "--windows", "3"]
    options += ["--levels", "0.9,0.1", "--engines", "torch", "--threads", "1", "--repeat", "1"]
    assert main(["bench", *options, "-o", str(tmp_path / "attentions")]) == 0
    file = tmp_path / "attentions" / "attentions.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    names = [*ATTENTIONS, "matrix"]
    assert [(each["level"], each["attention"]) for each in rows] == [
        (level, name) for level in (0.9, 0.1) for name in names
    ]
    for each in rows:
        none = next(e for e in rows if (e["level"], e["attention"]) == (each["level"], "none"))
        assert each["ratio"] == pytest.approx(each["seconds"] / none["seconds"])


def test_every_denoiser_is_timed_beside_els(tmp_path: Path) -> None:
    options = ["--denoisers", "--size", "9x8", "--counts", "5", "--windows", "3", "--threads", "1"]
    options += ["--levels", "0.5", "--repeat", "1", "-o", str(tmp_path / "denoisers")]
    assert main(["bench", *options]) == 0
    file = tmp_path / "denoisers" / "denoisers.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    named = [each["denoiser"] for each in rows]
    assert named[:3] == ["els", "els:smooth=0.5", "els:smooth=0.5+contrasts"]
    assert set(DENOISERS) < set(named)
    for each in rows:
        assert each["ratio"] == pytest.approx(each["seconds"] / rows[0]["seconds"])


def test_a_whole_sample_is_announced_and_timed_step_by_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoremachines.runs.estimate.LONG", 0.0)
    settings = replace(SMALL, engines="torch", schedule="0.3:3,0.6:5,0.9:7", steps=3)
    found = run(settings, made_up_images(settings), tmp_path / "sample", sample=True)
    assert capsys.readouterr().err == "about 10 s: torch, 3 steps, 12 training images\n"
    sample = json.loads(found.read_text(encoding="utf-8"))["samples"][0]
    assert (sample["engine"], sample["count"]) == ("torch", 12)
    assert [step["window"] for step in sample["steps"]] == [7, 5, 3]
    seconds = [step["seconds"] for step in sample["steps"]]
    assert seconds == sorted(seconds)


@pytest.mark.slow
def test_what_takes_too_long_is_left_out_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(SMALL, windows="3", engines="dense", patience=1e-9)
    found = run(settings, made_up_images(settings), tmp_path / "bench")
    results = json.loads(found.read_text(encoding="utf-8"))["results"]
    # At 0.999, as for LS and IS, there are no fewer images to judge by.
    results = [each for each in results if each["machine"] == "els" and each["level"] < 0.99]
    assert all((each["seconds"] is None) == (each["count"] == 12) for each in results)
    printed = capsys.readouterr().out
    assert "not measured: about" in printed
    assert "nothing is extrapolated" in printed


def test_speed_ups_are_ratios_of_the_same_question() -> None:
    results = [result("dense", 6.0), result("torch", 2.0), result("torch", 1.0, window=5)]
    results += [result("dense", 8.0, count=9), result("torch", 2.0, count=9)]
    results += [result("dense", 9.0, level=0.999), result("torch", 1.0, level=0.999)]
    results.append(result("dense", None, window=5))
    assert speed_ups("torch", results) == [3.0, 4.0]
    assert row(results[1], results).split(" | ")[5:7] == ["2.000", "3.0"]
    assert (
        "3.5 times as fast as dense (geometric mean of 2, from 3.0 to 4.0)" in summary(results)[1]
    )
    assert row(results[-1], results).count("|") == HEAD[0].count("|")


def test_an_approximate_engine_has_its_bound_shown() -> None:
    shown = row(result("adaptive", 1.0, error=2e-3, bound=9e-3), [])
    assert shown.endswith("| 2.0e-03 | 9.0e-03 |")


def test_engines_that_cannot_run_here_are_left_out_by_themselves_and_refused_by_name() -> None:
    names, _ = engines(replace(SMALL, engines="all"))
    assert names[:1] == ["dense"]
    assert "torch" in names
    assert not {"auto", "reference"} & set(names)
    with pytest.raises(InputError, match="engine='steam'"):
        engines(replace(SMALL, engines="torch,steam"))


def test_every_question_is_put_to_all_engines_in_turn() -> None:
    listed = list(tasks(SMALL, ["dense", "torch"], [5, 12], [3, 5]))
    assert [task.engine for task in listed[:8]] == ["dense", "torch"] * 4
    assert [task.exact for task in listed[:8]] == [False] * 4 + [True] * 4 or listed[0].exact


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"counts": "5,many"}, "counts="),
        ({"windows": "3,11"}, "window=11"),
        ({"windows": "4"}, "window=4"),
        ({"levels": "0.5,1.5"}, "levels="),
        ({"repeat": 0}, "repeat=0"),
        ({"threads": -1}, "threads=-1"),
        ({"steps": 0}, "steps=0"),
        ({"error_level": 2.0}, "error_level=2.0"),
    ],
)
def test_settings_out_of_range_are_refused(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        run(replace(SMALL, **changes), made_up_images(SMALL), tmp_path / "bench")
    assert not (tmp_path / "bench").exists()


def test_numbers_are_read_once_each() -> None:
    assert numbers("levels", "0.5,0.1,0.5", 0, 1) == [0.5, 0.1]


def test_made_up_images_are_those_of_their_seed() -> None:
    data = made_up_images(SMALL)
    assert data.pixels.dtype == torch.uint8
    assert (len(data), *data.shape) == (12, 3, 9, 8)
    assert torch.equal(data.pixels, made_up_images(SMALL).pixels)
    assert not torch.equal(data.pixels, made_up_images(replace(SMALL, seed=1)).pixels)
    assert isinstance(data, sm.TrainingSet)
