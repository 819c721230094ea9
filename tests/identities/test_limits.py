"""Where one machine becomes another, and closed forms by hand (theory §2.4, §4.5)."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import Scaled, Soft
from scoremachines.attention.building import MAPS
from scoremachines.sampling.sample import trajectory
from scoremachines.theory.positions import patches


def images(count: int = 11, *shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    size = shape or (3, 5, 7)
    return torch.rand((count, *size), generator=draw, dtype=torch.float64) * 2 - 1


def noised(clean: Tensor, level: float, seed: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(clean.shape, generator=draw, dtype=clean.dtype)
    return level**0.5 * clean + (1 - level) ** 0.5 * noise


def log_density(noisy: Tensor, clean: Tensor, level: float) -> Tensor:
    distance = (noisy[:, None] - level**0.5 * clean).square().sum((2, 3, 4))
    return (-distance / (2 * (1 - level))).logsumexp(1)


@pytest.mark.parametrize("level", [1e-4, 0.3, 0.9])
def test_the_ideal_score_is_the_gradient_of_the_log_density(level: float) -> None:
    clean = images()
    noisy = noised(clean[:2], level).requires_grad_()
    (gradient,) = torch.autograd.grad(log_density(noisy, clean, level).sum(), noisy)
    found = sm.ideal(sm.TrainingSet(clean)).score(noisy.detach(), level)
    torch.testing.assert_close(found, gradient, rtol=1e-8, atol=1e-10)


def test_a_window_that_covers_the_image_is_the_ideal_machine() -> None:
    clean = images(11, 3, 7, 7)
    noisy = noised(clean[:2], 0.5)
    data = sm.TrainingSet(clean)
    middle = (..., 3, 3)
    covering = sm.local(data, 7).denoise(noisy, 0.5)[middle]
    torch.testing.assert_close(covering, sm.ideal(data).denoise(noisy, 0.5)[middle])


def test_the_equivariant_machine_is_the_ideal_one_of_all_shifts() -> None:
    clean = images(3, 2, 3, 5)
    shifts = itertools.product(range(3), range(5))
    shifted = torch.cat([clean.roll(shift, (2, 3)) for shift in shifts])
    noisy = noised(clean[:2], 0.4)
    found = sm.equivariant(sm.TrainingSet(clean)).denoise(noisy, 0.4)
    known = sm.ideal(sm.TrainingSet(shifted)).denoise(noisy, 0.4)
    torch.testing.assert_close(found, known, rtol=0, atol=1e-10)


@pytest.mark.parametrize("attention", [*MAPS, "multiscale"])
@pytest.mark.parametrize("window", [3, None])
def test_periodic_machines_commute_with_shifts(attention: str, window: int | None) -> None:
    clean = images()
    machine = sm.ScoreMachine(sm.TrainingSet(clean), window, "circular", attention)
    noisy = noised(clean[:2], 0.6)
    moved = machine.denoise(noisy.roll((2, 3), (2, 3)), 0.6)
    torch.testing.assert_close(
        moved, machine.denoise(noisy, 0.6).roll((2, 3), (2, 3)), rtol=0, atol=1e-9
    )


def test_no_attention_is_attention_of_no_strength() -> None:
    clean = images()
    noisy, data = noised(clean[:2], 0.5), sm.TrainingSet(clean)
    known = sm.els(data, 3).denoise(noisy, 0.5)
    for attention in (torch.zeros(35, 35), Scaled(Soft(torch.rand(35, 35)), 0.0)):
        found = sm.els(data, 3, attention=attention).denoise(noisy, 0.5)
        torch.testing.assert_close(found, known, rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", [*MAPS, "multiscale"])
def test_one_training_image_makes_attention_irrelevant(attention: str) -> None:
    clean = images(1)
    noisy, data = noised(clean, 0.5), sm.TrainingSet(clean)
    known = sm.els(data, 3).denoise(noisy, 0.5)
    torch.testing.assert_close(sm.els(data, 3, attention=attention).denoise(noisy, 0.5), known)


@pytest.mark.parametrize(("name", "sources"), [("els", "circular"), ("bbels", "boundary")])
def test_without_noise_each_pixel_is_the_centre_of_the_nearest_patch(
    name: str, sources: str
) -> None:
    clean = images()
    noisy = images(2, seed=5)
    found = sm.ScoreMachine(sm.TrainingSet(clean), 3, sources).denoise(noisy, 1 - 1e-9)
    from scoremachines.theory.positions import admissible

    allowed = admissible(5, 7, 3, sources)
    near = patches(noisy, 3, sources == "circular")
    far = patches(clean, 3, sources == "circular")
    for sample, pixel in itertools.product(range(2), range(35)):
        distance = (near[sample, pixel] - far).square().sum(-1)
        distance = distance.masked_fill(~allowed[pixel], torch.inf)
        image, place = divmod(int(distance.argmin()), 35)
        known = clean[image].flatten(1)[:, place]
        torch.testing.assert_close(found[sample].flatten(1)[:, pixel], known, atol=1e-6, rtol=0)


def test_in_pure_noise_every_source_weighs_the_same() -> None:
    clean = images()
    found = sm.els(sm.TrainingSet(clean), 3).denoise(noised(clean[:1], 0.0), 0.0)
    known = clean[:, :, 1:-1, 1:-1].mean((0, 2, 3))[None, :, None, None].expand_as(found)
    torch.testing.assert_close(found, known, rtol=0, atol=1e-4)


def black_and_white() -> sm.TrainingSet:
    one = torch.ones(1, 1, 6, 7, dtype=torch.float64)
    return sm.TrainingSet(torch.cat([one, -one]))


@pytest.mark.parametrize("level", [1e-3, 0.5, 0.9])
def test_black_and_white_in_closed_form(level: float) -> None:
    """KG's two images: the posterior of white is a logistic function of the window's sum."""
    machine = sm.ScoreMachine(black_and_white(), 3, "circular")
    noisy = noised(torch.zeros(2, 1, 6, 7, dtype=torch.float64), level)
    total = patches(noisy, 3, periodic=True).sum(-1).view(2, 1, 6, 7)
    known = torch.tanh(level**0.5 * total / (1 - level))
    torch.testing.assert_close(machine.denoise(noisy, level), known, rtol=0, atol=1e-10)


def test_black_and_white_samples_obey_the_majority_rule() -> None:
    machine = sm.ScoreMachine(black_and_white(), 3, "circular").to(torch.float64)
    *_, last = trajectory(machine, range(6), steps=100)
    signs = last.after.sign()
    torch.testing.assert_close(last.after, signs, rtol=0, atol=1e-6)
    assert len(set(signs.flatten().tolist())) == 2
    # Each pixel is what most of its window was, in the last noisy image to a pixel, ...
    seen = patches(last.noisy, 3, periodic=True).sum(-1).view(signs.shape)
    assert torch.equal(seen.sign(), signs)
    # ... and nearly everywhere in the sample itself: a fixed point of the rule.
    votes = patches(signs, 3, periodic=True).sum(-1).view(signs.shape)
    assert (votes.sign() == signs).double().mean() > 0.95


def tiles_model() -> tuple[Tensor, Tensor, list[int], Tensor]:
    """Return 4 images of 3×9 pixels, their three 3×3 tiles, the tiles' centres, and A."""
    clean = images(4, 1, 3, 9, seed=2)
    tiles = torch.stack([clean[..., 3 * j : 3 * j + 3] for j in range(3)], 1)  # [4, tile, 1, 3, 3]
    centres = [9 + 1 + 3 * j for j in range(3)]
    attention = torch.zeros(27, 27, dtype=torch.float64)
    for u, y in itertools.permutations(centres, 2):
        attention[u, y] = 1
    return clean, tiles, centres, attention


