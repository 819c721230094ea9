"""Commands in a home folder, and how to hold what they say and leave against the rules."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from scoremachines.cli.main import main
from support.corpus.patience import patience

__all__ = ["COMMANDS", "TEXTS", "clean", "options", "problem"]

LOCK = ".scoremachines.lock"
"""Left in the folder of a run: it says who works on it."""
SMALL = "--limit 5 --window 3 --steps 1 -n 1"
COMMANDS = {
    "generate": f"generate digits {SMALL} -o new",
    "train": "train digits --limit 5 --steps 1 --batch 2 --warmup 0 --network.width 4 "
    "--network.receptive_field 3 --network.pointwise 0 -o new",
    "compare": "compare trained --machine none -n 1 --steps 1 -o new",
    "denoise": "denoise digits --limit 9 -n 2 --validation 1 --windows 3 --widths 0 --sigmas 0.3 "
    "-o new",
    "phase": "phase digits --limit 9 --windows 1,3 --counts 9 --steps 1 --draws 1 -o new",
    "calibrate": "calibrate trained --steps 1 --seeds 1 --windows 1,3",
    "explore": "explore run -n 1 -o new.html",
    "attribute": "attribute pictures/a/0.png --data run --windows 3 -o new",
    # Even the smallest ones take minutes, so these end at an output folder that is taken.
    "consistency": "consistency --training-steps 1 -n 1 -o pictures",
    "bench": "bench --quick -o pictures",
    "demo": "demo -o pictures",
}
"""A small command of every kind; those that write do so to `new`."""
TEXTS = ("", "nonsense", "-1", "0", "nan", "-inf", "1e400", "9" * 20, "9" * 5000, "1.5", "true")
TEXTS += ("None", "null", "[]", "{a: 1}", "[1, 2", "*alias", "&a [*a]", "a:b:c", ",", "0:3,0:5")
TEXTS += ("!!python/object/apply:os.getcwd []", "\x1b[2J", "x" * 300, "a/" * 2100, "/dev/null")
TEXTS += ("/nowhere/at/all", "pictures", "run", "notes.json", "images.npz", "\udcff\udcfe", "ᾱ x̂")
"""What somebody, or something, may write after an option."""


def options(command: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the options of a command that take a value, as its help lists them."""
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    taking = re.findall(
        r"^ +(?:-\w [A-Z_.]+, )?(--[\w.-]+)(?:,? --[\w.-]+)*[ ,]+[A-Z\[{]", shown, re.M
    )
    # Where the output must be taken for a run to end at once, it stays what it is.
    fixed = {"--output"} if COMMANDS[command].endswith("-o pictures") else set()
    return [option for option in dict.fromkeys(taking) if option not in fixed]


def problem(words: list[str], capsys: pytest.CaptureFixture[str], seconds: float) -> str | None:
    """Run a command in the working directory, and return which rule it breaks, if any.

    Args:
        words: the command.
        capsys: what it prints.
        seconds: how long it may take.

    Returns:
        What is wrong, or None.
    """
    capsys.readouterr()
    try:
        with patience(seconds), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            status = main(words)
    except BaseException as error:  # of any kind: that is what is tested
        return f"{type(error).__name__}: {str(error)[:120]}"
    shown = capsys.readouterr()
    return _misbehaviour(status, shown.out, shown.err) or next(_leftovers(Path()), None)


def clean() -> None:
    """Take away what a command has written."""
    shutil.rmtree("new", ignore_errors=True)
    Path("new.html").unlink(missing_ok=True)


def _misbehaviour(status: int, out: str, err: str) -> str | None:
    lines = err.splitlines()
    refusals = [line for line in lines if line.startswith("scoremachines: error: ")]
    if status not in (0, 2) or len(refusals) != (status == 2):
        return f"status {status}, {len(refusals)} refusals: {err[-300:]!r}"
    if "Traceback" in out + err:
        return f"a traceback: {err[-300:]!r}"
    if any(len(line) > 2500 for line in refusals) or not all(map(str.isprintable, refusals)):
        return f"no printable line: {refusals[0][:300]!r}"
    return None


def _leftovers(folder: Path) -> Iterator[str]:
    """Yield hidden files, which were written half, or to try whether one can write."""
    for root, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".") and name != LOCK:
                yield f"left behind: {root}/{name}"
