"""Attention that speaks of groups of images: between no attention and that of single images."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import scoremachines as sm
from scoremachines.attention import ByGroup, Full, MultiScale, Scaled, Tiled, Top1
from scoremachines.engines import Query, ReferenceEngine
from support.classes import LEVEL, WINDOW, noisy_images, training_set


@pytest.mark.parametrize("attention", [Tiled(), Full(), Top1(), MultiScale((3, 5))])
def test_one_image_a_group_is_attention_to_images(attention: object) -> None:
    data = training_set()
    alone = ByGroup(attention, torch.arange(len(data)))  # type: ignore[arg-type]
    expected = sm.ScoreMachine(data, WINDOW, attention=attention)  # type: ignore[arg-type]
    found = sm.ScoreMachine(data, WINDOW, attention=alone)
    noisy = noisy_images(data)
    torch.testing.assert_close(found.denoise(noisy, LEVEL), expected.denoise(noisy, LEVEL))


@pytest.mark.parametrize("attention", [Tiled(), Full(), Top1()])
def test_one_group_is_no_attention(attention: object) -> None:
    data = training_set()
    group = ByGroup(attention, torch.zeros(len(data), dtype=torch.int64))  # type: ignore[arg-type]
    expected, found = sm.ScoreMachine(data, WINDOW), sm.ScoreMachine(data, WINDOW, attention=group)
    noisy = noisy_images(data)
    torch.testing.assert_close(found.denoise(noisy, LEVEL), expected.denoise(noisy, LEVEL))


@pytest.mark.parametrize("sources", ["aligned", "valid", "circular", "boundary"])
def test_the_formula(sources: str) -> None:
    """Π_u(i) = Σ_{y≠u} E_y(g(i)) / k², written out from the reference engine's evidence."""
    data, engine = training_set(), ReferenceEngine()
    noisy = noisy_images(data)
    query = Query(noisy, torch.full((2,), LEVEL, dtype=torch.float64), WINDOW, sources)
    evidence = engine.evidence(query, data.pixels)
    bias = torch.zeros_like(evidence)
    for image in range(len(data)):
        group = evidence[:, data.labels == data.labels[image]].exp().mean(1).log()  # type: ignore[index]
        bias[:, image] = (group.sum((-2, -1), keepdim=True) - group) / WINDOW**2
    expected = engine.posterior(query, data.pixels, torch.arange(len(data)), bias, 0).mean
    machine = sm.ScoreMachine(data, WINDOW, sources, "tiled-class")
    torch.testing.assert_close(machine.denoise(noisy, LEVEL), expected)


@given(st.permutations(range(11)), st.integers(1, 11))
def test_order_and_blocks_of_the_training_set_change_nothing(order: list[int], block: int) -> None:
    data, noisy = training_set(), noisy_images(training_set())
    engine = ReferenceEngine()
    plan = engine.plan
    mixed = data.subset(order)
    small = ReferenceEngine()
    small.plan = lambda *args, **options: type(plan(*args, **options))(1, block)  # type: ignore[method-assign]
    expected = sm.ScoreMachine(data, WINDOW, attention="full-class", engine=engine)
    found = sm.ScoreMachine(mixed, WINDOW, attention="full-class", engine=small)
    torch.testing.assert_close(found.denoise(noisy, LEVEL), expected.denoise(noisy, LEVEL))


def test_a_class_that_is_chosen_is_one_group() -> None:
    data, noisy = training_set(), noisy_images(training_set())
    machine = sm.ScoreMachine(data, WINDOW, attention="top1-class")
    alone = sm.ScoreMachine(data.subset(data.of_class("b")), WINDOW)
    torch.testing.assert_close(machine.denoise(noisy, LEVEL, 1), alone.denoise(noisy, LEVEL))


def test_scaled_outside_or_inside_is_the_same() -> None:
    data, noisy = training_set(), noisy_images(training_set())
    first = sm.ScoreMachine(data, WINDOW, attention=Scaled(ByGroup(Tiled()), 0.4))
    second = sm.ScoreMachine(data, WINDOW, attention=ByGroup(Scaled(Tiled(), 0.4)))
    torch.testing.assert_close(first.denoise(noisy, LEVEL), second.denoise(noisy, LEVEL))


def test_it_brings_classes_together_and_not_images() -> None:
    """From noise, tiles agree on the colour but still come from several images."""
    data = sm.shapes(size=12, feature_size=3, n=24)
    machine = sm.ScoreMachine(data, 7, "boundary", "full-class")
    result = sm.sample(machine, n=3, steps=6)
    named = result.source_images
    assert named is not None
    assert data.labels is not None
    for each in named:
        assert len(each.unique()) > 1
        values, counts = data.labels[each].flatten().unique(return_counts=True)
        assert counts.max() > 0.95 * counts.sum(), values


def test_a_folder_keeps_it(tmp_path: object) -> None:
    data, noisy = training_set(), noisy_images(training_set())
    for attention in ("identity-class", ByGroup(MultiScale((3, 5)))):
        machine = sm.ScoreMachine(data, WINDOW, attention=attention)  # type: ignore[arg-type]
        machine.save_pretrained(f"{tmp_path}/{machine.attention.name}")
        again = sm.ScoreMachine.from_pretrained(f"{tmp_path}/{machine.attention.name}")
        assert torch.equal(again.denoise(noisy, LEVEL), machine.denoise(noisy, LEVEL))


def test_bad_groups() -> None:
    data = training_set()
    bare = sm.TrainingSet(data.pixels)
    noisy = noisy_images(data)
    with pytest.raises(sm.InputError, match="groups"):
        ByGroup(Tiled(), torch.tensor([0.5, 1.0]))
    with pytest.raises(sm.InputError, match="groups"):
        ByGroup(Tiled(), torch.tensor([-1, 1]))
    with pytest.raises(sm.InputError, match="11 groups"):
        sm.ScoreMachine(data, 3, attention=ByGroup(Tiled(), torch.arange(4))).denoise(noisy, LEVEL)
    with pytest.raises(sm.InputError, match="labels"):
        sm.ScoreMachine(bare, 3, attention="tiled-class").denoise(noisy, LEVEL)
    with pytest.raises(sm.InputError, match="tiled-class"):
        sm.ScoreMachine(data, 3, attention="none-class")
