"""The findings in sentences, generated from their numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scoremachines.experiments.figures import PAPER
from scoremachines.experiments.results import Agreement, Findings, Order, Rates
from scoremachines.experiments.roles import Candidate, Role
from scoremachines.metrics.agreement import Summary

__all__ = [
    "CLOSE",
    "LEVEL",
    "Compared",
    "agreement_sentences",
    "compared",
    "machine_sentences",
    "network_sentences",
    "order_sentence",
    "p_value",
    "without_attention",
]

LEVEL = 0.01
"""Largest p at which a network counts as above another."""
CLOSE = 10.0
"""Largest difference of a machine's rate from its network's at which it counts as near, points."""


def p_value(p: float) -> str:
    """Return a p-value as text, a dash if it is NaN."""
    if math.isnan(p):
        return "–"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


class Compared(NamedTuple):
    """A machine's rates, and those of the network that it is the theory of, if there is one.

    A machine that uses a network's own maps is set beside the training that it has them from, the
    first; all others beside all trainings together.
    """

    machine: Rates
    network: Rates | None

    @property
    def difference(self) -> float:
        """How far the machine's consistency, of all samples, is above the network's, in points."""
        if self.network is None:
            return math.nan
        return 100 * (self.machine.consistent.rate - self.network.consistent.rate)

    @property
    def is_close(self) -> bool:
        """Whether that is at most `CLOSE` in either direction; False without a network."""
        return abs(self.difference) <= CLOSE


def compared(findings: Findings) -> list[Compared]:
    """Return every machine's rates beside those of its network."""
    networks = {(row.model, row.seed): row for row in findings.networks}
    found = []
    for machine in findings.machines:
        candidate = machine.model
        assert isinstance(candidate, Candidate)
        role, seed = candidate.models, 0 if candidate.maps_of is not None else None
        found.append(Compared(machine, None if role is None else networks.get((role, seed))))
    return found


def without_attention(agreements: Sequence[Agreement]) -> Candidate | None:
    """Return the machine that the others of a network are measured against, if there is one."""
    if not any(each.lead is not None for each in agreements):
        return None
    return next((each.machine for each in agreements if each.lead is None), None)


def network_sentences(findings: Findings) -> list[str]:
    """Return what the networks' rates show: the best, its chance, and the paper's figures."""
    together = [row for row in findings.networks if row.seed is None]
    if not together:
        return []
    best = max(together, key=lambda row: row.consistent.rate)
    found = [
        f"The most consistent network is {best.model.title}: {_percent(best.consistent.rate)} of "
        f"all its samples and {_percent(best.consistent_of_valid.rate)} of its valid ones, where "
        f"chance would give {_percent(best.chance)} and {_percent(best.chance_of_valid)}."
    ]
    for row in together:
        if row.model == Role():
            found.append(
                f"CNN only: {_percent(row.consistent.rate)} of all samples, chance "
                f"{_percent(row.chance)}, which the interval {_contains(row)}."
            )
        theirs = PAPER.get(row.model) if isinstance(row.model, Role) else None
        if theirs is not None:
            where = "above" if row.consistent.rate > theirs else "not above"
            found.append(
                f"{row.model.title[0].upper() + row.model.title[1:]}: "
                f"{_percent(row.consistent.rate)} of all samples, {where} the paper's "
                f"{100 * theirs:.2f} %, which is of another set and other networks."
            )
    return found


def order_sentence(test: Order) -> str:
    """Return whether a network is above another: of these trainings, and of networks anew."""
    names = f"{test.better.title} is {{}} {test.worse.title}"
    sure, anew = test.p_samples < LEVEL, test.p_seeds < LEVEL
    if sure and anew:
        return names.format("above") + ", as trained here and over training seeds"
    if sure:
        return names.format("above") + " as trained here, but not shown to be so over seeds"
    if anew:
        return names.format("above") + " over training seeds, but not by its samples alone"
    return names.format("not shown to be above")


def machine_sentences(findings: Findings) -> list[str]:
    """Return how many machines come near the rate of the network that they are the theory of."""
    pairs = [pair for pair in compared(findings) if pair.network is not None]
    if not pairs:
        return []
    near = [pair.machine.model.title for pair in pairs if pair.is_close]
    return [
        f"Of {len(pairs)} machines that stand for a network, {len(near)} "
        f"{'is' if len(near) == 1 else 'are'} within {CLOSE:.0f} points of its consistency"
        + (f": {', '.join(near)}." if near else ".")
    ]


def agreement_sentences(agreements: Sequence[Agreement]) -> list[str]:
    """Return which machine agrees best with each network, and whether attention is ahead."""
    found = []
    for network in dict.fromkeys(each.network for each in agreements):
        rows = [each for each in agreements if each.network == network]
        known = [each for each in rows if not math.isnan(each.r.median)]
        if not known:
            continue
        best = max(known, key=lambda each: each.r.median)
        text = (
            f"{network.title}: {best.machine.title} agrees best, median r = {best.r.median:.3f} "
            f"(r2 = {best.r2.median:.3f})"
        )
        if best.lead is not None:
            text += f", {_lead(best.lead, without_attention(rows))} on the same seeds"
        found.append(text[0].upper() + text[1:] + ".")
    return found


def _lead(lead: Summary, other: Candidate | None) -> str:
    ends = f"{lead.median:.3f} ({lead.low:.3f} to {lead.high:.3f})".replace("-", "−")
    if lead.above_zero:
        return f"above {other} by {ends}"
    return f"not surely above {other}, difference {ends},"


def _percent(rate: float) -> str:
    return "–" if math.isnan(rate) else f"{100 * rate:.1f} %"


def _contains(row: Rates) -> str:
    low, high = row.consistent.interval()
    if low <= row.chance <= high:
        return "contains"
    return "does not contain"
