"""The package and its tests stay easy to find one's way in: small files, few at the top."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.places import ROOT, TESTS

PACKAGE = ROOT / "src" / "scoremachines"
LINES = 300
CODE = {".py", ".cpp", ".hpp", ".js", ".css", ".html"}


def folders(top: Path) -> list[Path]:
    """Return the folder and all below it, but for what was made by running Python."""
    below = (path for path in top.rglob("*") if path.is_dir())
    return [top, *(path for path in below if "__pycache__" not in path.parts)]


def test_the_top_of_the_package_is_seen_at_a_glance() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 5
    assert len([path for path in folders(PACKAGE) if path.parent == PACKAGE]) <= 15


@pytest.mark.parametrize("top", ["src", "native", "tests", "tools", "benchmarks"])
def test_no_file_is_long(top: str) -> None:
    files = [path for path in (ROOT / top).rglob("*") if path.suffix in CODE]
    assert files
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {str(path): found for path, found in lengths.items() if found > LINES} == {}


def test_each_folder_of_the_package_has_its_tests() -> None:
    rooms = [path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    assert len(rooms) > 10
    for room in rooms:
        name = room.relative_to(PACKAGE)
        assert list((TESTS / name).glob("test_*.py")), f"tests/{name} has no tests"
