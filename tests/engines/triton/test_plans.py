"""The GPU engine's plans, its kernels compiled for GPUs that are not here, and its benchmark."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scoremachines.engines import FusedEngine, Query, TorchEngine
from scoremachines.engines.triton.engine import obstacle
from scoremachines.errors import InputError
from scoremachines.theory.schedule import noise_schedule
from support.devices import DEVICE, runs_here
from support.places import ROOT


@runs_here
def test_plans_stay_within_the_memory() -> None:
    query = Query(torch.zeros(40, 3, 32, 32), torch.full((40,), 0.5).double(), 9, "valid")
    demand = {"evidence": True, "dense": False, "best": 0}
    plans = [FusedEngine(memory * 2**20).plan(query, 50000, **demand) for memory in (64, 999)]
    assert plans[0].batch < plans[1].batch
    with pytest.raises(InputError, match=r"memory='1\.0 MiB'"):
        FusedEngine(2**20).plan(query, 50000, **demand)


@runs_here
def test_a_default_sample_needs_products_alone() -> None:
    """At every step of 20, for all windows: less noise than they can take comes later."""
    schedule = noise_schedule("cosine")
    levels = schedule.alpha_bar(torch.linspace(1, 0, 21, dtype=torch.float64)[:-1])
    for window in range(3, 33, 2):
        query = Query(torch.zeros(20, 3, 32, 32), levels, window, "valid")
        assert FusedEngine().served(query, evidence=True).all()
        assert not FusedEngine(digits=0).served(query, evidence=False).any()


@runs_here
def test_images_too_large_for_their_patches_are_left_to_the_torch_engine() -> None:
    query = Query(torch.zeros(1, 3, 64, 64), torch.tensor([0.5]).double(), 15, "valid")
    engine = FusedEngine(48 * 2**20)
    assert engine._piece(query)[1] == 0
    assert not engine.served(query, evidence=False)
    demand = {"evidence": False, "dense": False, "best": 0}
    assert engine.plan(query, 100, **demand) == TorchEngine(48 * 2**20).plan(query, 100, **demand)


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from scoremachines.engines.triton.product_kernels import attend, unroll

FLOATS = "images bias factors scale largest_out sums_out squares query_squares"
HALVES, NUMBERS = "query patches values", "places taps ranges kinds"
KNOWN = dict.fromkeys("count rows number pixels".split(), "i32")
for names, kind in ((FLOATS, "*fp32"), (HALVES, "*fp16"), (NUMBERS, "*i32")):
    KNOWN |= dict.fromkeys(names.split(), kind)
NOTHING = {"bias": None, "kinds": None, "count": 1}


def check(kernel, warps, **fixed):
    names = kernel.arg_names
    signature = {name: KNOWN.get(name, "constexpr") for name in names}
    signature |= dict.fromkeys(fixed, "constexpr")
    source = ASTSource(kernel, signature=signature, constexprs=fixed)
    for capability in (80, 90):
        options = {"num_warps": warps, "enable_fp_fusion": True}
        built = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
        assert len(built.asm["cubin"]) > 0
        yield built.asm["ptx"]


tile = {"shape": (3, 38, 38), "radius": 3, "dims": 160, "tile": (64, 32)}
assert len([*check(unroll, 4, **tile)]) == 2
variants = (NOTHING, True), ({}, False), (NOTHING, False), ({}, True)
for its, evidence in variants:
    tile = {"dims": 160, "taken": 32, "tile": (64, 128), "evidence": evidence}
    older, newer = check(attend, 4, **tile, **its)
    assert "mma.sync" in older and "wgmma" in newer
"""


@runs_here
@pytest.mark.slow
def test_kernels_compile_for_gpus_that_are_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To machine code for Ampere and Hopper, by the compiler that Triton brings."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    line = [sys.executable, "-W", "ignore", "-c", COMPILE]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(DEVICE == "cuda", reason="there is a GPU")
def test_the_measuring_command_is_ready_and_measures_nothing_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = str(ROOT / "benchmarks" / "gpu.py")
    monkeypatch.setattr(sys, "argv", [script, "-o", str(tmp_path)])
    runpy.run_path(script, run_name="__main__")
    assert capsys.readouterr().out.startswith("Nothing was measured.")
    if obstacle() is None:
        sys.argv += ["--device=cpu", "--images=1", "--size=3", "--windows=3", "--repeat=1"]
        runpy.run_path(script, run_name="__main__")
        assert {path.name for path in tmp_path.iterdir()} == {
            "gpu.json",
            "profile.txt",
            "trace.json",
        }
        row = json.loads((tmp_path / "gpu.json").read_text())["rows"][0]
        assert row["error"] < 1e-4
