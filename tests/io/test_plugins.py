"""What CONTRIBUTING says of adding things, done in a package outside this repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.places import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def additions(folder: Path) -> dict[str, str]:
    """Write the guide's files, and entry points as an installer would; return the environment."""
    for name, code in re.findall(r"```python\n# ([\w/]+\.py)\n(.*?)```", GUIDE, re.DOTALL):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code, encoding="utf-8")
    about = folder / "additions-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: additions\nVersion: 1.0\n")
    points = re.findall(r'    \[project\.entry-points\."([\w.]+)"\]\n    (.+) = "(.+)"\n', GUIDE)
    assert len(points) == 4
    text = "\n".join(f"[{group}]\n{name} = {value}\n" for group, name, value in points)
    (about / "entry_points.txt").write_text(text)
    paths = [str(folder), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("package")
    environment = additions(folder)
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 6))
    rows = ["\n".join(" ".join(map(str, row)) for row in image) for image in images]
    (folder / "pictures.grey").write_text("\n\n".join(rows))
    return folder, environment


def run(words: list[str], package: tuple[Path, dict[str, str]]) -> str:
    folder, environment = package
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_commands_of_the_guide_work(package: tuple[Path, dict[str, str]]) -> None:
    commands = re.findall(r"^    scoremachines (generate .+)$", GUIDE, re.MULTILINE)
    assert len(commands) == 4
    # In one process, which loads torch once.
    code = "import sys, json; from scoremachines.cli.main import main\n"
    code += "sys.exit(max(main(words) for words in json.loads(sys.argv[1])))"
    run(["-c", code, json.dumps([command.split() for command in commands])], package)
    folder = package[0]
    for name in ("nearby", "average", "slowly", "read"):
        assert (folder / name / "report.html").exists()
        assert list((folder / name / "samples").iterdir())
    assert "attention: nearby-class:0.5" in (folder / "nearby" / "settings.yaml").read_text()


def test_they_pass_their_checks(package: tuple[Path, dict[str, str]]) -> None:
    run(["checks.py"], package)


def test_they_are_names_of_the_command_line(package: tuple[Path, dict[str, str]]) -> None:
    printed = run(["-m", "scoremachines", "generate", "--help"], package)
    assert {"nearby", "nearby-class", "average"} <= set(re.findall(r"[\w-]+", printed))
    code = (
        "from scoremachines.theory.specs import *\n"
        "spec = AttentionSpec.parse('Nearby attention, class-level evidence × 0.5')\n"
        "assert str(spec) == 'nearby-class:0.5', spec\n"
        "assert str(MachineSpec.parse('average')) == 'average'\n"
        "assert str(EngineSpec.parse('one-by-one')) == 'one-by-one'\n"
    )
    run(["-c", code], package)


COMPARES = """
import torch
import scoremachines as sm
from scoremachines.attention import spec_of
from scoremachines.experiments import make_machines

data = sm.digits().subset(range(60))
network = sm.Network([8, 8], 1, width=4, receptive_field=3).eval()
machines = make_machines(["average", "nearby", "wiener"], network, data, 3)
found = sm.compare(network, machines, data, n=3, steps=3)
assert [row.machine for row in found.rows] == ["average", "nearby", "wiener"]
machines["nearby"].save_pretrained("kept")
again = sm.ScoreMachine.from_pretrained("kept")
assert str(spec_of(again.attention)) == "nearby"
noisy = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
assert torch.equal(again.denoise(noisy, 0.5), machines["nearby"].denoise(noisy, 0.5))
"""


def test_they_take_part_in_comparisons_and_are_kept(
    package: tuple[Path, dict[str, str]],
) -> None:
    run(["-c", COMPARES], package)


@pytest.mark.slow
def test_a_denoiser_takes_part_in_the_experiment(package: tuple[Path, dict[str, str]]) -> None:
    words = ["-m", "scoremachines", "consistency", "-n", "2", "--steps", "2", "--sweeps", "false"]
    run([*words, "--real", "false", "-o", "experiment"], package)
    found = json.loads((package[0] / "experiment" / "findings.json").read_text())
    assert "average" in {row["machine"] for row in found["agreements"]}
