"""The GPU engine's kernels compiled for GPUs that are not here, and the command that times it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from scoremachines.engine.fused import obstacle

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
runs_here = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from scoremachines.engine.fused_kernels import fused
from scoremachines.engine.product_kernels import attend, unroll

FLOATS = "noisy images bias factor factors scale log_weight means squares largest_out sums_out"
HALVES, NUMBERS = "query patches values", "places taps ranges kinds"
KNOWN = dict.fromkeys("count moves image_parts rows number pixels".split(), "i32")
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


differences = {"wide": 91, "radius": 3, "sources": "inside", "tile": (32, 1, 32)}
differences |= {"shape": (1, 28, 28), "step": (28, 28), "evidence": False}
assert all("mma.sync" in text for text in check(fused, 2, **differences))
tile = {"shape": (3, 38, 38), "radius": 3, "dims": 160, "tile": (64, 32)}
assert len([*check(unroll, 4, **tile)]) == 2
for its in (NOTHING, {}):
    for evidence in (False, True):
        tile = {"dims": 160, "taken": 32, "tile": (64, 128), "evidence": evidence}
        older, newer = check(attend, 4, **tile, **its)
        assert "mma.sync" in older and "wgmma" in newer
"""


@runs_here
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
def test_the_measuring_command_is_ready_and_measures_nothing_here(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
    line = [sys.executable, str(script), "-o", str(tmp_path)]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Nothing was measured.")
    if obstacle() is None:
        line += ["--device=cpu", "--images=1", "--size=3", "--windows=3", "--repeat=1"]
        ended = subprocess.run(line, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr
        assert {path.name for path in tmp_path.iterdir()} == {
            "gpu.json",
            "profile.txt",
            "trace.json",
        }
        row = json.loads((tmp_path / "gpu.json").read_text())["rows"][0]
        assert row["error"] < 1e-4
