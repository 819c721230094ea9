"""The paper's experiment: its plan, and the whole of it, tiny."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.experiments.consistency import run
from scoremachines.experiments.networks import REPEATED, TRAININGS
from scoremachines.experiments.plan import ANEW, CLOSED, Entry, entries, rivals, sweeps
from scoremachines.experiments.roles import Candidate, Role
from scoremachines.experiments.settings import ConsistencySettings
from scoremachines.experiments.trainings import networks
from scoremachines.theory.specs import MachineSpec


@pytest.fixture(scope="module", params=["quick", "paper"])
def plan(request: pytest.FixtureRequest) -> list[Entry]:
    settings = ConsistencySettings(preset=request.param)
    trained = networks(ConsistencySettings(), Path("unused"))
    return [*entries(settings, trained), *sweeps(settings, trained)]


def test_everything_that_the_issue_names_is_sampled(plan: list[Entry]) -> None:
    sizes = {entry.what: entry.model.n for entry in plan if entry.sweep is None}
    closed = [Candidate(MachineSpec(attention=each)) for each in CLOSED]
    assert {*TRAININGS, *closed} <= set(sizes)
    assert all(sizes[each] >= 100 for each in (*TRAININGS, *closed))
    assert Candidate.of("measured-class", Role("top1")) in sizes
    trained = [each for each in plan if each.sweep is None]
    seeds = {role: {each.seed for each in trained if each.role == role} for role in TRAININGS}
    assert all(len(seeds[role]) == (3 if role in REPEATED else 1) for role in seeds)
    varied = {entry.sweep for entry in plan} - {None}
    assert varied == {"patch size", "steps", "scheduler", "training images", "features"}


def test_all_start_from_the_same_noise(plan: list[Entry]) -> None:
    assert {entry.model.seed for entry in plan} == {0}
    for network in (True, False):
        plain = [
            each for each in plan if each.sweep is None and (each.role is not None) is network
        ]
        assert len({entry.model.steps for entry in plain}) == 1


def test_rivals_are_sampled_and_the_first_is_without_attention(plan: list[Entry]) -> None:
    known = {entry.what for entry in plan}
    for role in TRAININGS:
        found, without = rivals(role, plan)
        assert without in found
        assert set(found) <= known
        assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"training_seeds": 4}, "training_seeds"), ({"shapes": sm.ShapesConfig(n=7)}, "shapes")],
)
def test_shipped_networks_are_for_what_they_were_trained_on(
    changes: dict[str, object], told: str, tmp_path: Path
) -> None:
    settings = ConsistencySettings(**changes)  # type: ignore[arg-type]
    with pytest.raises(sm.InputError, match=told):
        networks(settings, tmp_path)


@pytest.mark.slow
def test_the_whole_experiment_and_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["consistency", "--training-steps", "2", "-n", "2", "--steps", "2"]
    words += ["--shapes.n", "12", "--training-seeds", "1", "--sweeps", "true"]
    words += ["--network-steps", "3"]
    words += ["-o", str(tmp_path / "out")]
    assert main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    page = tmp_path / "out" / "report.html"
    assert printed[-1] == f"page: {page}"
    found = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert {row["model"] for row in found["networks"]} == set(map(str, TRAININGS))
    assert all(row["consistent"]["n"] == 2 for row in found["networks"])
    assert {row["network"] for row in found["real"]} == {"cnn (digits)", "soft (digits)"}
    points = {(each["sweep"], each["value"], each["model"]) for each in found["sweeps"]}
    for role in ANEW:
        assert {("training images", "10", str(role)), ("features", "4", str(role))} <= points
        assert ("steps", "5", str(role)) not in points
        place = tmp_path / "out" / "networks" / f"images-100-{role.folder}-0"
        assert (place / "run.json").exists()
    samples = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/samples").iterdir()}
    # One file is lost; resumed, only that one is computed, and the findings stay the same.
    lost = next(iter(samples))
    lost.unlink()
    assert main([*words, "--resume"]) == 0
    capsys.readouterr()
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/samples").iterdir()}
    assert {path for path in after if after[path] != samples[path]} == {lost}
    again = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert again == found
    assert main(words) == 2
    assert "earlier run" in capsys.readouterr().err
    other = [
        "3" if word == "2" and words[place - 1] == "--steps" else word
        for place, word in enumerate(words)
    ]
    assert main([*other, "--resume"]) == 2
    assert "steps=3" in capsys.readouterr().err
    with pytest.raises(sm.InputError, match="fingerprint"):
        run(ConsistencySettings(), tmp_path / "out", resume=True)
