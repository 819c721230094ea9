"""What notebooks show: figures on axes, and results as HTML that loads nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import scoremachines as sm
from scoremachines.io.pictures import mosaic, to_bytes
from scoremachines.metrics.attribution import attribute
from scoremachines.metrics.memorisation import calibrate_memorisation
from scoremachines.report import display
from scoremachines.sampling.result import SHOWN, Result
from support.places import ROOT

NOTEBOOK = ROOT / "docs" / "explorer.ipynb"


def painted(channels: int = 3, n: int = 2) -> Result:
    generator = torch.Generator().manual_seed(0)
    images = 2 * torch.rand(11, channels, 5, 7, generator=generator) - 1
    names = [f"<b>{number}</b>.png" for number in range(11)]
    return sm.sample(sm.els(sm.TrainingSet(images, names=names), 3), n=n, steps=2)


def shown(axes: Axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def test_helpers_draw_on_the_axes_that_they_are_given() -> None:
    result = painted()
    curve = attribute(result.images[0], result.data, [3, None])
    figure = Figure()
    row = figure.subplots(1, 7)
    drawn = [
        display.show_samples(result, row[0]),
        display.show_image(result.images[1], row[1], "one"),
        display.show_map(result, 1, row[2]),
        display.show_entropy(result, 1, row[3]),
        display.show_source(result, 1, 2, 3, row[4], window=3),
        display.show_nearest_map(curve[0], row[5]),
        display.show_explained(curve, calibrate_memorisation(result.data), row[6]),
    ]
    assert all(one is other for one, other in zip(drawn, row, strict=True))
    assert np.array_equal(shown(row[1]), to_bytes(result.images[1]).movedim(0, -1).numpy())
    posterior = result.posterior
    assert posterior is not None
    assert posterior.sources is not None
    assert posterior.entropy is not None
    assert np.allclose(shown(row[3]), posterior.entropy[1].numpy())
    expected = mosaic(
        posterior.sources.image[1], posterior.sources.position[1], posterior.weights[1]
    )
    assert np.array_equal(shown(row[2]), np.asarray(expected))
    source = int(posterior.sources.image[1, 0, 2, 3])
    assert np.array_equal(
        shown(row[4]), to_bytes(result.data.images[source]).movedim(0, -1).numpy()
    )
    assert f"% from <b>{source}</b>.png" in row[4].get_title()
    assert len(row[4].patches) == 4
    figure.canvas.draw()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_helpers_make_a_figure_of_their_own(channels: int) -> None:
    result = painted(channels)
    axes = display.show_image(result.images[0])
    assert isinstance(axes.figure, Figure)
    assert isinstance(display.show_samples(result), Axes)
    assert isinstance(display.show_map(result), Axes)


def test_helpers_refuse_what_is_not_there() -> None:
    result = painted()
    for call in (
        lambda: display.show_map(result, 2),
        lambda: display.show_entropy(result, -1),
        lambda: display.show_source(result, 0, 5, 0),
        lambda: display.show_source(result, 0, 0, 0, rank=4),
        lambda: display.show_map(Result(result.images, result.data)),
    ):
        with pytest.raises(sm.InputError, match="Accepted"):
            call()


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_result_shows_its_samples_and_their_sources() -> None:
    html = painted(n=SHOWN + 1)._repr_html_()
    images = [attributes for tag, attributes in Tags(html).found if tag == "img"]
    assert len(images) == 2
    for image in images:
        assert image["src"] is not None
        assert image["src"].startswith("data:image/png;base64,")
        assert image["alt"]
    assert "the first 16 shown" in html
    assert not re.search(r"<script|https?://", html)
    assert Result(painted().images, painted().data)._repr_html_().count("<img") == 1


def test_a_machine_shows_its_choices_and_training_images() -> None:
    data = sm.TrainingSet(painted().data.pixels, name="<i>x</i>")
    html = sm.ScoreMachine(data, 3, "boundary", "tiled")._repr_html_()
    assert "window=3, sources=boundary, attention=tiled" in html
    assert "&lt;i&gt;x" in html
    assert html.count("<img") == 1


def test_the_notebook_was_executed_to_its_end() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [each for each in outputs if each["output_type"] == "error"]
    kinds = {kind for each in outputs for kind in each.get("data", {})}
    assert {"image/png", "text/html"} <= kinds
    assert NOTEBOOK.stat().st_size < 1_500_000


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
