"""Sources with a width: their two ends, their laws, and the posterior that they state (§2.9)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.data.executors.job import LARGE
from scoremachines.data.executors.processes import Processes
from scoremachines.data.reduction import Divided
from scoremachines.errors import InputError
from scoremachines.experiments.bench.messages import Counted
from scoremachines.machine.baselines import Wiener
from scoremachines.machine.contrasts import fitted_contrasts
from scoremachines.machine.covariance import image_law
from scoremachines.machine.stream import Stream
from scoremachines.theory.comparing import check_close
from scoremachines.theory.positions import PERIODIC, admissible, patches
from scoremachines.theory.smooth import Contrasts, PatchLaws
from scoremachines.theory.specs.machine import MachineSpec
from scoremachines.theory.specs.width import SmoothSchedule, parse_smooth, smooth_text

SHAPE = 2, 5, 6
PIXELS = SHAPE[1] * SHAPE[2]
CHOICES = [
    *((3, sources) for sources in ("aligned", "valid", "circular", "boundary")),
    (5, "aligned"),
    (None, "aligned"),
    (None, "circular"),
]


def images(count: int = 9) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.rand(count, *SHAPE, generator=draw, dtype=torch.float64) * 2 - 1


def noisy(count: int = 2) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(count, *SHAPE, generator=draw, dtype=torch.float64)


def admissible_patches(window: int | None, sources: str, pixel: int) -> Tensor:
    """Return the patches that a pixel may draw from, of all images, `[N·V, d]`."""
    every = patches(images(), window, PERIODIC[sources])
    allowed = admissible(*SHAPE[1:], window, sources)[pixel]
    return every[:, allowed].flatten(0, 1)


@pytest.mark.parametrize(("window", "sources"), CHOICES)
def test_laws_are_those_of_the_admissible_patches(window: int | None, sources: str) -> None:
    laws = PatchLaws(image_law(sm.TrainingSet(images())), window, sources)
    for pixel in (0, 1, 8, PIXELS - 1):
        known = admissible_patches(window, sources, pixel)
        mean, axes, variances = laws.axes(int(laws.kinds[pixel]))
        check_close(mean, known.mean(0), 1e-12, "mean")
        covariance = axes * variances @ axes.T
        check_close(covariance, known.T.cov(correction=0), 1e-12, "covariance")


@pytest.mark.parametrize(("window", "sources"), CHOICES)
@pytest.mark.parametrize("alpha_bar", [0.1, 0.97])
def test_at_width_one_it_is_the_local_wiener_filter(
    window: int | None, sources: str, alpha_bar: float
) -> None:
    data = sm.TrainingSet(images())
    found = sm.ScoreMachine(data, window, sources, smooth=1.0).denoise(noisy(), alpha_bar)
    seen = patches(noisy(), window, PERIODIC[sources])
    for pixel in range(PIXELS):
        known = admissible_patches(window, sources, pixel)
        mean, covariance = known.mean(0), known.T.cov(correction=0)
        length = len(mean) // SHAPE[0]
        middle = length // 2 if window else (pixel if sources == "aligned" else 0)
        rows = torch.arange(SHAPE[0]) * length + middle
        law = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(len(mean)).double()
        gain = alpha_bar**0.5 * torch.linalg.solve(law, covariance[:, rows]).T
        answer = mean[rows] + (seen[:, pixel] - alpha_bar**0.5 * mean) @ gain.T
        check_close(found.flatten(-2)[..., pixel], answer, 1e-9, f"pixel {pixel}")


@pytest.mark.parametrize("alpha_bar", [0.01, 0.5, 0.99])
def test_of_the_whole_image_it_is_the_wiener_filter(alpha_bar: float) -> None:
    data = sm.TrainingSet(images())
    found = sm.ScoreMachine(data, None, "aligned", smooth=1.0).denoise(noisy(), alpha_bar)
    check_close(found, Wiener(data).denoise(noisy(), alpha_bar), 1e-9, "Wiener")


@pytest.mark.parametrize(("window", "sources"), CHOICES)
def test_towards_width_zero_it_is_the_machine_of_points(window: int | None, sources: str) -> None:
    data = sm.TrainingSet(images())
    points = sm.ScoreMachine(data, window, sources)
    known = points.posterior(noisy(), 0.8, best=2)
    zero = sm.ScoreMachine(data, window, sources, smooth={0.0: 0.0, 1.0: 0.0})
    same = zero.posterior(noisy(), 0.8, best=2)
    assert torch.equal(same.mean, known.mean)
    assert torch.equal(same.log_weight, known.log_weight)
    near = sm.ScoreMachine(data, window, sources, smooth=1e-6).posterior(noisy(), 0.8, best=2)
    check_close(near.mean, known.mean, 1e-9, "near zero")
    assert torch.equal(near.sources.image, known.sources.image)


@pytest.mark.parametrize("scales", [(1.0,), (0.4, 1.2)])
@pytest.mark.parametrize("width", [0.4, 0.8])
def test_it_is_the_posterior_mean_of_its_prior(width: float, scales: tuple[float, ...]) -> None:
    """Patches drawn from the stated prior, weighed by the likelihood of what is seen."""
    draw = torch.Generator().manual_seed(3)
    data, alpha_bar, count, pixel = sm.TrainingSet(images(4)), 0.3, 400_000, 13
    machine = sm.ScoreMachine(data, 3, "aligned", smooth=width)
    query = machine.query(noisy(1), torch.tensor([alpha_bar]).double())
    contrasts = Contrasts(scales, (1 / len(scales),) * len(scales))
    smooth = replace(query.smooth, contrasts=contrasts)
    stream = Stream(data, machine.engine, machine.attention, None, None)
    answers = stream.posteriors(replace(query, smooth=smooth), torch.tensor([0.5]).double(), 0)
    found = next(iter(answers)).mean.flatten(-2)[0, :, pixel]
    known = patches(images(4), 3, False)[:, pixel]
    mean = known.mean(0)
    apart = known - mean
    chosen = torch.randint(0, 4, (count,), generator=draw)
    spread = torch.randn(count, 4, generator=draw, dtype=torch.float64) @ apart / 4**0.5
    scale = torch.tensor(scales)[torch.randint(0, len(scales), (count, 1), generator=draw)]
    prior = mean + scale * ((1 - width**2) ** 0.5 * apart[chosen] + width * spread)
    seen = patches(noisy(1), 3, False)[0, pixel]
    distance = (seen - alpha_bar**0.5 * prior).square().sum(1)
    weight = (-distance / (2 * (1 - alpha_bar))).softmax(0)
    middle = prior[:, torch.tensor([4, 13])]
    estimate = weight @ middle
    error = (weight.square() @ (middle - estimate).square()).sqrt()
    assert float(error.max()) < 0.01
    assert bool(((found - estimate).abs() < 5 * error).all())


def test_contrasts_leave_second_moments_and_follow_the_data() -> None:
    draw = torch.Generator().manual_seed(5)
    plain = torch.randn(400, 1, 5, 5, generator=draw, dtype=torch.float64) / 8
    strong = torch.where(torch.rand(400, generator=draw) < 0.5, 0.5, 2.0)
    root = (0.5 * (0.25 + 4)) ** 0.5
    for pixels, ends in (
        (plain * 1.5, (1.0, 1.0)),
        (plain * strong[:, None, None, None], (0.5 / root, 2 / root)),
    ):
        data = sm.TrainingSet(pixels)
        laws = PatchLaws(image_law(data), 3, "valid")
        found = fitted_contrasts(data, laws)
        scales = torch.tensor(found.scales)
        assert float(torch.tensor(found.weights) @ scales.square()) == pytest.approx(1, abs=1e-6)
        assert sum(found.weights) == pytest.approx(1)
        half = torch.tensor(found.weights).cumsum(0) <= 0.6
        for group, end in zip((half, ~half), ends, strict=True):
            weights = torch.tensor(found.weights)[group]
            middle = float(weights @ scales[group] / weights.sum())
            assert middle == pytest.approx(end, rel=0.25), found


@pytest.mark.parametrize("sources", ["aligned", "valid", "boundary"])
def test_a_mixture_at_width_one_is_one_of_wiener_filters(sources: str) -> None:
    data, alpha_bar = sm.TrainingSet(images()), 0.7
    machine = sm.ScoreMachine(data, 3, sources, smooth="1+contrasts")
    found = machine.denoise(noisy(), alpha_bar)
    seen = patches(noisy(), 3, PERIODIC[sources])
    laws = PatchLaws(image_law(data), 3, sources)
    contrasts = fitted_contrasts(data, laws)
    for pixel in (0, 8, PIXELS - 1):
        known = admissible_patches(3, sources, pixel)
        mean, covariance = known.mean(0), known.T.cov(correction=0)
        apart = seen[:, pixel] - alpha_bar**0.5 * mean
        weights, answers = [], []
        for scale, weight in zip(contrasts.scales, contrasts.weights, strict=True):
            wide = scale**2 * covariance
            law = alpha_bar * wide + (1 - alpha_bar) * torch.eye(18).double()
            seen_as = torch.distributions.MultivariateNormal(torch.zeros(18).double(), law)
            weights.append(torch.tensor(weight).double().log() + seen_as.log_prob(apart))
            gain = alpha_bar**0.5 * torch.linalg.solve(law, wide[:, [4, 13]])
            answers.append(mean[[4, 13]] + apart @ gain)
        share = torch.stack(weights).softmax(0)[..., None]
        answer = (share * torch.stack(answers)).sum(0)
        check_close(found.flatten(-2)[..., pixel], answer, 1e-9, f"pixel {pixel}")


def test_the_width_of_a_step_is_that_of_its_time() -> None:
    data = sm.TrainingSet(images())
    machine = sm.ScoreMachine(data, 3, "valid", smooth="0:0.2,1:0.8")
    levels = torch.tensor([0.9, 0.1], dtype=torch.float64)
    both = machine.denoise(noisy(), levels)
    for place, level in enumerate(levels):
        width = 0.2 + 0.6 * float(machine.schedule.time(level[None]))
        alone = sm.ScoreMachine(data, 3, "valid", smooth=width)
        check_close(both[place], alone.denoise(noisy(), level)[place], 1e-12, "width at t")


def test_widths_are_read_and_written() -> None:
    schedule = SmoothSchedule((0.0, 0.5), (0.25, 0.75))
    assert [schedule(t) for t in (0.0, 0.25, 0.5, 0.9)] == [0.25, 0.5, 0.75, 0.75]
    assert parse_smooth(str(schedule)) == schedule == parse_smooth({0.5: 0.75, 0.0: 0.25})
    assert parse_smooth("0.5") == parse_smooth(0.5) == 0.5
    for text in ("0.5+contrasts", "0:0.25,0.5:0.75+contrasts", "0+contrasts"):
        mixture = parse_smooth(text)
        assert smooth_text(mixture) == text
        assert parse_smooth(mixture) == mixture
        spec = MachineSpec.parse(f"els:smooth={text}")
        assert MachineSpec.parse(str(spec)) == MachineSpec.parse(spec.title) == spec
    wrongs = (-0.1, 1.1, "x", "0:2", "0.5:0.1,0.2", "nan", {}, None, True)
    for wrong in (*wrongs, "+contrasts", "x+contrasts", "2+contrasts"):
        with pytest.raises(InputError, match="smooth"):
            parse_smooth(wrong)  # type: ignore[arg-type]


def test_it_is_kept_in_a_folder(tmp_path: Path) -> None:
    machine = sm.ScoreMachine(sm.TrainingSet(images()), 3, "valid", smooth="0:0.2,1:0.8")
    machine.save_pretrained(tmp_path)
    again = sm.ScoreMachine.from_pretrained(tmp_path)
    assert again.smooth == machine.smooth
    assert "smooth=0:0.2,1:0.8" in repr(again)
    assert torch.equal(again.denoise(noisy(), 0.5), machine.denoise(noisy(), 0.5))


def test_a_covariance_of_large_images_is_refused() -> None:
    machine = sm.ScoreMachine(sm.TrainingSet(torch.zeros(2, 3, 100, 100)), 3, smooth=0.5)
    with pytest.raises(InputError, match="at most 20,000 numbers"):
        machine.denoise(torch.zeros(1, 3, 100, 100), 0.5)


@pytest.mark.parametrize("sources", ["aligned", "valid"])
def test_other_processes_give_the_same_bits(executors: list[Processes], sources: str) -> None:
    data = sm.TrainingSet(images())
    for attention, smooth in (("none", "0.6+contrasts"), ("tiled", "0.6")):
        machine = sm.ScoreMachine(data, 3, sources, attention, smooth=smooth)
        for executor in executors:
            machine.executor = Divided(executor.parts)
            known = machine.posterior(noisy(), 0.7, best=2)
            machine.executor = executor
            found = machine.posterior(noisy(), 0.7, best=2)
            assert torch.equal(found.mean, known.mean)
            assert torch.equal(found.sources.image, known.sources.image)


def test_a_covariance_is_sent_once() -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (8, 3, 12, 12), generator=draw, dtype=torch.uint8)
    executor = Counted()
    machine = sm.ScoreMachine(sm.TrainingSet(pixels), 3, smooth=0.5, executor=executor)
    for _ in range(3):
        machine.denoise(torch.zeros(1, 3, 12, 12), 0.5)
    law = machine.query(torch.zeros(1, 3, 12, 12), torch.tensor([0.5]).double()).smooth
    assert law is not None
    assert law.law.covariance.nbytes > LARGE
    assert max(there for there, _ in executor.rounds[2:]) < 2**15  # after mean and covariance
    assert len(executor.packer.handles) <= 3


def test_a_page_names_the_width(tmp_path: Path) -> None:
    line = [
        "generate",
        "digits",
        "--limit",
        "20",
        "-n",
        "1",
        "--steps",
        "2",
        "--window",
        "3",
        "-o",
    ]
    for width, shown in (("0.5", True), ("0", False)):
        output = tmp_path / width
        assert main([*line, str(output), "--smooth", width]) == 0
        page = (output / "report.html").read_text(encoding="utf-8")
        assert ("attention none, h = 0.5" in page) == shown


@pytest.mark.parametrize("smooth", [0.0, 0.6, "0.6+contrasts"])
@pytest.mark.parametrize("sources", ["aligned", "valid", "boundary"])
def test_some_pixels_have_the_bits_of_all(sources: str, smooth: float | str) -> None:
    machine = sm.ScoreMachine(sm.TrainingSet(images()), 3, sources, smooth=smooth)
    every, wanted = machine.posterior(noisy(), 0.6, best=2), torch.tensor([7, 0, 29, 7])
    some = machine.posterior(noisy(), 0.6, best=2, pixels=wanted)
    assert every.sources is not None
    assert some.sources is not None
    for name in ("log_weight", "mean", "entropy"):
        fields = [getattr(each, name).flatten(-2)[..., wanted] for each in (every, some)]
        assert torch.equal(*fields), name
    for name in ("log_weight", "image", "position"):
        fields = [getattr(each.sources, name).flatten(-2)[..., wanted] for each in (every, some)]
        assert torch.equal(*fields), name


def test_pixels_that_are_not_there_are_refused_and_attention_reads_all() -> None:
    machine = sm.ScoreMachine(sm.TrainingSet(images()), 3, "valid", smooth=0.5)
    for wrong in (torch.tensor([30]), torch.tensor([-1]), torch.tensor([0.0]), [0]):
        with pytest.raises(InputError, match="pixels="):
            machine.posterior(noisy(), 0.6, pixels=wrong)  # type: ignore[arg-type]
    tiled = sm.ScoreMachine(sm.TrainingSet(images()), 3, "valid", "tiled", smooth=0.5)
    some = tiled.posterior(noisy(), 0.6, pixels=torch.tensor([4]))
    assert torch.equal(some.mean, tiled.denoise(noisy(), 0.6))
