"""Folders opened again: painted runs, comparisons, networks beside them, what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from scoremachines.cli.main import main
from scoremachines.errors import InputError
from scoremachines.experiments.opened import open_run
from scoremachines.explore import Service
from scoremachines.explore.encoding import unpack
from support.explorer import SHAPES


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
