"""Whole runs from Python: what comes back is what the folder holds, and nothing is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import scoremachines as sm
from scoremachines.calibration import Calibration, StrengthCalibration
from scoremachines.data.open import open_data
from scoremachines.data.settings import DataSettings
from scoremachines.experiments import (
    attribute_in_folder,
    calibrate_in_folder,
    compare_in_folder,
    generate_in_folder,
)
from scoremachines.experiments.run_settings import (
    CalibrateSettings,
    CompareSettings,
    GenerateSettings,
)
from scoremachines.io.pictures import to_picture
from scoremachines.metrics.copies import copy_kinds
from scoremachines.networks import NetworkSettings
from scoremachines.networks.training import TrainSettings, train_in_folder
from scoremachines.sampling.result import save_picture


@pytest.fixture(autouse=True)
def nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = torch.rand(6, 1, 5, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1
    shape = NetworkSettings(width=8, receptive_field=3, key_width=4, attention="soft")
    folder = tmp_path_factory.mktemp("runs") / "soft"
    settings = TrainSettings(network=shape, steps=2, batch=2, warmup=1)
    train_in_folder(sm.TrainingSet(pixels), settings, folder)
    return folder


def test_samples_and_their_page(tmp_path: Path) -> None:
    settings = GenerateSettings(source="digits", limit=20, window="3", n=3, steps=2)
    shown, page = generate_in_folder(settings, str(tmp_path / "out"))
    assert page == tmp_path / "out" / "report.html"
    assert shown.count == 3
    assert len(list((tmp_path / "out" / "samples").iterdir())) == 3
    again, _ = generate_in_folder(settings, str(tmp_path / "out"), resume=True)
    assert torch.equal(again.result.images, shown.result.images)


def test_a_network_beside_machines(trained: Path, tmp_path: Path) -> None:
    settings = CompareSettings(n=2, steps=2)
    found, page = compare_in_folder(settings, str(trained), ["tiled"], str(tmp_path / "out"))
    assert page.is_file()
    kept = json.loads((tmp_path / "out" / "compare.json").read_text())["rows"]
    assert [row["machine"] for row in kept] == ["none", "tiled", "ideal", "wiener"]
    for row, known in zip(found.rows, kept, strict=True):
        assert list(row.r) == pytest.approx(known["by_seed"]["r"])


def test_calibrations(trained: Path, tmp_path: Path) -> None:
    settings = CalibrateSettings(steps=2, seeds=2)
    found = calibrate_in_folder(
        str(trained), settings, predict=True, strength=True, output=str(tmp_path)
    )
    assert found.folder == tmp_path
    assert Calibration.load(tmp_path / "calibration.json") == found.windows
    for rule, predicted in found.predicted.items():
        assert Calibration.load(tmp_path / f"predicted-{rule}.json") == predicted
    assert found.strength is not None
    assert StrengthCalibration.load(tmp_path / "strength.json") == found.strength
    plain = calibrate_in_folder(str(trained), settings, output=str(tmp_path / "plain"))
    assert (plain.predicted, plain.strength) == ({}, None)


def test_what_explains_an_image(tmp_path: Path) -> None:
    settings = DataSettings(limit=40)
    data = open_data(replace(settings, source="digits"))
    save_picture(to_picture(data.block(slice(3, 4))[0]), tmp_path / "three.png")
    kinds = copy_kinds()
    image, out = str(tmp_path / "three.png"), tmp_path / "out"
    found = attribute_in_folder(image, "digits", str(out), settings, kinds, windows="3")
    assert int(found.kind.image[0]) == 3
    (kept,) = json.loads((out / "attribution.json").read_text())
    assert kept["training_images"] == 40
