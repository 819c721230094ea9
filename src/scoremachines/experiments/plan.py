"""The networks and machines that the experiment samples, and the pairs that it compares.

A plan is a list of `Entry`s, each a `Model` with what it is; the findings are read off their
samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from scoremachines.data.settings import DataSettings
from scoremachines.experiments.machines import network_window
from scoremachines.experiments.networks import (
    CIRCULAR,
    CNN,
    CNN_LONG,
    ROLES,
    SOFT,
    SOFT_LONG,
)
from scoremachines.experiments.roles import Candidate, Role
from scoremachines.experiments.sample_cache import Model
from scoremachines.experiments.settings import ConsistencySettings
from scoremachines.networks.training.folder import load_network
from scoremachines.theory.specs import AttentionSpec, MachineSpec, denoiser_names

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

Trained = Mapping[tuple[Role, int], Path]
"""Folder of each network, by role and training seed."""
Anew = Mapping[tuple[str, str, Role], Path]
"""Folder of each network of a sweep's point, by sweep, value and role."""
ANEW = (CNN, SOFT)
"""Networks that are trained for every point of the sweeps over the training set."""
ATTENTIVE = tuple(role for role in ROLES if role.own is not None)
CLOSED = tuple(
    AttentionSpec(name) for name in ("none", "identity", "top1", "tiled", "full", "multiscale")
)
"""Attentions that use nothing of a network."""
SHARED = (
    AttentionSpec("tiled", "group"),
    AttentionSpec("tiled", "consensus"),
    AttentionSpec("identity", "consensus"),
    AttentionSpec("multiscale", "consensus"),
    AttentionSpec("top1", "group"),
    AttentionSpec("full", "group"),
)
"""The same, of classes instead of images, or with a consensus on one (theory §4.6, §4.7)."""
BY_CLASS = AttentionSpec("measured", "group")
MAPS = (AttentionSpec("measured", "consensus", "perplexity"), BY_CLASS, AttentionSpec("measured"))
"""Attentions with a network's own maps."""
SCHEDULERS = ("kg", "DDPM", "HeunDiscrete", "DPMSolverMultistep")
GROUPED = ("group", "consensus")
PLAIN = Candidate(MachineSpec())
BASELINES = tuple(Candidate(MachineSpec(name)) for name in ("ideal", *denoiser_names()))
"""The ideal score, and the denoisers that are no score machines, of other packages, too."""


@dataclass(frozen=True)
class Entry:
    """A model with its place in the experiment.

    Attributes:
        what: the network or machine.
        model: what is sampled.
        seed: of a network's training.
        sweep: what is varied, where the entry is a point of a sweep.
        value: the varied quantity's value, as text.
    """

    what: Role | Candidate
    model: Model
    seed: int | None = None
    sweep: str | None = None
    value: str = ""

    @property
    def role(self) -> Role | None:
        """The network; None for a machine."""
        return self.what if isinstance(self.what, Role) else None


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
        Entry(role, replace(theirs, network=str(folder)), seed)
        for (role, seed), folder in trained.items()
    ]
    zeros = replace(base, window=_window(trained[CNN_LONG, 0]))
    every = settings.scale.all_machines
    for attention in (*CLOSED, *(SHARED if every else SHARED[:3])):
        machine = MachineSpec(attention=attention)
        found.append(Entry(Candidate(machine), replace(zeros, machine=machine)))
    for role in (*ATTENTIVE, SOFT_LONG) if every else (*ATTENTIVE[:2], SOFT_LONG):
        beside = replace(zeros, network=str(trained[role, 0]))
        for attention in MAPS if every else ((BY_CLASS,) if role.head == "top1" else MAPS[:1]):
            machine = MachineSpec(attention=attention)
            found.append(Entry(Candidate(machine, role), replace(beside, machine=machine)))
    plain = replace(zeros, network=str(trained[CNN_LONG, 0]))
    found += [Entry(each, replace(plain, machine=each.machine)) for each in BASELINES]
    few = min(settings.scale.sweep_n, 100 if every else 16)
    round_ = replace(base, window=_window(trained[CIRCULAR, 0]), machine=MachineSpec(), n=few)
    for sources in ("valid", "circular"):
        what = Candidate(MachineSpec(), sources=sources)
        found.append(Entry(what, replace(round_, sources=sources)))
    return found


def rivals(role: Role, all_entries: list[Entry]) -> tuple[list[Candidate], Candidate]:
    """Return the machines that a network is compared with, and the one without attention.

    Args:
        role: the network.
        all_entries: of the experiment.

    Returns:
        Machines among the entries.
    """
    if role.circular:
        found = [Candidate(MachineSpec(), sources=sources) for sources in ("valid", "circular")]
        return found, found[0]
    found = [*BASELINES, PLAIN]
    if role.own is not None:
        tiled = AttentionSpec("tiled")
        attentions = [role.own, AttentionSpec("full")]
        attentions += [replace(each, over=over) for each in (role.own, tiled) for over in GROUPED]
        found += [Candidate(MachineSpec(attention=each)) for each in attentions]
        found += [Candidate(MachineSpec(attention=each), role) for each in reversed(MAPS)]
    known = {entry.what for entry in all_entries}
    return [each for each in dict.fromkeys(found) if each in known], PLAIN


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
    plain = replace(base, machine=MachineSpec(), window=_window(trained[CNN_LONG, 0]))
    shared = MachineSpec(attention=SHARED[0])
    machines: dict[Role | Candidate, Model] = {
        PLAIN: plain,
        Candidate(shared): replace(plain, machine=shared),
    }
    # Networks are sampled in no time, so there may be more of their samples.
    theirs = replace(base, n=scale.n, steps=scale.network_steps)
    both: dict[Role | Candidate, Model] = {
        role: replace(theirs, network=str(trained[role, 0])) for role in (CNN_LONG, SOFT_LONG)
    }
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
    models: Mapping[Role | Candidate, Model], sweep: str, changes: Mapping[str, dict[str, object]]
) -> Iterator[Entry]:
    for value, change in changes.items():
        for what, model in models.items():
            yield Entry(what, replace(model, **change), sweep=sweep, value=value)  # type: ignore[arg-type]


def _shapes(data: DataSettings, **changes: int) -> DataSettings:
    return replace(data, shapes=replace(data.shapes, **changes))  # type: ignore[arg-type]


def _window(folder: Path) -> str:
    return str(network_window(load_network(folder), folder))
