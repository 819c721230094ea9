"""Settings that all tests share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from scoremachines.cli.main import main

settings.register_profile("scoremachines", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("scoremachines")
torch.set_num_threads(1)
pytest.register_assert_rewrite("support")
if not torch.cuda.is_available():
    # The GPU engine's kernel runs on the CPU then. Triton reads this when it is imported.
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def painted_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small run, not to be changed; no two of its axes are equal."""
    folder = tmp_path_factory.mktemp("painted") / "run"
    words = "generate shapes --size 12x14 --shapes.feature_size 3 --limit 20 --window 5 --steps 4"
    assert main([*words.split(), "-n", "3", "--best", "3", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose `home` has one good file of every kind; `good` is a copy of it."""
    from support.corpus.home import make_home

    folder = tmp_path_factory.mktemp("homes")
    (folder / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "home")
        make_home(folder / "home")
    shutil.copytree(folder / "home", folder / "good")
    return folder
