"""One network and several machines from the same noise, in one folder (theory §6)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from scoremachines.calibration import Calibration
from scoremachines.data.settings import DataSettings
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import make_engine
from scoremachines.engines.auto import limit_threads
from scoremachines.experiments.compared import COMPARED
from scoremachines.experiments.comparison import BASELINES, Comparison
from scoremachines.experiments.comparison import compare as compare_images
from scoremachines.experiments.generate import open_device
from scoremachines.experiments.machines import make_machines, network_strength, network_window
from scoremachines.experiments.opening import log_facts, network_data, open_network
from scoremachines.experiments.run_settings import CompareSettings, changed_options, memory_bytes
from scoremachines.io.sealed import tensor_digest
from scoremachines.runs.estimate import announce, run_seconds
from scoremachines.runs.record import begin_run
from scoremachines.theory.locality import Window, parse_window
from scoremachines.theory.specs import MachineSpec

__all__ = ["compare_in_folder"]

FREE = ("engine", "device", "memory")
"""Settings that may differ when a comparison is continued."""


def compare_in_folder(
    settings: CompareSettings,
    network: str,
    machines: Sequence[str],
    output: str,
    *,
    resume: bool = False,
) -> tuple[Comparison, Path]:
    """Compare a network with machines, and write everything into a folder.

    Args:
        settings: of the comparison.
        network: a folder, or a function, as `open_network` takes it.
        machines: their names; the baselines and a machine without attention are added.
        output: the folder.
        resume: go on with the comparison that the folder holds.

    Returns:
        What was found, and the page.

    Raises:
        InputError: a setting, the network, the images or the folder cannot be used.
    """
    limit_threads(make_engine(settings.engine))
    model = open_network(network).to(open_device(settings.device))
    data = network_data(network, settings)
    given, machines = settings.window, [str(MachineSpec.parse(name)) for name in machines]
    window = network_window(model, network) if given is None else _window(given)
    log_facts(model)
    names, strength = _with_baselines(machines), network_strength(network)
    made = make_machines(
        names,
        model,
        data,
        window,
        settings.sources,
        strength,
        engine=settings.engine,
        memory=memory_bytes(settings.memory),
    )
    decides = {
        "network": tensor_digest(model.state_dict(), {"config": str(dict(model.config))}),
        "machines": names,
        "window": str(window),
        "strength": str(strength),
    }
    seeds, steps = settings.n, settings.steps
    what = f"{seeds} seeds × {steps} steps, a network and {len(made)} machines, {len(data)} images"
    announce(run_seconds([model, *made.values()], seeds, steps), what)
    with begin_run(
        output,
        settings,
        data,
        record=COMPARED,
        free=FREE,
        resume=resume,
        decides=decides,
        marker=COMPARED,
    ) as run:
        found = compare_images(
            model,
            made,
            data,
            settings.n,
            settings.steps,
            settings.seed,
            network_steps=settings.network_steps,
            batch=settings.batch,
            labels=settings.label,
            run=run,
        )
        about = {**found.about, "folder": str(network), "window": str(window or "image")}
        about |= {"sources": settings.sources, "data": _data(settings, data)}
        command = _command(settings, network, machines)
        found = replace(found, about=about)
        return found, found.save(run.folder, command)


def _data(settings: CompareSettings, data: TrainingSet) -> dict[str, Any] | None:
    """Return how the images were opened; None for those of the training."""
    if settings.source is None:
        return None
    kept = {each.name: getattr(settings, each.name) for each in fields(DataSettings)}
    kept["shapes"] = asdict(settings.shapes)
    place = data.location
    source = place.absolute() if isinstance(place, Path) else settings.source
    return kept | {"source": str(source)}


def _window(text: str) -> Window:
    """Return the window that a text or the file of a calibration names."""
    return Calibration.load(text).schedule if Path(text).suffix == ".json" else parse_window(text)


def _with_baselines(machines: Sequence[str]) -> list[str]:
    """Return the names of all machines, each once."""
    plain = any(MachineSpec.parse(name).without_attention for name in machines)
    return list(dict.fromkeys([*([] if plain else ["none"]), *machines, *BASELINES]))


def _command(settings: CompareSettings, network: str, machines: Sequence[str]) -> str:
    """Return the line that makes the same comparison again."""
    words = ["scoremachines", "compare", network]
    words += [word for name in machines for word in ("--machine", name)]
    words += changed_options(asdict(settings), asdict(CompareSettings()), "--")
    return shlex.join(words)
