"""Crafted sets: what is on the images, who depends on what, and which settings are refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import combinations, product
from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from scoremachines.data.synthetic.features import FeatureFinder
from scoremachines.data.synthetic.shapes import ShapesConfig, arrange, make_shapes
from scoremachines.data.synthetic.shapes_config import PALETTE, SHAPES, wrong_pixels
from scoremachines.errors import InputError
from support.crafted import configs


@settings(max_examples=40, deadline=None)
@given(configs())
def test_images_hold_the_features_of_their_arrangement_and_nothing_else(
    config: ShapesConfig,
) -> None:
    data = make_shapes(config)
    assert data.images.shape == (config.n, 3, config.height, config.width)
    assert data.classes == config.classes
    for index, image in enumerate(data.images):
        expected = torch.full_like(image, config.background)
        for value, top, left in arrange(config, index):
            assert value == data.labels[index]
            prototype = config.prototypes[value]
            colour = torch.tensor(PALETTE[prototype.colour], dtype=image.dtype)
            for row, column in prototype.mask:
                expected[:, top + row, left + column] = colour
        assert torch.equal(image, expected)


@settings(max_examples=80, deadline=None)
@given(configs() | configs(slack=0), st.integers(0, 10**6))
def test_features_keep_their_distance(config: ShapesConfig, index: int) -> None:
    places = [corner for _, *corner in arrange(config, index)]
    assert len(places) == config.features
    for place in places:
        for start, side in zip(place, (config.height, config.width), strict=True):
            assert config.border <= start <= side - config.border - config.feature_size
    for one, other in combinations(places, 2):
        gap = max(abs(a - b) for a, b in zip(one, other, strict=True)) - config.feature_size
        assert gap >= config.spacing


def test_every_layout_is_equally_likely() -> None:
    config = ShapesConfig(size=(7, 8), features=2, feature_size=2, spacing=1)
    corners = list(product(range(1, 5), range(1, 6)))
    apart = [
        frozenset(pair)
        for pair in combinations(corners, 2)
        if max(abs(a - b) for a, b in zip(*pair, strict=True)) >= 3
    ]
    counts = dict.fromkeys(apart, 0)
    for index in range(30 * len(apart)):
        counts[frozenset((top, left) for _, top, left in arrange(config, index))] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-3


@settings(max_examples=20, deadline=None)
@given(configs(), st.integers(1, 10))
def test_a_larger_set_begins_with_the_smaller(config: ShapesConfig, n: int) -> None:
    small, large = make_shapes(replace(config, n=n)), make_shapes(config)
    assert torch.equal(small.images, large.images[:n])
    assert torch.equal(small.labels, large.labels[:n])
    assert torch.equal(make_shapes(config).images, large.images)


def test_another_seed_makes_other_images() -> None:
    one, other = (make_shapes(ShapesConfig(n=50, seed=seed)).images for seed in (0, 1))
    assert sum(torch.equal(*pair) for pair in zip(one, other, strict=True)) <= 1


def test_all_values_occur_about_equally_often() -> None:
    labels = make_shapes(ShapesConfig(n=300, values=4)).labels
    assert chisquare(labels.bincount(minlength=4).tolist()).pvalue > 1e-3


@settings(deadline=None)
@given(configs())
def test_prototypes_of_two_values_are_apart(config: ShapesConfig) -> None:
    assert config.separation >= 3
    for one, other in combinations(config.prototypes, 2):
        assert wrong_pixels(one, other) == wrong_pixels(other, one) >= config.separation
    assert all(wrong_pixels(each, each) == 0 for each in config.prototypes)


@pytest.mark.parametrize("size", range(2, 12))
def test_shapes_fill_their_box_from_its_first_row_and_column(size: int) -> None:
    for rules in SHAPES.values():
        for inside in rules.values():
            cells = [
                (row, column)
                for row, column in product(range(size), repeat=2)
                if inside(row, column, size - 1)
            ]
            assert min(row for row, _ in cells) == min(column for _, column in cells) == 0
            assert max(row for row, _ in cells) >= size - 2
            assert max(column for _, column in cells) >= size - 2


def test_small_prototypes_look_as_they_should() -> None:
    def drawing(shape: str, orientation: str | None, size: int) -> list[str]:
        inside = SHAPES[shape][orientation]
        return [
            "".join(".#"[inside(row, column, size - 1)] for column in range(size))
            for row in range(size)
        ]

    assert drawing("disc", None, 3) == [".#.", "###", ".#."]
    assert drawing("disc", None, 4) == [".##.", "####", "####", ".##."]
    assert drawing("triangle", "lower-left", 3) == ["#..", "##.", "###"]
    assert drawing("triangle", "upper-right", 3) == ["###", ".##", "..#"]
    assert drawing("stripes", "horizontal", 3) == ["###", "...", "###"]
    assert drawing("stripes", "falling", 5) == ["#..#.", ".#..#", "..#..", "#..#.", ".#..#"]
    assert drawing("stripes", "rising", 4) == ["...#", "..#.", ".#..", "#..."]


@pytest.mark.parametrize("background", [step / 10 for step in range(-10, 11)])
def test_seven_colours_stand_out_on_every_background(background: float) -> None:
    config = ShapesConfig(values=7, background=background)
    levels = FeatureFinder(config).levels.tolist()
    gaps = [
        sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) for pair in combinations(levels, 2)
    ]
    assert len(gaps) == 28
    assert min(gaps) >= 1.6**2


BAD: list[tuple[str, dict[str, Any]]] = [
    ("size", {"size": 0}),
    ("size", {"size": (16,)}),
    ("size", {"size": (16, 16, 3)}),
    ("size", {"size": 16.0}),
    ("size", {"size": True}),
    ("n", {"n": 0}),
    ("features", {"features": 1}),
    ("features", {"features": 5, "size": 12}),
    ("features", {"size": (16, 3)}),
    ("feature_size", {"feature_size": 1}),
    ("feature_size", {"feature_size": 2, "shared": "shape"}),
    ("feature_size", {"feature_size": 2, "shared": "orientation", "feature": "stripes"}),
    ("feature", {"feature": "star"}),
    ("feature", {"feature": "disc", "shared": "orientation"}),
    ("shared", {"shared": "size"}),
    ("values", {"values": 1}),
    ("values", {"values": 8}),
    ("values", {"values": 5, "shared": "shape"}),
    ("spacing", {"spacing": 0}),
    ("spacing", {"spacing": 1, "feature": "stripes"}),
    ("background", {"background": 1.5}),
    ("background", {"background": float("nan")}),
    ("background", {"background": "black"}),
    ("seed", {"seed": -1}),
]


@pytest.mark.parametrize(("argument", "knobs"), BAD)
def test_impossible_settings_are_refused_in_one_line(argument: str, knobs: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        ShapesConfig(**knobs)
    assert caught.value.argument == argument
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", range(4, 13))
@pytest.mark.parametrize(("feature_size", "spacing"), [(2, 1), (3, 1), (2, 3)])
def test_as_many_features_are_accepted_as_fit(side: int, feature_size: int, spacing: int) -> None:
    shape = (side, side + 3)
    border, step = (spacing + 1) // 2, feature_size + spacing
    fit = prod(max(0, each - 2 * border + spacing) // step for each in shape)
    knobs: dict[str, Any] = {"size": shape, "feature_size": feature_size, "spacing": spacing}
    if fit >= 2:
        assert len(arrange(ShapesConfig(features=fit, **knobs), 0)) == fit
    with pytest.raises(InputError, match="features"):
        ShapesConfig(features=max(fit + 1, 2), **knobs)


def test_a_list_stands_for_height_and_width() -> None:
    config = ShapesConfig(size=[14, 18])  # type: ignore[arg-type]
    assert (config.size, config.height, config.width) == ((14, 18), 14, 18)
    assert hash(config) == hash(ShapesConfig(size=(14, 18)))


def test_settings_load_without_torch_and_numpy() -> None:
    program = (
        "import sys, scoremachines.data.synthetic.shapes_config as settings; "
        "settings.ShapesConfig(); print({'torch', 'numpy', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
