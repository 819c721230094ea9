"""A small file system that runs full: one line, and nothing half-written, whatever the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import TESTS

TRIES = """
import sys
from dataclasses import replace
from pathlib import Path
from support import killing
work, small, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
killing.painted.SECTIONS = (
    ("digits", replace(killing.painted.DIGITS, limit=20, n=2, steps=2), ("none",), "Digits."),
)
log = work / "log"
status = killing.carry_out(killing.line_of(name, work, small / "out", False), small, 0, 0, log)
print(status)
print(log.read_text())
"""


@pytest.fixture(params=[8, pytest.param(60, marks=pytest.mark.exhaustive)])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return a file system of so many KiB."""
    place = tmp_path / "small"
    place.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={request.param}k", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(line, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["generate", "train", "consistency", "bench", "demo", "denoise", "phase"]
)
def test_a_full_disk_is_one_line(small: Path, tmp_path: Path, name: str) -> None:
    line = [sys.executable, "-c", TRIES, str(tmp_path), str(small), name]
    here = str(TESTS)
    ended = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=here)
    assert ended.returncode == 0, ended.stderr
    status, _, said = ended.stdout.partition("\n")
    last = said.strip().splitlines()[-1]
    assert "Traceback" not in said
    if status != "0":  # what has room is done
        assert status == "2", said
        assert last.startswith("scoremachines: error: output=")
    assert list(small.rglob("*partial*")) == []
