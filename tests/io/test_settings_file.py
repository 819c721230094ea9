"""Settings files: read at once or refused in one line; a run's own resumes it from any folder."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scoremachines.cli.main import main
from scoremachines.errors import InputError
from scoremachines.experiments.opened import read_settings
from scoremachines.io.settings_file import read_settings_file
from scoremachines.networks.training import load_settings

LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
BAD = {
    "laughs": LAUGHS.encode(),
    "itself": b"source: &a [*a]",
    "in itself": b"&a\nsource: digits\nshapes: *a",
    "deep": b"source: " + b"[" * 900 + b"]" * 900,
    "deeper": b"source: " + b"[" * 9000,
    "large": b"source: " + b"x" * 70000,
    "latin": b"source: caf\xe9",
    "utf-16": "source: digits".encode("utf-16"),
    "zero": b"source: a\0b",
    "bytes": bytes(range(256)),
    "empty": b"",
    "list": b"[1, 2]",
    "number": b"3",
    "numbered": b"1: 2",
    "nameless": b"~: 2",
    "code": b"!!python/object/apply:os.system ['true']",
    "digits": b"seed: " + b"9" * 5000,
    "open": b"source: 'x",
    "tab": b"source:\n\t- x",
    "two": b"a: 1\n---\nb: 2",
}
WRONG = {
    "kind of n": b"n: [1]\nsource: digits",
    "group": b"shapes: 3\nsource: digits",
    "list for a group": b"shapes: [1]\nsource: digits",
    "name": b"bogus: 3",
    "set": b"source: !!set {a, b}",
    "date": b"n: 2001-01-01\nsource: digits",
    "another file": b"config: other.yaml",
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_is_no_settings_file_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.yaml").write_bytes(content)
    start = time.process_time()
    for read in (
        lambda: read_settings_file("config", tmp_path / "settings.yaml"),
        lambda: read_settings(tmp_path),
        lambda: load_settings(tmp_path),
    ):
        with pytest.raises(InputError) as refused:
            read()
        assert len(str(refused.value).splitlines()) == 1
    assert time.process_time() - start < 2


@pytest.mark.parametrize("place", [".", "nowhere", "x" * 300, "/dev/zero"])
def test_what_is_no_file_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="config="):
        read_settings_file("config", tmp_path / place)


@pytest.mark.parametrize(
    ("command", "content"),
    [
        *(("generate", each) for each in (*WRONG.values(), BAD["laughs"], BAD["latin"])),
        *((name, BAD["laughs"]) for name in ("train", "bench", "consistency")),
        *((name, WRONG["group"]) for name in ("train", "bench", "consistency")),
    ],
)
def test_the_command_line_refuses_it_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, content: bytes
) -> None:
    (tmp_path / "settings.yaml").write_bytes(content)
    words = ["--config", str(tmp_path / "settings.yaml"), "-o", str(tmp_path / "out")]
    assert main([command, *words]) == 2
    problem = capsys.readouterr().err
    assert problem.startswith("scoremachines: error: ")
    assert problem.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [LAUGHS, "&a [*a]", "[" * 900 + "]" * 900])
def test_values_of_options_are_bounded_too(capsys: pytest.CaptureFixture[str], value: str) -> None:
    for words in (["--shapes.size", value], [f"--shapes.size={value}"]):
        assert main(["generate", "shapes", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_its_settings_resume_a_run_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The source and the attention's matrix were named relative to the folder of the start."""
    (tmp_path / "pictures").mkdir()
    draw = np.random.default_rng(0)
    for number in range(4):
        pixels = draw.integers(0, 256, (5, 7, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    np.save(tmp_path / "matrix.npy", torch.full((35, 35), 1 / 35).numpy())
    words = ["generate", "pictures", "--window", "3", "-n", "2", "--steps", "2"]
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--attention", "matrix.npy", "-o", "out"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = ["--config", "../out/settings.yaml"]
    assert main(["generate", *config, "-o", "../out", "--resume"]) == 0
    # The same images at another place, and the same matrix.
    (tmp_path / "pictures").rename(tmp_path / "moved")
    assert main(["generate", *config, "../moved", "-o", "../out", "--resume"]) == 0
    assert capsys.readouterr().err == ""
    np.save(tmp_path / "matrix.npy", torch.eye(35).numpy())
    assert main(["generate", *config, "../moved", "-o", "../out", "--resume"]) == 2
    assert "attention='sha256" in capsys.readouterr().err
