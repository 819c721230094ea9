"""One list of names: what documents, pages and help print is what commands accept."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import scoremachines as sm
from scoremachines.attention import ATTENTIONS, TOLD, make_attention
from scoremachines.cli.main import main
from scoremachines.cli.settings import CalibrateSettings, GenerateSettings, field_help
from scoremachines.experiment import make_machines
from scoremachines.experiment.plan import CLOSED, MAPS, SHARED
from scoremachines.explore.live import attentions
from scoremachines.names import (
    ATTENTION_NAMES,
    ENDINGS,
    MACHINES,
    attention_names,
    known_name,
    machine_names,
    title_of,
)

TOP = Path(__file__).parents[1]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
SOURCES = sorted((TOP / "src" / "scoremachines").rglob("*.py"))


def data() -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.rand(6, 1, 5, 7, generator=draw) * 2 - 1
    return sm.TrainingSet(pixels, torch.arange(6) % 2)


def printed() -> set[str]:
    """Return the names of machines and attentions that documents, pages and help print."""
    texts = [path.read_text(encoding="utf-8") for path in (*PAGES, *SOURCES)]
    names = {
        word.strip("`\"',.")
        for text in texts
        for word in re.findall(r"--(?:machine|attention)[ =]([A-Za-z][\w:.\-]*)", text)
    }
    theory = (TOP / "docs" / "theory.md").read_text(encoding="utf-8")
    for short, name in re.findall(r"^\| (\w+), [\w -]+ \| `(\w+)` \|", theory, re.MULTILINE):
        names |= {short, short.lower(), name}
    readme = PAGES[0].read_text(encoding="utf-8")
    names |= set(re.findall(r"^\| ([\w-]+) \| [\d.]+ % \|", readme, re.MULTILINE))
    names |= {title_of(name) for name in machine_names()} | {title_of("tiled:1.3")}
    return names | {*CLOSED, *SHARED, *MAPS, "measured-class (soft)"}


def test_every_name_that_is_printed_is_accepted() -> None:
    names = printed()
    assert {"LS", "ls", "bbELS", "top-1", "tiled-agreed", "Local score (LS)"} <= names
    network = sm.Network([5, 7], 1, width=4, receptive_field=3, attention="soft", key_width=2)
    network.readout.weight.data.normal_()
    for name in sorted(names - {"a", "of", "none"}):
        if name.endswith("calibrated"):
            continue
        made = make_machines([name], network, data(), 3)
        assert list(made) == [known_name(name)]


def test_names_mean_what_they_say() -> None:
    assert (known_name("IS"), known_name("ls"), known_name("bbELS")) == ("ideal", "local", "bbels")
    assert known_name("Top-1-class") == "top1-class"
    assert known_name(" Tiled attention × 1.3") == "tiled:1.3"
    assert known_name("MEASURED:spread") == "measured:spread"
    assert known_name("measured (soft)") == "measured"
    for unknown in ("lsd", "", "tiled-", "a.npy", "none-class", "wiener-class", "ls:", "network"):
        assert known_name(unknown) in (unknown, "local:")
    for name in machine_names():
        assert known_name(name) == name
        assert known_name(title_of(name)) == name
    assert sm.named_machine("LS", data(), 3).sources == "same"
    assert make_attention("Full").name == "full"


def test_the_list_is_that_of_the_library() -> None:
    assert tuple(ATTENTIONS) == ATTENTION_NAMES
    assert tuple(TOLD) == ENDINGS
    assert attentions(data()) == attention_names()
    assert attentions(sm.TrainingSet(data().pixels)) == list(ATTENTION_NAMES)
    for name in attention_names():
        assert make_attention(name).name == name


def test_help_lists_all_that_is_accepted() -> None:
    assert field_help(GenerateSettings)["machine"] == ", ".join(MACHINES)
    for settings in (GenerateSettings, CalibrateSettings):
        listed = set(re.findall(r"[\w-]+", field_help(settings)["attention"]))
        assert set(attention_names()) <= listed
    assert {"measured", "measured-class", "measured-agreed"} <= listed


def test_help_loads_no_torch() -> None:
    code = (
        "import sys; from scoremachines.cli.main import main\n"
        "try: main(['generate', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    listed = set(re.findall(r"[\w-]+", ended.stdout))
    assert set(attention_names()) <= listed  # none is cut at its hyphen


@pytest.mark.parametrize("name", ["ls", "IS", "Boundary-broken ELS"])
def test_generate_takes_them(name: str, tmp_path: Path) -> None:
    words = ["generate", "digits", "--limit", "9", "--window", "3", "-n", "1", "--steps", "2"]
    words += ["--attention", "Top-1", "--machine", name, "-o", str(tmp_path / "out")]
    assert main(words) == 0
    settings = (tmp_path / "out" / "settings.yaml").read_text()
    assert f"machine: {known_name(name)}\n" in settings
    assert "attention: top1\n" in settings
    page = tmp_path / "page.html"
    again = ["explore", str(tmp_path / "out"), "-o", str(page), "-n", "1", "--machine", "ES"]
    assert main(again) == 0
