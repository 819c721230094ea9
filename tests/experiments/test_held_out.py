"""Machines on images that they have not seen: the table, its errors, and going on with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.experiments.held_out import FILE, noised, ratio_of
from scoremachines.io.sealed import read_json, write_json
from scoremachines.machine.baselines import Wiener

LINE = "denoise digits --limit 120 -n 12 --validation 8 --windows 3,5 --widths 0,0.7"


def rows(folder: Path) -> dict[tuple[float, str], dict[str, object]]:
    found = read_json(folder / FILE)["rows"]
    return {(row["sigma"], row["machine"]): row for row in found}


def test_noise_is_of_the_stated_size() -> None:
    images = torch.rand(50, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for sigma in (0.05, 0.853):
        noisy, alpha_bar = noised(images, sigma, 1)
        noise = (noisy / alpha_bar**0.5 - images) / 2
        assert float(noise.std()) == pytest.approx(sigma, rel=0.01)
        assert alpha_bar == pytest.approx(1 / (1 + 4 * sigma**2))


def test_the_error_of_a_ratio_is_that_of_many_draws() -> None:
    draw = torch.Generator().manual_seed(0)
    others = torch.rand(4000, 100, generator=draw, dtype=torch.float64) + 0.5
    errors = 0.8 * others + 0.1 * torch.randn(4000, 100, generator=draw, dtype=torch.float64)
    found = [ratio_of(a, b) for a, b in zip(errors, others, strict=True)]
    ratios, spreads = torch.tensor(found).T
    assert float(ratios.mean()) == pytest.approx(0.8, abs=0.002)
    assert float(spreads.mean()) == pytest.approx(float(ratios.std()), rel=0.05)


def test_the_table_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    names = ["--machine", "local", "--machine", "ideal:smooth=1", "--machine", "bbels:smooth=0.4"]
    names += ["--machine", "bbels:smooth=0+contrasts"]
    line = [*LINE.split(), "--sigmas", "0.2,0.8", *names, "-o", str(output)]
    assert main(line) == 0
    known = rows(output)
    assert len(known) == 2 * 5
    for sigma in (0.2, 0.8):
        wiener, whole = known[sigma, "wiener"], known[sigma, "ideal:smooth=1"]
        assert (wiener["ratio"], wiener["spread"]) == (1.0, 0.0)
        assert whole["ratio"] == pytest.approx(1.0, abs=1e-5)  # it is the same filter
        assert known[sigma, "bbels:smooth=0.4"]["width"] == "0.4"
        assert known[sigma, "local"]["window"] in (3, 5)
        assert known[sigma, "local"]["width"] in ("", "0.7")
        mixture = known[sigma, "bbels:smooth=0+contrasts"]["width"]
        assert mixture in ("0+contrasts", "0.7+contrasts")
    held = read_json(output / FILE)
    del held["rows"][3:]
    write_json(output / FILE, held)
    capsys.readouterr()
    assert main([*line, "--resume"]) == 0
    assert rows(output) == known
    assert capsys.readouterr().out.count("| 0.8 |") == 5
    assert main([*line, "--resume", "--seed", "1"]) == 2
    assert "that it was begun with" in capsys.readouterr().err


def test_what_was_chosen_is_best_by_other_images(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert main([*LINE.split(), "--sigmas", "0.3", "-o", str(output)]) == 0
    chosen = rows(output)[0.3, "local"]
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    data = sm.TrainingSet.open("digits", limit=120)
    pool = data.subset(order[20:].sort().values)
    errors = {}
    for window in (3, 5):
        for width in (0.0, 0.7):
            machine = sm.local(pool, window, smooth=width)
            for seed, part, place in ((1, "choose", slice(12, 20)), (0, "test", slice(0, 12))):
                images = data.block(order[place])
                noisy, alpha_bar = noised(images, 0.3, seed)
                error = (machine.denoise(noisy, alpha_bar) - images).square().mean() / 4
                errors[window, width, part] = float(error)
    best = min(((k, h) for k, h, _ in errors), key=lambda each: errors[(*each, "choose")])
    assert (chosen["window"], float(chosen["width"] or 0)) == best
    assert chosen["error"] == pytest.approx(errors[(*best, "test")], rel=1e-4)


def test_a_grid_of_pixels_has_their_errors(tmp_path: Path) -> None:
    line = [*LINE.split(), "--sigmas", "0.3", "--machine", "els:smooth=0.7", "--machine", "pspc"]
    assert main([*line, "--pixels", "4", "-o", str(tmp_path / "few")]) == 0
    few = rows(tmp_path / "few")
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    data = sm.TrainingSet.open("digits", limit=120)
    pool, images = data.subset(order[20:].sort().values), data.block(order[:12])
    noisy, alpha_bar = noised(images, 0.3, 0)
    for name in ("els:smooth=0.7", "wiener"):
        row = few[0.3, name]
        machine = sm.els(pool, row["window"], smooth=0.7) if row["window"] else Wiener(pool)
        apart = (machine.denoise(noisy, alpha_bar) - images)[:, :, 2::4, 2::4]
        assert row["error"] == pytest.approx(float(apart.square().mean() / 4), rel=1e-4)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("-n 200", "n=200"),
        ("-n 1", "n=1"),
        ("--validation 0", "validation=0"),
        ("--sigmas x", "sigmas='x'"),
        ("--widths 2", "widths="),
        ("--windows 4", "window"),
        ("--windows 3.5", "windows="),
        ("--machine nobody", "machine='nobody'"),
        ("--machine tiled", "machine='tiled'"),
        ("--held_out photographs", "held_out="),
        ("--pool 0", "pool=0"),
        ("--pixels 0", "pixels=0"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LINE.split(), *words.split(), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("scoremachines: error:")
    assert named.replace("_", "-") in said.replace("_", "-")
