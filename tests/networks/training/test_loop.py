"""What training does to a network: targets, averages, temperature, classes (theory §5)."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.networks import Network, NetworkSettings
from scoremachines.networks.training import Progress, Training, TrainSettings, new_network, train
from scoremachines.networks.training.loop import CLOSEST, STREAM, UNTOLD, learning_rate
from scoremachines.sampling.reverse_process import noise_generator

SMALL = NetworkSettings(width=8, receptive_field=3, key_width=6)
QUICK = TrainSettings(
    network=SMALL, steps=20, batch=11, learning_rate=1e-2, warmup=5, precision="no"
)


def pictures(count: int = 4, labels: bool = False) -> sm.TrainingSet:
    """Random pictures of 5×7 pixels, in two classes: bright ones and dark ones."""
    draw = torch.Generator().manual_seed(1)
    pixels = torch.rand(count, 3, 5, 7, generator=draw) * 0.4
    classes = torch.arange(count) % 2
    pixels = pixels + 0.4 - 1.2 * classes[:, None, None, None]
    return sm.TrainingSet(pixels, classes if labels else None)


def settings(**changes: Any) -> TrainSettings:
    """Quick settings with some of them changed, those of the network among them."""
    shape = {name: changes.pop(name) for name in list(changes) if hasattr(SMALL, name)}
    return replace(QUICK, network=replace(SMALL, **shape), **changes)


def begun(data: sm.TrainingSet, wanted: TrainSettings) -> Training:
    return Training(new_network(data, wanted), data, wanted)


def weights(network: Network) -> Tensor:
    return torch.cat([each.detach().flatten() for each in network.parameters()])


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon", "sample"])
def test_the_only_image_there_is_becomes_the_answer(kind: str) -> None:
    """With N = 1 the optimum is x̂0 = x at every noise level, whatever the form of the answer."""
    data = sm.TrainingSet(torch.full((1, 3, 5, 7), 0.5))
    wanted = settings(prediction_type=kind, steps=300, batch=32)
    losses: list[float] = []
    network = train(new_network(data, wanted), data, wanted, lambda now: losses.append(now.loss))
    assert losses[-1] < 0.2 * losses[0]
    noise = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(5))
    for alpha_bar in (0.3, 0.6, 0.9):
        noisy = math.sqrt(alpha_bar) * data.images + math.sqrt(1 - alpha_bar) * noise
        assert (network.denoise(noisy, alpha_bar) - data.images).abs().mean() < 0.25


def test_a_training_ends_the_same_whenever_it_is_repeated() -> None:
    data = pictures()
    torch.manual_seed(1)
    first = train(new_network(data, QUICK), data, QUICK)
    torch.manual_seed(2)
    again = train(new_network(data, QUICK), data, QUICK)
    other = train(new_network(data, settings(seed=1)), data, settings(seed=1))
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))
    assert not first.training


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train(new_network(pictures(), QUICK), pictures(), settings(attention="top1"))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("ema", [0.0, 0.35, 0.999])
def test_the_average_is_that_of_its_formula(ema: float) -> None:
    training = begun(pictures(), settings(ema=ema))
    expected = torch.zeros(())
    for progress in training.steps():
        now = weights(training.network)
        step = progress.step - 1
        decay = min(ema, (1 + step) / (10 + step)) if step else 0.0
        expected = decay * expected + (1 - decay) * now
    torch.testing.assert_close(weights(training.average()), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(weights(training.average()), now) == (ema == 0)


def test_an_average_on_the_way_changes_nothing() -> None:
    looked, plain = (begun(pictures(), settings(attention="top1")) for _ in range(2))
    seen = [weights(progress.average()) for progress in looked.steps()]
    for _ in plain.steps():
        pass
    assert torch.equal(weights(looked.network), weights(plain.network))
    assert torch.equal(seen[-1], weights(plain.average()))
    assert not torch.equal(seen[-2], seen[-1])


def test_stopping_early_and_going_on_is_the_same_as_not_stopping() -> None:
    stopped, plain = (begun(pictures(), QUICK) for _ in range(2))
    for progress in stopped.steps():
        if progress.step == 7:
            break
    assert stopped.step == 7
    assert [progress.step for progress in stopped.steps()] == list(range(8, 21))
    for _ in plain.steps():
        pass
    assert torch.equal(weights(stopped.network), weights(plain.network))
    assert stopped.history == plain.history
    assert [step for step, _, _ in plain.history] == [10, 20]


def test_the_times_of_a_batch_are_spread_evenly() -> None:
    training = begun(pictures(), settings(times="even"))
    _, alphas, labels, _ = training._examples(noise_generator(0, STREAM))
    times = training.network.schedule.time(alphas).sort().values
    assert labels is None
    assert alphas.min() >= CLOSEST
    assert alphas.max() <= 1 - CLOSEST
    # Where ᾱ is kept away from 0 and 1, the time read back from it is too.
    torch.testing.assert_close(times.diff(), torch.full((10,), 1 / 11).double(), rtol=0, atol=0.01)


def test_most_times_come_from_the_middle() -> None:
    training = begun(pictures(), settings(times="middle", batch=1000))
    _, alphas, _, _ = training._examples(noise_generator(0, STREAM))
    times = training.network.schedule.time(alphas)
    even = torch.arange(1000) % 4 == 0
    quarters = torch.tensor([0.25, 0.75]).double()
    middle = times[~even].quantile(quarters).tolist()
    assert middle == pytest.approx([0.481, 0.782], abs=0.003)
    assert times[even].quantile(quarters).tolist() == pytest.approx([0.25, 0.75], abs=0.006)
    assert float(times[even].min()) < 0.01
    assert float(times[even].max()) > 0.99


def test_the_learning_rate_rises_falls_and_ends_at_nothing() -> None:
    wanted = TrainSettings(steps=1000, warmup=100, learning_rate=0.5)
    rates = [learning_rate(wanted, step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.005)
    assert rates.index(max(rates)) in range(90, 110)
    assert rates[500] == pytest.approx(0.25)
    assert 0 < rates[-1] < 1e-5
    assert learning_rate(replace(wanted, warmup=0), 0) == 0.5


def test_the_smoothed_loss_is_a_mean_at_first() -> None:
    """Half a batch of one step and the mean of two: read off from the history of single steps."""
    losses = [now.loss for now in begun(pictures(), QUICK).steps()]
    single = [20 * losses[19] - 19 * losses[18], losses[0]]
    assert single[1] == losses[0]
    assert 0 < single[0] < losses[0]


def test_top1_cools_down_and_ends_with_the_arg_max() -> None:
    training = begun(pictures(), settings(attention="top1"))
    warmth = [progress.temperature for progress in training.steps()]
    assert all(one > two for one, two in pairwise(warmth))
    assert warmth[0] == 1.0
    assert warmth[-1] == pytest.approx(0.1 ** (19 / 20))
    network, noisy = training.average(), torch.randn(2, 3, 5, 7)
    assert torch.equal(network.denoise(noisy, 0.5), network.denoise(noisy, 0.5))
    maps = network.attention(noisy, 0.5)
    assert maps.unique().tolist() == [0.0, 1.0]
    assert torch.equal(maps.sum(-1), torch.ones(2, 35))


def test_every_weight_of_top1_learns() -> None:
    """Gradients reach query, key and value through the hard choice, so all of them move."""
    training = begun(pictures(), settings(attention="top1"))
    before = {name: each.clone() for name, each in training.network.named_parameters()}
    for _ in training.steps():
        pass
    for name, after in training.network.named_parameters():
        assert not torch.equal(before[name], after), name


def test_training_draws_while_use_does_not() -> None:
    training = begun(pictures(), settings(attention="top1"))
    answers = []
    for progress in training.steps():
        if progress.step < 10:
            continue
        noisy, alphas, _, _ = training._examples(noise_generator(0, STREAM))
        training.network.anneal(0.0, noise_generator(1, progress.step))
        one = training.network.predict(noisy, alphas)
        training.network.anneal(0.0, noise_generator(2, progress.step))
        answers.append(torch.equal(one, training.network.predict(noisy, alphas)))
    assert not any(answers)


def test_no_temperature_without_top1() -> None:
    assert next(begun(pictures(), settings(attention="soft")).steps()).temperature is None


def test_a_conditional_network_uses_the_label_and_does_without() -> None:
    data = pictures(6, labels=True)
    wanted = settings(conditional=True, steps=250, batch=32)
    network = train(new_network(data, wanted), data, wanted)
    noise = torch.randn(16, 3, 5, 7, generator=torch.Generator().manual_seed(2))
    bright, dark, either = (
        network.denoise(noise, 1e-3, label).mean().item() for label in (0, 1, None)
    )
    assert bright > 0.3
    assert dark < -0.3
    assert dark + 0.2 < either < bright - 0.2


def test_one_label_in_ten_is_dropped() -> None:
    data = pictures(6, labels=True)
    training = begun(data, settings(conditional=True, batch=2000))
    _, _, labels, _ = training._examples(noise_generator(0, STREAM))
    assert labels is not None
    assert set(labels.tolist()) == {-1, 0, 1}
    assert (labels < 0).float().mean().item() == pytest.approx(UNTOLD, abs=0.02)


def test_bfloat16_stays_close_to_float32() -> None:
    data = pictures()
    exact, rough = (
        train(new_network(data, QUICK), data, settings(precision=kind)) for kind in ("no", "bf16")
    )
    assert rough.dtype == torch.float32
    difference = (weights(exact) - weights(rough)).norm() / weights(exact).norm()
    assert 0 < difference < 0.15


def test_threads_are_as_before() -> None:
    before, seen = torch.get_num_threads(), []
    train(
        new_network(pictures(), QUICK),
        pictures(),
        settings(threads=2, steps=1),
        lambda _: seen.append(torch.get_num_threads()),
    )
    assert seen == [2]
    assert torch.get_num_threads() == before


def test_progress_is_called_for_at_every_step() -> None:
    seen: list[Progress] = []
    train(new_network(pictures(), QUICK), pictures(), QUICK, seen.append)
    assert [each.step for each in seen] == list(range(1, 21))


def test_a_learning_rate_beyond_reason_is_refused_before_weights_are_lost() -> None:
    wanted = settings(learning_rate=1e15, warmup=0, steps=50)
    training = begun(pictures(), wanted)
    with pytest.raises(InputError, match=r"learning_rate=.* finite after \d+ steps"):
        for _ in training.steps():
            pass
    assert 1 <= training.step < 50
