"""Thresholds of several kinds of copies keep the level together, or the one that they can."""

from __future__ import annotations

import pytest
import torch

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.metrics.copies import Copy, Mirrored, Turned
from scoremachines.metrics.matching import whole_match
from scoremachines.metrics.memorisation import calibrate_memorisation
from scoremachines.metrics.thresholds import common_rank, held_out_needed
from support.images import smooth


def test_every_kind_keeps_its_rate_and_all_together_theirs() -> None:
    data, held_out = sm.TrainingSet(smooth(150, seed=10)), smooth(400, seed=11)
    kinds = [Copy(), Mirrored(), Turned()]
    test = calibrate_memorisation(data, held_out, level=0.09, most=400, kinds=kinds)
    assert [each.kind for each in test.kinds] == ["as it is", "mirrored", "turned"]
    assert test.level == test.target_level == 0.09
    assert test.shortage == ""
    for each in test.kinds:
        assert 0.02 < each.level < 0.09
        assert each.false_positives.interval()[0] <= 0.09
        assert each.found.rate > 0.9
    assert test.false_positives.interval()[0] <= 0.09
    most = max(each.false_positives.successes for each in test.kinds)
    assert most <= test.false_positives.successes
    mirrored = whole_match(data.images[:20].flip(-1), data, kinds=kinds)
    assert test.flags(mirrored).all()
    assert (test.kind_of(mirrored) == 1).all()
    with pytest.raises(InputError, match="match="):
        test.flags(whole_match(data.images[:2], data))


def test_one_rank_for_all_kinds_keeps_the_level() -> None:
    """Kinds that go together or not: a new image exceeds some threshold at most as often."""
    generator = torch.Generator().manual_seed(0)
    alone = torch.randn(1, 59, generator=generator)
    assert common_rank(alone, 0.1) == (54, pytest.approx(0.1))  # ⌈0.9 · 60⌉
    assert common_rank(alone, 0.001) == (59, pytest.approx(1 / 60))
    for shared in (0.0, 3.0):
        common = shared * torch.randn(1500, 1, 60, generator=generator)
        shares = common + torch.randn(1500, 4, 60, generator=generator)
        wrong, ranks = 0, []
        for each in shares:
            rank, kept = common_rank(each[:, :59], 0.1)
            assert kept <= 0.1
            ranks.append(rank)
            thresholds = each[:, :59].sort(1).values[:, rank - 1]
            wrong += bool((each[:, 59] > thresholds).any())
        assert wrong / 1500 < 0.1 + 3 * (0.1 * 0.9 / 1500) ** 0.5
        assert wrong / 1500 > (0.03 if shared else 0.06)  # and is not wasteful
        # Four kinds at α/4 each would take rank 59.
        assert sum(ranks) / 1500 < (57.7 if shared else 59)


def test_a_level_that_so_few_images_cannot_give_is_not_claimed() -> None:
    data, held_out = sm.TrainingSet(smooth(20, seed=12)), smooth(40, seed=13)
    test = calibrate_memorisation(data, held_out, level=0.01, kinds=[Copy(), Mirrored()])
    assert (test.target_level, test.calibrated_on) == (0.01, 20)
    assert 2 / 21 <= test.level <= 3 / 21 + 1e-9
    assert test.shortage.startswith("the level 1 % cannot be had from 40 held-out images: ")
    assert test.shortage.endswith(" % is the lowest; 598 images would do")
    assert test.needed == held_out_needed(0.01, 2) == 598
    assert held_out_needed(0.01, 1) == 198
    alone = calibrate_memorisation(data, held_out, level=0.01)
    assert alone.level == pytest.approx(1 / 21)
    enough = calibrate_memorisation(data, held_out, level=0.2, kinds=[Copy(), Mirrored()])
    assert (enough.level, enough.shortage) == (0.2, "")
