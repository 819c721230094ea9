"""How long a run will take: the arithmetic, and the truth within a factor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pytest
import torch

import scoremachines as sm
from scoremachines.data.reduction import Divided, default_executor
from scoremachines.data.settings import DataSettings
from scoremachines.experiments.sample_cache import Model, sample_all
from scoremachines.networks import NetworkSettings
from scoremachines.networks.training.run import TIMED, new_network, train
from scoremachines.networks.training.settings import TrainSettings
from scoremachines.runs.estimate import announce, in_words, run_seconds, sample_seconds, work
from scoremachines.theory.specs import MachineSpec


def test_pairs_are_counted_as_the_theory_has_them() -> None:
    assert work((5, 7), 3, "aligned") == 35
    assert work((5, 7), 3, "valid") == 35 * 3 * 5
    assert work((5, 7), 3, "circular") == 35 * 35
    assert work((5, 7), None, "aligned") == 35
    assert work((5, 7), 3, "aligned", dense=True) == 35 * 35


def test_cost_grows_with_the_fourth_power_of_the_side() -> None:
    ratio = work((128, 128), 7, "valid") / work((64, 64), 7, "valid")
    assert 16 < ratio < 20


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(21, "about 20 s"), (89, "about 90 s"), (170, "about 3 min"), (7300, "about 2 h")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_only_long_times_are_announced(capsys: pytest.CaptureFixture[str]) -> None:
    assert not announce(19.0, "3 samples")
    assert announce(200.0, "3 samples × 20 steps")
    assert capsys.readouterr().err == "about 3 min: 3 samples × 20 steps\n"


@pytest.mark.parametrize(("samples", "steps"), [(0, 3), (-1, 3), (3, 0), (3, -1), (3, 10**400)])
def test_what_a_run_refuses_is_left_to_the_run(samples: int, steps: int) -> None:
    machine = sm.els(sm.digits().subset(range(5)), 3)
    assert run_seconds([machine], samples, steps) == 0


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("attention", ["none", "full", "multiscale", "tiled-class"])
def test_a_piece_predicts_what_the_whole_takes(attention: str) -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (600, 3, 40, 44), generator=draw, dtype=torch.uint8)
    data = sm.TrainingSet(pixels, labels=torch.arange(600) % 3)
    machine = sm.ScoreMachine(data, 5, "valid", attention)
    ratios = []
    while not any(1 / 3 < ratio < 3 for ratio in ratios):
        assert len(ratios) < 3, ratios  # other work on the machine comes and goes
        about = sample_seconds(machine, steps=3)
        start = perf_counter()
        sm.sample(machine, n=1, steps=3)
        ratios.append(about / (perf_counter() - start))


def test_a_long_training_is_announced_after_a_few_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scoremachines.runs.estimate.LONG", 0.0)
    data = sm.digits().subset(range(20))
    shape = NetworkSettings(trunk="cnn", receptive_field=3, width=4)
    settings = TrainSettings(network=shape, steps=1 + TIMED + 5, batch=4)
    train(new_network(data, settings), data, settings)
    assert "about 10 s: 5 steps of training" in capsys.readouterr().err


def test_samples_of_an_experiment_are_announced_before_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("scoremachines.runs.estimate.LONG", 0.0)
    shapes = replace(DataSettings(source="shapes").shapes, n=10)
    models = [
        Model(
            DataSettings(source="shapes", shapes=shapes),
            2,
            machine=MachineSpec.parse(name),
            steps=2,
        )
        for name in ("none", "tiled")
    ]
    sample_all(models, tmp_path)
    first, *_ = capsys.readouterr().err.splitlines()
    assert first == "about 10 s: 4 samples of 2 models"
    sample_all(models, tmp_path)
    assert "about" not in capsys.readouterr().err


def test_pieces_are_timed_here_whatever_the_executor() -> None:
    class Distant(Divided):
        def part_values(self, reductions, blocks):  # type: ignore[no-untyped-def]
            raise AssertionError("a piece was sent elsewhere")

    machine = sm.ScoreMachine(sm.digits(), 3)
    with default_executor(Distant(4)):
        assert run_seconds([machine], 1, 3) > 0
