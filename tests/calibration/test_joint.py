"""k(t) and h(t) together: what is known is found, limits, files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.calibration import (
    JointCalibration,
    calibrate,
    calibrate_jointly,
    predict_jointly,
)
from scoremachines.calibration.information import noised_images
from scoremachines.cli.main import main
from scoremachines.errors import InputError
from scoremachines.machine.baselines import Wiener
from scoremachines.theory.schedule import noise_schedule

CHECKPOINTS = Path(sm.__file__).parent / "experiments" / "checkpoints"


def images(count: int, seed: int = 0, size: tuple[int, int, int] = (1, 6, 7)) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(count, *size, generator=draw, dtype=torch.float64) * 2 - 1


def data(count: int = 12) -> sm.TrainingSet:
    return sm.TrainingSet(images(count), torch.arange(count) % 2)


@pytest.mark.parametrize(("window", "width"), [(3, 0.6), (5, 0.0), (1, 1.0)])
def test_a_machine_that_plays_the_network_is_found(window: int, width: float) -> None:
    network = sm.ScoreMachine(data(), window, "aligned", smooth=width)
    options: dict[str, Any] = {"sources": "aligned", "steps": 4, "seeds": 3}
    found = calibrate_jointly(
        network, data(), windows=(5, 1, 3), widths=(0.6, 0.0, 1.0, 0.3), **options
    )
    assert found.windows, found.widths == ((1, 3, 5), (0.0, 0.3, 0.6, 1.0))
    assert found.chosen() == [(window, width)] * 4
    assert float(found.values["error"].amax()) == 0
    again = sm.ScoreMachine(data(), found.window, "aligned", smooth=found.smooth)
    noisy = images(2, seed=1)
    assert torch.equal(again.denoise(noisy, 0.4), network.denoise(noisy, 0.4))


def test_with_one_width_of_zero_it_is_the_calibration_of_windows() -> None:
    network = Wiener(data())
    options: dict[str, Any] = {"sources": "boundary", "steps": 4, "seeds": 3}
    known = calibrate(network, data(), measure="error", **options)
    found = calibrate_jointly(network, data(), widths=[0], **options)
    for name, values in known.curves.values.items():
        assert torch.equal(found.values[name][:, 0], values)


def test_contrasts_are_those_of_machines() -> None:
    network = sm.ScoreMachine(data(30), 3, "aligned", smooth="0.6+contrasts")
    found = calibrate_jointly(
        network,
        data(30),
        windows=(3, 5),
        widths=(0.3, 0.6),
        contrasts=True,
        sources="aligned",
        steps=2,
        seeds=2,
    )
    assert found.chosen() == [(3, 0.6)] * 2
    assert str(found.smooth) == "0.5:0.6,1:0.6+contrasts"


def test_held_out_images_decide() -> None:
    """The error of images that no machine has, computed anew from its definition."""
    found = predict_jointly(
        data(), windows=(1, 3), widths=(0, 0.7), sources="valid", steps=2, draws=3, seed=4
    )
    places, noise = noised_images(data(), 3, 4)
    others = [i for i in range(12) if i not in places.tolist()]
    clean, few = images(12)[places], data().subset(others)
    levels = noise_schedule("cosine").alpha_bar(torch.tensor([0.5, 1.0], dtype=torch.float64))
    for step, level in enumerate(levels.tolist()):
        noisy = level**0.5 * clean + (1 - level) ** 0.5 * noise
        for j, width in enumerate((0, 0.7)):
            for i, window in enumerate((1, 3)):
                answer = sm.ScoreMachine(few, window, smooth=width).denoise(noisy, level)
                known = -(answer - clean).square().mean((1, 2, 3))
                value = found.values["held-out"][step, j, i]
                torch.testing.assert_close(value, known, rtol=0, atol=1e-6)


def test_gaussian_images_want_the_wiener_filter() -> None:
    draw = torch.Generator().manual_seed(3)
    mixed = torch.randn(200, 1, 5, 5, generator=draw, dtype=torch.float64)
    blurred = torch.nn.functional.avg_pool2d(mixed, 3, 1, 1) * 0.5
    found = predict_jointly(
        sm.TrainingSet(blurred.clamp(-1, 1)), windows=(5,), widths=(0, 0.5, 1), steps=3, draws=60
    )
    assert [width for _, width in found.chosen()] == [1.0] * 3


def test_it_survives_a_file(tmp_path: Path) -> None:
    found = predict_jointly(data(), windows=(1, 3), widths=(0, 0.5), steps=2, draws=2)
    found.save(tmp_path / "joint.json")
    again = JointCalibration.load(tmp_path / "joint.json")
    assert again.chosen() == found.chosen()
    assert torch.equal(again.values["held-out"], found.values["held-out"])
    calibrate(Wiener(data()), data(), sources="valid", steps=1, seeds=1).save(tmp_path / "k.json")
    for name in ("k.json", "none.json"):
        with pytest.raises(InputError, match="calibration="):
            JointCalibration.load(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, "widths="),
        ({"widths": "0.5"}, "widths="),
        ({"widths": (0.5, 1.5)}, "widths=1.5"),
        ({"draws": 7}, "at most half of 12"),
        ({"windows": [2]}, "middle pixel"),
        ({"steps": 0}, "steps=0"),
        ({"sources": "anywhere"}, "sources="),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict_jointly(data(), **{"draws": 2, "steps": 1} | options)


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"calibrate {CHECKPOINTS / 'digits-cnn-0'} --source digits --limit 40 --windows 3,5"
    line += f" --widths 0,0.5 --steps 2 --seeds 2 --predict -o {tmp_path / 'out'}"
    assert main(line.split()) == 0
    printed = capsys.readouterr().out
    for name in ("calibrated", "predicted"):
        found = JointCalibration.load(tmp_path / "out" / f"{name}-widths.json")
        assert found.widths == (0.0, 0.5)
        text = f"{name} with widths: --window {found.window} --machine none:smooth={found.smooth}"
        assert text in printed
