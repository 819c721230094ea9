"""Attention whose listeners agree on a group before they choose an image (theory §4.7)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scoremachines as sm
from scoremachines.attention import (
    ByGroup,
    Full,
    GroupConsensus,
    Identity,
    MultiScale,
    PerplexityGain,
    Scaled,
    Soft,
    Tiled,
    Top1,
)
from support.classes import LEVEL, WINDOW, noisy_images, training_set


def in_two_steps(
    data: sm.TrainingSet, noisy: torch.Tensor, attention: torch.Tensor
) -> torch.Tensor:
    """First the group by all windows, then the image by the own one, from machines of one class.

    Args:
        data: the training set.
        noisy: the noisy images.
        attention: the weights of all windows, the own one's on the diagonal.

    Returns:
        x̂0.
    """
    means, evidence = [], []
    for label, name in enumerate(data.classes):
        part = sm.ScoreMachine(data.subset(data.of_class(name)), WINDOW, "boundary")
        posterior = part.posterior(noisy, LEVEL)
        count = int((data.labels == label).sum())
        means.append(posterior.mean)
        evidence.append((posterior.log_weight - torch.tensor(count).log()).flatten(1))
    heard = torch.stack(evidence, 1) @ attention.T
    prior = torch.bincount(data.labels).double().log()[:, None]  # type: ignore[arg-type]
    share = (heard + prior).softmax(1).unflatten(2, data.shape[1:])
    return (share[:, :, None] * torch.stack(means, 1)).sum(1)


def test_tiled_places_decide_together() -> None:
    data = training_set()
    noisy = noisy_images(data)
    everyone = torch.full((35, 35), 1 / WINDOW**2, dtype=torch.float64)
    found = sm.ScoreMachine(data, WINDOW, "boundary", "tiled-agreed").denoise(noisy, LEVEL)
    torch.testing.assert_close(found, in_two_steps(data, noisy, everyone))


def test_the_own_window_is_as_loud_as_the_loudest() -> None:
    data = training_set()
    noisy = noisy_images(data)
    matrix = torch.rand(35, 35, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    matrix.fill_diagonal_(0)
    matrix[3] *= 5  # above 1, where the own window stays
    machine = sm.ScoreMachine(data, WINDOW, "boundary", GroupConsensus(Scaled(Soft(matrix), 0.5)))
    weights = 0.5 * matrix + torch.diag((0.5 * matrix).amax(1).clamp(max=1))
    torch.testing.assert_close(machine.denoise(noisy, LEVEL), in_two_steps(data, noisy, weights))


@pytest.mark.parametrize("attention", [Full(), Top1()])
def test_with_the_full_weight_of_others_nothing_changes(attention: object) -> None:
    data = training_set()
    noisy = noisy_images(data)
    plain = sm.ScoreMachine(data, WINDOW, attention=ByGroup(attention))  # type: ignore[arg-type]
    found = sm.ScoreMachine(data, WINDOW, attention=GroupConsensus(attention))  # type: ignore[arg-type]
    torch.testing.assert_close(found.denoise(noisy, LEVEL), plain.denoise(noisy, LEVEL))


@pytest.mark.parametrize("attention", [Tiled(), MultiScale((3, 5)), Identity()])
def test_one_group_is_no_attention(attention: object) -> None:
    data = training_set()
    group = GroupConsensus(attention, torch.zeros(len(data), dtype=torch.int64))  # type: ignore[arg-type]
    expected, found = sm.ScoreMachine(data, WINDOW), sm.ScoreMachine(data, WINDOW, attention=group)
    noisy = noisy_images(data)
    torch.testing.assert_close(found.denoise(noisy, LEVEL), expected.denoise(noisy, LEVEL))


@pytest.mark.parametrize("attention", ["tiled-agreed", "multiscale-agreed", "identity-agreed"])
def test_neither_order_nor_batch_changes_anything(attention: str) -> None:
    data = training_set()
    noisy = noisy_images(data)
    machine = sm.ScoreMachine(data, WINDOW, attention=attention)
    found = machine.denoise(noisy, LEVEL)
    assert torch.equal(machine.denoise(noisy[1:], LEVEL), found[1:])
    mixed = sm.ScoreMachine(data.subset([*range(10, -1, -1)]), WINDOW, attention=attention)
    torch.testing.assert_close(mixed.denoise(noisy, LEVEL), found)


def test_a_folder_keeps_it(tmp_path: Path) -> None:
    data = training_set()
    noisy = noisy_images(data)
    for attention in ("tiled-agreed", "identity-agreed", GroupConsensus(MultiScale((3, 5)))):
        machine = sm.ScoreMachine(data, WINDOW, attention=attention)  # type: ignore[arg-type]
        machine.save_pretrained(tmp_path / machine.attention.name)
        again = sm.ScoreMachine.from_pretrained(tmp_path / machine.attention.name)
        assert again.attention.name == machine.attention.name
        assert torch.equal(again.denoise(noisy, LEVEL), machine.denoise(noisy, LEVEL))


def test_no_attention_has_nothing_to_agree_on() -> None:
    with pytest.raises(sm.InputError, match="tiled-consensus"):
        sm.ScoreMachine(training_set(), WINDOW, attention="none-consensus")


def test_an_even_row_is_tiled_and_a_single_place_has_weight_one() -> None:
    data = training_set()
    noisy = noisy_images(data)
    matrix = torch.full((35, 35), 1 / 34, dtype=torch.float64).fill_diagonal_(0)
    spread = sm.ScoreMachine(data, WINDOW, attention=PerplexityGain(Soft(matrix)))
    even = Soft(torch.full((35, 35), 1 / WINDOW**2, dtype=torch.float64))
    known = sm.ScoreMachine(data, WINDOW, attention=even)
    torch.testing.assert_close(spread.denoise(noisy, LEVEL), known.denoise(noisy, LEVEL))
    single = torch.eye(35, dtype=torch.float64).roll(1, 0)
    spread = sm.ScoreMachine(data, WINDOW, attention=PerplexityGain(Soft(single)))
    known = sm.ScoreMachine(data, WINDOW, attention=Soft(single))
    assert torch.equal(spread.denoise(noisy, LEVEL), known.denoise(noisy, LEVEL))
    tiled = sm.ScoreMachine(data, WINDOW, attention=PerplexityGain(Tiled()))
    assert torch.equal(
        tiled.denoise(noisy, LEVEL),
        sm.ScoreMachine(data, attention="tiled", window=WINDOW).denoise(noisy, LEVEL),
    )
