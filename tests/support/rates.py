"""Rates for pages and figures, without samples behind them."""

from __future__ import annotations

from scoremachines.experiments.results import (
    Rates,
)
from scoremachines.experiments.roles import Candidate, Role
from scoremachines.theory.proportion import Proportion


def row(model: Role | Candidate, seed: int | None, consistent: int, n: int = 40) -> Rates:
    valid = min(n, consistent + 5)
    counts = {name: Proportion(consistent, n) for name in ("consistent", "novel", "creative")}
    of_valid = Proportion(consistent, valid)
    return Rates(
        model,
        seed,
        valid=Proportion(valid, n),
        consistent_of_valid=of_valid,
        **counts,
        chance=0.1,
        chance_of_valid=0.111,
    )
