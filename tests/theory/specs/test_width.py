"""The width of sources as a part of a machine's name."""

from __future__ import annotations

import pytest

from scoremachines.errors import InputError
from scoremachines.experiments.run_settings import GenerateSettings
from scoremachines.theory.specs import MachineSpec


@pytest.mark.parametrize(
    ("text", "name", "title"),
    [
        ("els:smooth=0.5", "els", "Equivariant local score (ELS), h = 0.5"),
        ("LS:smooth=1", "local", "Local score (LS), h = 1"),
        ("none:smooth=0:0.9,1:0.3", None, "No attention, h = 0:0.9,1:0.3"),
        ("tiled-class:1.3:smooth=0.25", None, "h = 0.25"),
    ],
)
def test_a_machine_may_have_a_width(text: str, name: str | None, title: str) -> None:
    spec = MachineSpec.parse(text)
    assert spec.name == name
    assert spec.title.endswith(title)
    assert MachineSpec.parse(str(spec)) == spec
    assert MachineSpec.parse(str(spec).partition(":smooth")[0]).smooth == 0


def test_widths_that_cannot_be_are_refused() -> None:
    for text in ("wiener:smooth=0.5", "els:smooth=2", "els:smooth=", "els:smooth=x", "x:smooth=1"):
        with pytest.raises(InputError, match=r"smooth|machine"):
            MachineSpec.parse(text)
    assert GenerateSettings(machine="els:smooth=0.5").smooth == "0.5"
    assert GenerateSettings(machine="els:smooth=0.5").machine == "els"
    with pytest.raises(InputError, match=r"0, of wiener"):
        GenerateSettings(machine="wiener", smooth="0.5")
    with pytest.raises(InputError, match=r"smooth='0\.3'"):
        GenerateSettings(machine="els:smooth=0.5", smooth="0.3")
