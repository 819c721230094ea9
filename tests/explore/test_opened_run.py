"""Folders opened again: painted runs, comparisons, networks beside them; folders gone wrong."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

import scoremachines as sm
from scoremachines.cli.main import main
from scoremachines.errors import InputError
from scoremachines.experiments.opened import open_run
from scoremachines.explore import Service
from scoremachines.explore.encoding import unpack
from scoremachines.io.sealed import read_json, write_json, write_tensors
from scoremachines.runs.record import run_key
from scoremachines.theory.specs import title_of

SHAPES = ["--shapes.size", "12", "--shapes.feature_size", "3", "--shapes.n", "9"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks") / "soft"
    words = ["train", "shapes", *SHAPES, "--network.attention", "soft", "--network.width", "8"]
    assert main([*words, "--steps", "3", "--batch", "4", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def comparison(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "agreement"
    words = ["compare", str(network), "--machine", "tiled", "--machine", "measured", "-n", "2"]
    assert main([*words, "--steps", "3", "--window", "5", "-o", str(folder)]) == 0
    return folder


def copied(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


def test_a_painted_run_is_what_was_painted(painted_run: Path) -> None:
    subject = open_run(painted_run)
    part = load_file(painted_run / "parts" / "000000-000003.safetensors")
    assert torch.equal(subject.images, part["images"])
    assert subject.own == "run"
    assert subject.beside == "tiled"
    assert subject.notices == ()
    assert subject.titles["run"] == "This run: no attention"
    assert {"identity", "tiled-class", "ideal", "bbels"} <= set(subject.titles)
    service = Service(subject)
    for number in range(3):
        trace = service.finished("run", number)
        assert trace["differs"] is None
        assert (unpack(trace["image"]) == unpack(service.overview()["samples"])[number]).all()


@pytest.mark.parametrize(
    ("words", "own", "beside"),
    [
        ("--attention full", "This run: full attention", "none"),
        ("--machine ideal", "This run: Ideal score (IS), no attention", "tiled"),
        (
            "--machine bbels --window 0:3,1:5",
            "This run: Boundary-broken ELS, no attention",
            "tiled",
        ),
        ("--scheduler DDPM --class red", "This run: no attention", "tiled"),
        ("--best 0", "This run: no attention", "tiled"),
    ],
)
def test_every_kind_of_run_is_followed(words: str, own: str, beside: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    line = ["generate", "shapes", *SHAPES, "--window", "3", "-n", "1", "--steps", "3"]
    assert main([*line, *words.split(), "-o", str(run)]) == 0
    subject = open_run(run)
    assert subject.titles["run"] == own
    assert subject.beside == beside
    trace = Service(subject).finished("run", 0)
    assert trace["steps"] == 3
    assert trace["differs"] is None
    if "0:3,1:5" in words:
        assert trace["windows"] == [5, 5, 3]
    if "red" in words:
        assert Service(subject).overview()["labels"] == [0]
        assert subject.data is not None
        assert subject.data.labels is not None
        used = torch.tensor(unpack(trace["sources"]["image"]).astype(np.int64)).unique()
        assert set(subject.data.labels[used[used >= 0]].tolist()) == {0}


def test_a_comparison_sets_the_network_beside_its_machines(comparison: Path) -> None:
    subject = open_run(comparison)
    assert subject.own == "network"
    assert subject.beside == "tiled"
    assert list(subject.titles) == ["network", "none", "tiled", "measured", "ideal", "wiener"]
    service = Service(subject)
    traces = {name: service.finished(name, 1) for name in subject.titles}
    assert all(trace["differs"] is None for trace in traces.values())
    noise = {bytes(unpack(trace["noisy"])[0]) for trace in traces.values()}
    assert len(noise) == 1
    assert {name: trace["read"] for name, trace in traces.items() if trace["read"]} == {
        "network": True,
        "wiener": True,
    }
    assert traces["network"]["attended"] is not None
    assert traces["network"]["sources"] is not None  # read by the machine without attention
    assert traces["measured"]["attended"] is not None
    assert traces["none"]["attended"] is None


def test_a_network_is_set_beside_a_painted_run(network: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["generate", "shapes", *SHAPES, "--window", "3", "-n", "1", "--steps", "3"]
    assert main([*words, "-o", str(run)]) == 0
    subject = open_run(run, str(network))
    assert subject.beside == "network"
    assert subject.command == f"scoremachines explore {run} --network {network}"
    service = Service(subject)
    own, other = (service.finished(name, 0) for name in ("run", "network"))
    assert (unpack(own["noisy"])[0] == unpack(other["noisy"])[0]).all()


def test_a_network_for_other_images_is_refused(network: Path, painted_run: Path) -> None:
    with pytest.raises(InputError, match="network="):
        open_run(painted_run, str(network))
    with pytest.raises(InputError, match="network="):
        open_run(painted_run, str(painted_run / "nothing"))


def test_without_its_data_the_end_is_shown(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number}.png")
    words = ["generate", str(pictures), "--window", "3", "-n", "2", "--steps", "2"]
    assert main([*words, "-o", str(tmp_path / "run")]) == 0
    shutil.move(pictures, tmp_path / "elsewhere")
    subject = open_run(tmp_path / "run")
    assert subject.data is None
    assert "cannot be reached" in subject.notices[0]
    service = Service(subject)
    assert service.overview()["live"] is None
    trace = service.finished("run", 1)
    assert trace["steps"] == 1
    assert trace["noisy"] is None
    known = load_file(tmp_path / "run" / "provenance.safetensors")
    assert (unpack(trace["sources"]["image"])[0, 0] == known["image"][1, 0].numpy()).all()
    path = tmp_path / "page.html"
    assert main(["explore", str(tmp_path / "run"), "-o", str(path)]) == 0
    assert "cannot be reached" in path.read_text()
    # Other images in the same place are not those of the run, and are not shown.
    shutil.move(tmp_path / "elsewhere", pictures)
    Image.new("RGB", (7, 5)).save(pictures / "0.png")
    assert "have changed" in open_run(tmp_path / "run").notices[0]


def test_an_unfinished_run_shows_what_there_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["generate", "shapes", *SHAPES, "--window", "3", "-n", "3", "--steps", "2"]
    assert main([*words, "--batch", "1", "-o", str(run)]) == 0
    (run / "parts" / "000001-000002.safetensors").unlink()
    subject = open_run(run)
    assert len(subject.images) == 1
    assert subject.notices == ("The run is not finished: 1 of 3 samples are there.",)
    (run / "parts" / "000000-000001.safetensors").unlink()
    with pytest.raises(InputError, match="no sample of it is finished"):
        open_run(run)


# Gone wrong ------------------------------------------------------------------------------------


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


# The command -----------------------------------------------------------------------------------


@contextmanager
def served(run: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the command, and give the address that it prints."""
    line = [sys.executable, "-m", "scoremachines", "explore", str(run), "--port", "0"]

    def heed() -> None:
        """Heed Ctrl-C, which whoever started these tests may have been told to ignore."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed
    ) as started:
        try:
            assert started.stdout is not None
            yield started.stdout.readline().removeprefix("page: ").strip(), started
        finally:
            started.kill()


def test_the_command_serves_until_it_is_interrupted(painted_run: Path) -> None:
    with served(painted_run) as (address, process):
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "stopped" in said
        assert "Traceback" not in said


def test_the_command_serves_a_damaged_run_too(painted_run: Path, tmp_path: Path) -> None:
    run = copied(painted_run, tmp_path)
    (run / "settings.yaml").write_text("source: [")
    with served(run) as (address, _):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address, timeout=60)
        assert refused.value.code == 410
        assert "This cannot be shown" in refused.value.read().decode()
        refused.value.close()


def test_titles() -> None:
    assert title_of("tiled-class") == "Tiled attention, class-level evidence"
    assert title_of("tiled-consensus") == "Tiled attention, consensus on the class"
    assert title_of("measured:1.3") == "The network's own attention × 1.3"
    assert sm.__version__
