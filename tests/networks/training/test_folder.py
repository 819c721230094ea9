"""A training in its folder: killed and continued, logged, opened again."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.errors import InputError
from scoremachines.io.files import is_leftover
from scoremachines.networks import NetworkSettings
from scoremachines.networks.training import (
    Progress,
    TrainSettings,
    load_network,
    load_run_data,
    load_settings,
    train_in_folder,
)

WORDS = ["train", "shapes", "--size", "9x11", "--shapes.feature_size", "2", "--limit", "13"]
WORDS += ["--shapes.features", "2", "--network.width", "8", "--network.receptive_field", "3"]
WORDS += ["--network.key_width", "6", "--batch", "5", "--warmup", "3", "--log_every", "2"]
QUICK = TrainSettings(
    network=NetworkSettings(width=8, receptive_field=3, key_width=6, attention="top1"),
    steps=12,
    batch=5,
    warmup=3,
    save_every=4,
    log_every=2,
)


def pictures(seed: int = 1) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(seed)
    return sm.TrainingSet(torch.rand(4, 3, 5, 7, generator=draw))


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of all that TensorBoard shows, by name."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    names = events.Tags()["scalars"]
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in names}


def table(folder: Path) -> list[list[str]]:
    with (folder / "loss.csv").open(newline="") as file:
        return list(csv.reader(file))


def same(first: Path, second: Path) -> None:
    """Assert that two trainings ended the same, to the last bit."""
    for name in ("checkpoint.safetensors", "network/diffusion_pytorch_model.safetensors"):
        one, other = load_file(first / name), load_file(second / name)
        assert one.keys() == other.keys()
        for key, values in one.items():
            assert torch.equal(values, other[key]), key
    assert table(first) == table(second)
    assert logged(first) == logged(second)


def interrupt(at: int, data: sm.TrainingSet, folder: Path, settings: TrainSettings) -> None:
    """Train, and stop after step `at`, unless that lies behind."""

    def stop(progress: Progress) -> None:
        if progress.step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_in_folder(data, settings, folder, on_step=stop)


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from scoremachines.cli.main import main
from scoremachines.networks.training import train_in_folder

def written(path):
    return path.exists() and (path.stat().st_ino, path.stat().st_mtime_ns)

draw = random.Random(0)
for attempt in range(3):
    before = written(checkpoint := Path(sys.argv[1]) / "checkpoint.safetensors")
    child = os.fork()
    if child == 0:
        os._exit(main([*sys.argv[2:], "-o", sys.argv[1], "--resume"]))
    while written(checkpoint) == before:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before it saved anything"
        time.sleep(0.005)
    time.sleep(draw.uniform(0.0, 0.06))
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "it ended before it could be killed"
"""
"""Begins a training again and again, and each time kills it soon after it has saved something."""


@pytest.mark.slow
def test_a_training_killed_again_and_again_ends_with_the_same_weights(tmp_path: Path) -> None:
    words = [*WORDS, "--network.attention", "top1", "--steps", "40", "--save_every", "1"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    line = [sys.executable, "-c", KILLER, str(killed), *words]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=500)
    assert ended.returncode == 0, ended.stderr
    assert 3 <= int(load_file(killed / "checkpoint.safetensors")["step"]) < 40
    assert main([*words, "-o", str(killed), "--resume"]) == 0
    assert main([*words, "-o", str(whole)]) == 0
    same(killed, whole)
    assert [step for step, _ in logged(killed)["loss"]] == list(range(2, 41, 2))
    assert set(logged(killed)) == {"loss", "learning_rate", "temperature"}


