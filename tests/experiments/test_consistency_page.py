"""The experiment's page shows its findings, and nothing that is not in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import torch
from PIL import Image

from scoremachines.experiments.consistency_page import write_consistency_page
from scoremachines.experiments.networks import CNN, SOFT
from scoremachines.experiments.results import Findings
from scoremachines.io.sealed import read_json
from support.documents import Reader
from support.findings import CURVES, MEASURED, NONE
from support.rates import row


@pytest.fixture(scope="module")
def folder(findings: Findings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the page of the findings was written to."""
    draw = torch.Generator().manual_seed(0)
    models = [CNN, SOFT, NONE, MEASURED]
    pictures = {each: torch.rand(4, 3, 5, 7, generator=draw) * 2 - 1 for each in models}
    training = torch.rand(6, 3, 5, 7, generator=draw) * 2 - 1
    command, settings = "scoremachines consistency --preset quick", "preset: quick\n"
    made = tmp_path_factory.mktemp("consistency")
    page = write_consistency_page(findings, pictures, CURVES, training, made, command, settings)
    assert page == made / "report.html"
    return made


def tables(document: str) -> Iterator[list[list[str]]]:
    """Return the cells of each table's body as text."""
    for body in re.findall(r"<tbody>(.*?)</tbody>", document, re.DOTALL):
        yield [
            [
                " ".join(unescape(re.sub("<[^>]*>", " ", cell)).split())
                for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL)
            ]
            for line in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
        ]


def test_tables_hold_the_findings(findings: Findings, folder: Path) -> None:
    networks, seeds, orders, machines, cnn, soft, sweeps, real = tables(
        (folder / "report.html").read_text(encoding="utf-8").replace("\xa0", " ")
    )
    assert [line[0] for line in networks] == ["CNN only", "top-1", "soft", "CNN, circular"]
    assert networks[2][1:3] == [
        "76.7 % 68.3 to 83.3 % 92 of 120",
        "72.5 % 63.9 to 79.7 % 87 of 120 chance 10.0 %",
    ]
    rows = [each for each in findings.networks if each.seed is not None]
    assert [line[0] for line in seeds][-2:] == ["soft, seed 2", "CNN, circular, seed 0"]
    assert [line[2].split(" of ")[0].split()[-1] for line in seeds] == [
        str(each.consistent.successes) for each in rows
    ]
    assert orders[0][1:3] == ["0.0300", "–"]
    assert orders[1][1:3] == ["< 0.0001", "0.0040"]
    assert {line[0]: line[-1] for line in machines} == {
        "none": "CNN only 10.0 % +5.0 points ✓ within 10 points",
        "top1-class": "top-1 20.0 % +30.0 points ✗ not within 10 points",
        "measured (soft)": "soft, seed 0 75.0 % −7.5 points ✓ within 10 points",
        "none (valid)": "CNN, circular 10.0 % +2.5 points ✓ within 10 points",
        "full": "–",
    }
    assert cnn[1] == ["none", "0.931 0.911 to 0.961", "0.867 0.847 to 0.897", "–", "12"]
    assert soft[1][3] == "0.014 −0.006 to 0.044"
    assert [line[0] for line in sweeps][:3] == ["steps 5", "steps 5", "steps 10"]
    assert len(sweeps) == len(findings.sweeps)
    assert real[1][1] == "0.250 0.230 to 0.280"


def test_the_page_is_whole_and_needs_nothing_else(findings: Findings, folder: Path) -> None:
    document = (folder / "report.html").read_text(encoding="utf-8")
    reader = Reader(document)
    names = {"findings.json", "report.html", "samples.png"}
    names |= {f"{name}.png" for name in ("rates", "agreement", "curves", "sweeps", "real")}
    assert {path.name for path in folder.iterdir()} == names
    assert read_json(folder / "findings.json") == findings.plain()
    assert len(reader.all("img")) == 5 + 4 + 1
    for image in reader.all("img"):
        assert image["src"].startswith("data:image/png;base64,")
        assert image["alt"]
        assert int(image["width"]) > 0
    assert not re.search(r"@import|url\(|https?://|<script", document)
    assert len(reader.all("table")) == len(reader.all("caption")) == 8
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert set(levels) == {1, 2, 3}
    assert "scoremachines consistency --preset quick" in document
    assert "network CNN only" in document
    with Image.open(folder / "samples.png") as picture:
        assert picture.height > 4 * 5


def test_a_page_of_little_leaves_out_what_there_is_not(tmp_path: Path) -> None:
    networks = [row(CNN, None, 3), row(CNN, 0, 3)]
    findings = Findings(networks, [], [], [], [], [])
    images = torch.zeros(2, 3, 5, 7)
    page = write_consistency_page(findings, {CNN: images}, {}, images, tmp_path, "", "")
    document = page.read_text(encoding="utf-8")
    Reader(document)
    headings = re.findall(r"<h2>(.*?)</h2>", document)
    assert headings == [
        "The question", "The set", "Networks", "What differs from the paper, and what is our own",
    ]  # fmt: skip
