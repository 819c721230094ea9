"""Sentences say what the numbers say."""

from __future__ import annotations

import math

import pytest

from scoremachines.experiments import summary_text as sentences
from scoremachines.experiments.networks import CNN, SOFT
from scoremachines.experiments.results import Findings, Order


def test_sentences_agree_with_the_numbers(findings: Findings) -> None:
    said = " ".join(sentences.network_sentences(findings))
    assert "most consistent network is soft: 72.5 % of all its samples and 94.6 %" in said
    assert "CNN only: 10.0 % of all samples, chance 10.0 %, which the interval contains." in said
    assert "Top-1: 20.0 % of all samples, not above the paper's 21.64 %" in said
    unsure, sure = (sentences.order_sentence(test) for test in findings.orders)
    assert unsure == "top-1 is not shown to be above CNN only"
    assert sure == "soft is above CNN only, as trained here and over training seeds"
    only = sentences.order_sentence(Order(SOFT, CNN, 0.001, math.nan))
    assert only == "soft is above CNN only as trained here, but not shown to be so over seeds"
    assert sentences.machine_sentences(findings) == [
        "Of 4 machines that stand for a network, 3 are within 10 points of its consistency: "
        "none, measured (soft), none (valid)."
    ]
    cnn, soft = sentences.agreement_sentences(findings.agreements)
    assert cnn == "CNN only: none agrees best, median r = 0.931 (r2 = 0.867)."
    assert "measured (soft) agrees best" in soft
    assert "above none by 0.160 (0.140 to 0.190) on the same seeds" in soft
    assert [sentences.p_value(p) for p in (math.nan, 1e-5, 0.00994, 0.0104, 0.4)] == [
        "–", "< 0.0001", "0.0099", "0.0104", "0.40",
    ]  # fmt: skip


def test_measured_machines_stand_beside_the_training_whose_maps_they_use(
    findings: Findings,
) -> None:
    pairs = {str(each.machine.model): each for each in sentences.compared(findings)}
    measured, closed = pairs["measured (soft)"], pairs["none"]
    assert measured.network is not None
    assert closed.network is not None
    assert (measured.network.model, measured.network.seed) == (SOFT, 0)
    assert (closed.network.model, closed.network.seed) == (CNN, None)
    assert measured.difference == pytest.approx(100 * (27 - 30) / 40)
    assert not pairs["top1-class"].is_close
    assert pairs["full"].network is None
    assert not pairs["full"].is_close
