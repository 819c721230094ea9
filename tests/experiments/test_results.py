"""What the experiment finds follows from its samples: rates, order, agreement, JSON."""

from __future__ import annotations

import json
import math

import pytest
import torch

import scoremachines as sm
from scoremachines.data.synthetic.judge import Judge
from scoremachines.experiments.networks import CNN, SOFT
from scoremachines.experiments.results import (
    Findings,
    Order,
    Point,
    agreement,
    order,
    rates,
)
from scoremachines.experiments.roles import Candidate
from scoremachines.metrics.agreement import paired_difference, pearson_r, summarise
from scoremachines.metrics.significance import rate_test, seed_test
from scoremachines.theory.proportion import Proportion
from support.rates import row

NONE, TILED = Candidate.of("none"), Candidate.of("tiled")


@pytest.fixture(scope="module")
def judge() -> Judge:
    data = sm.shapes(size=(10, 12), n=23, features=3, feature_size=2)
    assert data.judge is not None
    return data.judge


def test_rates_are_those_of_the_judge(judge: Judge) -> None:
    images = torch.cat([judge.training_set.images[:7], judge.shuffled(n=11)])
    images[2] = torch.rand(images[2].shape, generator=torch.Generator().manual_seed(0))
    found, verdicts = rates(judge, SOFT, 2, images), judge(images)
    assert (found.model, found.seed) == (SOFT, 2)
    assert found.valid == Proportion(17, 18)
    for name, proportion in verdicts.rates().items():
        assert getattr(found, name) == proportion
    assert found.consistent.successes >= 6
    assert found.chance == verdicts.chance(of_all=True)
    assert found.chance_of_valid == pytest.approx(3.0**-2)
    assert found.chance == pytest.approx(3.0**-2 * 17 / 18)


def test_shuffled_samples_are_at_chance(judge: Judge) -> None:
    found = rates(judge, NONE, None, judge.shuffled(n=2000, seed=5))
    assert found.valid.rate == 1
    low, high = found.consistent.interval()
    assert low < found.chance < high
    assert found.chance == pytest.approx(1 / 9)
    training = rates(judge, NONE, None, judge.training_set.images)
    assert training.consistent.rate == 1
    assert training.novel.rate == 0


def test_order_is_tested_in_both_ways() -> None:
    better = [row(SOFT, seed, count) for seed, count in enumerate((30, 26, 33))]
    worse = [row(CNN, seed, count) for seed, count in enumerate((4, 7, 5))]
    found = order(better, worse)
    pairs = [[each.consistent for each in rows] for rows in (better, worse)]
    assert found == Order(SOFT, CNN, rate_test(*pairs), seed_test(*pairs))
    assert found.p_samples < 1e-10
    assert found.p_samples < found.p_seeds < 0.01
    assert order(worse, better).p_samples > 0.99


def test_images_agree_with_themselves_and_are_not_ahead_of_themselves() -> None:
    images = torch.randn(9, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    without, same = agreement(SOFT, images, {NONE: images, TILED: images.clone()}, NONE)
    assert without.lead is None
    assert (same.network, same.machine, same.r.n) == (SOFT, TILED, 9)
    assert (same.r.median, same.r.low, same.r2.median) == (1, 1, 1)
    assert same.lead is not None
    assert (same.lead.median, same.lead.low, same.lead.high) == (0, 0, 0)


def test_agreement_takes_the_samples_that_both_have() -> None:
    draw = torch.Generator().manual_seed(2)
    theirs, none, tiled = (torch.randn(n, 3, 5, 7, generator=draw) for n in (9, 11, 6))
    without, other = agreement(SOFT, theirs, {NONE: none, TILED: tiled}, NONE)
    base, r = pearson_r(theirs, none[:9]), pearson_r(theirs[:6], tiled)
    assert without.r == summarise(base)
    assert other.r == summarise(r)
    assert other.r2 == summarise(r.square())
    assert other.lead == paired_difference(r, base[:6])
    alone = agreement(SOFT, theirs, {TILED: tiled}, None)
    assert [each.lead for each in alone] == [None]


def test_json_has_no_nan_and_keeps_every_number(judge: Judge) -> None:
    nothing = rates(judge, NONE, None, torch.zeros(5, 3, 10, 12))
    assert math.isnan(nothing.chance_of_valid)
    flat = agreement(CNN, torch.zeros(4, 3, 5, 7), {NONE: torch.ones(4, 3, 5, 7)}, None)
    networks = [row(CNN, None, 9), row(CNN, 0, 9)]
    point = Point("steps", "5", CNN, networks[1])
    findings = Findings(
        networks, [nothing], [Order(SOFT, CNN, 0.5, math.nan)], flat, [], [point], {"n": (1, 2)}
    )
    plain = json.loads(json.dumps(findings.plain(), allow_nan=False))
    assert plain == findings.plain()
    assert plain["machines"][0]["chance_of_valid"] is None
    assert plain["orders"] == [
        {"better": "soft", "worse": "cnn", "p_samples": 0.5, "p_seeds": None}
    ]
    assert plain["agreements"][0]["r"]["median"] is None
    assert plain["agreements"][0]["r"]["missing"] == 4
    assert Proportion(**plain["networks"][0]["consistent"]) == networks[0].consistent
    assert plain["sweeps"][0]["rates"]["seed"] == 0
    assert plain["about"] == {"n": [1, 2]}
