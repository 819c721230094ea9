"""k(t) and λ(t): known ones are recovered from machines that play the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import Scaled, Soft, Tiled
from scoremachines.calibration import (
    MEASURES,
    Calibration,
    Curves,
    StrengthCalibration,
    calibrate,
    calibrate_strength,
)
from scoremachines.errors import InputError
from scoremachines.networks import Network, NetworkSettings
from scoremachines.sampling.reverse_process import Step
from scoremachines.testing import check_attention
from scoremachines.theory.locality import WindowSchedule, parse_window
from scoremachines.theory.specs import GainSchedule

SHAPE = (2, 7, 9)
H, W = SHAPE[1:]


def images(count: int, *size: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(count, *(size or SHAPE), generator=draw, dtype=torch.float64) * 2 - 1


DATA = sm.TrainingSet(images(4), torch.arange(4) % 2)


@pytest.mark.parametrize("sources", ["aligned", "valid", "circular", "boundary"])
@pytest.mark.parametrize("measure", MEASURES)
def test_a_known_window_is_recovered_at_every_step(sources: str, measure: str) -> None:
    network = sm.ScoreMachine(DATA, 5, sources)
    found = calibrate(network, DATA, steps=4, seeds=3, measure=measure)
    assert found.curves.candidates == (1, 3, 5, 7)
    assert found.times == (0.25, 0.5, 0.75, 1.0)
    assert found.windows == (5, 5, 5, 5)
    assert found.curves.about["sources"] == sources


@pytest.mark.parametrize("attention", ["none", "tiled"])
def test_a_known_schedule_is_recovered_at_every_step(attention: str) -> None:
    known = WindowSchedule((0.0, 0.4, 0.7, 1.0), (1, 3, 7, 5))
    network = sm.bbels(DATA, known, attention=attention)
    found = calibrate(network, DATA, attention=attention, steps=7, seeds=3)
    assert found.windows == tuple(known(t) for t in found.times)
    assert set(found.windows) == {1, 3, 7, 5}


def test_classes_and_other_schedules_are_followed() -> None:
    network = sm.els(DATA, {0.0: 1, 0.6: 3}, schedule="linear")
    found = calibrate(network, DATA, steps=5, seeds=4, labels=[0, 1, 1, 0], windows=[5, 1, 3, 3])
    assert found.curves.candidates == (1, 3, 5)
    assert found.windows == (1, 3, 3, 3, 3)
    assert torch.allclose(found.curves.values["noise"].amax(1), torch.ones(5, 4).double())


def test_a_machine_takes_it_as_its_window_and_paints_what_the_network_paints() -> None:
    network = sm.bbels(DATA, {0.0: 1, 0.5: 5})
    found = sm.calibrate(network, DATA, steps=4, seeds=2)
    machine = sm.bbels(DATA, window=found)
    known = sm.sample(network, 3, 4, seed=5, best=0).images
    assert torch.equal(sm.sample(machine, 3, 4, seed=5, best=0).images, known)
    assert parse_window(machine.config["window"]) == found.schedule


def test_curves_follow_the_definitions() -> None:
    network = sm.bbels(DATA, 3)
    steps: list[Step] = []
    found = calibrate(network, DATA, steps=3, seeds=2, on_step=steps.append)
    assert [step.number for step in steps] == [1, 2, 3]
    for step, row in zip(reversed(steps), range(3), strict=True):
        for column, window in enumerate(found.curves.candidates):
            machine = sm.bbels(DATA, window)
            clean = machine.denoise(step.noisy, step.alpha_bar)
            noise = machine.epsilon(step.noisy, step.alpha_bar)
            known = network.epsilon(step.noisy, step.alpha_bar)
            for seed in range(2):
                a, b = noise[seed].flatten(), known[seed].flatten()
                cosine = a @ b / (a.norm() * b.norm())
                pair = torch.stack([clean[seed].flatten(), step.clean[seed].flatten()])
                expected = {
                    "noise": cosine,
                    "clean": torch.corrcoef(pair)[0, 1],
                    "error": -(pair[0] - pair[1]).square().mean(),
                }
                for measure in MEASURES:
                    value = found.curves.values[measure][row, column, seed]
                    torch.testing.assert_close(value, expected[measure], rtol=0, atol=1e-12)
    assert found.by("error").curves.measure == "error"
    assert found.by("error").windows == (3, 3, 3)


def test_a_trained_shape_of_network_sets_candidates_and_sources() -> None:
    shape = NetworkSettings(width=8, receptive_field=5, key_width=4, attention="soft")
    network = Network.for_data(DATA, shape)
    found = calibrate(network, DATA, steps=3, seeds=2)
    assert found.curves.candidates == (1, 3, 5)
    assert found.curves.about["sources"] == "boundary"
    batched = calibrate(network, DATA, steps=3, seeds=4)
    torch.testing.assert_close(
        batched.curves.values["noise"][..., :2], found.curves.values["noise"], rtol=0, atol=1e-6
    )


@given(st.data())
def test_the_middle_vote_wins(data: st.DataObject) -> None:
    votes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=7))
    value = torch.zeros(1, 4, len(votes), dtype=torch.float64)
    for trajectory, vote in enumerate(votes):
        value[0, vote, trajectory] = 1
    chosen = Curves((1, 3, 5, 9), {"noise": value}, "noise").voted()[0]
    assert sum(vote <= chosen for vote in votes) * 2 >= len(votes)
    assert sum(vote >= chosen for vote in votes) * 2 >= len(votes)
    assert chosen in votes


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_a_known_strength_is_recovered(strength: float) -> None:
    matrix = images(H * W, H * W, seed=1).abs() / 9
    network = sm.bbels(DATA, 3, attention=Scaled(Soft(matrix), strength))
    found = calibrate_strength(
        network, DATA, lambda given: Scaled(Soft(matrix), given), window=3, steps=3, seeds=2
    )
    assert found.gains == (strength,) * 3
    assert found.constant == strength


def test_a_known_strength_of_time_is_recovered_and_plugged_in() -> None:
    known = GainSchedule((0.25, 0.5, 0.75, 1.0), (0.03, 0.3, 1.0, 0.1))
    network = sm.bbels(DATA, {0.0: 3, 0.5: 5}, attention=Scaled(Tiled(), known))
    found = calibrate_strength(
        network,
        DATA,
        lambda given: Scaled(Tiled(), given),
        window=network.window,
        steps=4,
        seeds=3,
    )
    assert found.gains == known.gains
    machine = sm.bbels(DATA, network.window, attention=Scaled(Tiled(), found))
    noisy = images(2, seed=3)
    for alpha_bar in (0.1, 0.5, 0.95):
        assert torch.equal(machine.denoise(noisy, alpha_bar), network.denoise(noisy, alpha_bar))


def test_scaled_attention_keeps_the_contract() -> None:
    check_attention(Scaled(Tiled(), GainSchedule((0.2, 0.6), (0.1, 2.0))))


@settings(max_examples=6, deadline=None)
@given(st.floats(0, 3), st.floats(0.01, 0.99))
def test_scaled_attention_is_the_scaled_matrix(strength: float, alpha_bar: float) -> None:
    matrix, noisy = images(H * W, H * W, seed=1).abs(), images(2, seed=2)
    known = sm.els(DATA, 3, attention=Soft(strength * matrix)).denoise(noisy, alpha_bar)
    found = sm.els(DATA, 3, attention=Scaled(Soft(matrix), strength)).denoise(noisy, alpha_bar)
    torch.testing.assert_close(found, known, rtol=0, atol=1e-9)


@given(st.floats(0, 1))
def test_strength_is_linear_between_its_knots(t: float) -> None:
    schedule = GainSchedule((0.2, 0.6), (1.0, 3.0))
    expected = 1 + 2 * min(max(t - 0.2, 0), 0.4) / 0.4
    assert schedule(t) == pytest.approx(expected)


def test_both_survive_a_file_digit_by_digit(tmp_path: Path) -> None:
    network = sm.bbels(DATA, 3)
    options = {"steps": 2, "seeds": 1}
    windows = calibrate(network, DATA, **options)
    strengths = calibrate_strength(
        network, DATA, lambda given: Scaled(Tiled(), given), window=3, **options
    )
    for made, kind in ((windows, Calibration), (strengths, StrengthCalibration)):
        made.save(tmp_path / "calibration.json")
        again = kind.load(tmp_path / "calibration.json")
        assert again == made
        assert again.curves.candidates == made.curves.candidates
        assert again.curves.about == made.curves.about
        for measure in MEASURES:
            assert torch.equal(again.curves.values[measure], made.curves.values[measure])


def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    calibrate(sm.bbels(DATA, 3), DATA, steps=2, seeds=1).save(path)
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    damages = [
        text[: len(text) // 2],
        "[]",
        "",
        *(json.dumps({k: v for k, v in content.items() if k != key}) for key in content),
        json.dumps(content | {"chosen": [3, 4]}),
        json.dumps(content | {"chosen": [3]}),
        json.dumps(content | {"times": [0.5, 0.25]}),
        json.dumps(content | {"measure": "luck"}),
        json.dumps(content | {"candidates": [1, 3]}),
        json.dumps(content | {"kind": "strengths"}),
        text.replace("0.", "1e999", 1).replace("-0.", "NaN"),
    ]
    for damage in damages:
        path.write_text(damage, encoding="utf-8")
        with pytest.raises(InputError) as refusal:
            Calibration.load(path)
        assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="no such file"):
        Calibration.load(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": []}, "windows="),
        ({"windows": [4]}, "middle pixel"),
        ({"windows": [9]}, "larger than the image"),
        ({"measure": "luck"}, "noise, clean, error"),
        ({"steps": 0}, "steps=0"),
        ({"seeds": 0}, "seeds=0"),
        ({"sources": "anywhere"}, "sources="),
        ({"labels": 7}, "no such class"),
    ],
)
def test_what_cannot_be_calibrated(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(sm.bbels(DATA, 3), DATA, **options)


def test_a_network_for_other_images_is_refused() -> None:
    other = sm.TrainingSet(images(3, 2, 5, 9))
    with pytest.raises(InputError, match="data="):
        calibrate(sm.bbels(DATA, 3), other)
    with pytest.raises(InputError, match="strengths="):
        calibrate_strength(sm.bbels(DATA, 3), DATA, lambda _: Tiled(), window=3, strengths=())
    for strength in (-1.0, float("nan"), True):
        with pytest.raises(InputError, match="strength="):
            Scaled(Tiled(), strength)
    with pytest.raises(InputError, match="rise"):
        GainSchedule((0.5, 0.2), (1.0, 1.0))
