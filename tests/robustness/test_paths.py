"""Paths that cannot be reached: no permission, too long, impossible. One line each, no trace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

import scoremachines
import scoremachines as sm
from scoremachines import from_folder, from_idx, from_numpy, load_training_set
from scoremachines.cli.main import main
from scoremachines.data import TrainingSet, open_source
from scoremachines.data.bundled import digits
from scoremachines.data.formats.safetensors import save_training_set
from scoremachines.errors import InputError
from scoremachines.experiments.machines import network_strength
from scoremachines.experiments.networks import read_curve
from scoremachines.experiments.opened import open_run
from scoremachines.experiments.opening import open_network
from scoremachines.explore.opened_run import Watched, watch
from scoremachines.io.files import exists, is_file, is_folder
from scoremachines.io.folders import output_folder
from scoremachines.networks import Network, NetworkSettings
from scoremachines.networks.adapter import load_diffusers
from scoremachines.networks.training import load_network

TAKE_A_PATH = {
    "open_source": open_source,
    "open_source in a folder": lambda path: open_source(f"{path}/images.zip"),
    "from_folder": from_folder,
    "from_file": from_numpy,
    "from_idx": from_idx,
    "load": load_training_set,
    "save": lambda path: save_training_set(
        TrainingSet(torch.zeros(1, 1, 2, 3)), f"{path}.safetensors"
    ),
    "load_network": load_network,
    "load_diffusers": load_diffusers,
    "open_network": open_network,
    "open_run": open_run,
    "output_folder": lambda path: output_folder(path, marker="settings.yaml").__enter__(),
    "network_strength": network_strength,
    "read_curve": read_curve,
}


@pytest.mark.parametrize("path", ["x" * 300, "a\0b", "/".join(["y" * 200] * 30)])
@pytest.mark.parametrize("name", TAKE_A_PATH)
def test_a_path_that_cannot_be_is_named(tmp_path, monkeypatch, name, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"file name too long|null"):
        TAKE_A_PATH[name](path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        "generate {} -o out",
        "generate {}/images.npy -o out",
        "generate digits -n 1 --steps 1 --window 3 -o {}",
        "train {} -o out",
        "compare {} -o out",
        "calibrate {}",
        "explore {} -o page.html",
        "attribute {}/image.png --data digits -o out",
        "attribute image.png --data {} -o out",
        "bench --data {} -o out",
    ],
)
def test_a_name_that_is_too_long_is_one_line(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    save_training_set(digits().subset([0]), tmp_path / "set.safetensors")
    assert main(command.format("n" * 300).split()) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert "file name too long" in error[0]


# As root, each command is first tried on a path that leads nowhere: what it imports may lie where
# another user cannot read. Root's rights come back at the end, so that coverage can be saved.
AS_NOBODY = """
import contextlib, os, sys
import scoremachines.cli.main as cli
locked = sys.argv[1]
os.chdir(os.path.dirname(locked))
def refused(path):
    for command in (
        "generate {}/images -o out", "generate {}/images.zip -o out", "train {}/images -o out",
        "compare {}/network -o out", "explore {}/run -o page.html",
        "generate digits -n 1 --steps 1 --window 3 -o {}/out",
    ):
        assert cli.main(command.format(path).split()) == 2, command
with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
    refused("nowhere" * 50)
root = os.getuid() == 0
if root:
    os.setegid(65534); os.seteuid(65534)
refused(locked)
if root:
    os.seteuid(0)
"""


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the system has no users to become")
def test_a_path_without_permission_is_one_line():
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        locked = Path(place) / "locked"
        locked.mkdir(mode=0o700 if os.getuid() == 0 else 0o000)
        command = [sys.executable, "-c", AS_NOBODY, str(locked)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        lines = done.stderr.splitlines()
        assert len(lines) == 6
        assert all("permission denied. Accepted" in line for line in lines), lines
        locked.chmod(0o700)


def test_what_lies_at_a_path_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    kinds = {
        name: (exists("p", path), is_file("p", path), is_folder("p", path))
        for name in (".", "file", "gone", "file/below", "nothing")
        for path in [tmp_path / name]
    }
    assert kinds["."] == (True, False, True)
    assert kinds["file"] == (True, True, False)
    assert {kinds[name] for name in ("gone", "file/below", "nothing")} == {(False,) * 3}
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match=r"p=.*loop: too many levels of symbolic links"):
        exists("p", tmp_path / "loop")


def test_no_code_looks_at_a_path_unguarded():
    package = Path(scoremachines.__file__).parent
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"[\w)]\.(is_file|is_dir|exists|lexists)\(", line)
        and "info.is_dir" not in line
    ]
    assert found == []


@pytest.mark.parametrize(
    "command", ["generate digits -n 1 --steps 1", "train digits --steps 2", "bench --quick"]
)
def test_an_empty_name_is_not_the_current_folder(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command.split(), "-o", ""]) == 2
    assert "output='': it is empty. Accepted: a folder, such as ." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_saved_under_an_empty_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = digits().subset(range(3))
    machine = sm.els(data, 3)
    network = Network.for_data(data, NetworkSettings(trunk="cnn", receptive_field=3, width=4))
    for save in (
        machine.save_pretrained,
        sm.Wiener(data).save_pretrained,
        network.save_pretrained,
        sm.sample(machine, n=1, steps=1).save,
    ):
        with pytest.raises(InputError, match="it is empty"):
            save("")
    assert not list(tmp_path.iterdir())


def test_a_file_of_a_run_that_cannot_be_reached_is_not_called_deleted(tmp_path):
    (tmp_path / "parts").touch()
    with pytest.raises(InputError, match="not a directory"):
        Watched(tmp_path / "parts" / "x", 3).check()
    with pytest.raises(InputError, match="not a directory"):
        watch([tmp_path / "parts" / "x"])
    with pytest.raises(InputError, match="deleted"):
        Watched(tmp_path / "x", 3).check()
    with pytest.raises(InputError, match="missing"):
        watch([tmp_path / "x"])


def test_photographs_are_cut_in_their_own_way():
    with pytest.raises(InputError, match=r"crop='tiles'.*Accepted: centre"):
        open_source("photographs", size=32, crop="tiles")
