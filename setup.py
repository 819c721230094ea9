"""Builds the native engine where there is a compiler; without one the torch engine takes over."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, has_flag
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

FOLDER = Path("native")
IN_PLACE = Path("src", "scoremachines", "engine")
# Objects are linked in this order, that of the alphabet. Of an inline function that several files
# compile the linker keeps the first one, which must be one that every processor can run.
SOURCES = [
    "any_processor.cpp",
    "choice.cpp",
    "module.cpp",
    "trees.cpp",
    "x86_avx2.cpp",
    "x86_avx512.cpp",
]
FLAGS = {
    "x86_avx2.cpp": ["-mavx2", "-mfma"],
    "x86_avx512.cpp": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"],
}
# An order of instructions that suits 512-bit vectors better than compilers' own.
TUNING = {"x86_avx512.cpp": "-mtune=znver3"}


def report(line: str) -> None:
    """Print a line of progress, also to the terminal where pip keeps what is printed to itself."""
    print(f"native part: {line}", file=sys.stderr, flush=True)
    if "PIP_BUILD_TRACKER" in os.environ:
        with contextlib.suppress(OSError), open("/dev/tty", "w") as terminal:
            terminal.write(f"\r\033[Knative part: {line}\n")


def cores() -> int:
    """Return how many cores this process may use."""
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
            with ParallelCompile("MAX_JOBS", default=cores()):
                super().build_extension(ext)
        except Exception:
            report("it could not be built: the torch engine takes over")
            raise
        report(f"built, {time.monotonic() - started:.0f} s")

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "unix":
            self.compiler._compile = self.with_flags(self.compiler._compile)
        super().build_extensions()

    def with_flags(self, compile_one: Any) -> Any:
        """Return a function that reports a file and compiles it with flags of its own."""
        known = {flag for flag in TUNING.values() if has_flag(self.compiler, flag)}
        numbers = itertools.count(1)

        def compile_file(obj: str, src: str, ext: str, cc_args: Any, extra: Any, pp: Any) -> None:
            name, own = Path(src).name, []
            if platform.machine() in ("x86_64", "AMD64"):
                own = FLAGS.get(name, []) + sorted(known & {TUNING.get(name)})
            report(f"compiling {name}, {next(numbers)} of {len(SOURCES)}")
            compile_one(obj, src, ext, cc_args, [*extra, *own], pp)

        return compile_file


extension = Pybind11Extension(
    "scoremachines.engine._native",
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
