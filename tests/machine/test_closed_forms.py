"""Closed forms of other papers, against their formulas, their limits, and as denoisers by name."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.data.reduction import Divided, default_executor
from scoremachines.errors import InputError
from scoremachines.experiments.held_out import FILE
from scoremachines.io.sealed import read_json
from scoremachines.machine.baselines import Baseline
from scoremachines.machine.by_name import DENOISERS, make_denoiser
from scoremachines.machine.closed_forms import PCALocality, Smoothed
from scoremachines.machine.composed import ComposedPatches
from scoremachines.machine.golden import GoldenSubset
from scoremachines.theory.comparing import check_close
from scoremachines.theory.positions import patches
from scoremachines.theory.schedule import noise_schedule

SHAPE = 2, 5, 6
PIXELS = 30
NAMES = ("pca-locality", "pspc", "smoothed", "gold")


def data(count: int = 20) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(1)
    smooth = torch.rand(count, 2, 3, 3, generator=draw, dtype=torch.float64) * 2 - 1
    pixels = torch.nn.functional.interpolate(smooth, size=SHAPE[1:], mode="bilinear")
    return sm.TrainingSet(pixels, torch.arange(count) % 3)


def noisy(count: int = 2) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(count, *SHAPE, generator=draw, dtype=torch.float64)


def made(name: str, training_set: sm.TrainingSet | None = None, window: int = 3) -> Baseline:
    found = make_denoiser(name, training_set or data(), window, noise_schedule("cosine"))
    assert isinstance(found, Baseline)
    return found


@pytest.mark.parametrize("alpha_bar", [0.2, 0.9])
def test_pca_locality_looks_where_the_wiener_filter_does(alpha_bar: float) -> None:
    images = data().block(torch.arange(20), torch.float64)
    apart = images.flatten(1) - images.flatten(1).mean(0)
    covariance = apart.T @ apart / 20
    law = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(60).double()
    gain = alpha_bar**0.5 * torch.linalg.solve(law, covariance)
    found = PCALocality(data()).denoise(noisy(), alpha_bar)
    sizes = []
    for pixel in range(PIXELS):
        rows = gain[[pixel, PIXELS + pixel]].view(2, 2, PIXELS)
        size = rows.square().sum((0, 1)).sqrt()
        mask = size >= 0.05 * size.max()
        assert bool(mask[pixel])
        sizes.append(int(mask.sum()))
        difference = (noisy()[:, None] - alpha_bar**0.5 * images).flatten(-2)[..., mask]
        distance = difference.square().sum((-2, -1))
        weight = (-distance / (2 * (1 - alpha_bar))).softmax(1)
        answer = weight @ images.flatten(-2)[..., pixel]
        check_close(found.flatten(-2)[..., pixel], answer, 1e-9, f"pixel {pixel}")
    assert min(sizes) < PIXELS


@pytest.mark.parametrize("window", [1, 3, 5])
def test_patches_are_composed_where_they_overlap(window: int) -> None:
    images, alpha_bar = data().block(torch.arange(20), torch.float64), 0.6
    found = ComposedPatches(data(), window).denoise(noisy(), alpha_bar)
    seen = patches(noisy(), window, False)
    clean = patches(images, window, False)  # [n, u, C·k²]
    distance = (seen[:, None] - alpha_bar**0.5 * clean).square().sum(-1)
    weight = (-distance / (2 * (1 - alpha_bar))).softmax(1)  # [B, n, u]
    means = torch.einsum("bnu,nud->bdu", weight, clean)
    radius = window // 2
    fold = {"output_size": SHAPE[1:], "kernel_size": window, "padding": radius}
    count = torch.nn.functional.fold(torch.ones_like(means), **fold)
    known = torch.nn.functional.fold(means, **fold) / count
    check_close(found, known, 1e-9, "composed")


def test_limits_are_machines_of_kamb_and_ganguli(monkeypatch: pytest.MonkeyPatch) -> None:
    ideal = sm.ideal(data()).denoise(noisy(), 0.7)
    local = sm.local(data(), 1).denoise(noisy(), 0.7)
    check_close(ComposedPatches(data(), 1).denoise(noisy(), 0.7), local, 1e-9, "window 1")
    check_close(ComposedPatches(data(), "image").denoise(noisy(), 0.7), ideal, 1e-9, "whole image")
    monkeypatch.setattr(PCALocality, "THRESHOLD", 0.0)
    check_close(PCALocality(data()).denoise(noisy(), 0.7), ideal, 1e-9, "all pixels")
    monkeypatch.setattr(Smoothed, "REACH", 0.0)
    check_close(Smoothed(data()).denoise(noisy(), 0.7), ideal, 1e-9, "no displacement")


def test_weights_are_smoothed_over_displaced_images() -> None:
    images, alpha_bar = data().block(torch.arange(20), torch.float64), 0.95
    draw = torch.Generator().manual_seed(0)
    moves = torch.randn(8, *SHAPE, generator=draw, dtype=torch.float64)
    moved = noisy()[:, None] + (1 - alpha_bar) ** 0.5 * moves
    distance = (moved[:, :, None] - alpha_bar**0.5 * images).square().sum((-3, -2, -1))
    weight = (-distance / (2 * (1 - alpha_bar))).softmax(-1).mean(1)
    answer = torch.einsum("bn,nchw->bchw", weight, images)
    check_close(Smoothed(data()).denoise(noisy(), alpha_bar), answer, 1e-9, "smoothed")
    entropies = torch.special.entr(weight).sum(-1)
    plain = (
        -(noisy()[:, None] - alpha_bar**0.5 * images).square().sum((-3, -2, -1)) / 0.1
    ).softmax(-1)
    assert bool((entropies > torch.special.entr(plain).sum(-1)).all())


@pytest.mark.parametrize("label", [None, 1])
def test_gold_takes_the_nearest_of_those_that_look_near(
    label: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GoldenSubset, "SIDE", 2)
    monkeypatch.setattr(GoldenSubset, "MOST_OF", 0.2)
    training_set, alpha_bar = data(60), 0.7
    members = torch.arange(60) if label is None else training_set.of_class(label)
    images = training_set.block(members, torch.float64)
    apart = images - noisy(1)[0] / alpha_bar**0.5
    small = torch.nn.functional.adaptive_avg_pool2d(apart, (3, 3)).square().sum((1, 2, 3))
    near = small.argsort()[: -(-len(members) // 4)].sort().values
    order = apart[near].square().sum((1, 2, 3)).argsort()
    known = members[near[order[: ceil(len(members) * (0.05 + 0.15 * 0.3))]]].sort().values
    denoiser = GoldenSubset(training_set)
    assert torch.equal(denoiser.members(noisy(1)[0], alpha_bar, label), known)
    few = PCALocality(training_set.subset(known))
    masks = PCALocality(training_set).masks(alpha_bar)
    monkeypatch.setattr(PCALocality, "masks", lambda self, level: masks)
    answer = denoiser.denoise(noisy(1), alpha_bar, label)
    check_close(answer, few.denoise(noisy(1), alpha_bar), 1e-9, "of the nearest")


def test_the_error_of_gold_is_that_against_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser, every = GoldenSubset(data(60)), PCALocality(data(60))
    apart = denoiser.denoise(noisy(), 0.3) - every.denoise(noisy(), 0.3)
    known = apart.square().mean((1, 2, 3)).sqrt()
    check_close(denoiser.error(noisy(), 0.3), known, 1e-9, "error")
    assert bool((known > 1e-3).all())
    for name in ("FEWEST", "MOST_OF"):
        monkeypatch.setattr(GoldenSubset, name, 1.0)
    check_close(denoiser.error(noisy(), 0.3), torch.zeros(2).double(), 1e-12, "all images")


@pytest.mark.parametrize("name", NAMES)
def test_neither_neighbours_nor_parts_change_an_answer(name: str) -> None:
    denoiser, many = made(name), noisy(4)
    levels = torch.tensor([0.2, 0.9, 0.9, 0.99], dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 0])
    known = denoiser.denoise(many, levels, labels)
    for i in range(4):
        alone = denoiser.denoise(many[[i]], levels[i], int(labels[i]))
        assert torch.equal(alone[0], known[i])
        few = made(name, data().subset(data().of_class(int(labels[i]))))
        if name not in ("pca-locality", "gold"):  # whose masks are those of all classes
            check_close(few.denoise(many[[i]], levels[i])[0], known[i], 1e-9, "the class")
    with default_executor(Divided(3)):
        check_close(denoiser.denoise(many, levels, labels), known, 1e-9, "in parts")
    single = made(name).denoise(many.float(), levels, labels)
    assert single.dtype == torch.float32
    assert float((single - known).abs().max()) < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_differences(name: str) -> None:
    denoiser, leaf = made(name), noisy(1).requires_grad_()
    direction = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(3)).double()
    (slope,) = torch.autograd.grad((denoiser.denoise(leaf, 0.5) * direction).sum(), leaf)
    step = 1e-6 * direction
    ends = [(denoiser.denoise(noisy(1) + move, 0.5) * direction).sum() for move in (step, -step)]
    check_close((slope * direction).sum(), (ends[0] - ends[1]) / 2e-6, 1e-5, "slope")


@pytest.mark.parametrize("name", NAMES)
def test_it_comes_back_from_a_folder(tmp_path: Path, name: str) -> None:
    denoiser = made(name)
    denoiser.save_pretrained(tmp_path)
    again = type(denoiser).from_pretrained(tmp_path)
    assert torch.equal(again.denoise(noisy(), 0.5), denoiser.denoise(noisy(), 0.5))


def test_a_window_that_does_not_fit_is_refused() -> None:
    for window in (4, 9, "0:3,1:9"):
        with pytest.raises(InputError, match="window="):
            ComposedPatches(data(), window)


def test_a_filter_of_large_images_is_refused() -> None:
    with pytest.raises(InputError, match="at most 20,000 numbers"):
        PCALocality(sm.TrainingSet(torch.zeros(2, 3, 100, 100)))


def test_they_are_known_by_name(tmp_path: Path) -> None:
    assert set(NAMES) < set(DENOISERS)
    line = "denoise digits --limit 60 -n 5 --validation 3 --windows 3,5 --widths 0 --sigmas 0.3"
    words = [word for name in NAMES for word in ("--machine", name)]
    assert main([*line.split(), *words, "-o", str(tmp_path / "table")]) == 0
    rows = {row["machine"]: row for row in read_json(tmp_path / "table" / FILE)["rows"]}
    assert rows["pspc"]["window"] in (3, 5)
    assert rows["smoothed"]["window"] is rows["pca-locality"]["window"] is None
    for name in NAMES:
        line = f"generate digits --limit 30 -n 1 --steps 2 --machine {name}"
        assert main([*line.split(), "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name / "samples" / "0000.png").is_file()
