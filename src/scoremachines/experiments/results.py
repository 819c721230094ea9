"""Findings of the experiment as plain values: rates, tests, agreement, sweeps (theory §6).

Everything is computed from samples that lie in files (`jobs`), so it costs little to do again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from torch import Tensor

from scoremachines.data.synthetic.judge import Judge
from scoremachines.experiments.roles import Candidate, Role
from scoremachines.metrics.agreement import (
    Summary,
    paired_difference,
    pearson_r,
    pearson_r2,
    summarise,
)
from scoremachines.metrics.significance import rate_test, seed_test
from scoremachines.theory.proportion import Proportion

__all__ = [
    "Agreement",
    "Findings",
    "Order",
    "Point",
    "Rates",
    "agreement",
    "order",
    "plain",
    "rates",
]


@dataclass(frozen=True)
class Rates:
    """How often a model's samples are valid, consistent, novel and creative.

    Attributes:
        model: the network or machine.
        seed: of the training, of a network; None for a machine, and for all seeds together.
        valid: proportion of all samples; so are `consistent`, `novel` and `creative`.
        consistent_of_valid: proportion of the valid ones.
        chance: consistency of all samples if every feature drew its value independently.
        chance_of_valid: the same of the valid ones.
    """

    model: Role | Candidate
    seed: int | None
    valid: Proportion
    consistent: Proportion
    consistent_of_valid: Proportion
    novel: Proportion
    creative: Proportion
    chance: float
    chance_of_valid: float


@dataclass(frozen=True)
class Order:
    """Whether one network's consistency is above another's, over the same training seeds.

    Attributes:
        better: the first.
        worse: the second.
        p_samples: of the exact Cochran-Mantel-Haenszel test, samples as units, seeds as strata.
        p_seeds: of the paired t-test, training seeds as units; NaN where it cannot be computed.
    """

    better: Role
    worse: Role
    p_samples: float
    p_seeds: float


@dataclass(frozen=True)
class Agreement:
    """How a machine agrees with a network, sample by sample from the same noise.

    Attributes:
        network: the network.
        machine: the machine.
        r: Pearson correlation.
        r2: its square.
        lead: paired difference of r against the network's machine without attention.
    """

    network: Role
    machine: Candidate
    r: Summary
    r2: Summary
    lead: Summary | None


@dataclass(frozen=True)
class Point:
    """One point of a sweep.

    Attributes:
        sweep: what is varied.
        value: its value, as text.
        model: the network or machine.
        rates: of the samples there.
    """

    sweep: str
    value: str
    model: Role | Candidate
    rates: Rates


@dataclass(frozen=True)
class Findings:
    """All that the experiment found.

    Attributes:
        networks: rates of every training, and of all trainings of a network together.
        machines: rates.
        orders: tests of the order of the networks.
        agreements: on the crafted set.
        real: the same on the real set.
        sweeps: points.
        about: settings, versions, windows, counts of training steps.
    """

    networks: Sequence[Rates]
    machines: Sequence[Rates]
    orders: Sequence[Order]
    agreements: Sequence[Agreement]
    real: Sequence[Agreement]
    sweeps: Sequence[Point]
    about: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return everything as numbers, texts, lists and dictionaries, for JSON."""
        return {each.name: plain(getattr(self, each.name)) for each in fields(self)}


def plain(value: Any) -> Any:
    """Return a value for JSON, which has no word for NaN; networks and machines by name.

    Args:
        value: numbers, texts, collections, and dataclasses of them.

    Returns:
        Numbers, texts, lists and dictionaries.
    """
    if isinstance(value, Role | Candidate):
        return str(value)
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and value != value else value


def rates(judge: Judge, model: Role | Candidate, seed: int | None, images: Tensor) -> Rates:
    """Judge a model's samples.

    Args:
        judge: of the crafted set.
        model: the network or machine.
        seed: of the training.
        images: samples, `[n, 3, H, W]` in about [-1, 1].

    Returns:
        The rates.
    """
    verdicts = judge(images)
    return Rates(
        model,
        seed,
        **verdicts.rates(),
        chance=verdicts.chance(of_all=True),
        chance_of_valid=verdicts.chance(),
    )


def order(better: Sequence[Rates], worse: Sequence[Rates]) -> Order:
    """Test whether one network is more consistent than another, of all samples.

    Args:
        better: its trainings.
        worse: those of the other, by the same seeds.

    Returns:
        Both p-values.
    """
    pairs = [[each.consistent for each in rows] for rows in (better, worse)]
    first, second = better[0].model, worse[0].model
    assert isinstance(first, Role)
    assert isinstance(second, Role)
    return Order(first, second, rate_test(*pairs), seed_test(*pairs))


def agreement(
    network: Role,
    theirs: Tensor,
    machines: Mapping[Candidate, Tensor],
    without: Candidate | None,
) -> list[Agreement]:
    """Compare a network's samples with machines' from the same noise.

    Args:
        network: the network.
        theirs: its samples, `[n, C, H, W]`.
        machines: samples of each machine, from the same noise in the same order; there may be
            more or fewer of them.
        without: the machine that the others' lead is measured against; None for none.

    Returns:
        One row a machine.
    """

    def pearson(machine: Candidate) -> Tensor:
        count = min(len(theirs), len(machines[machine]))
        return pearson_r(theirs[:count], machines[machine][:count])

    found = []
    for machine, images in machines.items():
        r, count = pearson(machine), min(len(theirs), len(images))
        lead = None
        if without is not None and machine != without:
            base = pearson(without)
            shared = min(len(base), len(r))
            lead = paired_difference(r[:shared], base[:shared])
        r2 = pearson_r2(theirs[:count], images[:count])
        found.append(Agreement(network, machine, summarise(r), summarise(r2), lead))
    return found
