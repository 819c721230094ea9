"""`scoremachines compare`: from a trained network's folder to numbers, figures and a page."""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel

import scoremachines as sm
from scoremachines.calibration import calibrate
from scoremachines.cli.main import main
from scoremachines.experiments import compare, make_machines
from scoremachines.networks import NetworkSettings
from scoremachines.networks.training import (
    TrainSettings,
    load_network,
    load_run_data,
    train_in_folder,
)

FEW = ["-n", "3", "--steps", "2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "soft"
    draw = torch.Generator().manual_seed(1)
    pixels = torch.rand(9, 3, 5, 7, generator=draw) * 2 - 1
    data = sm.TrainingSet(pixels, torch.arange(9) % 2, ("even", "odd"))
    shape = NetworkSettings(
        width=8, receptive_field=5, key_width=6, attention="soft", conditional=True
    )
    settings = TrainSettings(network=shape, steps=3, batch=4, warmup=1)
    train_in_folder(data, settings, folder)
    return folder


def stored(folder: Path) -> dict:
    return json.loads((folder / "compare.json").read_text())


def test_the_folder_holds_what_the_library_finds(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--machine", "measured:1.3", "--machine", "tiled", "--network-steps", "4"]
    out = tmp_path / "out"
    assert main(["compare", str(trained), *words, *FEW, "--class", "odd", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "Pearson r2" in printed
    assert f"page: {out / 'report.html'}" in printed
    names = ["none", "measured:1.3", "tiled", "ideal", "wiener"]
    found = stored(out)
    assert [row["machine"] for row in found["rows"]] == names
    network, data = load_network(trained), load_run_data(trained)
    known = compare(
        network,
        make_machines(names, network, data, 5),
        data,
        n=3,
        steps=2,
        network_steps=4,
        labels="odd",
    )
    for row, mine in zip(found["rows"], known.rows, strict=True):
        assert tuple(row["by_seed"]["r"]) == pytest.approx(mine.r)
    assert found["about"]["window"] == "5"
    assert found["about"]["network_steps"] == 4


def test_the_line_on_the_page_makes_the_same_again(trained: Path, tmp_path: Path) -> None:
    words = [*FEW, "--machine", "els", "--window", "0:3,1:5", "--seed", "4", "--batch", "2"]
    assert main(["compare", str(trained), *words, "-o", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    line = html.unescape(re.findall(r"<code>(scoremachines .*?)</code>", page)[0])
    assert main([*shlex.split(line)[1:], "-o", str(tmp_path / "again")]) == 0
    assert stored(tmp_path / "again") == stored(tmp_path / "out")
    machines = [row["machine"] for row in stored(tmp_path / "out")["rows"]]
    assert machines == ["els", "ideal", "wiener"]


def test_the_calibration_beside_the_checkpoint_is_used(trained: Path, tmp_path: Path) -> None:
    path = trained / "calibration.json"
    found = calibrate(load_network(trained), load_run_data(trained), steps=2, seeds=2)
    found.save(path)
    try:
        assert main(["compare", str(trained), *FEW, "-o", str(tmp_path / "out")]) == 0
    finally:
        path.unlink()
    assert stored(tmp_path / "out")["about"]["window"] == str(found.schedule)


def test_a_diffusers_model_takes_part(tmp_path: Path) -> None:
    torch.manual_seed(0)
    UNet2DModel(
        sample_size=(8, 8),
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
    ).save_pretrained(tmp_path / "unet")
    words = ["--source", "digits", "--limit", "12", "--sources", "boundary", "--window", "3"]
    out = tmp_path / "out"
    assert main(["compare", str(tmp_path / "unet"), *words, *FEW, "-o", str(out)]) == 0
    assert stored(out)["about"]["training_set"] == "digits"
    assert [row["machine"] for row in stored(out)["rows"]] == ["none", "ideal", "wiener"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--machine", "gaussian"], "machine='gaussian'"),
        (["--machine", "measured:"], "machine='measured:'"),
        (["--machine", "tiled:-2"], "gain=-2"),
        (["--window", "4"], "window"),
        (["--window", "9"], "window"),
        (["-n", "0"], "n=0"),
        (["--network_steps", "0"], "network_steps=0"),
        (["--source", "digits"], "data"),
        (["--class", "third"], "class='third'"),
        (["--device", "abacus"], "device='abacus'"),
        (["--machines", "none"], "machines"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    complaint: str,
) -> None:
    assert main(["compare", str(trained), *FEW, *words, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "compare.json").exists()


def test_folders_that_hold_no_network_or_something_else_are_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path / "missing"), "-o", str(tmp_path / "out")]) == 2
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    assert main(["compare", str(tmp_path / "damaged"), "-o", str(tmp_path / "out")]) == 2
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert main(["compare", str(trained), "-o", str(tmp_path / "full")]) == 2
    assert [each.name for each in (tmp_path / "full").iterdir()] == ["mine.txt"]
    assert capsys.readouterr().err.count("\n") == 3