def test_interrupted_anywhere_it_ends_the_same(tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    network = train_in_folder(pictures(), QUICK, whole)
    # Before the first checkpoint, between two, and just before the last.
    for step in (3, 7, 12):
        interrupt(step, pictures(), broken, QUICK)
        assert (broken / "loss.png").exists()
    assert int(load_file(broken / "checkpoint.safetensors")["step"]) == 8
    again = train_in_folder(pictures(), QUICK, broken)
    same(broken, whole)
    for one, other in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_curve_is_a_table_a_picture_and_tensorboards(tmp_path: Path) -> None:
    train_in_folder(pictures(), QUICK, tmp_path / "out")
    rows = table(tmp_path / "out")
    assert rows[0] == ["step", "loss", "learning_rate"]
    assert [int(row[0]) for row in rows[1:]] == [2, 4, 6, 8, 10, 12]
    shown = logged(tmp_path / "out")
    for name, column in (("loss", 1), ("learning_rate", 2)):
        expected = [(int(row[0]), pytest.approx(float(row[column]), rel=1e-6)) for row in rows[1:]]
        assert shown[name] == expected
    picture = np.asarray(Image.open(tmp_path / "out" / "loss.png"))
    assert picture.min() < picture.max()


def test_the_folder_opens_again(tmp_path: Path) -> None:
    network = train_in_folder(pictures(), QUICK, tmp_path / "out")
    network.save_pretrained(tmp_path / "saved")
    noisy = torch.randn(2, 3, 5, 7)
    for folder in (tmp_path / "out", tmp_path / "out" / "network", tmp_path / "saved"):
        opened = load_network(folder)
        assert not opened.training
        assert torch.equal(opened.denoise(noisy, 0.4), network.denoise(noisy, 0.4))
    assert torch.equal(load_run_data(tmp_path / "out").images, pictures().images)
    assert load_settings(tmp_path / "out") == QUICK
    assert not [each for each in (tmp_path / "out").iterdir() if is_leftover(each.name)]


def test_the_command_line_trains_and_its_settings_do_so_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main([*WORDS, "--steps", "4", "--betas", "[0.8,0.95]", "-o", str(first)]) == 0
    assert f"network: {first / 'network'}" in capsys.readouterr().out
    assert main(["train", "--config", str(first / "settings.yaml"), "-o", str(second)]) == 0
    same(first, second)
    settings = load_settings(second)
    assert (settings.betas, settings.network.width, settings.limit) == ((0.8, 0.95), 8, 13)
    data = load_run_data(second)
    assert (len(data), data.shape) == (13, (3, 9, 11))
    assert data.judge is not None


def test_help_is_instant_and_has_an_example() -> None:
    line = [sys.executable, "-X", "importtime", "-m", "scoremachines", "train", "--help"]
    shown = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert "scoremachines train" in shown.stdout
    for option in ("--network.attention", "--shapes.shared", "--learning_rate", "--resume"):
        assert option in shown.stdout
    assert " torch\n" not in shown.stderr


def test_a_training_is_not_continued_with_other_settings_or_images(tmp_path: Path) -> None:
    interrupt(5, pictures(), tmp_path / "out", QUICK)
    with pytest.raises(InputError, match="fingerprint="):
        train_in_folder(pictures(2), QUICK, tmp_path / "out")
    changed = TrainSettings(network=QUICK.network, steps=13, batch=5, warmup=3, save_every=4)
    with pytest.raises(InputError, match="steps=13: the run has 12"):
        train_in_folder(pictures(), changed, tmp_path / "out")
    with pytest.raises(InputError, match="it holds an earlier run"):
        train_in_folder(pictures(), QUICK, tmp_path / "out", resume=False)
    assert yaml.safe_load((tmp_path / "out" / "settings.yaml").read_text())["steps"] == 12


def test_saving_more_often_changes_nothing(tmp_path: Path) -> None:
    interrupt(9, pictures(), tmp_path / "often", QUICK)
    again = TrainSettings(**(vars(QUICK) | {"save_every": 1}))
    train_in_folder(pictures(), again, tmp_path / "often")
    train_in_folder(pictures(), QUICK, tmp_path / "whole")
    same(tmp_path / "often", tmp_path / "whole")


def test_images_that_changed_are_noticed(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 7, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    words = ["train", str(tmp_path / "images.npy"), *WORDS[WORDS.index("--network.width") :]]
    assert main([*words, "--steps", "1", "-o", str(tmp_path / "out")]) == 0
    assert len(load_run_data(tmp_path / "out")) == 4
    np.save(tmp_path / "images.npy", pixels[::-1])
    with pytest.raises(InputError, match="they have changed"):
        load_run_data(tmp_path / "out")


def test_divergence_keeps_the_last_good_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, "--steps", "60", "--warmup", "0", "--learning_rate", "1e9"]
    words += ["--save_every", "1", "-o", str(tmp_path / "out")]
    for _ in range(2):  # the second time it goes on, and finds the same
        assert main([*words, "--resume"]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert "learning_rate=1000000000.0: the " in lines[-1]
        assert "stopped being finite after" in lines[-1]
        assert "Traceback" not in "".join(lines)
    kept = load_file(tmp_path / "out" / "checkpoint.safetensors")
    assert 1 <= int(kept["step"]) < 40
    assert all(bool(each.isfinite().all()) for each in kept.values())
    for each in load_network(tmp_path / "out").parameters():
        assert each.isfinite().all()
    assert (tmp_path / "out" / "loss.png").exists()


def test_no_network_before_the_first_checkpoint(tmp_path: Path) -> None:
    interrupt(2, pictures(), tmp_path / "out", QUICK)
    with pytest.raises(InputError, match="no checkpoint yet"):
        load_network(tmp_path / "out")


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "run.json"])
def test_what_is_damaged_is_computed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    train_in_folder(pictures(), QUICK, whole)
    interrupt(9, pictures(), broken, QUICK)
    (broken / name).write_bytes((broken / name).read_bytes()[:30])
    train_in_folder(pictures(), QUICK, broken)
    same(broken, whole)
    assert f"note: {broken / name} is computed again: " in capsys.readouterr().err


def test_damaged_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    interrupt(9, pictures(), tmp_path / "out", QUICK)
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        folder = shutil.copytree(tmp_path / "out" / "network", tmp_path / f"network-{name}")
        (folder / name).write_bytes((folder / name).read_bytes()[:30])
        with pytest.raises(InputError, match="network="):
            load_network(folder)
        (folder / name).unlink()
        with pytest.raises(InputError, match="network="):
            load_network(folder)
    (tmp_path / "out" / "settings.yaml").write_text("steps: [")
    with pytest.raises(InputError, match="folder="):
        load_settings(tmp_path / "out")


def test_other_models_and_places_hold_no_network(tmp_path: Path) -> None:
    from diffusers import UNet2DModel

    shape = {"block_out_channels": (4,), "norm_num_groups": 2, "add_attention": False}
    kinds = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    UNet2DModel(sample_size=8, **shape, **kinds).save_pretrained(tmp_path / "unet")
    with pytest.raises(InputError, match="it holds a UNet2DModel"):
        load_network(tmp_path / "unet")
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "unet" / "config.json"):
        with pytest.raises(InputError, match="there is no network in it"):
            load_network(place)
    with pytest.raises(InputError, match="folder="):
        load_run_data(tmp_path / "nowhere")
