"""Bad input to a training: refused early, in one line, with nothing written."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.errors import InputError
from scoremachines.networks import NetworkSettings
from scoremachines.networks.training import (
    Progress,
    TrainSettings,
    new_network,
    train,
    train_in_folder,
)

SMALL = NetworkSettings(width=3, receptive_field=3)
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.tuples(st.floats(-1, 2), st.floats(-1, 2)),
)
BAD = [
    ("steps", 0),
    ("steps", 2.5),
    ("batch", 0),
    ("batch", True),
    ("warmup", -1),
    ("learning_rate", 0),
    ("learning_rate", math.nan),
    ("learning_rate", math.inf),
    ("weight_decay", -0.1),
    ("betas", (0.9, 1.0)),
    ("betas", (0.9,)),
    ("betas", 0.9),
    ("ema", 1.0),
    ("ema", "slow"),
    ("precision", "fp8"),
    ("seed", -1),
    ("times", "late"),
    ("seed", 2**63),
    ("device", "abacus"),
    ("save_every", 0),
    ("log_every", 0),
    ("threads", 0),
]


def pictures(*shape: int, labels: list[int] | None = None, classes: Any = ()) -> sm.TrainingSet:
    pixels = torch.rand(*shape, generator=torch.Generator().manual_seed(0))
    return sm.TrainingSet(pixels, None if labels is None else torch.tensor(labels), classes)


def refusal(call: Callable[[], object]) -> InputError | None:
    try:
        call()
    except InputError as error:
        return error
    return None


@pytest.mark.parametrize(("name", "value"), BAD)
def test_settings_out_of_range_are_named(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{name}="):
        TrainSettings(**{name: value})


@given(name=st.sampled_from(sorted({name for name, _ in BAD})), value=ANYTHING)
@settings(max_examples=150)
def test_settings_are_accepted_or_refused(name: str, value: Any) -> None:
    made: list[TrainSettings] = []
    error = refusal(lambda: made.append(TrainSettings(**{name: value})))
    if error is None:
        assert getattr(made[0], name) == value
    else:
        assert error.argument == name
        assert "\n" not in str(error)


@given(
    steps=st.integers(1, 3),
    batch=st.integers(1, 5),
    warmup=st.integers(0, 9),
    rate=st.floats(1e-12, 1e38),
    decay=st.floats(0, 1e6),
    ema=st.floats(0, 0.999999),
    betas=st.tuples(st.floats(0, 0.99999), st.floats(0, 0.99999)),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=25)
def test_whatever_is_accepted_ends_or_is_refused(
    steps: int,
    batch: int,
    warmup: int,
    rate: float,
    decay: float,
    ema: float,
    betas: Any,
    seed: int,
) -> None:
    wanted = TrainSettings(
        network=SMALL,
        steps=steps,
        batch=batch,
        warmup=warmup,
        learning_rate=rate,
        weight_decay=decay,
        ema=ema,
        betas=betas,
        seed=seed,
        precision="no",
    )
    data = pictures(2, 1, 5, 7)
    seen: list[Progress] = []
    error = refusal(lambda: train(new_network(data, wanted), data, wanted, seen.append))
    if error is None:
        assert len(seen) == steps
    else:
        assert error.argument == "learning_rate"
        assert rate * max(1, decay) > 1


@pytest.mark.parametrize(
    ("data", "shape", "expected"),
    [
        (pictures(4, 3, 5, 7), {"receptive_field": 7}, "receptive_field=7: .* 5 pixels only"),
        (pictures(4, 3, 6, 8), {"trunk": "kg-unet"}, "multiples of 4 pixels"),
        (pictures(4, 3, 5, 7), {"conditional": True}, "has no classes"),
        (
            pictures(4, 3, 5, 7, labels=[0, 2, 2, 0]),
            {"conditional": True},
            "no image is of class 1",
        ),
        (
            pictures(4, 3, 5, 7, labels=[0, 1, 1, 0], classes=("cat", "dog", "emu")),
            {"conditional": True},
            "no image is of class 2",
        ),
        (pictures(4, 1, 1, 1), {}, "receptive_field=3"),
        (pictures(4, 1, 1, 1), {"attention": "soft"}, "attend to"),
    ],
)
def test_sets_that_cannot_work_are_refused_before_anything_is_written(
    data: sm.TrainingSet, shape: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    wanted = TrainSettings(network=NetworkSettings(**({"receptive_field": 3, "width": 3} | shape)))
    with pytest.raises(InputError, match=expected):
        train_in_folder(data, wanted, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_of_another_shape_is_refused() -> None:
    wanted = TrainSettings(network=SMALL, steps=1)
    network = new_network(pictures(2, 3, 5, 7), wanted)
    with pytest.raises(InputError, match="made for"):
        train(network, pictures(2, 3, 7, 5), wanted)


def test_classes_that_a_network_does_not_know_are_refused() -> None:
    wanted = TrainSettings(network=NetworkSettings(width=3, receptive_field=3, conditional=True))
    network = new_network(pictures(3, 1, 5, 7, labels=[0, 1, 0]), wanted)
    with pytest.raises(InputError, match="does not know class 2"):
        train(network, pictures(3, 1, 5, 7, labels=[0, 1, 2]), wanted)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "source=None"),
        (["no/such/folder"], "no/such/folder"),
        (["digits", "--batch", "0"], "batch=0"),
        (["digits", "--steps", "few"], "steps"),
        (["digits", "--network.attention", "hard"], "attention='hard'"),
        (["digits", "--network.receptive_field", "9"], "receptive_field=9"),
        (["digits", "--network.depth", "9"], "--network.depth"),
        (["digits", "--schedule", "bumpy"], "schedule='bumpy'"),
        (["digits", "--size", "8by8"], "size='8by8'"),
        (["digits", "--precision", "fp64"], "precision='fp64'"),
        (["digits", "--betas", "0.9"], "betas"),
        (["digits", "--window", "5"], "--window"),
        (["shapes", "--shapes.features", "99"], "features"),
    ],
)
def test_one_line_names_argument_value_and_what_is_accepted(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words, "-o", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("scoremachines: error: ")
    assert expected in lines[0]
    assert not (tmp_path / "out").exists()


def test_a_batch_beyond_memory_is_refused() -> None:
    data, wanted = pictures(2, 3, 32, 33), TrainSettings(network=SMALL, batch=10**6)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, old[1]))
    try:
        with pytest.raises(InputError, match="batch=1000000: there is not enough memory"):
            train(new_network(data, wanted), data, wanted)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="it holds something else"):
        train_in_folder(pictures(2, 3, 5, 7), TrainSettings(network=SMALL), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
