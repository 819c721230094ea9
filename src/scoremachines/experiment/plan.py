"""Which networks and machines the paper's experiment samples, and which it compares.

A plan is a list of `Entry`s, each a `Model` with a name; the findings are read off their samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from scoremachines.data.settings import DataSettings
from scoremachines.experiment.jobs import Model
from scoremachines.experiment.machines import network_window
from scoremachines.experiment.networks import LONG, ROLES
from scoremachines.experiment.settings import ConsistencySettings
from scoremachines.training.folder import load_network

__all__ = [
    "ANEW",
    "ATTENTIVE",
    "CLOSED",
    "SHARED",
    "Anew",
    "Entry",
    "Trained",
    "changed_sets",
    "entries",
    "rivals",
    "sweeps",
]

Trained = Mapping[tuple[str, int], Path]
"""Folder of each network, by role and training seed."""
Anew = Mapping[tuple[str, str, str], Path]
"""Folder of each network of a sweep's point, by sweep, value and role."""
ANEW = ("cnn", "soft")
"""Networks that are trained for every point of the sweeps over the training set."""
ATTENTIVE = tuple(role for role in ROLES if role not in ("cnn", "circular"))
CLOSED = ("none", "identity", "top1", "tiled", "full", "multiscale")
"""Machines that use nothing of a network."""
SHARED = (
    *("tiled-class", "tiled-agreed", "identity-agreed"),
    *("multiscale-agreed", "top1-class", "full-class"),
)
"""The same, told of classes instead of images, or agreeing on one (theory §4.6, §4.7)."""
MAPS = ("measured-agreed:spread", "measured-class", "measured")
"""Machines that listen to a network's own maps."""
SCHEDULERS = ("kg", "DDPM", "HeunDiscrete", "DPMSolverMultistep")
OWN = {"identity": "identity", "top1": "top1", "soft": "tiled", "multiscale": "multiscale"}
"""The closed-form attention that stands for each head."""


@dataclass(frozen=True)
class Entry:
    """A model with its place in the experiment.

    Attributes:
        name: what to call it.
        model: what is sampled.
        role: of a network.
        seed: of a network's training.
        sweep: what is varied, where the entry is a point of a sweep.
        value: the varied quantity's value, as text.
    """

    name: str
    model: Model
    role: str | None = None
    seed: int | None = None
    sweep: str | None = None
    value: str = ""


def entries(settings: ConsistencySettings, trained: Trained) -> list[Entry]:
    """Return the networks and machines of the crafted set.

    Args:
        settings: of the experiment.
        trained: the networks.

    Returns:
        Networks by role and seed, then machines at the k(t) of the CNN that was trained longest.
    """
    base = Model(settings.data, settings.scale.n, steps=settings.scale.steps, seed=settings.seed)
    theirs = replace(base, steps=settings.scale.network_steps)
    found = [
        Entry(role, replace(theirs, network=str(folder)), role, seed)
        for (role, seed), folder in trained.items()
    ]
    zeros = replace(base, window=_window(trained["cnn-long", 0]))
    every = settings.scale.all_machines
    found += [Entry(name, replace(zeros, machine=name)) for name in CLOSED]
    shared = SHARED if every else SHARED[:3]
    found += [Entry(name, replace(zeros, machine=name)) for name in shared]
    for role in (*ATTENTIVE, "soft-long") if every else (*ATTENTIVE[:2], "soft-long"):
        told = replace(zeros, network=str(trained[role, 0]))
        for kind in MAPS if every else (("measured-class",) if role == "top1" else MAPS[:1]):
            found.append(Entry(f"{kind} ({role})", replace(told, machine=kind)))
    plain = str(trained["cnn-long", 0])
    found += [
        Entry(name, replace(zeros, network=plain, machine=name)) for name in ("ideal", "wiener")
    ]
    round_ = replace(base, window=_window(trained["circular", 0]), machine="none")
    few = min(settings.scale.sweep_n, 100 if every else 16)
    found.append(Entry("none (inside)", replace(round_, sources="inside", n=few)))
    found.append(Entry("none (wrapped)", replace(round_, sources="wrapped", n=few)))
    return found


