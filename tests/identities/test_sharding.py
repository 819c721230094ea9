"""Every machine is the same for any division of the training set, and in other processes."""

from __future__ import annotations

from itertools import product

import pytest
import torch

import scoremachines as sm
from scoremachines.attention import build_attention
from scoremachines.data.executors.processes import Processes
from scoremachines.testing import check_machine
from scoremachines.theory.positions import SOURCES
from scoremachines.theory.specs import AttentionSpec
from scoremachines.theory.specs.attention import OVER

SHAPE = 2, 4, 5  # at 3 pixels, a wrapped window of 3 would see the same from every row
PLAIN = [("none", "image", 1.0, sources) for sources in SOURCES]
MAPS = "identity", "top1", "tiled", "full", "multiscale", "matrix"
EVERY = [*product(MAPS, OVER, (1.0, 1.3, "perplexity"), SOURCES)]
DRAWN = torch.randperm(len(EVERY), generator=torch.Generator().manual_seed(0))[:24].tolist()
CASES = [
    *PLAIN,
    *(
        pytest.param(*case, marks=[] if number in DRAWN else pytest.mark.slow)
        for number, case in enumerate(EVERY)
    ),
]


@pytest.mark.parametrize(("name", "over", "gain", "sources"), CASES)
def test_no_division_changes_an_answer(
    executors: list[Processes], name: str, over: str, gain: float | str, sources: str
) -> None:
    draw = torch.Generator().manual_seed(3)
    images = torch.rand(8, *SHAPE, generator=draw, dtype=torch.float64) * 2 - 1
    matrix = torch.rand(20, 20, generator=draw, dtype=torch.float64).softmax(1)
    spec = AttentionSpec(name, over, gain, windows=(1, 3) if name == "multiscale" else None)
    attention = build_attention(spec, matrix=matrix if name == "matrix" else None)
    check_machine(lambda data: sm.ScoreMachine(data, 3, sources, attention), images, executors)
