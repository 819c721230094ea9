"""A comparison in a folder: numbers, images, figures, and one page that holds them all."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from scoremachines.errors import InputError
from scoremachines.io.pictures import labelled_rows, to_data_uri
from scoremachines.io.plots import density, save_figure, scatter
from scoremachines.io.sealed import write_json, write_tensors
from scoremachines.metrics.agreement import Summary
from scoremachines.report import Page, fill_template, write_html
from scoremachines.runs.record import run_key
from scoremachines.sampling.result import save_picture

__all__ = ["save_comparison"]

SHOWN = 16
"""How many seeds are shown as pictures."""
PANELS = 6
"""How many machines a figure of pixels shows."""


class Drawn(NamedTuple):
    """A figure in the page."""

    uri: str
    alt: str
    caption: str


def save_comparison(comparison: Any, folder: Path, command: str = "") -> Path:
    """Write a comparison into a folder; see `Comparison.save`.

    Args:
        comparison: a `Comparison`.
        folder: made if it is missing.
        command: the line that makes it again, for the page.

    Returns:
        The page.

    Raises:
        InputError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError("output", folder, "a folder to write to", str(error)) from None
    tensors = {f"machine {name}": each.clone() for name, each in comparison.machines.items()}
    about, images = dict(comparison.about), {"network": comparison.network, **tensors}
    write_tensors(folder / "images.safetensors", images, {"run": run_key(about)})
    content = {
        "about": about,
        "without_attention": comparison.without,
        "rows": [_plain(row) for row in comparison.rows],
    }
    write_json(folder / "compare.json", content)
    rows = {"network": comparison.network, **comparison.machines}
    pairs = labelled_rows({name: images[:SHOWN] for name, images in rows.items()})
    save_picture(pairs, folder / "pairs.png")
    figures = _figures(comparison, folder)
    n = len(comparison.network)
    page = Page(
        title="A network and its machines",
        lead=f"{n} images of a trained network, and what machines in closed form make of the same "
        "noise.",
        sections=(),
        settings=json.dumps(dict(comparison.about), indent=1, ensure_ascii=False),
        command=command,
    )
    html = fill_template(
        "comparison.html",
        page=page,
        n=n,
        rows=comparison.rows,
        without=comparison.without,
        pairs=to_data_uri(pairs),
        figures=figures,
    )
    return write_html(html, folder / "report.html")


def _plain(row: Any) -> dict[str, Any]:
    """Return a row as JSON takes it: None for NaN."""
    return {
        "machine": row.machine,
        **{name: _numbers(summary) for name, summary in row.summaries().items()},
        "lead": None if row.lead is None else _numbers(row.lead),
        "by_seed": {
            name: [None if math.isnan(value) else value for value in getattr(row, name)]
            for name in ("r", "r2", "determination")
        },
    }


def _numbers(summary: Summary) -> dict[str, float | None]:
    numbers = asdict(summary)
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}


def _figures(comparison: Any, folder: Path) -> list[Drawn]:
    drawn = []
    rows = {row.machine: row for row in comparison.rows}
    base = "ideal" if "ideal" in rows else comparison.without
    others = {name: row for name, row in rows.items() if name != base}
    if base is not None and others:
        figure = scatter(
            {name: (rows[base].r, row.r) for name, row in others.items()},
            f"Pearson r, network and {base}",
            "Pearson r, network and machine",
        )
        caption = (
            f"Each point is a seed: Pearson's r (not r2) of the network's image with that of a "
            f"machine, against that with {base}. Above the diagonal the machine is the better "
            "prediction."
        )
        drawn.append(_drawn(save_figure(figure, folder / "scatter.png"), caption))
    truth = comparison.network.flatten().numpy()
    figure = density(
        {
            name: (truth, images.flatten().numpy())
            for name, images in list(comparison.machines.items())[:PANELS]
        },
        "network's value",
        "machine's value",
    )
    caption = (
        "Each pair of values of the same pixel, channel and seed; darker means more often, on a "
        "logarithmic scale."
    )
    if len(comparison.machines) > PANELS:
        caption += f" The first {PANELS} machines."
    return [*drawn, _drawn(save_figure(figure, folder / "pixels.png"), caption)]


def _drawn(path: Path, caption: str) -> Drawn:
    with Image.open(path) as picture:
        return Drawn(to_data_uri(picture.convert("RGB")), path.stem, caption)
