"""`auto` takes the engine made for the device of a query."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import scoremachines as sm
from scoremachines.engines import (
    AutoEngine,
    FusedEngine,
    NativeEngine,
    Query,
    TorchEngine,
    make_engine,
)
from scoremachines.engines.native.engine import native_instructions
from scoremachines.engines.triton.engine import obstacle
from scoremachines.errors import InputError
from scoremachines.testing import check_engine
from support.devices import DEVICE, runs_here


def test_auto_takes_the_engine_of_the_querys_device() -> None:
    auto = make_engine("auto")
    assert isinstance(auto, AutoEngine)
    fastest = NativeEngine if native_instructions() else TorchEngine
    assert isinstance(auto.on(torch.device("cpu")), fastest)
    assert auto.on(torch.device("cpu")) is auto.on(torch.device("cpu"))
    assert isinstance(auto.on(torch.device("meta")), TorchEngine)


@runs_here
def test_auto_takes_the_fused_engine_on_a_gpu() -> None:
    assert isinstance(make_engine("auto").on(torch.device("cuda")), FusedEngine)
    if DEVICE == "cuda":
        check_engine(make_engine("auto"), device="cuda", dtypes=(torch.float32,), count=40)


def test_a_machine_keeps_auto_in_its_folder(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (4, 1, 5, 7), generator=draw, dtype=torch.uint8)
    machine = sm.els(sm.TrainingSet(pixels), 3)
    machine.save_pretrained(tmp_path)
    loaded = sm.ScoreMachine.from_pretrained(tmp_path)
    assert machine.config.engine == loaded.config.engine == "auto"
    noisy = torch.rand(1, 1, 5, 7, generator=draw) * 2 - 1
    assert torch.equal(machine.denoise(noisy, 0.5), loaded.denoise(noisy, 0.5))


def test_bytes_reach_every_engine_as_it_reads_them() -> None:
    """What an engine that reads bytes is given, `auto` hands on to one that does not as values."""
    stored = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)
    auto, index = AutoEngine(), torch.arange(3)
    auto.engines["cpu"] = TorchEngine()
    query = Query(torch.zeros(1, 1, 1, 1), torch.tensor([0.5]).double(), 1, "aligned")
    found = auto.posterior(query, stored, index, None, 0)
    known = TorchEngine().posterior(query, stored / 127.5 - 1, index, None, 0)
    torch.testing.assert_close(found.mean, known.mean, rtol=0, atol=1e-6)
    values = auto.evidence(query, stored)
    expected = TorchEngine().evidence(query, stored / 127.5 - 1)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-6)


@pytest.mark.skipif(DEVICE == "cuda", reason="there is a GPU")
def test_without_a_gpu_it_is_refused_and_auto_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    if obstacle() is None:
        engine = FusedEngine()
        query = Query(torch.zeros(1, 1, 3, 3), torch.tensor([0.5]).double(), 3, "valid")
        monkeypatch.delenv("TRITON_INTERPRET")
        with pytest.raises(InputError, match="images are on cpu"):
            engine.evidence(query, torch.zeros(1, 1, 3, 3))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError, match=r"engine='cuda': (torch finds|Triton is)"):
        make_engine("cuda")
    with pytest.warns(UserWarning, match="the torch engine is used"):
        assert isinstance(AutoEngine().on(torch.device("cuda")), TorchEngine)
