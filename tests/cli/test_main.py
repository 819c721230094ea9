"""The command line on real files, in real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file

from scoremachines.cli.main import main

QUICK = ["--size", "7x9", "--window", "3", "--steps", "3", "-n", "3"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of eleven colour pictures of 7×9 pixels, in two classes."""
    draw = np.random.default_rng(0)
    for number in range(11):
        folder = tmp_path / "pictures" / ("cats" if number % 2 else "dogs")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (7, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """Return all samples and the provenance of a run."""
    found = {path.name: np.asarray(Image.open(path)) for path in (folder / "samples").iterdir()}
    tensors = load_file(folder / "provenance.safetensors")
    return found | {name: tensor.numpy() for name, tensor in tensors.items()}


def same(first: Path, second: Path) -> None:
    """Assert that two runs painted the same, to the last bit."""
    one, other = arrays(first), arrays(second)
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_a_folder_of_pictures_becomes_samples_provenance_settings_and_a_page(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["generate", str(pictures), *QUICK, "--attention", "full", "-o", str(out)]) == 0
    assert f"page: {out / 'report.html'}" in capsys.readouterr().out
    assert sorted(path.name for path in (out / "samples").iterdir()) == [
        "0000.png",
        "0001.png",
        "0002.png",
    ]
    assert np.asarray(Image.open(out / "samples" / "0000.png")).shape == (7, 9, 3)
    kept = arrays(out)
    assert kept["image"].shape == kept["position"].shape == kept["weight"].shape == (3, 4, 7, 9)
    assert kept["entropy"].shape == (3, 7, 9)
    assert kept["image"].min() >= 0
    assert kept["image"].max() <= 10
    contributions = json.loads((out / "provenance.json").read_text())
    assert contributions[0]["nearest"].split("/")[0] in {"cats", "dogs"}
    assert 0 < sum(source["share"] for source in contributions[0]["sources"]) <= 1.000001
    page = (out / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")


def test_settings_run_again_give_the_same(pictures: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["generate", str(pictures), *QUICK, "--seed", "5", "-o", str(first)]) == 0
    settings = yaml.safe_load((first / "settings.yaml").read_text())
    assert settings["seed"] == 5
    assert main(["generate", "--config", str(first / "settings.yaml"), "-o", str(second)]) == 0
    same(first, second)


def test_a_class_is_painted_from_its_own_images(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["generate", str(pictures), *QUICK, "--class", "cats", "-o", str(out)]) == 0
    contributions = json.loads((out / "provenance.json").read_text())
    named = {source["image"] for row in contributions for source in row["sources"]}
    assert named
    assert all(name.startswith("cats/") for name in named)


def test_batches_change_nothing(pictures: Path, tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("one", "two")]
    for folder, batch in zip(runs, ("1", "16"), strict=True):
        words = ["generate", str(pictures), *QUICK, "--batch", batch, "-o", str(folder)]
        assert main(words) == 0
    same(*runs)


@pytest.mark.parametrize("scheduler", ["kg", "DDPM"])
def test_a_killed_run_goes_on_and_ends_the_same(
    tmp_path: Path, scheduler: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "digits", "--limit", "400", "--window", "5", "--batch", "2", "-n", "4"]
    words += ["--steps", "40", "--scheduler", scheduler]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    line = [sys.executable, "-m", "scoremachines", *words, "-o", str(killed)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and not list(killed.glob("parts/0*[0-9].safetensors")):
            assert run.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    assert not (killed / "report.html").exists()
    capsys.readouterr()
    assert main([*words, "-o", str(killed)]) == 2
    assert "it holds an earlier run" in capsys.readouterr().err
    assert main([*words, "-o", str(killed), "--resume"]) == 0
    assert main([*words, "-o", str(whole)]) == 0
    same(killed, whole)


def test_an_unfinished_batch_goes_on_from_its_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scoremachines.experiments import generate as painting

    words = ["generate", "digits", "--limit", "100", "--window", "5", "-n", "2", "--steps", "6"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert main([*words, "-o", str(whole)]) == 0
    monkeypatch.setattr(painting, "SAVE_EVERY", 0.0)
    write, calls = painting.write_tensors, []

    def interrupt(path: Path, tensors: dict[str, object], about: dict[str, str]) -> None:
        write(path, tensors, about)
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(painting, "write_tensors", interrupt)
    assert main([*words, "-o", str(killed)]) == 130
    assert int(load_file(killed / "parts" / "000000-000002.step.safetensors")["done"]) == 3
    assert main([*words, "-o", str(killed), "--resume"]) == 0
    same(killed, whole)
    assert not (killed / "parts" / "000000-000002.step.safetensors").exists()


def test_a_run_is_not_continued_with_other_settings_or_images(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", str(pictures), *QUICK, "-o", str(tmp_path / "out")]
    assert main(words) == 0
    assert main([*words, "--resume", "--seed", "1"]) == 2
    assert "seed=1: the run has 0" in capsys.readouterr().err
    shutil.copy(pictures / "cats" / "1.png", pictures / "cats" / "13.png")
    assert main([*words, "--resume"]) == 2
    assert "fingerprint=" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--help"], *([name, "--help"] for name in ("generate", "demo", "consistency"))]
)
def test_help_is_instant_and_has_an_example(words: list[str]) -> None:
    code = f"import sys; from scoremachines.cli.main import main; main({words}); "
    line = [sys.executable, "-X", "importtime", "-c", code]
    shown = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    name = "generate" if words == ["--help"] else words[0]
    assert f"  scoremachines {name} " in shown.stdout
    assert " torch\n" not in shown.stderr


def test_the_command_is_installed_under_its_name() -> None:
    name = Path(sys.executable).with_name("scoremachines")
    shown = subprocess.run([name, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("scoremachines 0.")


def test_nothing_written_where_the_terminal_is_closed(tmp_path: Path) -> None:
    line = f"{sys.executable} -m scoremachines generate --help | head -1"
    shown = subprocess.run(line, shell=True, capture_output=True, text=True, env=dict(os.environ))
    assert "Traceback" not in shown.stderr
