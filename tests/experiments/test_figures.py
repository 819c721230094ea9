"""The experiment's figures show its findings, and nothing that is not in them."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from scoremachines.experiments.figures import (
    PAPER,
    agreement_figure,
    curve_figure,
    rates_figure,
    sweeps_figure,
)
from scoremachines.experiments.networks import CIRCULAR, CNN, ROLES, SOFT
from scoremachines.experiments.plan import CLOSED, SHARED
from scoremachines.experiments.results import Findings
from scoremachines.experiments.roles import Candidate, colour
from scoremachines.theory.specs import MachineSpec
from support.findings import BY_CLASS, COUNTS, CURVES


def drawn(figure: Figure) -> dict[str, tuple[list[float], list[float]]]:
    """Return the points of each line by its `gid`; the lines of one name one after another."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for axes in figure.axes:
        for line in axes.get_lines():
            across, up = found.setdefault(str(line.get_gid()), ([], []))
            across += np.asarray(line.get_xdata(), float).tolist()
            up += np.asarray(line.get_ydata(), float).tolist()
    return found


def test_every_machine_of_the_plan_stands_where_it_belongs() -> None:
    plan = [Candidate(MachineSpec(attention=each)) for each in (*CLOSED, *SHARED)]
    owners = {str(each): each.models for each in plan}
    assert [name for name, owner in owners.items() if owner is None] == ["full", "full-class"]
    assert owners["none"] == CNN
    assert owners["tiled"] == owners["tiled-class"] == SOFT
    # A gain does not change which network an attention models.
    assert Candidate.of("tiled-class:1.3").models == SOFT
    round_ = Candidate.of("none", sources="circular")
    assert round_.models == CIRCULAR
    for role in ROLES:
        measured = Candidate.of("measured-class", role)
        assert measured.models == role
        assert (measured.name, measured.title) == ("measured-class", f"measured-class ({role})")
        assert colour(measured) == colour(role)
    assert round_.name == round_.title == "none (circular)"
    shown = {colour(role) for role in ROLES} | {colour(Candidate.of("full"))}
    assert len(shown) == len(ROLES) + 1


def test_rates_are_drawn_as_found(findings: Findings) -> None:
    shown = drawn(rates_figure(findings))
    together = [each for each in findings.networks if each.seed is None]
    for kind, rows in (("network", together), ("machine", findings.machines)):
        for each in rows:
            name, heights = f"{kind} {each.model}", []
            values = {
                "rate": [each.consistent.rate],
                "interval": each.consistent.interval(),
                "chance": [each.chance],
            }
            for what, expected in values.items():
                across, up = shown.pop(f"{what} {name}")
                np.testing.assert_allclose(across, [100 * value for value in expected])
                heights += up
            assert len(set(heights)) == 1
    for role, counts in COUNTS.items():
        assert shown.pop(f"seeds network {role}")[0] == [100 * count / 40 for count in counts]
    for role, rate in PAPER.items():
        assert shown.pop(f"paper {role}")[0] == [100 * rate] * 2
    assert shown == {}


def test_machines_stand_below_their_networks(findings: Findings) -> None:
    axes = rates_figure(findings).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "network CNN only",
        "none",
        "network top-1",
        "top1-class",
        "network soft",
        "measured",
        "network CNN, circular",
        "none (valid)",
        "full",
    ]


def test_agreement_is_drawn_as_found(findings: Findings) -> None:
    shown = drawn(agreement_figure(findings.agreements))
    for each in findings.agreements:
        for what, value in (("r", each.r), ("lead", each.lead)):
            name = f"{what} {each.network} {each.machine}"
            if value is None:
                assert name not in shown
                continue
            assert shown.pop(name)[0] == [value.median]
            assert shown.pop(f"interval {name}")[0] == [value.low, value.high]
    assert shown.pop("zero")[0] == [0, 0]
    assert shown == {}


def test_curves_are_drawn_as_read() -> None:
    figure = curve_figure(CURVES)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["network CNN only", "network soft"]
    assert drawn(figure) == {
        "cnn ELS": ([0.2, 0.4], [0.5, 0.8]),
        "soft ELS": ([0.4], [0.6]),
        "soft tiled": ([0.4], [0.7]),
    }


def test_sweeps_are_drawn_as_found(findings: Findings) -> None:
    figure = sweeps_figure(findings.sweeps)
    for axes, sweep in zip(figure.axes, ("steps", "features"), strict=True):
        assert axes.get_title() == sweep
        here = [point for point in findings.sweeps if point.sweep == sweep]
        values = list(dict.fromkeys(point.value for point in here))
        assert [text.get_text() for text in axes.get_xticklabels()] == values
        lines = {str(line.get_gid()): line for line in axes.get_lines()}
        for model in {point.model for point in here}:
            points = [point for point in here if point.model == model]
            line, chance = lines[f"rate {model}"], lines[f"chance {model}"]
            rates = [100 * point.rates.consistent.rate for point in points]
            np.testing.assert_allclose(np.asarray(line.get_ydata(), float), rates)
            places = np.round(np.asarray(line.get_xdata(), float)).tolist()
            assert places == [values.index(point.value) for point in points]
            np.testing.assert_allclose(np.asarray(chance.get_ydata(), float), 10)
    ends = drawn(figure)["interval tiled-class"][1]
    first = next(point for point in findings.sweeps if point.model == BY_CLASS)
    np.testing.assert_allclose(ends[:2], [100 * end for end in first.rates.consistent.interval()])
