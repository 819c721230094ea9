"""Builds the native engine where there is a compiler; without one the torch engine takes over."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from pybind11.setup_helpers import Pybind11Extension, has_flag
from setuptools import setup
from setuptools.command.build_ext import build_ext

FOLDER = Path("native")
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


class Build(build_ext):
    """Compiles the kernels of each instruction set for that instruction set."""

    def build_extensions(self) -> None:
        compile_one = self.compiler._compile
        known = {flag for flag in TUNING.values() if has_flag(self.compiler, flag)}

        def with_its_flags(
            obj: str, src: str, ext: str, cc_args: Any, extra: Any, pp: Any
        ) -> None:
            name, own = Path(src).name, []
            if platform.machine() in ("x86_64", "AMD64"):
                own = FLAGS.get(name, []) + sorted(known & {TUNING.get(name)})
            compile_one(obj, src, ext, cc_args, [*extra, *own], pp)

        if self.compiler.compiler_type == "unix":
            self.compiler._compile = with_its_flags
        super().build_extensions()


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
