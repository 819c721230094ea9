"""Every option of every command with values that it should not have: one line, and no harm."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.corpus.commands import COMMANDS, TEXTS, clean, options, problem
from support.corpus.patience import SECONDS, SEED

NOTHING = ("null", "None", "~")
"""What stands for no value."""


def check(each: int, commands: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    """Try so many values of each option, and return how many cases that were."""
    drawn, problems, count = random.Random(SEED), [], 0
    for command in commands:
        for option in options(command, capsys):
            for text in drawn.sample(TEXTS, each):
                if command == "explore" and option == "--output" and text in NOTHING:
                    continue  # it serves pages then, until it is stopped
                count += 1
                words = [*COMMANDS[command].split(), f"{option}={text}"]
                wrong = problem(words, capsys, SECONDS)
                clean()
                if wrong is not None:
                    problems.append(f"{command} {option}={text[:40]!r}: {wrong}")
    assert not problems, f"{len(problems)} of {count}:\n" + "\n".join(problems)
    return count


def test_the_small_commands_work(
    homes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(homes / "home")
    for command in ("generate", "calibrate", "attribute"):
        assert problem(COMMANDS[command].split(), capsys, SECONDS) is None
        clean()


def test_a_share_of_the_options(
    homes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(homes / "home")
    assert check(1, ["calibrate", "attribute"], capsys) > 20


@pytest.mark.slow
@pytest.mark.parametrize("each", [1, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_every_option(
    homes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], each: int
) -> None:
    monkeypatch.chdir(homes / "home")
    assert check(each, list(COMMANDS), capsys) > 200 * each
