"""What every machine must satisfy, whatever its choices (theory §4.5)."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import MultiScale
from scoremachines.engines import TorchEngine

KINDS = [(3, "aligned"), (3, "valid"), (3, "circular"), (3, "boundary"), (None, "aligned")]
KINDS += [(None, "circular")]
GENERIC = ("none", "identity", "top1", "full", "multiscale")


def images(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(shape or (11, 3, 5, 7), generator=draw, dtype=torch.float64) * 2 - 1


def machine(clean: Tensor, kind: tuple[int | None, str], attention: object = "none"):
    return sm.ScoreMachine(sm.TrainingSet(clean), *kind, attention)


def same(found: Tensor, known: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(found, known, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_named_attentions_are_their_matrices(kind: tuple[int | None, str]) -> None:
    """P4: full is the matrix of ones, tiled that of one over the window's area."""
    clean, noisy = images(), images(2, 3, 5, 7, seed=1) * 2
    area = 35 if kind[0] is None else 9
    for name, weight in (("full", 1.0), ("tiled", 1 / area), (MultiScale((3,)), 1 / 9)):
        if kind[0] is None and isinstance(name, MultiScale):
            continue
        known = machine(clean, kind, torch.full((35, 35), weight, dtype=torch.float64))
        same(machine(clean, kind, name).denoise(noisy, 0.4), known.denoise(noisy, 0.4))


def test_evidence_common_to_all_images_changes_nothing() -> None:
    """P5, for the Π that an engine is given."""
    clean, noisy = images(), images(2, 3, 5, 7, seed=1)
    query = machine(clean, (3, "valid")).query(noisy, torch.full((2,), 0.4).double())
    bias, common = images(2, 11, 5, 7, seed=2), images(2, 1, 5, 7, seed=3) * 50
    index = torch.arange(11)
    known = TorchEngine().posterior(query, clean, index, bias, 3)
    found = TorchEngine().posterior(query, clean, index, bias + common, 3)
    same(found.mean, known.mean)
    same(found.log_weight - common[:, 0], known.log_weight)
    assert torch.equal(found.sources.image, known.sources.image)


@pytest.mark.parametrize("attention", GENERIC)
@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_training_set_renames_its_sources(
    kind: tuple[int | None, str], attention: str
) -> None:
    """P10: no two weights are equal here."""
    clean, noisy = images(), images(2, 3, 5, 7, seed=1) * 1.5
    order = torch.randperm(11, generator=torch.Generator().manual_seed(2))
    known = machine(clean, kind, attention).posterior(noisy, 0.3, best=3)
    found = machine(clean[order], kind, attention).posterior(noisy, 0.3, best=3)
    same(found.mean, known.mean)
    assert torch.equal(order[found.sources.image], known.sources.image)
    assert torch.equal(found.sources.position, known.sources.position)


@pytest.mark.parametrize("attention", GENERIC)
@pytest.mark.parametrize("kind", KINDS)
def test_mirrors_and_transposition(kind: tuple[int | None, str], attention: str) -> None:
    """P13: no axis and no direction is special."""
    clean, noisy = images(), images(2, 3, 5, 7, seed=1) * 1.5
    known = machine(clean, kind, attention).denoise(noisy, 0.6)
    for turn in (
        lambda image: image.flip(-1),
        lambda image: image.flip(-2),
        lambda image: image.transpose(-1, -2),
    ):
        found = machine(turn(clean), kind, attention).denoise(turn(noisy), 0.6)
        same(found, turn(known))


def test_a_given_matrix_turns_and_moves_with_the_image() -> None:
    """P13 and P14 for a matrix: its rows and columns move along."""
    clean, noisy = images(), images(2, 3, 5, 7, seed=1) * 1.5
    matrix = images(35, 35, seed=2).abs()
    known = machine(clean, (3, "circular"), matrix).denoise(noisy, 0.6)
    for turn in (lambda x: x.roll((2, 3), (-2, -1)), lambda x: x.flip(-1)):
        place = turn(torch.arange(35).view(5, 7)).flatten()
        found = machine(turn(clean), (3, "circular"), matrix[place][:, place])
        same(found.denoise(turn(noisy), 0.6), turn(known))
    # Where sources lie anyway everywhere, φ and the matrix move without the training set.
    moved = torch.arange(35).view(5, 7).roll((2, 3), (0, 1)).flatten()
    found = machine(clean, (3, "circular"), matrix[moved][:, moved])
    same(found.denoise(noisy.roll((2, 3), (2, 3)), 0.6), known.roll((2, 3), (2, 3)))


