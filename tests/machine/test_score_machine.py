"""The machine: what its answer may depend on, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.attention import Measured, MultiScale, Scaled, Soft, make_attention
from scoremachines.attention.base import AttentionContext, reduce_here
from scoremachines.attention.building import MAPS
from scoremachines.attention.top1 import LogEntropy, Top1
from scoremachines.errors import InputError
from scoremachines.testing import check_attention, check_machine
from scoremachines.theory.positions import SOURCES, patches
from scoremachines.theory.specs import KG_MACHINES


def images(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(shape or (11, 3, 5, 7), generator=draw, dtype=dtype) * 2 - 1


@pytest.mark.parametrize("name", [*MAPS, "multiscale"])
def test_attentions_conform(name: str) -> None:
    check_attention(make_attention(name))


def test_given_attentions_conform() -> None:
    check_attention(Scaled(Soft(images(35, 35).abs()), 0.7))
    weights = images(35, 35, seed=4).abs()
    check_attention(Measured(lambda noisy, time: weights * time[:, None, None]))


@pytest.mark.parametrize("sources", SOURCES)
@pytest.mark.parametrize("window", [1, 5, None, {0.0: 1, 0.6: 3, 1.0: 5}])
def test_machines_conform(sources: str, window: object) -> None:
    if window is None and sources not in ("aligned", "circular"):
        return
    check_machine(lambda data: sm.ScoreMachine(data, window, sources), images())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("attention", ["none", "identity", "full", "top1"])
def test_neighbours_in_the_batch_change_no_bit(attention: str, dtype: torch.dtype) -> None:
    machine = sm.els(sm.TrainingSet(images(40, 3, 17, 13, dtype=dtype)), 5, attention=attention)
    noisy = images(5, 3, 17, 13, dtype=dtype, seed=1) * 1.5
    levels = torch.tensor([0.9, 0.2, 0.5, 0.01, 0.99])
    together = machine.posterior(noisy, levels, best=2)
    for i in range(5):
        alone = machine.posterior(noisy[i : i + 1], levels[i], best=2)
        assert torch.equal(alone.mean[0], together.mean[i])
        assert torch.equal(alone.entropy[0], together.entropy[i])
        assert torch.equal(alone.sources.position[0], together.sources.position[i])


def context(noisy: Tensor, level: float, evidence: Tensor) -> AttentionContext:
    levels = torch.full((len(noisy),), level, dtype=torch.float64)
    return AttentionContext(noisy, levels, levels, 3, True, reduce_here(*evidence.split(4, dim=1)))


def test_identity_attention_is_its_formula() -> None:
    noisy, level = images(2, 3, 5, 7), 0.4
    ((window, rows),) = make_attention("identity").attention_weights(context(noisy, level, noisy))
    assert window == 3
    around = patches(noisy, 3, periodic=True)
    for sample in range(2):
        for u in range(35):
            distance = (around[sample, u] - around[sample]).square().sum(-1)
            logits = -distance / (4 * (1 - level))
            logits[u] = -torch.inf
            torch.testing.assert_close(rows.matrix[sample, u], logits.softmax(0))


def test_top1_attends_to_the_most_informative_partner() -> None:
    evidence = images(2, 11, 5, 7) * 6
    ((_, rows),) = Top1().attention_weights(context(images(2, 3, 5, 7), 0.4, evidence))
    flat = evidence.flatten(2)
    pairs = flat[:, :, :, None] + flat[:, :, None, :]  # [B, n, u, y]
    entropy = torch.special.entr(pairs.softmax(1)).sum(1)
    entropy.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    assert torch.equal(rows.partner, entropy.argmin(-1))


@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0, 3000.0])
def test_log_entropy_keeps_its_digits_and_merges(spread: float) -> None:
    log_weight = images(7, 40) * spread
    whole = LogEntropy.of(log_weight)
    ordered = log_weight.sort(-1, descending=True).values
    gap = ordered[:, :1] - ordered[:, 1:]
    rest, gaps = (-gap).logsumexp(-1), (gap.log() - gap).logsumexp(-1)
    grown = torch.nn.functional.softplus(rest)
    # log(log1p(R)) is log R where R is too small to be seen beside 1.
    first = torch.where(rest < -30, rest, grown.log())
    known = torch.logaddexp(first, gaps - grown)
    torch.testing.assert_close(whole.value(), known, rtol=1e-10, atol=1e-10)
    if spread <= 1:
        direct = torch.special.entr(log_weight.softmax(-1)).sum(-1).log()
        torch.testing.assert_close(whole.value(), direct, rtol=0, atol=1e-9)
    for cut in (1, 17, 39):
        parts = [LogEntropy.of(part) for part in log_weight.split([cut, 40 - cut], -1)]
        for merged in (parts[0].merge(parts[1]), parts[1].merge(parts[0])):
            torch.testing.assert_close(merged.value(), whole.value(), rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize(
    "matrix",
    [torch.rand(5), torch.rand(3, 4), -torch.ones(35, 35), torch.full((35, 35), torch.nan)],
)
def test_matrices_that_are_no_attention(matrix: Tensor) -> None:
    with pytest.raises(InputError, match="attention="):
        make_attention(matrix)


def test_attention_that_does_not_fit_or_does_not_exist() -> None:
    data = sm.TrainingSet(images())
    with pytest.raises(InputError, match=r"\[35, 35\]"):
        sm.els(data, 3, attention=torch.rand(4, 4)).denoise(images()[:1], 0.5)
    with pytest.raises(InputError, match="attention='hard'"):
        sm.els(data, 3, attention="hard")
    with pytest.raises(InputError, match="attention=3"):
        make_attention(3)
    for wrong in (Soft(torch.rand(2, 2)), Measured(torch.cdist)):
        with pytest.raises(InputError, match="strength="):
            Scaled(wrong, -1.0)
    with pytest.raises(InputError, match="window=4"):
        MultiScale((3, 4))


@pytest.mark.parametrize("name", KG_MACHINES)
def test_named_machines(name: str) -> None:
    machine = sm.named_machine(name, sm.TrainingSet(images()), 3)
    assert machine.sources == KG_MACHINES[name]
    assert (machine.window is None) == (name in ("ideal", "equivariant"))
    assert "ScoreMachine(" in repr(machine)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 4}, "window=4"),
        ({"window": 7}, "larger than the image"),
        ({"window": {0.0: 3, 1.0: 9}}, "window=9"),
        ({"sources": "outside"}, "sources='outside'"),
        ({"window": None, "sources": "valid"}, "sources='valid'"),
        ({"schedule": "quadratic"}, "schedule='quadratic'"),
        ({"schedule": [0.5, 0.6]}, "alphas_cumprod="),
        ({"prediction_type": "noise"}, "prediction_type='noise'"),
        ({"engine": "warp"}, "engine='warp'"),
        ({"memory": -1}, "memory=-1"),
    ],
)
def test_choices_that_do_not_exist(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sm.ScoreMachine(sm.TrainingSet(images()), **({"window": 3} | arguments))


@pytest.mark.parametrize(
    ("noisy", "options", "message"),
    [
        (torch.zeros(3, 5, 7), {}, "noisy="),
        (torch.zeros(1, 3, 7, 5), {}, "noisy="),
        (torch.zeros(1, 3, 5, 7, dtype=torch.int64), {}, "noisy="),
        (torch.full((1, 3, 5, 7), torch.nan), {}, "noisy="),
        (torch.zeros(1, 3, 5, 7, device="meta"), {}, "noisy="),
        ("image", {}, "noisy="),
        (torch.zeros(0, 3, 5, 7), {}, "noisy='an empty batch'"),
        (torch.zeros(2, 3, 5, 7), {"alpha_bar": 1.5}, "alpha_bar=1.5"),
        (torch.zeros(2, 3, 5, 7), {"alpha_bar": torch.rand(3)}, "alpha_bar="),
        (torch.zeros(2, 3, 5, 7), {"labels": 9}, "label=9"),
        (torch.zeros(2, 3, 5, 7), {"labels": torch.tensor([0, 1, 0])}, "labels="),
        (torch.zeros(2, 3, 5, 7), {"best": -1}, "best=-1"),
    ],
)
def test_questions_that_cannot_be_answered(
    noisy: Tensor, options: dict[str, object], message: str
) -> None:
    data = sm.TrainingSet(images(), torch.arange(11) % 2)
    with pytest.raises(InputError, match=message):
        sm.els(data, 3).posterior(noisy, **({"alpha_bar": 0.5} | options))


def test_forms_of_the_answer() -> None:
    machine = sm.els(sm.TrainingSet(images()), 3)
    noisy, level = images(2, 3, 5, 7, seed=3), 0.3
    clean, noise = machine.denoise(noisy, level), machine.epsilon(noisy, level)
    torch.testing.assert_close(level**0.5 * clean + 0.7**0.5 * noise, noisy)
    torch.testing.assert_close(machine.score(noisy, level), -noise / 0.7**0.5)
    with pytest.raises(AttributeError, match="best=K"):
        machine.posterior(noisy, level).weights.sum()


def test_a_machine_moves_between_dtypes() -> None:
    machine = sm.els(sm.TrainingSet(images()), 3).to(torch.float32)
    assert machine.dtype == torch.float32
    assert machine.data.pixels.dtype == torch.float32
    assert machine.denoise(torch.zeros(1, 3, 5, 7), 0.5).dtype == torch.float32
    assert machine.to(torch.float64).dtype == torch.float64
