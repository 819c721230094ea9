"""Attentions, machines and engines as data: what is chosen, and the only text that stands for it.

    attention   MAP[@WINDOWS][-class | -consensus][:GAIN]     tiled-class:1.3
    machine     one of Kamb & Ganguli's, the Wiener filter, or an attention
    engine      NAME[:OPTION=VALUE,…]                         adaptive:tolerance=0.001

All other modules hold these objects; command lines, settings, saved models, titles and colours are
made from them. In plain Python, so that `--help` is instant.
"""

from __future__ import annotations

from scoremachines.theory.specs.attention import AttentionSpec as AttentionSpec
from scoremachines.theory.specs.attention import attention_names as attention_names
from scoremachines.theory.specs.attention import maps_names as maps_names
from scoremachines.theory.specs.engine import EngineSpec as EngineSpec
from scoremachines.theory.specs.gain import GainSchedule as GainSchedule
from scoremachines.theory.specs.machine import KG_MACHINES as KG_MACHINES
from scoremachines.theory.specs.machine import MachineSpec as MachineSpec
from scoremachines.theory.specs.machine import denoiser_names as denoiser_names
from scoremachines.theory.specs.machine import kg_machine as kg_machine
from scoremachines.theory.specs.machine import machine_names as machine_names
from scoremachines.theory.specs.machine import painter as painter
from scoremachines.theory.specs.machine import title_of as title_of

__all__ = [
    "KG_MACHINES",
    "AttentionSpec",
    "EngineSpec",
    "GainSchedule",
    "MachineSpec",
    "attention_names",
    "denoiser_names",
    "kg_machine",
    "machine_names",
    "maps_names",
    "painter",
    "title_of",
]