def rivals(role: str, all_entries: list[Entry]) -> tuple[list[str], str]:
    """Return the machines that a network is compared with, and the one without attention.

    Args:
        role: of the network.
        all_entries: of the experiment.

    Returns:
        Names of entries.
    """
    if role == "circular":
        return ["none (inside)", "none (wrapped)"], "none (inside)"
    names = ["ideal", "wiener", "none"]
    own = OWN.get(role.removesuffix(LONG))
    if own is not None:
        names += [own, "full", f"{own}-class", f"{own}-agreed", "tiled-class", "tiled-agreed"]
        names += [f"{kind} ({role})" for kind in reversed(MAPS)]
    known = {entry.name for entry in all_entries}
    return [name for name in dict.fromkeys(names) if name in known], "none"


def sweeps(
    settings: ConsistencySettings, trained: Trained, anew: Anew | None = None
) -> list[Entry]:
    """Return the points of all sweeps: CNN and soft network, and the machines beside them.

    Args:
        settings: of the experiment.
        trained: the networks.
        anew: those that were trained for a point of the sweeps over the training set.

    Returns:
        Entries with their sweep and value.
    """
    scale = settings.scale
    base = Model(settings.data, scale.sweep_n, steps=scale.steps, seed=settings.seed)
    machines = {"none": replace(base, machine="none", window=_window(trained["cnn-long", 0]))}
    machines["tiled-class"] = replace(machines["none"], machine="tiled-class")
    longest = ("cnn-long", "soft-long")
    # Networks are sampled in no time, so there may be more of their samples.
    theirs = replace(base, n=scale.n, steps=scale.network_steps)
    both = {name: replace(theirs, network=str(trained[name, 0])) for name in longest}
    every = scale.all_machines
    beside = both | machines if every else both
    windows = (3, 5, 7, 9) if every else (3, 5, 7)
    sets = changed_sets(settings)
    return [
        *_varied(machines, "patch size", {str(k): {"window": str(k)} for k in windows}),
        *_varied(beside, "steps", {str(n): {"steps": n} for n in (5, 10, 20, 50, 100)}),
        *_varied(beside, "scheduler", {name: {"scheduler": name} for name in SCHEDULERS}),
        *(
            entry
            for sweep, values in sets.items()
            for entry in _varied(machines, sweep, {v: {"data": d} for v, d in values.items()})
        ),
        *(
            Entry(
                role,
                replace(theirs, network=str(path), data=sets[sweep][value]),
                sweep=sweep,
                value=value,
            )
            for (sweep, value, role), path in (anew or {}).items()
        ),
    ]


def changed_sets(settings: ConsistencySettings) -> dict[str, dict[str, DataSettings]]:
    """Return the training sets of the sweeps over them, by sweep and value."""
    every = settings.scale.all_machines
    images = (10, 30, 100, 300) if every else (10, 100)
    features = (2, 3, 4) if every else (2, 4)
    return {
        "training images": {str(n): _shapes(settings.data, n=n) for n in images},
        "features": {str(m): _shapes(settings.data, features=m) for m in features},
    }


def _varied(
    models: Mapping[str, Model], sweep: str, changes: Mapping[str, dict[str, object]]
) -> Iterator[Entry]:
    for value, change in changes.items():
        for name, model in models.items():
            yield Entry(name, replace(model, **change), sweep=sweep, value=value)  # type: ignore[arg-type]


def _shapes(data: DataSettings, **changes: int) -> DataSettings:
    return replace(data, shapes=replace(data.shapes, **changes))  # type: ignore[arg-type]


def _window(folder: Path) -> str:
    return str(network_window(load_network(folder), folder))
