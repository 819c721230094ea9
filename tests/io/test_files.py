"""Files are written whole or not at all; parsers' exceptions become one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scoremachines.data import TrainingSet
from scoremachines.data.formats.safetensors import load_training_set, save_training_set
from scoremachines.errors import InputError
from scoremachines.io.files import atomic_path, is_leftover, partial_path, reading

IN_LITTLE_ROOM = """
import resource, sys, torch
from pathlib import Path
from scoremachines.data import TrainingSet
from scoremachines.data.formats.safetensors import save_training_set
from scoremachines.errors import InputError
from scoremachines.io.files import atomic_path
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    {write}
except InputError as error:
    print(error)
"""
SAVES = "save_training_set(TrainingSet(torch.zeros(40, 3, 32, 33)), Path(sys.argv[1]))"
WRITES = """
    with atomic_path(Path(sys.argv[1])) as partial:
        partial.write_bytes(bytes(100000))"""


def run(program: str, path: Path) -> str:
    command = [sys.executable, "-W", "error", "-c", program, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "result.npz"
    with atomic_path(str(path)) as partial:
        partial.write_text("whole")
        assert partial.parent == tmp_path
        assert partial.suffix == ".npz"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["result.npz"]


def test_a_new_file_has_the_usual_permissions(tmp_path):
    with atomic_path(tmp_path / "new") as partial:
        partial.touch()
    (tmp_path / "plain").touch()
    modes = {each.stat().st_mode for each in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_older_file(tmp_path, error):
    path = tmp_path / "result.txt"
    path.write_text("older")

    def fail() -> None:
        with atomic_path(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "older"
    assert names(tmp_path) == ["result.txt"]


@pytest.mark.parametrize("place", ["file/below.txt", "missing/below.txt", "folder"])
def test_an_impossible_place_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()

    def write() -> None:
        with atomic_path(tmp_path / place) as partial:
            partial.write_text("x")

    with pytest.raises(InputError, match=r"output=.*Accepted: a place that can be written to"):
        write()
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("write", [SAVES, WRITES])
def test_a_file_that_finds_no_room_leaves_nothing(tmp_path, write):
    path = tmp_path / "set.safetensors"
    said = run(IN_LITTLE_ROOM.format(write=write), path)
    assert said.startswith("output=")
    assert "too large" in said.lower()
    assert len(said.splitlines()) == 1
    assert names(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_named(tmp_path):
    def write() -> None:
        with atomic_path(tmp_path / "file") as partial:
            partial.symlink_to("/dev/full")
            partial.write_text("x" * 10000)

    with pytest.raises(InputError, match="no space left on device"):
        write()
    assert names(tmp_path) == []


def test_saving_over_an_older_set_without_room_keeps_it(tmp_path):
    path = tmp_path / "set.safetensors"
    data = TrainingSet(torch.zeros(2, 1, 3, 4))
    save_training_set(data, path)
    run(IN_LITTLE_ROOM.format(write=SAVES), path)
    assert load_training_set(path).fingerprint() == data.fingerprint()
    assert names(tmp_path) == ["set.safetensors"]


def test_names_as_long_as_file_systems_take_are_written(tmp_path):
    longest = tmp_path / ("x" * 250 + ".json")
    with atomic_path(longest) as partial:
        partial.write_text("{}")
    assert longest.read_text() == "{}"
    with (
        pytest.raises(InputError, match="file name too long"),
        atomic_path(tmp_path / ("x" * 256)) as partial,
    ):
        partial.write_text("x")
    assert names(tmp_path) == [longest.name]


@pytest.mark.parametrize("name", ["run.json", "0-16.step.safetensors", "network", "x" * 240])
def test_leftovers_are_known_by_their_names(name):
    assert is_leftover(partial_path(Path(name)).name)
    assert not is_leftover(name)
    assert not is_leftover(f".{name}.partial")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("bad header."), ": bad header. Accepted"),
        (KeyError(), ": KeyError. Accepted"),
        (MemoryError(), ": there is not enough memory for it. Accepted"),
        (FileNotFoundError(2, "No such file or directory"), ": no such file or directory. Acc"),
    ],
)
def test_a_parser_s_exception_becomes_one_line(error, reason):
    def parse() -> None:
        with reading("path", "x.bin", "a file"):
            raise error

    with pytest.raises(InputError) as caught:
        parse()
    assert reason in str(caught.value)
    assert caught.value.__cause__ is error


def test_a_refusal_inside_reading_stays_as_it_is():
    refusal = InputError("size", 0, "more")

    def parse() -> None:
        with reading("path", "x.bin", "a file"):
            raise refusal

    with pytest.raises(InputError) as caught:
        parse()
    assert caught.value is refusal
