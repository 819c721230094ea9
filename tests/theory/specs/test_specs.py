"""Specs: the same attention, machine and engine from a command line to a title and back."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import scoremachines as sm
from scoremachines.attention import build_attention, make_attention, spec_of
from scoremachines.cli.main import main
from scoremachines.data.open import open_data
from scoremachines.engines import ENGINES, engine_spec, make_engine, native_instructions
from scoremachines.errors import InputError
from scoremachines.experiments import make_machines
from scoremachines.experiments.plan import CLOSED, MAPS, SHARED
from scoremachines.experiments.run_settings import CalibrateSettings, GenerateSettings, field_help
from scoremachines.explore.playground import attentions
from scoremachines.theory.specs import (
    KG_MACHINES,
    AttentionSpec,
    EngineSpec,
    GainSchedule,
    MachineSpec,
    attention_names,
    denoiser_names,
    machine_names,
    maps_names,
    title_of,
)
from support.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = sorted((ROOT / "src" / "scoremachines").rglob("*.py"))


def data() -> sm.TrainingSet:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.rand(6, 1, 5, 7, generator=draw) * 2 - 1
    return sm.TrainingSet(pixels, torch.arange(6) % 2)


numbers = st.floats(0, 1e6)
schedules = st.dictionaries(st.floats(0, 1), numbers, min_size=1, max_size=3).map(
    lambda knots: GainSchedule(tuple(sorted(knots)), tuple(knots[t] for t in sorted(knots)))
)
gains = st.one_of(st.just(1.0), numbers, st.sampled_from(["perplexity", "calibrated"]), schedules)
odd = st.integers(0, 4).map(lambda half: 2 * half + 1)


@st.composite
def specs(draw: st.DrawFn) -> AttentionSpec:
    name = draw(st.sampled_from(["identity", "top1", "tiled", "full", "multiscale", "measured"]))
    over, gain = draw(st.sampled_from(["image", "group", "consensus"])), draw(gains)
    windows = tuple(draw(st.lists(odd, min_size=1, max_size=3))) if name == "multiscale" else None
    path = None
    if draw(st.integers(0, 4)) == 0:
        words = st.text(
            st.characters(categories=["L", "N"], include_characters=" -_@:."), max_size=9
        )
        name, windows, path = "matrix", None, "a" + draw(words) + ".npy"
    if draw(st.booleans()):
        windows = None
    return AttentionSpec(name, over, gain, windows, path)


@given(specs())
@settings(max_examples=300)
def test_a_text_and_a_title_bring_an_attention_back(spec: AttentionSpec) -> None:
    assert AttentionSpec.parse(str(spec)) == spec
    assert AttentionSpec.parse(spec.title) == spec
    assert yaml.safe_load(yaml.safe_dump(str(spec))) == str(spec)


@given(st.text(max_size=20) | st.from_regex(r"[a-z0-9]{0,9}(-class|@3,|:1:|:)?[a-z0-9,:]{0,5}"))
def test_any_text_is_read_or_refused(text: str) -> None:
    for kind in (AttentionSpec, MachineSpec, EngineSpec):
        try:
            found = kind.parse(text)
        except InputError:
            continue
        assert kind.parse(str(found)) == found


@given(schedules, st.floats(0, 1))
def test_gains_are_interpolated(schedule: GainSchedule, t: float) -> None:
    assert schedule(t) == pytest.approx(np.interp(t, schedule.times, schedule.gains), rel=1e-9)


WHOLE = ("tiled-class:1.3", "identity-consensus:perplexity", "multiscale@3,5-class:0:1,0.5:2")


@pytest.mark.parametrize("text", [*WHOLE, "matrix", "matrix-class:0:2,1:0.5"])
def test_from_the_command_line_to_a_folder_and_back(text: str, tmp_path: Path) -> None:
    """Command line → YAML → machine → folder → machine → title."""
    from scoremachines.experiments.generate import make_machine
    from scoremachines.experiments.opened import read_settings

    if text.startswith("matrix"):
        path = tmp_path / "maps (1).npy"
        np.save(path, torch.rand(64, 64, generator=torch.Generator().manual_seed(1)).numpy())
        text = str(path) + text[len("matrix") :]
    words = ["generate", "digits", "--limit", "9", "--window", "3", "-n", "1", "--steps", "2"]
    assert main([*words, "--attention", text, "-o", str(tmp_path / "run")]) == 0
    again = ["generate", "--config", str(tmp_path / "run" / "settings.yaml")]
    assert main([*again, "-o", str(tmp_path / "run"), "--resume"]) == 0
    asked = read_settings(tmp_path / "run")
    machine = make_machine(asked, open_data(asked))
    machine.save_pretrained(tmp_path / "kept")
    kept = sm.ScoreMachine.from_pretrained(tmp_path / "kept")
    spec = AttentionSpec.parse(text)
    assert spec_of(machine.attention) == spec_of(kept.attention) == spec
    assert AttentionSpec.parse(str(kept.config["attention"])).title == spec.title
    noisy = torch.randn(2, *machine.shape, generator=torch.Generator().manual_seed(2))
    assert torch.equal(machine.denoise(noisy, 0.5), kept.denoise(noisy, 0.5))


def printed() -> set[str]:
    """Return the names of machines and attentions that documents, pages and help print."""
    texts = [path.read_text(encoding="utf-8") for path in (*PAGES, *SOURCES)]
    names = {
        word.strip("`\"',.")
        for text in texts
        for word in re.findall(r"--(?:machine|attention)[ =]([A-Za-z][\w:.\-=,]*)", text)
    }
    theory = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    for short, name in re.findall(r"^\| (\w+), [\w -]+ \| `(\w+)` \|", theory, re.MULTILINE):
        names |= {short, short.lower(), name}
    readme = PAGES[0].read_text(encoding="utf-8")
    names |= set(re.findall(r"^\| ([\w-]+) \| [\d.]+ % \|", readme, re.MULTILINE))
    names |= {title_of(name) for name in machine_names()} | {title_of("tiled:1.3")}
    names |= {title_of("els:smooth=0.5"), "none:smooth=0.5"}
    return names | {str(spec) for spec in (*CLOSED, *SHARED, *MAPS)} | {"measured-class (soft)"}


def test_every_name_that_is_printed_is_accepted() -> None:
    names = printed()
    assert {"LS", "ls", "bbELS", "top-1", "tiled-consensus", "Local score (LS)"} <= names
    network = sm.Network([5, 7], 1, width=4, receptive_field=3, attention="soft", key_width=2)
    network.readout.weight.data.normal_()
    for name in sorted(names - {"a", "of", "none"}):
        spec = MachineSpec.parse(name)
        if spec.attention.gain != "calibrated":
            assert list(make_machines([name], network, data(), 3)) == [str(spec)]


def test_names_stand_for_their_specs() -> None:
    for text, name in (("IS", "ideal"), ("ls", "local"), ("bbELS", "bbels")):
        assert MachineSpec.parse(text) == MachineSpec(name)
    assert AttentionSpec.parse("Top-1-class") == AttentionSpec("top1", "group")
    assert AttentionSpec.parse(" Tiled attention × 1.3") == AttentionSpec("tiled", gain=1.3)
    assert AttentionSpec.parse("measured (soft)") == AttentionSpec("measured")
    # As older runs write it.
    older = AttentionSpec("measured", "consensus", "perplexity")
    assert AttentionSpec.parse("measured-agreed:spread") == older
    assert AttentionSpec.parse("x-class.npy:2") == AttentionSpec(
        "matrix", gain=2.0, path="x-class.npy"
    )
    for name in machine_names():
        assert str(MachineSpec.parse(name)) == name
        assert str(MachineSpec.parse(title_of(name))) == name
    assert sm.named_machine("LS", data(), 3).sources == "aligned"
    assert make_attention("Full").name == "full"


@pytest.mark.parametrize(
    "text",
    ["lsd", "", "tiled-", "a.npy", "none-class", "wiener-class", "ls:", "network", "tiled:-1",
     None, 3, "tiled@3", "multiscale@4", "multiscale@", "tiled:1:2,1:3", "tiled:2:1", "matrix",
     "none:2"],
)  # fmt: skip
def test_what_is_no_machine_is_refused(text: object) -> None:
    with pytest.raises(InputError):
        MachineSpec.parse(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "choices",
    [{"map": "soft"}, {"map": "tiled", "over": "class"}, {"over": "group"}, {"gain": "loud"},
     {"map": "tiled", "gain": -1.0}, {"map": "tiled", "windows": (3,)}, {"path": "a.npy"},
     {"map": "multiscale", "windows": ()}, {"map": "multiscale", "windows": (4,)}],
)  # fmt: skip
def test_an_attention_that_cannot_be_is_refused(choices: dict[str, object]) -> None:
    with pytest.raises(InputError):
        AttentionSpec(**choices)  # type: ignore[arg-type]


def test_what_a_spec_needs_is_required() -> None:
    with pytest.raises(InputError, match="no network shows any maps"):
        build_attention(AttentionSpec("measured"))
    with pytest.raises(InputError, match="the matrix itself"):
        build_attention(AttentionSpec("matrix"))
    with pytest.raises(InputError, match=r"tiled:1\.3"):
        build_attention(AttentionSpec("tiled", gain="calibrated"))
    with pytest.raises(InputError, match=r"nowhere\.npy"):
        make_attention("nowhere.npy")


def test_the_lists_are_those_of_the_library() -> None:
    assert attentions(data()) == attention_names()
    plain = [name for name in attention_names() if not AttentionSpec.parse(name).needs_classes]
    assert attentions(sm.TrainingSet(data().pixels)) == plain
    for name in attention_names():
        assert make_attention(name).name == name
        assert spec_of(make_attention(name)) == AttentionSpec.parse(name)


def test_engines_come_back() -> None:
    for name in ENGINES:
        if name == "cuda" or (name in ("native", "adaptive") and not native_instructions()):
            continue
        assert engine_spec(make_engine(name)) == EngineSpec(name)
    if native_instructions():
        spec = EngineSpec.parse("adaptive:tolerance=0.002,threads=2")
        made = make_engine(spec)
        assert (made.tolerance, made.threads) == (0.002, 2)  # type: ignore[attr-defined]
        assert engine_spec(made) == spec == EngineSpec.parse(str(spec))
        assert engine_spec(make_engine("native:threads=2")) == EngineSpec("native", threads=2)
    bad = ["fast", "", "native:", "native:speed=2", "native:threads=0", "native:threads=x"]
    for text in [
        *bad,
        "adaptive:tolerance=much",
        "adaptive:threads=0",
        "torch:threads=1",
        3,
        None,
    ]:
        with pytest.raises(InputError):
            EngineSpec.parse(text)  # type: ignore[arg-type]


def test_help_lists_all_that_is_accepted() -> None:
    assert field_help(GenerateSettings)["machine"] == ", ".join([*KG_MACHINES, *denoiser_names()])
    for chosen in (GenerateSettings, CalibrateSettings):
        listed = set(re.findall(r"[\w-]+", field_help(chosen)["attention"]))
        assert set(attention_names()) <= listed
    assert set(maps_names()) <= listed


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
    chosen = (tmp_path / "out" / "settings.yaml").read_text()
    assert f"machine: {MachineSpec.parse(name)}\n" in chosen
    assert "attention: top1\n" in chosen
    page = tmp_path / "page.html"
    again = ["explore", str(tmp_path / "out"), "-o", str(page), "-n", "1", "--machine", "ES"]
    assert main(again) == 0


def test_only_one_file_knows_the_grammar() -> None:
    """No other reads or writes the endings of attentions, or takes texts apart by their ends."""
    found = {
        path.relative_to(ROOT / "src" / "scoremachines").as_posix()
        for path in SOURCES
        if re.search(r'removesuffix|endswith|"-class"|-agreed', path.read_text(encoding="utf-8"))
    }
    assert found == {"theory/specs/attention.py"}


def test_titles() -> None:
    assert title_of("tiled-class") == "Tiled attention, class-level evidence"
    assert title_of("tiled-consensus") == "Tiled attention, consensus on the class"
    assert title_of("measured:1.3") == "The network's own attention × 1.3"
    assert sm.__version__
