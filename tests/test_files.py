"""Files are written whole or not at all, and folders are not overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from scoremachines.data import TrainingSet
from scoremachines.errors import InputError
from scoremachines.files import atomic_path, prepare_folder, reading

IN_LITTLE_ROOM = """
import resource, sys, torch
from pathlib import Path
from scoremachines.data import TrainingSet
from scoremachines.errors import InputError
from scoremachines.files import atomic_path
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    {write}
except InputError as error:
    print(error)
"""
SAVES = "TrainingSet(torch.zeros(40, 3, 32, 33)).save(Path(sys.argv[1]))"
WRITES = """
    with atomic_path(Path(sys.argv[1])) as partial:
        partial.write_bytes(bytes(100000))"""

AS_NOBODY = """
import os, sys
from scoremachines.errors import InputError
from scoremachines.files import atomic_path, prepare_folder
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
for attempt in (
    lambda: prepare_folder(sys.argv[1], marker="settings.yaml"),
    lambda: prepare_folder(sys.argv[1] + "/below", marker="settings.yaml"),
    lambda: atomic_path(sys.argv[1] + "/file").__enter__().write_text("x"),
):
    try:
        attempt()
        print("written")
    except InputError as error:
        print(error)
    except PermissionError:
        print("refused by the system")
"""


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
    data.save(path)
    run(IN_LITTLE_ROOM.format(write=SAVES), path)
    assert TrainingSet.load(path).fingerprint() == data.fingerprint()
    assert names(tmp_path) == ["set.safetensors"]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the system has no users to become")
def test_an_unwritable_folder_is_refused():
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "locked"
        folder.mkdir(mode=0o555)
        said = run(AS_NOBODY, folder).splitlines()
        assert names(folder) == []
    assert "permission denied" in said[0]
    assert "permission denied" in said[1]
    assert said[2] == "refused by the system"


def test_a_new_or_empty_folder_is_made_ready(tmp_path):
    new = prepare_folder(tmp_path / "a" / "b", marker="settings.yaml")
    assert new == tmp_path / "a" / "b"
    assert names(new) == []
    assert prepare_folder(str(new), marker="settings.yaml") == new
    assert prepare_folder(new, marker="settings.yaml", resume=True) == new


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_holds_something_else_is_refused(tmp_path, resume):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="it holds something else"):
        prepare_folder(tmp_path, marker="settings.yaml", resume=resume)
    assert names(tmp_path) == ["thesis.tex"]


def test_an_earlier_run_is_only_resumed_when_asked(tmp_path):
    (tmp_path / "settings.yaml").write_text("seed: 0")
    (tmp_path / "grid.png").touch()
    with pytest.raises(InputError, match=r"it holds an earlier run.*resume"):
        prepare_folder(tmp_path, marker="settings.yaml")
    assert prepare_folder(tmp_path, marker="settings.yaml", resume=True) == tmp_path
    assert names(tmp_path) == ["grid.png", "settings.yaml"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_is_no_output_folder(tmp_path, place):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match="output="):
        prepare_folder(tmp_path / place, marker="settings.yaml")
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="the system has no /proc")
def test_a_file_system_that_takes_no_folders_is_refused():
    with pytest.raises(InputError, match=r"output=/proc/nothing/here"):
        prepare_folder("/proc/nothing/here", marker="settings.yaml")


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
