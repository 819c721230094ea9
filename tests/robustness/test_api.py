"""Every public call with every argument wrong: it works, or one InputError says what is wrong."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, is_grad_enabled

from scoremachines.errors import InputError
from support.corpus.calls import Call, calls
from support.corpus.patience import SECONDS, SEED, patience, room
from support.corpus.values import VALUES, damaged_tensors

CALLED = ("on_step", "attention", "maps", "call")
"""Arguments that are called, or may be."""
LINE = 2500
"""Characters of the longest refusal."""


def cases(share: float) -> Iterator[tuple[Call, str, str, Any]]:
    """Yield calls, the argument that is wrong, what is wrong with it, and how to make it."""
    drawn = random.Random(SEED)
    for call in calls():
        for argument in call.given:
            values = dict(VALUES)
            good = call.given[argument]()
            if isinstance(good, Tensor):
                values |= damaged_tensors(good)
            for label, make in values.items():
                if argument in CALLED and callable(make()):
                    continue  # what a user's function raises is the user's
                if drawn.random() < share:
                    yield call, argument, label, make


def problem(call: Call, argument: str, make: Any) -> str | None:
    """Return what is wrong with how a call takes a wrong argument."""
    given = {name: right() for name, right in call.given.items()} | {argument: make()}
    try:
        with patience(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call.function()(**given)
            if hasattr(result, "__next__"):
                list(result)
        if not is_grad_enabled():
            return "gradients stay switched off"
    except InputError as error:
        line = str(error)
        return None if line.isprintable() and len(line) <= LINE else f"printed {line!r}"
    except BaseException as error:  # of any kind: that is what is tested
        return f"{type(error).__name__}: {str(error)[:90]}"
    return None


def check(share: float) -> int:
    """Try the cases, and return how many there are."""
    problems, count = [], 0
    with room(16 * 2**30):
        for count, (call, argument, label, make) in enumerate(cases(share), 1):  # noqa: B007
            wrong = problem(call, argument, make)
            if wrong is not None:
                problems.append(f"{call.name}({argument}={label}): {wrong}")
    assert not problems, f"{len(problems)} of {count}:\n" + "\n".join(problems)
    return count


def test_a_share_of_the_wrong_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check(0.02) > 400


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, pytest.param(1.0, marks=pytest.mark.exhaustive)])
def test_many_wrong_arguments(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check(share) > 20_000 * share
