"""The machines that a network is compared with, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scoremachines.attention import (
    SPREAD,
    TOLD,
    Attention,
    Measured,
    Scaled,
    Spread,
    StrengthSchedule,
    make_attention,
)
from scoremachines.baselines import Wiener
from scoremachines.calibration import Calibration, StrengthCalibration
from scoremachines.calibration.curves import known_sources
from scoremachines.data.training_set import TrainingSet
from scoremachines.denoiser import DenoiserModel
from scoremachines.errors import InputError
from scoremachines.files import exists
from scoremachines.locality import Window
from scoremachines.machine import ScoreMachine
from scoremachines.named import named_machine
from scoremachines.names import (
    MACHINES,
    MAPS,
    OWN_MAPS,
    attention_names,
    known_name,
    machine_names,
)

__all__ = [
    "CALIBRATED",
    "CALIBRATION",
    "NAMES",
    "STRENGTH",
    "make_machines",
    "network_attention",
    "network_strength",
    "network_window",
]

NAMES = tuple(machine_names())
"""KG's machines, the Wiener filter, the machine of the network's own sources with each attention,
and with the attention maps of the network itself; what ends in -class speaks of classes, what ends
in -agreed agrees on one."""
CALIBRATION = "calibration.json"
"""Where k(t) is kept, beside a checkpoint."""
STRENGTH = "strength.json"
"""Where λ(t) is kept, beside a checkpoint."""
CALIBRATED = "calibrated"
"""What stands for λ(t) in the name of a machine."""


def network_window(network: DenoiserModel, folder: str | Path | None = None) -> Window:
    """Return the window that a network's machine sees through, where the user does not say it.

    Args:
        network: the network.
        folder: where its checkpoint and, perhaps, its calibration lie.

    Returns:
        k(t) as calibrated, or else the receptive field, as far as it fits into the images.

    Raises:
        InputError: it is not calibrated and its receptive field is unknown, or the calibration is
            damaged.
    """
    if folder is not None and exists("network", Path(folder) / CALIBRATION):
        return Calibration.load(Path(folder) / CALIBRATION).schedule
    field = getattr(network, "receptive_field", None)
    if field is None:
        reason = "it is not calibrated, and does not say how far it sees"
        raise InputError("window", None, "pixels a side, or k(t)", reason)
    most = min(field, *network.shape[1:])
    return most if most % 2 else most - 1


def make_machines(
    names: Sequence[str],
    network: DenoiserModel,
    data: TrainingSet,
    window: Window,
    sources: str | None = None,
    strength: StrengthSchedule | None = None,
    **options: Any,
) -> dict[str, DenoiserModel]:
    """Return the machines of these names, on the network's schedule and device.

    Args:
        names: of `NAMES`. An attention may have a strength λ, such as `"measured:1.3"`, or
            λ(t), `"measured:calibrated"`, or one for each row (theory §4.8), `"measured:spread"`.
        network: the network, for its schedule, its sources and its own attention maps.
        data: the training set of both.
        window: k or k(t); None for the whole image.
        sources: of the machines named by their attention; by default what the network's padding
            stands for (theory §5).
        strength: λ(t) of the machines that want a calibrated one.
        **options: `engine` and `memory`, as in `ScoreMachine`.

    Returns:
        The machines by name, in the order given.

    Raises:
        InputError: there is no such machine, or it does not fit the network.
    """
    made = {
        name: _machine(name, network, data, window, sources, strength, options)
        for name in map(known_name, names)
    }
    return {name: machine.to(network.device) for name, machine in made.items()}


def _machine(
    name: str,
    network: DenoiserModel,
    data: TrainingSet,
    window: Window,
    sources: str | None,
    strength: StrengthSchedule | None,
    options: dict[str, Any],
) -> DenoiserModel:
    kind, colon, text = name.partition(":")
    if kind not in NAMES or (colon and kind not in (*attention_names(), *MAPS)):
        accepted = f"{', '.join(NAMES)}; with an attention also its strength: measured:1.3"
        raise InputError("machine", name, accepted)
    if kind == "wiener":
        return Wiener(data, network.schedule)
    if kind in MACHINES:
        return named_machine(kind, data, window, schedule=network.schedule, **options)
    attention = network_attention(
        kind, network, _strength(name, text, strength) if colon else None
    )
    where = known_sources(network, data, sources)
    return ScoreMachine(data, window, where, attention, schedule=network.schedule, **options)


def network_attention(
    name: str, network: DenoiserModel, strength: float | str | StrengthSchedule | None = None
) -> Attention:
    """Return the attention of this name, with a network's own maps if it is told of them.

    Args:
        name: such as `"tiled"` or `"measured-agreed"`.
        network: the network.
        strength: λ or λ(t), which the weights of the others are multiplied by; `"spread"` for one
            that each row has of its own (theory §4.8); None for 1.

    Returns:
        The attention.

    Raises:
        InputError: there is none of that name, or the network shows no maps.
    """
    name = known_name(name)
    told = next((each for ending, each in TOLD.items() if name.endswith(ending)), None)
    plain = next((name.removesuffix(ending) for ending in TOLD if name.endswith(ending)), name)
    attention = _maps(network, name) if plain == OWN_MAPS else make_attention(plain)
    if isinstance(strength, str):
        attention = Spread(attention)
    elif strength is not None:
        attention = Scaled(attention, strength)
    return attention if told is None else told(attention)


def _maps(network: DenoiserModel, kind: str) -> Attention:
    maps = getattr(network, "attention", None)
    if maps is None or not callable(maps):
        accepted = "one of the other machines"
        raise InputError("machine", kind, accepted, "the network shows no attention maps")
    return Measured(maps)


def network_strength(folder: str | Path) -> StrengthSchedule | None:
    """Return λ(t) as it was calibrated for a network.

    Args:
        folder: where its checkpoint lies.

    Returns:
        λ(t); None if it was not calibrated.

    Raises:
        InputError: the calibration is damaged.
    """
    path = Path(folder) / STRENGTH
    return StrengthCalibration.load(path) if exists("network", path) else None


def _strength(
    name: str, text: str, known: StrengthSchedule | None
) -> float | str | StrengthSchedule:
    if text == SPREAD:
        return SPREAD
    if text == CALIBRATED:
        if known is None:
            accepted = "a network whose strength was calibrated, or a number: measured:1.3"
            raise InputError("machine", name, accepted)
        return known
    try:
        return float(text)
    except ValueError:
        accepted = "a name and a strength, such as measured:1.3"
        raise InputError("machine", name, accepted) from None