@pytest.mark.parametrize("attention", ["none", "identity", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_image_twice(kind: tuple[int | None, str], attention: str) -> None:
    """P15: the picture stays, the doubt doubles, and of two copies the first is named first."""
    clean, noisy = images(), images(2, 3, 5, 7, seed=1) * 1.5
    known = machine(clean, kind, attention).posterior(noisy, 0.6, best=1)
    found = machine(torch.cat([clean, clean]), kind, attention).posterior(noisy, 0.6, best=2)
    same(found.mean, known.mean)
    log_two = torch.tensor(2.0).double().log()
    same(found.entropy, known.entropy + log_two, 1e-7)
    copies = found.sources.image
    if attention == "identity":  # a matrix product rounds the two copies' evidence differently
        copies = copies.sort(1).values
    assert torch.equal(copies[:, 0], known.sources.image[:, 0])
    assert torch.equal(copies[:, 1], known.sources.image[:, 0] + 11)
    same(found.weights.sum(1), known.weights[:, 0], 1e-7)


@pytest.mark.parametrize("attention", GENERIC)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [1e-4, 0.5, 0.9999])
def test_a_mean_of_training_values_and_all_its_sources(
    kind: tuple[int | None, str], attention: str, level: float
) -> None:
    """P16 and P17, with a list long enough for every source."""
    clean, noisy = images(4, 2, 3, 5), images(2, 2, 3, 5, seed=1) * 1.5
    found = machine(clean, kind, attention).posterior(noisy, level, best=4 * 15)
    low, high = (edge(clean, (0, 2, 3))[:, None, None] for edge in (torch.amin, torch.amax))
    assert (found.mean >= low - 1e-9).all()
    assert (found.mean <= high + 1e-9).all()
    same(found.weights.sum(1), torch.ones(2, 3, 5).double(), 1e-6)
    same(found.entropy, torch.special.entr(found.weights).sum(1), 1e-6)
    count = (found.sources.image >= 0).sum(1)
    assert (found.entropy <= count.double().log() + 1e-9).all()
    assert (found.weights.diff(dim=1) <= 0).all()
    # The list is the posterior: its own mean is x̂0.
    values = clean.flatten(2)[found.sources.image, :, found.sources.position]  # [B, K, H, W, C]
    mean = (found.weights[..., None] * values).sum(1).movedim(-1, 1)
    same(mean, found.mean, 1e-6)


def test_borders_are_felt_through_the_window() -> None:
    """In pure noise each pixel is the mean of its sources, which tells where they are (§3)."""
    height, width = 7, 9
    place = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width) / 63
    flat = machine(place, (3, "boundary")).denoise(torch.zeros_like(place), 0.0)[0, 0]
    rows, columns = slice(1, height - 1), slice(1, width - 1)
    picture, tolerance = place[0, 0], 1e-5
    same(flat[3, 4], picture[rows, columns].mean(), tolerance)  # interior: everywhere inside
    same(flat[0, 4], picture[0, columns].mean(), tolerance)  # edge: along that edge
    same(flat[2, -1], picture[rows, -1].mean(), tolerance)
    same(flat[0, 0], picture[0, 0], tolerance)  # corner: that place only
    same(flat[-1, 0], picture[-1, 0], tolerance)
    wide = machine(place, (5, "boundary")).denoise(torch.zeros_like(place), 0.0)[0, 0]
    same(wide[1, 4], picture[1, 2:7].mean(), tolerance)  # the same distance from the edge
    same(wide[0, 4], picture[0, 2:7].mean(), tolerance)
    same(wide[1, 0], picture[1, 0], tolerance)


def test_without_noise_attention_chooses_the_image_that_fits_everywhere() -> None:
    """P18 with A = 1: the image of least total distance, the centre of its nearest patch."""
    clean, noisy = images(), images(1, 3, 5, 7, seed=5)
    found = machine(clean, (3, "circular"), "full").posterior(noisy, 1 - 1e-9, best=1)
    distance = torch.empty(11, 35, 35, dtype=torch.float64)
    for i, u, v in itertools.product(range(11), range(35), range(35)):
        (a, b), (c, d) = divmod(u, 7), divmod(v, 7)
        around = [
            x.roll((2 - r, 3 - s), (1, 2))[:, 1:4, 2:5]
            for x, r, s in ((noisy[0], a, b), (clean[i], c, d))
        ]
        distance[i, u, v] = (around[0] - around[1]).square().sum()
    nearest = distance.min(-1)
    best = nearest.values.sum(-1).argmin()
    assert (found.sources.image == best).all()
    assert torch.equal(found.sources.position.flatten(), nearest.indices[best])


def test_every_pixel_a_window_makes_full_attention_exact() -> None:
    """P21 with k = 1: pixels drawn independently from one image, Bayes' rule written out."""
    clean, noisy, level = images(4, 2, 3, 5), images(1, 2, 3, 5, seed=1) * 1.5, 0.7
    found = machine(clean, (1, "circular"), "full").denoise(noisy, level)[0].flatten(1)
    pixels, sources = noisy[0].flatten(1).T, clean.flatten(2).movedim(1, -1)  # [u, C], [i, v, C]
    distance = (pixels[None, :, None] - level**0.5 * sources[:, None]).square().sum(-1)
    likelihood = (-distance / (2 * (1 - level))).exp()  # [i, u, v]
    posterior = likelihood.mean(-1).prod(-1)
    posterior = posterior / posterior.sum()
    within = (likelihood @ sources) / likelihood.sum(-1, keepdim=True)  # [i, u, C]
    same(found, torch.einsum("i,iuc->cu", posterior, within), 1e-12)
