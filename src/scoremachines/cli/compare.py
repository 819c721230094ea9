"""`scoremachines compare`: one network, several machines, one folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from scoremachines.cli.painting import open_device
from scoremachines.cli.settings import CompareSettings, memory_bytes
from scoremachines.data.source import open_data
from scoremachines.denoiser import DenoiserModel
from scoremachines.engine.choice import limit_threads
from scoremachines.experiment import compare as compare_images
from scoremachines.experiment import make_machines, network_strength, network_window
from scoremachines.experiment.comparison import BASELINES, WITHOUT_ATTENTION
from scoremachines.files import is_file, reading
from scoremachines.locality import parse_window
from scoremachines.nets.adapter import load_diffusers
from scoremachines.record import SETTINGS, begin_run
from scoremachines.sealed import tensor_digest
from scoremachines.training import load_network, load_run_data

__all__ = ["COMPARED", "changed_options", "compare", "open_network"]

COMPARED = "run.json"
"""Record of a comparison, by which its folder is recognised before it is finished."""
FREE = ("engine", "device", "memory")
"""Settings that may differ when a comparison is continued."""


def compare(
    settings: CompareSettings,
    network: str,
    machines: Sequence[str],
    output: str,
    *,
    resume: bool = False,
) -> Path:
    """Compare a network with machines, write everything into a folder, and print the table.

    Args:
        settings: of the comparison.
        network: folder of a training, or of a `diffusers` model.
        machines: their names; the baselines and a machine without attention are added.
        output: the folder.
        resume: go on with the comparison that the folder holds.

    Returns:
        The page.

    Raises:
        InputError: a setting, the network, the images or the folder cannot be used.
    """
    limit_threads(settings.engine)
    model = open_network(network).to(open_device(settings.device))
    data = load_run_data(network) if settings.source is None else open_data(settings)
    given = settings.window
    window = network_window(model, network) if given is None else parse_window(given)
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
        command = _command(settings, network, machines)
        page = replace(found, about=about).save(run.folder, command)
    print(found.table())
    print(f"page: {page}")
    return page


def open_network(folder: str | Path) -> DenoiserModel:
    """Open a network, ours or a `UNet2DModel` of `diffusers`.

    Args:
        folder: of a training, or one that `save_pretrained` wrote.

    Returns:
        The network, in evaluation mode.

    Raises:
        InputError: there is none, or it is damaged.
    """
    folder = Path(folder)
    kind, config = "Network", folder / "config.json"
    if not is_file("network", folder / SETTINGS):
        if is_file("network", folder / "model_index.json"):
            return load_diffusers(folder)
        if is_file("network", config):
            with reading("network", folder, "a folder that holds a network"):
                kind = json.loads(config.read_text(encoding="utf-8"))["_class_name"]
    return load_network(folder) if kind == "Network" else load_diffusers(folder)


def _with_baselines(machines: Sequence[str]) -> list[str]:
    """Return the names of all machines, each once."""
    without = [] if set(machines) & set(WITHOUT_ATTENTION) else ["none"]
    return list(dict.fromkeys([*without, *machines, *BASELINES]))


def _command(settings: CompareSettings, network: str, machines: Sequence[str]) -> str:
    """Return the line that makes the same comparison again."""
    words = ["scoremachines", "compare", network]
    words += [word for name in machines for word in ("--machine", name)]
    words += changed_options(asdict(settings), asdict(CompareSettings()), "--")
    return shlex.join(words)


def changed_options(values: dict[str, Any], usual: dict[str, Any], prefix: str) -> list[str]:
    """Return the words of a command line for all options that are not as usual.

    Args:
        values: of all options, by name; a dictionary holds options of a group.
        usual: likewise, what they are when the line does not say them.
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
            words += [prefix + ("class" if name == "label" else name), str(shown)]
    return words
