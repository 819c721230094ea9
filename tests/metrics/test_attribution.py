"""What a training set explains of an image, and whether one of its images explains it whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.metrics.attribution import attribute, usual_windows
from scoremachines.metrics.memorisation import calibrate_memorisation, whole_match
from scoremachines.theory.positions import patches
from support.images import noise, smooth

HEIGHT, WIDTH = 9, 11


def random_data(n: int = 7, channels: int = 3) -> sm.TrainingSet:
    return sm.TrainingSet(noise(n, channels, HEIGHT, WIDTH))


def test_a_training_image_is_explained_at_every_window() -> None:
    data = random_data()
    for sources in ("aligned", "valid", "circular", "boundary"):
        curve = attribute(data.images[4], data, sources=sources)
        # An inside window does not wrap, but the image does, so its border is not found.
        if sources == "valid":
            continue
        assert [each.window for each in curve] == [3, 5, 7, 9, None]
        for each in curve:
            assert each.share == 1.0
            assert (each.image == 4).all()
            assert (each.distance == 0).all()
            assert each.largest == (4, 1.0)
        assert torch.equal(curve[0].position, torch.arange(HEIGHT * WIDTH).view(HEIGHT, WIDTH))


@pytest.mark.parametrize("sources", ["aligned", "valid", "circular", "boundary"])
def test_nearest_patches_are_those_of_a_search(sources: str) -> None:
    data, image = random_data(4), noise(3, HEIGHT, WIDTH, seed=9)
    (found,) = attribute(image, data, [3], sources)
    periodic = sources in ("valid", "circular")
    own = patches(image[None], 3, periodic)[0].double()
    theirs = torch.stack([patches(each[None], 3, periodic)[0].double() for each in data.images])
    rows, columns = np.divmod(np.arange(HEIGHT * WIDTH), WIDTH)
    for pixel in range(HEIGHT * WIDTH):
        apart = (theirs - own[pixel]).square().sum(-1)
        allowed = torch.zeros(HEIGHT * WIDTH, dtype=torch.bool)
        inner = (rows > 0) & (rows < HEIGHT - 1) & (columns > 0) & (columns < WIDTH - 1)
        if sources == "aligned":
            allowed[pixel] = True
        elif sources == "valid":
            allowed = torch.from_numpy(inner)
        elif sources == "circular":
            allowed[:] = True
        else:

            def edge(line: np.ndarray, size: int) -> np.ndarray:
                return np.where(line == 0, -1, np.where(line == size - 1, 1, 0))

            ways = [edge(rows, HEIGHT), edge(columns, WIDTH)]
            allowed = torch.from_numpy(np.logical_and.reduce([way == way[pixel] for way in ways]))
        apart[:, ~allowed] = torch.inf
        best = int(apart.argmin())
        assert int(found.image.flatten()[pixel]) == best // (HEIGHT * WIDTH)
        assert int(found.position.flatten()[pixel]) == best % (HEIGHT * WIDTH)


def test_the_curve_falls_where_the_pieces_end() -> None:
    """An image whose halves come from two training images is explained by patches, not whole."""
    data = sm.TrainingSet(smooth(8, seed=1))
    halves = torch.cat([data.images[2][..., :9], data.images[5][..., 9:]], -1)
    curve = attribute(halves, data, [1, 3, 7, None])
    values = [each.share for each in curve]
    assert values == sorted(values, reverse=True)
    assert values[0] == 1.0
    assert values[1] > 0.9 > values[-1]
    used = curve[1].image
    assert (used[:, :8] == 2).all()
    assert (used[:, 10:] == 5).all()


def test_windows_fit() -> None:
    assert usual_windows(8, 30) == (3, 5, 7, None)
    assert usual_windows(2, 2) == (None,)


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"image": noise(1, HEIGHT, WIDTH)}, "image"),
        ({"image": torch.full((3, HEIGHT, WIDTH), torch.nan)}, "image"),
        ({"windows": [4]}, "window"),
        ({"windows": [11]}, "window"),
        ({"sources": "elsewhere"}, "sources"),
    ],
)
def test_attribution_refuses(changes: dict[str, object], argument: str) -> None:
    known: dict[str, object] = {"image": noise(3, HEIGHT, WIDTH), "data": random_data()}
    with pytest.raises(InputError, match=f"^{argument}="):
        attribute(**(known | changes))  # type: ignore[arg-type]


# Memorisation ----------------------------------------------------------------------------------


def test_a_copy_is_explained_whole_and_its_move_is_found() -> None:
    data = sm.TrainingSet(smooth(9, seed=2))
    moved = torch.stack([data.images[3], data.images[6].roll((1, -1), (-2, -1))])
    match = whole_match(moved, data, shift=2)
    assert match.image.tolist() == [3, 6]
    assert match.move.tolist() == [[0, 0], [1, -1]]
    assert torch.allclose(match.share, torch.ones(2, dtype=torch.float64))
    assert whole_match(moved, data, shift=0).share[1] < 0.95


def test_the_score_is_its_formula() -> None:
    data, image = random_data(), noise(3, HEIGHT, WIDTH, seed=5)
    match = whole_match(image[None], data)
    apart = (data.images - image).square().sum((1, 2, 3)).double()
    contrast = (image - image.mean((1, 2), keepdim=True)).square().sum().double()
    assert float(match.share[0]) == pytest.approx(float(1 - apart.min() / contrast), abs=1e-6)
    assert int(match.image[0]) == int(apart.argmin())


def test_an_image_is_not_compared_with_itself_where_it_is_passed_over() -> None:
    data = random_data()
    match = whole_match(data.images[:3], data, own=torch.arange(3))
    assert (match.image != torch.arange(3)).all()
    assert (match.share < 0.9).all()


def test_an_image_without_contrast_is_explained_by_nothing() -> None:
    flat = torch.zeros(1, 3, HEIGHT, WIDTH)
    data = sm.TrainingSet(torch.cat([flat, noise(3, 3, HEIGHT, WIDTH)]))
    assert float(whole_match(flat, data).share[0]) == -torch.inf


@pytest.mark.parametrize("shift", [0, 1])
def test_the_rate_of_false_positives_is_kept(shift: int) -> None:
    data, held_out = sm.TrainingSet(smooth(300, seed=3)), smooth(800, seed=4)
    test = calibrate_memorisation(data, held_out, level=0.05, shift=shift, most=400)
    assert test.calibrated_on == test.false_positives.n == 200
    # 200 images that had no part in the choice, and 400 that were not even looked at.
    low, _ = test.false_positives.interval()
    assert low <= 0.05
    fresh = test.flags(whole_match(held_out[400:], data, shift)).float().mean()
    assert fresh <= 0.05 + 3 * (0.05 * 0.95 * (1 / 200 + 1 / 400)) ** 0.5
    assert test.flags(whole_match(data.images[:40], data, shift)).all()
    assert test.found.rate > 0.9


def test_without_held_out_images_the_training_images_stand_in() -> None:
    data = sm.TrainingSet(smooth(100, seed=6))
    test = calibrate_memorisation(data, level=0.01)
    assert test.calibrated_on == 50
    assert test.level == pytest.approx(1 / 51)
    assert test.false_positives.n == 50


def test_a_set_that_holds_everything_twice_has_no_threshold() -> None:
    images = smooth(10, seed=7)
    test = calibrate_memorisation(sm.TrainingSet(torch.cat([images, images])))
    assert test.threshold > 0.999
    assert test.found.rate < 0.5


@pytest.mark.parametrize(
    ("options", "argument"),
    [({"level": 0.0}, "level"), ({"level": 1.0}, "level"), ({"shift": -1}, "shift")],
)
def test_calibration_refuses(options: dict[str, float], argument: str) -> None:
    with pytest.raises(InputError, match=f"^{argument}="):
        calibrate_memorisation(random_data(), **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="held_out="):
        calibrate_memorisation(random_data(3))
    with pytest.raises(InputError, match="images="):
        whole_match(noise(2, 1, HEIGHT, WIDTH), random_data())
