"""Commands killed at chosen writes, and resumed: the same, byte by byte (see `killing.py`)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.places import TESTS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
SCRIPT = str(TESTS / "support" / "killing.py")


def kill(work: Path, seed: int, *wanted: str) -> list[str]:
    line = [sys.executable, SCRIPT, str(work), str(seed), *wanted]
    # Coverage has files of its own to write, so it stays out of these processes.
    environment = {key: value for key, value in os.environ.items() if "COV" not in key}
    ended = subprocess.run(line, capture_output=True, text=True, timeout=3000, env=environment)
    assert ended.returncode == 0, ended.stderr[-4000:]
    return ended.stdout.splitlines()


def test_killed_commands_go_on_and_end_the_same(tmp_path: Path) -> None:
    assert len(kill(tmp_path, 1, "generate=3", "train=1", "compare=1", "calibrate=1")) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(
            ("generate=10", "train=8", "compare=6", "calibrate=4"), marks=pytest.mark.exhaustive
        ),
        ("demo=4", "denoise=3", "phase=3", "attribute=2", "bench=2", "consistency=2"),
    ],
)
def test_killed_at_many_writes_they_go_on_and_end_the_same(
    tmp_path: Path, wanted: tuple[str, ...]
) -> None:
    assert len(kill(tmp_path, 2, *wanted)) == sum(int(each.split("=")[1]) for each in wanted)


ORPHANS = """
import sys
from scoremachines.data.settings import DataSettings
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.experiments.sample_cache import Model, sample_all
from scoremachines.theory.specs import MachineSpec
if __name__ == "__main__":
    data = DataSettings(source="shapes", shapes=ShapesConfig(size=24, n=400))
    model = Model(data, n=200, machine=MachineSpec.parse("full"), steps=50)
    sample_all([model], sys.argv[1], workers=2)
"""


def descendants(parent: int) -> list[int]:
    """Return the processes that a process has started, and those that these have."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            child = int(stat.parent.name)
            found += [child, *descendants(child)]
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the system has no /proc")
@pytest.mark.parametrize("command", ["workers", pytest.param("bench", marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", [9, pytest.param(15, marks=pytest.mark.slow)])
def test_no_process_outlives_the_one_that_started_it(
    tmp_path: Path, command: str, number: int
) -> None:
    (tmp_path / "workers.py").write_text(ORPHANS)
    line = [sys.executable, str(tmp_path / "workers.py"), str(tmp_path / "out")]
    if command == "bench":
        words = ["bench", "--engines", "reference", "--counts", "4000", "--windows", "9"]
        line = [sys.executable, "-m", "scoremachines", *words, "-o", str(tmp_path / "out")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(line, **quiet) as parent:  # type: ignore[call-overload]
        deadline = time.monotonic() + 100
        wanted = 3 if command == "workers" else 1  # two and the tracker of their resources
        while len(descendants(parent.pid)) < wanted and time.monotonic() < deadline:
            assert parent.poll() is None
            time.sleep(0.05)
        time.sleep(2)  # they are at work, or still importing
        started = descendants(parent.pid)
        assert len(started) >= wanted
        parent.send_signal(number)
        parent.wait()
    deadline = time.monotonic() + 60
    while any(map(alive, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [each for each in started if alive(each)] == []
