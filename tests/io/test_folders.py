"""Output folders: not overwritten, locked while in use, freed of what killed runs left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scoremachines.errors import InputError
from scoremachines.io.files import partial_path
from scoremachines.io.folders import output_folder

HOLDS = """
import os, sys, time
from scoremachines.io.folders import output_folder
with output_folder(sys.argv[1], marker="settings.yaml", resume=True) as folder:
    print("held", flush=True)
    time.sleep(600)
"""
AS_NOBODY = """
import os, sys
from scoremachines.errors import InputError
from scoremachines.io.files import atomic_path
from scoremachines.io.folders import output_folder
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
for attempt in (
    lambda: output_folder(sys.argv[1], marker="settings.yaml").__enter__(),
    lambda: output_folder(sys.argv[1] + "/below", marker="settings.yaml").__enter__(),
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


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name != ".scoremachines.lock")


def held(path: Path | str, *, resume: bool = False) -> Path:
    with output_folder(path, marker="settings.yaml", resume=resume) as folder:
        return folder


def test_a_new_or_empty_folder_is_made_ready(tmp_path: Path) -> None:
    new = held(tmp_path / "a" / "b")
    assert new == tmp_path / "a" / "b"
    assert names(new) == []
    assert held(str(new)) == held(new, resume=True) == new


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="it holds something else"):
        held(tmp_path, resume=resume)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_earlier_run_is_only_resumed_on_request(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("seed: 0")
    (tmp_path / "grid.png").touch()
    with pytest.raises(InputError, match=r"it holds an earlier run.*resume"):
        held(tmp_path)
    assert held(tmp_path, resume=True) == tmp_path
    assert names(tmp_path) == ["grid.png", "settings.yaml"]


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 256])
def test_what_can_be_no_folder_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match="output="):
        held(tmp_path / place)
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="the system has no /proc")
def test_a_file_system_that_takes_no_folders_is_refused() -> None:
    with pytest.raises(InputError, match=r"output=/proc/nothing/here"):
        held("/proc/nothing/here")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the system has no users to become")
def test_an_unwritable_folder_is_refused() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "locked"
        folder.mkdir(mode=0o555)
        line = [sys.executable, "-W", "error", "-c", AS_NOBODY, str(folder)]
        said = subprocess.run(line, check=True, capture_output=True, text=True).stdout.splitlines()
        assert names(folder) == []
    assert "permission denied" in said[0]
    assert "permission denied" in said[1]
    assert said[2] == "refused by the system"


@pytest.mark.parametrize("resume", [False, True])
def test_leftovers_of_a_run_killed_at_once_are_no_obstacle(tmp_path: Path, resume: bool) -> None:
    partial_path(tmp_path / "settings.yaml").write_text("seed:")
    folder = partial_path(tmp_path / "network")
    folder.mkdir()
    (folder / "config.json").write_text("{")
    assert held(tmp_path, resume=resume) == tmp_path
    assert names(tmp_path) == []


def test_leftovers_in_inner_folders_go_but_not_those_of_other_runs(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").touch()
    ours, other = tmp_path / "parts", tmp_path / "running"
    for inner in (ours, other):
        inner.mkdir()
        partial_path(inner / "0.safetensors").touch()
    (ours / ".hidden").touch()
    (other / ".scoremachines.lock").touch()
    held(tmp_path, resume=True)
    assert names(ours) == [".hidden"]
    assert names(other) == [partial_path(Path("0.safetensors")).name]


def test_two_runs_cannot_share_a_folder_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    line = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError) as refused:
            held(tmp_path, resume=True)
        said = str(refused.value)
        assert f"process {other.pid} on {socket.gethostname()} has been writing" in said
        assert "since 20" in said
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert held(tmp_path, resume=True) == tmp_path


def test_the_lock_holds_within_one_process_too(tmp_path: Path) -> None:
    with (
        output_folder(tmp_path, marker="settings.yaml"),
        pytest.raises(InputError, match=f"process {os.getpid()} on"),
    ):
        held(tmp_path)
    held(tmp_path)
