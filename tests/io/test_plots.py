"""Figures: drawn without a screen, written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scoremachines.errors import InputError
from scoremachines.io.plots import axes_side_by_side, density, save_figure, scatter


def test_a_scatter_shows_every_series_and_names_its_axes(tmp_path: Path) -> None:
    points = {"els": ([0.1, 0.2, 0.3], [0.5, 0.9, 0.7]), "full": ([0.4], [0.2])}
    figure = scatter(points, "r with IS", "r with the machine", "by seed")
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("r with IS", "r with the machine")
    drawn = {str(each.get_label()): np.asarray(each.get_offsets()) for each in axes.collections}
    for name, (across, up) in points.items():
        np.testing.assert_array_equal(drawn[name], np.stack([across, up], -1))
    path = save_figure(figure, tmp_path / "scatter.png")
    with Image.open(path) as picture:
        colours = {colour[:3] for _, colour in picture.convert("RGB").getcolors(2**20)}
        assert picture.width == round(6.2 * 160)
    assert len(colours) > 20
    assert [each.name for each in tmp_path.iterdir()] == ["scatter.png"]


def test_a_density_counts_every_pair(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=500), draw.normal(size=500)
    figure = density({"els": values, "full": (values[0], values[0])}, "network", "machine")
    assert [axes.get_title() for axes in figure.axes] == ["els", "full"]
    for axes in figure.axes:
        assert np.asarray(axes.collections[0].get_array()).sum() == 500
    save_figure(figure, tmp_path / "density.png")
    assert (tmp_path / "density.png").stat().st_size > 1000


def test_axes_stand_in_one_figure() -> None:
    row = axes_side_by_side(3)
    assert len(row) == 3
    assert len({id(axes.figure) for axes in row}) == 1


def test_a_figure_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="output"):
        save_figure(axes_side_by_side(1)[0].figure, tmp_path / "missing" / "figure.png")
