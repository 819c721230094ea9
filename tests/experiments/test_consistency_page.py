"""The experiment's figures and page show its findings, and nothing that is not in them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from scoremachines.experiments import summary_text as sentences
from scoremachines.experiments.consistency_page import write_consistency_page
from scoremachines.experiments.figures import (
    PAPER,
    agreement_figure,
    curve_figure,
    rates_figure,
    sweeps_figure,
)
from scoremachines.experiments.networks import CIRCULAR, CNN, ROLES, SOFT
from scoremachines.experiments.plan import CLOSED, SHARED
from scoremachines.experiments.results import Agreement, Findings, Order, Point
from scoremachines.experiments.roles import Candidate, Role, colour
from scoremachines.io.sealed import read_json
from scoremachines.metrics.agreement import Summary
from scoremachines.theory.specs import MachineSpec
from support.documents import Reader
from support.rates import row

TOP1 = Role("top1")
NONE, TILED, IDEAL = Candidate.of("none"), Candidate.of("tiled"), Candidate.of("ideal")
BY_CLASS, MEASURED = Candidate.of("tiled-class"), Candidate.of("measured", SOFT)
COUNTS = {CNN: (4, 5, 3), TOP1: (8, 9, 7), SOFT: (30, 24, 33), CIRCULAR: (4,)}
MACHINES = {
    NONE: 6,
    Candidate.of("top1-class"): 20,
    MEASURED: 27,
    Candidate.of("none", sources="inside"): 5,
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


@pytest.fixture(scope="module")
def findings() -> Findings:
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
    round_ = Candidate.of("none", sources="wrapped")
    assert round_.models == CIRCULAR
    for role in ROLES:
        measured = Candidate.of("measured-class", role)
        assert measured.models == role
        assert (measured.name, measured.title) == ("measured-class", f"measured-class ({role})")
        assert colour(measured) == colour(role)
    assert round_.name == round_.title == "none (wrapped)"
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
        "none (inside)",
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


def test_sentences_say_what_the_numbers_say(findings: Findings) -> None:
    said = " ".join(sentences.network_sentences(findings))
    assert "most consistent network is soft: 72.5 % of all its samples and 94.6 %" in said
    assert "CNN only: 10.0 % of all samples, chance 10.0 %, which the interval contains." in said
    assert "Top-1: 20.0 % of all samples, not above the paper's 21.64 %" in said
    unsure, sure = (sentences.order_sentence(test) for test in findings.orders)
    assert unsure == "top-1 is not shown to be above CNN only"
    assert sure == "soft is above CNN only, as trained here and over training seeds"
    only = sentences.order_sentence(Order(SOFT, CNN, 0.001, math.nan))
    assert only == "soft is above CNN only as trained here, but not shown to be so over seeds"
    assert sentences.machine_sentences(findings) == [
        "Of 4 machines that stand for a network, 3 are within 10 points of its consistency: "
        "none, measured (soft), none (inside)."
    ]
    cnn, soft = sentences.agreement_sentences(findings.agreements)
    assert cnn == "CNN only: none agrees best, median r = 0.931 (r2 = 0.867)."
    assert "measured (soft) agrees best" in soft
    assert "above none by 0.160 (0.140 to 0.190) on the same seeds" in soft
    assert [sentences.p_value(p) for p in (math.nan, 1e-5, 0.00994, 0.0104, 0.4)] == [
        "–", "< 0.0001", "0.0099", "0.0104", "0.40",
    ]  # fmt: skip


def test_measured_machines_stand_beside_the_training_whose_maps_they_use(
    findings: Findings,
) -> None:
    pairs = {str(each.machine.model): each for each in sentences.compared(findings)}
    measured, closed = pairs["measured (soft)"], pairs["none"]
    assert measured.network is not None
    assert closed.network is not None
    assert (measured.network.model, measured.network.seed) == (SOFT, 0)
    assert (closed.network.model, closed.network.seed) == (CNN, None)
    assert measured.difference == pytest.approx(100 * (27 - 30) / 40)
    assert not pairs["top1-class"].is_close
    assert pairs["full"].network is None
    assert not pairs["full"].is_close


@pytest.fixture(scope="module")
def folder(findings: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the page of the findings was written to."""
    draw = torch.Generator().manual_seed(0)
    models = [CNN, SOFT, NONE, MEASURED]
    pictures = {each: torch.rand(4, 3, 5, 7, generator=draw) * 2 - 1 for each in models}
    training = torch.rand(6, 3, 5, 7, generator=draw) * 2 - 1
    command, settings = "scoremachines consistency --preset quick", "preset: quick\n"
    made = tmp_path_factory.mktemp("consistency")
    page = write_consistency_page(findings, pictures, CURVES, training, made, command, settings)
    assert page == made / "report.html"
    return made


