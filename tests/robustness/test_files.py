"""Every file that a command reads, damaged in every way: one line, or the right answer."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.networks.training import load_network
from support.corpus.commands import clean, problem
from support.corpus.damage import damages
from support.corpus.patience import SECONDS, SEED

PAINT = "--limit 5 --window 3 --steps 1 -n 1 -o new"
SOURCES = ("pictures.zip", "images.npy", "images.npz", "images-idx3-ubyte")
SOURCES += ("images-idx3-ubyte.gz", "set.safetensors")
COMPARE = "compare pipeline --source pictures --window 3 --machine none -n 1 --steps 1 -o new"
EXPLORE = "explore run -n 1 -o new.html"
RESUME = "generate --config run/settings.yaml -o run --resume"
TRAIN = "train --config trained/settings.yaml -o trained --resume"
CASES: list[tuple[str, str]] = [
    *((f"pictures/*/*.{end}", f"generate pictures {PAINT}") for end in ("png", "jpg", "webp")),
    *((f"pictures/*/*.{end}", f"generate pictures {PAINT}") for end in ("bmp", "gif", "tiff")),
    ("pictures/a/0.png", "attribute pictures/a/0.png --data run --windows 3 -o new"),
    *((source, f"generate {source} {PAINT}") for source in SOURCES),
    ("matrix.npy", f"generate images.npy --attention matrix.npy {PAINT}"),
    ("run/settings.yaml", "generate --config run/settings.yaml -o new"),
    *((f"run/{name}", RESUME) for name in ("settings.yaml", "parts/*.safetensors")),
    *((f"run/{name}", EXPLORE) for name in ("settings.yaml", "parts/*.safetensors")),
    *(("run/parts/run.json", command) for command in (RESUME, EXPLORE)),
    ("run/settings.yaml", "attribute pictures/a/0.png --data run --windows 3 -o new"),
    *(
        (f"trained/{name}", TRAIN)
        for name in ("settings.yaml", "run.json", "checkpoint.safetensors")
    ),
    *(
        (f"trained/{name}", "compare trained --machine none -n 1 --steps 1 -o new")
        for name in ("settings.yaml", "network/config.json", "network/*.safetensors")
    ),
    ("trained/calibration.json", "compare trained --machine none -n 1 --steps 1 -o new"),
    *((f"pipeline/{name}", COMPARE) for name in ("unet/config.json", "unet/*.safetensors")),
    *((f"pipeline/{name}", COMPARE) for name in ("scheduler/*.json", "model_index.json")),
    ("compared/compare.json", "explore compared -n 1 -o new.html"),
    ("compared/images.safetensors", "explore compared -n 1 -o new.html"),
]
"""A file, or the first that a pattern finds, and a command that reads it."""
READERS = {
    "machine/config.json": lambda: sm.ScoreMachine.from_pretrained("machine"),
    "machine/*.safetensors": lambda: sm.ScoreMachine.from_pretrained("machine"),
    "trained/network/config.json": lambda: load_network("trained"),
    "trained/network/*.safetensors": lambda: sm.Network.from_pretrained("trained/network"),
}
"""Files that Python alone reads."""


def restore(name: str) -> None:
    """Bring a file, or the folder that it lies in, back to what it was, and clean up."""
    top = Path(name).parts[0]
    here, good = Path(top), Path("..") / "good" / top
    if good.is_dir():
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(good, here)
    else:
        shutil.copy(good, here)
    clean()


def check(cases: list[tuple[str, str]], each: int, capsys: pytest.CaptureFixture[str]) -> int:
    """Try so many damages of each file, and return how many cases that were."""
    drawn, problems, count = random.Random(SEED), [], 0
    for pattern, command in cases:
        path = sorted(Path().glob(pattern))[0]
        for label, content in drawn.sample(list(damages(path.read_bytes(), drawn).items()), each):
            count += 1
            path.write_bytes(content)
            wrong = problem(command.split(), capsys, SECONDS)
            restore(str(path))
            if wrong is not None:
                problems.append(f"{command}, {path}, {label}: {wrong}")
    assert not problems, f"{len(problems)} of {count}:\n" + "\n".join(problems)
    return count


def test_a_share_of_the_damages(
    homes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(homes / "home")
    assert check(CASES[::4], 2, capsys) >= 14


@pytest.mark.slow
def test_every_file_in_every_command(
    homes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(homes / "home")
    assert check(CASES, 12, capsys) > 400


@pytest.mark.slow
@pytest.mark.parametrize("pattern", READERS)
def test_files_that_python_reads(
    pattern: str, homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(homes / "home")
    path, drawn = sorted(Path().glob(pattern))[0], random.Random(SEED)
    for label, content in damages(path.read_bytes(), drawn).items():
        path.write_bytes(content)
        try:
            READERS[pattern]()
        except InputError as error:
            refused = str(error)
            if not refused.isprintable():
                pytest.fail(f"{label}: {refused!r}")
        restore(str(path))
