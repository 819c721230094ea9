"""Where the repository lies, whatever the depth of a test below `tests/`."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ROOT", "TESTS"]

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
