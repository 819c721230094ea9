"""Builds the native engine where there is a compiler; without one the torch engine takes over."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pybind11.setup_helpers import Pybind11Extension, has_flag
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

FOLDER = Path("native")
IN_PLACE = Path("src", "scoremachines", "engines", "native")
# Objects are linked in this order, that of the alphabet. Of an inline function that several files
# compile the linker keeps the first one, which must be one that every processor can run.
SOURCES = [
    "any_processor_double.cpp",
    "any_processor_float.cpp",
    "choice.cpp",
    "gradients.cpp",
    "module.cpp",
    "smooths.cpp",
    "x86_avx2_double.cpp",
    "x86_avx2_float.cpp",
    "x86_avx512_double.cpp",
    "x86_avx512_float.cpp",
]
# The border to Python, where there is nothing to gain.
BORDER = ["gradients.cpp", "module.cpp", "smooths.cpp"]
INSTRUCTIONS = {
    "x86_avx2": ["-mavx2", "-mfma"],
    "x86_avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"],
}
# An order of instructions that suits 512-bit vectors better than compilers' own.
TUNING = {"x86_avx512": ["-mtune=znver3"]}
# Passes of GCC that take an eighth of the time and make no faster what is written in vectors. The
# kernels for any processor need them: their vectors are made by the compiler.
SKIPPED = [
    "-fno-ipa-cp-clone",
    "-fno-predictive-commoning",
    "-fno-split-loops",
    "-fno-tree-loop-distribution",
    "-fno-tree-partial-pre",
    "-fno-tree-slp-vectorize",
    "-fno-unswitch-loops",
]


def report(line: str) -> None:
    """Print a line of progress, also to the terminal where pip keeps what is printed to itself."""
    sys.stderr.write(f"native part: {line}\n")  # in one, for several threads report
    sys.stderr.flush()
    if "PIP_BUILD_TRACKER" in os.environ:
        with contextlib.suppress(OSError), open("/dev/tty", "w") as terminal:
            terminal.write(f"\r\033[Knative part: {line}\n")


def jobs() -> int:
    """Return how many files are compiled at a time: `MAX_JOBS`, or the cores there are."""
    if os.environ.get("MAX_JOBS", "").isdecimal():
        return max(1, int(os.environ["MAX_JOBS"]))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Build(build_ext):
    """Compiles the kernels of each instruction set for that instruction set, files in parallel."""

    def build_extension(self, ext: Extension) -> None:
        made = Path(self.get_ext_fullpath(ext.name))
        kept = IN_PLACE / made.name
        stale = newer_group([*ext.sources, *ext.depends], str(kept))
        if self.editable_mode and not self.force and not stale:
            report(f"{kept} is up to date")
            made.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(kept, made)
            return
        started = time.monotonic()
        try:
            super().build_extension(ext)
        except Exception:
            report("it could not be built: the torch engine takes over")
            raise
        report(f"built, {time.monotonic() - started:.0f} s")

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "unix":
            self.compiler.compile = self.in_parallel(self.compiler.compile)
        super().build_extensions()

    def in_parallel(self, compile_all: Any) -> Any:
        """Return a function that compiles files side by side, each with flags of its own."""
        x86 = platform.machine() in ("x86_64", "AMD64")
        choices = [*SKIPPED, *TUNING["x86_avx512"]]
        known = {flag for flag in choices if has_flag(self.compiler, flag)}
        numbers = itertools.count(1)

        def flags(name: str) -> list[str]:
            if name in BORDER:
                return ["-O1"]
            prefix = name.rpartition("_")[0]
            if not x86 or prefix not in INSTRUCTIONS:
                return []
            choices = [*SKIPPED, *TUNING.get(prefix, [])]
            return [*INSTRUCTIONS[prefix], *(flag for flag in choices if flag in known)]

        def compile_parallel(sources: list[str], **options: Any) -> list[str]:
            def compile_one(source: str) -> list[str]:
                name = Path(source).name
                report(f"compiling {name}, {next(numbers)} of {len(sources)}")
                extra = [*(options.get("extra_postargs") or []), *flags(name)]
                return compile_all([source], **{**options, "extra_postargs": extra})

            # What takes longest comes first; the objects keep the order of their sources.
            longest_first = sorted(sources, key=lambda source: "_float" not in source)
            with ThreadPoolExecutor(jobs()) as pool:
                made = pool.map(compile_one, longest_first)
                objects = dict(zip(longest_first, made, strict=True))
            return [one for source in sources for one in objects[source]]

        return compile_parallel


extension = Pybind11Extension(
    "scoremachines.engines.native._native",
    [str(FOLDER / name) for name in SOURCES],
    depends=["setup.py", *(str(path) for path in sorted(FOLDER.glob("*.hpp")))],
    cxx_std=17,
    extra_compile_args=[
        "-O3",
        "-fno-wrapv",  # Python's own -fwrapv makes a tenth more of the innermost loops
        "-ffp-contract=off",
        "-Wall",
        "-Wno-uninitialized",
        "-Wno-maybe-uninitialized",
    ],
    extra_link_args=["-pthread"],
    optional=True,
)

setup(ext_modules=[extension], cmdclass={"build_ext": Build})