def tables(document: str) -> Iterator[list[list[str]]]:
    """Return the cells of each table's body as text."""
    for body in re.findall(r"<tbody>(.*?)</tbody>", document, re.DOTALL):
        yield [
            [
                " ".join(unescape(re.sub("<[^>]*>", " ", cell)).split())
                for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL)
            ]
            for line in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
        ]


def test_tables_hold_the_findings(findings: Findings, folder: Path) -> None:
    networks, seeds, orders, machines, cnn, soft, sweeps, real = tables(
        (folder / "report.html").read_text(encoding="utf-8").replace("\xa0", " ")
    )
    assert [line[0] for line in networks] == ["CNN only", "top-1", "soft", "CNN, circular"]
    assert networks[2][1:3] == [
        "76.7 % 68.3 to 83.3 % 92 of 120",
        "72.5 % 63.9 to 79.7 % 87 of 120 chance 10.0 %",
    ]
    rows = [each for each in findings.networks if each.seed is not None]
    assert [line[0] for line in seeds][-2:] == ["soft, seed 2", "CNN, circular, seed 0"]
    assert [line[2].split(" of ")[0].split()[-1] for line in seeds] == [
        str(each.consistent.successes) for each in rows
    ]
    assert orders[0][1:3] == ["0.0300", "–"]
    assert orders[1][1:3] == ["< 0.0001", "0.0040"]
    assert {line[0]: line[-1] for line in machines} == {
        "none": "CNN only 10.0 % +5.0 points ✓ within 10 points",
        "top1-class": "top-1 20.0 % +30.0 points ✗ not within 10 points",
        "measured (soft)": "soft, seed 0 75.0 % −7.5 points ✓ within 10 points",
        "none (inside)": "CNN, circular 10.0 % +2.5 points ✓ within 10 points",
        "full": "–",
    }
    assert cnn[1] == ["none", "0.931 0.911 to 0.961", "0.867 0.847 to 0.897", "–", "12"]
    assert soft[1][3] == "0.014 −0.006 to 0.044"
    assert [line[0] for line in sweeps][:3] == ["steps 5", "steps 5", "steps 10"]
    assert len(sweeps) == len(findings.sweeps)
    assert real[1][1] == "0.250 0.230 to 0.280"


def test_the_page_is_whole_and_needs_nothing_else(findings: Findings, folder: Path) -> None:
    document = (folder / "report.html").read_text(encoding="utf-8")
    reader = Reader(document)
    names = {"findings.json", "report.html", "samples.png"}
    names |= {f"{name}.png" for name in ("rates", "agreement", "curves", "sweeps", "real")}
    assert {path.name for path in folder.iterdir()} == names
    assert read_json(folder / "findings.json") == findings.plain()
    assert len(reader.all("img")) == 5 + 4 + 1
    for image in reader.all("img"):
        assert image["src"].startswith("data:image/png;base64,")
        assert image["alt"]
        assert int(image["width"]) > 0
    assert not re.search(r"@import|url\(|https?://|<script", document)
    assert len(reader.all("table")) == len(reader.all("caption")) == 8
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert set(levels) == {1, 2, 3}
    assert "scoremachines consistency --preset quick" in document
    assert "network CNN only" in document
    with Image.open(folder / "samples.png") as picture:
        assert picture.height > 4 * 5


def test_a_page_of_little_leaves_out_what_there_is_not(tmp_path: Path) -> None:
    networks = [row(CNN, None, 3), row(CNN, 0, 3)]
    findings = Findings(networks, [], [], [], [], [])
    images = torch.zeros(2, 3, 5, 7)
    page = write_consistency_page(findings, {CNN: images}, {}, images, tmp_path, "", "")
    document = page.read_text(encoding="utf-8")
    Reader(document)
    headings = re.findall(r"<h2>(.*?)</h2>", document)
    assert headings == [
        "The question", "The set", "Networks", "What differs from the paper, and what is our own",
    ]  # fmt: skip
