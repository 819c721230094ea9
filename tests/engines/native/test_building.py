"""The package is built with and without a compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from scoremachines.engines.native.engine import native_instructions
from support.places import ROOT

SOURCES = sorted(path.name for path in (ROOT / "native").glob("*.?pp"))
NO_COMPILER = {"CC": "/nonexistent", "CXX": "/nonexistent"}
needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "c++")) is None, reason="no C++ compiler"
)

USE = """
import scoremachines as sm
data = sm.shapes(n=12)
for _ in range(2):
    machine = sm.els(data, 5)
    machine.denoise(sm.starting_noise(0, range(1), data.shape), 0.5)
print(sm.__file__, machine.engine.on(machine.device).name)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of what the package is built from."""
    kept = tmp_path / "copy"
    kept.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, kept)
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "*.egg-info")
    for name in ("src", "native"):
        shutil.copytree(ROOT / name, kept / name, ignore=ignored)
    return kept


def run(words: list[str], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        words,
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-3000:]
    return ended


@pytest.fixture
def small(copy: Path) -> Path:
    """Return such a copy whose native files have next to nothing in them."""
    pytest.importorskip("pybind11", reason="it is needed to build without isolation")
    for path in (copy / "native").glob("*.cpp"):
        path.write_text(f"int {path.stem}() {{ return 1; }}\n")
    module = 'extern "C" void* PyInit__native() { return 0; }\n'
    (copy / "native" / "module.cpp").write_text(module)
    return copy


def build_in_place(folder: Path, **settings: str) -> list[str]:
    """Return the lines that building in a folder prints."""
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--force"]
    return run(command, folder, **settings).stderr.splitlines()


@needs_compiler
def test_each_file_is_named_as_its_compilation_starts(small: Path) -> None:
    files = sorted(path.name for path in (small / "native").glob("*.cpp"))
    *lines, last = build_in_place(small, MAX_JOBS="1")
    shown = [line.removeprefix("native part: compiling ").split(",") for line in lines]
    assert sorted(name for name, _ in shown) == files
    assert [count.strip() for _, count in shown] == [
        f"{number} of {len(files)}" for number in range(1, len(files) + 1)
    ]
    assert last.startswith("native part: built, ")
    side_by_side = build_in_place(small, MAX_JOBS="3")
    assert sorted(line.split()[3] for line in side_by_side[:-1]) == [f"{name}," for name in files]
    assert len(list(small.glob("src/scoremachines/engines/native/_native*"))) == 1


@needs_compiler
def test_a_file_that_does_not_compile_leaves_the_package_without_a_native_part(
    small: Path,
) -> None:
    (small / "native" / "gradients.cpp").write_text("this is not C++\n")
    lines = build_in_place(small)
    assert "native part: it could not be built: the torch engine takes over" in lines
    assert not list(small.glob("src/scoremachines/engines/native/_native*"))


@needs_compiler
@pytest.mark.slow
def test_an_editable_installation_compiles_only_what_has_changed(
    small: Path, tmp_path: Path
) -> None:
    build_in_place(small)
    site = str(tmp_path / "site")
    install = [sys.executable, "-m", "pip", "install", "-v", "--no-deps", "--no-build-isolation"]
    install += ["--target", site, "--upgrade", "--editable", str(small)]
    assert "is up to date" in run(install, tmp_path).stderr
    os.utime(small / "native" / "module.cpp")
    assert "native part: compiling module.cpp" in run(install, tmp_path).stderr


@pytest.mark.slow
def test_without_a_compiler_the_torch_engine_takes_over_with_one_warning(
    copy: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pybind11", reason="it is needed to build without isolation")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    run([*install, "--target", str(site), str(copy)], copy, **NO_COMPILER)
    assert not list(site.glob("scoremachines/engines/native/_native*"))
    ended = run([sys.executable, "-c", USE], tmp_path, PYTHONPATH=str(site))
    assert ended.stdout.split() == [str(site / "scoremachines" / "__init__.py"), "torch"]
    said = ended.stderr.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("the torch engine takes over from the native one")


@pytest.mark.slow
def test_the_source_archive_holds_all_that_the_native_part_is_built_from(copy: Path) -> None:
    pytest.importorskip("pybind11", reason="setup.py asks for it")
    run([sys.executable, "setup.py", "--quiet", "sdist", "--formats", "gztar"], copy)
    (archive,) = (copy / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as held:
        names = {Path(name).relative_to(Path(name).parts[0]) for name in held.getnames()}
    assert {Path("native") / name for name in SOURCES} <= names
    assert Path("setup.py") in names
    assert Path("src/scoremachines/report/page.css") in names
    assert not any(name.suffix == ".so" for name in names)


def test_the_instruction_sets_of_a_build_are_known() -> None:
    assert native_instructions() == sorted(
        native_instructions(), key=["avx512", "avx2", "plain"].index
    )
