"""The choices that make a score machine, checked together (theory §2)."""

from __future__ import annotations

from typing import Any

from scoremachines.data.reduction import check_executor
from scoremachines.errors import InputError
from scoremachines.io.advice import Advice
from scoremachines.theory.locality import check_window, windows_of
from scoremachines.theory.schedule import PREDICTIONS
from scoremachines.theory.specs.machine import CENTRE, COMPOSED

__all__ = ["check_choices"]


def check_choices(machine: Any, prediction_type: str) -> None:
    """Refuse choices that do not exist, do not fit the images, or do not go together.

    Args:
        machine: a `ScoreMachine` in the making.
        prediction_type: what its `forward` is to return.

    Raises:
        InputError: the first of them.
    """
    if prediction_type not in PREDICTIONS:
        raise InputError("prediction_type", prediction_type, ", ".join(PREDICTIONS))
    check_executor(machine.executor)
    if machine.response not in (CENTRE, COMPOSED):
        raise InputError("response", machine.response, f"{CENTRE}, {COMPOSED}")
    if not getattr(machine.engine, "smooths", False):
        accepted = "auto, native, torch or reference"
        if machine.smooth != 0.0:
            wanted = f"{accepted}, for sources with a width"
            raise InputError("engine", machine.engine.name, wanted)
        if machine.response == COMPOSED:
            raise InputError("engine", machine.engine.name, f"{accepted}, for composed patches")
    if machine.window is None and machine.sources not in ("aligned", "circular"):
        reason = "the whole image has no other place to go"
        accepted_sources = Advice("aligned or circular with {}", ("window", None))
        raise InputError("sources", machine.sources, accepted_sources, reason)
    for window in windows_of(machine.window):
        check_window(window, machine.data.shape[1:])