def bayes(noisy: Tensor, clean: Tensor, level: float) -> Tensor:
    """Return the posterior mean of the three tiles' centres, all hypotheses enumerated.

    Tile by tile, independently given the image, a patch stands at a uniformly chosen position.
    """
    windows = torch.stack([clean[..., j : j + 3] for j in range(7)], 1).flatten(2)  # [4, 7, 9]
    seen = [noisy[..., 3 * j : 3 * j + 3].flatten() for j in range(3)]
    total, mean = 0.0, torch.zeros(3, dtype=torch.float64)
    for image, places in itertools.product(range(4), itertools.product(range(7), repeat=3)):
        chosen = windows[image][list(places)]
        distance = sum(
            float((phi - level**0.5 * patch).square().sum())
            for phi, patch in zip(seen, chosen, strict=True)
        )
        weight = math.exp(-distance / (2 * (1 - level)))
        total, mean = total + weight, mean + weight * chosen[:, 4]
    return mean / total


def test_full_attention_is_exact_bayes_for_patch_independent_data() -> None:
    clean, _, centres, attention = tiles_model()
    machine = sm.els(sm.TrainingSet(clean), 3, attention=attention)
    for level, seed in ((0.3, 1), (0.7, 2), (0.1, 3)):
        noisy = noised(clean[seed : seed + 1], level, seed)
        found = machine.denoise(noisy, level).flatten()[centres]
        torch.testing.assert_close(found, bayes(noisy, clean, level), rtol=0, atol=1e-9)


