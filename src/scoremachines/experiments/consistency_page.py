"""The experiment in a folder: findings, figures, samples, and one page with all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from scoremachines.experiments import summary_text as sentences
from scoremachines.experiments.figures import (
    PAPER,
    agreement_figure,
    curve_figure,
    rates_figure,
    sweeps_figure,
)
from scoremachines.experiments.results import Agreement, Findings
from scoremachines.experiments.roles import Candidate, Role
from scoremachines.io.pictures import grid, labelled_rows, to_data_uri
from scoremachines.io.plots import save_figure
from scoremachines.io.sealed import write_json
from scoremachines.report import Page, fill_template, write_html
from scoremachines.sampling.result import save_picture

__all__ = ["write_consistency_page"]

INCH = 100
"""Pixels of the page that an inch of a figure takes; figures are stored finer."""


class Drawn(NamedTuple):
    """A picture in the page, with its size on the screen in pixels."""

    uri: str
    width: int
    height: int


class Strip(NamedTuple):
    """Samples of one model, side by side."""

    name: str
    is_network: bool
    picture: Drawn


class Group(NamedTuple):
    """A network's agreement with its machines, and the one that the others are set against."""

    network: Role
    without: Candidate | None
    rows: list[Agreement]


def write_consistency_page(
    findings: Findings,
    pictures: Mapping[Role | Candidate, Tensor],
    curves: Mapping[Role, Sequence[Mapping[str, float]]],
    training_images: Tensor,
    folder: Path,
    command: str,
    settings_text: str,
) -> Path:
    """Write `findings.json`, the figures, `samples.png` and `report.html`, each whole or not.

    Args:
        findings: what to show.
        pictures: a few samples `[m, C, H, W]` of each model. Samples of the same place started
            from the same noise.
        curves: agreement against training steps of each network (`networks.read_curve`).
        training_images: some of them, `[m, C, H, W]`.
        folder: which exists.
        command: the line that makes everything again.
        settings_text: settings as YAML.

    Returns:
        The page.

    Raises:
        InputError: a file cannot be written.
    """
    write_json(folder / "findings.json", findings.plain())
    if pictures:
        rows = {_strip_title(model): images for model, images in pictures.items()}
        save_picture(labelled_rows(rows), folder / "samples.png")
    figures = {name: _saved(figure, folder, name) for name, figure in _figures(findings, curves)}
    strips = [
        Strip(_strip_title(model), isinstance(model, Role), _row(images))
        for model, images in pictures.items()
    ]
    page = Page(
        title="Does attention make networks agree with themselves?",
        lead="Trained networks without and with attention, and machines in closed form that "
        "should predict what they paint.",
        sections=(),
        settings=settings_text,
        command=command,
    )
    html = fill_template(
        "consistency.html",
        page=page,
        findings=findings,
        figures=figures,
        training=_row(training_images),
        size=" × ".join(map(str, training_images.shape[-2:])),
        network_strips=[each for each in strips if each.is_network],
        machine_strips=[each for each in strips if not each.is_network],
        together=[row for row in findings.networks if row.seed is None],
        seeds=[row for row in findings.networks if row.seed is not None],
        machines=sentences.compared(findings),
        agreements=_groups(findings.agreements),
        real=_groups(findings.real),
        curves={role: points for role, points in curves.items() if points},
        paper={role.head: rate for role, rate in PAPER.items()},
        sentences=sentences,
    )
    return write_html(html, folder / "report.html")


def _figures(
    findings: Findings, curves: Mapping[Role, Sequence[Mapping[str, float]]]
) -> Iterator[tuple[str, Figure]]:
    """Return those figures that there is something to show in, by name."""
    if findings.networks or findings.machines:
        yield "rates", rates_figure(findings)
    if findings.agreements:
        yield "agreement", agreement_figure(findings.agreements)
    if any(curves.values()):
        yield "curves", curve_figure(curves)
    if findings.sweeps:
        yield "sweeps", sweeps_figure(findings.sweeps)
    if findings.real:
        yield "real", agreement_figure(findings.real)


def _saved(figure: Figure, folder: Path, name: str) -> Drawn:
    width, height = (round(INCH * side) for side in figure.get_size_inches())
    with Image.open(save_figure(figure, folder / f"{name}.png")) as picture:
        return Drawn(to_data_uri(picture.convert("RGB")), width, height)


def _strip_title(model: Role | Candidate) -> str:
    return f"network {model.title}" if isinstance(model, Role) else model.title


def _row(images: Tensor) -> Drawn:
    picture = grid(images, len(images))
    return Drawn(to_data_uri(picture), picture.width, picture.height)


def _groups(agreements: Sequence[Agreement]) -> list[Group]:
    groups = {
        network: [each for each in agreements if each.network == network]
        for network in dict.fromkeys(each.network for each in agreements)
    }
    return [
        Group(network, sentences.without_attention(rows), rows) for network, rows in groups.items()
    ]
