"""Kinds of sources: their names, present and former."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import scoremachines as sm
from scoremachines.theory.positions import FORMER, SOURCES, read_sources


def test_former_names_are_read() -> None:
    assert [read_sources(name) for name in SOURCES] == list(SOURCES)
    assert sorted(map(read_sources, FORMER)) == sorted(SOURCES)
    for text in ("", "everywhere", "Valid"):
        with pytest.raises(sm.InputError, match=r"sources=.*aligned, valid, circular, boundary"):
            read_sources(text)


@pytest.mark.parametrize(("former", "present"), FORMER.items())
def test_machines_of_former_names_are_the_same(tmp_path: Path, former: str, present: str) -> None:
    data = sm.TrainingSet(torch.rand(3, 1, 4, 5, generator=torch.Generator().manual_seed(0)))
    machine = sm.ScoreMachine(data, 3, former)
    assert machine.sources == machine.config["sources"] == present
    machine.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"sources": former}))
    assert sm.ScoreMachine.from_pretrained(tmp_path).sources == present
