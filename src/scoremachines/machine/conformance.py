"""What must not change an answer: batch, order, blocks, shards, processes, dtype (theory §2.1)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from scoremachines.attention import Attention, AttentionContext
from scoremachines.attention.weights import WeightsByWindow
from scoremachines.data.reduction import Divided
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import Engine, Plan, Query
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.machine.stream import Stream
from scoremachines.theory.comparing import (
    check_close,
    check_same_posterior,
    check_same_sources,
)

__all__ = ["check_machine"]


def check_machine(
    build: Callable[[TrainingSet], ScoreMachine],
    images: Tensor,
    executors: Sequence[Any] = (),
) -> None:
    """Check that a machine's answer depends on nothing that it should not depend on.

    Batch neighbours must not change a bit. The order of the training set, its division into blocks
    and shards, and dtype must not change more than rounding does; sources stay the same.

    Args:
        build: makes the machine from a training set, which has two classes.
        images: training images `[N, C, H, W]` in [-1, 1], float64, at least 4.
        executors: what must give the same bits as `Divided` into as many `parts`, such as
            `Processes(2)`.

    Raises:
        AssertionError: the answer changed.
    """
    draw = torch.Generator().manual_seed(0)
    classes = torch.arange(len(images)) % 2
    data = TrainingSet(images, labels=classes)
    noise = torch.randn(images[:3].shape, generator=draw, dtype=images.dtype)
    noisy = images[:3] * 0.6 + 0.8 * noise
    alpha_bar = torch.tensor([0.36, 0.9, 0.05], dtype=torch.float64)
    known = build(data).posterior(noisy, alpha_bar, best=3)
    for i in range(3):
        alone = build(data).posterior(noisy[i : i + 1], alpha_bar[i : i + 1], best=3)
        check_close(alone.mean, known.mean[i : i + 1], 0.0, "alone and in a batch")
    order = torch.randperm(len(images), generator=draw)
    permuted = build(TrainingSet(images[order], labels=classes[order]))
    other = permuted.posterior(noisy, alpha_bar, best=3)
    check_same_posterior(other, known, 1e-5, "another order of the training set")
    for block, label in itertools.product((1, 2, 4), (None, 1)):
        whole = known if label is None else build(data).posterior(noisy, alpha_bar, label, best=3)
        divided = build(data)
        divided.engine = _Blocks(divided.engine, block)
        for shards in (1, 2, 3):
            divided.executor = Divided(shards)
            other = divided.posterior(noisy, alpha_bar, label, best=3)
            text = f"class {label}, in blocks of {block}, in {shards} shards"
            check_same_posterior(other, whole, 1e-5, text)
            check_same_sources(other, whole, text)
        _same_elsewhere(divided, (noisy, alpha_bar, label), executors)
    _same_in_single(build, data, noisy, alpha_bar)


def _same_elsewhere(
    machine: ScoreMachine,
    query: tuple[Tensor, Tensor, int | None],
    executors: Sequence[Any],
) -> None:
    """Check that executors give the same bits as this process, with sources and without."""
    for best in (0, 3):
        for executor in executors:
            machine.executor = Divided(executor.parts)
            here = machine.posterior(*query, best)
            machine.executor = executor
            there = machine.posterior(*query, best)
            text = f"{type(executor).__name__}, {best} sources"
            check_close(there.mean, here.mean, 0.0, text)
            check_close(there.log_weight, here.log_weight, 0.0, text)
            check_same_posterior(there, here, 0.0, text)
            if best:
                check_same_sources(there, here, text)


def _same_in_single(
    build: Callable[[TrainingSet], ScoreMachine], data: TrainingSet, noisy: Tensor, levels: Tensor
) -> None:
    """Compare x̂0 in float32 with that in float64, where attention chose the same in both.

    A choice, such as top-1's of a partner, may change with rounding. Given the weights that were
    chosen in float32, the answer is that of float64 at every pixel.
    """
    single = TrainingSet(data.pixels[:].float(), labels=data.labels)
    for i in range(len(noisy)):
        one, level, near = noisy[i : i + 1], levels[i : i + 1], build(single)
        exact, given = build(data), build(data)
        time = exact.schedule.time(level)
        weights = {}
        for machine, seen in ((near, one.float()), (exact, one)):
            query = machine.query(seen, level)
            stream = Stream(machine.data, machine.engine, machine.attention, None)
            weights[machine] = stream.attention_weights(query, time)
        given.attention = _Given(machine.attention, weights[near])
        answer = near.denoise(one.float(), level).double()
        check_close(answer, given.denoise(one, level), 1e-3, "in float32, given A")
        evidence = noisy[:, :1].transpose(0, 1) - 20
        if weights[exact]:
            chosen, known = (
                torch.stack([rows.apply(evidence) for _, rows in weights[each]]).sum(0)
                for each in (near, exact)
            )
            same = ((chosen - known).abs() <= 1e-3 * (1 + known.abs())).all(1)[:, None]
            assert float(same.double().mean()) > 0.5, "A in float32 is not that in float64"
            apart = (answer - exact.denoise(one, level)) * same
            check_close(apart, torch.zeros_like(apart), 1e-3, "in float32")


class _Given:
    """Given weights in the place of those that an attention would give."""

    def __init__(self, attention: Attention, weights: WeightsByWindow) -> None:
        self.attention, self.weights = attention, weights
        self.name, self.dense = attention.name, attention.dense

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        return self.weights


class _Blocks:
    """An engine made to take blocks of a given size."""

    def __init__(self, engine: Engine, block: int) -> None:
        self.engine, self.block, self.name = engine, block, engine.name
        self.evidence, self.posterior = engine.evidence, engine.posterior
        self.reads_once = getattr(engine, "reads_once", False)
        self.moments = getattr(engine, "moments", None)

    def plan(self, query: Query, count: int, **demand: Any) -> Plan:
        return Plan(self.engine.plan(query, count, **demand).batch, self.block)
