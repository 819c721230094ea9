"""The judge against the generator, whose images are of known truth, and against spoilt images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor

from scoremachines.data.synthetic.features import FeatureFinder
from scoremachines.data.synthetic.judge import Verdicts
from scoremachines.data.synthetic.shapes import ShapesConfig, arrange, make_shapes
from scoremachines.data.synthetic.shapes_config import PALETTE
from scoremachines.errors import InputError
from support.crafted import CONFIG, configs, judge_of, noisy

# The generator's own images ------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(configs())
def test_training_images_are_valid_consistent_and_not_novel(config: ShapesConfig) -> None:
    data, judge = make_shapes(config), judge_of(config)
    for images in (data.images, noisy(data.images, config.seed)):
        verdicts = judge(images)
        assert verdicts.valid.all()
        assert verdicts.consistent.all()
        assert not verdicts.novel.any()
        assert not verdicts.creative.any()
        assert verdicts.found.tolist() == [config.features] * config.n


@settings(max_examples=30, deadline=None)
@given(configs())
def test_features_are_those_that_were_painted(config: ShapesConfig) -> None:
    data, judge = make_shapes(config), judge_of(config)
    side = config.feature_size
    for index, image in enumerate(noisy(data.images, config.seed)):
        painted_features = sorted(arrange(config, index))
        features = judge.features(image)
        assert painted_features == sorted((each.value, *each.box[:2]) for each in features)
        for feature in features:
            prototype = config.prototypes[data.labels[index]]
            assert feature.box[2:] == (side, side)
            assert feature.centre == tuple(start + (side - 1) / 2 for start in feature.box[:2])
            assert (feature.shape, feature.colour) == (prototype.shape, prototype.colour)
            assert feature.orientation == prototype.orientation
            assert feature.distance <= 1


@settings(max_examples=20, deadline=None)
@given(configs(), st.booleans())
def test_shuffled_images_are_judged_by_what_was_painted(config: ShapesConfig, noise: bool) -> None:
    judge, n = judge_of(config), 2 * config.n
    images = judge.shuffled(n=n, seed=config.seed)
    truth = [painted_values(config, index, images[index]) for index in range(n)]
    verdicts = judge(noisy(images, config.seed) if noise else images)
    assert verdicts.valid.all()
    assert verdicts.consistent.tolist() == [len(set(values)) == 1 for values in truth]
    for image, values in zip(images, truth, strict=True):
        assert sorted(each.value for each in judge.features(image)) == sorted(values)


def painted_values(config: ShapesConfig, index: int, image: Tensor) -> list[int]:
    """Read off, pixel by pixel, the value at each place of the training image that lent them."""
    values = []
    for _, top, left in arrange(config, index % config.n):
        box = image[:, top : top + config.feature_size, left : left + config.feature_size]
        candidates = []
        for value, prototype in enumerate(config.prototypes):
            expected = torch.full_like(box, config.background)
            for row, column in prototype.mask:
                expected[:, row, column] = torch.tensor(PALETTE[prototype.colour]).float()
            if torch.equal(box, expected):
                candidates.append(value)
        values += candidates
        assert len(candidates) == 1
    return values


@pytest.mark.parametrize(
    ("features", "values", "shared"), [(2, 3, "colour"), (3, 2, "shape"), (3, 4, "orientation")]
)
def test_shuffled_images_are_consistent_at_the_chance_rate(
    features: int, values: int, shared: str
) -> None:
    config = ShapesConfig(
        n=40, features=features, values=values, shared=shared, feature="triangle"
    )
    verdicts, chance = judge_of(config)(judge_of(config).shuffled(n=600)), values ** (1 - features)
    assert verdicts.chance() == verdicts.chance(of_all=True) == pytest.approx(chance)
    low, high = binom.interval(0.999, 600, chance)
    assert low <= verdicts.rates()["consistent"].successes <= high


def test_shuffled_images_are_reproducible_and_independent_of_their_number() -> None:
    judge = judge_of(CONFIG)
    assert torch.equal(judge.shuffled(n=7, seed=3), judge.shuffled(n=40, seed=3)[:7])
    assert not torch.equal(judge.shuffled(n=7, seed=3), judge.shuffled(n=7, seed=4))
    assert judge.shuffled(n=0).shape == (0, 3, 18, 20)
    image = make_shapes(replace(CONFIG, features=2, n=1, seed=9)).images
    occupied = judge.shuffled(image, n=5).ne(-1).any(1)
    assert torch.equal(occupied, image.ne(-1).any(1).expand(5, -1, -1))
    with pytest.raises(InputError, match="images"):
        judge.shuffled(torch.empty(0, 3, 18, 20))


# Novelty -------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(configs(), st.integers(0, 30), st.integers(0, 30))
def test_shifted_images_get_the_verdict_of_the_unshifted(
    config: ShapesConfig, down: int, right: int
) -> None:
    data, judge = make_shapes(config), judge_of(config)
    for images in (data.images, judge.shuffled(n=9, seed=1), noisy(data.images, 5)):
        plain, shifted = judge(images), judge(images.roll((down, right), (2, 3)))
        for name in ("valid", "consistent", "novel", "creative", "found"):
            assert torch.equal(getattr(plain, name), getattr(shifted, name)), name


def test_fresh_images_are_nearly_all_novel() -> None:
    for config, least in ((ShapesConfig(), 0.9), (ShapesConfig(size=(30, 34), n=1000), 0.99)):
        fresh = make_shapes(replace(config, n=300, seed=1)).images
        verdicts = judge_of(config)(fresh)
        assert verdicts.novel.double().mean() >= least
        assert torch.equal(verdicts.creative, verdicts.novel)


def test_novelty_is_a_matter_of_values_and_relative_places() -> None:
    config = replace(CONFIG, n=1)
    judge, finder = judge_of(config), FeatureFinder(config)
    placements = arrange(config, 0)
    (value, top, left), rest = placements[0], placements[1:]
    assert not judge(finder.paint(reversed(placements))[None]).novel
    assert judge(finder.paint([((value + 1) % 3, top, left), *rest])[None]).novel
    assert judge(finder.paint(((value + 1) % 3, *place) for _, *place in placements)[None]).novel
    assert judge(finder.paint(rest)[None]).novel
    moved = [finder.paint([(value, top + step, left), *rest])[None] for step in (-1, 1)]
    assert all(judge(image).novel for image in moved)


# Verdicts ------------------------------------------------------------------------------------


def test_a_verdict_does_not_depend_on_its_neighbours() -> None:
    config = ShapesConfig(size=(130, 150), n=40, feature_size=5)
    judge = judge_of(config)
    images = torch.cat([judge.shuffled(n=10), make_shapes(replace(config, seed=1)).images])
    together = judge(images)
    for index in (0, 9, 10, 49):
        alone = judge(images[index : index + 1])
        for name in ("valid", "consistent", "novel", "found"):
            assert getattr(alone, name)[0] == getattr(together, name)[index]


def test_rates_and_chance_by_hand() -> None:
    verdicts = Verdicts(
        valid=torch.tensor([True, True, True, False, False]),
        consistent=torch.tensor([True, False, True, False, False]),
        novel=torch.tensor([True, True, False, True, True]),
        found=torch.tensor([2, 3, 3, 0, 4]),
        values=3,
    )
    assert verdicts.creative.tolist() == [True, False, False, False, False]
    counts = {name: (rate.successes, rate.n) for name, rate in verdicts.rates().items()}
    assert counts == {
        "valid": (3, 5),
        "consistent": (2, 5),
        "consistent_of_valid": (2, 3),
        "novel": (4, 5),
        "creative": (1, 5),
    }
    assert verdicts.chance() == pytest.approx((1 / 3 + 1 / 9 + 1 / 9) / 3)
    assert verdicts.chance(of_all=True) == pytest.approx((1 / 3 + 1 / 9 + 1 / 9) / 5)


def test_no_images_or_none_valid() -> None:
    none = judge_of(CONFIG)(torch.empty(0, 3, 18, 20))
    assert len(none.valid) == len(none.found) == none.rates()["valid"].n == 0
    assert np.isnan(none.chance())
    assert np.isnan(none.chance(of_all=True))
    invalid = judge_of(CONFIG)(torch.full((1, 3, 18, 20), -1.0))
    assert np.isnan(invalid.chance())
    assert invalid.chance(of_all=True) == 0


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 20, 18),
        torch.zeros(2, 1, 18, 20),
        torch.zeros(3, 18, 20),
        torch.zeros(2, 3, 18, 20, dtype=torch.uint8),
    ],
)
def test_images_of_another_size_or_kind_are_refused(images: Tensor) -> None:
    with pytest.raises(InputError, match="images"):
        judge_of(CONFIG)(images)
