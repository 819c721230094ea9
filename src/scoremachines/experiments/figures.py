"""The experiment's figures: rates, agreement, curves, sweeps, drawn from its findings (theory §6).

They are narrow, so that their words can still be read on a telephone. What is drawn carries in its
`gid` what it shows, such as `rate soft`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scoremachines.experiments.results import Agreement, Findings, Point, Rates
from scoremachines.experiments.roles import Candidate, Role, colour
from scoremachines.io.plots import axes_side_by_side, figure_of
from scoremachines.metrics.agreement import Summary

__all__ = ["PAPER", "agreement_figure", "curve_figure", "rates_figure", "sweeps_figure"]

PAPER = {Role("top1"): 0.2164, Role("identity"): 0.2544}
"""Consistency of all samples that Finn et al. report, by the network (theory §7)."""
WIDTH = 5.2
"""Of a figure, inches."""
ROW = 0.235
"""Height of a line of a chart, inches."""
SMALL = 8.5
"""Size of small letters, points."""
LINES = ("#333333", "#d55e00", "#2f9fdc", "#00855f", "#b0508a")


class Line(NamedTuple):
    """A line of a chart: what is written on its left, and where it stands."""

    text: str
    height: float
    bold: bool = False


def rates_figure(findings: Findings) -> Figure:
    """Draw how many samples are consistent, of all: networks, each above its machines.

    Args:
        findings: whose rates are drawn.

    Returns:
        The figure: a disc a network, all trainings together, with its trainings as dots; a hollow
        diamond a machine; Wilson 95 % intervals; chance as a grey tick; the paper's figures as
        dotted lines.
    """
    lines, height = [], 0.0
    groups = _groups(findings)
    count = sum(1.6 + len(machines) for _, machines in groups)
    axes = axes_side_by_side(1, WIDTH, 1.1 + ROW * count)[0]
    for network, machines in groups:
        if network is not None:
            lines.append(Line(f"network {network.model.title}", height, bold=True))
            _draw_network(axes, network, findings.networks, height)
            height -= 1
        for machine in machines:
            lines.append(Line(_under_network(machine.model), height))
            _draw_rate(axes, machine, height, colour(machine.model), f"machine {machine.model}")
            height -= 1
        height -= 0.6
    _write(axes, lines)
    for (role, rate), side in zip(PAPER.items(), ("right", "left"), strict=True):
        axes.axvline(100 * rate, color=colour(role), linestyle=":", gid=f"paper {role}")
        axes.annotate(
            f" paper, {role.title} \n {100 * rate:.2f} % ",
            (100 * rate, 1),
            xycoords=("data", "axes fraction"),
            ha=side,
            va="bottom",
            fontsize=SMALL,
            color=colour(role),
        )
    axes.set(xlim=(-1, 101), xlabel="consistent, % of all samples")
    return figure_of(axes)


def _groups(findings: Findings) -> list[tuple[Rates | None, list[Rates]]]:
    """Return each network's rates and those of its machines, then the other machines'."""
    together = [row for row in findings.networks if row.seed is None]
    groups: list[tuple[Rates | None, list[Rates]]] = [
        (row, [each for each in findings.machines if _models(each) == row.model])
        for row in together
    ]
    known = {row.model for row in together}
    others = [row for row in findings.machines if _models(row) not in known]
    return [*groups, (None, others)] if others else groups


def _models(row: Rates) -> Role | None:
    return row.model.models if isinstance(row.model, Candidate) else None


def _under_network(model: Role | Candidate) -> str:
    """Return what to call a machine under its network's title."""
    return model.name if isinstance(model, Candidate) else model.title


def _draw_network(axes: Axes, row: Rates, networks: Sequence[Rates], height: float) -> None:
    paint, name = colour(row.model), f"network {row.model}"
    seeds = [each for each in networks if each.model == row.model and each.seed is not None]
    dots = [100 * each.consistent.rate for each in seeds]
    heights = [height - 0.36] * len(dots)
    axes.plot(dots, heights, ".", color=paint, markersize=4, gid=f"seeds {name}")
    _draw_rate(axes, row, height, paint, name, "o", paint)


def _draw_rate(
    axes: Axes,
    row: Rates,
    height: float,
    paint: str,
    name: str,
    marker: str = "D",
    inside: str = "white",
) -> None:
    rate = 100 * row.consistent.rate
    ends = [100 * end for end in row.consistent.interval()]
    chance: dict[str, Any] = {"color": "0.45", "markersize": 10, "markeredgewidth": 1.6}
    axes.plot([100 * row.chance], [height], "|", **chance, gid=f"chance {name}")
    axes.plot(ends, [height] * 2, color=paint, linewidth=2, gid=f"interval {name}")
    point: dict[str, Any] = {"color": paint, "markersize": 5.5, "markerfacecolor": inside}
    axes.plot([rate], [height], marker, **point, gid=f"rate {name}")
    axes.annotate(
        f"{rate:.1f}" if row.consistent.n else "–",
        (1.02, height),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=SMALL,
        color=paint,
    )


