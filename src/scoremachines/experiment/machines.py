"""The machines that a network is compared with, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scoremachines.attention import (
    TOLD,
    Attention,
    Measured,
    attention_names,
    make_attention,
)
from scoremachines.attention.scaled import Scaled
from scoremachines.baselines import Wiener
from scoremachines.calibration import Calibration
from scoremachines.calibration.curves import known_sources
from scoremachines.data.training_set import TrainingSet
from scoremachines.denoiser import DenoiserModel
from scoremachines.errors import InputError
from scoremachines.locality import Window
from scoremachines.machine import ScoreMachine
from scoremachines.named import MACHINES, named_machine

__all__ = ["CALIBRATION", "NAMES", "make_machines", "network_window"]

OWN_MAPS = "measured"
MEASURED = (OWN_MAPS, *(OWN_MAPS + ending for ending in TOLD))
NAMES = (*MACHINES, "wiener", *attention_names(), *MEASURED)
"""KG's machines, the Wiener filter, the machine of the network's own sources with each attention,
and with the attention maps of the network itself; what ends in -class speaks of classes, what ends
in -agreed agrees on one."""
CALIBRATION = "calibration.json"
"""Where k(t) is kept, beside a checkpoint."""


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
    if folder is not None and (Path(folder) / CALIBRATION).exists():
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
    **options: Any,
) -> dict[str, DenoiserModel]:
    """Return the machines of these names, on the network's schedule and device.

    Args:
        names: of `NAMES`. An attention may have a strength λ, such as `"measured:1.3"`.
        network: the network, for its schedule, its sources and its own attention maps.
        data: the training set of both.
        window: k or k(t); None for the whole image.
        sources: of the machines named by their attention; by default what the network's padding
            stands for (theory §5).
        **options: `engine` and `memory`, as in `ScoreMachine`.

    Returns:
        The machines by name, in the order given.

    Raises:
        InputError: there is no such machine, or it does not fit the network.
    """
    made = {name: _machine(name, network, data, window, sources, options) for name in names}
    return {name: machine.to(network.device) for name, machine in made.items()}


def _machine(
    name: str,
    network: DenoiserModel,
    data: TrainingSet,
    window: Window,
    sources: str | None,
    options: dict[str, Any],
) -> DenoiserModel:
    kind, colon, strength = name.partition(":")
    if kind not in NAMES or (colon and kind not in (*attention_names(), *MEASURED)):
        accepted = f"{', '.join(NAMES)}; with an attention also its strength: measured:1.3"
        raise InputError("machine", name, accepted)
    if kind == "wiener":
        return Wiener(data, network.schedule)
    if kind in MACHINES:
        return named_machine(kind, data, window, schedule=network.schedule, **options)
    attention = _attention(kind, network)
    if colon:
        attention = Scaled(attention, _number(name, strength))
    where = known_sources(network, data, sources)
    return ScoreMachine(data, window, where, attention, schedule=network.schedule, **options)


def _attention(kind: str, network: DenoiserModel) -> Attention:
    if kind not in MEASURED:
        return make_attention(kind)
    maps = getattr(network, "attention", None)
    if maps is None or not callable(maps):
        accepted = "one of the other machines"
        raise InputError("machine", kind, accepted, "the network shows no attention maps")
    told = TOLD.get(kind.removeprefix(OWN_MAPS))
    return Measured(maps) if told is None else told(Measured(maps))


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        accepted = "a name and a strength, such as measured:1.3"
        raise InputError("machine", name, accepted) from None