def test_full_attention_is_unbiased_and_best_in_monte_carlo() -> None:
    """Residuals of a posterior mean are uncorrelated with it, and smaller than without."""
    clean, _, centres, attention = tiles_model()
    draw, level, n = torch.Generator().manual_seed(7), 0.3, 2000
    windows = torch.stack([clean[..., j : j + 3] for j in range(7)], 1)  # [4, 7, 1, 3, 3]
    which = torch.randint(4, (n,), generator=draw)
    places = torch.randint(7, (n, 3), generator=draw)
    truth = torch.cat([windows[which, places[:, j]] for j in range(3)], -1)
    noisy = noised(truth, level, 8)
    data = sm.TrainingSet(clean)
    target = truth.flatten(1)[:, centres]
    found = sm.els(data, 3, attention=attention).denoise(noisy, level).flatten(1)[:, centres]
    alone = sm.els(data, 3).denoise(noisy, level).flatten(1)[:, centres]
    residual = target - found
    for product in (residual, residual * found):
        error = product.std(0) / n**0.5
        assert (product.mean(0).abs() < 4 * error).all()
    gain = (target - alone).square() - residual.square()
    assert gain.mean() > 4 * gain.mean(1).std() / n**0.5


def test_a_class_is_a_smaller_training_set() -> None:
    clean = images()
    labels = torch.arange(11) % 3
    data = sm.TrainingSet(clean, labels, classes=("a", "b", "c"))
    noisy = noised(clean[:3], 0.5)
    found = sm.els(data, 3, attention="full").denoise(noisy, 0.5, torch.tensor([0, 2, 0]))
    for sample, label in enumerate((0, 2, 0)):
        part = sm.els(data.subset(labels == label), 3, attention="full")
        known = part.denoise(noisy[sample : sample + 1], 0.5)[0]
        torch.testing.assert_close(found[sample], known, rtol=0, atol=1e-12)


def test_a_schedule_gives_each_sample_its_window() -> None:
    clean = images()
    data, noisy = sm.TrainingSet(clean), noised(clean[:3], 0.5)
    machine = sm.els(data, {0.0: 1, 0.5: 3, 1.0: 5})
    levels = machine.schedule.alpha_bar(torch.tensor([0.05, 0.5, 0.95]))
    found = machine.denoise(noisy, levels)
    for sample, window in enumerate((1, 3, 5)):
        known = sm.els(data, window).denoise(noisy[sample : sample + 1], levels[sample])
        torch.testing.assert_close(found[sample : sample + 1], known, rtol=0, atol=1e-12)