def agreement_figure(agreements: Sequence[Agreement]) -> Figure:
    """Draw Pearson's r of networks with machines, and its lead over the machine without attention.

    Args:
        agreements: at least one.

    Returns:
        The figure: medians with bootstrap 95 % intervals, r on the left, lead on the right.
    """
    networks = list(dict.fromkeys(each.network for each in agreements))
    height = 0.7 + ROW * (len(agreements) + 1.4 * len(networks))
    left, right = axes_side_by_side(2, WIDTH / 2, height)
    lines, line = [], 0.0
    for network in networks:
        lines.append(Line(f"network {network.title}", line, bold=True))
        for each in (each for each in agreements if each.network == network):
            line -= 1
            lines.append(Line(each.machine.name, line))
            name = f"{network} {each.machine}"
            _draw_summary(left, each.r, line, colour(network), f"r {name}")
            if each.lead is not None:
                _draw_summary(right, each.lead, line, colour(network), f"lead {name}")
        line -= 1.4
    right.axvline(0, color="0.45", linewidth=1, gid="zero")
    _write(left, lines)
    _write(right, [line._replace(text="") for line in lines])
    left.set(xlabel="Pearson r")
    right.set(xlabel="lead in r")
    return figure_of(left)


def _draw_summary(axes: Axes, summary: Summary, height: float, paint: str, gid: str) -> None:
    ends = [summary.low, summary.high]
    axes.plot(ends, [height] * 2, color=paint, linewidth=2, gid=f"interval {gid}")
    axes.plot([summary.median], [height], "o", color=paint, markersize=5, gid=gid)


def curve_figure(curves: Mapping[Role, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw how the agreement of networks with machines grows with training.

    Args:
        curves: by network, points as `networks.read_curve` returns them; at least one
            network has one.

    Returns:
        The figure: median Pearson r against steps, a panel a network, a line a machine.
    """
    shown = {network: points for network, points in curves.items() if points}
    panels = axes_side_by_side(len(shown), WIDTH / 2, 2.1, columns=2)
    for axes, (network, points) in zip(panels, shown.items(), strict=True):
        steps = [point["step"] / 1000 for point in points]
        machines = [name for name in points[-1] if name not in ("step", "loss")]
        for machine, paint in zip(machines, cycle(LINES)):
            values = [point.get(machine, float("nan")) for point in points]
            look: dict[str, Any] = {"color": paint, "linewidth": 1.4, "markersize": 4}
            axes.plot(steps, values, ".-", label=machine, gid=f"{network} {machine}", **look)
        axes.set_title(f"network {network.title}", fontsize=10)
        axes.set(xlabel="training steps, thousands", ylabel="median r")
        axes.tick_params(labelsize=SMALL)
    lowest = min(axes.get_ylim()[0] for axes in panels)
    for axes in panels:
        axes.set_ylim(max(-1, lowest), 1)
    return _with_legend(panels)


def sweeps_figure(points: Sequence[Point]) -> Figure:
    """Draw how consistency changes with one quantity at a time.

    Args:
        points: of all sweeps, at least one.

    Returns:
        The figure: a panel a sweep; consistency of all samples with Wilson 95 % intervals, a line
        a model, networks unbroken with discs, machines dashed with diamonds; chance as grey ticks.
    """
    sweeps = list(dict.fromkeys(point.sweep for point in points))
    panels = axes_side_by_side(len(sweeps), WIDTH / 2, 2.3, columns=2)
    for axes, sweep in zip(panels, sweeps, strict=True):
        here = [point for point in points if point.sweep == sweep]
        values = list(dict.fromkeys(point.value for point in here))
        models = list(dict.fromkeys(point.model for point in here))
        for number, model in enumerate(models):
            row = [point for point in here if point.model == model]
            shift = 0.16 * (number - (len(models) - 1) / 2)
            _draw_sweep(axes, model, [values.index(point.value) + shift for point in row], row)
        turn = 20 if max(map(len, values)) > 6 else 0
        axes.set_xticks(
            range(len(values)), values, rotation=turn, ha="right" if turn else "center"
        )
        axes.tick_params(labelsize=SMALL)
        axes.set_title(sweep, fontsize=10)
        axes.set(ylim=(-3, 103), ylabel="consistent, %")
    return _with_legend(panels)


def _draw_sweep(
    axes: Axes, model: Role | Candidate, across: list[float], row: Sequence[Point]
) -> None:
    paint, is_network = colour(model), isinstance(model, Role)
    for place, point in zip(across, row, strict=True):
        ends = [100 * end for end in point.rates.consistent.interval()]
        axes.plot([place] * 2, ends, color=paint, linewidth=1.2, gid=f"interval {model}")
    chances = [100 * point.rates.chance for point in row]
    axes.plot(across, chances, "_", color="0.45", markersize=6, gid=f"chance {model}")
    heights = [100 * point.rates.consistent.rate for point in row]
    look: dict[str, Any] = {"color": paint, "linewidth": 1.4, "markersize": 4}
    look["markerfacecolor"] = paint if is_network else "white"
    name = f"network {model.title}" if is_network else f"machine {model.title}"
    style = "o-" if is_network else "D--"
    axes.plot(across, heights, style, label=name, gid=f"rate {model}", **look)


def _write(axes: Axes, lines: Sequence[Line]) -> None:
    """Write a chart's words on its left, and leave room above and below its lines."""
    heights = [line.height for line in lines]
    axes.set_yticks(heights, [line.text for line in lines], fontsize=9)
    for text, line in zip(axes.get_yticklabels(), lines, strict=True):
        text.set_fontweight("bold" if line.bold else "normal")
    axes.set_ylim(min(heights) - 0.8, max(heights) + 0.8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=SMALL)


def _with_legend(panels: Sequence[Axes]) -> Figure:
    """Return the panels' figure with the names of all their lines, each once, below it."""
    named = {
        str(line.get_label()): line
        for axes in panels
        for line in axes.get_lines()
        if not str(line.get_label()).startswith("_")
    }
    figure = figure_of(panels[0])
    figure.legend(
        list(named.values()),
        list(named),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=9,
    )
    return figure
