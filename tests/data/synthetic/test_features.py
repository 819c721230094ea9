"""Images that no generator made: which components count as features, and which spoil an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from scoremachines.data.synthetic.shapes import ShapesConfig
from scoremachines.data.synthetic.shapes_config import PALETTE
from support.crafted import CONFIG, judge_of, noisy

TWO = (("red", 2, 3, 4, 4), ("red", 9, 11, 4, 4))


def painted(*rectangles: tuple[str, int, int, int, int]) -> Tensor:
    """One image of CONFIG's size with rectangles: colour, top, left, height, width (wrapped)."""
    image = torch.full((1, 3, 18, 20), -1.0)
    for colour, top, left, height, width in rectangles:
        rows, columns = torch.arange(top, top + height) % 18, torch.arange(left, left + width) % 20
        image[0][:, rows[:, None], columns] = torch.tensor(PALETTE[colour])[:, None, None].float()
    return image


def validity(*rectangles: tuple[str, int, int, int, int]) -> bool:
    return bool(judge_of(CONFIG)(painted(*rectangles)).valid)


def test_two_features_make_a_valid_image() -> None:
    verdicts = judge_of(CONFIG)(painted(*TWO))
    assert (verdicts.valid.item(), verdicts.consistent.item(), verdicts.found.item()) == (1, 1, 2)
    assert verdicts.chance() == pytest.approx(1 / 3)
    verdicts = judge_of(CONFIG)(painted(TWO[0], ("blue", 9, 11, 4, 4)))
    assert (verdicts.valid.item(), verdicts.consistent.item(), verdicts.found.item()) == (1, 0, 2)


def test_one_feature_or_none_is_not_valid() -> None:
    assert not validity()
    assert not validity(TWO[0])


@pytest.mark.parametrize(
    "spoilt",
    [
        ("red", 9, 2, 4, 2),  # half a feature
        ("red", 9, 2, 4, 8),  # two of one colour, merged
        ("green", 6, 7, 4, 4),  # touches another colour at a corner
        ("yellow", 13, 1, 4, 4),  # a colour that the set lacks
        ("red", 13, 0, 4, 20),  # around the torus
        ("red", 13, 1, 1, 3),  # a fragment
    ],
)
def test_one_component_out_of_place_spoils_the_image(
    spoilt: tuple[str, int, int, int, int],
) -> None:
    assert validity(*TWO)
    assert not validity(*TWO, spoilt)


@pytest.mark.parametrize("height", [3, 4, 5])
@pytest.mark.parametrize("width", [3, 4, 5])
def test_squares_of_nearly_the_right_size_count_where_colour_matters(
    height: int, width: int
) -> None:
    assert validity(*TWO, ("blue", 12, 2, height, width))


def test_squares_of_the_wrong_size_do_not_count_where_shape_matters() -> None:
    judge = judge_of(replace(CONFIG, shared="shape"))
    assert judge(painted(*TWO, ("red", 12, 2, 4, 4))).valid
    assert not judge(painted(*TWO, ("red", 12, 2, 4, 3))).valid
    assert not judge(painted(*TWO, ("red", 12, 2, 5, 5))).valid


def test_a_feature_across_the_border_is_whole() -> None:
    judge, across = judge_of(CONFIG), painted(("red", 16, 18, 4, 4), ("red", 7, 7, 4, 4))
    assert judge(across).consistent
    assert judge.features(across[0])[0].box == (16, 18, 4, 4)
    assert judge.features(across[0])[0].centre == (17.5, 19.5)
    across[:, :, :2, :2] = -1
    assert judge(across).valid
    across[:, :, :2] = -1
    assert not judge(across).valid


def test_unrecognised_components_are_described_but_not_named() -> None:
    half, long = judge_of(CONFIG).features(painted(("red", 2, 3, 4, 2), ("red", 9, 1, 1, 12))[0])
    assert (half.box, half.distance) == ((2, 3, 4, 2), 8)
    assert (long.box, long.distance) == ((9, 1, 1, 12), float("inf"))
    for feature in (half, long):
        assert feature.value is feature.shape is feature.colour is feature.orientation is None


def test_specks_do_not_matter() -> None:
    assert validity(*TWO, ("green", 14, 2, 1, 2), ("cyan", 2, 14, 1, 1))


def test_smeared_colours() -> None:
    """Towards the background a colour holds up to half way; half way to another it is foreign."""
    judge, image = judge_of(CONFIG), painted(*TWO)
    for weight, valid in ((0.6, True), (0.4, False)):
        assert judge(-1 + weight * (image + 1)).valid.item() is valid
    mixed = (painted(*TWO) + painted(*(("green", *place) for _, *place in TWO))) / 2
    assert not judge(mixed).valid


@pytest.mark.parametrize("config", [ShapesConfig(), ShapesConfig(shared="shape", background=1.0)])
def test_blank_noise_and_blobs_are_not_valid(config: ShapesConfig) -> None:
    judge, random = judge_of(config), np.random.default_rng(0)
    blank = torch.full((1, 3, 16, 16), config.background)
    noise = torch.from_numpy(random.uniform(-1, 1, (40, 3, 16, 16)))
    fields = gaussian_filter(random.normal(size=(40, 3, 16, 16)), (0, 0, 2, 2), mode="wrap")
    blobs = torch.from_numpy(np.sign(fields))
    for images in (blank, noisy(blank, 1), noise, 3 * noise, blobs):
        assert not judge(images).valid.any()
        assert not judge(images).creative.any()


def test_numbers_that_are_none_are_foreign() -> None:
    image = painted(*TWO)
    image[:, 1, 12:16, 2:6] = float("nan")
    verdicts = judge_of(CONFIG)(torch.cat([image, torch.full_like(image, float("inf"))]))
    assert verdicts.valid.tolist() == [False, False]
    assert verdicts.found.tolist() == [2, 0]
