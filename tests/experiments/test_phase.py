"""Memorisation's edge: what patches know, the table and the map, and going on with it."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest
import torch
from PIL import Image

import scoremachines as sm
from scoremachines.calibration.information import image_information, noised_images, recall
from scoremachines.calibration.predicted import predict_windows
from scoremachines.cli.main import main
from scoremachines.engines import Query, make_engine
from scoremachines.errors import InputError
from scoremachines.experiments.phase import FIGURE, FILE
from scoremachines.experiments.phase_map import ALL, Cell, edges
from scoremachines.io.sealed import read_json, write_json
from scoremachines.theory.comparing import check_close

LINE = "phase digits --limit 60 --windows 1,3,5 --steps 3 --draws 2 --counts 15,60"


def images(count: int = 12) -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.rand(count, 2, 6, 5, generator=draw, dtype=torch.float64) * 2 - 1
    return sm.TrainingSet(pixels, torch.arange(count) % 3)


@pytest.mark.parametrize("sources", ["aligned", "valid", "circular", "boundary"])
@pytest.mark.parametrize("memory", [2**23, 2**28])
def test_recall_is_its_formula(sources: str, memory: int) -> None:
    data = images(40)
    places, noise = noised_images(data, 3, 0)
    noisy = 0.8**0.5 * data.block(places, torch.float64) + 0.2**0.5 * noise
    level = torch.full((3,), 0.8, dtype=torch.float64)
    found = recall(data, make_engine("torch", memory), noisy, level, 3, sources, places)
    every = data.block(torch.arange(40), torch.float64)
    evidence = make_engine("reference").evidence(Query(noisy, level, 3, sources), every)
    edge = slice(1, -1) if sources == "valid" else slice(None)
    inside = slice(None), edge, edge
    for draw, place in enumerate(places.tolist()):
        mine = evidence[draw, place][inside[1:]]
        others = evidence[draw, torch.arange(40) != place][inside].logsumexp(0)
        weight = evidence[draw][inside].softmax(0)
        check_close(found.gap[draw], (mine - others + log(39)).mean(), 1e-9, "gap")
        check_close(found.weight[draw], weight[place].mean(), 1e-9, "weight")
        information = log(40) - torch.special.entr(weight).sum(0).mean()
        check_close(found.information[draw], information, 1e-9, "information")
    alone = image_information(data, make_engine("torch", memory), noisy, level, 3, sources)
    check_close(alone, found.information, 1e-12, "the same")


def test_all_is_known_without_noise_and_nothing_with_it() -> None:
    data, engine = images(), make_engine("auto")
    places, noise = noised_images(data, 4, 0)
    for alpha_bar, weight, information in ((0.9999, 1.0, log(12)), (1e-6, 1 / 12, 0.0)):
        noisy = alpha_bar**0.5 * data.block(places) + (1 - alpha_bar) ** 0.5 * noise
        level = torch.full((4,), alpha_bar, dtype=torch.float64)
        found = recall(data, engine, noisy, level, 5, "boundary", places)
        check_close(found.weight, torch.full((4,), weight).double(), 5e-3, "weight")
        check_close(found.information, torch.full((4,), information).double(), 5e-2, "information")
        assert bool((found.gap > log(11)).all()) == (weight == 1)
    with pytest.raises(InputError, match="at least two images"):
        recall(images(1), engine, noisy, level, 3, "valid", places * 0)


def test_edges_are_where_the_image_outweighs_all_others() -> None:
    gaps = {1: 1.0, 3: 4.0, 5: 6.0}
    cells = [Cell(ALL, 100, 0.5, k, gap / 2, gap, 0.5, 0.0) for k, gap in gaps.items()]
    assert edges(cells) == {0.5: 3}  # log 99 is 4.6
    assert edges(cells, half=True) == {0.5: 3}  # ½ log 100 is 2.3
    assert edges(cells[2:]) == {0.5: 5}  # the smallest there is


def test_the_map_and_going_on_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, file = tmp_path / "out", tmp_path / "calibration.json"
    digits = sm.TrainingSet.open("digits", limit=20)
    predict_windows(digits, windows=(3, 5), steps=2, draws=1).save(file)
    line = [*LINE.split(), "--classes", "true", "--drawn", str(file), "-o", str(output)]
    assert main(line) == 0
    table = [row for row in capsys.readouterr().out.splitlines() if row.startswith("|")]
    assert len(table) == 2 + 2 + 10
    known = read_json(output / FILE)
    assert len(known["cells"]) == (2 + 10) * 3 * 3
    assert known["cells"][0]["images"] == 15
    for cell in known["cells"]:
        assert -1e-6 < cell["information"] <= log(cell["images"]) + 1e-6
        assert 0 <= cell["weight"] <= 1
    with Image.open(output / FIGURE) as picture:
        assert min(picture.size) > 400
    held = read_json(output / FILE)
    del held["cells"][6:]
    write_json(output / FILE, held)
    assert main([*line, "--resume"]) == 0
    assert read_json(output / FILE) == known
    assert main([*line, "--resume", "--seed", "1"]) == 2
    assert "that it was begun with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--counts 1,60", "counts="),
        ("--counts 2.5", "counts="),
        ("--counts 61", "counts="),
        ("--windows 2", "window="),
        ("--windows 3,9", "window="),
        ("--steps 0", "steps="),
        ("--draws -1", "draws="),
        ("--drawn 4", "window="),
        ("--drawn 0:99", "window="),
        ("--drawn none.json", "none.json"),
        ("--sources near", "sources="),
        ("--schedule steep", "schedule="),
        ("--engine fast", "engine="),
        ("--limit 1", "images"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, named: str
) -> None:
    output = tmp_path / "out"
    assert main([*LINE.split(), *words.split(), "-o", str(output)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert named in said
    assert not (output / FILE).exists()


def test_classes_need_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        Image.new("L", (6, 6), 80 * number).save(tmp_path / f"{number}.png")
    line = ["phase", str(tmp_path), "--classes", "true", "-o"]
    assert main([*line, str(tmp_path / "out")]) == 2
    assert "classes=True" in capsys.readouterr().err
