"""Gradients in φ (theory §2.8, §4.9), against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import (
    ByGroup,
    MultiScale,
    PerplexityGain,
    Scaled,
    Tiled,
    make_attention,
)
from scoremachines.engines import ENGINES, Plan, make_engine, native_instructions
from scoremachines.machine.baselines import Wiener
from scoremachines.networks import NetworkSettings
from scoremachines.networks.network import Network
from scoremachines.sampling.reverse_process import kg_trajectory
from scoremachines.theory.schedule import CosineSchedule
from scoremachines.theory.specs import GainSchedule

SHAPE = (2, 4, 5)
PIXELS = 20
LEVELS = torch.tensor([0.3, 0.7], dtype=torch.float64)
EXACT = ["torch", *(["native"] if native_instructions() else [])]


def training_set(count: int = 7) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.rand(count, *SHAPE, generator=draw, dtype=torch.float64) * 2 - 1
    return sm.TrainingSet(pixels, torch.arange(count) % 3)


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noisy_images() -> Tensor:
    clean = training_set().block(slice(0, 2), torch.float64)
    level = LEVELS[:, None, None, None]
    return level.sqrt() * clean + (1 - level).sqrt() * drawn(2, *SHAPE)


def products(noisy: Tensor, time: Tensor) -> Tensor:
    """Return positive maps that depend on φ, as a network's would."""
    flat = noisy.sum(1).flatten(1)
    return (flat[:, :, None] * flat[:, None, :] / 2 + time.to(flat)[:, None, None]).softmax(-1)


ATTENTIONS: dict[str, Any] = {
    name: name
    for name in ("none", "identity", "top1", "full", "multiscale", "tiled-class", "top1-class")
} | {
    "identity-consensus": "identity-consensus",
    "matrix": drawn(PIXELS, PIXELS).abs(),
    "function": products,
    "λ(t)": Scaled(make_attention("identity"), GainSchedule((0.0, 1.0), (0.2, 2.0))),
    "spread": PerplexityGain(make_attention(products)),
    "scales, not its own": ByGroup(MultiScale([1])),
    "groups": ByGroup(Tiled(), torch.tensor([0, 0, 4, 2, 4, 2, 2])),
}
KINDS = [("aligned", 3), ("valid", 3), ("circular", 3), ("boundary", 3), ("aligned", None)]
KINDS.append(("circular", None))


def slope(function: Callable[[Tensor], Tensor], at: Tensor, along: Tensor, step: float) -> float:
    with torch.no_grad():
        return float((function(at + step * along) - function(at - step * along)) / (2 * step))


def check(
    function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-5, close: float = 1e-7
) -> None:
    """Compare the derivative along a random direction with a central difference."""
    noisy, along = at.clone().requires_grad_(), drawn(*at.shape, seed=2)
    (gradient,) = torch.autograd.grad(function(noisy), noisy)
    known = slope(function, at, along, step)
    assert float((gradient * along).sum()) == pytest.approx(known, rel=close, abs=close)
    assert abs(known) > 1e-3  # a constant would pass


