"""`scoremachines calibrate`: from a trained network's folder to k(t) beside its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

import scoremachines as sm
from scoremachines.calibration import Calibration, StrengthCalibration, calibrate
from scoremachines.cli.main import main
from scoremachines.networks import NetworkSettings
from scoremachines.networks.training import (
    TrainSettings,
    load_network,
    load_run_data,
    train_in_folder,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that was trained for a moment."""
    pixels = torch.rand(4, 2, 5, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1
    shape = NetworkSettings(width=8, receptive_field=5, key_width=4, attention="soft")
    settings = TrainSettings(network=shape, steps=3, batch=2, warmup=1, precision="no")
    folder = tmp_path_factory.mktemp("runs") / "soft"
    train_in_folder(sm.TrainingSet(pixels), settings, folder)
    return folder


QUICK = ["--steps", "3", "--seeds", "2"]


def test_everything_is_written_beside_the_checkpoint(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(run), *QUICK, "--predict", "--strength"]) == 0
    found = Calibration.load(run / "calibration.json")
    again = calibrate(load_network(run), load_run_data(run), steps=3, seeds=2)
    assert found == again
    printed = capsys.readouterr().out
    assert f"k(t): {found}" in printed
    for rule in ("information", "held-out"):
        predicted = Calibration.load(run / f"predicted-{rule}.json")
        assert predicted.curves.measure == rule
        assert predicted.curves.candidates == found.curves.candidates == (1, 3, 5)
        assert rule in printed
    strength = StrengthCalibration.load(run / "strength.json")
    assert f"strength of measured: {strength.constant:g}," in printed
    with Image.open(run / "calibration.png") as picture:
        assert picture.width > 2 * picture.height


def test_the_strength_of_another_attention(run: Path) -> None:
    words = ["--strength", "--attention", "tiled"]
    assert main(["calibrate", str(run), *QUICK, *words]) == 0
    assert StrengthCalibration.load(run / "strength.json").curves.about["attention"] == "tiled"


def test_choices_reach_the_calibration(run: Path) -> None:
    assert main(["calibrate", str(run), *QUICK, "--windows", "5,1", "--measure", "error"]) == 0
    found = Calibration.load(run / "calibration.json")
    assert found.curves.candidates == (1, 5)
    assert found.curves.measure == "error"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--windows", "3,x"], "windows='3,x'"),
        (["--windows", "9"], "larger than the image"),
        (["--measure", "luck"], "measure='luck'"),
        (["--search", "far"], "search='far'"),
        (["--steps", "0"], "steps=0"),
    ],
)
def test_bad_choices_are_one_line(
    run: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(run), *QUICK, *words]) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1


def test_a_folder_without_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(tmp_path)]) == 2
    assert "there is no network in it" in capsys.readouterr().err
