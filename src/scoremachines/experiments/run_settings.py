"""Settings of a run, in plain Python, so that `--help` is instant.

Each field of the dataclass is an option of the command line and a key of `settings.yaml`; the text
below it is the option's help.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from scoremachines.data.settings import DataSettings as DataSettings
from scoremachines.data.settings import size_pixels as size_pixels
from scoremachines.errors import InputError
from scoremachines.io.advice import option_name
from scoremachines.theory.specs import (
    KG_MACHINES,
    AttentionSpec,
    EngineSpec,
    attention_names,
    denoiser_names,
    maps_names,
    painter,
)
from scoremachines.theory.specs.width import parse_smooth, smooth_text

__all__ = [
    "CalibrateSettings",
    "CompareSettings",
    "GenerateSettings",
    "changed_options",
    "field_help",
    "memory_bytes",
    "size_pixels",
]


@dataclass(frozen=True)
class GenerateSettings(DataSettings):
    """Everything that decides which images a run paints."""

    machine: str = "els"
    """{machines}"""
    window: str = "7"
    """pixels a side (odd), 'image', or k(t) such as 0:3,0.5:7,1:11"""
    sources: str | None = None
    """aligned, valid, circular or boundary; by default what the machine stands for"""
    attention: str = "none"
    """{attentions}, or a matrix in an .npy file; with a gain: tiled:1.3 or tiled:perplexity"""
    smooth: str = "0"
    """width of sources h, from 0 (training patches) to 1 (Wiener filter), or h(t): 0:0.9,1:0.3"""
    steps: int = 20
    """steps from noise to image"""
    scheduler: str = "kg"
    """kg, or the name of a diffusers scheduler such as DDPM or HeunDiscrete"""
    n: int = 16
    """number of samples"""
    seed: int = 0
    """seed of the starting noise"""
    label: str | None = None
    """paint one class only, by name or number"""
    best: int = 4
    """how many sources to name for every pixel"""
    engine: str = "auto"
    """auto, native, torch, reference, or adaptive:tolerance=0.01, which may be off by as much"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    memory: str = "1GiB"
    """memory that the engine may use above the training set"""
    batch: int = 16
    """samples at a time; changes no result"""

    def __post_init__(self) -> None:
        machine, smooth = painter(self.machine), parse_smooth(self.smooth)
        if machine.smooth != 0 and smooth != 0:
            raise InputError("smooth", self.smooth, f"0, for {machine} has a width")
        machine = replace(machine, smooth=smooth or machine.smooth)  # or refuses the width
        object.__setattr__(self, "machine", str(replace(machine, smooth=0.0)))
        object.__setattr__(self, "smooth", smooth_text(machine.smooth))
        object.__setattr__(self, "attention", str(AttentionSpec.parse(self.attention)))
        object.__setattr__(self, "engine", str(EngineSpec.parse(self.engine)))

    @property
    def attention_spec(self) -> AttentionSpec:
        """The attention."""
        return AttentionSpec.parse(self.attention)

    @property
    def engine_spec(self) -> EngineSpec:
        """The engine."""
        return EngineSpec.parse(self.engine)


@dataclass(frozen=True)
class CompareSettings(DataSettings):
    """Everything that decides what a network is compared with, but the machines' names."""

    window: str | None = None
    """of the machines: pixels (odd), 'image', k(t) or a calibration.json; by default calibrated,
    or what it sees"""
    sources: str | None = None
    """aligned, valid, circular or boundary; by default what the network's padding stands for"""
    steps: int = 20
    """the machines' steps from noise to image"""
    network_steps: int | None = None
    """the network's; by default as many as the machines'"""
    n: int = 32
    """number of seeds"""
    seed: int = 0
    """seed of the starting noise"""
    label: str | None = None
    """images of one class only, by name or number"""
    engine: str = "auto"
    """auto, native, torch, reference or cuda"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    memory: str = "1GiB"
    """memory that the engine may use above the training set"""
    batch: int = 16
    """samples at a time"""


@dataclass(frozen=True)
class CalibrateSettings(DataSettings):
    """Everything that decides how a network is calibrated."""

    windows: str | None = None
    """the windows to choose among, such as 3,5,7; by default all that the network can see"""
    measure: str = "noise"
    """what decides: noise (cosine of the noise, as Kamb & Ganguli), clean (Pearson r) or error"""
    widths: str | None = None
    """also choose k(t) together with the width of sources h(t), among these: 0,0.3,0.6"""
    contrasts: bool = False
    """of these widths: with a mixture over contrasts"""
    search: str = "all"
    """which windows are evaluated at a step: all, or those near the last choice (faster)"""
    steps: int = 20
    """steps of the network's trajectories"""
    seeds: int = 8
    """number of trajectories"""
    seed: int = 0
    """seed of their starting noise"""
    label: str | None = None
    """trajectories of one class only, by name or number"""
    sources: str | None = None
    """aligned, valid, circular or boundary; by default what the network's padding stands for"""
    attention: str = "measured"
    """whose strength is calibrated: {maps} (the network's own), {attentions}"""
    share: float = 0.5
    """share f of log N that a predicted window may carry about the training image, from 0 to 1"""


def field_help(settings: type) -> dict[str, str]:
    """Return the text below each field of a dataclass, by the field's name."""
    read: Any = _field_help
    return dict(read(settings))


@cache
def _field_help(settings: Any) -> dict[str, str]:
    texts: dict[str, str] = {}
    lists = {
        "machines": [*KG_MACHINES, *denoiser_names()],
        "attentions": attention_names(),
        "maps": maps_names(),
    }
    for base in settings.__mro__[1:]:
        texts |= field_help(base) if hasattr(base, "__dataclass_fields__") else {}
    body = ast.parse(inspect.getsource(settings).strip()).body[0]
    assert isinstance(body, ast.ClassDef)
    for line, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            value = getattr(following, "value", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                text = " ".join(value.value.split())
                for kind, names in lists.items():
                    text = text.replace(f"{{{kind}}}", ", ".join(names))
                texts[line.target.id] = text
    return texts


def memory_bytes(text: str) -> int:
    """Read a memory budget such as `512MiB`, `2GB` or `1000000`.

    Args:
        text: a number and, if it does not count bytes, a unit.

    Returns:
        Bytes.

    Raises:
        InputError: if it is none, or not positive.
    """
    units = {"": 1, "b": 1} | {f"{p}ib": 2 ** (10 * i) for i, p in enumerate("kmgt", 1)}
    units |= {f"{p}b": 10 ** (3 * i) for i, p in enumerate("kmgt", 1)}
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)", text.strip().lower())
    if match is None or match[2] not in units or float(match[1]) == 0:
        raise InputError("memory", text, "a positive number with a unit, such as 512MiB or 2GiB")
    return int(float(match[1]) * units[match[2]])


def changed_options(values: dict[str, Any], usual: dict[str, Any], prefix: str) -> list[str]:
    """Return the words of a command line for all options that are not as usual.

    Args:
        values: of all options, by name; a dictionary holds options of a group.
        usual: likewise, what they are when the line leaves them out.
        prefix: two dashes, and the groups that the options are in.

    Returns:
        The words.
    """
    words = []
    for name, value in values.items():
        if isinstance(value, dict):
            words += changed_options(value, usual[name], f"{prefix}{name}.")
        elif value != usual[name]:
            shown = list(value) if isinstance(value, tuple) else value
            words += [prefix + option_name(name), str(shown)]
    return words
