"""`scoremachines consistency`: what it takes, and what it refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from scoremachines.cli.consistency import table
from scoremachines.cli.main import main
from scoremachines.experiments import Findings
from scoremachines.experiments.settings import CRAFTED
from support.rates import row


def test_the_set_is_the_crafted_one_by_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["consistency", "--shapes.features", "2", "-n", "7", "--print_config"])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["source"], shown["preset"], shown["n"]) == ("shapes", "quick", 7)
    assert shown["shapes"]["size"] == CRAFTED.shapes.size == 12
    assert shown["shapes"]["feature_size"] == CRAFTED.shapes.feature_size == 3
    assert shown["shapes"]["features"] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--preset", "huge"], "preset='huge'"),
        (["--source", "digits"], "source='digits'"),
        (["-n", "0"], "n=0"),
        (["--training-seeds", "0"], "training_seeds=0"),
        (["--shapes.features", "99"], "features=99"),
        (["--sweeps", "perhaps"], "sweeps"),
        (["--patch", "3"], "--patch"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["consistency", *words, "-o", str(tmp_path / "out")]) == 2
    complaint = capsys.readouterr().err
    assert told in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_table_holds_what_was_found() -> None:
    networks = [row("soft", None, 30), row("soft", 0, 30)]
    findings = Findings(networks, [row("measured-class (multiscale)", None, 8)], [], [], [], [])
    head, soft, machine = table(json.loads(json.dumps(findings.plain()))).splitlines()
    assert soft.split("  ")[0] == "network soft"
    assert str(networks[0].consistent) in soft
    assert str(networks[0].consistent_of_valid) in soft
    assert machine.startswith("machine measured-class (multiscale) ")
    assert head.index("of valid ones") == soft.index(str(networks[0].consistent_of_valid))
    assert head.index("consistent") == soft.index(str(networks[0].consistent))
