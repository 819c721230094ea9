"""Composed patches: their definition, limits, and what goes together with them (theory §2.10)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.data.reduction import Divided
from scoremachines.errors import InputError
from scoremachines.machine.composed import ComposedPatches
from scoremachines.testing import check_machine
from scoremachines.theory.comparing import check_close
from scoremachines.theory.positions import PERIODIC, SOURCES, admissible, patches
from scoremachines.theory.specs.machine import MachineSpec

SHAPE = 2, 5, 7
PIXELS = SHAPE[1] * SHAPE[2]


def images(count: int = 9) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.rand(count, *SHAPE, generator=draw, dtype=torch.float64) * 2 - 1


def data(count: int = 9) -> sm.TrainingSet:
    return sm.TrainingSet(images(count), torch.arange(count) % 2)


def noisy(count: int = 2) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(count, *SHAPE, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("engine", ["reference", "torch", "native"])
@pytest.mark.parametrize("sources", SOURCES)
@pytest.mark.parametrize("window", [1, 3, 5])
def test_each_pixel_is_the_mean_of_the_patches_that_it_lies_in(
    window: int, sources: str, engine: str
) -> None:
    """h = 0: weights are those of KG's machine, and every patch is a mean of training patches."""
    machine = sm.ScoreMachine(data(), window, sources, response="composed", engine=engine)
    found = machine.denoise(noisy(), 0.6)
    every = patches(images(), window, PERIODIC[sources])  # [n, v, d]
    seen = patches(noisy(), window, PERIODIC[sources])
    allowed = admissible(*SHAPE[1:], window, sources)
    sums, counts = torch.zeros(2, 2, 5, 7).double(), torch.zeros(5, 7)
    radius = window // 2
    for u in range(PIXELS):
        near = every[:, allowed[u]].flatten(0, 1)
        distance = (seen[:, u, None] - 0.6**0.5 * near).square().sum(-1)
        mean = (-distance / 0.8).softmax(1) @ near  # [B, d]
        for place, value in enumerate(mean.view(2, 2, -1).unbind(-1)):
            row = u // 7 + place // window - radius
            column = u % 7 + place % window - radius
            if PERIODIC[sources]:
                row, column = row % 5, column % 7
            if 0 <= row < 5 and 0 <= column < 7:
                sums[:, :, row, column] += value
                counts[row, column] += 1
    check_close(found, sums / counts, 1e-9, "composed")


@pytest.mark.parametrize("window", [3, 5])
def test_aligned_points_composed_are_pspc(window: int) -> None:
    known = ComposedPatches(data(), window).denoise(noisy(), 0.7)
    found = sm.local(data(), window, response="composed").denoise(noisy(), 0.7)
    check_close(found, known, 1e-9, "PSPC")


@pytest.mark.parametrize("sources", SOURCES)
def test_engines_agree_on_sources_with_a_width(sources: str) -> None:
    for smooth in (0.5, 1.0, "0.6+contrasts"):
        for attention in ("none", "tiled", "identity-class"):
            answers = [
                sm.ScoreMachine(
                    data(), 3, sources, attention, smooth=smooth, response="composed", engine=each
                ).posterior(noisy(), 0.8, best=best)
                for each, best in (("reference", 0), ("torch", 0), ("auto", 0), ("auto", 2))
            ]
            for each in answers[1:]:
                check_close(each.mean, answers[0].mean, 1e-8, f"{smooth}, {attention}")


def test_a_window_of_one_and_the_whole_image_are_their_centres() -> None:
    for window, sources in ((1, "valid"), (None, "aligned"), (None, "circular")):
        centre, composed = (
            sm.ScoreMachine(data(), window, sources, smooth=0.5, response=each)
            for each in ("centre", "composed")
        )
        check_close(
            composed.denoise(noisy(), 0.6), centre.denoise(noisy(), 0.6), 1e-9, f"{window}"
        )


@pytest.mark.parametrize("sources", ["aligned", "boundary", "circular"])
def test_some_pixels_are_those_of_all(sources: str) -> None:
    machine = sm.ScoreMachine(data(), 3, sources, smooth=0.5, response="composed")
    wanted = torch.tensor([0, 6, 17, 34])
    every = machine.denoise(noisy(), 0.6).flatten(2)[..., wanted]
    some = machine.posterior(noisy(), 0.6, pixels=wanted).mean.flatten(2)[..., wanted]
    check_close(some, every, 1e-12, "some pixels")


def test_windows_of_a_batch_may_differ_and_gradients_are_right() -> None:
    machine = sm.ScoreMachine(data(), {0.0: 3, 1.0: 5}, smooth=0.4, response="composed")
    levels = torch.tensor([0.95, 0.05], dtype=torch.float64)
    both = machine.denoise(noisy(), levels)
    for i in range(2):
        alone = machine.denoise(noisy()[i : i + 1], levels[i])
        check_close(both[i : i + 1], alone, 1e-12, "alone")
    leaf = noisy().requires_grad_()
    direction = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(3)).double()
    (slope,) = torch.autograd.grad((machine.denoise(leaf, levels) * direction).sum(), leaf)
    step = 1e-6 * direction
    ends = [(machine.denoise(noisy() + m, levels) * direction).sum() for m in (step, -step)]
    check_close((slope * direction).sum(), (ends[0] - ends[1]) / 2e-6, 1e-5, "slope")


@pytest.mark.slow
def test_no_division_changes_an_answer() -> None:
    check_machine(
        lambda training: sm.ScoreMachine(training, 3, "valid", smooth=0.5, response="composed"),
        images(8),
        [Divided(3)],
    )


def test_it_is_kept_named_and_painted(tmp_path: Path) -> None:
    machine = sm.local(data(), 3, smooth=0.5, response="composed")
    machine.save_pretrained(tmp_path / "kept")
    again = sm.ScoreMachine.from_pretrained(tmp_path / "kept")
    assert again.response == "composed"
    assert torch.equal(again.denoise(noisy(), 0.5), machine.denoise(noisy(), 0.5))
    spec = MachineSpec.parse("local:composed:smooth=0.8+contrasts")
    assert str(spec) == "local:composed:smooth=0.8+contrasts"
    assert MachineSpec.parse(spec.title) == spec
    assert MachineSpec.parse("tiled-class:1.3:composed").response == "composed"
    line = "generate digits --limit 20 -n 1 --steps 2 --machine local:composed --window 3"
    assert main([*line.split(), "--smooth", "0.5", "-o", str(tmp_path / "painted")]) == 0
    assert main([*line.split(), "--machine", "local", "-o", str(tmp_path / "plain")]) == 0
    one, other = (
        (tmp_path / name / "samples" / "0000.png").read_bytes() for name in ("painted", "plain")
    )
    assert one != other


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(InputError, match="response='all'"):
        sm.els(data(), 3, response="all")
    with pytest.raises(InputError, match="for composed patches"):
        sm.els(data(), 3, response="composed", engine="adaptive")
    with pytest.raises(InputError, match="response="):
        MachineSpec.parse("wiener:composed")
