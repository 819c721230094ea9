"""`scoremachines explore`: it serves until it is interrupted, damaged runs too."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.explorer import copied


@contextmanager
def served(run: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the command, and give the address that it prints."""
    line = [sys.executable, "-m", "scoremachines", "explore", str(run), "--port", "0"]

    def heed() -> None:
        """Heed Ctrl-C, which whoever started these tests may have been told to ignore."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed
    ) as started:
        try:
            assert started.stdout is not None
            yield started.stdout.readline().removeprefix("page: ").strip(), started
        finally:
            started.kill()


def test_the_command_serves_until_it_is_interrupted(painted_run: Path) -> None:
    with served(painted_run) as (address, process):
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "stopped" in said
        assert "Traceback" not in said


def test_the_command_serves_a_damaged_run_too(painted_run: Path, tmp_path: Path) -> None:
    run = copied(painted_run, tmp_path)
    (run / "settings.yaml").write_text("source: [")
    with served(run) as (address, _):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address, timeout=60)
        assert refused.value.code == 410
        assert "This cannot be shown" in refused.value.read().decode()
        refused.value.close()
