"""Findings of an experiment that nobody ran: each number is told apart from the others."""

from __future__ import annotations

import math

from scoremachines.experiments.networks import CIRCULAR, CNN, SOFT
from scoremachines.experiments.results import Agreement, Findings, Order, Point
from scoremachines.experiments.roles import Candidate, Role
from scoremachines.metrics.agreement import Summary
from support.rates import row

TOP1 = Role("top1")
NONE, TILED, IDEAL = Candidate.of("none"), Candidate.of("tiled"), Candidate.of("ideal")
BY_CLASS, MEASURED = Candidate.of("tiled-class"), Candidate.of("measured", SOFT)
COUNTS = {CNN: (4, 5, 3), TOP1: (8, 9, 7), SOFT: (30, 24, 33), CIRCULAR: (4,)}
MACHINES = {
    NONE: 6,
    Candidate.of("top1-class"): 20,
    MEASURED: 27,
    Candidate.of("none", sources="valid"): 5,
    Candidate.of("full"): 38,
}
CURVES = {
    CNN: [{"step": 200, "loss": 0.3, "ELS": 0.5}, {"step": 400, "loss": 0.2, "ELS": 0.8}],
    SOFT: [{"step": 400, "loss": 0.2, "ELS": 0.6, "tiled": 0.7}],
    TOP1: [],
}


def summary(median: float) -> Summary:
    return Summary(median, median - 0.02, median + 0.03, 12)


def compared(
    network: Role, medians: dict[Candidate, float], without: Candidate
) -> list[Agreement]:
    return [
        Agreement(
            network,
            machine,
            summary(r),
            summary(r * r),
            None if machine == without else summary(r - medians[without]),
        )
        for machine, r in medians.items()
    ]


def made_findings() -> Findings:
    networks = []
    for role, counts in COUNTS.items():
        networks.append(row(role, None, sum(counts), 40 * len(counts)))
        networks += [row(role, seed, count) for seed, count in enumerate(counts)]
    agreements = compared(CNN, {IDEAL: 0.4, NONE: 0.931}, NONE)
    agreements += compared(SOFT, {NONE: 0.7, TILED: 0.714, MEASURED: 0.86}, NONE)
    sweeps = [
        Point("steps", value, model, row(model, None, count + at))
        for at, value in enumerate(("5", "10", "50"))
        for model, count in ((CNN, 4), (BY_CLASS, 30))
    ]
    sweeps.append(Point("features", "2", NONE, row(NONE, None, 13)))
    return Findings(
        networks,
        [row(name, None, count) for name, count in MACHINES.items()],
        [Order(TOP1, CNN, 0.03, math.nan), Order(SOFT, CNN, 1e-9, 0.004)],
        agreements,
        compared(CNN, {NONE: 0.5, IDEAL: 0.25}, NONE),
        sweeps,
    )
