"""The Wiener filter, against Gaussian conditioning, automatic differentiation and its limits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.machine.baselines import Wiener

SHAPE = (2, 3, 4)
SIZE = 24


def training_set(count: int, seed: int = 0) -> sm.TrainingSet:
    """Return images whose pixels are correlated; 11 are fewer than their numbers, 50 more."""
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(SIZE, SIZE, generator=draw, dtype=torch.float64)
    sources = torch.rand(count, SIZE, generator=draw, dtype=torch.float64)
    pixels = torch.tanh((sources @ mixing) / 5 + 0.2).view(count, *SHAPE)
    return sm.TrainingSet(pixels, torch.arange(count) % 2)


def noisy_images(count: int, seed: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, *SHAPE, generator=draw, dtype=torch.float64)


def moments(data: sm.TrainingSet) -> tuple[Tensor, Tensor]:
    vectors = data.block(slice(None), torch.float64).flatten(1)
    return vectors.mean(0), torch.cov(vectors.T, correction=0)


def conditional_mean(data: sm.TrainingSet, noisy: Tensor, alpha_bar: float) -> Tensor:
    """Return E[x | φ] by conditioning the joint Gaussian of (x, φ)."""
    mean, covariance = moments(data)
    with_noisy = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(SIZE, dtype=torch.float64)
    gain = alpha_bar**0.5 * covariance @ torch.linalg.inv(with_noisy)
    away = noisy.flatten(1) - alpha_bar**0.5 * mean
    return (mean + away @ gain.T).view(noisy.shape)


@pytest.mark.parametrize("count", [1, 11, 50])
@pytest.mark.parametrize("alpha_bar", [0.01, 0.5, 0.97])
def test_it_is_the_posterior_mean_of_the_joint_gaussian(count: int, alpha_bar: float) -> None:
    data, noisy = training_set(count), noisy_images(5)
    known = conditional_mean(data, noisy, alpha_bar)
    torch.testing.assert_close(Wiener(data).denoise(noisy, alpha_bar), known)


@pytest.mark.parametrize("count", [11, 50])
def test_its_score_is_the_gradient_of_the_gaussian_log_density(count: int) -> None:
    data, alpha_bar = training_set(count), 0.6
    mean, covariance = moments(data)
    noised = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(SIZE, dtype=torch.float64)
    density = torch.distributions.MultivariateNormal(alpha_bar**0.5 * mean, noised)
    noisy = noisy_images(5).requires_grad_()
    (known,) = torch.autograd.grad(density.log_prob(noisy.flatten(1)).sum(), noisy)
    torch.testing.assert_close(Wiener(data).score(noisy.detach(), alpha_bar), known)


def test_no_affine_denoiser_is_better_on_the_training_set() -> None:
    """The mean squared error over x and ε is flat at it, and rises in every direction."""
    data, alpha_bar = training_set(50), 0.5
    clean = data.block(slice(None), torch.float64).repeat(400, 1, 1, 1)
    noisy = alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * noisy_images(len(clean))
    left = clean - Wiener(data).denoise(noisy, alpha_bar)
    # What is left over is not correlated with φ, nor does it have a mean.
    vectors = noisy.flatten(1) - noisy.flatten(1).mean(0)
    correlation = left.flatten(1).T @ vectors / len(clean)
    assert correlation.abs().max() < 0.02
    assert left.mean(0).abs().max() < 0.02


@given(st.integers(0, 50), st.sampled_from([11, 50]))
def test_the_ends_of_time(seed: int, count: int) -> None:
    data, noisy = training_set(count), noisy_images(3, seed)
    mean, _ = moments(data)
    found = Wiener(data).denoise(noisy, 0.0)
    torch.testing.assert_close(found, mean.view(1, *SHAPE).expand_as(noisy), atol=1e-4, rtol=0)
    # Without noise it is the nearest point of the plane that the images span.
    found = Wiener(data).denoise(noisy, 1.0).flatten(1)
    directions = (data.block(slice(None), torch.float64).flatten(1) - mean).T
    weights = torch.linalg.lstsq(directions, (noisy.flatten(1) - mean).T, driver="gelsd").solution
    torch.testing.assert_close(found, mean + (directions @ weights).T, atol=1e-6, rtol=0)


def test_one_image_is_that_of_the_ideal_score() -> None:
    data, noisy = training_set(1), noisy_images(3)
    for alpha_bar in (0.1, 0.9):
        known = sm.ideal(data).denoise(noisy, alpha_bar)
        torch.testing.assert_close(Wiener(data).denoise(noisy, alpha_bar), known)


def test_each_sample_has_its_own_level_and_class() -> None:
    data, noisy = training_set(50), noisy_images(4)
    levels, labels = torch.tensor([0.1, 0.9, 0.5, 0.3]), torch.tensor([1, 0, 0, 1])
    found = Wiener(data).denoise(noisy, levels, labels)
    for i in range(4):
        alone = data.subset(data.of_class(int(labels[i])))
        known = conditional_mean(alone, noisy[i : i + 1], float(levels[i]))
        torch.testing.assert_close(found[i : i + 1], known, rtol=1e-5, atol=1e-6)
        assert torch.equal(Wiener(data).denoise(noisy[[i]], levels[i], labels[i])[0], found[i])
    both = Wiener(data).denoise(noisy, 0.3, 1)
    assert torch.equal(both[2:], Wiener(data).denoise(noisy[2:], 0.3, torch.tensor([1])))


def test_it_is_sampled_like_any_machine() -> None:
    data = training_set(11)
    result = sm.sample(Wiener(data, "linear"), n=3, steps=4, best=0)
    assert result.images.shape == (3, *SHAPE)
    # Its last answers lie in the plane of the training images, which 10 directions span.
    mean, _ = moments(data)
    every = torch.cat([data.block(slice(None), torch.float64), result.images.double()])
    rank = torch.linalg.matrix_rank(every.flatten(1) - mean, atol=1e-4)
    assert rank == 10
    assert Wiener(data).denoise(noisy_images(2).float(), 0.5).dtype == torch.float32
    output = Wiener(data, prediction_type="sample")(noisy_images(2), 999).sample
    assert output.shape == (2, *SHAPE)


def test_what_does_not_fit_is_refused() -> None:
    wiener = Wiener(training_set(11))
    with pytest.raises(InputError, match="noisy"):
        wiener.denoise(torch.zeros(2, 2, 4, 3), 0.5)
    for wrong in ({"alpha_bar": torch.tensor([0.5, 0.6])}, {"labels": torch.tensor([0, 1])}):
        with pytest.raises(InputError, match=r"one (value|label) or 3 (values|labels)"):
            wiener.denoise(noisy_images(3), **({"alpha_bar": 0.5} | wrong))
    with pytest.raises(InputError, match="label"):
        wiener.denoise(noisy_images(2), 0.5, 2)
    with pytest.raises(InputError, match="prediction_type"):
        Wiener(training_set(11), prediction_type="noise")
