"""Output that a terminal cannot encode, memory that is used up, paths in printed commands."""

from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scoremachines.cli.console import system_problem
from scoremachines.cli.main import main
from scoremachines.errors import out_of_memory

ENCODINGS = ("cp1252", "ascii", "latin-1")
COMMANDS = ("", "generate", "train", "compare", "calibrate", "consistency", "bench", "demo")
COMMANDS += ("explore", "attribute", "denoise", "phase")
RUN = ["generate", "shapes", "--limit", "9", "-n", "1", "--steps", "1", "--engine", "adaptive"]
HELP = """
import sys
from scoremachines.cli.main import main
for command in sys.argv[1:]:
    try:
        main([*filter(None, [command]), "--help"])
    except SystemExit as end:
        assert not end.code
"""


def run(words: list[str], encoding: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run Python in a process of its own, whose terminal knows that encoding only."""
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, check=False, **options
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_help_of_every_command_can_be_printed(encoding: str) -> None:
    ended = run(["-c", HELP, *COMMANDS], encoding)
    assert ended.returncode == 0, ended.stderr[-900:]
    assert ended.stdout.decode(encoding).count("usage: ") == len(COMMANDS)
    assert not ended.stderr


@pytest.mark.slow
def test_a_run_ends_well_whatever_its_terminal_can_show(tmp_path: Path) -> None:
    ended = run(["-m", "scoremachines", *RUN, "-o", "ᾱ and more"], "cp1252", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-900:]
    assert rb"x\u03020 was exact" in ended.stdout
    refused = run(["-m", "scoremachines", *RUN, "--attention", "x̂0"], "ascii", cwd=tmp_path)
    assert refused.returncode == 2
    last = refused.stderr.splitlines()[-1]
    assert last.startswith(rb"scoremachines: error: attention='x\u03020'")


def test_paths_in_printed_commands_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "it's; $HOME (1)"
    assert main([*RUN, "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if "scoremachines explore" in line)
    assert shlex.split(line.partition(": ")[2]) == ["scoremachines", "explore", str(out)]
    page = (out / "report.html").read_text(encoding="utf-8")
    code = re.search("<code>(scoremachines generate.*)</code>", page)
    assert code is not None
    words = shlex.split(code[1].replace("&#39;", "'").replace("&#34;", '"'))
    assert words[2:] == ["--config", str(out / "settings.yaml"), "-o", "again"]


def test_memory_that_is_used_up_is_known_however_it_is_worded() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**28, old[1]))
    found = []
    try:
        for allocate in (
            lambda: torch.empty(2**33, dtype=torch.uint8),
            lambda: torch.empty(2**62, dtype=torch.float64),
            lambda: np.empty(2**33, np.uint8),
            lambda: bytearray(2**33),
        ):
            try:
                allocate()
            except (RuntimeError, MemoryError) as error:
                found.append(error)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)
    assert len(found) == 4
    assert all(out_of_memory(error) for error in found)
    words = ["CUDA out of memory. Tried to allocate 2.00 GiB", "std::bad_alloc"]
    assert all(out_of_memory(RuntimeError(text)) for text in words)
    assert out_of_memory(OSError(12, "Cannot allocate memory"))


def test_a_fault_of_the_program_is_no_refusal_of_the_system() -> None:
    assert system_problem(RuntimeError("shape mismatch")) is None
    assert system_problem(OSError(28, "No space left on device", "a\nb")) == (
        "no space left on device: a b"
    )


def test_a_class_is_refused_by_the_name_of_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "digits", "--class", "99", "-o", "nowhere"]) == 2
    assert "class='99': there is no such class" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_waiting_threads_leave_their_cores_before_torch_is_loaded(
    given: dict[str, str], spins: str
) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    around = {name: value for name, value in os.environ.items() if name not in names}
    code = """
import os, sys
from scoremachines.cli import main as command
def shown():
    print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
    raise KeyboardInterrupt
command.escape_unprintable = shown
try:
    command.main([])
except KeyboardInterrupt:
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=around | given,
        check=True,
    )
    assert done.stdout == f"{spins} False\n"
