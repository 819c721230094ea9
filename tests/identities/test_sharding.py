"""Every machine is the same for any division of the training set, and in other processes."""

from __future__ import annotations

import pytest
import torch

from scoremachines.data.executors.processes import Processes
from scoremachines.testing import check_machine
from support.machines import EVERY, PLAIN, Named, machine_of, training_images

DRAWN = torch.randperm(len(EVERY), generator=torch.Generator().manual_seed(0))[:24].tolist()
REST = [pytest.mark.slow, pytest.mark.exhaustive]
CASES = [
    *PLAIN,
    *(
        pytest.param(case, marks=[] if number in DRAWN else REST)
        for number, case in enumerate(EVERY)
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_no_division_changes_an_answer(executors: list[Processes], case: Named) -> None:
    check_machine(lambda data: machine_of(data, case), training_images(), executors)
