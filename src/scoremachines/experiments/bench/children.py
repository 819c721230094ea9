"""Measurements in processes of their own, which print a line of JSON for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from scoremachines.errors import InputError

__all__ = ["FailedError", "child_lines"]


class FailedError(InputError):
    """A measurement that ended before its time.

    Args:
        problem: what the process said last.
    """

    def __init__(self, problem: str) -> None:
        ValueError.__init__(self, f"failed: {problem}")


def child_lines(module: str, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a module in a process of its own, and yield the lines that it prints.

    Args:
        module: its name in this package; it reads the request from the command line, and calls
            `end_with_stdin`.
        request: what it is to measure; "threads" says with how many threads.

    Yields:
        What it measured.

    Raises:
        FailedError: it failed, or was killed.
    """
    line = [sys.executable, "-m", f"{__package__}.{module}", json.dumps(request)]
    child = subprocess.Popen(
        line,
        stdin=subprocess.PIPE,  # the child ends when it closes, so it leaves no orphan
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"OMP_NUM_THREADS": str(request["threads"])},
    )
    with child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            for text in child.stdout:
                yield json.loads(text)
        finally:
            if child.poll() is None and sys.exc_info()[0] is not None:
                child.kill()
        problem = child.stderr.read().strip().splitlines()
    if child.returncode:
        raise FailedError(problem[-1] if problem else f"ended with {child.returncode}")
