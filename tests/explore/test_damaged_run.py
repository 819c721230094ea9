"""Folders gone wrong: refused in one line, or shown as far as they go; nothing in them is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from scoremachines.cli.main import main
from scoremachines.errors import InputError
from scoremachines.experiments.opened import open_run
from scoremachines.explore import Service
from scoremachines.io.sealed import read_json, write_json, write_tensors
from scoremachines.runs.record import run_key
from support.explorer import copied


def test_folders_that_hold_no_run_are_refused_in_one_line(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for folder, reason in (
        (tmp_path / "missing", "there is no such folder"),
        (tmp_path / "empty", "there is no settings.yaml"),
        (network, "it holds a network"),
    ):
        assert main(["explore", str(folder), "-o", str(tmp_path / "page.html")]) == 2
        problem = capsys.readouterr().err
        assert problem.startswith("scoremachines: error: run=")
        assert reason in problem
        assert problem.count("\n") == 1


HOSTILE = [
    "!!python/object/apply:os.system ['touch {mark}']",
    "source: !!python/name:os.system\n",
    "- a\n- list\n",
    "source: shapes\nunknown: 1\n",
    "[" * 2000,
    "\x00",
    "a: &a [*a]",
]


@pytest.mark.parametrize("content", HOSTILE)
def test_hostile_settings_run_nothing(painted_run: Path, tmp_path: Path, content: str) -> None:
    run, mark = copied(painted_run, tmp_path), tmp_path / "mark"
    (run / "settings.yaml").write_text(content.replace("{mark}", str(mark)))
    with pytest.raises(InputError, match="run="):
        open_run(run)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["n", "steps", "seed", "best", "shapes", "window", "machine"])
@pytest.mark.parametrize("value", [None, -1, "x", [1], {"a": 1}, 10**30, True])
def test_settings_of_the_wrong_kind_are_refused_or_noted(
    painted_run: Path, tmp_path: Path, name: str, value: object
) -> None:
    run = copied(painted_run, tmp_path)
    settings = yaml.safe_load((run / "settings.yaml").read_text())
    (run / "settings.yaml").write_text(yaml.safe_dump(settings | {name: value}))
    try:
        subject = open_run(run)
    except InputError:
        return
    assert Service(subject, live=0).overview()["count"] == 3


def test_an_attention_file_is_read_as_numbers_only(painted_run: Path, tmp_path: Path) -> None:
    run, mark = copied(painted_run, tmp_path), tmp_path / "mark"

    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (mark,))

    np.save(tmp_path / "harm.npy", np.array([Harm()], dtype=object), allow_pickle=True)
    settings = yaml.safe_load((run / "settings.yaml").read_text())
    settings["attention"] = str(tmp_path / "harm.npy")
    (run / "settings.yaml").write_text(yaml.safe_dump(settings))
    subject = open_run(run)
    assert "cannot be made again" in " ".join(subject.notices)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["parts/000000-000003.safetensors", "parts/run.json"])
@pytest.mark.parametrize("length", [0, 10, 400])
def test_truncated_files_are_refused(
    painted_run: Path, tmp_path: Path, name: str, length: int
) -> None:
    run = copied(painted_run, tmp_path)
    (run / name).write_bytes((run / name).read_bytes()[:length])
    with pytest.raises(InputError, match="Accepted"):
        open_run(run)


def test_damaged_comparisons_are_refused(comparison: Path, tmp_path: Path) -> None:
    run = copied(comparison, tmp_path)
    about = read_json(run / "compare.json")
    for change in ({"steps": "many"}, {"window": "4"}, {"labels": "x"}):
        write_json(run / "compare.json", about | {"about": about["about"] | change})
        with pytest.raises(InputError, match="Accepted"):
            open_run(run)
    write_json(run / "compare.json", about | {"about": {}})
    with pytest.raises(InputError, match="Accepted"):
        open_run(run)


def test_a_comparison_whose_network_is_gone_shows_its_images(
    comparison: Path, tmp_path: Path
) -> None:
    run = copied(comparison, tmp_path)
    content = read_json(run / "compare.json")
    content["about"]["folder"] = str(tmp_path / "gone")
    write_json(run / "compare.json", content)
    images = load_file(run / "images.safetensors")
    write_tensors(run / "images.safetensors", images, {"run": run_key(content["about"])})
    subject = open_run(run)
    assert subject.data is None
    assert "cannot be reached" in subject.notices[0]
    trace = Service(subject).finished("tiled", 0)
    assert trace["steps"] == 1
    assert trace["sources"] is None
