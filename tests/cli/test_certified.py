"""The adaptive engine on the command line: its bound is printed, and kept with the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scoremachines.cli.generate import generate
from scoremachines.engines import native_instructions
from scoremachines.errors import InputError
from scoremachines.experiments.generate import paint
from scoremachines.experiments.run_settings import GenerateSettings

pytestmark = pytest.mark.skipif(not native_instructions(), reason="built without a compiler")


def settings(**changes: object) -> GenerateSettings:
    chosen = {"source": "digits", "limit": 1024, "window": "3", "n": 2, "steps": 20}
    return GenerateSettings(**(chosen | {"engine": "adaptive"} | changes))


def test_a_run_prints_its_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate(settings(), str(tmp_path / "run"))
    printed = capsys.readouterr().out
    assert "in every step, sample and pixel" in printed
    exact = paint(settings(engine="native"), tmp_path / "exact").shown
    found = paint(settings(), tmp_path / "again").shown
    assert 0 <= found.bound <= 0.01
    assert exact.bound == 0
    assert (found.bound == 0) == ("exact in every" in printed)
    kept = tmp_path / "run" / "bound.json"
    assert kept.exists() == (found.bound > 0)
    if kept.exists():
        assert json.loads(kept.read_text())["worst_error_of_x0"] == found.bound


def test_a_run_is_not_continued_with_another_tolerance(tmp_path: Path) -> None:
    paint(settings(steps=2), tmp_path / "run")
    with pytest.raises(InputError, match="engine"):
        paint(settings(steps=2, engine="adaptive:tolerance=0.1"), tmp_path / "run", resume=True)
    paint(settings(steps=2, engine="native"), tmp_path / "run", resume=True)
    paint(settings(steps=2, engine="native"), tmp_path / "exact")
    with pytest.raises(InputError, match="engine"):
        paint(settings(steps=2), tmp_path / "exact", resume=True)
