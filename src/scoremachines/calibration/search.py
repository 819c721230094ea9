"""Searches: the candidates that are evaluated at a step, all or those near the last choice.

The window that fits a network best shrinks a few pixels at a time as noise falls, so most of the
candidates are far from it at most of the steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.calibration.curves import Evaluate, Search, median_choice
from scoremachines.errors import InputError

__all__ = ["SEARCHES", "every", "make_search", "near"]

SEARCHES = ("all", "near")


def every(count: int) -> Search:
    """Return the search that evaluates all candidates.

    Args:
        count: number of candidates.

    Returns:
        The search.
    """
    return lambda evaluate: {position: evaluate(position) for position in range(count)}


def near(count: int, measure: str) -> Search:
    """Return the search that begins at the last choice, and goes on while that gets better.

    The first step evaluates all candidates. Later ones begin with the last choice; while the
    median falls on the first or the last candidate evaluated, the one beyond, smaller
    before larger, is evaluated too. So the choice is that of all candidates wherever each
    trajectory's numbers rise to one peak and fall beyond.

    Args:
        count: number of candidates.
        measure: which of the numbers votes.

    Returns:
        The search, which remembers its last choice.
    """
    last: int | None = None

    def search(evaluate: Evaluate) -> dict[int, dict[str, Tensor]]:
        nonlocal last
        begun = range(count) if last is None else (last,)
        found = {position: evaluate(position) for position in begun}
        while True:
            evaluated = sorted(found)
            last = evaluated[
                median_choice(torch.stack([found[each][measure] for each in evaluated]))
            ]
            if last == evaluated[0] > 0:
                beyond = last - 1
            elif last == evaluated[-1] < count - 1:
                beyond = last + 1
            else:
                return found
            found[beyond] = evaluate(beyond)

    return search


def make_search(name: str, count: int, measure: str) -> Search:
    """Return a search by its name.

    Args:
        name: one of `SEARCHES`.
        count: number of candidates.
        measure: which of the numbers votes.

    Returns:
        The search.

    Raises:
        InputError: there is none of that name.
    """
    if name not in SEARCHES:
        raise InputError("search", name, ", ".join(SEARCHES))
    return every(count) if name == "all" else near(count, measure)