def weighed(machine: sm.ScoreMachine, **options: Any) -> Callable[[Tensor], Tensor]:
    """Return a function of φ in which every pixel of x̂0 and of log Z has a weight of its own."""

    def function(noisy: Tensor) -> Tensor:
        posterior = machine.posterior(noisy, LEVELS, **options)
        on_mean, on_log = drawn(2, *SHAPE, seed=3), drawn(2, *SHAPE[1:], seed=4)
        return (posterior.mean * on_mean).sum() + (posterior.log_weight * on_log).sum() / 9

    return function


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize(("sources", "window"), KINDS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_machine_has_the_gradient_of_its_central_difference(
    attention: str, sources: str, window: int | None, engine: str
) -> None:
    chosen = ATTENTIONS[attention]
    machine = sm.ScoreMachine(training_set(), window, sources, chosen, engine=engine)
    check(weighed(machine), noisy_images())


@pytest.mark.parametrize("engine", EXACT)
def test_gradients_with_a_window_schedule_labels_sources_and_small_blocks(engine: str) -> None:
    window = {0.0: 1, 0.4: 3, 1.0: 3}
    machine = sm.ScoreMachine(training_set(), window, "circular", "tiled", engine=engine)
    check(weighed(machine, labels=torch.tensor([2, 0]), best=2), noisy_images())
    whole = weighed(machine)(noisy := noisy_images().requires_grad_())
    (known,) = torch.autograd.grad(whole, noisy)
    machine.engine.plan = lambda *_, **__: Plan(1, 2)  # type: ignore[method-assign]
    (found,) = torch.autograd.grad(weighed(machine)(noisy), noisy)
    assert (found - known).abs().max() < 1e-12


@pytest.mark.parametrize("attention", ["none", "identity", "tiled-class", "function", "spread"])
@pytest.mark.parametrize(
    ("sources", "window"), [("boundary", 3), ("circular", 3), ("aligned", None)]
)
def test_the_reference_has_first_and_second_derivatives(
    attention: str, sources: str, window: int | None
) -> None:
    chosen = ATTENTIONS[attention]
    machine = sm.ScoreMachine(training_set(), window, sources, chosen, engine="reference")
    check(weighed(machine), noisy_images())

    def squared_gradient(noisy: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = noisy if noisy.requires_grad else noisy.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(weighed(machine)(leaf), leaf, create_graph=True)
            return gradient.square().sum()

    check(squared_gradient, noisy_images(), close=1e-6)


@pytest.mark.parametrize("form", ["score", "epsilon", "sample", "v_prediction"])
def test_every_form_of_the_answer_has_a_gradient(form: str) -> None:
    data = training_set()
    kind = "epsilon" if form == "score" else form
    for model in (sm.ScoreMachine(data, 3, prediction_type=kind), Wiener(data)):

        def answer(noisy: Tensor, model: Any = model) -> Tensor:
            if form == "score" or isinstance(model, Wiener):
                return (model.score(noisy, LEVELS) * drawn(2, *SHAPE, seed=3)).sum()
            return (model(noisy, 400).sample * drawn(2, *SHAPE, seed=3)).sum()

        check(answer, noisy_images())


def test_single_precision_and_samples_of_a_batch() -> None:
    machine = sm.ScoreMachine(training_set(), 3, "valid", "identity")
    exact, single = noisy_images().requires_grad_(), noisy_images().float().requires_grad_()
    (known,) = torch.autograd.grad(machine.denoise(exact, LEVELS).sum(), exact)
    (found,) = torch.autograd.grad(machine.denoise(single, LEVELS).sum(), single)
    assert found.dtype == torch.float32
    assert (found - known).abs().max() < 1e-4
    for i in range(2):  # a sample has no part in the gradient of another
        alone = noisy_images()[i : i + 1].requires_grad_()
        (its,) = torch.autograd.grad(machine.denoise(alone, LEVELS[i : i + 1]).sum(), alone)
        assert torch.equal(its[0], known[i])


def test_answers_are_the_same_to_the_bit_with_and_without_a_graph() -> None:
    for attention in ("none", "identity", "top1-class"):
        machine = sm.ScoreMachine(training_set(), 3, "circular", attention)
        plain = machine.posterior(noisy_images(), LEVELS, best=3)
        graph = machine.posterior(noisy_images().requires_grad_(), LEVELS, best=3)
        assert torch.equal(plain.mean, graph.mean)
        assert torch.equal(plain.log_weight, graph.log_weight)
        assert plain.sources is not None
        assert graph.sources is not None
        assert torch.equal(plain.sources.image, graph.sources.image)


def test_no_graph_is_built_where_none_is_wanted() -> None:
    data = training_set()
    network = Network.for_data(data, NetworkSettings(attention="soft", width=8))
    measured = sm.ScoreMachine(data, 3, attention=network.attention)
    noisy = noisy_images()
    for model in (measured, sm.ScoreMachine(data, 3), Wiener(data), network):
        assert not model.denoise(noisy, 0.5).requires_grad
        assert not sm.sample(model, n=1, steps=2, data=data).images.requires_grad
        with torch.no_grad():
            assert not model.denoise(noisy.clone().requires_grad_(), 0.5).requires_grad
        with torch.inference_mode():
            model.denoise(noisy.clone(), 0.5)
        # What was kept for later in inference mode must not be in the way of a gradient.
        model.denoise(noisy.clone().requires_grad_(), 0.5).sum().backward()


@pytest.mark.parametrize("attention", ["none", "identity", "soft", "top1", "multiscale"])
def test_networks_and_machines_with_their_maps_have_gradients(attention: str) -> None:
    torch.manual_seed(0)
    data = training_set()
    network = Network.for_data(data, NetworkSettings(attention=attention, width=8)).double()
    for parameter in network.readout.parameters():
        torch.nn.init.normal_(parameter)
    adapted = sm.adapt(
        network, shape=SHAPE, attention=lambda noisy, _: products(noisy, LEVELS[:1])
    )
    machine = sm.ScoreMachine(data, 3, attention=adapted.attention)
    own = sm.ScoreMachine(data, 3, attention=network.attention)
    float32 = {"step": 1e-3, "close": 1e-2}  # of the network's maps
    for model, how in ((network, {}), (adapted, {}), (machine, {}), (own, float32)):

        def answer(noisy: Tensor, model: Any = model) -> Tensor:
            return (model.denoise(noisy, LEVELS) * drawn(2, *SHAPE, seed=3)).sum()

        check(answer, noisy_images(), **how)


def test_a_gradient_leads_through_the_sampling_loop() -> None:
    machine = sm.ScoreMachine(training_set(), 3, "valid", "tiled")

    def final(noise: Tensor) -> Tensor:
        *_, last = kg_trajectory(machine, noise, CosineSchedule(), 4)
        return (last.after * drawn(2, *SHAPE, seed=3)).sum()

    check(final, drawn(2, *SHAPE, seed=5), close=1e-6)


@pytest.mark.parametrize("name", [name for name in ENGINES if name not in ("cuda", "native")])
def test_engines_agree_about_the_gradient(name: str) -> None:
    if name == "adaptive" and not native_instructions():
        pytest.skip("built without its native part")
    data, noisy = training_set(), noisy_images().requires_grad_()
    gradients = []
    for engine in (make_engine(name), make_engine("reference")):
        machine = sm.ScoreMachine(data, 3, "valid", engine=engine)
        gradients.append(torch.autograd.grad(machine.denoise(noisy, LEVELS).sum(), noisy)[0])
    assert (gradients[0] - gradients[1]).abs().max() < 1e-10
