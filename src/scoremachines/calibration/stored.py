"""Calibrations as JSON: numbers survive digit by digit, damaged files are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from scoremachines.calibration.curves import Curves
from scoremachines.io.files import reading
from scoremachines.io.sealed import read_json, write_json

__all__ = ["read_choice", "write_choice"]

KEYS = {"kind", "times", "chosen", "measure", "about", "candidates", "curves"}


def write_choice(
    path: str | Path, kind: str, times: Sequence[float], chosen: Sequence[float], curves: Curves
) -> None:
    """Write what was chosen at every time, and the curves that it rests on, all or nothing.

    Args:
        path: the file to write or to replace.
        kind: what was chosen: windows or strengths.
        times: t in [0, 1], rising.
        chosen: the candidate chosen at each.
        curves: what the choice rests on.

    Raises:
        InputError: the file cannot be written.
    """
    content = {
        "kind": kind,
        "times": list(times),
        "chosen": list(chosen),
        "measure": curves.measure,
        "about": dict(curves.about),
        "candidates": list(curves.candidates),
        "curves": {name: _plain(value) for name, value in curves.values.items()},
    }
    write_json(path, content, indent=None)


def read_choice(path: str | Path, kind: str) -> tuple[list[float], list[float], Curves]:
    """Read what `write_choice` wrote.

    Args:
        path: the file.
        kind: what must have been chosen.

    Returns:
        Times, what was chosen, and the curves.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    with reading("calibration", path, f"a file with calibrated {kind}"):
        content = read_json(
            path, argument="calibration", accepted=f"a file with calibrated {kind}"
        )
        if content["kind"] != kind:
            raise ValueError(f"it holds {content['kind']}")
        if unknown := set(content) - KEYS:
            raise ValueError(f"it holds unknown {', '.join(sorted(unknown))}")
        values = {str(name): _tensor(value) for name, value in content["curves"].items()}
        curves = Curves(
            tuple(content["candidates"]), values, str(content["measure"]), dict(content["about"])
        )
        times = [float(time) for time in content["times"]]
        chosen = list(content["chosen"])
        known = all(each in curves.candidates for each in chosen)
        if not len(times) == len(chosen) == len(curves.chosen_by) or not known:
            raise ValueError("times, choices and curves do not fit together")
    return times, chosen, curves


def _plain(values: Tensor) -> list[list[list[float] | None]]:
    """Return numbers `[step][candidate][trajectory]`; null for a candidate not evaluated."""
    return [[None if row[0] != row[0] else row for row in step] for step in values.tolist()]


def _tensor(values: list[list[list[float] | None]]) -> Tensor:
    """Return what `_plain` was given."""
    count = max(len(row) for step in values for row in step if row is not None)
    missing = [math.nan] * count
    rows = [[missing if row is None else row for row in step] for step in values]
    return torch.tensor(rows, dtype=torch.float64)
