"""`compare` and `calibrate` take the same networks: ours, those of diffusers, one's own code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

import scoremachines as sm
from scoremachines.calibration import Calibration, StrengthCalibration
from scoremachines.cli.main import main

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning")

CODE = """
import torch
import scoremachines as sm
from torch import nn


class Shrink(nn.Module):
    def forward(self, noisy, timestep):
        return noisy


def network():
    return sm.adapt(Shrink(), shape=(1, 8, 8), receptive_field=3)


def machine():
    return sm.local(sm.digits().subset(range(6)), 3)


def number():
    return 3


def failing():
    raise RuntimeError("two\\nlines")


def bare():
    return Shrink()
"""
IMAGES = ["--source", "digits", "--limit", "12"]
SMALL = [*IMAGES, "--steps", "2"]
FACTS = (
    "prediction type: epsilon; x̂0 of the network: clipped to ±1; settings of: DDIMScheduler; "
    "attention layer: mid_block.attentions.0"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network of every kind, and a module of functions."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("networks")
    unet = UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(4, 4),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=2,
        attention_head_dim=2,
    )
    unet.save_pretrained(folder / "unet")
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(folder / "pipeline")
    ours = sm.Network([8, 8], 1, width=4, receptive_field=3)
    ours.save_pretrained(folder / "ours")
    ours.pipeline().save_pretrained(folder / "our-pipeline")
    (folder / "foreign_code.py").write_text(CODE)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("unet", "pipeline", "ours", "our-pipeline"),
        *("foreign_code:network", "foreign_code:machine"),
    ],
)
def test_both_commands_take_it(
    name: str,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place)
    out = str(tmp_path / "k")
    words = ["calibrate", name, *SMALL, "--seeds", "1", "--windows", "1,3", "-o", out]
    sources = [] if name in ("ours", "our-pipeline") else ["--sources", "boundary"]
    assert main([*words, *sources]) == 0
    found = Calibration.load(tmp_path / "k" / "calibration.json")
    assert set(found.windows) <= {1, 3}
    calibration = str(tmp_path / "k" / "calibration.json")
    words = ["compare", name, *SMALL, "-n", "2", "--window", calibration, "--machine", "LS"]
    assert main([*words, *sources, "-o", str(tmp_path / "out")]) == 0
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [row["machine"] for row in content["rows"]] == ["local", "ideal", "wiener"]
    assert content["about"]["window"] == str(found.schedule)
    assert content["about"]["read as"] == found.curves.about["read as"]
    printed = capsys.readouterr().out
    assert "prediction type: " in printed
    if name == "pipeline":
        assert printed.count(FACTS) == 2
        assert "mid_block.attentions.0" in (tmp_path / "out" / "report.html").read_text()


def test_beside_a_folder_and_with_the_strength_of_its_maps(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL, "--seeds", "1", "--windows", "1,3", "--strength", "--predict"]
    assert main(["calibrate", str(place / "pipeline"), *words]) == 0
    assert StrengthCalibration.load(place / "pipeline" / "strength.json").gains
    assert f"written: {place / 'pipeline' / 'calibration.json'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["unet"], "has no record of what it was trained on"),
        (["foreign_code:nothing", *IMAGES], "has no attribute 'nothing'"),
        (["foreign_code:number", *IMAGES], "it returns a int"),
        (["foreign_code:failing", *IMAGES], "two lines"),
        (["foreign_code:bare", *IMAGES], "shape=None"),
        (["no_such_module:network", *IMAGES], "No module named 'no_such_module'"),
        (["missing", *IMAGES], "network=missing"),
        (["ours", "--source", "shapes"], "data="),
        (["ours", *IMAGES, "--sources", "everywhere"], "sources='everywhere'"),
    ],
)
def test_both_commands_refuse_in_one_line(
    words: list[str],
    complaint: str,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place)
    for command in ("calibrate", "compare"):
        assert main([command, *words, "-o", str(tmp_path / command)]) == 2
        error = capsys.readouterr().err
        assert complaint in error
        assert error.count("\n") == 1


def test_a_network_that_is_not_finite_ends_with_an_error(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unet = UNet2DModel.from_pretrained(place / "unet")
    unet.conv_out.bias.data.fill_(torch.inf)
    unet.save_pretrained(tmp_path / "bad")
    for command in ("calibrate", "compare"):
        assert main([command, str(tmp_path / "bad"), *SMALL, "-o", str(tmp_path / "out")]) == 2
        assert "parameter conv_out.bias holds NaN or infinite" in capsys.readouterr().err


def test_a_comparison_with_a_source_can_be_explored(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, out, page = place / "pipeline", tmp_path / "out", tmp_path / "page.html"
    words = ["--window", "3", "-n", "1", "--machine", "tiled", "-o", str(out)]
    assert main(["compare", str(network), *SMALL, *words]) == 0
    assert main(["explore", str(out), "-o", str(page), "-n", "1", "--machine", "tiled"]) == 0
    assert "cannot be reached" not in capsys.readouterr().err
