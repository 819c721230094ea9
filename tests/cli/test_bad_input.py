"""Bad input: one clear line, a non-zero exit, nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scoremachines.cli.main import main
from scoremachines.errors import InputError
from scoremachines.experiments.run_settings import memory_bytes, size_pixels

DIGITS = ["generate", "digits", "--limit", "20", "--window", "5", "--steps", "2", "-n", "1"]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must fail, and return its one line."""
    assert main(list(words)) == 2
    shown = capsys.readouterr()
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1, shown.err
    assert lines[0].startswith("scoremachines: error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["generate"], "source=None"),
        (["generate", "no/such/folder"], "no/such/folder"),
        (["generate", "digit"], "digits"),
        ([*DIGITS, "--window", "4"], "window=4"),
        ([*DIGITS, "--window", "9"], "larger than the image"),
        ([*DIGITS, "--window", "0:3,0:5"], "window="),
        ([*DIGITS, "--window", "wide"], "window='wide'"),
        ([*DIGITS, "--machine", "cnn"], "machine='cnn'"),
        ([*DIGITS, "--sources", "outside"], "sources='outside'"),
        ([*DIGITS, "--machine", "ideal", "--sources", "boundary"], "--window=image"),
        ([*DIGITS, "--attention", "hard"], "attention='hard'"),
        ([*DIGITS, "--attention", "missing.npy"], "missing.npy"),
        ([*DIGITS, "--scheduler", "Magic"], "scheduler='Magic'"),
        ([*DIGITS, "--engine", "warp"], "engine='warp'"),
        ([*DIGITS, "--device", "abacus"], "device='abacus'"),
        ([*DIGITS, "--memory", "much"], "memory='much'"),
        ([*DIGITS, "--memory", "10kB"], "Accepted: at least"),
        ([*DIGITS, "--size", "8by8"], "size='8by8'"),
        ([*DIGITS, "--crop", "round"], "crop='round'"),
        ([*DIGITS, "--class", "eleven"], "class='eleven'"),
        ([*DIGITS, "-n", "0"], "n=0"),
        ([*DIGITS, "--steps", "-1"], "steps=-1"),
        ([*DIGITS, "--seed", "-1"], "seed=-1"),
        ([*DIGITS, "--batch", "0"], "batch=0"),
        ([*DIGITS, "--best", "-2"], "best=-2"),
        ([*DIGITS, "-n", "many"], "n"),
        ([*DIGITS, "--colour", "red"], "--colour"),
        (["generate", "shapes", "--shapes.features", "99"], "features"),
        (["paint", "digits"], "paint"),
    ],
)
def test_one_line_names_argument_value_and_what_is_accepted(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    output = ["-o", str(out)] if words[0] == "generate" else []
    assert expected in refused(capsys, *words, *output)
    assert not out.exists()


def test_mixed_sizes_need_a_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, size in enumerate([(9, 7), (7, 9)]):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
    assert "size" in refused(capsys, "generate", str(tmp_path), "-o", str(tmp_path / "out"))


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_broken_pictures_are_named(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "broken.png").write_bytes(content)
    assert "broken.png" in refused(capsys, "generate", str(folder), "-o", str(tmp_path / "out"))


def test_arrays_with_holes_or_out_of_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("nan", np.nan), ("high", 7.0)):
        images = np.zeros((11, 7, 9), dtype=np.float32)
        images[3, 2, 1] = value
        np.save(tmp_path / f"{name}.npy", images)
        path = str(tmp_path / f"{name}.npy")
        refused(capsys, "generate", path, "-o", str(tmp_path / "out"))


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    path = str(tmp_path / "empty")
    assert "empty" in refused(capsys, "generate", path, "-o", str(tmp_path / "out"))


def test_a_matrix_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "matrix.npy", np.ones((4, 4)))
    words = [*DIGITS, "--attention", str(tmp_path / "matrix.npy"), "-o", str(tmp_path / "out")]
    assert "[64, 64]" in refused(capsys, *words)


def test_an_output_folder_that_holds_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for resume in ([], ["--resume"]):
        line = refused(capsys, *DIGITS, "-o", str(tmp_path), *resume)
        assert "holds something else" in line
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_output_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert "output=" in refused(capsys, *DIGITS, "-o", str(tmp_path / "file" / "out"))
    assert "output=" in refused(capsys, *DIGITS, "-o", "/proc/self/out")


def test_a_full_disk(tmp_path: Path) -> None:
    """Files larger than a limit cannot be written; what is written before is whole."""
    code = (
        "import resource, signal, sys; from scoremachines.cli.main import main; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); sys.exit(main(sys.argv[1:]))"
    )
    line = [sys.executable, "-c", code, *DIGITS, "-o", str(tmp_path / "out")]
    # Coverage has files of its own to write, so it stays out of this process.
    environment = {key: value for key, value in os.environ.items() if "COV" not in key}
    shown = subprocess.run(line, capture_output=True, text=True, timeout=100, env=environment)
    assert shown.returncode == 2, shown.stderr
    last = shown.stderr.strip().splitlines()[-1]
    assert last.startswith("scoremachines: error: output=")
    assert "Traceback" not in shown.stderr
    left = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left <= {"settings.yaml", "run.json", ".scoremachines.lock"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1000", 1000), ("1KiB", 1024), ("2 GB", 2 * 10**9), ("1.5mib", 1572864), ("7B", 7)],
)
def test_memory_is_read(text: str, expected: int) -> None:
    assert memory_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "1 lot", "1e9", "GiB", "nan"])
def test_memory_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match="memory="):
        memory_bytes(text)


@pytest.mark.parametrize(
    ("text", "expected"), [(None, None), ("8", (8, 8)), ("7x9", (7, 9)), ("7×9", (7, 9))]
)
def test_size_is_read(text: str | None, expected: tuple[int, int] | None) -> None:
    assert size_pixels(text) == expected


@pytest.mark.parametrize("text", ["0", "7x", "x9", "7x9x3", "-3", "a", "0x4"])
def test_size_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match="size="):
        size_pixels(text)
