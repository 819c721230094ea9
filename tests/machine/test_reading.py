"""Evidence and mean colours of every image in one pass, and what attention makes of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

import scoremachines as sm
from scoremachines.attention.base import reduce_here
from scoremachines.attention.top1 import LogEntropy, Top1
from scoremachines.engines import Plan, Query, ReferenceEngine, TorchEngine, native_instructions
from scoremachines.engines.native.engine import NativeEngine
from scoremachines.machine.moments import Known, moments_bytes, reads_once

LEVELS = (0.001, 0.1, 0.5, 0.9, 0.99, 0.999)
ATTENTIONS = ("tiled", "identity", "multiscale", "top1", "tiled-class", "identity-agreed")
COUNT, SIZE = 37, (9, 11)  # more images than lanes, and some lanes without one
ENGINES = [TorchEngine(), *(NativeEngine(instructions=each) for each in native_instructions())]


def training_set(channels: int = 3, count: int = COUNT, seed: int = 0) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, channels, *SIZE), generator=draw, dtype=torch.uint8)
    return sm.TrainingSet(pixels, torch.arange(count) % 4)


def noised(data: sm.TrainingSet, *levels: float) -> tuple[Tensor, Tensor]:
    clean = data.block(slice(0, len(levels)), torch.float64)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)).double()
    level = torch.tensor(levels, dtype=torch.float64)
    root, rest = (part[:, None, None, None] for part in (level.sqrt(), (1 - level).sqrt()))
    return root * clean + rest * noise, level


@pytest.mark.parametrize(
    ("sources", "window"),
    [
        *[(kind, k) for kind in ("aligned", "valid", "circular", "boundary") for k in (1, 5, 7)],
        ("aligned", None),
        ("circular", None),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_moments_are_those_of_the_reference(
    sources: str, window: int | None, channels: int
) -> None:
    data = training_set(channels)
    images = data.block(slice(0, None), torch.float64)
    for level in (LEVELS[0], LEVELS[-1]):
        noisy, levels = noised(data, level, 0.7)
        query = Query(noisy, levels, window, sources)
        known, known_mean = ReferenceEngine().moments(query, images)
        precisions = (torch.float64, 1e-9), (torch.float32, 2e-5)
        for engine, (dtype, tolerance) in itertools.product(ENGINES, precisions):
            rounded = Query(noisy.to(dtype), levels, window, sources)
            evidence, mean = engine.moments(rounded, images.to(dtype))
            assert evidence.dtype == torch.float64
            assert mean.dtype == dtype
            relative = 1 + known.abs()
            assert ((evidence - known) / relative).abs().max() < tolerance
            assert ((mean - known_mean) / relative[:, :, None]).abs().max() < tolerance
            assert (mean.abs() <= 1 + 1e-5).all()


def test_in_the_limits_of_time_it_is_the_mean_and_the_nearest_patch() -> None:
    data = training_set()
    images = data.block(slice(0, None), torch.float64)
    for engine in ENGINES:
        noisy, levels = noised(data, 0.0)
        mean = engine.moments(Query(noisy, levels, 3, "circular"), images)[1]
        wanted = images.mean((-2, -1), keepdim=True).expand_as(images)
        torch.testing.assert_close(mean[0], wanted, rtol=0, atol=1e-5)
        query = Query(images[:1], torch.tensor([1.0], dtype=torch.float64), 3, "circular")
        mean = engine.moments(query, images)[1]  # the image finds its own patches
        torch.testing.assert_close(mean[0, 0], images[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_one_pass_gives_what_two_passes_give(attention: str, level: float) -> None:
    data = training_set()
    noisy, levels = noised(data, level)
    for sources, window in (("valid", 5), ("boundary", 3), ("circular", None)):
        machine = sm.ScoreMachine(data, window, sources, attention, engine=TorchEngine())
        known = two_passes(data, window, sources, attention).posterior(noisy, levels)
        found = machine.posterior(noisy, levels)
        torch.testing.assert_close(found.mean, known.mean, rtol=0, atol=1e-9)
        torch.testing.assert_close(found.log_weight, known.log_weight, rtol=1e-9, atol=1e-9)


def two_passes(
    data: sm.TrainingSet, window: int | None, sources: str, attention: str
) -> sm.ScoreMachine:
    machine = sm.ScoreMachine(data, window, sources, attention, engine=_Outside())
    assert not reads_once(machine.engine, Query(torch.zeros(1), torch.zeros(1), 1, "aligned"))
    return machine


class _Outside:
    """An engine from elsewhere, without moments."""

    name = "outside"

    def __init__(self, block: int = 1000) -> None:
        self.engine, self.block, self.asked = TorchEngine(), block, 0

    def plan(self, query: Query, count: int, **wants: Any) -> Plan:
        return Plan(1, min(count, self.block))

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        return self.engine.evidence(query, images)

    def posterior(self, *given: Any) -> sm.Posterior:
        return self.engine.posterior(*given)


class _Counting(_Outside):
    """The torch engine in blocks, that counts how often it reads."""

    reads_once = True

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += 1
        return self.engine.moments(query, images)

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        self.asked += 1
        return self.engine.evidence(query, images)


@pytest.mark.parametrize("attention", ["tiled", "identity", "top1", "tiled-class", "top1-agreed"])
def test_each_block_is_read_once(attention: str) -> None:
    data = training_set()
    noisy, levels = noised(data, 0.5)
    answers = []
    for block in (COUNT, 5, 1):
        engine = _Counting(block)
        machine = sm.ScoreMachine(data, 5, "valid", attention, engine=engine)
        answers.append(machine.denoise(noisy, levels))
        assert engine.asked == -(-COUNT // block)
        torch.testing.assert_close(answers[-1], answers[0], rtol=0, atol=1e-9)


def test_what_does_not_fit_is_read_again() -> None:
    data = training_set(count=300)
    noisy, levels = noised(data, 0.5)
    query = Query(noisy, levels, 5, "valid")
    kept = 300 * moments_bytes(query)
    known = sm.ScoreMachine(data, 5, "valid", "top1", engine=TorchEngine())
    roomy = known.posterior(noisy, levels).mean
    tight = sm.ScoreMachine(data, 5, "valid", "top1", engine=TorchEngine(10 * 2**20 + kept // 2))
    torch.testing.assert_close(tight.posterior(noisy, levels).mean, roomy, rtol=0, atol=1e-9)


def partners(fields: list[Tensor]) -> Tensor:
    """The algorithm of theory §4.3 as it stands, for all pairs, from E `[H·W, n]` of blocks."""
    found = []
    for u in range(len(fields[0])):
        entropy: LogEntropy | None = None
        for field in fields:
            here = LogEntropy.of(field[u] + field)
            entropy = here if entropy is None else entropy.merge(here)
        assert entropy is not None
        value = entropy.value()
        value[u] = torch.inf
        found.append(value.min(-1).indices)
    return torch.stack(found)


def chosen(blocks: list[Tensor]) -> Tensor:
    context = sm.attention.AttentionContext(
        torch.zeros(1, 3, *SIZE),
        torch.zeros(1),
        torch.zeros(1),
        5,
        True,
        reduce_here(*(block.T.unflatten(-1, SIZE)[None] for block in blocks)),
    )
    ((_, rows),) = Top1().attention_weights(context)
    return rows.partner[0]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("level", [0.001, 0.03, 0.3, 0.7, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("count", [1, 2, 37])
def test_partners_are_those_of_the_algorithm(
    level: float, count: int, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        monkeypatch.setattr("scoremachines.engines.native.pairs._native", None)
    data = training_set(count=count)
    noisy, levels = noised(data, level)
    query = Query(noisy, levels, 5, "valid")
    evidence, _ = TorchEngine().moments(query, data.block(slice(0, None), torch.float64))
    field = evidence[0].flatten(1).T.contiguous()
    for blocks in ([field], list(field.split(11, 1))):
        assert torch.equal(chosen(blocks), partners(blocks))


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("kind", ["constant", "mirrored", "equal"])
def test_of_equal_partners_the_first_is_chosen(
    kind: str, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        monkeypatch.setattr("scoremachines.engines.native.pairs._native", None)
    draw = torch.Generator().manual_seed(3)
    field = torch.randn(*SIZE, 13, generator=draw, dtype=torch.float64) * 4
    if kind == "constant":
        field = field[:1, :1].expand_as(field)
    elif kind == "mirrored":
        field = torch.maximum(field, field.flip(0))
    else:
        field = torch.zeros_like(field)
    blocks = [field.reshape(-1, 13).contiguous()]
    known = partners(blocks)
    assert torch.equal(chosen(blocks), known)
    if kind != "mirrored":  # the first other pixel
        assert known.tolist() == [1] + [0] * (SIZE[0] * SIZE[1] - 1)


@pytest.mark.parametrize("attention", ["tiled", "identity", "top1", "multiscale", "tiled-class"])
def test_a_gradient_is_the_same_whether_its_moments_are_still_held(attention: str) -> None:
    draw = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (7, 3, 6, 5), generator=draw, dtype=torch.uint8)
    data = sm.TrainingSet(pixels, labels=torch.arange(7) % 2)
    machine = sm.ScoreMachine(data, 3, "valid", attention, engine="native")
    noisy, other = torch.randn(2, 2, 3, 6, 5, generator=draw).unbind()
    gradients = []
    for between in (False, True):
        leaf = noisy.clone().requires_grad_()
        answer = machine.posterior(leaf, 0.5).mean.square().sum()
        if between:  # another answer takes the place of what was held for this one
            machine.posterior(other, 0.5)
        gradients += torch.autograd.grad(answer, leaf)
    assert torch.equal(*gradients)


def test_moments_are_handed_out_by_place_and_held_once() -> None:
    blocks = [({3: torch.randn(1, n, 2, 2)}, torch.randn(1, n, 3, 2, 2)) for n in (2, 3, 1)]
    places = torch.tensor([2, 3, 5, 7, 11, 13])
    known = Known(blocks, places)
    evidence = torch.cat([fields[3] for fields, _ in blocks], 1)
    mean = torch.cat([field for _, field in blocks], 1)
    for start, stop in [(0, 6), (1, 2), (1, 4), (4, 6)]:
        part = known.part(places[start:stop])
        assert part is not None
        assert torch.equal(part[0][3], evidence[:, start:stop])
        assert torch.equal(part[1], mean[:, start:stop])
    Known(blocks, places)
    assert known.part(places[:1]) is None
