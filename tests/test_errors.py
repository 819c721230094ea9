"""The form of refusals: one bounded line, and one check for whole and one for real numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import scoremachines as sm
from scoremachines.calibration import predict_windows
from scoremachines.errors import LARGEST, InputError, one_line, real, shorten, whole
from scoremachines.experiments.settings import ConsistencySettings
from scoremachines.networks.training import TrainSettings

DATA = sm.TrainingSet(torch.zeros(2, 1, 5, 7))
ABSURD = 10**30
NO_NUMBERS: list[Any] = [None, True, np.bool_(True), torch.tensor(True), 3.0, np.float64(3), "3"]
NO_NUMBERS += [[3], 1j, -1, np.zeros(2, int), torch.zeros(2, dtype=torch.int32)]
NO_NUMBERS += [torch.zeros((), dtype=torch.int32, device="meta")]


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), torch.tensor([3])])
def test_whole_numbers_of_every_library_are_taken(value: Any) -> None:
    assert type(whole("n", value)) is int
    assert whole("n", value) == 3
    assert real("share", value) == 3.0


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"n=.*Accepted: a whole number of at least 0"):
        whole("n", value)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: sm.sample(sm.ideal(DATA), n=ABSURD),
        lambda: sm.sample(sm.ideal(DATA), steps=ABSURD),
        lambda: sm.sample(sm.ideal(DATA), batch=ABSURD),
        lambda: sm.sample(sm.ideal(DATA), seed=2**63),
        lambda: sm.sample(sm.ideal(DATA), best=ABSURD),
        lambda: sm.compare(sm.ideal(DATA), {"els": sm.els(DATA, 3)}, DATA, n=ABSURD),
        lambda: sm.calibrate(sm.els(DATA, 3), DATA, sources="valid", steps=ABSURD),
        lambda: predict_windows(DATA, draws=ABSURD),
        lambda: sm.starting_noise(ABSURD, range(2), (1, 5, 7)),
        lambda: sm.starting_noise(0, range(2), (1, 10**6, 7)),
        lambda: sm.els(DATA, 10**20 + 1),
        lambda: sm.els(DATA, 3, memory=ABSURD),
        lambda: sm.Network((10**6, 10**6)),
        lambda: sm.NetworkSettings(width=ABSURD),
        lambda: TrainSettings(steps=ABSURD),
        lambda: ConsistencySettings(workers=ABSURD),
    ],
)
def test_absurd_numbers_are_refused_at_once(refuse: Callable[[], object]) -> None:
    with pytest.raises(InputError) as caught:
        refuse()
    assert caught.value.argument in (*LARGEST, "shape", "steps")


def test_a_refusal_is_one_bounded_line_whatever_is_in_it() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    values = ["x" * 10**6, "\x1b[2J\r\n\x00", "\udcff", 10**5000, [0] * 10**6, endless]
    values += [torch.zeros(1000, 1000), np.zeros(10**5), {"a": "\n" * 999}, Path("a\nb" * 999)]
    for value in values:
        line = str(InputError("value", value, "y" * 10**5, "z\n" * 10**5))
        assert len(line) < 2000
        assert line.isprintable()
    line.encode("utf-8")


def test_the_stack_of_torch_s_own_code_is_left_out() -> None:
    try:
        torch.zeros(2) + torch.zeros(3)
    except RuntimeError as error:
        first = str(error)
    stack = "\nException raised from infer_size at ../aten/src/ATen/Utils.cpp:35 (most recent"
    assert one_line(f"{first}{stack} call first):\nframe #0: c10::Error") == first
    assert re.search("Exception|frame", str(InputError("x", 1, "y", first + stack))) is None


def test_values_are_shown_as_they_were_written() -> None:
    assert shorten("7") == "'7'"
    assert shorten([1, 2]) == "[1, 2]"
    assert shorten(torch.zeros(5, 7)) == "Tensor [5, 7] of float32"
    assert shorten(Path("a/b")) == "a/b"
